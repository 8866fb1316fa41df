//! Which acknowledged writes are missing after all nodes have rejoined?
//!
//! A write is lost when its client got the confirmation of its commit and the final primary does not hold it. A write
//! whose fate is unknown (the connection broke around COMMIT) is neither lost nor kept, and counted apart.
//!
//! # What is a failure without an expectation
//!
//! - A lost write that no failover explains, in every mode and whatever the scenario allows. Asynchronous replication
//!   excuses only what was acknowledged on a timeline that was left, behind the place where the final primary's history
//!   left it (see [`mod@lost_writes`]).
//! - With `synchronous_mode` or `synchronous_standby_names` any loss: an RPO of 0 is what it promises.
//! - Without it, a loss that reaches back more than [`ASYNC_RPO_MS`]: the documented claim RPO-5-ASYNC. A smaller loss
//!   passes with its figures in the summary: asynchronous replication promises no more. A scenario that states what it
//!   expects of an asynchronous topology is judged by that instead.
//! - A write that was refused and is there: the database or the harness lies.
//! - On any node: rows that nobody wrote, rows that are there twice, rows whose content is not what was written, a table
//!   and an index that differ.
//! - A standby that holds other rows than the primary, once this can't be lag (see [`mod@divergence`]).
//!
//! # When a whole cluster is lost
//!
//! What was acknowledged there and had not reached the cluster that was promoted in its place is lost: nobody promises how
//! much that is, it is the lag of that moment. It passes with its figures, unless the scenario states a bound, beside what
//! the promoted cluster lacked in the last look before the fault. Neither synchronous replication nor the 5 s, which hold
//! within a cluster, are asked of it. The ledgers of a cluster that is gone for good are not asked for.
//!
//! What could not be read leaves the rest in doubt and hides no failure.
//!
//! # How a loss is measured
//!
//! In rows; in time, from the acknowledgement of the earliest lost write to the fault's effect (see
//! [`Failover::effect_us`]) or the last lost acknowledgement, whichever is later, and never less than the lost write
//! itself took; and in WAL bytes, from the place where the final primary's history left the old timeline to the highest
//! position at which a lost write was acknowledged on it.

mod divergence;
mod lost_writes;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        ancestry::Ancestry,
        ledgers::{Ledger, Ledgers},
        phases::{Failover, milliseconds},
        record::{Tried, load_broke, reached_us, sent_rows},
    },
    harness_was_sound::latest_timer,
    recovery_time::doubted_by_lateness,
};
use crate::{
    history::{
        Occurrence,
        event::{AttemptOutcome, Bound, Milestone},
        rows::Rows,
    },
    quantity::written::number,
};
use divergence::Divergence;
use lost_writes::{Cause, LostWrite, lost_writes};

pub(super) const NAME: &str = "data_loss";
const LOST_MS: &str = "lost_ms";
const LAG_BEFORE_FAULT_BYTES: &str = "lag_before_fault_bytes";
const LOST_BEYOND_LAG_MS: &str = "lost_beyond_lag_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Which acknowledged writes are missing after all nodes have rejoined?",
    measures: &[
        "lost_rows",
        LOST_MS,
        "lost_wal_bytes",
        LAG_BEFORE_FAULT_BYTES,
        LOST_BEYOND_LAG_MS,
        "unexcused_rows",
        "superseded_rows",
        "acknowledged_rows",
        "unknown_rows",
        "unknown_found_rows",
        "unknown_missing_rows",
        "refused_but_kept_rows",
        "diverged_rows",
        "unrecorded_rows",
        "repeated_rows",
        "changed_rows",
        "index_mismatch_rows",
    ],
    over: Over::Lineage,
    judge,
};

