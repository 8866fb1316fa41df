//! Two clusters: one that follows the other, and two that have nothing to do with each other.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome, course::phases::Course},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, ClientKind, RunbookStep, SequenceRange},
    },
    plan::Plan,
    topology::Topology,
    verdict::{RunVerdict, judge},
};

use super::{
    course::lsn,
    edits::{primary, with, with_states, without, write},
    finding, findings,
    regions::{EAST, Regions, Reign, WEST},
    value, with_outcome,
};

fn verdict(course: &Regions) -> RunVerdict {
    verdict_of(course, &course.events())
}

fn verdict_of(course: &Regions, events: &[Event]) -> RunVerdict {
    judge(&BTreeMap::from([(1, course.plan())]), events)
}

fn assert_passes(verdict: &RunVerdict) {
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
}

/// The finding of a check on one of several clusters or lineages.
fn of<'v>(verdict: &'v RunVerdict, check: &str, name: &str) -> &'v Finding {
    findings(verdict, check).into_iter().find(|finding| finding.of.as_deref() == Some(name)).unwrap()
}

fn phases(verdict: &RunVerdict) -> Vec<(&'static str, f64)> {
    let phases = verdict.scenarios[0].failovers[0].phases.iter();
    phases.map(|phase| (phase.name.name(), phase.duration_ms())).collect()
}

#[test]
fn a_failover_inside_a_region_passes_and_the_other_region_follows() {
    let verdict = verdict(&Regions::in_region());
    assert_passes(&verdict);
    assert_eq!(verdict.scenarios[0].failovers[0].course, Course::Failover);
    assert_eq!(phases(&verdict)[0].0, "detect");
    assert!(of(&verdict, "rejoin", "east").summary.starts_with("east: every node streams from east2"));
    assert!(of(&verdict, "rejoin", "west").summary.starts_with("west: every node follows east2"));
    assert_eq!(finding(&verdict, "single_writer").of, None, "there is one lineage");
}

#[test]
fn a_region_that_is_promoted_in_the_place_of_a_lost_one_passes_with_its_lag_as_loss() {
    let verdict = verdict(&Regions::promoted());
    assert_passes(&verdict);
    let failover = &verdict.scenarios[0].failovers[0];
    assert_eq!((failover.course, failover.new_primary.as_deref()), (Course::ClusterPromoted, Some("west1")));
    // The fault strikes at 2000 ms, within its bracket clients notice it at once.
    let names: Vec<&str> = phases(&verdict).iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["decide", "prepare", "promote", "repoint", "resolve", "route", "first write"]);
    assert_eq!(phases(&verdict)[1..4], [("prepare", 100.0), ("promote", 200.0), ("repoint", 100.0)]);
    assert_eq!(phases(&verdict)[4..6], [("resolve", 0.0), ("route", 100.0)]);
    let loss = finding(&verdict, "data_loss");
    assert!(value(loss, "lost_rows") > 2.0 && value(loss, "unexcused_rows") == 0.0, "{loss:#?}");
    assert_eq!(value(loss, "superseded_rows"), value(loss, "lost_rows"));
    assert!(value(loss, "lag_before_fault_bytes") < 50.0 * 100.0, "{loss:#?}");
    assert!(loss.summary.contains("in the last look before the fault"), "{}", loss.summary);
    let promotion = finding(&verdict, "promotion");
    assert!(value(promotion, "promoted_behind_bytes") > 0.0, "what was written until the order counts: {promotion:#?}");
    assert!(of(&verdict, "rejoin", "east").summary.contains("was given up"));
}

/// Whoever keeps the answer of a name meets the old region's balancer, alive or not: where an attempt was led decides.
#[test]
fn clients_are_there_when_a_name_led_them_there() {
    let course = Regions::promoted();
    let mut events = course.events();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "write"
        {
            let is_there = attempt.started_us >= (100 + 3_060) * 1000;
            attempt.led_to = Some(if is_there { "west-proxy" } else { "east-proxy" }.to_owned());
        }
    }
    let verdict = verdict_of(&course, &events);
    assert_eq!(phases(&verdict)[4..6], [("resolve", 60.0), ("route", 40.0)]);
}

