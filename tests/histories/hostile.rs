//! Histories that contradict themselves, and numbers that nobody measured: none may pass, and none may break the judge.

use std::collections::{BTreeMap, BTreeSet};

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, ClientKind, FaultInjecting, Milestone, Operation, RunStarted, RunbookStep},
    },
    report::{ReportInput, ScenarioRecord, write_all},
    verdict::{Judge, RunVerdict, judge},
};
use serde_json::{Value, json};

use crate::{
    course::{Course, number, plan, run},
    edits::{clean, is_milestone, with},
    regions::Regions,
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
    let input = ReportInput { verdict: &verdict, plans: &plans, records: &records, runs: &[RunStarted::unknown()] };
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

/// The history with this added to the run and to none of its scenarios.
fn with_of_the_run(mut events: Vec<Event>, at_us: u64, what: Occurrence) -> Vec<Event> {
    events.push(Event { seq: 0, at_us, scenario: 0, what });
    number(events)
}

#[test]
fn a_run_that_ends_twice_or_goes_on_after_its_end_is_in_doubt() {
    let ended = |interrupted: Option<&str>| Occurrence::RunEnded { interrupted: interrupted.map(str::to_owned) };
    let last_us = clean().last().map_or(0, |event| event.at_us);
    is_unproven(&verdict_of(&with_of_the_run(clean(), last_us, ended(Some("SIGTERM")))), "interrupted: SIGTERM");
    is_unproven(&verdict_of(&with_of_the_run(clean(), 1_000_000, ended(None))), "comes after the end of the run");
}

#[test]
fn a_run_begins_once_and_with_its_beginning() {
    let began = |event: &Event| matches!(event.what, Occurrence::RunStarted(_));
    let mut without = clean();
    without.retain(|event| !began(event));
    is_unproven(&verdict_of(&number(without)), "does not begin with the run's beginning");
    let twice = with_of_the_run(clean(), 3_000_000, clean()[0].what.clone());
    is_unproven(&verdict_of(&twice), "another run begins");
}

#[test]
fn what_only_a_scenario_can_have_and_names_none_is_a_doubt() {
    let message = "the user's own step".to_owned();
    let (observer, target, reason) = ("node_state".to_owned(), "node1".to_owned(), "gone".to_owned());
    for what in [Occurrence::AssertionFailed { message }, Occurrence::ObserverLost { observer, target, reason }] {
        is_unproven(&verdict_of(&with_of_the_run(clean(), 3_000_000, what)), "does not say to which");
    }
}

#[test]
fn events_of_faults_that_come_in_no_possible_order_are_in_doubt() {
    let evidence = || "nothing answers".to_owned();
    let confirmed = |fault| Occurrence::FaultConfirmed {
        fault,
        effect_from_us: 2_400_000,
        effect_to_us: 2_500_000,
        evidence: evidence(),
    };
    let suspended = Occurrence::FaultSuspended { fault: 1, by: 7, reason: "it is gone".to_owned() };
    for (what, why) in [
        (confirmed(9), "fault 9 had not been injected"),
        (confirmed(1), "fault 1 was confirmed before"),
        (suspended, "fault 7, which suspends another, had not been injected"),
        (Occurrence::FaultHealed { fault: 1, evidence: evidence() }, "fault 1 was gone and had not been healed"),
    ] {
        is_unproven(&verdict_of(&with(clean(), 2500, what)), why);
    }
}

/// A wide bracket would take an outage from before the fault for the fault's.
#[test]
fn a_fault_that_took_effect_before_it_was_injected_proves_nothing() {
    let events = changed(|event| {
        if let Occurrence::FaultConfirmed { effect_from_us, .. } = &mut event.what {
            *effect_from_us = 1;
        }
    });
    is_unproven(&verdict_of(&events), "took effect before it was injected");
}

#[test]
fn a_timeline_that_left_a_later_one_proves_nothing() {
    for later in [2, 7] {
        let events = changed(|event| {
            if let Occurrence::TimelineSwitch { parent, .. } = &mut event.what {
                *parent = later;
            }
        });
        is_unproven(&verdict_of(&events), &format!("timeline 2 left timeline {later}"));
    }
}

#[test]
fn a_client_of_a_node_s_own_port_is_answered_by_that_node() {
    let answered = |events: Vec<Event>| {
        let mut events = events;
        for event in &mut events {
            if let Occurrence::Attempt(attempt) = &mut event.what
                && attempt.endpoint == "node3"
                && attempt.started_us > 3_100_000
            {
                let (node, timeline) = ("node2".to_owned(), 2);
                attempt.outcome = AttemptOutcome::Acknowledged { node, timeline, lsn: 0 };
                attempt.operation = Operation::Read;
            }
        }
        events
    };
    is_unproven(&verdict_of(&answered(clean())), "node2 answered a client of node3");
}

#[test]
fn what_clients_try_after_the_end_of_the_load_is_in_doubt() {
    let mut events = clean();
    for event in &mut events {
        if is_milestone(&event.what, Milestone::LoadStopped) {
            event.at_us -= 100_000;
        }
    }
    is_unproven(&verdict_of(&number(events)), "started after the load had stopped");
}

#[test]
fn a_scenario_with_two_plans_is_refused() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let [one, other] = [false, true].map(|synchronous| json!(plan(synchronous)).to_string());
    std::fs::write(folder.path().join("plan.json"), format!("{{\"1\":{one},\"1\":{other}}}")).expect("plans");
    std::fs::write(folder.path().join("history.jsonl"), "").expect("a history");
    let Err(error) = pgquake_judge::saved::SavedRun::read(folder.path()) else { panic!("it was read") };
    assert!(error.to_string().contains("scenario 1 has two plans"), "{error}");
}