/// The loss that document 002 allows asynchronous replication (claim RPO-5-ASYNC).
pub const ASYNC_RPO_MS: f64 = 5000.0;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let inconclusive = |why: String| Finding::new(NAME, Outcome::Inconclusive, why);
    let Some(stopped_us) = reached_us(evidence.events, Milestone::LoadStopped) else {
        return vec![inconclusive("the load had not ended, so no ledger was final".to_owned())];
    };
    let all = evidence.attempts();
    let writes: Vec<Tried<'_>> = all.iter().copied().filter(Tried::is_write).collect();
    let ledgers = Ledgers::read(evidence, &writes, stopped_us);
    let mut findings = Vec::new();
    let mut doubts = ledgers.doubts.clone();
    if let Some((client, sequence)) = written_twice(&writes) {
        doubts.push(format!("two attempts are both write {sequence} of client {client}: rows can't be told apart"));
    } else {
        if !writes.iter().any(Tried::acknowledged) {
            doubts.push("no write was acknowledged, so none could be lost".to_owned());
        } else if let Some(primary) = ledgers.primary {
            findings.extend(judge_primary(evidence, &writes, &ledgers, primary, doubts.is_empty()));
        }
        findings.extend(judge_refused(&writes, &ledgers));
        findings.extend(judge_unrecorded(evidence, &writes, &ledgers));
    }
    findings.extend(judge_damage(&ledgers));
    findings.extend(doubts.into_iter().map(inconclusive));
    findings
}

