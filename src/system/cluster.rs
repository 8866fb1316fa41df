//! One Patroni cluster of a running system.

use super::System;
use crate::topology::Cluster;

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

impl System {
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
