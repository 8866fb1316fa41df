//! How much WAL did a node lack when it was promoted?
//!
//! A promotion is a new timeline after the first fault. Its history file tells where it left the old one, which is how
//! far the node had come; the highest position that the old timeline's writer is known to have reached (by the node's own
//! word, or by a write that it acknowledged) until the node was elected is how far it should have been. What an old
//! primary writes after that is not counted: it is the business of `single_writer` and `data_loss`.
//!
//! Patroni holds a candidate to `maximum_lag_on_failover` by the position that the primary told the DCS in its last loop,
//! so what was written since then may be missing beyond that. Here the real position counts.
//!
//! Without an expectation the check passes and states the figure, if there was a promotion. A promotion from a timeline
//! on which nobody saw a position is inconclusive.

use super::{
    Check, Evidence, Finding, Measure, Outcome,
    record::{KeyChange, Tried, attempts, faults, leader_key},
};
use crate::{
    history::{
        Occurrence,
        event::{AttemptOutcome, NodeState},
    },
    quantity::written::number,
};

const NAME: &str = "promotion";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How much of the old primary's WAL did a node lack when it was promoted?",
    measures: &["promoted_behind_bytes", "promotions"],
    safety: true,
    judge,
};

/// A node's rise to primary on a timeline of its own.
struct Promotion<'a> {
    node: &'a str,
    timeline: u32,
    parent: u32,
    /// What it lacked of its parent, in bytes, and the event that shows the most; `None` if nobody saw a position there.
    lacked: Option<(u64, u64)>,
    evidence: [u64; 2],
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(first_fault) = faults(evidence.events).into_iter().next() else { return Vec::new() };
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let all = attempts(evidence.events);
    let promotions = promotions(evidence, &all, first_fault.injecting_us);
    if promotions.is_empty() && expectations.is_empty() {
        return Vec::new();
    }
    let base = finding(&promotions).with_details(vec![Measure::new("promotions", promotions.len() as f64)]);
    if expectations.is_empty() {
        return vec![base];
    }
    expectations.iter().map(|expectation| base.clone().held_against(expectation)).collect()
}

/// What the promotion says that lacked most, or one of which that is not known.
fn finding(promotions: &[Promotion<'_>]) -> Finding {
    let measured = |bytes: u64| Measure::new("promoted_behind_bytes", bytes as f64);
    if let Some(Promotion { node, timeline, parent, .. }) = promotions.iter().find(|own| own.lacked.is_none()) {
        let summary =
            format!("{node} was promoted to timeline {timeline}, and nobody saw what was written on timeline {parent}");
        return Finding::new(NAME, Outcome::Inconclusive, summary);
    }
    let lacked = promotions.iter().filter_map(|own| Some((own, own.lacked?)));
    let Some((worst, (bytes, seq))) = lacked.max_by_key(|(_, lacked)| lacked.0) else {
        return Finding::new(NAME, Outcome::Pass, "no node was promoted").with_measure(measured(0));
    };
    let summary = format!(
        "{} was promoted to timeline {} and lacked {} bytes of WAL that were written by then",
        worst.node,
        worst.timeline,
        number(bytes as f64)
    );
    let finding = Finding::new(NAME, Outcome::Pass, summary).with_measure(measured(bytes));
    finding.with_evidence(worst.evidence.into_iter().chain([seq]))
}

/// Every timeline that was begun after the first fault.
fn promotions<'a>(evidence: &Evidence<'a>, all: &[Tried<'a>], after_us: u64) -> Vec<Promotion<'a>> {
    let keys = leader_key(evidence.events);
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for event in evidence.events {
        let Occurrence::TimelineSwitch { parent, timeline, switch_lsn, .. } = &event.what else { continue };
        if seen.contains(timeline) {
            continue;
        }
        seen.push(*timeline);
        let Some((node, primary_us, seq)) = first_sign(evidence, all, *timeline) else { continue };
        if event.at_us.min(primary_us) >= after_us {
            let written = written(evidence, all, *parent, elected_us(&keys, node, primary_us));
            found.push(Promotion {
                node,
                timeline: *timeline,
                parent: *parent,
                lacked: written.map(|(lsn, seq)| (lsn.saturating_sub(*switch_lsn), seq)),
                evidence: [event.seq, seq],
            });
        }
    }
    found
}

/// Who was first seen to write on a timeline, when, and the event that shows it.
fn first_sign<'a>(evidence: &Evidence<'a>, all: &[Tried<'a>], timeline: u32) -> Option<(&'a str, u64, u64)> {
    let states = primary_states(evidence).filter(|(state, ..)| state.timeline == Some(timeline));
    let states = states.map(|(state, at_us, seq)| (state.node.as_str(), at_us, seq));
    let writes = all.iter().filter(|tried| tried.is_write()).filter_map(|tried| {
        let (node, _) = tried.answered_by().filter(|(_, own)| *own == timeline)?;
        Some((node, tried.ended_us, tried.seq))
    });
    states.chain(writes).min_by_key(|(_, at_us, _)| *at_us)
}

fn primary_states<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = (&'a NodeState, u64, u64)> {
    evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::NodeState(state) if state.is_primary() => Some((state, event.at_us, event.seq)),
        _ => None,
    })
}

/// When the node got the leader key, before it was seen as a primary; that instant if nobody saw the key.
fn elected_us(keys: &[KeyChange<'_>], node: &str, primary_us: u64) -> u64 {
    let mut own = keys.iter().filter(|change| change.holder == Some(node) && change.at_us <= primary_us);
    own.next_back().map_or(primary_us, |change| change.at_us)
}

/// The highest position on a timeline that anyone saw until an instant, and the event that shows it.
fn written(evidence: &Evidence<'_>, all: &[Tried<'_>], on: u32, until_us: u64) -> Option<(u64, u64)> {
    let states = primary_states(evidence)
        .filter(|(state, at_us, _)| *at_us <= until_us && state.timeline == Some(on))
        .filter_map(|(state, _, seq)| Some((state.lsn?, seq)));
    let writes = all.iter().filter(|tried| tried.is_write() && tried.ended_us <= until_us);
    let writes = writes.filter_map(|tried| match &tried.attempt.outcome {
        AttemptOutcome::Acknowledged { timeline, lsn, .. } if *timeline == on && *lsn > 0 => Some((*lsn, tried.seq)),
        _ => None,
    });
    states.chain(writes).max()
}