/// The last event of a kind, and all of them.
#[test]
fn no_number_breaks_a_check() {
    let events = run(&[Course { lost_ms: 300, old_until_ms: 2300, ..Course::default() }]);
    let lines: Vec<Value> = events.iter().map(|event| serde_json::to_value(event).expect("an event")).collect();
    let last: BTreeMap<String, usize> =
        (0..).zip(&lines).map(|(place, line)| (line["kind"].to_string(), place)).collect();
    let changed = |places: &[usize], pointer: &str, extreme: &Value| {
        let mut events = events.clone();
        for place in places {
            let mut line = lines[*place].clone();
            if let Some(number) = line.pointer_mut(pointer) {
                *number = extreme.clone();
            }
            events[*place] = serde_json::from_value(line).ok()?;
        }
        Some(events)
    };
    for (kind, place) in &last {
        let all: Vec<usize> = (0..lines.len()).filter(|own| lines[*own]["kind"] == lines[*place]["kind"]).collect();
        let mut found = Vec::new();
        numbers(&lines[*place], "", &mut found);
        for (pointer, extreme) in found.iter().map(|own| (own, json!(u64::MAX))) {
            for places in [&[*place][..], &all] {
                let Some(events) = changed(places, pointer, &extreme) else { continue };
                let verdict = verdict_of(&events);
                let mut told = verdict.scenarios.iter().flat_map(|scenario| &scenario.findings);
                let broken = told.find(|finding| finding.summary.contains("error in pgquake"));
                assert!(broken.is_none(), "{kind} {pointer} {extreme}: {broken:#?}");
            }
        }
    }
}

/// Hosts of buckets and of names are in the plan, and in no cluster.
#[test]
fn a_fault_of_a_host_that_no_cluster_has_is_no_doubt() {
    let mut plan = plan(false);
    let mut storage = plan.topology.regions[0].hosts[0].clone();
    storage.name = "storage".to_owned();
    plan.topology.regions[0].hosts.push(storage);
    for (name, outcome) in [("storage", true), ("node9", false)] {
        let events = changed(|event| {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.hosts = vec![name.to_owned()];
                injecting.services.clear();
                (injecting.primary_before, injecting.dcs_leader_before) = (None, None);
            }
        });
        let verdict = judge(&BTreeMap::from([(1, plan.clone())]), &events);
        let told = format!("the plan has no host {name}");
        let findings = verdict.scenarios[0].findings.iter().map(|finding| &finding.summary);
        let is_known = !findings.chain(&verdict.doubts).any(|text| text.contains(&told));
        assert_eq!(is_known, outcome, "{name}: {verdict:#?}");
    }
}

#[test]
fn names_that_the_plan_does_not_have_are_in_doubt() {
    let (cluster, evidence) = ("north".to_owned(), "seen".to_owned());
    let held = |member: &str, cluster: Option<&str>| Occurrence::LeaderKey {
        member: member.to_owned(),
        holder: Some("node1".to_owned()),
        revision: 10,
        initial: false,
        cluster: cluster.map(str::to_owned),
    };
    for (what, why) in [
        (Occurrence::Runbook { step: RunbookStep::GivenUp, cluster, evidence }, "the plan has no cluster north"),
        (held("node2", Some("north")), "the plan has no cluster north"),
        (held("node9", None), "the plan has no host node9"),
        (Occurrence::SlotAbsent { node: "node9".to_owned(), slot: "s".to_owned() }, "the plan has no host node9"),
        (Occurrence::NameAnswer { name: "db".to_owned(), hosts: None }, "the plan has no name db"),
    ] {
        is_unproven(&verdict_of(&with(clean(), 3500, what)), why);
    }
    let fault = |change: fn(&mut FaultInjecting)| {
        changed(|event| {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                change(injecting);
            }
        })
    };
    for events in [
        fault(|own| own.hosts.push("node9".to_owned())),
        fault(|own| own.services.push("node9/patroni".to_owned())),
        fault(|own| own.primary_before = Some("node9".to_owned())),
    ] {
        is_unproven(&verdict_of(&events), "the plan has no host node9");
    }
    let elsewhere = changed(|event| {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "node3"
        {
            attempt.endpoint = "node9".to_owned();
        }
    });
    is_unproven(&verdict_of(&elsewhere), "the plan has no endpoint node9");
}

