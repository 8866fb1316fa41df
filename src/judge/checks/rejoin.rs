//! Did every node come back and follow the new primary?
//!
//! Judged at the moment when the ledgers were read, or the load ended: exactly one node is primary, and every other
//! node is a standby on the primary's timeline that streams. A node that a fault hit and that was never healed is not
//! asked for. `rejoin_ms` is the time from a fault proven gone to the first such state of the nodes that it had hit,
//! the slowest of them; a primary that stayed one is back when it accepts writes again.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome,
    phases::milliseconds,
    record::{FaultRecord, faults, reached_us, watched_span},
};
use crate::{
    history::{
        Event, Occurrence,
        event::{Milestone, NodeState},
    },
    topology::ServiceKind,
};

const NAME: &str = "rejoin";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did every node, the old primary first of all, come back and stream from the new primary?",
    measures: &["rejoin_ms", "missing_nodes"],
    safety: true,
    judge,
};

/// What is known of a node is old after this time: its observer records at least once a second.
pub const STALE_US: u64 = 5_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let inconclusive = |why: &str| vec![Finding::new(NAME, Outcome::Inconclusive, why)];
    if reached_us(evidence.events, Milestone::LoadStopped).is_none() {
        return inconclusive("the history breaks off before the end of the load, so who rejoined is unknown");
    }
    let (_, until_us) = watched_span(evidence.events);
    let faults = faults(evidence.events);
    let last = last_states(evidence.events, until_us);
    let asked: Vec<&str> =
        evidence.plan.nodes.iter().map(String::as_str).filter(|node| !is_down(&faults, node)).collect();
    for node in &asked {
        let fresh = last.get(node).is_some_and(|(at_us, ..)| until_us.saturating_sub(*at_us) <= STALE_US);
        if !fresh {
            return inconclusive(&format!("the state of {node} in the end was not observed"));
        }
    }
    let primaries: Vec<&str> = asked.iter().copied().filter(|node| last[node].2.is_primary()).collect();
    let [primary] = primaries[..] else {
        let summary = match primaries.is_empty() {
            true => "no node is primary in the end".to_owned(),
            false => format!("{} are primary in the end", primaries.join(" and ")),
        };
        let evidence = last.values().map(|(_, seq, _)| *seq);
        return vec![Finding::new(NAME, Outcome::Fail, summary).with_evidence(evidence)];
    };
    let timeline = last[primary].2.timeline;
    let follows = |node: &&str| *node == primary || last[node].2.streams_on(timeline);
    let missing: Vec<&str> = asked.iter().copied().filter(|node| !follows(node)).collect();
    let rejoined = rejoin_us(evidence.events, &faults, &asked, primary, timeline);
    let finding = finding(&missing, primary, &last, rejoined);
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    expectations.iter().map(|expectation| finding.clone().held_against(expectation)).collect()
}

/// The last state of each node: when, its event and the state.
type States<'a> = BTreeMap<&'a str, (u64, u64, &'a NodeState)>;

fn last_states(events: &[Event], until_us: u64) -> States<'_> {
    let mut last = States::new();
    for event in events.iter().filter(|event| event.at_us <= until_us) {
        if let Occurrence::NodeState(state) = &event.what {
            last.insert(&state.node, (event.at_us, event.seq, state));
        }
    }
    last
}

/// Whether a fault took the node away for good.
fn is_down(faults: &[FaultRecord<'_>], node: &str) -> bool {
    faults.iter().any(|fault| fault.hits(node, ServiceKind::Patroni.name()) && fault.healing_us.is_none())
}

/// The slowest return of a node that a healed fault had hit; `None` if no such node had to return.
fn rejoin_us(
    events: &[Event],
    faults: &[FaultRecord<'_>],
    asked: &[&str],
    primary: &str,
    timeline: Option<u32>,
) -> Option<u64> {
    // A primary that was restarted in place, or got the leader key back, is in its place too.
    let in_place = |state: &NodeState| match state.node == primary {
        true => state.is_primary() && state.timeline == timeline,
        false => state.streams_on(timeline),
    };
    let back = |node: &&str| {
        let healed = faults.iter().filter(|fault| fault.touches(node)).filter_map(|fault| fault.healed_us).max()?;
        let mut own = events.iter().filter_map(|event| match &event.what {
            Occurrence::NodeState(state) if state.node == **node => Some((event.at_us, in_place(state))),
            _ => None,
        });
        // It may have been back before the proof was there that the fault is gone.
        let before = own.clone().take_while(|(at_us, _)| *at_us < healed).last();
        if before.is_some_and(|(_, streams)| streams) {
            return Some(0);
        }
        own.find(|(at_us, streams)| *at_us >= healed && *streams).map(|(at_us, _)| at_us - healed)
    };
    asked.iter().filter_map(back).max()
}

fn finding(missing: &[&str], primary: &str, last: &States<'_>, rejoined: Option<u64>) -> Finding {
    let evidence = last.values().map(|(_, seq, _)| *seq);
    let rejoin_ms = rejoined.map(|us| Measure::new("rejoin_ms", milliseconds(us)));
    let missing_nodes = Measure::new("missing_nodes", missing.len() as f64);
    let (outcome, summary) = if missing.is_empty() {
        let after = rejoined.map(|us| format!(", {:.1} s after the fault was healed", milliseconds(us) / 1000.0));
        (Outcome::Pass, format!("every node streams from {primary} on its timeline{}", after.unwrap_or_default()))
    } else {
        let words: Vec<_> = missing.iter().map(|node| state_words(node, last)).collect();
        (Outcome::Fail, format!("not every node follows {primary} in the end: {}", words.join("; ")))
    };
    Finding::new(NAME, outcome, summary)
        .with_measure(missing_nodes)
        .with_details(rejoin_ms.into_iter().collect())
        .with_evidence(evidence)
}

fn state_words(node: &str, last: &States<'_>) -> String {
    let Some((_, _, state)) = last.get(node) else { return format!("{node} was not seen") };
    if !state.reachable {
        return format!("{node} does not answer");
    }
    let timeline = state.timeline.map_or("an unknown timeline".to_owned(), |number| format!("timeline {number}"));
    match state.streaming_from {
        Some(_) => format!("{node} streams, but is on {timeline}"),
        None => format!("{node} is on {timeline} and does not stream"),
    }
}
