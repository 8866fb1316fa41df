//! Two writers, and controls that must be caught: histories that are made on the spot.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, ClientKind, Operation, Role, SequenceRange},
    },
};

use super::{
    course::{Course, lsn, run},
    edits::{
        assert_unproven, clean, is_attempt, primary, silence, with, with_another_fault, with_ledgers, without, write,
    },
    finding, value, verdict_of,
};

#[test]
fn a_quick_handover_is_no_overlap() {
    let course = Course { key: Some((2001, 2002)), direct_ms: 2003, up_ms: 2010, ..Course::default() };
    let verdict = verdict_of(&run(&[course]));
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Pass, "{:#?}", finding(&verdict, "single_writer"));
}

/// The watch tells of the key's end and of its new holder together, when that was promoted already and its WAL has grown.
#[test]
fn a_key_that_is_told_late_leaves_no_doubt_of_its_new_holder() {
    let course = Course { key: Some((2600, 2601)), direct_ms: 2003, up_ms: 2010, ..Course::default() };
    let seen = [(2100, 90), (2300, 91), (2500, 92)];
    let events = seen.into_iter().fold(run(&[course]), |all, (ms, at)| with(all, ms, primary("node2", 2, at)));
    let verdict = verdict_of(&events);
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Pass, "{:#?}", finding(&verdict, "single_writer"));
}

#[test]
fn a_node_that_nobody_probed_may_have_been_a_hidden_writer() {
    let away = |from_us: u64, to_us: u64| {
        let span = from_us..to_us;
        let mut events = clean();
        for event in &mut events {
            if let Occurrence::NodeState(state) = &mut event.what
                && state.node == "node3"
                && span.contains(&event.at_us)
            {
                silence(state);
            }
        }
        let direct = |what: &Occurrence| {
            is_attempt(what, |attempt| attempt.endpoint == "node3" && span.contains(&attempt.started_us))
        };
        verdict_of(&without(events, direct))
    };
    let verdict = away(2_500_000, 4_500_000);
    assert_unproven(&verdict, "single_writer");
    assert!(finding(&verdict, "single_writer").summary.contains("node3 showed nothing for 2."));
    // Its answers to the observer, once a second, are enough.
    assert_eq!(finding(&away(2_500_000, 3_000_000), "single_writer").outcome, Outcome::Pass);
}

