//! What a service may know of its surroundings.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PoolOf, ServiceKind, Settings, Tags, Tls, archive::Archive, service};
use crate::credentials::Credentials;

/// The surroundings of the services of one host.
pub struct Site<'a> {
    /// Where they run.
    pub host: &'a str,
    /// The name under which the host's cluster stands in its DCS.
    pub scope: &'a str,
    /// The PostgreSQL nodes of the cluster; the first is the first primary, or the first standby leader.
    pub nodes: &'a [String],
    /// The kind of the host's DCS, if there is one.
    pub dcs: Option<ServiceKind>,
    /// The hosts of its members. Where an election alone chooses who leads, the last one is meant to win the first.
    pub dcs_members: Vec<&'a str>,
    /// Whom the cluster follows, if it is a standby cluster.
    pub upstream: Option<Upstream<'a>>,
    /// Slots that the cluster keeps for those that follow it, also across a failover.
    pub permanent_slots: Vec<&'a str>,
    /// Logical slots that the agents keep for those that subscribe, also across a failover.
    pub logical_slots: Vec<&'a str>,
    /// The programs of the balancers beside them.
    pub balancers: Vec<&'static str>,
    /// The hosts of all balancers.
    pub balanced_from: Vec<&'a str>,
    /// What a balancer listens for.
    pub fronts: Vec<Front<'a>>,
    /// The pools that the agent of a node that becomes primary points there.
    pub repointed: Vec<PoolAt<'a>>,
    /// The virtual address that the host may hold, if there is one.
    pub shared_address: Option<SharedAddress<'a>>,
    /// Where the cluster's WAL is archived, if it is.
    pub archive: Option<Archive<'a>>,
    /// What Patroni's tags say of the host's node.
    pub tags: &'a Tags,
    pub settings: Cow<'a, Settings>,
    /// What speaks TLS.
    pub tls: Tls,
    /// Whether the clocks of nodes can be set.
    pub clocks_are_prepared: bool,
}

/// Where a standby cluster gets its WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upstream<'a> {
    /// What leads to the primary of the cluster that is followed; `None`: WAL comes from the archive alone.
    pub host: Option<&'a str>,
    pub port: u16,
    /// The replication slot there.
    pub slot: Option<&'a str>,
    /// Whether the agents find this in the dynamic configuration; else beside `bootstrap.dcs`, under a method of
    /// bootstrapping that is called `standby_cluster`.
    pub is_dynamic: bool,
}

/// An address that belongs to no host, and that one of several holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedAddress<'a> {
    /// Its name.
    pub name: &'a str,
    /// The hosts that may hold it; the first does while it lives.
    pub holders: &'a [String],
    /// Its last part, in the network of these hosts.
    pub last_octet: u8,
}

/// A port at which a balancer serves clients.
pub struct Front<'a> {
    /// The endpoint's name.
    pub name: &'a str,
    pub port: u16,
    pub serves: Serves,
    /// The nodes that it may lead clients to; none where it leads them to pools.
    pub nodes: &'a [String],
    /// The port of a node that it leads them to: PostgreSQL's, or that of the node's pooler.
    pub node_port: u16,
    /// The pools that it leads clients to in place of nodes, where these have hosts of their own.
    pub pools: Vec<PoolAt<'a>>,
}

/// A pool that leads to the nodes of a role, and not to the node of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolAt<'a> {
    /// What observers and reports call its pooler.
    pub called: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub of: PoolOf,
}

/// To whom clients of an endpoint are led.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Serves {
    /// The node that accepts writes.
    Primary,
    /// The node that leads its cluster: a primary, or the leader of a standby cluster, which accepts no writes.
    Leader,
    /// Nodes that answer reads.
    Standbys,
    /// One node, whatever it is at the moment.
    #[default]
    Node,
}

impl Front<'_> {
    /// The servers that it leads clients to: what each is called, its host and its port.
    pub fn servers(&self) -> Vec<(&str, &str, u16)> {
        let nodes = self.nodes.iter().map(|node| (node.as_str(), node.as_str(), self.node_port));
        nodes.chain(self.pools.iter().map(|pool| (pool.called, pool.host, pool.port))).collect()
    }
}

impl Serves {
    /// Whether clients read there. Everywhere else they write, also where a standby must refuse it.
    pub fn is_for_reads(self) -> bool {
        self == Serves::Standbys
    }

    /// Whether it leads clients to whoever accepts writes.
    pub fn is_for_writes(self) -> bool {
        matches!(self, Serves::Primary | Serves::Leader)
    }
}

impl Site<'_> {
    /// What an agent is configured with to reach the DCS: the section's name and content.
    pub fn dcs_for_agents(&self, credentials: &Credentials) -> Option<(&'static str, Value)> {
        let dcs = service(self.dcs?).dcs()?;
        Some((dcs.agent_settings)(self, credentials))
    }
}
