//! Acknowledged writes that the final primary does not hold, each with its cause.
//!
//! Asynchronous replication loses what the old primary had not sent when another node was promoted, and nothing else: a
//! write whose commit lies behind the place where the final primary's history left the timeline that acknowledged it. A
//! commit before that place is in the WAL from which the final primary was made.
//!
//! An acknowledgement carries the WAL position from within its statement, just before the commit. So a position behind the
//! switch shows a commit behind it, and so does one that leaves no room for a commit before it ([`COMMIT_BYTES`]). One
//! before the switch shows nothing by itself: other sessions may have written in between. It is settled by a later write:
//! what started after the acknowledgement was committed behind it, so where the later one is in the final primary's
//! history, the earlier one was too. The last few writes before a switch can have no later one; these stay undecided.

use std::collections::BTreeMap;

use crate::{
    checks::course::{
        ancestry::{Ancestry, Begun, Departure},
        record::Tried,
    },
    history::{event::AttemptOutcome, rows::Rows},
};

/// The least length of a commit's WAL record: its header (24 bytes), the header of its data (2) and the time of the
/// commit (8); see `XLogRecord` and `xl_xact_commit` in PostgreSQL's sources.
const COMMIT_BYTES: u64 = 34;

/// An acknowledged write that is gone.
pub struct LostWrite<'w, 'e> {
    pub tried: &'w Tried<'e>,
    pub cause: Cause,
}

/// Why a write is lost, with words that follow its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A failover left it behind, so far behind the switch, if that is known.
    Failover {
        beyond_bytes: Option<u64>,
        /// Its cluster was lost, and another one promoted in its place.
        of_cluster: bool,
    },
    /// The final primary's history has its commit, or should have.
    Unexcused(String),
    /// What was seen does not tell.
    Undecided(String),
}

/// Writes of one node on one timeline.
struct Group {
    departure: Departure,
    /// Another cluster went on where it departs from the final primary's history.
    of_cluster: bool,
    /// When the last write started that is in the final primary's history: what was acknowledged before then is, too.
    kept_until_us: Option<u64>,
}

/// The acknowledged writes that are not among these rows.
pub fn lost_writes<'w, 'e>(writes: &'w [Tried<'e>], kept: &Rows, ancestry: &Ancestry<'e>) -> Vec<LostWrite<'w, 'e>> {
    let is_kept = |tried: &Tried<'_>| kept.contains(tried.attempt.client, tried.attempt.sequence);
    let lost: Vec<_> = writes.iter().filter(|tried| tried.acknowledged() && !is_kept(tried)).collect();
    if lost.is_empty() {
        return Vec::new();
    }
    let mut groups: BTreeMap<(&str, u32, Begun), Group> = BTreeMap::new();
    for tried in writes {
        let Some((key, lsn)) = group_of(tried, ancestry) else { continue };
        let group = groups.entry(key).or_insert_with(|| Group {
            departure: ancestry.departure(key.0, key.1, key.2),
            of_cluster: ancestry.left_by_its_cluster(key.0, key.1, key.2),
            kept_until_us: None,
        });
        let before_switch = matches!(group.departure, Departure::At(switch_lsn) if lsn > 0 && lsn <= switch_lsn);
        if before_switch || is_kept(tried) {
            group.kept_until_us = group.kept_until_us.max(Some(tried.started_us()));
        }
    }
    let with_cause = |tried: &'w Tried<'e>| {
        let (key, lsn) = group_of(tried, ancestry)?;
        Some(LostWrite { tried, cause: cause(tried, lsn, groups.get(&key)?) })
    };
    lost.into_iter().filter_map(with_cause).collect()
}

/// The group and the position of an acknowledged write.
fn group_of<'e>(tried: &Tried<'e>, ancestry: &Ancestry<'e>) -> Option<((&'e str, u32, Begun), u64)> {
    let attempt = tried.attempt;
    let AttemptOutcome::Acknowledged { node, timeline, lsn } = &attempt.outcome else { return None };
    Some(((node, *timeline, ancestry.begun(node, *timeline, tried.ended_us)), *lsn))
}

fn cause(tried: &Tried<'_>, lsn: u64, group: &Group) -> Cause {
    let followed = group.kept_until_us.is_some_and(|started_us| started_us >= tried.ended_us);
    let of_cluster = group.of_cluster;
    let switch_lsn = match &group.departure {
        Departure::Never => return Cause::Unexcused("the final primary is on that timeline".to_owned()),
        _ if followed => return Cause::Unexcused("a later write there is in the final primary's history".to_owned()),
        Departure::Elsewhere => return Cause::Failover { beyond_bytes: None, of_cluster },
        Departure::Unknown(reason) => return Cause::Undecided(reason.clone()),
        Departure::At(switch_lsn) => *switch_lsn,
    };
    match lsn {
        0 => Cause::Undecided("nobody saw its position".to_owned()),
        lsn if lsn.saturating_add(COMMIT_BYTES) > switch_lsn => {
            Cause::Failover { beyond_bytes: Some(lsn.saturating_sub(switch_lsn)), of_cluster }
        }
        lsn => Cause::Undecided(format!(
            "it came {} bytes before the switch, its commit perhaps behind it",
            switch_lsn.saturating_sub(lsn)
        )),
    }
}

impl std::fmt::Display for LostWrite<'_, '_> {
    /// Which write it is and who acknowledged it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let attempt = self.tried.attempt;
        write!(formatter, "write {} of client {}", attempt.sequence, attempt.client)?;
        match self.tried.answered_by() {
            Some((node, timeline)) => write!(formatter, ", acknowledged by {node} on timeline {timeline}:"),
            None => Ok(()),
        }
    }
}
