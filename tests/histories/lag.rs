//! How far behind standbys, and a region that follows, are.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{Bound, FaultInjecting, Milestone, NodeState, Role},
    },
};

use super::{
    course::number,
    edits::is_milestone,
    standby_region::{Regions, STOP_MS, and, event, fault, found, outcome},
    value,
};

const NAME: &str = "replication_lag";

fn region_at_most(events: &[Event], most_ms: f64) -> Outcome {
    outcome(NAME, events, "region_lag_max_ms", Bound::AtMost(most_ms))
}

/// The finding on one hop.
fn of_hop(events: &[Event], measure: &str) -> Finding {
    let own = found(NAME, events, &[]);
    own.into_iter().find(|own| own.value_of(measure).is_some()).unwrap_or_else(|| panic!("no {measure}"))
}

/// Of a look at 200 ms ago: the last write that was replayed began 200 ms before the answer, the first that was not was
/// acknowledged 14 ms later, and the node was asked 2 ms before it answered.
#[test]
fn a_lag_lies_between_its_bounds_and_a_bound_between_is_not_decided() {
    let events = Regions::default().happen();
    assert_eq!(region_at_most(&events, 200.0), Outcome::Pass);
    assert_eq!(region_at_most(&events, 183.0), Outcome::Fail);
    assert_eq!(region_at_most(&events, 190.0), Outcome::Inconclusive);
    let own = of_hop(&events, "region_lag_p95_ms");
    assert_eq!((value(&own, "region_lag_median_ms"), value(&own, "region_lag_p95_ms")), (184.0, 184.0));
    assert_eq!(value(&own, "lag_resolution_ms"), 16.0);
    assert_eq!(value(&own, "region_lag_before_fault_p95_resolution_ms"), 16.0);
    // The primary had written as much since: at least to the last write that was acknowledged.
    let behind = |measure| value(&own, measure);
    assert_eq!(behind("region_lag_max_bytes"), 19_000.0);
    assert!(own.summary.contains("leaders of clusters that follow lagged 184 ms (median)"), "{}", own.summary);
}

#[test]
fn the_range_of_a_document_is_kept_within_it_alone() {
    let range = |lag_ms| {
        let events = Regions { lag_ms, ..Regions::default() }.happen();
        outcome(NAME, &events, "region_lag_before_fault_p95_ms", Bound::Between(100.0, 500.0))
    };
    assert_eq!(range(|_, _| Some(200)), Outcome::Pass);
    assert_eq!(range(|_, _| Some(40)), Outcome::Fail);
    assert_eq!(range(|_, _| Some(600)), Outcome::Fail);
    assert_eq!(range(|_, _| Some(110)), Outcome::Inconclusive);
}

#[test]
fn each_hop_has_its_own_figures() {
    let behind = |node: &str, _| {
        Some(match node {
            "west1" => 100,
            "west2" | "west3" => 150,
            _ => 10,
        })
    };
    let events = Regions { lag_ms: behind, ..Regions::default() }.happen();
    let of = |hop: &str| value(&of_hop(&events, &format!("{hop}_lag_max_ms")), &format!("{hop}_lag_max_ms"));
    assert_eq!((of("standby"), of("region"), of("cascade")), (0.0, 84.0, 134.0));
}

#[test]
fn what_was_before_the_first_fault_is_told_apart() {
    let worse = |_: &str, ms| Some(if ms < 10_000 { 200 } else { 1200 });
    let events = and(Regions { lag_ms: worse, ..Regions::default() }.happen(), 9_900, fault());
    let own = of_hop(&events, "region_lag_max_ms");
    let values = ["region_lag_max_ms", "region_lag_before_fault_max_ms", "region_lag_at_fault_ms"];
    assert_eq!(values.map(|measure| value(&own, measure)), [1184.0, 184.0, 184.0]);
    // What was seen long before the fault is not the lag at the fault.
    let blind = |_: &str, ms| (!(7_000..10_000).contains(&ms)).then_some(200);
    let events = and(Regions { lag_ms: blind, ..Regions::default() }.happen(), 9_900, fault());
    assert_eq!(of_hop(&events, "region_lag_max_ms").value_of("region_lag_at_fault_ms"), None);
}

#[test]
fn a_standby_does_not_lag_while_nobody_writes() {
    let events = Regions { idle_ms: (8_000, 14_000), ..Regions::default() }.happen();
    let own = of_hop(&events, "region_lag_max_ms");
    assert_eq!(value(&own, "region_lag_max_ms"), 184.0);
}

