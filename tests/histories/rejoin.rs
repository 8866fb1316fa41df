//! Nodes that do not come back, or of which that is not certain.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Bound, NodeState, Role},
    },
};

use super::{
    course::{Course, number, run},
    edits::{assert_fails, assert_unproven, clean, silence, with, with_another_fault, with_states, without},
    finding, value, verdict_of,
};

#[test]
fn a_node_that_does_not_come_back_fails() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node1"
            && event.at_us > 2_200_000
        {
            (state.reachable, state.role, state.timeline, state.streaming_from) = (false, None, None, None);
        }
    }
    assert_fails(&verdict_of(&events), "rejoin");
}

#[test]
fn a_node_that_was_not_seen_in_the_end_is_inconclusive() {
    let mut events = clean();
    events.retain(|event| {
        event.at_us < 200_000 || !matches!(&event.what, Occurrence::NodeState(state) if state.node == "node3")
    });
    assert_unproven(&verdict_of(&number(events)), "rejoin");
}

#[test]
fn a_standby_on_the_old_timeline_has_not_rejoined() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node3"
        {
            state.timeline = Some(1);
        }
    }
    let verdict = verdict_of(&events);
    assert_fails(&verdict, "rejoin");
    assert!(finding(&verdict, "rejoin").summary.contains("node3 streams, but is on timeline 1"));
}

fn outcome(events: &[Event]) -> Outcome {
    finding(&verdict_of(events), "rejoin").outcome
}

/// A look just before the ledgers were read, at 5500 ms.
fn last_look(node: &str) -> Vec<Event> {
    let state = Occurrence::NodeState(NodeState {
        node: node.to_owned(),
        reachable: false,
        role: None,
        timeline: None,
        lsn: None,
        streaming_from: None,
        standbys: Default::default(),
        asked_us: None,
    });
    with(clean(), 5490, state)
}

/// J1 and J2: the node's ledger was read at that moment.
#[test]
fn one_look_that_timed_out_at_the_end_is_no_failure() {
    for node in ["node2", "node3"] {
        assert_eq!(outcome(&last_look(node)), Outcome::Inconclusive, "{node}");
    }
    // Taken again, it decides.
    let last =
        |what: &Occurrence| matches!(what, Occurrence::NodeState(state) if state.node == "node3").then(|| what.clone());
    let again = clean().iter().filter_map(|event| last(&event.what)).next_back().unwrap();
    assert_eq!(outcome(&with(last_look("node3"), 5600, again)), Outcome::Pass);
}

#[test]
fn a_node_that_neither_its_observer_nor_the_reader_of_its_ledger_reached_is_missing() {
    let unread = |what: &Occurrence| matches!(what, Occurrence::LedgerRead { node, .. } if node == "node3");
    let reason = "no answer".to_owned();
    let events =
        with(without(last_look("node3"), unread), 5500, Occurrence::LedgerUnread { node: "node3".to_owned(), reason });
    assert_eq!(outcome(&events), Outcome::Fail);
}

#[test]
fn a_starved_end_decides_nothing_and_a_long_absence_does() {
    let away = |from_us| with_states(clean(), "node3", (from_us, u64::MAX), |state| state.streaming_from = None);
    let late = |events| with(events, 5480, Occurrence::TimerLate { late_us: 900_000 });
    assert_eq!(outcome(&away(5_000_000)), Outcome::Fail);
    assert_eq!(outcome(&late(away(5_000_000))), Outcome::Inconclusive);
    assert_eq!(outcome(&late(away(1_000_000))), Outcome::Fail);
}

/// J4
#[test]
fn a_ledger_of_another_timeline_than_the_observer_saw_is_a_contradiction() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::LedgerRead { node, timeline, .. } = &mut event.what
            && node == "node2"
        {
            *timeline = 1;
        }
    }
    assert_eq!(outcome(&events), Outcome::Inconclusive);
}

/// RJ1: a standby that was cut off says that it streams until it notices, long after the fault has gone.
#[test]
fn a_stale_word_is_no_return() {
    let course = |most_ms| Course {
        stop_ms: 10_400,
        rejoined_ms: 10_300,
        expected: vec![("rejoin", "rejoin_ms", Bound::AtMost(most_ms))],
        ..Course::default()
    };
    let cut = |most_ms| {
        let events = with_states(run(&[course(most_ms)]), "node1", (0, 6_000_000), |state| {
            if state.role.is_none() || state.timeline == Some(2) {
                (state.reachable, state.timeline, state.lsn) = (true, Some(2), Some(1));
                state.role = Some(Role::Standby);
                state.streaming_from = Some("node2".to_owned());
            }
        });
        with_states(events, "node1", (6_000_000, 8_000_000), |state| state.streaming_from = None)
    };
    let own = |most_ms| {
        let verdict = verdict_of(&cut(most_ms));
        let own = finding(&verdict, "rejoin").clone();
        (own.outcome, value(&own, "rejoin_ms"))
    };
    // Gone at 5250 ms, and both ends say so from the look at 8010 ms on.
    assert_eq!(own(1000.0), (Outcome::Fail, 2760.0));
    assert_eq!(own(3000.0), (Outcome::Pass, 2760.0));
    // Between the looks at 7010 and 8010 ms nobody knows.
    assert_eq!(own(2500.0), (Outcome::Inconclusive, 2760.0));
}

#[test]
fn a_node_that_answers_with_errors_is_missing() {
    let broken = |state: &mut NodeState| {
        silence(state);
        state.reachable = true;
    };
    let verdict = verdict_of(&with_states(clean(), "node3", (3_000_000, u64::MAX), broken));
    let own = finding(&verdict, "rejoin");
    assert_eq!(own.outcome, Outcome::Fail);
    assert!(own.summary.contains("node3 answers with errors"), "{}", own.summary);
}

#[test]
fn a_node_is_not_excused_by_a_fault_that_was_gone() {
    let events = without(clean(), |what| matches!(what, Occurrence::FaultHealing { .. }));
    let verdict = verdict_of(&with_states(events, "node1", (2_200_000, u64::MAX), silence));
    assert_eq!(finding(&verdict, "rejoin").outcome, Outcome::Fail);
}

#[test]
fn a_primary_is_one_though_a_fault_is_still_on_its_host() {
    let mut events = with_another_fault(clean(), 1300, 1305);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what
            && injecting.fault == 2
        {
            (injecting.name, injecting.hosts) = ("link_latency".to_owned(), vec!["node2".to_owned()]);
            injecting.services.clear();
        }
    }
    assert_eq!(outcome(&events), Outcome::Pass);
}

#[test]
fn a_return_on_a_starved_machine_misses_no_bound() {
    let expected = vec![("rejoin", "rejoin_ms", Bound::AtMost(1000.0))];
    let events = run(&[Course { stop_ms: 10_400, rejoined_ms: 10_300, expected, ..Course::default() }]);
    let events = with_states(events, "node1", (5_250_000, 8_050_000), silence);
    assert_eq!(outcome(&events), Outcome::Fail);
    assert_eq!(outcome(&with(events, 7000, Occurrence::TimerLate { late_us: 3_000_000 })), Outcome::Inconclusive);
}