/// A smart shutdown serves the sessions that it has; a fast one ends them first.
#[test]
fn a_node_that_shuts_down_is_watched_once_it_has_ended_the_session_that_was_held() {
    let span = 2_500_000..4_500_000;
    let judged_in = |mut events: Vec<Event>, last: Option<AttemptOutcome>| {
        for event in &mut events {
            match &mut event.what {
                Occurrence::NodeState(state) if state.node == "node3" && span.contains(&event.at_us) => silence(state),
                Occurrence::Attempt(own) if own.endpoint == "node3" && span.contains(&own.started_us) => {
                    let message = "failed to open a session: the database system is shutting down".to_owned();
                    own.outcome =
                        AttemptOutcome::Refused { sqlstate: Some("57P03".to_owned()), message, contact: None };
                }
                _ => {}
            }
        }
        let held = last.map(|outcome| {
            let (client_kind, operation) = (ClientKind::Held, Operation::Write);
            let (endpoint, started_us) = ("node3".to_owned(), 2_440_000);
            Attempt {
                client_kind,
                endpoint,
                operation,
                client: 99,
                sequence: 1,
                started_us,
                outcome,
                saw: None,
                led_to: None,
            }
        });
        let events = held.into_iter().fold(events, |events, held| with(events, 2350, Occurrence::Attempt(held)));
        finding(&verdict_of(&events), "single_writer").outcome
    };
    let judged = |last| judged_in(clean(), last);
    let unknown = |message: &str| Some(AttemptOutcome::Unknown { message: message.to_owned() });
    let ended = "terminating connection due to administrator command (57P01)";
    assert_eq!(judged(unknown(ended)), Outcome::Pass);
    assert_eq!(judged(unknown("connection closed")), Outcome::Pass);
    assert_eq!(judged(unknown("no answer came in time")), Outcome::Inconclusive);
    let code = Some("25006".to_owned());
    let message = "read-only transaction".to_owned();
    let served = AttemptOutcome::Refused { sqlstate: code, message, contact: None };
    assert_eq!(judged(Some(served)), Outcome::Inconclusive);
    assert_eq!(judged(None), Outcome::Inconclusive);
    // A fault that answers clients in the servers' place has ended it, and not the server.
    let mut forged = with_another_fault(clean(), 2250, 2280);
    for event in &mut forged {
        if let Occurrence::FaultInjecting(fault) = &mut event.what
            && fault.fault == 2
        {
            fault.parameters = [("by", "reject"), ("from", "the clients")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        }
    }
    assert_eq!(judged_in(forged, unknown("connection closed")), Outcome::Inconclusive);
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
            saw: None,
            led_to: None,
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
    // node1 never stopped being primary of timeline 1, so it was one all through the reign of node2.
    assert_eq!(value(writers, "overlap_ms"), 434.0 - 100.0);
    assert!(writers.summary.contains("already left behind"), "{}", writers.summary);
}

/// SW1: the old primary answers its observer, and no probe of it comes through.
#[test]
fn two_primaries_that_were_seen_are_no_pass() {
    let woken =
        [3500, 3700, 3900, 4100].into_iter().fold(clean(), |events, ms| with(events, ms, primary("node1", 1, ms)));
    let verdict = verdict_of(&woken);
    let writers = finding(&verdict, "single_writer");
    assert_eq!(writers.outcome, Outcome::Inconclusive, "{writers:#?}");
    assert!(writers.summary.contains("two primaries were seen"), "{}", writers.summary);
    assert!(value(writers, "two_primaries_ms") > 300.0 && value(writers, "overlap_ms") == 0.0);
    // A write that it acknowledged meanwhile is the proof.
    let wrote = verdict_of(&with(woken, 3810, write("node1", 1, 3800)));
    assert_eq!(finding(&wrote, "single_writer").outcome, Outcome::Fail);
    // Before the takeover it was the only one.
    let before = verdict_of(&with(clean(), 1900, primary("node1", 1, 1900)));
    assert_eq!(finding(&before, "single_writer").outcome, Outcome::Pass);
}

/// A primary whose WAL grows while another node holds the key, and was not yet promoted.
#[test]
fn a_primary_without_the_key_is_in_doubt() {
    let slow =
        Course { direct_ms: 5000, up_ms: 5200, heal_ms: 7400, rejoined_ms: 7600, stop_ms: 7700, ..Course::default() };
    let seen = |lsns: [u64; 2]| {
        let events = with(run(std::slice::from_ref(&slow)), 3900, primary("node1", 1, 1));
        let events =
            lsns.into_iter().zip([4200, 4700]).fold(events, |all, (lsn, ms)| with(all, ms, primary("node1", 1, lsn)));
        finding(&verdict_of(&events), "single_writer").summary.contains("another node held the leader key")
    };
    assert!(seen([10, 20]));
    assert!(!seen([10, 10]), "an idle one");
}

/// R3: without a new timeline node2 never stopped being primary.
#[test]
fn two_nodes_that_take_turns_on_one_timeline_fail_whatever_the_silence() {
    let away = |what: &Occurrence| {
        is_attempt(what, |attempt| {
            (3_300_000..5_000_000).contains(&attempt.started_us)
                && matches!(&attempt.outcome, AttemptOutcome::Acknowledged { node, .. } if node == "node2")
        })
    };
    let silent = without(clean(), away);
    let turns = [4000, 4100, 4200].into_iter().fold(silent, |events, ms| with(events, ms + 7, write("node3", 2, ms)));
    let verdict = verdict_of(&turns);
    let writers = finding(&verdict, "single_writer");
    assert_eq!((writers.outcome, value(writers, "overlap_ms")), (Outcome::Fail, 193.0), "{writers:#?}");
}

/// P0: direct attempts at node1 that get no session prove nothing of the one that is in flight.
#[test]
fn only_a_real_refusal_bounds_an_acknowledgement_that_came_late() {
    let outcome = |message: &str, sqlstate: Option<&str>| {
        let mut events = late_write(2050, 3650)(clean());
        for event in &mut events {
            if let Occurrence::Attempt(attempt) = &mut event.what
                && attempt.endpoint == "node1"
                && (2_100_000..5_300_000).contains(&attempt.started_us)
                && let AttemptOutcome::Refused { sqlstate: code, message: text, .. } = &mut attempt.outcome
            {
                (*code, *text) = (sqlstate.map(str::to_owned), message.to_owned());
            }
        }
        let verdict = verdict_of(&events);
        let writers = finding(&verdict, "single_writer");
        (writers.outcome, value(writers, "possible_overlap_ms") > 25.0)
    };
    assert_eq!(outcome("no session came in time", None), (Outcome::Inconclusive, true));
    assert_eq!(outcome("sorry, too many clients already", Some("53300")), (Outcome::Inconclusive, true));
    assert_eq!(outcome("failed to connect: Connection refused (os error 111)", None), (Outcome::Pass, false));
}

/// Q2: a node that is cut off lives on, and nobody sees what it does.
#[test]
fn only_a_fault_that_ends_or_holds_postgresql_explains_its_silence() {
    let outcome = |name: &str| {
        let mut events = clean();
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.name = name.to_owned();
            }
        }
        finding(&verdict_of(&events), "single_writer").outcome
    };
    for name in ["host_crash", "host_freeze", "service_kill", "container_pause"] {
        assert_eq!(outcome(name), Outcome::Pass, "{name}");
    }
    for name in ["network_disconnect", "partition", "process_freeze", "process_kill"] {
        assert_eq!(outcome(name), Outcome::Inconclusive, "{name}");
    }
}

