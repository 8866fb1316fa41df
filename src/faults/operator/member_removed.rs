//! `member_removed`: an operator takes a node out of the cluster.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, host, operator, process},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "member_removed",
    effect: "Patroni and PostgreSQL of the node are shut down in order (SIGTERM), and the node's key in the DCS runs \
             out; healing adds it: both start again and join",
    confirmed_by: "Docker says that the service has ended, and the other members do not list the node any more; healed \
                   when they list it and its Patroni says that it runs",
    limits: "another node must be left to report it",
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
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn hands_over(&self) -> bool {
        true
    }

    /// The node's key lives as long as its lease.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.node, ServiceKind::Patroni) else { return Ok(()) };
        Ok(system.engine().stop_service(service, GRACE_S).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let ended = host::how_it_ended(system, &self.node, &ServiceKind::Patroni.into()).await?;
        let members = super::cluster_of_node(system, &self.node)?.members().await?;
        if members.contains(&self.node) {
            return Err(format!("{} is still listed as a member", self.node));
        }
        Ok(format!("{ended}; members are {}", members.join(", ")))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::start_again(system, &self.node, &ServiceKind::Patroni.into()).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let members = super::cluster_of_node(system, &self.node)?.members().await?;
        if !members.contains(&self.node) {
            return Err(format!("members are {}", members.join(", ")));
        }
        match system.patroni_says(&self.node).await?["state"].as_str() {
            Some("running" | "streaming") => Ok(format!("{} runs; members are {}", self.node, members.join(", "))),
            state => Err(format!("Patroni on {} says {state:?}", self.node)),
        }
    }
}
