//! `process_kill`: one process gets SIGKILL; all others on its machine live.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "process_kill",
    effect: "one process gets SIGKILL; what it leaves behind (PostgreSQL, when Patroni dies) lives on; after the death \
             of one of PostgreSQL's own processes the postmaster ends all others and restarts them",
    confirmed_by: "the process with that id is gone; healed when another process has taken its place",
    limits: "the process must run on the host",
    parameters: process::PARAMETERS,
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ProcessKill {
    host: String,
    process: Process,
    /// The process that was killed, once it was.
    pid: Option<u32>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, process) = process::aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ProcessKill { host, process, pid: None }))
}

#[async_trait]
impl Fault for ProcessKill {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.process.service().into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), self.process)]
    }

    fn takes_away(&self) -> Vec<Place> {
        self.process.killed_with_it().map(|process| Place::Process(self.host.clone(), process)).collect()
    }

    fn hands_over(&self) -> bool {
        self.process.leaves_its_agent()
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.pid = Some(process::signal(system, &self.host, self.process, "KILL").await?);
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let (Some(pod), Some(pid)) = (system.pod(&self.host), self.pid) else {
            return Err("no process was found".to_owned());
        };
        match process::state(pod, pid).await.map_err(|error| error.to_string())? {
            None | Some('Z') => Ok(format!("{} (process {pid}) on {} is gone", self.process.word(), self.host)),
            Some(state) => Err(format!("process {pid} is in state {state}")),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::revive(system, &self.host, self.process).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        process::runs_anew(system, &self.host, self.process, self.pid).await
    }
}
