//! What archives hold, and what was restored from them, as the history has it.

use serde::{Deserialize, Serialize};

use super::attempt::{LedgerCounts, SequenceRange};

/// A version of an object below the prefix of an archive's WAL, as its bucket lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveObject {
    /// The cluster whose archive it is in.
    pub cluster: String,
    pub key: String,
    /// The server's name for this version; the same for all of a key in a bucket that keeps none.
    pub version: String,
    /// The server's entity tag: contents that were sent in the same way differ by it.
    pub tag: String,
    pub bytes: u64,
    /// Whether this version says that the object was deleted, and holds nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_deletion: bool,
}

/// An archive was listed whole, or could not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveListed {
    pub cluster: String,
    /// When its bucket was asked, in microseconds on the run's clock.
    pub asked_us: u64,
    /// How many versions it held; `None`: no answer that is one.
    pub versions: Option<u64>,
    /// Why there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The primary ended its file of WAL: all that it has written before this place is to be in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveDue {
    pub cluster: String,
    /// The node that was primary.
    pub node: String,
    pub timeline: u32,
    pub lsn: u64,
}

/// A backup that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupTaken {
    pub cluster: String,
    /// Where it was taken.
    pub host: String,
    /// The tool's name for it.
    pub label: String,
    pub began_us: u64,
}

/// A backup was restored on a machine of its own, and the server there has ended its recovery; or it was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restored {
    pub cluster: String,
    /// The machine.
    pub host: String,
    pub target: RestoreTarget,
    /// When the operator began.
    pub began_us: u64,
    pub outcome: RestoreOutcome,
}

/// Up to where a restore is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreTarget {
    /// To the end of what was archived. Everything that was acknowledged before this instant, in microseconds on the run's
    /// clock, was archived when the restore began.
    Latest { archived_us: u64 },
    /// To a time that the primary's clock showed at some instant between these two.
    Time { from_us: u64, to_us: u64 },
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreOutcome {
    /// The server there has reached its target.
    Open {
        /// From the operator's first command until then.
        took_ms: u64,
        /// Whether it accepts writes; if not, its recovery has paused.
        accepts_writes: bool,
        timeline: u32,
        /// The rows of its ledger.
        found: Vec<SequenceRange>,
        counts: LedgerCounts,
        /// How many of the scenario's bad changes it holds.
        bad_changes: u64,
    },
    /// It does not, or its rows could not be read.
    Failed { reason: String },
}
