//! Does what was restored from a backup hold what it must: every write up to its target, and none behind it?
//!
//! A restore has a target ([`RestoreTarget`]): the end of what was archived, or a time on the primary's clock, which the
//! harness had read at some instant between two of its own. PostgreSQL stops before the first commit that is later than the
//! target; a commit is stamped after its write was sent and before it is acknowledged. So:
//!
//! - a write that was acknowledged before the target was read must be there, if it is one that counts in the end: what a
//!   failover lost was lost before;
//! - a write that was sent after the target was read must not be there, nor a bad change that the scenario made then; where
//!   the latest state is restored, one that was sent after the restored server was read;
//! - nor must a row that no client ever sent: it is another database's;
//! - what was under way at that time may be there or not;
//! - each row says what it was written with, in the table and in its index.
//!
//! A restore that did not end is a failure, and so is one that has reached its target and accepts no write there. Where
//! nothing had been acknowledged before the target, or no ledger was read in the end, nothing is proven. Nor is it where the
//! target is a time behind which nobody wrote before the restore began, or one that had not come by then.
//!
//! `restore_defects` counts all of these: rows, changes, and 1 for a server that is not there or accepts no write.
//! `restore_ms` is the time from the operator's first command until the restored server has reached its target.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        kept::{Kept, kept},
        record::sent_rows,
    },
};
use crate::{
    history::{
        Occurrence,
        event::{LedgerCounts, RestoreOutcome, RestoreTarget, Restored},
        rows::Rows,
    },
    quantity::written::value,
};

const NAME: &str = "restore";
pub const RESTORE_DEFECTS: &str = "restore_defects";
pub const RESTORE_MS: &str = "restore_ms";
pub const RESTORE_MISSING_ROWS: &str = "restore_missing_rows";
pub const RESTORE_SURPLUS_ROWS: &str = "restore_surplus_rows";
const RESTORE_UNWRITTEN_ROWS: &str = "restore_unwritten_rows";
const RESTORE_DAMAGED_ROWS: &str = "restore_damaged_rows";
const RESTORE_BAD_CHANGES: &str = "restore_bad_changes";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Does what was restored hold every write up to its target, and none behind it?",
    measures: &[
        RESTORE_DEFECTS,
        RESTORE_MS,
        RESTORE_MISSING_ROWS,
        RESTORE_SURPLUS_ROWS,
        RESTORE_UNWRITTEN_ROWS,
        RESTORE_DAMAGED_ROWS,
        RESTORE_BAD_CHANGES,
    ],
    over: Over::Lineage,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let restored = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::Restored(restored) if evidence.plan.cluster(&restored.cluster).is_some() => Some((event, restored)),
        _ => None,
    });
    let findings: Vec<Finding> =
        restored.map(|(event, restored)| finding(evidence, restored, event.at_us).with_evidence([event.seq])).collect();
    // Which cluster was to be restored is known to no part.
    if findings.is_empty() && evidence.is_part() {
        return findings;
    }
    evidence.held(NAME, findings, "nothing was restored")
}

fn finding(evidence: &Evidence<'_>, restored: &Restored, read_us: u64) -> Finding {
    let Restored { cluster, host, target, outcome, .. } = restored;
    let what = match target {
        RestoreTarget::Latest { .. } => format!("the latest state of {cluster}, restored on {host}"),
        RestoreTarget::Time { .. } => format!("{cluster} up to a time, restored on {host}"),
    };
    match outcome {
        RestoreOutcome::Failed { reason } => {
            let finding = Finding::new(NAME, Outcome::Fail, format!("{what}, is not there: {reason}"));
            finding.with_measure(Measure::new(RESTORE_DEFECTS, 1.0))
        }
        RestoreOutcome::Open { took_ms, .. } => {
            let compared = Compared::new(evidence, restored, read_us);
            let (outcome, said) = compared.said();
            let mut details = vec![Measure::new(RESTORE_MS, *took_ms as f64)];
            details.extend(compared.details());
            let seconds = value(RESTORE_MS, *took_ms as f64);
            let finding = Finding::new(NAME, outcome, format!("{what} in {seconds}, {said}")).with_details(details);
            // Nothing is counted where it is not known what must be there.
            match outcome {
                Outcome::Inconclusive => finding,
                _ => finding.with_measure(Measure::new(RESTORE_DEFECTS, compared.defects() as f64)),
            }
        }
    }
}

/// What was restored, against the writes that were acknowledged to clients.
#[derive(Default)]
struct Compared {
    /// How many rows must be there, and how many of them are not; `None`: which those are is not known.
    asked: Option<(usize, u64)>,
    /// Why the target can prove nothing.
    empty_target: Option<&'static str>,
    surplus: u64,
    unwritten: u64,
    damaged: u64,
    bad_changes: u64,
    paused: bool,
}

