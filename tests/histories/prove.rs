//! Runs that set out to prove a share of failovers, and trials that were begun again.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Outcome, measures},
    claims::Claims,
    history::{
        Event, Occurrence,
        event::{Bound, Expectation, Rule},
    },
    report::{ReportInput, terminal, write_all},
    verdict::{ClaimState, RunVerdict, judge_by},
};

use super::course::{Course, number, plan, run};

const AT_MOST_2_S: Bound = Bound::AtMost(2000.0);

fn claims(share: f64) -> Claims {
    let text = format!(
        "- id: OURS
  claim: writes are back within 2 s
  target: {{ check: recovery_time, measure: write_outage_ms, bound: {{ at_most: 2000 }}, about: [outage], share: {share} }}
- id: NONE
  claim: nothing is lost
  target: {{ check: data_loss, measure: lost_rows, bound: {{ exactly: 0 }}, about: [outage] }}
"
    );
    Claims::parse("claims.yaml", &text, &measures()).unwrap()
}

/// Trials one after the other under this level, each with its changes.
fn trials(level: &str, count: u32, change: impl Fn(u32, &mut Course)) -> Vec<Event> {
    let courses: Vec<Course> = (1..=count)
        .map(|trial| {
            let start_ms = 100 + u64::from(trial) * 10_000;
            let expected = vec![("recovery_time", "write_outage_ms", AT_MOST_2_S)];
            let claims = vec!["OURS", "NONE"];
            let mut course =
                Course { scenario: trial, trial, trials: 168, start_ms, claims, expected, ..Course::default() };
            change(trial, &mut course);
            course
        })
        .collect();
    let mut events = run(&courses);
    for event in &mut events {
        if let Occurrence::RunStarted(started) = &mut event.what {
            started.rule = Some(Rule::Prove { level: level.parse().unwrap(), decisions: 1 });
            started.scenarios = 168;
        }
    }
    events
}

/// An outage of 2.6 s.
fn misses(course: &mut Course) {
    let late = 1500;
    *course = Course {
        key: Some((2600 + late, 2700 + late)),
        direct_ms: 2900 + late,
        up_ms: 3100 + late,
        heal_ms: 5150 + late,
        rejoined_ms: 5350 + late,
        stop_ms: 5400 + late,
        ..course.clone()
    };
}

fn missing(numbers: &[u32]) -> impl Fn(u32, &mut Course) + '_ {
    |trial, course| {
        if numbers.contains(&trial) {
            misses(course);
        }
    }
}

fn verdict(share: f64, events: &[Event]) -> RunVerdict {
    let scenarios = events.iter().map(|event| event.scenario).filter(|number| *number > 0);
    let plans: BTreeMap<_, _> = scenarios.map(|number| (number, plan(false))).collect();
    judge_by(&claims(share), &plans, events)
}

fn ours(verdict: &RunVerdict) -> (ClaimState, &str) {
    let claim = verdict.claims.iter().find(|claim| claim.claim.id == "OURS").unwrap();
    (claim.state, &claim.summary)
}

#[test]
fn two_misses_within_four_refute_and_the_trials_themselves_did_not_fail() {
    let verdict = verdict(0.95, &trials("95/95", 4, missing(&[1, 4])));
    assert_eq!(verdict.outcome, Outcome::Fail, "{:?}", verdict.doubts);
    let (state, told) = ours(&verdict);
    assert_eq!(state, ClaimState::Refuted);
    assert!(told.starts_with("missed in 2 of 4: 95/95 was refuted with trial 4 (per claim)"), "{told}");
    // The Then is the claim: it fails in trials 1 and 4, and counts over the trials.
    let first = &verdict.scenarios[0];
    assert_eq!((first.outcome, first.worst_finding), (Outcome::Pass, Outcome::Fail));
    assert_eq!(verdict.groups[0].outcome, Outcome::Fail);
}

