//! How far behind standbys, and a region that follows, are.

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{Bound, Milestone},
    },
};

use super::{
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
    let few = |_: &str, ms| (ms < 5_000).then_some(200);
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
