//! `memory_limit`: PostgreSQL runs out of memory, and the kernel kills.

use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes, hosts},
    plan::Plan,
    system::{Session, System},
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "memory_limit",
    effect: "PostgreSQL and its agent may use no more memory together than this, and a session asks for more: the kernel \
             kills the largest of their processes, and the postmaster then ends all sessions and restarts",
    confirmed_by: "the kernel's own count of processes of the service that it killed for want of memory has grown; \
                   healed when the limit is the machine's memory (Docker takes none away) and PostgreSQL takes sessions",
    limits: "the target must be a PostgreSQL node; Docker takes no limit below 6 MB, and the kernel none below what can't \
             be given back",
    parameters: &[Parameter::with_default("limit", Takes::Bytes, "256 MB", "of the whole service")],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// What an engine takes at least.
const LEAST_BYTES: u64 = 6 << 20;
/// A session that asks for memory until it is stopped, a megabyte at a time: an array that grows in the memory of its
/// process alone. (A series in FROM would be written to disk first.)
const HUNGRY: &str =
    "SELECT cardinality(array_agg(repeat('x', 1048576))) FROM (SELECT generate_series(1, 1000000)) AS series";
/// How long it may ask; a limit that it does not reach by then was too large.
const HUNGRY_FOR: Duration = Duration::from_secs(60);

struct MemoryLimit {
    aim: Aim,
    node: String,
    service: ServiceKind,
    limit_bytes: u64,
    killed_before: u64,
    machine_bytes: u64,
    hungry: Option<JoinHandle<()>>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (node, service) = hosts::node(KIND.name, plan, aim)?;
    let limit_bytes = aim.parameters.bytes("limit").unwrap_or_default();
    if limit_bytes < LEAST_BYTES {
        return Err(aim.refuse(KIND.name, "Docker takes no limit below 6 MB"));
    }
    let aim = aim.clone();
    Ok(Box::new(MemoryLimit { aim, node, service, limit_bytes, killed_before: 0, machine_bytes: 0, hungry: None }))
}

impl MemoryLimit {
    async fn killed(&self, system: &System) -> Result<u64, FaultError> {
        match system.service(&self.node, self.service) {
            Some(service) => Ok(system.engine().killed_for_memory(service).await?),
            None => Ok(0),
        }
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        if let Some(hungry) = &self.hungry {
            hungry.abort();
        }
    }
}

#[async_trait]
impl Fault for MemoryLimit {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), self.service.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), self.service.into())]
    }

    /// The postmaster ends all of PostgreSQL's processes when one is killed.
    fn takes_away(&self) -> Vec<Place> {
        Process::backends().map(|process| Place::Process(self.node.clone(), process)).collect()
    }

    fn confirmed_within(&self) -> Duration {
        HUNGRY_FOR
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.killed_before = self.killed(system).await?;
        self.machine_bytes = system.engine().machine_memory().await?;
        if self.limit_bytes >= self.machine_bytes {
            return Err(self.aim.refuse(KIND.name, "the machine itself has no more memory"));
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let missing = || FaultError::NoTarget(format!("PostgreSQL on {}", self.node));
        let service = system.service(&self.node, self.service).ok_or_else(missing)?;
        system.engine().limit_memory(service, self.limit_bytes).await?;
        let session = system.session(&self.node, "pgquake hungry").await;
        let session = session.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        self.hungry = Some(tokio::spawn(ask_for_memory(session)));
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let killed = self.killed(system).await.map_err(|error| error.to_string())?;
        let killed = killed.saturating_sub(self.killed_before);
        if killed == 0 {
            return Err(format!("the kernel has killed nothing on {}", self.node));
        }
        let limit = self.limit_bytes >> 20;
        Ok(format!("the kernel killed {killed} of PostgreSQL's processes on {} at its limit of {limit} MB", self.node))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let Some(hungry) = self.hungry.take() {
            hungry.abort();
        }
        if let Some(service) = system.service(&self.node, self.service) {
            system.engine().limit_memory(service, self.machine_bytes).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let service = system.service(&self.node, self.service).ok_or("the service is unknown")?;
        let limit = system.engine().memory_limit(service).await.map_err(|error| error.to_string())?;
        if limit != self.machine_bytes {
            return Err(format!("the limit of {} is {limit} bytes", self.node));
        }
        system.sql_value(&self.node, "SELECT 1").await?;
        Ok(format!("{} may use the whole memory of the machine, and takes sessions", self.node))
    }
}

/// Ends when the kernel has killed its server, or the time is over.
async fn ask_for_memory(session: Session) {
    let asked = tokio::time::timeout(HUNGRY_FOR, session.simple_query(HUNGRY)).await;
    if asked.is_err() {
        session.cancel().await;
    }
}
