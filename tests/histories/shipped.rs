//! A region to which nobody streams: it takes its WAL from its archive alone.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{ArchiveDue, NodeState},
    },
    plan::Plan,
    topology::load,
};

use super::{
    course::lsn,
    standby_region::{Regions, STOP_MS, and, event},
    value,
};

fn plan() -> Plan {
    Plan::new(load("two-region-shipping", &[]).expect("a built-in topology"))
}

/// What a check finds of these events in the part that has this cluster.
fn judged(check: &str, events: &[Event]) -> Vec<Finding> {
    (find(check).expect("the check").judge)(&Evidence::new(&plan(), None, events))
}

fn of_west(check: &str, events: &[Event]) -> Finding {
    let whole = plan();
    let part = whole.part(&[whole.cluster("west").expect("a cluster")]);
    let mut own = (find(check).expect("the check").judge)(&Evidence::new(&whole, None, events).narrowed_to(&part));
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

/// The leader of the west streams from nobody, and names no timeline.
fn shipped(regions: Regions) -> Vec<Event> {
    let mut events = regions.happen();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "west1"
        {
            (state.streaming_from, state.timeline) = (None, None);
        }
    }
    let held_by = |cluster: &str, holder: &str| Occurrence::LeaderKey {
        member: holder.to_owned(),
        holder: Some(holder.to_owned()),
        revision: 1,
        initial: true,
        cluster: Some(cluster.to_owned()),
    };
    events.push(event(5, held_by("east", "east1")));
    events.push(event(5, held_by("west", "west1")));
    super::course::number(events)
}

fn behind(lag_ms: fn(&str, u64) -> Option<u64>) -> Vec<Event> {
    shipped(Regions { lag_ms, ..Regions::default() })
}

/// What the primary was ordered to archive in the end.
fn due(ms: u64) -> Occurrence {
    let (cluster, node) = ("east".to_owned(), "east1".to_owned());
    Occurrence::ArchiveDue(ArchiveDue { cluster, node, timeline: 1, lsn: lsn(ms) })
}

#[test]
fn its_lag_is_that_of_shipping() {
    let events = behind(|node, _| Some(if node.starts_with("west") { 3_000 } else { 200 }));
    let own = judged("replication_lag", &events);
    let lag = own.iter().find(|found| found.value_of("shipping_lag_p95_ms").is_some()).expect("a lag by shipping");
    let p95_ms = value(lag, "shipping_lag_p95_ms");
    assert!((2_970.0..=3_000.0).contains(&p95_ms), "{p95_ms}");
    assert!(own.iter().all(|found| found.value_of("region_lag_max_ms").is_none()), "nobody streams to it: {own:#?}");
}

/// Where not even the first write has arrived, all of them are missing.
#[test]
fn one_that_gets_nothing_lags_by_all_that_was_written() {
    let events = behind(|node, ms| Some(if node == "west1" { ms } else { 200 }));
    let own = judged("replication_lag", &events);
    let lag = own.iter().find(|found| found.value_of("shipping_lag_p95_ms").is_some()).expect("a lag by shipping");
    // The first write began at 500 ms, and the last look was at 19,750 ms.
    let max_ms = value(lag, "shipping_lag_max_ms");
    assert!((19_240.0..=19_250.0).contains(&max_ms), "{max_ms}");
}

/// It says nowhere on which timeline it is, so where there are two of them it tells no lag.
#[test]
fn on_one_of_two_timelines_nothing_is_known() {
    let events = shipped(Regions { failover_ms: Some(8_000), ..Regions::default() });
    let own = judged("replication_lag", &events);
    assert!(own.iter().all(|found| found.value_of("shipping_lag_p95_ms").is_none()), "{own:#?}");
}

#[test]
fn its_leader_is_the_one_that_streams_from_nobody() {
    let found = of_west("cascade", &behind(|_, _| Some(200)));
    assert_eq!((found.outcome, value(&found, "detached_standbys")), (Outcome::Pass, 0.0), "{found:#?}");
    // Two of them are one too many: each asks the archive.
    let mut events = behind(|_, _| Some(200));
    for event in &mut events {
        if let Occurrence::NodeState(NodeState { node, streaming_from, .. }) = &mut event.what
            && node == "west2"
        {
            *streaming_from = None;
        }
    }
    let found = of_west("cascade", &events);
    assert_eq!((found.outcome, value(&found, "detached_standbys")), (Outcome::Fail, 1.0), "{found:#?}");
}

#[test]
fn it_is_in_its_place_with_all_that_was_archived() {
    let events = behind(|_, _| Some(200));
    // The last look at it, 250 ms before the end, shows what was written 200 ms before.
    let found = of_west("rejoin", &and(events.clone(), STOP_MS, due(STOP_MS - 450)));
    assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
    let found = of_west("rejoin", &and(events.clone(), STOP_MS, due(STOP_MS)));
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
    assert!(found.summary.contains("west1 has not replayed all that was archived"), "{}", found.summary);
    // A node that nobody looked at is neither here nor there.
    let unseen = behind(|node, _| (node != "west1").then_some(200));
    let found = of_west("rejoin", &and(unseen, STOP_MS, due(STOP_MS - 450)));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}
