//! Clusters that follow another one: from whom their nodes stream, and whose DCS names whom.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Bound, NodeState, Role, RunbookStep},
    },
};

use super::{
    course::number,
    edits::silence,
    standby_region::{Regions, STOP_MS, event, found, outcome},
    value,
};

const CASCADE: &str = "cascade";
const DETACHED: &str = "detached_standbys";
const NONE: Bound = Bound::Exactly(0.0);
const ISOLATION: &str = "dcs_isolation";
const FOREIGN: &str = "foreign_leaders";

/// Changes what the looks at a node show, from an instant on.
fn seen(mut events: Vec<Event>, node: &str, from_ms: u64, change: impl Fn(&mut NodeState)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == node
            && event.at_us >= from_ms * 1000
        {
            change(state);
        }
    }
    events
}

fn streams_from(source: Option<&str>) -> impl Fn(&mut NodeState) {
    move |state| state.streaming_from = source.map(str::to_owned)
}

/// west1 is gone for a while from 8 s, west2 streams from the other region from 12 s on, and the others from it.
fn another_leads() -> Vec<Event> {
    let events = seen(Regions::default().happen(), "west1", 8_000, |state| {
        (state.reachable, state.role, state.streaming_from) = (false, None, None);
    });
    let events = seen(events, "west2", 8_000, streams_from(None));
    let events = seen(events, "west2", 12_000, streams_from(Some("primary-leader.us-east-1")));
    let events = seen(events, "west3", 8_000, streams_from(None));
    let events = seen(events, "west3", 13_000, streams_from(Some("west2")));
    seen(events, "west1", 16_000, |state| {
        (state.reachable, state.role) = (true, Some(Role::Standby));
        state.streaming_from = Some("west2".to_owned());
    })
}

#[test]
fn standbys_that_stream_from_their_leader_pass() {
    let own = found(CASCADE, &Regions::default().happen(), &[(DETACHED, NONE)]);
    assert_eq!((own[0].outcome, value(&own[0], "standby_leader_changes")), (Outcome::Pass, 0.0), "{own:#?}");
}

#[test]
fn another_node_may_take_the_leaders_place_and_the_gap_is_known() {
    let own = found(CASCADE, &another_leads(), &[(DETACHED, NONE)]);
    assert_eq!((own[0].outcome, value(&own[0], "standby_leader_changes")), (Outcome::Pass, 1.0), "{own:#?}");
    // From the last look before 8 s to the one at 12 s.
    assert_eq!(value(&own[0], "standby_leader_gap_ms"), 4_250.0);
    let held = |most_ms| outcome(CASCADE, &another_leads(), "standby_leader_gap_ms", Bound::AtMost(most_ms));
    assert_eq!((held(4_250.0), held(4_000.0)), (Outcome::Pass, Outcome::Fail));
}

#[test]
fn a_standby_that_streams_from_nobody_or_past_its_leader_fails() {
    let alone = seen(Regions::default().happen(), "west3", 15_000, streams_from(None));
    let own = found(CASCADE, &alone, &[(DETACHED, NONE)]);
    assert_eq!((own[0].outcome, value(&own[0], DETACHED)), (Outcome::Fail, 1.0));
    assert!(own[0].summary.contains("west3 of west streamed from nobody"), "{}", own[0].summary);
    let past = seen(Regions::default().happen(), "west3", 15_000, streams_from(Some("east2")));
    let own = found(CASCADE, &past, &[]);
    assert_eq!((own[0].outcome, value(&own[0], DETACHED)), (Outcome::Fail, 1.0), "{own:#?}");
    // What was so for a while and is over is no failure.
    let over = seen(alone, "west3", 18_000, streams_from(Some("west1")));
    assert_eq!(outcome(CASCADE, &over, DETACHED, NONE), Outcome::Pass);
}

#[test]
fn what_nobody_looked_at_in_the_end_is_in_doubt() {
    let mut events = Regions::default().happen();
    events.retain(|event| {
        !matches!(&event.what, Occurrence::NodeState(state) if state.node == "west3" && event.at_us > 10_000_000)
    });
    assert_eq!(outcome(CASCADE, &events, DETACHED, NONE), Outcome::Inconclusive);
}

#[test]
fn a_cluster_that_was_promoted_has_no_cascade_to_judge() {
    let mut events = Regions::default().happen();
    let (cluster, evidence) = ("west".to_owned(), "told".to_owned());
    events.push(event(9_000, Occurrence::Runbook { step: RunbookStep::PromotionOrdered, cluster, evidence }));
    let events = number(events);
    assert!(found(CASCADE, &events, &[]).is_empty());
    assert_eq!(found(CASCADE, &events, &[(DETACHED, NONE)])[0].outcome, Outcome::Inconclusive);
}