/// Synchronous replication promises nothing across regions.
#[test]
fn the_loss_of_a_region_is_not_held_to_what_holds_within_it() {
    let course = Regions::promoted();
    let mut plan = course.plan();
    plan.topology.settings.patroni.synchronous_mode = true;
    let plan = pgquake_judge::plan::Plan { schema: 1, ..pgquake_judge::plan::Plan::new(plan.topology) };
    assert_passes(&judge(&BTreeMap::from([(1, plan)]), &course.events()));
}

#[test]
fn what_a_promoted_region_had_and_lost_is_no_lag() {
    let course = Regions { lost: vec![("east1", 1700)], ..Regions::promoted() };
    let own = verdict(&course);
    let loss = finding(&own, "data_loss");
    assert_eq!(loss.outcome, Outcome::Fail);
    assert!(value(loss, "unexcused_rows") > 0.0, "{loss:#?}");
    // Where the promoted one left its parent is not known.
    let untold = without(Regions::promoted().events(), |what| matches!(what, Occurrence::TimelineSwitch { .. }));
    let own = verdict_of(&course, &untold);
    assert!(with_outcome(&own, Outcome::Inconclusive).contains(&"data_loss"));
    assert!(!with_outcome(&own, Outcome::Fail).contains(&"data_loss"));
}

#[test]
fn the_ledgers_of_a_region_are_asked_for_unless_it_is_gone_for_good() {
    let back = Regions { faults: vec![(&EAST, 2000, Some(5000))], ..Regions::promoted() };
    let unread = Occurrence::LedgerUnread { node: "east3".to_owned(), reason: "no answer".to_owned() };
    let given_up = |what: &Occurrence| matches!(what, Occurrence::Runbook { step: RunbookStep::GivenUp, .. });
    let own = verdict_of(&back, &with(without(back.events(), given_up), 5550, unread));
    assert!(findings(&own, "data_loss").iter().any(|own| own.summary.contains("the ledger of east3 was not read")));
}

#[test]
fn a_write_that_both_regions_acknowledge_fails() {
    let course = Regions::in_region();
    let both = with(course.events(), 4007, write("west1", 2, 4000));
    let own = verdict_of(&course, &both);
    let writers = finding(&own, "single_writer");
    assert_eq!(writers.outcome, Outcome::Fail, "{writers:#?}");
    assert!(writers.summary.contains("west1 on timeline 2"), "{}", writers.summary);
    assert!(!own.scenarios[0].two_writers_us.is_empty());
    // It says that it is a primary, and nobody saw it accept a write.
    let said =
        [3900, 4100, 4300].into_iter().fold(course.events(), |all, ms| with(all, ms, primary("west1", 2, lsn(ms))));
    let own = verdict_of(&course, &said);
    assert_eq!(finding(&own, "single_writer").outcome, Outcome::Inconclusive);
}

fn comes_back() -> Regions {
    let mut course = Regions::promoted();
    course.faults = vec![(&["east1", "east2", "east3", "east-proxy"], 2000, Some(4000))];
    course.runbook.pop();
    Regions { rebuilt_ms: Some(4000), ..course }
}

/// The agents of the old region make one of its nodes primary again, and its history counts in the end: what the promoted
/// region acknowledged is lost, and no runbook had another region take its place.
#[test]
fn what_a_promoted_region_wrote_is_not_excused_if_the_old_one_leads_again_by_itself() {
    let mut course = Regions::promoted();
    course.faults = vec![(&["east1", "east2", "east3", "east-proxy"], 2000, Some(4000))];
    course.runbook.pop();
    course.reigns.push(Reign("east1", 3, 4500, u64::MAX));
    course.switches.push((4550, "east1", 1, 3, 1960));
    let own = verdict(&course);
    let loss = findings(&own, "data_loss");
    let excused =
        |own: &&&Finding| own.outcome == Outcome::Pass && own.value_of("lost_rows").is_some_and(|rows| rows > 0.0);
    assert_eq!(loss.iter().find(excused), None, "{loss:#?}");
    assert!(with_outcome(&own, Outcome::Fail).contains(&"single_writer"));
}

