//! `reinitialize`: an operator has a standby rebuilt.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, operator},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "reinitialize",
    effect: "Patroni is asked to rebuild the standby: it stops PostgreSQL, removes the data directory, copies the \
             primary's with pg_basebackup, and starts",
    confirmed_by: "the label that the base backup leaves in the data directory is a new one; healed when the standby \
                   runs as one again",
    limits: "the target must be a node that does not lead, with a primary to copy",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// What a base backup leaves behind once PostgreSQL was started with it. A node that has never been copied has none.
const LABEL: &str = "SELECT pg_read_file('backup_label.old')";

struct Reinitialize {
    aim: Aim,
    node: String,
    label_before: Option<String>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = operator::node(KIND.name, plan, aim)?;
    Ok(Box::new(Reinitialize { aim: aim.clone(), node, label_before: None }))
}

#[async_trait]
impl Fault for Reinitialize {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        match operator::leader_beside(system, &self.node).await {
            Some(primary) if primary == self.node => Err(self.aim.refuse(KIND.name, "it leads")),
            None => Err(self.aim.refuse(KIND.name, "there is no primary to copy")),
            Some(_) => {
                self.label_before = system.sql_value(&self.node, LABEL).await.ok();
                Ok(())
            }
        }
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.reinitialize(&self.node).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let label = system.sql_value(&self.node, LABEL).await?;
        if Some(&label) == self.label_before.as_ref() {
            return Err(format!("{} has the data directory that it had", self.node));
        }
        let started = label.lines().find_map(|line| line.strip_prefix("START TIME: ")).unwrap_or("an unknown time");
        Ok(format!("{} runs on a base backup that was begun at {started}", self.node))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        match system.standbys().await.contains(&self.node) {
            true => Ok(format!("Patroni says that {} is a standby that runs", self.node)),
            false => Err(format!("{} is no standby that runs", self.node)),
        }
    }
}
