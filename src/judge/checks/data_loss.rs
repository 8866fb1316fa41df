//! Which acknowledged writes are missing after all nodes have rejoined?
//!
//! A write is lost when its client got the confirmation of its commit and the final primary does not hold it. A write
//! whose fate is unknown (the connection broke around COMMIT) is neither lost nor kept, and counted apart. A write that
//! was refused must not be there: if it is, the database or the harness lies, and that is a failure of its own. So is
//! a standby that holds other rows than the primary.
//!
//! # What is a failure without an expectation
//!
//! - With `synchronous_mode` any loss: an RPO of 0 is what it promises.
//! - Without it, a loss that reaches back more than [`ASYNC_RPO_MS`]: the documented claim RPO-5-ASYNC. A smaller loss
//!   passes with its figures in the summary: asynchronous replication promises no more.
//!
//! A scenario that states what it expects of an asynchronous topology is judged by that instead.
//!
//! # How a loss is measured
//!
//! In rows; in time, from the acknowledgement of the earliest lost write to the fault's effect (see
//! [`Failover::effect_us`]) or the last lost acknowledgement, whichever is later; and in WAL bytes, from the place where
//! the new timeline left the old one (its history file tells it) to the highest position at which a lost write was
//! acknowledged on the old one.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome,
    phases::{Failover, failovers, milliseconds},
    record::{Tried, attempts, reached_us},
    rows::Rows,
};
use crate::{
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, Milestone},
    },
    quantity::written::number,
};

const NAME: &str = "data_loss";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Which acknowledged writes are missing after all nodes have rejoined?",
    measures: &[
        "lost_rows",
        "lost_ms",
        "lost_wal_bytes",
        "acknowledged_rows",
        "unknown_rows",
        "unknown_found_rows",
        "unknown_missing_rows",
        "refused_but_kept_rows",
        "diverged_rows",
        "unrecorded_rows",
    ],
    safety: true,
    judge,
};

/// The loss that document 002 allows asynchronous replication (claim RPO-5-ASYNC).
pub const ASYNC_RPO_MS: f64 = 5000.0;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let all = attempts(evidence.events);
    let writes: Vec<Tried<'_>> = all.into_iter().filter(Tried::is_write).collect();
    let ledgers = match Ledgers::read(evidence, &writes) {
        Ok(ledgers) => ledgers,
        Err(doubt) => return vec![Finding::new(NAME, Outcome::Inconclusive, doubt)],
    };
    let primary = &ledgers.rows[ledgers.primary];
    let loss = Loss::new(evidence, &writes, primary);
    let unread = ledgers.unread.iter().map(|doubt| Finding::new(NAME, Outcome::Inconclusive, doubt.as_str()));
    if loss.lost.is_empty() && !ledgers.unread.is_empty() {
        return unread.collect();
    }
    let divergence = ledgers.divergence();
    let mut findings = judge_loss(evidence, &ledgers, &loss, divergence.iter().map(|(_, rows)| rows).sum());
    findings.extend(judge_refused(&loss));
    if !divergence.is_empty() {
        findings.push(judge_divergence(evidence, &ledgers, &divergence));
    }
    findings.extend(unread);
    findings
}

/// What each node holds in the end.
struct Ledgers<'a> {
    primary: &'a str,
    rows: BTreeMap<&'a str, Rows>,
    /// Of whom nothing is known, with the reason: a loss on the primary is one all the same, but no loss is no proof.
    unread: Vec<String>,
    evidence: Vec<u64>,
}

impl<'a> Ledgers<'a> {
    /// The ledgers of all nodes, or why they prove nothing.
    fn read(evidence: &Evidence<'a>, writes: &[Tried<'_>]) -> Result<Self, String> {
        if !writes.iter().any(Tried::acknowledged) {
            return Err("no write was acknowledged, so none could be lost".to_owned());
        }
        if let Some((client, sequence)) = written_twice(writes) {
            return Err(format!("two attempts are both write {sequence} of client {client}: rows can't be told apart"));
        }
        let stopped_us = reached_us(evidence.events, Milestone::LoadStopped)
            .ok_or("the load had not ended, so no ledger was final")?;
        let (mut rows, mut timelines, mut seqs) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let mut unread: BTreeMap<&str, &str> = BTreeMap::new();
        for event in evidence.events.iter().filter(|event| event.at_us >= stopped_us) {
            match &event.what {
                Occurrence::LedgerRead { node, timeline, found, .. } => {
                    rows.insert(node.as_str(), Rows::new(found));
                    timelines.insert(node.as_str(), *timeline);
                    unread.remove(node.as_str());
                    seqs.push(event.seq);
                }
                Occurrence::LedgerUnread { node, reason } => {
                    rows.remove(node.as_str());
                    unread.insert(node, reason);
                }
                _ => {}
            }
        }
        let nodes = evidence.plan.nodes.iter().map(String::as_str).filter(|node| !rows.contains_key(node));
        let unread: Vec<String> = nodes
            .map(|node| {
                let reason = unread.get(node).map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("the ledger of {node} was not read{reason}, so what it holds is unknown")
            })
            .collect();
        let nobody = "it is not known which node was primary in the end, so whose rows count is unknown";
        let primary =
            final_primary(evidence.events, &timelines).ok_or_else(|| unread.first().map_or(nobody, String::as_str))?;
        Ok(Self { primary, rows, unread, evidence: seqs })
    }

    /// Standbys that hold other rows than the primary, with the number of rows that differ.
    fn divergence(&self) -> Vec<(&'a str, u64)> {
        let primary = &self.rows[self.primary];
        let differs = |(node, rows): (&&'a str, &Rows)| (*node, primary.missing_in(rows) + rows.missing_in(primary));
        self.rows.iter().map(differs).filter(|(_, rows)| *rows > 0).collect()
    }
}