#[test]
fn reports_tell_what_the_trials_decide_over_all_of_them() {
    let events = trials("95/95", 4, missing(&[1, 4]));
    let verdict = verdict(0.95, &events);
    let run = events.iter().find_map(|event| match &event.what {
        Occurrence::RunStarted(started) => Some(started.clone()),
        _ => None,
    });
    let (plans, records, runs) = (BTreeMap::new(), BTreeMap::new(), [run.unwrap()]);
    let input = ReportInput { verdict: &verdict, plans: &plans, records: &records, runs: &runs };
    let folder = tempfile::tempdir().unwrap();
    let files = write_all(folder.path(), &input).unwrap();
    let [html, _, junit, markdown] = [0, 1, 2, 3].map(|at| std::fs::read_to_string(&files[at]).unwrap());
    let told = "missed in 2 of 4: 95/95 was refuted with trial 4";
    for (text, part) in [
        (&html, told),
        (&html, "confirmed by no miss in 63 trials, one in 123, or two in 168"),
        (&html, "(judged over the trials)"),
        (&markdown, told),
        (&junit, "<failure message=\"missed in 2 of 4"),
        (&junit, "failures=\"1\" errors=\"0\""),
        (&terminal::summary(&input, None, true), "REFUTED      OURS: missed in 2 of 4"),
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn no_miss_up_to_the_look_confirms() {
    let verdict = verdict(0.75, &trials("75/80", 9, |_, _| {}));
    assert_eq!(
        (verdict.outcome, ours(&verdict).0),
        (Outcome::Pass, ClaimState::Confirmed),
        "{:#?}",
        verdict.groups[0].proofs
    );
    assert!(ours(&verdict).1.starts_with("missed in 0 of 9: 75/80 was confirmed with trial 9"), "{}", ours(&verdict).1);
    // A promise without exception is none that trials confirm.
    let universal = verdict.claims.iter().find(|claim| claim.claim.id == "NONE").unwrap();
    assert_eq!(universal.state, ClaimState::Undecided);
    assert!(universal.summary.starts_with("kept in 9 of 9: at least 71 %"), "{}", universal.summary);
}

#[test]
fn one_miss_goes_on_to_the_next_look() {
    let verdict = verdict(0.75, &trials("75/80", 10, missing(&[3])));
    assert_eq!((verdict.outcome, ours(&verdict).0), (Outcome::Inconclusive, ClaimState::Undecided));
    assert!(verdict.groups[0].proofs[0].is_open && verdict.doubts.is_empty(), "{:?}", verdict.doubts);
    assert!(ours(&verdict).1.contains("is not decided, and the trials broke off"), "{}", ours(&verdict).1);
}

#[test]
fn a_miss_beyond_the_look_withdraws_the_confirmation() {
    let confirmed = verdict(0.75, &trials("75/80", 10, |_, _| {}));
    assert_eq!((confirmed.outcome, ours(&confirmed).0), (Outcome::Pass, ClaimState::Confirmed));
    let withdrawn = verdict(0.75, &trials("75/80", 10, missing(&[10])));
    assert_eq!((withdrawn.outcome, ours(&withdrawn).0), (Outcome::Inconclusive, ClaimState::Undecided));
}

#[test]
fn a_safety_check_stays_per_trial() {
    let two_writers = |trial: u32, course: &mut Course| {
        if trial == 5 {
            course.old_until_ms = 3200;
        }
    };
    let verdict = verdict(0.75, &trials("75/80", 9, two_writers));
    assert_eq!((verdict.outcome, ours(&verdict).0), (Outcome::Fail, ClaimState::Confirmed));
    assert_eq!(verdict.scenarios[4].outcome, Outcome::Fail);
}

#[test]
fn what_one_trial_leaves_unproven_is_no_doubt_of_the_run_unless_it_is_of_safety() {
    let unproven = |events: Vec<Event>, check: &str, measure: &str| {
        let text = format!("{check} is expected");
        let (check, measure) = (check.to_owned(), measure.to_owned());
        let expectation = Expectation { of: None, check, measure, bound: Bound::AtMost(1e9), text, line: 9 };
        let at_us = (100 + 4 * 10_000 + 1) * 1000;
        let what = Occurrence::Expected(expectation);
        number([events, vec![Event { seq: 0, at_us, scenario: 4, what }]].concat())
    };
    let sound = || trials("75/80", 9, |_, _| {});
    let rejoin = verdict(0.75, &unproven(sound(), "rejoin", "no_such_measure_ms"));
    assert_eq!((rejoin.outcome, ours(&rejoin).0), (Outcome::Pass, ClaimState::Confirmed), "{:#?}", rejoin.scenarios[3]);
    assert_eq!(rejoin.scenarios[3].worst_finding, Outcome::Inconclusive);
    let loss = verdict(0.75, &unproven(sound(), "data_loss", "no_such_measure_ms"));
    assert_eq!((loss.outcome, ours(&loss).0), (Outcome::Inconclusive, ClaimState::Confirmed));
}

/// Lets a timer of the harness fire late in a trial, this number of milliseconds after its beginning.
fn starved(mut events: Vec<Event>, trial: u32, at_ms: u64) -> Vec<Event> {
    let at_us = (100 + u64::from(trial) * 10_000 + at_ms) * 1000;
    events.push(Event { seq: 0, at_us, scenario: trial, what: Occurrence::TimerLate { late_us: 400_000 } });
    number(events)
}

#[test]
fn a_trial_that_was_starved_after_its_fault_counts_against_either_decision() {
    let events = starved(trials("75/80", 9, |_, _| {}), 4, 2500);
    let verdict = verdict(0.75, &events);
    assert_eq!((verdict.outcome, ours(&verdict).0), (Outcome::Inconclusive, ClaimState::Undecided));
    let proof = &verdict.groups[0].proofs[0];
    assert_eq!((proof.trials, proof.missed, proof.unproven), (9, 0, 1));
    assert_eq!(verdict.scenarios[3].worst_finding, Outcome::Inconclusive);
    // What the plan has counted makes no trial inconclusive of its own: one among enough confirms.
    let last = super::prove::verdict(0.75, &starved(trials("75/80", 24, |_, _| {}), 4, 2500));
    assert_eq!((last.outcome, ours(&last).0), (Outcome::Pass, ClaimState::Confirmed), "{:#?}", last.groups[0].proofs);
}

#[test]
fn what_has_no_share_is_nothing_to_prove_and_a_gap_in_the_trials_is_told() {
    let without = verdict(0.75, &trials("75/80", 2, |_, course| course.claims = vec!["NONE"]));
    assert_eq!(without.outcome, Outcome::Inconclusive);
    assert!(without.doubts[0].contains("bears on no claim that has one"), "{:?}", without.doubts);
    let gap = |trial: u32, course: &mut Course| course.trial = if trial > 2 { trial + 1 } else { trial };
    let gap = verdict(0.75, &trials("75/80", 9, gap));
    assert_eq!((gap.outcome, gap.groups[0].proofs[0].trials), (Outcome::Inconclusive, 2));
    assert!(gap.doubts[0].contains("trial 3 never began"), "{:?}", gap.doubts);
}

/// Two trials, of which the first is ended before its fault and begun again as number 169.
fn begun_again(is_starved: bool, is_injected: bool) -> RunVerdict {
    let mut events = trials("75/80", 3, |trial, course| {
        course.trial = if trial == 1 { 1 } else { trial - 1 };
        course.trials = 2;
    });
    events.retain(|event| {
        let of_the_fault = matches!(event.what, Occurrence::FaultInjecting(_));
        event.scenario != 1
            || event.at_us < 11_900_000
            || (of_the_fault && is_injected)
            || matches!(event.what, Occurrence::ScenarioEnded)
    });
    for event in &mut events {
        match &mut event.what {
            Occurrence::RunStarted(started) => {
                started.rule = Some(Rule::Trials(2));
                started.scenarios = 2;
                started.numbers = vec![(1, 1), (3, 3)];
            }
            Occurrence::ScenarioStarted(started) if event.scenario == 2 => started.begins_again = Some(1),
            _ => {}
        }
        if event.scenario == 2 {
            event.scenario = 169;
        }
    }
    let at_us = 11_890_000;
    events.push(Event { seq: 0, at_us, scenario: 1, what: Occurrence::StarvedBeforeFault { late_us: 400_000 } });
    let events = number(events);
    let events = if is_starved { starved(events, 1, 1500) } else { events };
    verdict(0.75, &events)
}

#[test]
fn a_trial_that_was_starved_before_its_fault_is_begun_again_and_listed() {
    let verdict = begun_again(true, false);
    assert_eq!(
        (verdict.outcome, verdict.doubts.len()),
        (Outcome::Pass, 0),
        "{:?} {:#?}",
        verdict.doubts,
        verdict.scenarios
    );
    assert_eq!(verdict.scenarios.iter().map(|own| own.number).collect::<Vec<_>>(), [3, 169]);
    let again = &verdict.begun_again[0];
    assert_eq!((again.scenario, again.again, again.trial, again.late_ms), (1, 169, 1, 400.0));
}

#[test]
fn nobody_begins_again_what_had_its_fault_or_was_not_starved() {
    for (is_starved, is_injected) in [(true, true), (false, false)] {
        let verdict = begun_again(is_starved, is_injected);
        assert_eq!(verdict.outcome, Outcome::Inconclusive);
        assert!(verdict.begun_again.is_empty() && verdict.scenarios.len() == 3);
        let told = "scenario 1 was begun again as 169, and nothing shows that it was starved before its fault";
        assert!(verdict.doubts.iter().any(|doubt| doubt == told), "{:?}", verdict.doubts);
    }
}
