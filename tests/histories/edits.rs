//! Changes to a history, and what a verdict must say of it.

use std::collections::{BTreeMap, BTreeSet};

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, ClientKind, FaultInjecting, Milestone, NodeState, Operation, Role, SequenceRange,
        },
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

/// The history with these events left out, and with the attempts among them the rows that they wrote.
pub fn without(events: Vec<Event>, unwanted: impl Fn(&Occurrence) -> bool) -> Vec<Event> {
    let (left_out, kept): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| unwanted(&event.what));
    let ids = left_out.iter().filter_map(|event| match &event.what {
        Occurrence::Attempt(attempt) => Some((attempt.client, attempt.sequence)),
        _ => None,
    });
    let ids: BTreeSet<_> = ids.collect();
    number(with_ledgers(kept, |_, found| {
        let spared = |range: &SequenceRange| {
            let SequenceRange { client, from, to } = *range;
            let own = (from..=to).filter(|sequence| !ids.contains(&(client, *sequence)));
            own.map(|sequence| SequenceRange { client, from: sequence, to: sequence }).collect::<Vec<_>>()
        };
        if !ids.is_empty() {
            *found = found.iter().flat_map(spared).collect();
        }
    }))
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

/// The nodes of every history here.
pub const ALL: &[&str] = &["node1", "node2", "node3"];

/// The ledgers of these nodes without the rows of acknowledged writes as described by node, timeline and position.
pub fn losing(events: Vec<Event>, nodes: &[&str], lost: impl Fn(&str, u32, u64) -> bool) -> Vec<Event> {
    let ids: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Attempt(attempt) => match &attempt.outcome {
                AttemptOutcome::Acknowledged { node, timeline, lsn } if lost(node, *timeline, *lsn) => {
                    Some((attempt.client, attempt.sequence))
                }
                _ => None,
            },
            _ => None,
        })
        .collect();
    assert!(!ids.is_empty(), "nothing would be lost");
    with_ledgers(events, |node, found| {
        if nodes.contains(&node) {
            let rows = found.iter().flat_map(|range| (range.from..=range.to).map(|sequence| (range.client, sequence)));
            let kept = rows.filter(|id| !ids.contains(id));
            *found = kept.map(|(client, own)| SequenceRange { client, from: own, to: own }).collect();
        }
    })
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

/// A node that gives its observer no answer.
pub fn silence(state: &mut NodeState) {
    (state.reachable, state.role, state.timeline, state.lsn, state.streaming_from) = (false, None, None, None, None);
    state.standbys.clear();
}

/// The history with the states of a node changed that were recorded from one instant on and before another, in
/// microseconds on the run's clock.
pub fn with_states(
    mut events: Vec<Event>,
    of: &str,
    (from_us, to_us): (u64, u64),
    change: impl Fn(&mut NodeState),
) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == of
            && (from_us..to_us).contains(&event.at_us)
        {
            change(state);
        }
    }
    events
}

/// A look at a standby that streams from another node.
pub fn standby(node: &str, source: &str, timeline: u32, lsn: u64) -> Occurrence {
    let Occurrence::NodeState(state) = primary(node, timeline, lsn) else { unreachable!() };
    let streaming_from = Some(source.to_owned());
    Occurrence::NodeState(NodeState { role: Some(Role::Standby), streaming_from, ..state })
}

/// The word of a node that says that it is primary.
pub fn primary(node: &str, timeline: u32, lsn: u64) -> Occurrence {
    Occurrence::NodeState(NodeState {
        node: node.to_owned(),
        reachable: true,
        role: Some(Role::Primary),
        timeline: Some(timeline),
        lsn: Some(lsn),
        streaming_from: None,
        standbys: BTreeMap::new(),
        asked_us: None,
    })
}

/// A write that a node acknowledged to a session of its own.
pub fn write(node: &str, timeline: u32, started_ms: u64) -> Occurrence {
    Occurrence::Attempt(Attempt {
        client_kind: ClientKind::Held,
        endpoint: node.to_owned(),
        operation: Operation::Write,
        client: 99,
        sequence: started_ms,
        started_us: (100 + started_ms) * 1000,
        outcome: AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: 1 },
        saw: None,
        led_to: None,
    })
}

