//! Commands that an operator runs.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, CommandRun},
    },
};

use super::{
    course::{Course, plan, run},
    edits::with,
    value,
};

const NAME: &str = "commands";
const FAILED: &str = "commands_failed";

fn ran(events: Vec<Event>, status: Option<i32>) -> Vec<Event> {
    let (node, command) = ("node3".to_owned(), "patronictl remove main node4".to_owned());
    let output = "\n  Error: Got unexpected extra argument (node4)\n".to_owned();
    with(events, 1_500, Occurrence::CommandRun(CommandRun { node, command, status, output }))
}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn expecting() -> Vec<Event> {
    run(&[Course { expected: vec![(NAME, FAILED, Bound::Exactly(0.0))], ..Course::default() }])
}

#[test]
fn a_command_that_fails_or_can_not_be_run_misses_the_expectation() {
    assert_eq!(judged(&ran(expecting(), Some(0)))[0].outcome, Outcome::Pass);
    for (status, words) in [(Some(2), "ended with status 2"), (None, "could not be run")] {
        let found = judged(&ran(ran(expecting(), Some(0)), status)).remove(0);
        assert_eq!((found.outcome, value(&found, FAILED)), (Outcome::Fail, 1.0), "{found:#?}");
        let told = format!("`patronictl remove main node4` on node3 {words}: Error: Got unexpected extra argument");
        assert!(found.summary.contains(&told), "{}", found.summary);
    }
}

#[test]
fn what_nobody_expects_is_told_alone_and_what_nobody_ran_is_not_known() {
    let told = judged(&ran(run(&[Course::default()]), Some(2))).remove(0);
    assert_eq!((told.outcome, value(&told, FAILED)), (Outcome::Pass, 1.0), "{told:#?}");
    assert_eq!(judged(&run(&[Course::default()])), []);
    assert_eq!(judged(&expecting())[0].outcome, Outcome::Inconclusive);
}
