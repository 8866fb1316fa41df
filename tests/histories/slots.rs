//! The slot by which a region follows another one.

use pgquake_judge::{
    checks::{Evidence, Outcome, find},
    history::{Event, Occurrence, event::Bound},
    plan::Plan,
    topology::load,
};

use super::{
    course::number,
    standby_region::{Regions, STOP_MS, and, event, found, held, ordered},
    value,
};

const NAME: &str = "slot";

fn judged(events: &[Event]) -> (Outcome, String) {
    let own = found(NAME, events, &[]);
    assert_eq!(own.len(), 1, "{own:#?}");
    (own[0].outcome, own[0].summary.clone())
}

fn failed_over() -> Vec<Event> {
    Regions { failover_ms: Some(8_000), ..Regions::default() }.happen()
}

/// From then on a node has no slot of the name.
fn without_slot(mut events: Vec<Event>, of: &str, from_us: u64) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::SlotState { node, slot, .. } = &event.what
            && node == of
            && event.at_us >= from_us
        {
            event.what = Occurrence::SlotAbsent { node: node.clone(), slot: slot.clone() };
        }
    }
    events
}

#[test]
fn a_slot_that_holds_passes_with_what_it_held() {
    let expected = [("slots_lost", Bound::Exactly(0.0)), ("slot_held_max_bytes", Bound::AtMost(5_000.0))];
    let own = found(NAME, &and(Regions::default().happen(), 9_500, held("east1", 4_900)), &expected);
    assert_eq!((own[0].outcome, own[1].outcome), (Outcome::Pass, Outcome::Pass), "{own:#?}");
    // What a standby keeps for it is not the primary's.
    assert_eq!(value(&own[0], "slot_held_max_bytes"), 4_900.0);
    let own = found(NAME, &and(Regions::default().happen(), 9_500, held("east1", 5_001)), &expected);
    assert_eq!((own[0].outcome, own[1].outcome), (Outcome::Pass, Outcome::Fail), "{own:#?}");
}

#[test]
fn a_slot_that_the_primary_lacks_or_has_lost_fails() {
    let (outcome, summary) = judged(&without_slot(Regions::default().happen(), "east1", 0));
    assert_eq!(outcome, Outcome::Fail);
    assert!(summary.contains("as primary, east1 did not have it"), "{summary}");
    let mut lost = Regions::default().happen();
    for event in &mut lost {
        if let Occurrence::SlotState { wal_status, held_bytes, .. } = &mut event.what
            && event.at_us > 15_000_000
        {
            (*wal_status, *held_bytes) = (Some("lost".to_owned()), None);
        }
    }
    let own = found(NAME, &lost, &[("slots_lost", Bound::Exactly(0.0))]);
    assert_eq!((own[0].outcome, value(&own[0], "slots_lost")), (Outcome::Fail, 1.0));
    assert!(!own[0].evidence.is_empty());
}

#[test]
fn a_slot_survives_a_failover_if_the_new_primary_has_it() {
    let (outcome, summary) = judged(&failed_over());
    assert_eq!(outcome, Outcome::Pass, "{summary}");
    assert!(summary.ends_with("on east1, then east2"), "{summary}");
    let (outcome, summary) = judged(&without_slot(failed_over(), "east2", 0));
    assert_eq!(outcome, Outcome::Fail);
    assert!(summary.contains("as primary, east2 did not have it"), "{summary}");
    // A standby need not have it.
    assert_eq!(judged(&without_slot(Regions::default().happen(), "east2", 0)).0, Outcome::Pass);
}

#[test]
fn what_nobody_looked_at_is_in_doubt() {
    for (of, pause_us) in [("east1", 9_000_000..15_500_000), ("east1", 0..u64::MAX)] {
        let mut events = Regions::default().happen();
        events.retain(|event| {
            let own = matches!(&event.what, Occurrence::SlotState { node, .. } if node == of);
            !(own && pause_us.contains(&event.at_us))
        });
        let (outcome, summary) = judged(&events);
        assert_eq!(outcome, Outcome::Inconclusive);
        assert!(summary.contains("it was not looked for on east1"), "{summary}");
    }
    let mut unseen = Regions::default().happen();
    unseen.retain(|event| !matches!(event.what, Occurrence::NodeState(_)));
    assert_eq!(judged(&unseen).0, Outcome::Inconclusive);
}

#[test]
fn before_slots_were_watched_nothing_is_said_of_them() {
    let mut events = Regions::default().happen();
    events.retain(|event| !matches!(event.what, Occurrence::SlotState { .. }));
    assert_eq!(found(NAME, &events, &[]), []);
    let asked = found(NAME, &events, &[("slots_lost", Bound::Exactly(0.0))]);
    assert_eq!((asked.len(), asked[0].outcome), (1, Outcome::Inconclusive));
}

#[test]
fn a_region_that_was_promoted_needs_no_slot_any_more() {
    let events = and(without_slot(Regions::default().happen(), "east1", 15_000_000), 14_500, ordered("west"));
    assert_eq!(judged(&events).0, Outcome::Pass);
}

/// In a chain the middle one has no primary: its standby leader keeps the WAL for the last one.
#[test]
fn the_standby_leader_of_the_middle_one_holds_the_slot_of_the_last() {
    let plan = Plan::new(load("three-region-cascade", &[]).unwrap());
    let judged = |events: &[Event]| {
        let own = (find(NAME).unwrap().judge)(&Evidence::new(&plan, None, events));
        let eu = own.into_iter().find(|finding| finding.summary.contains(" eu ")).unwrap();
        (eu.outcome, eu.summary)
    };
    let mut events = Regions::default().happen();
    for ms in (1_100..STOP_MS).step_by(1000) {
        events.push(event(ms, held("west1", 2048)));
    }
    let events = number(events);
    let (outcome, summary) = judged(&events);
    assert_eq!(outcome, Outcome::Pass, "{summary}");
    assert!(summary.ends_with("on west1"), "{summary}");
    let (outcome, summary) = judged(&without_slot(events, "west1", 0));
    assert_eq!(outcome, Outcome::Fail);
    assert!(summary.contains("west1 did not have it"), "{summary}");
}
