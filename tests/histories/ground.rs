//! The harness loses what it stands on: what was proven before stays, what broke with it is nobody's fault.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Bound, NodeState},
    },
    verdict::{ClaimState, RunVerdict},
};

use super::{
    course::{Course, number, run},
    edits::clean,
    finding, findings, verdict_of, with_outcome,
};

fn lost() -> Occurrence {
    Occurrence::GroundLost { reason: "the engine does not answer".to_owned() }
}

/// The ground is lost at this time of the scenario. Before it is noticed, and after, nothing answers.
fn with_ground_lost(mut events: Vec<Event>, at_ms: u64, noticed_ms: u64) -> Vec<Event> {
    let at_us = (100 + at_ms) * 1000;
    let refused = || pgquake_judge::history::event::AttemptOutcome::Refused {
        sqlstate: None,
        message: "no connection".to_owned(),
        contact: None,
    };
    for event in events.iter_mut().filter(|event| event.at_us >= at_us) {
        match &mut event.what {
            Occurrence::Attempt(attempt) => attempt.outcome = refused(),
            Occurrence::LedgerRead { node, .. } => {
                event.what = Occurrence::LedgerUnread { node: node.clone(), reason: "no answer".to_owned() };
            }
            Occurrence::NodeState(state) => {
                *state = NodeState {
                    node: state.node.clone(),
                    reachable: false,
                    role: None,
                    timeline: None,
                    lsn: None,
                    streaming_from: None,
                    standbys: Default::default(),
                    asked_us: None,
                };
            }
            _ => {}
        }
    }
    events.push(Event { seq: 0, at_us: (100 + noticed_ms) * 1000, scenario: 1, what: lost() });
    number(events)
}

fn assert_only_unproven(verdict: &RunVerdict) {
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{:#?}", verdict.scenarios[0].findings);
    assert_eq!(with_outcome(verdict, Outcome::Fail), [""; 0], "{:#?}", verdict.scenarios[0].findings);
    let told = findings(verdict, "ran_to_the_end");
    assert!(told.iter().any(|own| own.summary.contains("the engine does not answer")), "{told:#?}");
}

#[test]
fn the_loss_of_the_ground_fails_nothing_at_any_time() {
    let expected = vec![
        ("recovery_time", "write_outage_ms", Bound::AtMost(1500.0)),
        ("rejoin", "missing_nodes", Bound::Exactly(0.0)),
        ("data_loss", "lost_rows", Bound::Exactly(0.0)),
    ];
    for at_ms in (600..5650).step_by(250) {
        for later_ms in [0, 30, 1700] {
            let course = Course { expected: expected.clone(), ..Course::default() };
            let noticed_ms = (at_ms + later_ms).min(5690);
            assert_only_unproven(&verdict_of(&with_ground_lost(run(&[course]), at_ms, noticed_ms)));
        }
    }
}

#[test]
fn a_loss_of_the_ground_that_the_run_records_concerns_the_scenario_that_runs() {
    let mut events = with_ground_lost(clean(), 4000, 4500);
    events.iter_mut().filter(|event| event.what == lost()).for_each(|event| event.scenario = 0);
    assert_only_unproven(&verdict_of(&events));
}

#[test]
fn what_was_proven_before_the_ground_was_lost_stays_proven() {
    let too_long = Course {
        expected: vec![("recovery_time", "write_outage_ms", Bound::AtMost(1000.0))],
        claims: vec!["NO-SPLIT-BRAIN"],
        stop_ms: 5600,
        ..Course::default()
    };
    let verdict = verdict_of(&with_ground_lost(run(std::slice::from_ref(&too_long)), 5500, 5550));
    assert_eq!(finding(&verdict, "recovery_time").outcome, Outcome::Fail);
    assert_eq!(verdict.outcome, Outcome::Fail);
    let two_writers = Course { old_until_ms: 3210, ..too_long };
    let verdict = verdict_of(&with_ground_lost(run(&[two_writers]), 5500, 5550));
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Fail);
    assert_ne!(verdict.claims[0].state, ClaimState::Confirmed);
}

#[test]
fn an_outage_that_was_on_long_before_the_ground_was_lost_counts_until_then() {
    let never_back = Course {
        expected: vec![("recovery_time", "write_outage_ms", Bound::AtMost(10_000.0))],
        key: Some((90_000, 90_001)),
        direct_ms: 90_000,
        up_ms: 90_000,
        heal_ms: 38_000,
        rejoined_ms: 38_500,
        stop_ms: 39_000,
        ..Course::default()
    };
    let at = |ms| verdict_of(&with_ground_lost(run(std::slice::from_ref(&never_back)), ms - 100, ms));
    // Clients had waited for 32 s, of which the last 10 may be due to the loss; and for 14 s, of which 4 are sure.
    assert_eq!(with_outcome(&at(34_000), Outcome::Fail), ["recovery_time"]);
    assert_only_unproven(&at(16_000));
}
