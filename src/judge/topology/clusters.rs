//! Clusters of a topology: nodes under one scope in one DCS, and whom they follow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Settings, Topology};
use crate::services::{
    patroni::{POSTGRESQL_PORT, SCOPE},
    service,
};

/// The name of the cluster of a topology that names none.
pub const ONLY_CLUSTER: &str = "main";

/// One cluster: Patroni's nodes under one scope in one DCS, or nodes of PostgreSQL that no agent keeps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The name by which scenarios and reports call it: `the primary of east`.
    pub name: String,
    /// The hosts of its PostgreSQL nodes. The first is the first primary, or the first standby leader.
    pub nodes: Vec<String>,
    /// The hosts of the members of its DCS; none, if no agent keeps its nodes. Clusters that name the same members share
    /// them.
    pub dcs: Vec<String>,
    /// The name under which it stands in its DCS. Clusters in different DCSs may have the same one.
    #[serde(default = "default_scope")]
    pub scope: String,
    /// The cluster whose WAL it replays: it is a standby cluster, and accepts no writes while it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Follows>,
    /// Its own settings; those that it does not name are the topology's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
}

/// How a standby cluster follows another one: Patroni's `standby_cluster`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Follows {
    /// The cluster that is followed.
    pub cluster: String,
    /// Where the standby leader connects: a host, or another name of one, that leads to the primary of that cluster.
    /// Without one nobody streams to it: it takes its WAL from the archive of its own cluster alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    #[serde(default = "postgresql_port")]
    pub port: u16,
    /// The replication slot that it uses there (`primary_slot_name`); without one, WAL is not held for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Whether the followed cluster keeps that slot as a permanent one (`slots` of its dynamic configuration), so that a
    /// new primary has it too. If not, nobody makes it.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub slot_is_permanent: bool,
    /// Where the agents find it.
    #[serde(default, skip_serializing_if = "Written::is_dynamic")]
    pub written: Written,
}

/// Where a standby cluster's configuration stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// `standby_cluster` in the dynamic configuration, as Patroni's documentation has it.
    #[default]
    Dynamic,
    /// `standby_cluster` beside `bootstrap.dcs`, with `bootstrap.method: standby_cluster`, as document 000 has it.
    BootstrapMethod,
}

impl Written {
    fn is_dynamic(&self) -> bool {
        *self == Written::Dynamic
    }
}

fn default_scope() -> String {
    SCOPE.to_owned()
}

fn postgresql_port() -> u16 {
    POSTGRESQL_PORT
}

fn yes() -> bool {
    true
}

impl Cluster {
    /// Whether it follows another one by its archive alone: nobody streams to its leader.
    pub fn is_shipped(&self) -> bool {
        self.follows.as_ref().is_some_and(|follows| follows.host.is_none())
    }

    /// The key of its name in the DCS: `leader`, `config`.
    pub fn key(&self, name: &str) -> String {
        format!("/service/{}/{name}", self.scope)
    }
}

impl Topology {
    /// Its clusters. A topology that names none has one of all nodes and all members of the DCS.
    pub fn all_clusters(&self) -> Vec<Cluster> {
        if !self.clusters.is_empty() {
            return self.clusters.clone();
        }
        let is_member = |host: &&super::Host| host.kinds().any(|kind| service(kind).dcs().is_some());
        vec![Cluster {
            name: ONLY_CLUSTER.to_owned(),
            nodes: self.nodes(),
            dcs: self.hosts().filter(is_member).map(|host| host.name.clone()).collect(),
            scope: default_scope(),
            follows: None,
            settings: None,
        }]
    }

    /// The settings of a cluster.
    pub fn settings_of<'a>(&'a self, cluster: &'a Cluster) -> &'a Settings {
        cluster.settings.as_ref().unwrap_or(&self.settings)
    }

    /// Gives each cluster that names settings of its own the topology's for all that it does not name. `names` says
    /// whether the file names a field of a section of the settings of the cluster of this index.
    pub(super) fn inherit_settings(
        &mut self,
        names: impl Fn(usize, &str, &str) -> bool,
    ) -> Result<(), serde_json::Error> {
        let shared = serde_json::to_value(&self.settings)?;
        for (index, cluster) in self.clusters.iter_mut().enumerate() {
            let Some(own) = &mut cluster.settings else { continue };
            let named = serde_json::to_value(&*own)?;
            let mut merged = shared.clone();
            for (section, fields) in named.as_object().into_iter().flatten() {
                for (field, value) in fields.as_object().into_iter().flatten() {
                    if !names(index, section, field) {
                        continue;
                    }
                    match (&mut merged[section][field], value.as_object()) {
                        // Parameters of PostgreSQL: those that are named stand beside the others.
                        (serde_json::Value::Object(known), Some(more)) => known.extend(more.clone()),
                        (known, _) => *known = value.clone(),
                    }
                }
            }
            *own = serde_json::from_value(merged)?;
        }
        Ok(())
    }
}