pub fn is_attempt(what: &Occurrence, wanted: impl Fn(&Attempt) -> bool) -> bool {
    matches!(what, Occurrence::Attempt(attempt) if wanted(attempt))
}

/// The history with another fault, of the proxy.
pub fn with_another_fault(events: Vec<Event>, injecting_ms: u64, effect_ms: u64) -> Vec<Event> {
    let second = FaultInjecting {
        fault: 2,
        name: "service_kill".to_owned(),
        target: "the proxy".to_owned(),
        hosts: vec!["proxy1".to_owned()],
        services: vec!["proxy1/haproxy".to_owned()],
        parameters: BTreeMap::new(),
        hands_over: false,
        worst: Default::default(),
        primary_before: None,
        dcs_leader_before: None,
    };
    let events = with(events, injecting_ms, Occurrence::FaultInjecting(second));
    let (effect_from_us, effect_to_us) = ((effect_ms + 100) * 1000, (effect_ms + 105) * 1000);
    let evidence = "gone".to_owned();
    let confirmed = Occurrence::FaultConfirmed { fault: 2, effect_from_us, effect_to_us, evidence };
    with(events, effect_ms + 15, confirmed)
}

/// The history in which these attempts were refused; what they wrote is in no ledger.
pub fn refused(mut events: Vec<Event>, which: impl Fn(&Attempt) -> bool) -> Vec<Event> {
    let mut gone = BTreeSet::new();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && which(attempt)
        {
            gone.insert((attempt.client, attempt.sequence));
            attempt.outcome =
                AttemptOutcome::Refused { sqlstate: None, message: "no connection".to_owned(), contact: None };
        }
    }
    with_ledgers(events, |_, found| {
        let rows = found.iter().flat_map(|range| (range.from..=range.to).map(|sequence| (range.client, sequence)));
        let kept: Vec<_> = rows.filter(|row| !gone.contains(row)).collect();
        *found = kept.into_iter().map(|(client, from)| SequenceRange { client, from, to: from }).collect();
    })
}

/// The history in which everybody who writes through the endpoint is refused from one instant to another.
pub fn unserved(events: Vec<Event>, from_ms: u64, to_ms: u64) -> Vec<Event> {
    let span = (100 + from_ms) * 1000..(100 + to_ms) * 1000;
    refused(events, |attempt| attempt.endpoint == "write" && span.contains(&attempt.started_us))
}

/// The history in which what starts at the write endpoint from one instant on is answered only at another.
pub fn hung(mut events: Vec<Event>, from_ms: u64, to_ms: u64) -> Vec<Event> {
    let span = (100 + from_ms) * 1000..(100 + to_ms) * 1000;
    for event in &mut events {
        if is_attempt(&event.what, |attempt| attempt.endpoint == "write" && span.contains(&attempt.started_us)) {
            event.at_us = span.end;
        }
    }
    number(events)
}

/// The history with a prober of the endpoint for reads. `answer` says who answers at an instant, on which timeline.
pub fn with_reads(
    mut events: Vec<Event>,
    until_ms: u64,
    answer: impl Fn(u64) -> Option<(&'static str, u32)>,
) -> Vec<Event> {
    for (sequence, ms) in (1..).zip((300..until_ms).step_by(50)) {
        let outcome = match answer(ms) {
            Some((node, timeline)) => AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: 0 },
            None => AttemptOutcome::Refused { sqlstate: None, message: "no connection".to_owned(), contact: None },
        };
        let attempt = Attempt {
            client_kind: ClientKind::Fresh,
            endpoint: "read".to_owned(),
            operation: Operation::Read,
            client: 90,
            sequence,
            started_us: (100 + ms) * 1000,
            outcome,
            saw: None,
            led_to: None,
        };
        events.push(Event { seq: 0, at_us: (104 + ms) * 1000, scenario: 1, what: Occurrence::Attempt(attempt) });
    }
    number(events)
}
