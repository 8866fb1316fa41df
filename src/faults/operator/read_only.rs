//! `read_only`: an operator stops writes to a primary, as before a planned switchover.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, hosts},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "read_only",
    effect: "`default_transaction_read_only` is switched on by ALTER SYSTEM and a reload: every transaction that begins \
             from then on may only read, in sessions that are open, too; one that is under way goes on",
    confirmed_by: "a session reports that its transactions may only read; healed when one reports that they may write",
    limits: "the target must be a node with a running PostgreSQL; a client that sets its transactions to read-write is \
             not held back",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ReadOnly {
    node: String,
    service: ServiceKind,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (node, service) = hosts::node(KIND.name, plan, aim)?;
    Ok(Box::new(ReadOnly { node, service }))
}

impl ReadOnly {
    /// Whether transactions may only read, as a session reports.
    async fn reports(&self, system: &System) -> Result<bool, String> {
        Ok(system.sql_value(&self.node, "SHOW default_transaction_read_only").await? == "on")
    }
}

#[async_trait]
impl Fault for ReadOnly {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), self.service.into())]
    }

    /// The data directory keeps it; it is proven by a session.
    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.alter_system(&self.node, "SET default_transaction_read_only = on").await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match self.reports(system).await? {
            true => Ok(format!("transactions on {} may only read", self.node)),
            false => Err(format!("transactions on {} may write", self.node)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.alter_system(&self.node, "RESET default_transaction_read_only").await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        match self.reports(system).await? {
            false => Ok(format!("transactions on {} may write, if it is a primary", self.node)),
            true => Err(format!("transactions on {} may only read", self.node)),
        }
    }
}