/// The region stays at the end of timeline 1 for two seconds after the new primary's first write.
#[test]
fn a_region_that_has_not_followed_to_a_new_timeline_lags_by_what_was_written_there() {
    let stuck = |node: &str, ms: u64| match node {
        "west1" if (8_000..12_000).contains(&ms) => Some(ms - 7_995),
        _ => Some(10),
    };
    let regions = Regions { idle_ms: (7_990, 10_000), failover_ms: Some(7_992), lag_ms: stuck, ..Regions::default() };
    let own = of_hop(&regions.happen(), "region_lag_max_ms");
    // Seen at 11750; the first write of timeline 2 began at 10000 and was acknowledged at 10004.
    assert_eq!(value(&own, "region_lag_max_ms"), 1744.0);
    assert_eq!(region_at_most(&regions.happen(), 1750.0), Outcome::Pass);
    assert_eq!(region_at_most(&regions.happen(), 1749.0), Outcome::Inconclusive);
}

/// A standby that is stuck where nobody wrote for a while is no better known than to that while; it does not drop out.
#[test]
fn a_region_that_is_stuck_from_a_pause_on_to_the_end_is_not_left_out() {
    let stuck = |node: &str, ms: u64| match node {
        "west1" if ms >= 8_000 => Some(ms - 7_995),
        _ => Some(10),
    };
    let regions = || Regions { idle_ms: (7_990, 10_000), lag_ms: stuck, ..Regions::default() };
    // Seen at 19750; the first write that it lacks was acknowledged at 10004.
    let own = of_hop(&regions().happen(), "region_lag_max_ms");
    assert_eq!(value(&own, "region_lag_max_ms"), 9_744.0);
    assert_eq!(region_at_most(&regions().happen(), 9_700.0), Outcome::Fail);
    // With the primary's own position the pause is known to the time between two looks at it.
    assert_eq!(region_at_most(&regions().happen(), 12_100.0), Outcome::Pass);
}

#[test]
fn what_the_primary_had_committed_before_a_look_is_there_once_its_place_is_replayed() {
    // Nobody writes for two seconds, and the WAL stays where it is.
    let paused = |ms: u64| if (8_000..10_000).contains(&ms) { 8_000 } else { ms };
    let mut events = Regions { idle_ms: (8_000, 10_000), lag_ms: |_, _| Some(0), ..Regions::default() }.happen();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what {
            state.lsn = Some(super::course::lsn(paused(event.at_us / 1000)));
        }
    }
    // Every look counts, also those in the pause: what lacks nothing that the primary had lags by a look at most.
    assert_eq!(region_at_most(&events, 255.0), Outcome::Pass);
    // A standby of an older timeline has nothing of the later one, however late the old primary's word was.
    let stale = NodeStateOf { node: "east1", ms: 13_000, lsn_ms: 7_900 }.happens();
    let regions = Regions {
        idle_ms: (7_990, 10_000),
        failover_ms: Some(7_992),
        lag_ms: |node, ms| if node == "west1" && ms >= 8_000 { Some(ms - 7_990) } else { Some(10) },
        ..Regions::default()
    };
    let events = number(regions.happen().into_iter().chain([stale]).collect());
    assert_eq!(region_at_most(&events, 9_000.0), Outcome::Fail);
}

struct NodeStateOf {
    node: &'static str,
    ms: u64,
    lsn_ms: u64,
}

impl NodeStateOf {
    /// It says that it is the primary of timeline 1.
    fn happens(self) -> Event {
        event(
            self.ms,
            Occurrence::NodeState(NodeState {
                node: self.node.to_owned(),
                reachable: true,
                role: Some(Role::Primary),
                timeline: Some(1),
                lsn: Some(super::course::lsn(self.lsn_ms)),
                streaming_from: None,
                standbys: BTreeMap::new(),
                asked_us: Some((self.ms - 2) * 1000),
            }),
        )
    }
}

/// A lineage of its own knows no other's timelines.
#[test]
fn another_lineages_timelines_leave_the_lag_by_an_archive_alone() {
    let mut events = Regions { lag_ms: |_, _| Some(10), ..Regions::default() }.happen();
    let before = region_at_most(&events, 100.0);
    let switch =
        Occurrence::TimelineSwitch { node: "elsewhere".to_owned(), parent: 1, timeline: 2, switch_lsn: u64::MAX };
    events = and(events, 5_000, switch);
    assert_eq!((before, region_at_most(&events, 100.0)), (Outcome::Pass, Outcome::Pass));
}

