//! What a subscriber outside of a cluster shows of its subscription: logical replication.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::event::{LedgerCounts, SequenceRange};

/// A subscription as its subscriber shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionState {
    pub subscription: String,
    /// Whether the subscriber answered; if not, the rest is empty.
    pub reachable: bool,
    /// Whether a worker receives and applies changes.
    pub worker: bool,
    /// The publisher's WAL position of the last transaction that was applied.
    pub applied_lsn: Option<u64>,
    /// The publisher's WAL position up to which the worker has received.
    pub received_lsn: Option<u64>,
    /// How often applying has failed so far.
    pub apply_errors: u64,
}

/// What the ledger of a subscriber holds in the end, when it had been given time to catch up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberRead {
    pub subscription: String,
    /// The rows of the table, each once.
    pub found: Vec<SequenceRange>,
    pub counts: LedgerCounts,
}

/// The columns of the ledger, and how far a sequence is, at the publisher and at the subscriber, as one look shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriberSchema {
    pub subscription: String,
    pub published_columns: BTreeSet<String>,
    pub subscribed_columns: BTreeSet<String>,
    /// The last number that was drawn from the sequence there; 0: none.
    pub published_sequence: u64,
    pub subscribed_sequence: u64,
}
