//! What commits cost that wait for synchronous standbys.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Expectation, Milestone, NodeState, Role},
    },
};

use super::{
    course::{number, plan},
    standby_region::{attempt, event, fault},
    value,
};

const NAME: &str = "cost";

/// From second to second: what the standbys are, how long a write takes, and how often one begins, in milliseconds.
type Second = (&'static [&'static str], u64, u64);

const NONE: Second = (&["async", "async"], 2, 10);
const ONE: Second = (&["sync", "potential"], 5, 10);
const TWO: Second = (&["sync", "sync"], 8, 20);

/// Each of these lasts three seconds; the first begins with the steady state.
fn happen(seconds: &[Second]) -> Vec<Event> {
    let mut events = vec![event(0, Occurrence::Reached { milestone: Milestone::SteadyState })];
    for (index, (standbys, latency_ms, every_ms)) in seconds.iter().enumerate() {
        let begin_ms = index as u64 * 3_000;
        for ms in (begin_ms..begin_ms + 3_000).step_by(250) {
            events.push(event(ms, seen(ms, standbys)));
        }
        for ms in (begin_ms..begin_ms + 3_000).step_by(*every_ms as usize) {
            let outcome = AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: ms + 1 };
            let mut write = attempt(ClientKind::Writer, "write", (1, ms + 1), ms, outcome);
            write.at_us = (ms + latency_ms) * 1000;
            events.push(write);
        }
    }
    let stop_ms = seconds.len() as u64 * 3_000;
    events.push(event(stop_ms, Occurrence::Reached { milestone: Milestone::LoadStopped }));
    events.sort_by_key(|event| event.at_us);
    number(events)
}

fn seen(ms: u64, standbys: &[&str]) -> Occurrence {
    let standbys: BTreeMap<String, String> =
        ["node2", "node3"].iter().zip(standbys).map(|(node, how)| ((*node).to_owned(), (*how).to_owned())).collect();
    Occurrence::NodeState(NodeState {
        node: "node1".to_owned(),
        reachable: true,
        role: Some(Role::Primary),
        timeline: Some(1),
        lsn: Some(ms),
        streaming_from: None,
        standbys,
        asked_us: Some(ms * 1000),
    })
}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

fn expecting(mut events: Vec<Event>, measure: &str, most: f64) -> Vec<Event> {
    let (check, measure, bound) = (NAME.to_owned(), measure.to_owned(), Bound::AtMost(most));
    let text = "a commit costs no more".to_owned();
    events.push(event(0, Occurrence::Expected(Expectation { of: None, check, measure, bound, text, line: 1 })));
    number(events)
}

#[test]
fn medians_are_compared_by_the_standbys_that_the_primary_was_seen_with() {
    let found = one(&happen(&[NONE, ONE, TWO]));
    let values = ["commit_0_ms", "commit_ratio_1", "commit_cost_1_ms", "commit_ratio_2", "commit_cost_2_ms"];
    assert_eq!(values.map(|measure| value(&found, measure)), [2.0, 2.5, 3.0, 4.0, 6.0], "{found:#?}");
    let throughput = ["throughput_ratio_1", "throughput_ratio_2"].map(|measure| value(&found, measure));
    assert!((throughput[0] - 1.0).abs() < 0.02 && (throughput[1] - 0.5).abs() < 0.02, "{throughput:?}");
    assert!(found.summary.contains("2.0 ms with none, 5.0 ms with one (2.5 times as long"), "{}", found.summary);
}

#[test]
fn a_bound_is_held_against_the_ratio() {
    for (most, outcome) in [(2.67, Outcome::Pass), (2.4, Outcome::Fail)] {
        let found = one(&expecting(happen(&[NONE, ONE]), "commit_ratio_1", most));
        assert_eq!(found.outcome, outcome, "{found:#?}");
    }
    // Nobody waited for two.
    let found = one(&expecting(happen(&[NONE, ONE]), "commit_ratio_2", 5.0));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}

#[test]
fn what_can_not_be_told_apart_is_not_compared() {
    assert_eq!(judged(&happen(&[ONE, TWO])), [], "none is what the others are compared with");
    assert_eq!(
        judged(&happen(&[NONE, (&["quorum", "quorum"], 5, 10)])),
        [],
        "any of a quorum may have been waited for"
    );
    assert_eq!(judged(&happen(&[NONE, (&["sync", "potential"], 5, 40)])), [], "too few writes");
    let asked = one(&expecting(happen(&[NONE]), "commit_ratio_1", 2.67));
    assert_eq!(asked.outcome, Outcome::Inconclusive);
}

#[test]
fn writes_after_a_fault_and_those_that_span_a_change_say_nothing() {
    // The slow ones come after the fault.
    let mut events = happen(&[NONE, ONE, (&["sync", "potential"], 400, 10)]);
    events.push(event(6_000, fault()));
    events.sort_by_key(|event| event.at_us);
    assert_eq!(value(&one(&number(events)), "commit_ratio_1"), 2.5);
    // A write that began with none and ended with one standby belongs to neither.
    let mut events = happen(&[NONE, ONE]);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &event.what
            && attempt.started_us == 2_990_000
        {
            event.at_us = 5_000_000;
        }
    }
    events.sort_by_key(|event| event.at_us);
    assert_eq!(value(&one(&number(events)), "commit_0_ms"), 2.0);
    // Nor does one that ended while nobody looked.
    let mut events = happen(&[NONE, ONE]);
    events.retain(|event| !matches!(event.what, Occurrence::NodeState(_)) || event.at_us < 3_000_000);
    assert_eq!(judged(&events), []);
}

#[test]
fn commits_that_wait_for_no_standby_have_no_price() {
    for (setting, findings) in [("local", 0), ("off", 0), ("LOCAL", 0), ("remote_write", 1), ("on", 1)] {
        let mut plan = plan(false);
        let parameters = &mut plan.topology.settings.postgresql.parameters;
        parameters.insert("synchronous_commit".to_owned(), setting.to_owned());
        let own = (find(NAME).expect("the check").judge)(&Evidence::new(&plan, None, &happen(&[NONE, ONE])));
        assert_eq!(own.len(), findings, "{setting}: {own:#?}");
    }
}
