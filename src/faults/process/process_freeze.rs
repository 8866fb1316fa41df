//! `process_freeze`: one process stops running and keeps all it holds, as on a stalled machine.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "process_freeze",
    effect: "one process gets SIGSTOP: it keeps its memory, locks and connections, and does nothing; what it \
             started runs on",
    confirmed_by: "the kernel says that the process is stopped; healed when it is not, after SIGCONT",
    limits: "the process must run on the host",
    parameters: process::PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ProcessFreeze {
    host: String,
    process: Process,
    pid: Option<u32>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, process) = process::aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ProcessFreeze { host, process, pid: None }))
}

impl ProcessFreeze {
    async fn state(&self, system: &System) -> Result<Option<char>, String> {
        let (Some(pod), Some(pid)) = (system.pod(&self.host), self.pid) else {
            return Err("no process was found".to_owned());
        };
        process::state(pod, pid).await.map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Fault for ProcessFreeze {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.process.service().into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), self.process)]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.host.clone(), self.process)]
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.pid = Some(process::signal(system, &self.host, self.process, "STOP").await?);
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match self.state(system).await? {
            Some('T') => Ok(format!("the kernel says that {} on {} is stopped", self.process.word(), self.host)),
            Some(state) => Err(format!("{} on {} is in state {state}", self.process.word(), self.host)),
            None => Err(format!("{} on {} is gone", self.process.word(), self.host)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let (Some(pod), Some(pid)) = (system.pod(&self.host), self.pid) {
            pod.shell.run(&format!("kill -CONT {pid}")).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        match self.state(system).await? {
            Some('T') => Err(format!("{} on {} is still stopped", self.process.word(), self.host)),
            Some(_) => Ok(format!("{} on {} runs on", self.process.word(), self.host)),
            // Its host went down meanwhile and came back: what is there now was never frozen.
            None => process::runs_anew(system, &self.host, self.process, self.pid).await,
        }
    }
}
