//! `process_terminate`: one process gets SIGTERM, and ends as its program thinks fit.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "process_terminate",
    effect: "one process gets SIGTERM: the Patroni agent stops PostgreSQL and gives the leader key back, etcd hands its \
             leadership over, PostgreSQL refuses new sessions and serves those that it has until they end",
    confirmed_by: "the process with that id is gone, or PostgreSQL refuses sessions because it is shutting down; healed \
                   when another process has taken its place",
    limits: "the process must run on the host; the checkpointer ignores SIGTERM",
    parameters: process::PARAMETERS,
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ProcessTerminate {
    host: String,
    process: Process,
    /// The process that got the signal, once it did.
    pid: Option<u32>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, process) = process::aimed_at(KIND.name, plan, aim)?;
    if process == Process::CHECKPOINTER {
        return Err(aim.refuse(KIND.name, "the checkpointer ignores SIGTERM"));
    }
    Ok(Box::new(ProcessTerminate { host, process, pid: None }))
}

impl ProcessTerminate {
    /// Whether the process that got the signal is still there.
    async fn lives(&self, system: &System) -> Result<bool, FaultError> {
        let (Some(pod), Some(pid)) = (system.pod(&self.host), self.pid) else { return Ok(false) };
        Ok(!matches!(process::state(pod, pid).await?, None | Some('Z')))
    }
}

#[async_trait]
impl Fault for ProcessTerminate {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.process.service().into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), self.process)]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), self.process)]
    }

    fn hands_over(&self) -> bool {
        self.process == Process::AGENT
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.pid = Some(process::signal(system, &self.host, self.process, "TERM").await?);
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let pid = self.pid.ok_or("no process was found")?;
        if !self.lives(system).await.map_err(|error| error.to_string())? {
            return Ok(format!("{} (process {pid}) on {} has ended", self.process.word(), self.host));
        }
        if self.process == Process::POSTMASTER && system.refuses_sessions(&self.host).await.as_deref() == Some("57P03")
        {
            return Ok(format!("PostgreSQL on {} refuses new sessions: it is shutting down (57P03)", self.host));
        }
        Err(format!("{} (process {pid}) on {} has not ended", self.process.word(), self.host))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if self.process == Process::POSTMASTER && self.lives(system).await? {
            // It would wait for its last session for ever. SIGINT makes it hurry; then Patroni starts it again.
            if let (Some(pod), Some(pid)) = (system.pod(&self.host), self.pid) {
                pod.shell.run(&format!("kill -INT {pid}")).await?;
            }
        }
        process::revive(system, &self.host, self.process).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        if self.lives(system).await.map_err(|error| error.to_string())? {
            return Err(format!("{} on {} has not ended yet", self.process.word(), self.host));
        }
        process::runs_anew(system, &self.host, self.process, self.pid).await
    }
}
