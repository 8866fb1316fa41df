//! How a fault met the lease: reported where it was seen, and held against what the scenario asked for.

use std::collections::BTreeSet;

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Cell, Worst},
    },
};

use super::{
    course::{Course, run},
    edits::{assert_unproven, clean, with},
    finding, value, verdict_of,
};

const CHECK: &str = "faults_took_effect";

fn refreshed(cluster: Option<&str>) -> Occurrence {
    Occurrence::LeaseRefreshed { revision: 40, cluster: cluster.map(str::to_owned) }
}

/// The history with the lease refreshed at these times; the fault has taken effect at 2030 ms.
fn refreshed_at(events: Vec<Event>, times_ms: &[u64]) -> Vec<Event> {
    times_ms.iter().fold(events, |events, at_ms| with(events, *at_ms, refreshed(None)))
}

/// The history whose fault was to come in these circumstances.
fn at_worst(mut events: Vec<Event>, worst: &[Worst]) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.worst = worst.iter().copied().collect();
        }
    }
    events
}

fn taking_the_dcs_leader() -> Vec<Event> {
    run(&[Course { dcs_leader: "node1", ..Course::default() }])
}

#[test]
fn the_age_of_the_lease_is_that_since_the_last_refresh_before_the_fault() {
    let seen = verdict_of(&refreshed_at(clean(), &[700, 1700, 2900]));
    assert_eq!(seen.outcome, Outcome::Pass);
    assert_eq!(value(finding(&seen, CHECK), "lease_age_ms"), 330.0);
    let unseen = verdict_of(&clean());
    assert_eq!(unseen.outcome, Outcome::Pass, "older histories have no refreshes");
    assert_eq!(finding(&unseen, CHECK).value_of("lease_age_ms"), None);
}

#[test]
fn a_fault_that_was_to_come_just_after_a_refresh_came_within_a_second() {
    let worst = [Worst::JustAfterRefresh];
    let kept = verdict_of(&at_worst(refreshed_at(clean(), &[1920]), &worst));
    assert_eq!(kept.outcome, Outcome::Pass, "{:#?}", finding(&kept, CHECK));
    for late in [&[500][..], &[2100], &[]] {
        let missed = verdict_of(&at_worst(refreshed_at(clean(), late), &worst));
        assert_unproven(&missed, CHECK);
        assert!(finding(&missed, CHECK).summary.contains("was to come just after the lease was refreshed"), "{late:?}");
    }
    // Another cluster's lease is not meant.
    assert_unproven(&verdict_of(&at_worst(with(clean(), 1920, refreshed(Some("east"))), &worst)), CHECK);
}

#[test]
fn a_fault_that_was_to_take_the_dcs_leader_along_hit_it() {
    let worst = [Worst::TogetherWithDcsLeader];
    let missed = verdict_of(&at_worst(clean(), &worst));
    assert_unproven(&missed, CHECK);
    assert!(finding(&missed, CHECK).summary.ends_with("was to take the leader of the DCS with it, which was node3"));
    let taken = verdict_of(&at_worst(taking_the_dcs_leader(), &worst));
    assert!(!super::with_outcome(&taken, Outcome::Inconclusive).contains(&CHECK), "{:#?}", finding(&taken, CHECK));
}

#[test]
fn the_cell_of_a_trial_is_in_its_verdict_and_changes_nothing_of_it() {
    let cell = Cell { dcs_leader: Some("node3".to_owned()), phase_from: 0.25, phase_to: 0.5, phase: 0.3 };
    let drawn = verdict_of(&with(clean(), 300, Occurrence::CellDrawn(cell.clone())));
    let without = verdict_of(&clean());
    assert_eq!((&drawn.scenarios[0].cell, &without.scenarios[0].cell), (&Some(cell), &None));
    assert_eq!((drawn.outcome, drawn.claims), (without.outcome, without.claims));
}

/// The age of the lease at the fault is what was measured, whatever was drawn.
#[test]
fn a_fault_that_missed_its_cell_says_where_it_came() {
    let beside = |cell: (&str, f64, f64), refreshed_ms: &[u64]| {
        let (dcs_leader, phase_from, phase_to) = (Some(cell.0.to_owned()), cell.1, cell.2);
        let cell = Cell { dcs_leader, phase_from, phase_to, phase: phase_from };
        let events = with(refreshed_at(taking_the_dcs_leader(), refreshed_ms), 300, Occurrence::CellDrawn(cell));
        verdict_of(&events).scenarios.remove(0).beside_its_cell
    };
    // The loop takes a second, and the fault came 330 ms after the refresh.
    assert_eq!(beside(("node1", 0.25, 0.5), &[1700]), None);
    assert_eq!(beside(("node1", 0.36, 0.5), &[1700]), None);
    assert_eq!(beside(("node1", 0.5, 0.75), &[1700]).as_deref(), Some("it came after 33 % of the loop"));
    // A little behind the end of the loop, it is a little behind its begin.
    assert_eq!(beside(("node1", 0.75, 1.0), &[2000]), None);
    assert_eq!(beside(("node1", 0.0, 0.25), &[]).as_deref(), Some("nobody saw a refresh of the lease before it"));
    let other = beside(("node2", 0.25, 0.5), &[1700]);
    assert_eq!(other.as_deref(), Some("it came while the DCS was led by node1, not by node2"));
}

#[test]
fn both_circumstances_stand_in_the_history_and_none_in_older_ones() {
    let events = at_worst(clean(), &Worst::ALL);
    let injecting = events.iter().find(|event| matches!(event.what, Occurrence::FaultInjecting(_))).unwrap();
    let line = serde_json::to_string(injecting).unwrap();
    assert!(line.contains(r#""worst":["together_with_dcs_leader","just_after_refresh"]"#), "{line}");
    let older = line.replace(r#""worst":["together_with_dcs_leader","just_after_refresh"],"#, "");
    let read: Event = serde_json::from_str(&older).unwrap();
    assert!(matches!(read.what, Occurrence::FaultInjecting(injecting) if injecting.worst == BTreeSet::new()));
}