fn key(cluster: &str, holder: &str, ms: u64) -> Event {
    event(
        ms,
        Occurrence::LeaderKey {
            member: format!("{cluster}1"),
            holder: Some(holder.to_owned()),
            revision: i64::try_from(ms).unwrap(),
            initial: ms < 1_000,
            cluster: Some(cluster.to_owned()),
        },
    )
}

fn with_keys(keys: &[(&str, &str, u64)]) -> Vec<Event> {
    let mut events = Regions::default().happen();
    events.extend(keys.iter().map(|(cluster, holder, ms)| key(cluster, holder, *ms)));
    number(events)
}

#[test]
fn each_cluster_has_its_own_nodes_as_leaders() {
    let own = [("east", "east1", 100), ("west", "west1", 100), ("east", "east2", 5_000)];
    assert_eq!(outcome(ISOLATION, &with_keys(&own), FOREIGN, NONE), Outcome::Pass);
    let found = found(ISOLATION, &with_keys(&own), &[]);
    assert!(found[0].summary.contains("2 clusters, all of one scope, had none but their own nodes"), "{found:#?}");
}

#[test]
fn a_key_that_a_node_of_another_cluster_holds_fails() {
    let own = [("east", "east1", 100), ("west", "west1", 100), ("west", "east2", STOP_MS - 1_000)];
    let found = found(ISOLATION, &with_keys(&own), &[(FOREIGN, NONE)]);
    assert_eq!((found[0].outcome, value(&found[0], FOREIGN)), (Outcome::Fail, 1.0));
    assert!(found[0].summary.contains("the leader key of west was held by east2"), "{}", found[0].summary);
}

#[test]
fn a_key_that_nobody_told_is_in_doubt() {
    assert_eq!(outcome(ISOLATION, &with_keys(&[("east", "east1", 100)]), FOREIGN, NONE), Outcome::Inconclusive);
}

#[test]
fn standbys_that_stream_from_each_other_and_from_nobody_else_fail() {
    let all = Regions::default().happen();
    let to_itself = seen(all.clone(), "west3", 15_000, streams_from(Some("west3")));
    let own = found(CASCADE, &to_itself, &[(DETACHED, NONE)]);
    assert_eq!((own[0].outcome, value(&own[0], DETACHED)), (Outcome::Fail, 1.0), "{own:#?}");
    let circle = seen(all.clone(), "west2", 15_000, streams_from(Some("west3")));
    let circle = seen(circle, "west3", 15_000, streams_from(Some("west2")));
    let own = found(CASCADE, &circle, &[(DETACHED, NONE)]);
    assert_eq!((own[0].outcome, value(&own[0], DETACHED)), (Outcome::Fail, 2.0), "{own:#?}");
    assert!(own[0].summary.contains("west2, west3 of west streamed from themselves, in a circle"), "{own:#?}");
    // One behind the other is a cascade.
    let chain = seen(all, "west3", 15_000, streams_from(Some("west2")));
    assert_eq!(outcome(CASCADE, &chain, DETACHED, NONE), Outcome::Pass);
}

#[test]
fn a_look_that_got_no_answer_shows_nothing() {
    let one_look = seen(Regions::default().happen(), "west3", STOP_MS - 260, silence);
    assert_eq!(outcome(CASCADE, &one_look, DETACHED, NONE), Outcome::Pass);
    let longer = seen(Regions::default().happen(), "west3", STOP_MS - 6_000, silence);
    assert_eq!(outcome(CASCADE, &longer, DETACHED, NONE), Outcome::Inconclusive);
}

/// A member that was cut off reports what the others had passed over.
#[test]
fn a_foreign_leader_counts_however_late_it_is_reported() {
    let mut events = with_keys(&[("east", "east1", 100), ("west", "west1", 100), ("west", "west1", 8_000)]);
    let mut late = key("west", "east1", 9_000);
    if let Occurrence::LeaderKey { member, revision, .. } = &mut late.what {
        (*member, *revision) = ("west2".to_owned(), 5_000);
    }
    events.push(late);
    let found = found(ISOLATION, &number(events), &[(FOREIGN, NONE)]);
    assert_eq!((found[0].outcome, value(&found[0], FOREIGN)), (Outcome::Fail, 1.0), "{found:#?}");
}

#[test]
fn what_no_member_of_a_cluster_s_own_dcs_reported_is_in_doubt() {
    let mut events = with_keys(&[("east", "east1", 100)]);
    let mut strange = key("west", "west1", 200);
    if let Occurrence::LeaderKey { member, .. } = &mut strange.what {
        *member = "east2".to_owned();
    }
    events.push(strange);
    assert_eq!(outcome(ISOLATION, &number(events), FOREIGN, NONE), Outcome::Inconclusive);
}
