//! Subscriptions: logical replication of a cluster's ledger to a server that belongs to no cluster.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cluster, Topology, WRITE};

/// One subscription. The ledger's publication is made on the primary of the cluster, the subscription at the subscriber, once
/// the cluster is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Its name at the subscriber; lower-case letters, digits and underscores.
    pub name: String,
    /// The host whose `subscriber` has it.
    pub host: String,
    /// The cluster that publishes; left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The endpoint by which it connects, which leads to the cluster's primary; or `nodes`: each of them in turn, until one
    /// accepts writes, which libpq sees to (`target_session_attrs`).
    #[serde(default = "write", skip_serializing_if = "is_write")]
    pub through: String,
    /// Its replication slot at the publisher; left out: called as the subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// What becomes of the slot when another node leads the cluster.
    #[serde(default)]
    pub slot_kept: SlotKept,
}

/// Who sees to it that a new primary has the slot of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotKept {
    /// Nobody: it was on the old primary alone.
    #[default]
    Plain,
    /// PostgreSQL's standbys copy it (`failover = true`, since version 17).
    Failover,
    /// Patroni's standbys copy it: a permanent slot of its dynamic configuration.
    Permanent,
}

impl SlotKept {
    /// Every way.
    pub const ALL: [SlotKept; 3] = [SlotKept::Plain, SlotKept::Failover, SlotKept::Permanent];

    /// Its word in topologies and scenarios.
    pub fn word(self) -> &'static str {
        match self {
            SlotKept::Plain => "plain",
            SlotKept::Failover => "failover",
            SlotKept::Permanent => "permanent",
        }
    }
}

impl fmt::Display for SlotKept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// The word for a subscription that connects to the nodes themselves.
pub const NODES: &str = "nodes";

fn write() -> String {
    WRITE.to_owned()
}

fn is_write(name: &String) -> bool {
    name == WRITE
}

impl Subscription {
    /// The name of its slot.
    pub fn slot(&self) -> &str {
        self.slot.as_deref().unwrap_or(&self.name)
    }

    /// The cluster that publishes, of these.
    pub fn publisher<'c>(&self, clusters: &'c [Cluster]) -> Option<&'c Cluster> {
        match (&self.of, clusters) {
            (Some(name), _) => clusters.iter().find(|cluster| cluster.name == *name),
            (None, [only]) => Some(only),
            (None, _) => None,
        }
    }
}

impl Topology {
    /// The subscription of this name.
    pub fn subscription(&self, name: &str) -> Option<&Subscription> {
        self.subscriptions.iter().find(|own| own.name == name)
    }
}