fn written_twice(writes: &[Tried<'_>]) -> Option<(u32, u64)> {
    let mut ids: Vec<_> = writes.iter().map(|tried| (tried.attempt.client, tried.attempt.sequence)).collect();
    ids.sort_unstable();
    ids.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// What the final primary's ledger says of the writes, and how those of the standbys differ from it. Unless all is
/// `proven`, that nothing is lost is no pass.
fn judge_primary(
    evidence: &Evidence<'_>,
    writes: &[Tried<'_>],
    ledgers: &Ledgers<'_>,
    primary: &str,
    proven: bool,
) -> Vec<Finding> {
    let Some((node, ledger)) = ledgers.read.get_key_value(primary) else { return Vec::new() };
    let ancestry = Ancestry::new((evidence.whole, evidence.events), writes, node, ledgers.timeline);
    let divergence = Divergence::new(evidence, writes, ledgers, ledger, &ancestry);
    let loss = Loss::new(evidence, writes, &ledger.rows, &ancestry);
    let mut findings = loss.judge(evidence, ledgers, &divergence);
    findings.retain(|finding| proven || !loss.lost.is_empty() || finding.outcome != Outcome::Pass);
    findings.extend(divergence.finding(node, ledgers));
    findings
}

/// What became of the writes.
struct Loss<'w, 'e> {
    acknowledged: u64,
    lost: Vec<LostWrite<'w, 'e>>,
    unknown: u64,
    unknown_found: u64,
    lost_ms: f64,
    /// `None` if it is not known of every lost write how far behind the switch it lay.
    lost_wal_bytes: Option<u64>,
    /// What the promoted cluster lacked in the last look before the fault, if a whole cluster was lost.
    lag: Option<LagBeforeFault>,
}

/// What a cluster lacked of another one's writes, in the last look before the fault.
#[derive(Debug, Clone, Copy)]
struct LagBeforeFault {
    bytes: u64,
    /// When the first write was acknowledged that it lacked; that of the look, if it lacked none.
    lacks_from_us: u64,
}

impl<'w, 'e> Loss<'w, 'e> {
    fn new(evidence: &Evidence<'_>, writes: &'w [Tried<'e>], kept: &Rows, ancestry: &Ancestry<'e>) -> Self {
        let is_kept = |tried: &&Tried<'_>| kept.contains(tried.attempt.client, tried.attempt.sequence);
        let unknown = writes.iter().filter(|tried| matches!(tried.attempt.outcome, AttemptOutcome::Unknown { .. }));
        let lost = lost_writes(writes, kept, ancestry);
        let beyond = lost.iter().map(|write| match write.cause {
            Cause::Failover { beyond_bytes, .. } => beyond_bytes,
            Cause::Unexcused(_) | Cause::Undecided(_) => None,
        });
        Self {
            acknowledged: writes.iter().filter(|tried| tried.acknowledged()).count() as u64,
            unknown: unknown.clone().count() as u64,
            unknown_found: unknown.filter(is_kept).count() as u64,
            lost_ms: lost_ms(evidence, &lost),
            lost_wal_bytes: beyond.collect::<Option<Vec<_>>>().map(|bytes| bytes.into_iter().max().unwrap_or(0)),
            lag: lag_before_fault(evidence, writes, ancestry.primary()),
            lost,
        }
    }

    /// How many writes are lost because of a failover.
    fn superseded(&self) -> usize {
        self.lost.iter().filter(|write| matches!(write.cause, Cause::Failover { .. })).count()
    }

    fn unexcused(&self) -> impl Iterator<Item = (&LostWrite<'w, 'e>, &str)> {
        self.lost.iter().filter_map(|write| match &write.cause {
            Cause::Unexcused(reason) => Some((write, reason.as_str())),
            _ => None,
        })
    }

    fn undecided(&self) -> impl Iterator<Item = (&LostWrite<'w, 'e>, &str)> {
        self.lost.iter().filter_map(|write| match &write.cause {
            Cause::Undecided(reason) => Some((write, reason.as_str())),
            _ => None,
        })
    }

    /// The loss held against what the scenario expects, or else against what the mode of replication promises.
    fn judge(&self, evidence: &Evidence<'_>, ledgers: &Ledgers<'_>, divergence: &Divergence) -> Vec<Finding> {
        let sample = [self.lost.first(), self.lost.last()].into_iter().flatten().map(|write| write.tried.seq);
        let base = Finding::new(NAME, Outcome::Pass, self.summary())
            .with_measure(Measure::new("lost_rows", self.lost.len() as f64))
            .with_details(self.details(divergence))
            .with_evidence(ledgers.evidence().chain(sample));
        let late_ms = latest_timer(evidence).map_or(0.0, |(late_us, _)| milliseconds(late_us));
        let held = |held: Finding| match held.measure.as_ref().is_some_and(|measure| measure.name == LOST_MS) {
            true => doubted_by_lateness(held, late_ms),
            false => held,
        };
        let (of_loss, others): (Vec<_>, Vec<_>) =
            evidence.expectations(NAME).partition(|expectation| expectation.measure.starts_with("lost_"));
        let mut findings: Vec<_> =
            of_loss.into_iter().map(|expectation| held(base.clone().held_against(expectation))).collect();
        let plan = evidence.plan;
        let synchronous = evidence.leading().is_some_and(|cluster| plan.is_synchronous(cluster));
        let worst = findings.iter().map(|finding| finding.outcome).max();
        if worst.is_none() || self.needs_no_expectation(synchronous) {
            // A bound that is kept would read as if it excused this loss.
            findings.retain(|finding| finding.outcome != Outcome::Pass);
            let own = held(self.held_to_promise(base.clone(), synchronous, worst.is_some()));
            findings.extend(Some(own).filter(|own| worst.is_none_or(|worst| own.outcome > worst)));
        }
        findings.extend(others.into_iter().map(|expectation| base.clone().held_against(expectation)));
        findings
    }

    /// Whether something is lost that no expectation can allow, or that may be.
    fn needs_no_expectation(&self, synchronous: bool) -> bool {
        if synchronous { !self.is_of_lost_cluster() } else { self.superseded() < self.lost.len() }
    }

    /// Whether all that is lost was lost with its cluster.
    fn is_of_lost_cluster(&self) -> bool {
        self.lost.iter().all(|write| matches!(write.cause, Cause::Failover { of_cluster: true, .. }))
    }

    /// Held to what holds without any expectation; `asked`: the scenario states how much may be lost by a failover.
    fn held_to_promise(&self, base: Finding, synchronous: bool, asked: bool) -> Finding {
        if self.unexcused().next().is_some() {
            return base.held_to("unexcused_rows", Bound::Exactly(0.0));
        }
        if !self.lost.is_empty() && self.is_of_lost_cluster() {
            return base;
        }
        let undecided = self.undecided().next().is_some();
        let (measure, bound, promise) = match synchronous {
            true => ("lost_rows", Bound::Exactly(0.0), "; synchronous replication promises that none is"),
            false if asked && undecided => ("unexcused_rows", Bound::Exactly(0.0), ""),
            false => (LOST_MS, Bound::AtMost(ASYNC_RPO_MS), "; that is more than the documented 5 s"),
        };
        let mut own = base.held_to(measure, bound);
        if own.outcome == Outcome::Fail {
            own.summary += promise;
        } else if undecided {
            own.outcome = Outcome::Inconclusive;
        }
        own
    }

    /// How much further back the loss reaches than the lag that was seen just before the fault.
    fn beyond_ms(&self, lag: LagBeforeFault) -> f64 {
        let first = self.lost.iter().map(|write| write.tried.ended_us).min();
        milliseconds(first.map_or(0, |lost_us| lag.lacks_from_us.saturating_sub(lost_us)))
    }

    fn details(&self, divergence: &Divergence) -> Vec<Measure> {
        let mut details = vec![Measure::new(LOST_MS, self.lost_ms)];
        details.extend(self.lost_wal_bytes.map(|bytes| Measure::new("lost_wal_bytes", bytes as f64)));
        details.extend(self.lag.map(|lag| Measure::new(LAG_BEFORE_FAULT_BYTES, lag.bytes as f64)));
        details.extend(self.lag.map(|lag| Measure::new(LOST_BEYOND_LAG_MS, self.beyond_ms(lag))));
        details.extend([
            Measure::new("unexcused_rows", self.unexcused().count() as f64),
            Measure::new("superseded_rows", self.superseded() as f64),
            Measure::new("acknowledged_rows", self.acknowledged as f64),
            Measure::new("unknown_rows", self.unknown as f64),
            Measure::new("unknown_found_rows", self.unknown_found as f64),
            Measure::new("unknown_missing_rows", (self.unknown - self.unknown_found) as f64),
            Measure::new("diverged_rows", divergence.rows() as f64),
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
        let unexcused = self.unexcused().next().map(|(write, reason)| {
            format!("; no failover explains {} of them: {write} {reason}", self.unexcused().count())
        });
        let undecided = self.undecided().next().map(|(write, reason)| {
            format!("; whether a failover explains {} of them is not known: {write} {reason}", self.undecided().count())
        });
        let lag = self.lag.map(|lag| {
            let lag = number(lag.bytes as f64);
            format!("; the cluster that was promoted lacked {lag} bytes in the last look before the fault")
        });
        format!(
            "{} of {} acknowledged writes are lost: the last {:.0} ms, {bytes}{}{}{}{unknown}",
            self.lost.len(),
            self.acknowledged,
            self.lost_ms.ceil(),
            lag.unwrap_or_default(),
            unexcused.unwrap_or_default(),
            undecided.unwrap_or_default(),
        )
    }
}

/// See "How a loss is measured" above.
fn lost_ms(evidence: &Evidence<'_>, lost: &[LostWrite<'_, '_>]) -> f64 {
    let Some(first) = lost.iter().map(|write| write.tried).min_by_key(|tried| tried.ended_us) else { return 0.0 };
    let last_us = lost.iter().map(|write| write.tried.ended_us).max().unwrap_or(first.ended_us);
    let effects = evidence.failovers();
    let fault_us = effects.iter().map(Failover::effect_us).filter(|at_us| *at_us >= first.ended_us).min();
    let span_us = last_us.max(fault_us.unwrap_or(0)).saturating_sub(first.ended_us);
    let write_us = first.ended_us.saturating_sub(first.started_us());
    milliseconds(span_us.max(write_us).max(1))
}

/// How much of what was written the most advanced node of the final primary's cluster lacked, in its last look before the
/// first fault. `None` if that cluster led then, or nobody looked.
fn lag_before_fault(evidence: &Evidence<'_>, writes: &[Tried<'_>], primary: &str) -> Option<LagBeforeFault> {
    let promoted = evidence.plan.cluster_of(primary).filter(|cluster| cluster.follows.is_some())?;
    let fault_us = evidence.failovers().first()?.effect_from_us;
    let written = |until_us: u64| evidence.signs().iter().filter(move |sign| sign.to_us <= until_us);
    let last_look = |node: &String| {
        let mut looks = evidence.events.iter().rev().filter(|event| event.at_us <= fault_us);
        looks.find_map(|event| match &event.what {
            Occurrence::NodeState(state) if state.node == *node => Some((state.lsn?, event.at_us)),
            _ => None,
        })
    };
    let (replayed, at_us) = promoted.nodes.iter().filter_map(last_look).max()?;
    let bytes = written(at_us).filter_map(|sign| sign.lsn).max()?.saturating_sub(replayed);
    let is_lacking = |tried: &&Tried<'_>| match tried.attempt.outcome {
        AttemptOutcome::Acknowledged { lsn, .. } => lsn > replayed && tried.ended_us <= fault_us,
        _ => false,
    };
    let lacking = writes.iter().filter(is_lacking).map(|tried| tried.ended_us);
    Some(LagBeforeFault { bytes, lacks_from_us: lacking.min().unwrap_or(at_us) })
}

/// Writes that were refused, and that a node holds.
fn judge_refused(writes: &[Tried<'_>], ledgers: &Ledgers<'_>) -> Option<Finding> {
    let held = |tried: &&Tried<'_>| {
        let mut all = ledgers.read.values();
        all.any(|ledger| ledger.rows.contains(tried.attempt.client, tried.attempt.sequence))
    };
    let refused = writes.iter().filter(|tried| matches!(tried.attempt.outcome, AttemptOutcome::Refused { .. }));
    let kept: Vec<_> = refused.filter(held).collect();
    let first = kept.first()?;
    let summary = format!(
        "{} writes were refused but kept, the first of them write {} of client {}: the refusal was not true",
        kept.len(),
        first.attempt.sequence,
        first.attempt.client
    );
    let finding = Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(Measure::new("refused_but_kept_rows", kept.len() as f64))
        .with_evidence(kept.iter().take(10).map(|tried| tried.seq).chain(ledgers.evidence()));
    Some(finding.held_to("refused_but_kept_rows", Bound::Exactly(0.0)))
}

/// Rows that no recorded attempt wrote. Every attempt is recorded when it ends, and the load ends when all have; only a
/// client of the load that broke may have left one out.
fn judge_unrecorded(evidence: &Evidence<'_>, writes: &[Tried<'_>], ledgers: &Ledgers<'_>) -> Option<Finding> {
    let recorded = sent_rows(writes);
    let unrecorded = |ledger: &Ledger| ledger.rows.missing_in(&recorded);
    let (node, ledger) = ledgers.read.iter().max_by_key(|(_, ledger)| unrecorded(ledger))?;
    let (client, sequence) = ledger.rows.first_missing_in(&recorded)?;
    let rows = unrecorded(ledger);
    let broke = load_broke(evidence.events);
    let tail = if broke.is_some() { "; a client of the load broke, which may have written them" } else { "" };
    let summary = format!(
        "{node} holds {rows} rows that nobody wrote, the first of them row {sequence} of client {client}{tail}"
    );
    let finding = Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(Measure::new("unrecorded_rows", rows as f64))
        .with_evidence([ledger.seq].into_iter().chain(broke.map(|event| event.seq)))
        .held_to("unrecorded_rows", Bound::Exactly(0.0));
    Some(if broke.is_some() { Finding { outcome: Outcome::Inconclusive, ..finding } } else { finding })
}

/// What is wrong within a ledger, whoever wrote its rows.
fn judge_damage(ledgers: &Ledgers<'_>) -> Vec<Finding> {
    type Count = fn(&Ledger) -> u64;
    let kinds: [(&str, &str, Count); 3] = [
        ("repeated_rows", "are there more than once", |ledger| ledger.repeated_rows),
        ("changed_rows", "are not what was written", |ledger| ledger.counts.changed_rows),
        ("index_mismatch_rows", "are in the table or in its index alone", |ledger| {
            ledger.counts.missing_in_index.saturating_add(ledger.counts.missing_in_table)
        }),
    ];
    let judge = |(measure, words, count): (&str, &str, Count)| {
        let damaged: Vec<_> = ledgers.read.iter().filter(|(_, ledger)| count(ledger) > 0).collect();
        let worst = damaged.iter().map(|(_, ledger)| count(ledger)).max()?;
        let nodes: Vec<_> = damaged.iter().map(|(node, ledger)| format!("{} on {node}", count(ledger))).collect();
        let finding = Finding::new(NAME, Outcome::Pass, format!("rows {words}: {}", nodes.join(", ")))
            .with_measure(Measure::new(measure, worst as f64))
            .with_evidence(damaged.iter().map(|(_, ledger)| ledger.seq));
        Some(finding.held_to(measure, Bound::Exactly(0.0)))
    };
    kinds.into_iter().filter_map(judge).collect()
}

/// Whether a failure of this check is what two writers lead to by themselves: all that is lost, or that differs, was
/// acknowledged on a timeline that was left.
pub fn follows_from_two_writers(finding: &Finding) -> bool {
    let of = match finding.measure.as_ref().map(|measure| measure.name.as_str()) {
        Some(divergence::ROWS) => divergence::ROWS,
        Some(measure) if measure.starts_with("lost_") => "lost_rows",
        _ => return false,
    };
    finding.check == NAME && finding.value_of("superseded_rows").is_some_and(|rows| finding.value_of(of) == Some(rows))
}
