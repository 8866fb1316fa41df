//! Changes to a history, and what a verdict must say of it.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Attempt, Milestone, SequenceRange},
    },
    verdict::RunVerdict,
};

use super::{
    course::{Course, number, run},
    with_outcome,
};

pub fn clean() -> Vec<Event> {
    run(&[Course::default()])
}

/// The history with these events left out.
pub fn without(events: Vec<Event>, unwanted: impl Fn(&Occurrence) -> bool) -> Vec<Event> {
    number(events.into_iter().filter(|event| !unwanted(&event.what)).collect())
}

/// The history with this added to the scenario.
pub fn with(mut events: Vec<Event>, at_ms: u64, what: Occurrence) -> Vec<Event> {
    events.push(Event { seq: 0, at_us: (100 + at_ms) * 1000, scenario: 1, what });
    number(events)
}

pub fn with_ledgers(mut events: Vec<Event>, change: impl Fn(&str, &mut Vec<SequenceRange>)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::LedgerRead { node, found, .. } = &mut event.what {
            change(node, found);
        }
    }
    events
}

pub fn is_milestone(what: &Occurrence, wanted: Milestone) -> bool {
    matches!(what, Occurrence::Reached { milestone } if *milestone == wanted)
}

/// A verdict that must be inconclusive because of this check alone.
pub fn assert_unproven(verdict: &RunVerdict, check: &str) {
    let found = &verdict.scenarios[0].findings;
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{found:#?}");
    assert_eq!(with_outcome(verdict, Outcome::Inconclusive), [check], "{found:#?}");
    assert_eq!(with_outcome(verdict, Outcome::Fail), [""; 0], "{found:#?}");
}

pub fn assert_fails(verdict: &RunVerdict, check: &str) {
    let found = &verdict.scenarios[0].findings;
    assert_eq!((verdict.outcome, with_outcome(verdict, Outcome::Fail)), (Outcome::Fail, vec![check]), "{found:#?}");
}

pub fn is_attempt(what: &Occurrence, wanted: impl Fn(&Attempt) -> bool) -> bool {
    matches!(what, Occurrence::Attempt(attempt) if wanted(attempt))
}
