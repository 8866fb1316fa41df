//! Patroni's tags: what one node may do in its cluster, as the agent's own configuration says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What Patroni reads of a node's tags (its documentation, "Patroni configuration, tags"). Left out: as Patroni has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tags {
    /// It is never promoted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofailover: Option<bool>,
    /// Of standbys with the same WAL the one with the higher number is promoted; 0: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failover_priority: Option<u32>,
    /// Balancers that ask for standbys pass it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noloadbalance: Option<bool>,
    /// It is never a synchronous standby.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nosync: Option<bool>,
    /// Others prefer it when they take a base backup.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clonefrom: Option<bool>,
    /// The node that it streams from, in place of the primary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicatefrom: Option<String>,
}

impl Tags {
    /// No tags, to refer to where a host has none.
    pub const NONE: Tags = Tags {
        nofailover: None,
        failover_priority: None,
        noloadbalance: None,
        nosync: None,
        clonefrom: None,
        replicatefrom: None,
    };

    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether the node is never promoted.
    pub fn is_barred(&self) -> bool {
        self.nofailover == Some(true) || self.failover_priority == Some(0)
    }
}
