//! A region whose streaming breaks, and the archive that is to take over.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{ArchiveObject, NodeState},
    },
    plan::Plan,
    topology::load,
};

use super::{
    standby_region::{Regions, WEST, and},
    value,
};

const MISSED: &str = "fallbacks_missed";
/// When streaming breaks, and when it is there again.
const BROKEN_MS: (u64, u64) = (2_000, 18_000);

fn judged(events: &[Event]) -> Vec<Finding> {
    let plan = Plan::new(load("two-region-hybrid", &[]).expect("a built-in topology"));
    (find("archive_fallback").expect("the check").judge)(&Evidence::new(&plan, None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

/// Nobody in the west streams between two instants.
fn broken(mut events: Vec<Event>, (from_ms, until_ms): (u64, u64)) -> Vec<Event> {
    for event in &mut events {
        let at_us = event.at_us;
        if let Occurrence::NodeState(NodeState { node, streaming_from, .. }) = &mut event.what
            && WEST.contains(&node.as_str())
            && (from_ms * 1000..until_ms * 1000).contains(&at_us)
        {
            *streaming_from = None;
        }
    }
    events
}

/// A file comes into the archive that the west reads.
fn with_a_file(events: Vec<Event>, at_ms: u64) -> Vec<Event> {
    let key = "archive/main/17-1/0000000100000000/000000010000000000000003-9f2f.lz4".to_owned();
    let (cluster, version, tag) = ("west".to_owned(), "v1".to_owned(), "tag".to_owned());
    let object = ArchiveObject { cluster, key, version, tag, bytes: 9, is_deletion: false };
    and(events, at_ms, Occurrence::ArchiveObject(object))
}

/// How far behind a node of the west is that stands still from the break on, until the archive has it go on.
fn still(taken_ms: u64, node: &str, ms: u64) -> Option<u64> {
    let stands = node.starts_with("west") && (BROKEN_MS.0..BROKEN_MS.1.min(taken_ms)).contains(&ms);
    Some(if stands { ms - BROKEN_MS.0 + 200 } else { 200 })
}

fn stood_still() -> Vec<Event> {
    Regions { lag_ms: |node, ms| still(u64::MAX, node, ms), ..Regions::default() }.happen()
}

#[test]
fn an_archive_that_takes_over_passes_and_the_standstill_is_known() {
    let taken = Regions { lag_ms: |node, ms| still(9_000, node, ms), ..Regions::default() }.happen();
    let found = one(&with_a_file(broken(taken, BROKEN_MS), 3_000));
    assert_eq!((found.outcome, value(&found, MISSED)), (Outcome::Pass, 0.0), "{found:#?}");
    assert_eq!(value(&found, "streaming_breaks"), 1.0);
    // From the first look of the break, which shows where it stands, to the one at 9 s.
    let standstill_ms = value(&found, "archive_standstill_ms");
    assert!((6_900.0..7_300.0).contains(&standstill_ms), "{standstill_ms}");
}

#[test]
fn what_the_archive_brings_is_late_by_a_lag_of_its_own() {
    // Streaming breaks at 2 s; from 5 s on the west goes on, 3 s behind.
    let lag_ms = |node: &str, ms: u64| {
        let stands = node.starts_with("west") && (2_000..5_000).contains(&ms);
        let shipped = node.starts_with("west") && (5_000..18_000).contains(&ms);
        Some(if stands {
            ms - 1_800
        } else if shipped {
            3_000
        } else {
            200
        })
    };
    let events = broken(Regions { lag_ms, ..Regions::default() }.happen(), BROKEN_MS);
    let plan = Plan::new(load("two-region-hybrid", &[]).expect("a built-in topology"));
    let own = (find("replication_lag").expect("the check").judge)(&Evidence::new(&plan, None, &events));
    let shipping = own.iter().find(|found| found.value_of("shipping_lag_p95_ms").is_some()).expect("a lag by shipping");
    // The least: the oldest write that is missing was acknowledged a few milliseconds after its place was written.
    let lag_ms = value(shipping, "shipping_lag_p95_ms");
    assert!((2_970.0..=3_000.0).contains(&lag_ms), "{lag_ms}");
    let streamed = own.iter().find(|found| found.value_of("region_lag_max_ms").is_some()).expect("a lag by streaming");
    assert!(value(streamed, "region_lag_max_ms") < 3_300.0, "what stood still belongs to streaming: {streamed:#?}");
}

#[test]
fn one_that_has_a_file_and_is_not_read_fails() {
    let found = one(&with_a_file(broken(stood_still(), BROKEN_MS), 3_000));
    assert_eq!((found.outcome, value(&found, MISSED)), (Outcome::Fail, 1.0), "{found:#?}");
}

#[test]
fn streaming_that_does_not_come_back_fails() {
    let found = one(&with_a_file(broken(Regions::default().happen(), (BROKEN_MS.0, u64::MAX / 1000)), 3_000));
    assert_eq!((found.outcome, value(&found, MISSED)), (Outcome::Fail, 1.0), "{found:#?}");
    assert!(found.summary.contains("nobody streamed to the end"), "{}", found.summary);
}

#[test]
fn where_nothing_came_into_the_archive_nothing_is_proven() {
    for late in [broken(stood_still(), BROKEN_MS), with_a_file(broken(stood_still(), BROKEN_MS), 10_000)] {
        let found = one(&late);
        assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    }
}

#[test]
fn streaming_that_did_not_break_is_nothing_to_judge() {
    assert!(judged(&Regions::default().happen()).is_empty());
    // A receiver that starts anew is away for less.
    assert!(judged(&broken(Regions::default().happen(), (6_000, 9_000))).is_empty());
}
