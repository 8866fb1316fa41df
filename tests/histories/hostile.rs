//! Histories that contradict themselves, and numbers that nobody measured: none may pass, and none may break the judge.

use std::collections::{BTreeMap, BTreeSet};

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{ClientKind, RunStarted},
    },
    report::{ReportInput, ScenarioRecord, write_all},
    verdict::{Judge, RunVerdict},
};
use serde_json::{Value, json};

use crate::{
    course::{Course, plan, run},
    edits::clean,
    verdict_of,
};

#[track_caller]
fn is_unproven(verdict: &RunVerdict, why: &str) {
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{verdict:#?}");
    let findings = verdict.scenarios.iter().flat_map(|scenario| &scenario.findings);
    let told: Vec<&str> =
        verdict.doubts.iter().map(String::as_str).chain(findings.map(|finding| finding.summary.as_str())).collect();
    assert!(told.iter().any(|text| text.contains(why)), "{told:#?}");
}

fn changed(change: impl Fn(&mut Event)) -> Vec<Event> {
    let mut events = clean();
    events.iter_mut().for_each(change);
    events
}

#[test]
fn an_attempt_that_ends_before_it_starts_proves_nothing() {
    let first = clean().iter().position(|event| matches!(event.what, Occurrence::Attempt(_))).expect("an attempt");
    let events = changed(|event| match &mut event.what {
        Occurrence::Attempt(attempt) if event.seq == first as u64 + 1 => attempt.started_us = event.at_us + 1,
        _ => {}
    });
    is_unproven(&verdict_of(&events), "ended before it started");
}

#[test]
fn a_clock_that_goes_back_proves_neither_a_failure_nor_a_pass() {
    let events = changed(|event| {
        if matches!(event.what, Occurrence::Attempt(_)) {
            event.at_us = u64::MAX;
        }
    });
    is_unproven(&verdict_of(&events), "the clock went back");
}

#[test]
fn an_effect_outside_of_its_proof_proves_nothing() {
    for (from, to) in [(0, u64::MAX), (u64::MAX, u64::MAX), (2, 1)] {
        let events = changed(|event| {
            if let Occurrence::FaultConfirmed { effect_from_us, effect_to_us, .. } = &mut event.what {
                (*effect_from_us, *effect_to_us) = (from, to);
            }
        });
        assert_ne!(verdict_of(&events).outcome, Outcome::Pass, "{from} to {to}");
    }
}

#[test]
fn a_trial_that_is_none_of_its_trials_proves_nothing() {
    for (trial, trials) in [(0, 0), (0, 1), (2, 1)] {
        let events = run(&[Course { trial, trials, ..Course::default() }]);
        is_unproven(&verdict_of(&events), &format!("it is trial {trial} of {trials}"));
    }
}

#[test]
fn what_comes_after_the_end_of_its_scenario_is_a_doubt() {
    let mut events = clean();
    let ended = events.iter().position(|event| matches!(event.what, Occurrence::ScenarioEnded)).expect("an end");
    let late = Event { what: Occurrence::ClusterRemoved { removal_ms: 1 }, ..events[ended].clone() };
    events.insert(ended + 1, late);
    (1..).zip(&mut events).for_each(|(seq, event)| event.seq = seq);
    is_unproven(&verdict_of(&events), "which had ended before it");
}

#[test]
fn a_row_whose_write_is_missing_from_the_history_is_no_failure_but_two_writers_are() {
    let acknowledged = |event: &Event| matches!(&event.what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Writer && attempt.endpoint == "write");
    let cut = |mut events: Vec<Event>| {
        let place = events.iter().position(acknowledged).expect("a write");
        events.remove(place);
        events
    };
    is_unproven(&verdict_of(&cut(clean())), "may be among the events that are missing");
    let two_writers = run(&[Course { old_until_ms: 3210, ..Course::default() }]);
    assert_eq!(verdict_of(&cut(two_writers)).outcome, Outcome::Fail);
}

#[test]
fn a_plan_of_another_topology_judges_nothing() {
    let mut lacking = plan(false);
    lacking.nodes.clear();
    let verdict = pgquake_judge::verdict::judge(&BTreeMap::from([(1, lacking)]), &clean());
    is_unproven(&verdict, "contradicts its own topology");
}

#[test]
fn scenarios_side_by_side_are_judged_as_one_after_the_other() {
    let apart = run(&[Course::default(), Course { scenario: 2, start_ms: 10_000, ..Course::default() }]);
    let mut mixed = apart.clone();
    mixed.iter_mut().filter(|event| event.scenario == 2).for_each(|event| event.at_us -= 5_000_000);
    let outcomes = |events: &[Event]| -> Vec<Outcome> {
        verdict_of(events).scenarios.iter().map(|scenario| scenario.outcome).collect()
    };
    assert_eq!(outcomes(&apart), [Outcome::Pass; 2]);
    mixed.sort_by_key(|event| event.at_us);
    (1..).zip(&mut mixed).for_each(|(seq, event)| event.seq = seq);
    assert_eq!(outcomes(&mixed).len(), 2);
    assert!(verdict_of(&mixed).doubts.iter().all(|doubt| !doubt.contains("had ended")));
}

/// Pointers to every number in a value.
fn numbers(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(at.to_owned()),
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(index, value)| numbers(value, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| numbers(value, &format!("{at}/{name}"), found));
        }
        _ => {}
    }
}

/// Judges and renders, as `report` does.
fn judge_and_render(events: Vec<Event>, folder: &std::path::Path) {
    let plans = BTreeMap::from([(1, plan(false))]);
    let mut records = BTreeMap::new();
    let mut judge = Judge::new(&plans, |verdict, own| {
        records.insert(verdict.number, ScenarioRecord::new(plans.get(&verdict.number), verdict, own));
    });
    events.into_iter().for_each(|event| judge.take(event));
    let verdict = judge.finish((&[], 0));
    let input = ReportInput { verdict: &verdict, plans: &plans, records: &records, run: &RunStarted::unknown() };
    write_all(folder, &input).expect("every format is written");
}

#[test]
fn no_number_breaks_the_judge_or_the_report() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let events = clean();
    let mut seen = BTreeSet::new();
    for (place, event) in events.iter().enumerate() {
        let line = serde_json::to_value(event).expect("an event");
        if !seen.insert(line["kind"].to_string()) {
            continue;
        }
        let mut found = Vec::new();
        numbers(&line, "", &mut found);
        for pointer in found {
            for extreme in [json!(0), json!(u64::MAX), json!(u32::MAX), json!(i64::MIN), json!(1e308)] {
                let mut line = line.clone();
                *line.pointer_mut(&pointer).expect("its own pointer") = extreme;
                // What a field cannot hold is refused by the reader.
                let Ok(event) = serde_json::from_value::<Event>(line) else { continue };
                let mut events = events.clone();
                events[place] = event;
                judge_and_render(events, folder.path());
            }
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
