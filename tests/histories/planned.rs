//! Trials and scenarios that were to come and did not, or came twice.

use pgquake_judge::{
    checks::Outcome,
    history::{Event, Occurrence},
    verdict::RunVerdict,
};

use super::{
    course::{Course, number, run},
    edits::clean,
    verdict_of,
};

fn trial(scenario: u32, trial: u32, trials: u32) -> Course {
    Course { scenario, trial, trials, start_ms: 100 + u64::from(scenario) * 7000, ..Course::default() }
}

fn planned(mut events: Vec<Event>, scenarios: u32) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::RunStarted(started) = &mut event.what {
            started.scenarios = scenarios;
        }
    }
    events
}

fn assert_doubt(verdict: &RunVerdict, doubt: &str) {
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(verdict.doubts.iter().any(|own| own.contains(doubt)), "{:?}", verdict.doubts);
}

#[test]
fn trials_that_never_began_are_named() {
    let verdict = verdict_of(&run(&[trial(1, 1, 10)]));
    assert_doubt(&verdict, "of 10 trials of \"The primary dies\" trials 2, 3, 4, 5, 6, 7, 8, 9, 10 never began");
    let verdict = verdict_of(&run(&[trial(1, 1, 3), trial(2, 3, 3)]));
    assert_doubt(&verdict, "trial 2 never began");
    let whole = verdict_of(&run(&[trial(1, 1, 2), trial(2, 2, 2)]));
    assert_eq!((whole.outcome, whole.doubts.len()), (Outcome::Pass, 0), "{:?}", whole.doubts);
}

/// What RTO-30 reads, and how many trials it was kept in.
fn rto_30(verdict: &RunVerdict) -> (&str, usize) {
    let claim = verdict.claims.iter().find(|claim| claim.claim.id == "RTO-30").unwrap();
    (&claim.summary, claim.trials.iter().filter(|trial| trial.kept == Some(true)).count())
}

#[test]
fn trials_that_never_began_or_are_there_twice_prove_nothing_for_a_claim() {
    let about = |scenario, number, trials| Course { claims: vec!["RTO-30"], ..trial(scenario, number, trials) };
    let verdict = verdict_of(&run(&[about(1, 1, 10)]));
    let told = "kept in 1 of 10, and 9 prove nothing (9 trials never began): at least 0 % at 95 % confidence";
    assert_eq!(rto_30(&verdict), (told, 1));
    let verdict = verdict_of(&run(&[about(1, 1, 2), about(2, 1, 2)]));
    let told = "kept in 1 of 3, and 2 prove nothing (one trial never began): at least 1 %";
    assert!(rto_30(&verdict).0.starts_with(told), "{}", rto_30(&verdict).0);
}

#[test]
fn scenarios_of_which_neither_an_event_nor_a_plan_is_there_are_named() {
    let events = planned(run(&[trial(1, 1, 2), trial(2, 2, 2)]), 4);
    assert_doubt(&verdict_of(&events), "to have 4 scenarios, and numbers 3, 4 never began");
    let events = planned(run(&[trial(1, 1, 1)]), 1);
    assert_eq!(verdict_of(&events).outcome, Outcome::Pass);
    assert_doubt(&verdict_of(&planned(clean(), u32::MAX)), "and 4294967284 more");
}

#[test]
fn a_trial_that_is_there_twice_is_a_doubt() {
    assert_doubt(&verdict_of(&run(&[trial(1, 1, 2), trial(2, 1, 2)])), "twice");
}

#[test]
fn two_trials_under_one_number_prove_nothing() {
    let mut second = run(&[trial(1, 2, 2)]);
    second.retain(|event| event.scenario == 1);
    let mut events = run(&[trial(1, 1, 2)]);
    let end = events.pop();
    events.extend(second);
    let end = end.map(|end| Event { at_us: 90_000_000, ..end });
    let verdict = verdict_of(&number(events.into_iter().chain(end).collect()));
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(verdict.doubts.iter().any(|doubt| doubt.contains("had ended before it")), "{:?}", verdict.doubts);
}

#[test]
fn two_trials_that_ran_under_one_number_at_once_prove_nothing() {
    let mut second = run(&[Course { start_ms: 300, ..trial(1, 2, 2) }]);
    second.retain(|event| event.scenario == 1);
    let mut events = run(&[Course { start_ms: 100, ..trial(1, 1, 2) }]);
    let end = events.pop();
    events.extend(second);
    let end = end.map(|end| Event { at_us: 90_000_000, ..end });
    let verdict = verdict_of(&number(events.into_iter().chain(end).collect()));
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    let found = &verdict.scenarios[0].findings;
    assert!(found.len() == 1 && found[0].summary.contains("two scenarios began under this number"), "{found:#?}");
}

#[test]
fn a_run_that_does_not_say_how_many_scenarios_it_was_to_have_is_in_doubt() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::RunStarted(started) = &mut event.what {
            started.schema = 2;
        }
    }
    assert_doubt(&verdict_of(&events), "does not say how many scenarios");
}