impl Compared {
    /// The rows were read at an instant before `read_us`.
    fn new(evidence: &Evidence<'_>, restored: &Restored, read_us: u64) -> Self {
        let RestoreOutcome::Open { found, counts, bad_changes, accepts_writes, .. } = &restored.outcome else {
            return Self::default();
        };
        let rows = Rows::new(found);
        let asked = must_be_there(evidence, restored).map(|must| {
            let missing = must.iter().filter(|(client, own)| !rows.contains(*client, *own)).count() as u64;
            (must.len(), missing)
        });
        let is_to_a_time = matches!(restored.target, RestoreTarget::Time { .. });
        Self {
            asked,
            empty_target: empty_target(evidence, restored),
            surplus: surplus(evidence, restored, read_us, &rows),
            unwritten: unwritten(evidence, &rows),
            damaged: damaged(counts),
            bad_changes: if is_to_a_time { *bad_changes } else { 0 },
            paused: !accepts_writes,
        }
    }

    fn missing(&self) -> u64 {
        self.asked.map_or(0, |(_, missing)| missing)
    }

    fn defects(&self) -> u64 {
        let parts =
            [self.missing(), self.surplus, self.unwritten, self.damaged, self.bad_changes, u64::from(self.paused)];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    fn details(&self) -> Vec<Measure> {
        let mut details = vec![
            Measure::new(RESTORE_SURPLUS_ROWS, self.surplus as f64),
            Measure::new(RESTORE_UNWRITTEN_ROWS, self.unwritten as f64),
            Measure::new(RESTORE_DAMAGED_ROWS, self.damaged as f64),
            Measure::new(RESTORE_BAD_CHANGES, self.bad_changes as f64),
        ];
        details.extend(self.asked.map(|(_, missing)| Measure::new(RESTORE_MISSING_ROWS, missing as f64)));
        details
    }

    fn said(&self) -> (Outcome, String) {
        let Self { surplus, unwritten, damaged, bad_changes, .. } = self;
        let missing = self.missing();
        if self.defects() > u64::from(self.paused) {
            let said = format!(
                "lacks {missing} acknowledged rows, has {surplus} from after its target, {unwritten} that nobody wrote, \
                 {damaged} that are not as they were written, and {bad_changes} bad changes"
            );
            return (Outcome::Fail, said);
        }
        let doubt = |said: &str| (Outcome::Inconclusive, format!("can't be compared: {said}"));
        match (self.asked, self.empty_target) {
            _ if self.paused => {
                (Outcome::Fail, "has reached its target, where its recovery has paused: it accepts no write".to_owned())
            }
            (None, _) => doubt("no ledger of the cluster was read in the end"),
            (Some((0, _)), _) => doubt("nothing had been acknowledged before its target"),
            (Some(_), Some(why)) => doubt(why),
            (Some((asked, _)), None) => {
                (Outcome::Pass, format!("holds all {asked} acknowledged rows up to its target, and none behind it"))
            }
        }
    }
}

/// Rows that are not as they were written, or that table and index do not both have.
fn damaged(counts: &LedgerCounts) -> u64 {
    counts.changed_rows.saturating_add(counts.missing_in_index).saturating_add(counts.missing_in_table)
}

/// Client and sequence of each write that was acknowledged before the target, and counts in the end; `None`: which those
/// are is not known.
fn must_be_there(evidence: &Evidence<'_>, restored: &Restored) -> Option<Vec<(u32, u64)>> {
    let before_us = match restored.target {
        RestoreTarget::Latest { archived_us } => archived_us,
        RestoreTarget::Time { from_us, .. } => from_us,
    };
    let writes = kept(evidence, evidence.plan.cluster(&restored.cluster)?)?;
    let early = writes.iter().filter(|write| write.ended_us < before_us);
    Some(early.map(|write| (write.client, write.sequence)).collect())
}

/// Why a target can prove nothing; `None`: it can.
fn empty_target(evidence: &Evidence<'_>, restored: &Restored) -> Option<&'static str> {
    let (from_us, to_us) = match restored.target {
        RestoreTarget::Latest { archived_us } => (archived_us, archived_us),
        RestoreTarget::Time { from_us, to_us } => (from_us, to_us),
    };
    if from_us > to_us || to_us > restored.began_us {
        return Some("its target had not come when it began");
    }
    if matches!(restored.target, RestoreTarget::Latest { .. }) {
        return None;
    }
    // A write that was lost says nothing: no restore could have shown it.
    let writes = kept(evidence, evidence.plan.cluster(&restored.cluster)?)?;
    let is_between = |write: &Kept| write.started_us > to_us && write.ended_us <= restored.began_us;
    (!writes.iter().any(is_between)).then_some("nobody wrote between its target and its beginning")
}

/// How many rows there are of writes that were sent after the target was read, or after the restored server was.
fn surplus(evidence: &Evidence<'_>, restored: &Restored, read_us: u64, rows: &Rows) -> u64 {
    let after_us = match restored.target {
        RestoreTarget::Time { to_us, .. } => to_us,
        RestoreTarget::Latest { .. } => read_us,
    };
    let late = evidence.attempts().iter().filter(|tried| tried.is_write() && tried.started_us() > after_us);
    late.filter(|tried| rows.contains(tried.attempt.client, tried.attempt.sequence)).count() as u64
}

/// How many rows there are that no client ever sent.
fn unwritten(evidence: &Evidence<'_>, rows: &Rows) -> u64 {
    rows.missing_in(&sent_rows(evidence.attempts().iter().filter(|tried| tried.is_write())))
}
