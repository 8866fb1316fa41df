//! `container_pause`: a service is frozen as `docker pause` freezes it.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "container_pause",
    effect: "the kernel freezes the control group of the service: no process of it runs, none gets a signal, and what \
             they hold stays; SIGSTOP (service_freeze) looks the same to peers, but a parent gets a signal for it",
    confirmed_by: "Docker says that the container is paused, and no process of it is left running; healed when Docker \
                   says that it runs",
    limits: "the host must run the service",
    parameters: process::SERVICE_PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ContainerPause {
    host: String,
    service: Instance,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ContainerPause { host, service }))
}

impl ContainerPause {
    async fn is_paused(&self, system: &System) -> Result<bool, String> {
        let service = system.service(&self.host, &self.service).ok_or("the service is unknown")?;
        let state = system.engine().container_state(service).await.map_err(|error| error.to_string())?;
        Ok(state.paused)
    }

    /// A process that runs or only sleeps. A frozen one waits where no signal reaches it (`D`).
    async fn awake(&self, system: &System) -> Result<Option<u32>, String> {
        let processes = process::processes_of_service(system, &self.host, &self.service).await;
        let processes = processes.map_err(|error| error.to_string())?;
        Ok(processes.iter().find(|process| !matches!(process.state, 'D' | 'Z')).map(|process| process.pid))
    }
}

#[async_trait]
impl Fault for ContainerPause {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.service.clone())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.service.clone())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.service.clone())]
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.host, &self.service) else { return Ok(()) };
        Ok(system.engine().pause_service(service).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        if !self.is_paused(system).await? {
            return Err(format!("Docker says that {} on {} is not paused", self.service, self.host));
        }
        Ok(format!("Docker says that {} on {} is paused", self.service, self.host))
    }

    /// Docker neither kills nor stops what is paused: nothing reaches a frozen process.
    async fn let_go(&mut self, system: &System, _lost: &[Place]) -> Result<(), FaultError> {
        self.heal(system).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let (Some(service), Ok(true)) = (system.service(&self.host, &self.service), self.is_paused(system).await) {
            system.engine().unpause_service(service).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        match (self.is_paused(system).await?, self.awake(system).await?) {
            (false, Some(pid)) => Ok(format!("{} on {} runs on (process {pid})", self.service, self.host)),
            (false, None) => Err(format!("no process of {} on {} is awake", self.service, self.host)),
            (true, _) => Err(format!("Docker says that {} on {} is still paused", self.service, self.host)),
        }
    }
}
