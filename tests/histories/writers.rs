//! Two writers, controls that must be caught, and nodes that do not come back: histories that are made on the spot.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, ClientKind, Operation, SequenceRange},
    },
};

use super::{
    course::{Course, number, run},
    edits::{assert_fails, assert_unproven, clean, is_attempt, with, with_ledgers, without},
    finding, value, verdict_of,
};

#[test]
fn a_quick_handover_is_no_overlap() {
    let course = Course { key: Some((2001, 2002)), direct_ms: 2003, up_ms: 2010, ..Course::default() };
    let verdict = verdict_of(&run(&[course]));
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Pass, "{:#?}", finding(&verdict, "single_writer"));
}

#[test]
fn a_node_that_nobody_probed_may_have_been_a_hidden_writer() {
    let direct = |what: &Occurrence| matches!(what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh && attempt.endpoint == "node3");
    assert_unproven(&verdict_of(&without(clean(), direct)), "single_writer");
}

/// A write of node1 on its old timeline, from a session that was held.
fn late_write(started_ms: u64, ended_ms: u64) -> impl Fn(Vec<Event>) -> Vec<Event> {
    move |events| {
        let attempt = Attempt {
            client_kind: ClientKind::Held,
            endpoint: "node1".to_owned(),
            operation: Operation::Write,
            client: 99,
            sequence: 1,
            started_us: (100 + started_ms) * 1000,
            outcome: AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 },
        };
        let kept = SequenceRange { client: 99, from: 1, to: 1 };
        with_ledgers(with(events, ended_ms, Occurrence::Attempt(attempt)), |_, found| found.push(kept))
    }
}

#[test]
fn an_acknowledgement_that_hung_across_the_takeover_decides_nothing() {
    // node1 got the write before the takeover and acknowledged it after: committed before, or beside the new primary?
    let frozen = |what: &Occurrence| {
        is_attempt(what, |attempt| attempt.endpoint == "node1" && (2_000_000..3_800_000).contains(&attempt.started_us))
    };
    let verdict = verdict_of(&late_write(2050, 3650)(without(clean(), frozen)));
    let writers = finding(&verdict, "single_writer");
    assert_eq!((writers.outcome, value(writers, "overlap_ms")), (Outcome::Inconclusive, 0.0), "{writers:#?}");
    assert!(
        value(writers, "possible_overlap_ms") > 600.0 && writers.summary.contains("may have"),
        "{}",
        writers.summary
    );
}

#[test]
fn a_write_on_a_superseded_timeline_fails_though_the_nodes_took_turns() {
    // node2 is silent while node1, which was written off, wakes for one write.
    let by_node2 =
        |attempt: &Attempt| matches!(&attempt.outcome, AttemptOutcome::Acknowledged { node, .. } if node == "node2");
    let silent = |what: &Occurrence| is_attempt(what, |attempt| attempt.started_us > 3_350_000 && by_node2(attempt));
    let verdict = verdict_of(&late_write(4000, 4007)(without(clean(), silent)));
    let writers = finding(&verdict, "single_writer");
    assert_eq!((writers.outcome, value(writers, "superseded_writes")), (Outcome::Fail, 1.0), "{writers:#?}");
    assert_eq!(value(writers, "overlap_ms"), 7.0);
    assert!(writers.summary.contains("took turns"), "{}", writers.summary);
}

#[test]
fn a_control_that_is_not_caught_fails() {
    let verdict = verdict_of(&run(&[Course { control: Some("single_writer"), ..Course::default() }]));
    assert_eq!((verdict.outcome, verdict.scenarios[0].worst_finding), (Outcome::Fail, Outcome::Pass));
    assert!(!verdict.scenarios[0].control.as_ref().unwrap().caught);
}

// ---- rejoin

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