/// Of two clusters nobody knows whose key it was.
#[test]
fn a_leader_key_of_one_of_several_clusters_says_of_which() {
    let course = Regions::in_region();
    let mut events = course.events();
    let own = events.iter_mut().rev().find_map(|event| match &mut event.what {
        Occurrence::LeaderKey { cluster, .. } => Some(cluster),
        _ => None,
    });
    *own.expect("a key") = None;
    let verdict = pgquake_judge::verdict::judge(&BTreeMap::from([(1, course.plan())]), &events);
    is_unproven(&verdict, "it does not say whose leader key changed");
}

#[test]
fn a_fault_that_is_gone_neither_bites_nor_changes_any_more() {
    let (evidence, parameters) = ("seen".to_owned(), BTreeMap::new());
    let put_back = Occurrence::FaultResumed { fault: 1, evidence: evidence.clone() };
    is_unproven(&verdict_of(&with(clean(), 3500, put_back)), "fault 1 was put back and had not been suspended");
    let later = Occurrence::FaultChanged { fault: 1, parameters, evidence: evidence.clone() };
    is_unproven(&verdict_of(&with(clean(), 5260, later)), "proven to bite after it had been healed");
    let again = Occurrence::FaultHealed { fault: 1, evidence };
    is_unproven(&verdict_of(&with(clean(), 5290, again)), "fault 1 had been gone before");
    let late = changed(|event| {
        if matches!(event.what, Occurrence::FaultConfirmed { .. }) {
            event.at_us = 5_255_000;
        }
    });
    is_unproven(&verdict_of(&number(late)), "proven to bite after it had been healed");
}

#[test]
fn a_scenario_begins_with_its_beginning() {
    let late = changed(|event| {
        if matches!(event.what, Occurrence::ScenarioStarted(_)) {
            event.at_us = 5_600_000;
        }
    });
    is_unproven(&verdict_of(&number(late)), "it came before the scenario's beginning");
}

/// Somebody looks for claims that the run keeps.
#[test]
fn claims_that_a_run_did_not_record_are_no_part_of_it() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let lines = clean().iter().map(|event| json!(event).to_string() + "\n").collect::<String>();
    std::fs::write(folder.path().join("history.jsonl"), lines).expect("a history");
    std::fs::write(folder.path().join("plan.json"), json!({ "1": plan(false) }).to_string()).expect("plans");
    let read = || pgquake_judge::saved::SavedRun::read(folder.path()).expect("a run").verdict;
    assert_eq!(read().outcome, Outcome::Pass);
    std::fs::create_dir(folder.path().join("inputs")).expect("inputs");
    let claims = pgquake_judge::claims::Claims::documented().text();
    std::fs::write(folder.path().join("inputs/claims.yaml"), claims).expect("claims");
    is_unproven(&read(), "inputs/claims.yaml is there, and the run recorded none");
}

#[test]
fn a_read_that_saw_what_nobody_had_begun_to_write_is_in_doubt() {
    let writes: Vec<(u32, u64)> = clean()
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Attempt(own) if own.client_kind == ClientKind::Writer && event.at_us < 1_000_000 => {
                Some((own.client, own.sequence))
            }
            _ => None,
        })
        .collect();
    let (client, newest) = writes.into_iter().max().expect("a write");
    let read = |saw: u64| {
        let mut events = clean();
        let mut read = events
            .iter()
            .find(|event| matches!(&event.what, Occurrence::Attempt(own) if own.endpoint == "node3" && event.at_us > 1_000_000))
            .expect("an attempt")
            .clone();
        if let Occurrence::Attempt(own) = &mut read.what {
            (own.client, own.operation, own.saw) = (91, Operation::Read, Some(BTreeMap::from([(client, saw)])));
        }
        events.push(read);
        verdict_of(&number(events))
    };
    assert_eq!(read(newest).outcome, Outcome::Pass);
    is_unproven(&read(newest + 1_000), "which had not begun to write it");
}

#[test]
fn a_run_has_one_history() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for name in ["history.jsonl", "history.jsonl.gz"] {
        std::fs::write(folder.path().join(name), "").expect("a history");
    }
    let Err(error) = pgquake_judge::saved::SavedRun::read(folder.path()) else { panic!("it was read") };
    assert!(error.to_string().contains("it holds history.jsonl and history.jsonl.gz"), "{error}");
}