/// X4: a plan and a history that don't belong together.
#[test]
fn a_node_that_the_plan_does_not_know_is_a_doubt() {
    let verdict = verdict_of(&with(
        clean(),
        1000,
        Occurrence::LedgerRead {
            node: "node9".to_owned(),
            timeline: 1,
            found: Vec::new(),
            counts: None,
            role: None,
            lsn: None,
        },
    ));
    let writers = finding(&verdict, "single_writer");
    assert_eq!(writers.outcome, Outcome::Inconclusive);
    assert!(writers.summary.contains("node9 answers and is not in the plan"), "{}", writers.summary);
}

#[test]
fn a_control_that_is_not_caught_fails() {
    let verdict = verdict_of(&run(&[Course { control: Some("single_writer"), ..Course::default() }]));
    assert_eq!((verdict.outcome, verdict.scenarios[0].worst_finding), (Outcome::Fail, Outcome::Pass));
    assert!(!verdict.scenarios[0].control.as_ref().unwrap().caught);
}

/// Every disk hangs for seconds while the primary dies: the standby takes no session, a statement that came before waits in
/// it, and is served once it is promoted.
#[test]
fn a_statement_that_waited_in_the_standby_is_bounded_by_what_else_shows_that_it_was_one() {
    let hung = |what: &Occurrence| match what {
        Occurrence::Attempt(own) => own.endpoint == "node2" && (900_000..4_400_000).contains(&own.started_us),
        Occurrence::NodeState(state) => state.node == "node2",
        _ => false,
    };
    let served = |events: Vec<Event>| {
        let attempt = Attempt {
            client_kind: ClientKind::Held,
            endpoint: "node2".to_owned(),
            operation: Operation::Write,
            client: 99,
            sequence: 1,
            started_us: 1_000_000,
            outcome: AttemptOutcome::Acknowledged { node: "node2".to_owned(), timeline: 2, lsn: lsn(4000) },
            saw: None,
            led_to: None,
        };
        let kept = SequenceRange { client: 99, from: 1, to: 1 };
        with_ledgers(with(events, 4400, Occurrence::Attempt(attempt)), |_, found| found.push(kept))
    };
    let possible_ms = |events: Vec<Event>| {
        let verdict = verdict_of(&events);
        let writers = finding(&verdict, "single_writer");
        assert_eq!(value(writers, "overlap_ms"), 0.0, "{writers:#?}");
        (value(writers, "possible_overlap_ms"), writers.summary.clone())
    };
    let events = || served(without(clean(), hung));
    let (ms, summary) = possible_ms(events());
    assert!(ms > 900.0 && summary.contains("may have"), "{ms} {summary}");
    // It was in recovery when it was to be promoted.
    let seen = |asked_ms: u64| Occurrence::StandbySeen { node: "node2".to_owned(), asked_us: (100 + asked_ms) * 1000 };
    assert_eq!(possible_ms(with(events(), 3000, seen(2900))).0, 0.0);
    // An answer to a question that hung as well shows when it was asked, and no more.
    assert!(possible_ms(with(events(), 3000, seen(1000))).0 > 900.0);
    // Nor does the answer of another node.
    let other = Occurrence::StandbySeen { node: "node3".to_owned(), asked_us: 3_000_000 };
    assert!(possible_ms(with(events(), 3000, other)).0 > 900.0);
    // What the observer saw shows it as well.
    let standby = |at_ms: u64| {
        let mut state = primary("node2", 1, lsn(at_ms));
        if let Occurrence::NodeState(state) = &mut state {
            (state.role, state.asked_us) = (Some(Role::Standby), Some((98 + at_ms) * 1000));
        }
        state
    };
    assert_eq!(possible_ms(with(events(), 2900, standby(2900))).0, 0.0);
}

/// An answer of the old primary that arrives late was on its way when nothing of it ran any more.
#[test]
fn what_a_dead_primary_acknowledged_it_committed_before_it_died() {
    let late = |started_ms: u64| {
        let nobody = |what: &Occurrence| {
            is_attempt(what, |own| own.endpoint == "node1" && (1_900_000..5_300_000).contains(&own.started_us))
        };
        let verdict = verdict_of(&late_write(started_ms, 3650)(without(clean(), nobody)));
        let writers = finding(&verdict, "single_writer");
        (writers.outcome, value(writers, "possible_overlap_ms"))
    };
    assert_eq!(late(1990), (Outcome::Pass, 0.0));
    // It began after the death: then it is no answer of the dead, and nothing bounds it.
    assert_eq!(late(2300).0, Outcome::Inconclusive);
}