#[test]
fn a_standby_that_is_not_seen_any_more_leaves_its_lag_in_doubt() {
    let gone = |node: &str, ms: u64| (node != "west1" || ms < 8_000).then_some(10);
    let events = Regions { lag_ms: gone, ..Regions::default() }.happen();
    let asked = |events: &[Event], measure: &str| {
        let own = found(NAME, events, &[(measure, Bound::AtMost(100.0))]);
        own.into_iter().find(|own| own.target.is_some()).expect("an expectation that is held")
    };
    let own = asked(&events, "region_lag_max_ms");
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own.summary.contains("west1 was not seen for 12.2 s, and no fault had touched it"), "{}", own.summary);
    // A standby of which it is known says nothing of it.
    assert_eq!(asked(&events, "standby_lag_max_ms").outcome, Outcome::Pass);
    // A fault is why: the first one here hits east1, the second the region's leader.
    let struck = and(events.clone(), 7_900, fault());
    assert_eq!(asked(&struck, "region_lag_max_ms").outcome, Outcome::Inconclusive);
    assert_eq!(asked(&struck, "region_lag_before_fault_max_ms").outcome, Outcome::Pass);
    let Occurrence::FaultInjecting(own) = fault() else { unreachable!() };
    let hit = FaultInjecting { hosts: vec!["west1".to_owned()], ..own };
    let struck = and(events, 7_900, Occurrence::FaultInjecting(hit));
    assert_eq!(asked(&struck, "region_lag_max_ms").outcome, Outcome::Pass);
}

#[test]
fn writes_that_were_lost_are_nobodys_lag() {
    let mut events = Regions { lag_ms: |_, _| Some(10), ..Regions::default() }.happen();
    let lagging = region_at_most(&events, 100.0);
    for event in &mut events {
        match &mut event.what {
            // Nobody has what was written from 15 s on, and nobody replayed it.
            Occurrence::LedgerRead { found, .. } => found.retain(|range| range.from <= 1450),
            Occurrence::NodeState(state) if event.at_us > 15_000_000 => {
                state.lsn = Some(super::course::lsn(15_000));
            }
            _ => {}
        }
    }
    assert_eq!((lagging, region_at_most(&events, 100.0)), (Outcome::Pass, Outcome::Pass));
}

#[test]
fn too_few_looks_or_no_ledger_prove_nothing() {
    let few = |_: &str, ms| (ms % 1_000 == 0).then_some(200);
    let events = Regions { lag_ms: few, ..Regions::default() }.happen();
    assert_eq!(region_at_most(&events, 1_000.0), Outcome::Inconclusive);
    // Both standbys together have enough.
    assert_eq!(outcome(NAME, &events, "standby_lag_max_ms", Bound::AtMost(1_000.0)), Outcome::Pass);
    let mut unread = Regions::default().happen();
    unread.retain(|event| !matches!(event.what, Occurrence::LedgerRead { .. }));
    assert_eq!(region_at_most(&unread, 1_000.0), Outcome::Inconclusive);
    assert_eq!(found(NAME, &unread, &[]), []);
    let mut unsteady = Regions::default().happen();
    unsteady.retain(|event| !is_milestone(&event.what, Milestone::SteadyState));
    assert_eq!(region_at_most(&unsteady, 1_000.0), Outcome::Inconclusive);
}

#[test]
fn a_look_that_does_not_say_when_it_began_may_be_two_seconds_old() {
    let mut events = Regions { lag_ms: |_, _| Some(2_500), ..Regions::default() }.happen();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what {
            state.asked_us = None;
        }
    }
    assert_eq!(region_at_most(&events, 400.0), Outcome::Fail);
    assert_eq!(region_at_most(&events, 2_000.0), Outcome::Inconclusive);
    assert_eq!(region_at_most(&events, 2_500.0), Outcome::Pass);
}

#[test]
fn a_starved_machine_misses_no_bound() {
    let late = event(STOP_MS - 100, Occurrence::TimerLate { late_us: 900_000 });
    let events: Vec<Event> = Regions::default().happen().into_iter().chain([late]).collect();
    assert_eq!(region_at_most(&events, 100.0), Outcome::Inconclusive);
}