#[test]
fn an_old_region_that_comes_back_follows_and_accepts_nothing() {
    let course = comes_back();
    assert_passes(&verdict(&course));
    let wrote = with(course.events(), 4507, write("east1", 1, 4500));
    let own = verdict_of(&course, &wrote);
    let writers = finding(&own, "single_writer");
    assert_eq!((writers.outcome, value(writers, "superseded_writes")), (Outcome::Fail, 1.0), "{writers:#?}");
    let said = [4400, 4600].into_iter().fold(course.events(), |all, ms| with(all, ms, primary("east1", 1, lsn(ms))));
    assert_eq!(finding(&verdict_of(&course, &said), "single_writer").outcome, Outcome::Inconclusive);
    // It goes on as a primary: two clusters have one in the end.
    let mut split = comes_back();
    split.reigns.push(Reign("east1", 1, 4200, u64::MAX));
    let own = verdict(&Regions { rebuilt_ms: None, ..split });
    for name in ["east", "west"] {
        let rejoin = of(&own, "rejoin", name);
        assert!(rejoin.outcome == Outcome::Fail && rejoin.summary.contains("are primary in the end"), "{rejoin:#?}");
    }
    assert_eq!(finding(&own, "single_writer").outcome, Outcome::Fail);
}

#[test]
fn a_node_of_the_other_region_that_never_follows_again_fails() {
    let own = verdict(&Regions { stuck: vec![("west3", 2500)], ..Regions::in_region() });
    let rejoin = of(&own, "rejoin", "west");
    assert_eq!(rejoin.outcome, Outcome::Fail);
    assert!(rejoin.summary.contains("west3 is on timeline 1 and does not stream"), "{}", rejoin.summary);
    assert_eq!(of(&own, "rejoin", "east").outcome, Outcome::Pass);
    // One look alone that got no answer.
    let course = Regions::in_region();
    let silent = with(course.events(), 5390, silence_of("west3"));
    assert_eq!(of(&verdict_of(&course, &silent), "rejoin", "west").outcome, Outcome::Inconclusive);
}

fn silence_of(node: &str) -> Occurrence {
    Occurrence::NodeState(pgquake_judge::history::event::NodeState {
        node: node.to_owned(),
        reachable: false,
        role: None,
        timeline: None,
        lsn: None,
        asked_us: None,
        streaming_from: None,
        standbys: BTreeMap::new(),
    })
}

#[test]
fn a_leader_of_a_region_that_streams_from_its_own_region_is_cut_off() {
    let course = Regions::in_region();
    let turned = with_states(course.events(), "west1", (4_000_000, u64::MAX), |state| {
        state.streaming_from = Some("west2".to_owned());
    });
    let own = verdict_of(&course, &turned);
    let rejoin = of(&own, "rejoin", "west");
    assert_eq!(rejoin.outcome, Outcome::Fail);
    assert!(rejoin.summary.contains("west1 leads its cluster and streams from west2"), "{}", rejoin.summary);
    // By an address, or any other name that is none of its own, it is in its place.
    let named = with_states(course.events(), "west1", (4_000_000, u64::MAX), |state| {
        state.streaming_from = Some("198.18.0.7".to_owned());
    });
    assert_passes(&verdict_of(&course, &named));
}

#[test]
fn a_timeline_of_one_number_in_each_region_is_told_apart_where_one_was_left() {
    let course = Regions::promoted_twice();
    let own = verdict(&course);
    assert_passes(&own);
    let timelines = finding(&own, "timelines");
    assert!(timelines.summary.contains("2 by east2, 2 by west1"), "{}", timelines.summary);
    let loss = finding(&own, "data_loss");
    assert_eq!((value(loss, "unexcused_rows"), loss.outcome), (0.0, Outcome::Pass), "{loss:#?}");
    // The region that was left goes on: one number stands for two that live.
    let lives = with(course.events(), 8007, write("east2", 2, 8000));
    let own = verdict_of(&course, &lives);
    assert_eq!(finding(&own, "timelines").outcome, Outcome::Fail);
    assert_eq!(finding(&own, "single_writer").outcome, Outcome::Fail);
    // Both began where the first node had come: nothing tells them apart.
    let mut at_one_place = course.clone();
    at_one_place.switches[1].4 = 2000;
    assert_eq!(finding(&verdict(&at_one_place), "timelines").outcome, Outcome::Fail);
    // Nobody read where the promoted one began.
    let untold = |what: &Occurrence| matches!(what, Occurrence::TimelineSwitch { node, .. } if node == "west1");
    let own = verdict_of(&course, &without(course.events(), untold));
    assert_eq!(finding(&own, "timelines").outcome, Outcome::Inconclusive);
}

