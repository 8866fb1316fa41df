//! `member_removed`: an operator takes a node out of the cluster.

use std::time::Duration;

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, host, operator, process};
use crate::{cluster::Cluster, plan::Plan, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "member_removed",
    effect: "Patroni and PostgreSQL of the node are shut down in order (SIGTERM), and the node's key in the DCS runs \
             out; healing adds it: both start again and join",
    confirmed_by: "Docker says that the service has ended, and the other members do not list the node any more; healed \
                   when they list it and its Patroni says that it runs",
    limits: "another node must be left to tell",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The time to shut down.
const GRACE_S: i32 = 60;

struct MemberRemoved {
    node: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = operator::node(KIND.name, plan, aim)?;
    if plan.nodes.len() < 2 {
        return Err(aim.refuse(KIND.name, "it is the only node"));
    }
    Ok(Box::new(MemberRemoved { node }))
}

#[async_trait]
impl Fault for MemberRemoved {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        vec![(self.node.clone(), ServiceKind::Patroni)]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni)]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni)]
    }

    fn hands_over(&self) -> bool {
        true
    }

    /// The node's key lives as long as its lease.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        let Some(service) = cluster.service(&self.node, ServiceKind::Patroni) else { return Ok(()) };
        Ok(cluster.engine().stop_service(service, GRACE_S).await?)
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        let ended = host::how_it_ended(cluster, &self.node, ServiceKind::Patroni).await?;
        let members = cluster.members().await?;
        if members.contains(&self.node) {
            return Err(format!("{} is still listed as a member", self.node));
        }
        Ok(format!("{ended}; members are {}", members.join(", ")))
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        process::start_again(cluster, &self.node, ServiceKind::Patroni).await
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        let members = cluster.members().await?;
        if !members.contains(&self.node) {
            return Err(format!("members are {}", members.join(", ")));
        }
        match cluster.patroni_says(&self.node).await?["state"].as_str() {
            Some("running" | "streaming") => Ok(format!("{} runs; members are {}", self.node, members.join(", "))),
            state => Err(format!("Patroni on {} says {state:?}", self.node)),
        }
    }
}
