//! `switchover`: an operator hands the leader key over.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes, operator},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "switchover",
    effect: "Patroni is asked to hand over: the primary shuts PostgreSQL down in order, its standby receives the last \
             of its WAL and is promoted, and the old primary follows it",
    confirmed_by: "Patroni says that another node leads, and PostgreSQL there accepts writes; nothing is healed: the new \
                   primary stays",
    limits: "the target must be the primary; Patroni refuses when no standby is fit",
    parameters: &[Parameter::optional("to", Takes::Hosts, "the node to lead; without it Patroni chooses")],
    lasts: Lasts::Once,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

struct Switchover {
    aim: Aim,
    host: String,
    candidate: Option<String>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let host = operator::node(KIND.name, plan, aim)?;
    let candidate = match aim.parameters.hosts("to").as_slice() {
        [] => None,
        [one] if plan.runs(one, ServiceKind::Patroni) => Some(one.clone()),
        [one] => return Err(aim.refuse(KIND.name, format!("{one} runs no Patroni, and can't lead"))),
        _ => return Err(aim.refuse(KIND.name, "only one node can lead")),
    };
    Ok(Box::new(Switchover { aim: aim.clone(), host, candidate }))
}

#[async_trait]
impl Fault for Switchover {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), ServiceKind::Patroni.into())]
    }

    /// PostgreSQL is started anew as a standby.
    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), Process::POSTMASTER)]
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        match operator::leader_beside(system, &self.host).await {
            Some(primary) if primary == self.host => Ok(()),
            Some(primary) => Err(self.aim.refuse(KIND.name, format!("{primary} is the primary"))),
            None => Err(self.aim.refuse(KIND.name, "no node leads")),
        }
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.switch_over(&self.host, self.candidate.as_deref()).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let primary = operator::leading_node(system, &self.host).await?;
        let wanted = match &self.candidate {
            Some(candidate) => primary == *candidate,
            None => primary != self.host,
        };
        if !wanted {
            return Err(format!("{primary} leads"));
        }
        Ok(format!(
            "Patroni on {primary} says that it leads, PostgreSQL there is not in recovery; before it was {}",
            self.host
        ))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let primary = operator::leading_node(system, &self.host).await?;
        Ok(format!("{primary} leads; a switchover leaves nothing to undo"))
    }
}
