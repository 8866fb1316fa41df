//! One Patroni cluster of a running system.

use std::{collections::BTreeSet, sync::PoisonError, time::Duration};

use futures::future::join_all;
use serde_json::Value;

use super::System;
use crate::topology::Cluster;

/// How long a change in the DCS may take.
const DCS_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// One Patroni cluster of a running system. Cheap to make: it holds nothing of its own.
#[derive(Clone, Copy)]
pub struct RunningCluster<'a> {
    pub(super) system: &'a System,
    pub(super) cluster: &'a Cluster,
}

impl<'a> RunningCluster<'a> {
    /// What it is by the plan.
    pub fn plan(&self) -> &'a Cluster {
        self.cluster
    }
}

impl RunningCluster<'_> {
    /// The first value that a node's PostgreSQL gives for a query.
    pub async fn sql_value(&self, node: &str, sql: &str) -> Result<String, String> {
        self.system.sql_value(node, sql).await
    }

    /// Its nodes of which the agent or PostgreSQL answers.
    pub async fn who_answers(&self) -> Vec<String> {
        let asked = self.cluster.nodes.iter().map(|node| async move {
            let agent = self.system.rest_status(node, "health").await.is_some();
            let answers = agent || self.system.sql_value(node, "SELECT 1").await.is_ok();
            answers.then(|| node.clone())
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Whether nobody waits for it any more.
    pub fn is_given_up(&self) -> bool {
        self.system.given_up().contains(&self.cluster.name)
    }

    /// Changes the configuration that all nodes of the cluster share, in the DCS itself: also while no agent runs. A null
    /// removes a key. `patronictl edit-config` does the same.
    pub async fn configure_in_dcs(&self, change: &Value) -> Result<(), String> {
        let dcs = self.system.plan().dcs_of(self.cluster).ok_or("it has no DCS")?;
        let members: Vec<&str> = dcs.members.iter().map(String::as_str).collect();
        let mut client = self.system.dcs_client(dcs, &members, DCS_ANSWERS_WITHIN)?;
        let key = self.cluster.key("config");
        let known = client.read(&key).await.map_err(|error| error.to_string())?.ok_or("it has no configuration")?;
        let mut configuration: Value = serde_json::from_str(&known).map_err(|error| error.to_string())?;
        for (name, value) in change.as_object().into_iter().flatten() {
            match (value, configuration.as_object_mut()) {
                (Value::Null, Some(keys)) => drop(keys.remove(name)),
                (value, _) => configuration[name] = value.clone(),
            }
        }
        client.put(&key, &configuration.to_string()).await.map_err(|error| error.to_string())
    }
}

impl System {
    /// The clusters that nobody waits for any more.
    pub fn given_up(&self) -> BTreeSet<String> {
        self.inner.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a cluster no more: it is left as it is.
    pub fn give_up(&self, cluster: &str) {
        self.inner.given_up.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.to_owned());
    }

    /// Every cluster, in the order of the plan.
    pub fn clusters(&self) -> impl Iterator<Item = RunningCluster<'_>> {
        self.plan().clusters.iter().map(|cluster| RunningCluster { system: self, cluster })
    }

    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<RunningCluster<'_>> {
        self.clusters().find(|running| running.cluster.name == name)
    }

    /// The cluster that a node belongs to.
    pub fn cluster_of(&self, node: &str) -> Option<RunningCluster<'_>> {
        self.clusters().find(|running| running.cluster.nodes.iter().any(|own| own == node))
    }
}
