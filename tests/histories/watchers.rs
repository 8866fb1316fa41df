//! Observers and clients that a plan implies and that were not there.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Outcome, course::watchers},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, LedgerCounts, Milestone, Role, SCHEMA},
    },
    plan::Plan,
    verdict::judge,
};

use super::{
    course::{Course, lsn, number, plan, run},
    edits::{assert_unproven, clean, is_attempt, is_milestone, without},
    finding, verdict_of,
};

/// The history as a release leaves it: with signs of life of every observer, and a held session on every endpoint.
pub fn released(mut events: Vec<Event>) -> Vec<Event> {
    let last_us = events.iter().map(|event| event.at_us).max().unwrap_or(0);
    let end_lsn = lsn(last_us / 1000);
    for event in &mut events {
        match &mut event.what {
            // A history that names a schema is held to all of it, whatever version it names.
            Occurrence::RunStarted(started) => (started.schema, started.scenarios) = (SCHEMA, 1),
            Occurrence::LedgerRead { node, found, counts, role, lsn, .. } => {
                let rows = found.iter().map(|range| range.to - range.from + 1).sum();
                *counts = Some(LedgerCounts { rows, changed_rows: 0, missing_in_index: 0, missing_in_table: 0 });
                *role = Some(if node == "node2" { Role::Primary } else { Role::Standby });
                *lsn = Some(end_lsn);
            }
            Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh && attempt.sequence == 9 => {
                attempt.client_kind = ClientKind::Held;
            }
            _ => {}
        }
    }
    let plan = plan(false);
    for watcher in watchers::ALL {
        for target in (watcher.targets)(&plan) {
            let what = Occurrence::ObserverAlive { observer: watcher.observer.to_owned(), target };
            let beats = (500_000..last_us).step_by(1_000_000);
            events.extend(beats.map(|at_us| Event { seq: 0, at_us, scenario: 1, what: what.clone() }));
        }
    }
    number(events)
}

fn is_sign(what: &Occurrence, observer: &str, target: &str) -> bool {
    watchers::sign_of_life(what) == Some((observer, target))
}

#[test]
fn a_run_with_every_observer_passes() {
    let verdict = verdict_of(&released(clean()));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
}

#[test]
fn a_history_that_names_no_schema_beside_a_plan_that_does_is_inconclusive() {
    let plans = BTreeMap::from([(1, Plan { schema: SCHEMA, ..plan(false) })]);
    let verdict = judge(&plans, &clean());
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(verdict.scenarios[0].findings.iter().any(|own| own.summary.contains("they are not of one run")));
    assert_eq!(judge(&plans, &released(clean())).outcome, Outcome::Pass);
}

#[test]
fn each_observer_that_the_plan_implies_must_have_lived() {
    let plan = plan(false);
    for watcher in watchers::ALL {
        for target in (watcher.targets)(&plan) {
            let verdict = verdict_of(&without(released(clean()), |what| is_sign(what, watcher.observer, &target)));
            assert_unproven(&verdict, "harness_was_sound");
            let summary = &finding(&verdict, "harness_was_sound").summary;
            let told = format!("the observer {} of {target} never gave a sign of life", watcher.observer);
            assert!(summary.contains(&told), "{summary}");
        }
    }
}

#[test]
fn timers_that_nobody_watched_are_inconclusive() {
    let unwatched = |events| without(events, |what| is_sign(what, "timers", "harness"));
    assert_unproven(&verdict_of(&unwatched(released(clean()))), "harness_was_sound");
    assert_unproven(&verdict_of(&unwatched(clean())), "harness_was_sound");
}

#[test]
fn an_observer_that_began_long_after_the_steady_state_or_ended_early_is_inconclusive() {
    for (from_us, until_us) in [(5_700_000, u64::MAX), (0, 500_000)] {
        let mut events = released(clean());
        events
            .retain(|event| !is_sign(&event.what, "haproxy", "proxy1") || (from_us..=until_us).contains(&event.at_us));
        let verdict = verdict_of(&number(events));
        assert_unproven(&verdict, "harness_was_sound");
        let summary = &finding(&verdict, "harness_was_sound").summary;
        assert!(
            summary.contains("haproxy of proxy1 gave no sign of life for 5.") || summary.contains("never"),
            "{summary}"
        );
    }
}

#[test]
fn without_a_steady_state_nobody_asks_for_observers_that_were_not_started() {
    let events = without(clean(), |what| {
        is_milestone(what, Milestone::SteadyState) || matches!(what, Occurrence::ObserverAlive { .. })
    });
    let verdict = verdict_of(&events);
    let sound = finding(&verdict, "harness_was_sound");
    assert!(!sound.summary.contains("never gave a sign"), "{}", sound.summary);
}

