//! `failover`: an operator makes a standby the primary.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, operator},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "failover",
    effect: "Patroni is asked to make the target the primary, whether there is a healthy one or not; a healthy one shuts \
             PostgreSQL down and hands over",
    confirmed_by: "Patroni says that the target leads, and PostgreSQL there accepts writes; nothing is healed: the new \
                   primary stays",
    limits: "the target must be a node that does not lead, and its Patroni must answer",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

struct Failover {
    aim: Aim,
    candidate: String,
    primary_before: Option<String>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let candidate = operator::node(KIND.name, plan, aim)?;
    Ok(Box::new(Failover { aim: aim.clone(), candidate, primary_before: None }))
}

#[async_trait]
impl Fault for Failover {
    fn services(&self) -> Vec<(String, Instance)> {
        let both = std::iter::once(&self.candidate).chain(&self.primary_before);
        both.map(|node| (node.clone(), ServiceKind::Patroni.into())).collect()
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.candidate.clone(), ServiceKind::Patroni.into())]
    }

    /// PostgreSQL on the old primary is started anew as a standby.
    fn takes_away(&self) -> Vec<Place> {
        self.primary_before.iter().map(|node| Place::Process(node.clone(), Process::POSTMASTER)).collect()
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.primary_before = operator::leader_beside(system, &self.candidate).await;
        if self.primary_before.as_deref() == Some(&self.candidate) {
            return Err(self.aim.refuse(KIND.name, "it leads already"));
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.fail_over(&self.candidate).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let primary = operator::leading_node(system, &self.candidate).await?;
        if primary != self.candidate {
            return Err(format!("{primary} leads"));
        }
        Ok(format!("Patroni on {primary} says that it leads, and PostgreSQL there is not in recovery"))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let primary = operator::leading_node(system, &self.candidate).await?;
        Ok(format!("{primary} leads; a failover leaves nothing to undo"))
    }
}
