//! The writes that count in the end: acknowledged, and in the ledgers of the nodes that have the last word. What was lost is
//! never replayed, and says nothing of how far behind a standby is.
//!
//! All of them are of one history, whatever its timelines, so that their WAL positions are in the order in which they were
//! written.

use std::collections::BTreeMap;

use super::record::Tried;
use crate::{
    checks::Evidence,
    history::{
        Occurrence,
        event::{AttemptOutcome, SequenceRange},
        rows::Rows,
    },
    topology::Cluster,
};

/// A write that is there in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub client: u32,
    pub sequence: u64,
    pub timeline: u32,
    /// The WAL position just after its row was inserted; its commit lies behind that.
    pub lsn: u64,
    /// It was committed at some instant between these two.
    pub started_us: u64,
    pub ended_us: u64,
}

/// The writes that count in the lineage of a cluster, in the order of their WAL positions; `None`: no ledger of it was read,
/// so which they are is not known.
pub fn kept(evidence: &Evidence<'_>, cluster: &Cluster) -> Option<Vec<Kept>> {
    let plan = evidence.plan;
    let origin = &plan.lineage_of(cluster).name;
    let own = |node: &str| plan.cluster_of(node).is_some_and(|cluster| plan.lineage_of(cluster).name == *origin);
    let rows = last_word(evidence, own)?;
    let write = |tried: &Tried<'_>| match &tried.attempt.outcome {
        AttemptOutcome::Acknowledged { node, timeline, lsn } if tried.is_write() && *lsn > 0 && own(node) => {
            Some(Kept {
                client: tried.attempt.client,
                sequence: tried.attempt.sequence,
                timeline: *timeline,
                lsn: *lsn,
                started_us: tried.started_us(),
                ended_us: tried.ended_us,
            })
        }
        _ => None,
    };
    let mut writes: Vec<Kept> = evidence.attempts().iter().filter_map(write).collect();
    writes.retain(|write| rows.contains(write.client, write.sequence));
    writes.sort_by_key(|write| (write.lsn, write.timeline));
    Some(writes)
}

/// The rows of those nodes whose ledgers were read on the highest timeline.
fn last_word(evidence: &Evidence<'_>, own: impl Fn(&str) -> bool) -> Option<Rows> {
    let mut last: BTreeMap<&str, (u32, &[SequenceRange])> = BTreeMap::new();
    for event in evidence.events {
        if let Occurrence::LedgerRead { node, timeline, found, .. } = &event.what
            && own(node)
        {
            last.insert(node, (*timeline, found));
        }
    }
    let newest = last.values().map(|(timeline, _)| *timeline).max()?;
    let of_newest = last.values().filter(|(timeline, _)| *timeline == newest);
    Some(Rows::new(&of_newest.flat_map(|(_, found)| found.iter().copied()).collect::<Vec<_>>()))
}