#[test]
fn without_a_session_that_was_held_through_the_fault_an_old_primary_may_have_gone_on_unseen() {
    let held = |endpoint: Option<&'static str>| {
        let gone = move |what: &Occurrence| {
            matches!(what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Held
                && endpoint.is_none_or(|endpoint| attempt.endpoint == endpoint))
        };
        // The ledger keeps what they wrote: only who is said to have written it changes.
        let mut events = released(clean());
        for event in &mut events {
            if gone(&event.what)
                && let Occurrence::Attempt(attempt) = &mut event.what
            {
                attempt.client_kind = ClientKind::Fresh;
            }
        }
        verdict_of(&events)
    };
    assert_unproven(&held(None), "load_was_real");
    for endpoint in ["write", "node1", "node3"] {
        let verdict = held(Some(endpoint));
        assert_unproven(&verdict, "load_was_real");
        assert!(finding(&verdict, "load_was_real").summary.contains(&format!("no session with {endpoint} ")));
    }
}

#[test]
fn a_node_that_no_fresh_client_tried_any_more_is_inconclusive() {
    let mut events = released(clean());
    events.retain(|event| {
        !matches!(&event.what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh
            && attempt.endpoint == "node3" && attempt.started_us > 610_000)
    });
    // Between the steady state and the end of the load lie less than five seconds: stretch the end.
    for event in events.iter_mut().filter(|event| event.at_us > 5_300_000) {
        event.at_us += 5_000_000;
        if let Occurrence::Attempt(attempt) = &mut event.what {
            attempt.started_us += 5_000_000;
        }
    }
    let verdict = verdict_of(&number(events));
    let summary = &finding(&verdict, "load_was_real").summary;
    assert!(summary.contains("no fresh client tried node3 for"), "{summary}");
}

/// A failover at 6 s whose load ends at 14 s.
fn long(expected: Vec<(&'static str, &'static str, Bound)>) -> Vec<Event> {
    run(&[Course {
        expected,
        fault_ms: 6000,
        routed_until_ms: 6000,
        old_until_ms: 6000,
        key: Some((6600, 6700)),
        direct_ms: 6900,
        up_ms: 7100,
        heal_ms: 9200,
        rejoined_ms: 9400,
        stop_ms: 14_000,
        ..Course::default()
    }])
}

/// Without what these clients began from an instant on.
fn gone(events: Vec<Event>, from_ms: u64, kinds: &[ClientKind]) -> Vec<Event> {
    without(events, |what| {
        is_attempt(what, |own| own.started_us > (100 + from_ms) * 1000 && kinds.contains(&own.client_kind))
    })
}

#[test]
fn clients_that_are_gone_long_before_the_load_ends_see_nothing() {
    let every = [ClientKind::Fresh, ClientKind::Writer, ClientKind::Held];
    for (kinds, why) in [(&every[..], "every client had been gone for 5."), (&every[1..], "writer 2 tried nothing")] {
        let verdict = verdict_of(&gone(long(Vec::new()), 8500, kinds));
        let summary = &finding(&verdict, "load_was_real").summary;
        assert_eq!(finding(&verdict, "load_was_real").outcome, Outcome::Inconclusive, "{summary}");
        assert!(summary.contains(why), "{summary}");
    }
    // A wait that nobody goes on with has no end that was seen.
    let expected = vec![("recovery_time", "longest_client_gap_ms", Bound::AtMost(1400.0))];
    assert_unproven(&verdict_of(&gone(long(expected), 8500, &[ClientKind::Writer])), "load_was_real");
}

#[test]
fn a_held_session_goes_on_until_an_attempt_shows_that_it_broke() {
    let verdict = |outcome: Option<AttemptOutcome>| {
        let mut events = released(long(Vec::new()));
        for event in &mut events {
            if let Occurrence::Attempt(attempt) = &mut event.what
                && attempt.client_kind == ClientKind::Held
                && let Some(outcome) = &outcome
            {
                attempt.outcome = outcome.clone();
            }
        }
        finding(&verdict_of(&events), "load_was_real").clone()
    };
    let vanished = verdict(None);
    assert_eq!(vanished.outcome, Outcome::Inconclusive);
    assert!(vanished.summary.contains("and had not broken"), "{}", vanished.summary);
    let broke = AttemptOutcome::Unknown { message: "connection reset".to_owned() };
    assert_eq!(verdict(Some(broke)).outcome, Outcome::Pass);
}
