//! `service_kill`: every process of a service dies at once; the machine lives and resets its connections.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "service_kill",
    effect: "every process of the service gets SIGKILL; the host's kernel answers its peers with resets",
    confirmed_by: "no process of the service's control group is left; healed when the service runs again",
    limits: "the host must run the service",
    parameters: process::SERVICE_PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ServiceKill {
    host: String,
    service: Instance,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ServiceKill { host, service }))
}

#[async_trait]
impl Fault for ServiceKill {
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
        process::signal_service(system, &self.host, &self.service, "KILL").await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let pids =
            process::pids_of_service(system, &self.host, &self.service).await.map_err(|error| error.to_string())?;
        if pids.is_empty() {
            return Ok(format!("no process of {} is left on {}", self.service, self.host));
        }
        Err(format!("processes {pids} of {} are left on {}", self.service, self.host))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::start_again(system, &self.host, &self.service).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let pids =
            process::pids_of_service(system, &self.host, &self.service).await.map_err(|error| error.to_string())?;
        if pids.is_empty() {
            return Err(format!("{} does not run on {}", self.service, self.host));
        }
        Ok(format!("{} runs on {} (processes {pids})", self.service, self.host))
    }
}