#[test]
fn clusters_of_which_none_follows_the_other_may_both_write() {
    let course = Regions::independent();
    let own = verdict(&course);
    assert_passes(&own);
    for name in ["east", "west"] {
        let writers = of(&own, "single_writer", name);
        assert!(writers.summary.starts_with(&format!("{name}: never did two nodes")), "{}", writers.summary);
    }
    assert!(own.scenarios[0].two_writers_us.is_empty());
    let names: Vec<_> = own.scenarios[0].failovers.iter().map(|own| own.of.clone().unwrap()).collect();
    assert_eq!(names, ["east", "west"]);
    assert_eq!(own.scenarios[0].failovers[1].course, Course::NoOutage);
    // Two of one cluster may not, and it is the only one that fails.
    let both = with(course.events(), 4007, write("west2", 1, 4000));
    let own = verdict_of(&course, &both);
    assert_eq!(of(&own, "single_writer", "west").outcome, Outcome::Fail);
    assert_eq!(of(&own, "single_writer", "east").outcome, Outcome::Pass);
    // The same history of clusters of which one follows the other.
    let follows = Regions { independent: false, ..course };
    assert_eq!(finding(&verdict(&follows), "single_writer").outcome, Outcome::Fail);
}

#[test]
fn a_node_that_nobody_watched_leaves_its_own_cluster_in_doubt() {
    let course = Regions::independent();
    let unwatched = without(course.events(), |what| match what {
        Occurrence::NodeState(state) => state.node == "west3",
        Occurrence::Attempt(attempt) => attempt.endpoint == "west3",
        _ => false,
    });
    let own = verdict_of(&course, &unwatched);
    assert_eq!(of(&own, "single_writer", "west").outcome, Outcome::Inconclusive);
    assert_eq!(of(&own, "single_writer", "east").outcome, Outcome::Pass);
}

#[test]
fn the_leader_key_of_each_cluster_must_have_been_seen() {
    let course = Regions::in_region();
    let of_west =
        |what: &Occurrence| matches!(what, Occurrence::LeaderKey { cluster, .. } if cluster.as_deref() == Some("west"));
    let own = verdict_of(&course, &without(course.events(), of_west));
    let sound = finding(&own, "harness_was_sound");
    assert!(sound.summary.contains("the leader key of west was never seen"), "{}", sound.summary);
}

/// Whatever the two regions are, a key of one is not held against writes of the other.
#[test]
fn writes_are_compared_with_the_key_of_their_own_cluster() {
    let own = verdict(&Regions::promoted());
    let writers = finding(&own, "single_writer");
    assert_eq!(value(writers, "writes_without_key"), 0.0, "{writers:#?}");
    let mut stolen = Regions::promoted();
    stolen.keys.push((2800, "west", "west2"));
    let own = verdict(&stolen);
    assert_eq!(finding(&own, "single_writer").outcome, Outcome::Inconclusive);
    assert!(value(finding(&own, "single_writer"), "writes_without_key") > 0.0);
    let by_west = |event: &Event| {
        matches!(&event.what, Occurrence::Attempt(own)
        if matches!(&own.outcome, AttemptOutcome::Acknowledged { node, .. } if WEST.contains(&node.as_str())))
    };
    assert!(stolen.events().iter().any(by_west));
}

/// An application that knows the nodes themselves may have met any of them when it got no answer.
#[test]
fn a_row_of_an_application_without_an_answer_may_be_in_either_of_two_clusters() {
    let course = Regions::independent();
    let web =
        serde_json::from_value(serde_json::json!({ "name": "web", "endpoint": "nodes" })).expect("an application");
    let topology = Topology { applications: vec![web], ..course.plan().topology };
    let plan = Plan { schema: 1, ..Plan::new(topology) };
    let mut events = with(course.events(), 1990, write("east1", 1, 1950));
    for event in &mut events {
        match &mut event.what {
            Occurrence::Attempt(attempt) if attempt.client == 99 => {
                (attempt.client_kind, attempt.endpoint) = (ClientKind::Application, "nodes".to_owned());
                attempt.outcome = AttemptOutcome::Unknown { message: "no answer came in time".to_owned() };
            }
            Occurrence::LedgerRead { node, found, .. } if node.starts_with("east") => {
                found.push(SequenceRange { client: 99, from: 1950, to: 1950 });
            }
            _ => {}
        }
    }
    let own = judge(&BTreeMap::from([(1, plan)]), &events);
    let of_loss = findings(&own, "data_loss");
    assert!(of_loss.iter().all(|loss| loss.outcome == Outcome::Pass), "{of_loss:#?}");
}