fn written_twice(writes: &[Tried<'_>]) -> Option<(u32, u64)> {
    let mut ids: Vec<_> = writes.iter().map(|tried| (tried.attempt.client, tried.attempt.sequence)).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// The node that was primary when the ledgers were read; of several, the one on the highest timeline.
fn final_primary<'a>(events: &'a [Event], timelines: &BTreeMap<&'a str, u32>) -> Option<&'a str> {
    let last_read_us = events
        .iter()
        .filter(|event| matches!(event.what, Occurrence::LedgerRead { .. }))
        .map(|event| event.at_us)
        .max()?;
    let mut primaries: BTreeMap<&str, bool> = BTreeMap::new();
    for event in events.iter().filter(|event| event.at_us <= last_read_us) {
        if let Occurrence::NodeState(state) = &event.what {
            primaries.insert(&state.node, state.is_primary());
        }
    }
    let primary = |node: &&&str| primaries.get(**node) == Some(&true);
    timelines.keys().filter(primary).max_by_key(|node| timelines[**node]).copied()
}

/// What became of each write.
struct Loss<'w, 'e> {
    acknowledged: u64,
    lost: Vec<&'w Tried<'e>>,
    unknown: u64,
    unknown_found: u64,
    refused_but_kept: Vec<&'w Tried<'e>>,
    /// Rows that no recorded attempt wrote.
    unrecorded: u64,
    lost_ms: f64,
    lost_wal_bytes: Option<u64>,
}

impl<'w, 'e> Loss<'w, 'e> {
    fn new(evidence: &Evidence<'_>, writes: &'w [Tried<'e>], primary: &Rows) -> Self {
        let kept = |tried: &Tried<'_>| primary.contains(tried.attempt.client, tried.attempt.sequence);
        let (mut acknowledged, mut unknown, mut unknown_found, mut recorded) = (0, 0, 0, 0);
        let (mut lost, mut refused_but_kept) = (Vec::new(), Vec::new());
        for tried in writes {
            let kept = kept(tried);
            recorded += u64::from(kept);
            match &tried.attempt.outcome {
                AttemptOutcome::Acknowledged { .. } => {
                    acknowledged += 1;
                    lost.extend((!kept).then_some(tried));
                }
                AttemptOutcome::Refused { .. } => refused_but_kept.extend(kept.then_some(tried)),
                AttemptOutcome::Unknown { .. } => {
                    unknown += 1;
                    unknown_found += u64::from(kept);
                }
            }
        }
        let lost_ms = lost_ms(evidence, &lost);
        let lost_wal_bytes = lost_wal_bytes(evidence.events, &lost);
        let unrecorded = primary.count() - recorded;
        Self { acknowledged, lost, unknown, unknown_found, refused_but_kept, unrecorded, lost_ms, lost_wal_bytes }
    }

    fn details(&self, diverged: u64) -> Vec<Measure> {
        let mut details = vec![Measure::new("lost_ms", self.lost_ms)];
        details.extend(self.lost_wal_bytes.map(|bytes| Measure::new("lost_wal_bytes", bytes as f64)));
        details.extend([
            Measure::new("acknowledged_rows", self.acknowledged as f64),
            Measure::new("unknown_rows", self.unknown as f64),
            Measure::new("unknown_found_rows", self.unknown_found as f64),
            Measure::new("unknown_missing_rows", (self.unknown - self.unknown_found) as f64),
            Measure::new("refused_but_kept_rows", self.refused_but_kept.len() as f64),
            Measure::new("diverged_rows", diverged as f64),
            Measure::new("unrecorded_rows", self.unrecorded as f64),
        ]);
        details
    }

    fn summary(&self) -> String {
        let unknown = match self.unknown {
            0 => String::new(),
            count => format!(
                "; {count} more had an unknown fate, {} of them are there ({} are not, which is no loss)",
                self.unknown_found,
                count - self.unknown_found
            ),
        };
        if self.lost.is_empty() {
            return format!("all {} acknowledged writes are there{unknown}", self.acknowledged);
        }
        let bytes = match self.lost_wal_bytes {
            Some(bytes) => format!("{} bytes of WAL", number(bytes as f64)),
            None => "an unknown amount of WAL".to_owned(),
        };
        format!(
            "{} of {} acknowledged writes are lost: the last {:.0} ms, {bytes}{unknown}",
            self.lost.len(),
            self.acknowledged,
            self.lost_ms
        )
    }
}

fn lost_ms(evidence: &Evidence<'_>, lost: &[&Tried<'_>]) -> f64 {
    let (Some(first_us), Some(last_us)) =
        (lost.iter().map(|tried| tried.ended_us).min(), lost.iter().map(|tried| tried.ended_us).max())
    else {
        return 0.0;
    };
    let fault_us = failovers(evidence).iter().map(Failover::effect_us).filter(|at_us| *at_us >= first_us).min();
    milliseconds(last_us.max(fault_us.unwrap_or(0)) - first_us)
}

/// `None` if a timeline with lost writes has no known end, or an acknowledgement had no position.
fn lost_wal_bytes(events: &[Event], lost: &[&Tried<'_>]) -> Option<u64> {
    let mut highest: BTreeMap<u32, u64> = BTreeMap::new();
    for tried in lost {
        if let AttemptOutcome::Acknowledged { timeline, lsn, .. } = &tried.attempt.outcome {
            let own = highest.entry(*timeline).or_default();
            *own = (*own).max(*lsn);
        }
    }
    let left_at = |old: u32| {
        events.iter().filter_map(move |event| match &event.what {
            Occurrence::TimelineSwitch { parent, switch_lsn, .. } if *parent == old => Some(*switch_lsn),
            _ => None,
        })
    };
    let bytes = highest.into_iter().map(|(timeline, lsn)| {
        let switch_lsn = left_at(timeline).min().filter(|_| lsn > 0)?;
        Some(lsn.saturating_sub(switch_lsn))
    });
    bytes.sum()
}

fn judge_loss(evidence: &Evidence<'_>, ledgers: &Ledgers<'_>, loss: &Loss<'_, '_>, diverged: u64) -> Vec<Finding> {
    let lost = Measure::new("lost_rows", loss.lost.len() as f64);
    let sample = [loss.lost.first(), loss.lost.last()].into_iter().flatten().map(|tried| tried.seq);
    let base = Finding::new(NAME, Outcome::Pass, loss.summary())
        .with_measure(lost)
        .with_details(loss.details(diverged))
        .with_evidence(ledgers.evidence.iter().copied().chain(sample));
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let asked = expectations.iter().any(|expectation| expectation.measure.starts_with("lost_"));
    let mut findings: Vec<_> = expectations.iter().map(|expectation| base.clone().held_against(expectation)).collect();
    let (measure, bound, promise) = match evidence.plan.topology.settings.patroni.synchronous_mode {
        true => ("lost_rows", Bound::Exactly(0.0), "; synchronous_mode promises that none is"),
        false => ("lost_ms", Bound::AtMost(ASYNC_RPO_MS), "; that is more than the documented 5 s"),
    };
    let synchronous = measure == "lost_rows";
    if !asked || (synchronous && !loss.lost.is_empty()) {
        let mut own = base.held_to(measure, bound);
        if own.outcome == Outcome::Fail {
            own.summary += promise;
        }
        findings.push(own);
    }
    findings
}

fn judge_refused(loss: &Loss<'_, '_>) -> Option<Finding> {
    let first = loss.refused_but_kept.first()?;
    let count = loss.refused_but_kept.len();
    let summary = format!(
        "{count} writes were refused but kept, the first of them write {} of client {}: the refusal was not true",
        first.attempt.sequence, first.attempt.client
    );
    let finding = Finding::new(NAME, Outcome::Fail, summary)
        .with_measure(Measure::new("refused_but_kept_rows", count as f64))
        .with_evidence(loss.refused_but_kept.iter().take(10).map(|tried| tried.seq));
    Some(Finding { target: Some(Bound::Exactly(0.0)), ..finding })
}

/// Nodes differ: a failure once every node had rejoined and replayed; before that it may be mere lag.
fn judge_divergence(evidence: &Evidence<'_>, ledgers: &Ledgers<'_>, divergence: &[(&str, u64)]) -> Finding {
    let rejoined = reached_us(evidence.events, Milestone::Rejoined).is_some();
    let nodes: Vec<_> = divergence.iter().map(|(node, rows)| format!("{node} by {rows} rows")).collect();
    let tail = if rejoined { "" } else { "; not every node had rejoined, so it may have been lag" };
    let summary = format!("ledgers differ from that of the primary {}: {}{tail}", ledgers.primary, nodes.join(", "));
    let outcome = if rejoined { Outcome::Fail } else { Outcome::Inconclusive };
    let rows: u64 = divergence.iter().map(|(_, rows)| rows).sum();
    let finding = Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new("diverged_rows", rows as f64))
        .with_evidence(ledgers.evidence.iter().copied());
    Finding { target: Some(Bound::Exactly(0.0)), ..finding }
}
