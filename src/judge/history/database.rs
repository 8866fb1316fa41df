//! What clients wrote into further databases, and what those held in the end.

use serde::{Deserialize, Serialize};

use super::{
    attempt::{Attempt, LedgerCounts, SequenceRange},
    event::Role,
};

/// A write into a further database ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseWrite {
    pub database: String,
    pub write: Attempt,
}

/// A further database was looked at on a node, when all nodes had rejoined and replay had caught up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseRead {
    pub database: String,
    pub node: String,
    pub found: DatabaseFound,
}

/// What a look at a database gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseFound {
    Read(DatabaseContents),
    /// It could not be read, for this reason: what it holds stays unknown.
    Unread(String),
}

/// What a database holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseContents {
    /// The timeline that the node was on.
    pub timeline: u32,
    pub role: Role,
    /// The WAL position that a primary had written, or that a standby had replayed, before its rows were read. Clients had stopped
    /// by then.
    pub lsn: u64,
    /// The rows of its ledger, each once.
    pub ledger: Vec<SequenceRange>,
    pub counts: LedgerCounts,
    /// `None`: it has no vectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vectors: Option<Vectors>,
}

/// What a table of vectors holds, and what its HNSW index answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// The writes whose vector is there.
    pub found: Vec<SequenceRange>,
    /// Vectors that are not what their write put there.
    pub changed_rows: u64,
    /// One for each of the same questions.
    pub answers: Vec<Nearest>,
    /// Why the index gave no answer, if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_failed: Option<String>,
}

/// The vectors that are nearest to one that was asked for, the nearest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    /// As the index has them.
    pub by_index: Vec<Neighbour>,
    /// As the table has them, of which every vector was compared.
    pub exact: Vec<Neighbour>,
}

/// A vector near to another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// The write that put it there.
    pub client: u32,
    pub sequence: u64,
    /// The distance between the two (L2).
    pub distance: f64,
}
