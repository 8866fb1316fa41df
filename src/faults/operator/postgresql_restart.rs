//! `postgresql_restart`: an operator restarts PostgreSQL through Patroni.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, operator},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "postgresql_restart",
    effect: "Patroni is asked to restart PostgreSQL on the node: it writes a checkpoint, ends every session, shuts down \
             in order and starts again; the leader key stays where it is",
    confirmed_by: "PostgreSQL reports a later time of its start; healed when it takes sessions, as it does by itself",
    limits: "the target must be a node with a running PostgreSQL",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

const STARTED_AT: &str = "SELECT pg_postmaster_start_time()";

struct PostgresqlRestart {
    aim: Aim,
    node: String,
    started_at: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = operator::node(KIND.name, plan, aim)?;
    Ok(Box::new(PostgresqlRestart { aim: aim.clone(), node, started_at: String::new() }))
}

#[async_trait]
impl Fault for PostgresqlRestart {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let told = system.sql_value(&self.node, STARTED_AT).await;
        self.started_at = told.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.restart_postgresql(&self.node).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let now = system.sql_value(&self.node, STARTED_AT).await?;
        let before = &self.started_at;
        if now == *before {
            return Err(format!("PostgreSQL on {} runs since {before}", self.node));
        }
        Ok(format!("PostgreSQL on {} was started at {now}, before that at {before}", self.node))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let now = system.sql_value(&self.node, STARTED_AT).await?;
        Ok(format!("PostgreSQL on {} takes sessions, since {now}", self.node))
    }
}
