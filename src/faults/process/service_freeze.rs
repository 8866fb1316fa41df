//! `service_freeze`: every process of a service stops running and keeps all it holds.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "service_freeze",
    effect: "every process of the service gets SIGSTOP: it keeps its memory, locks and connections, the host's kernel \
             goes on accepting bytes for it, and nothing is answered",
    confirmed_by: "the kernel says that every process of the service is stopped; healed when none is, after SIGCONT",
    limits: "the host must run the service",
    parameters: process::SERVICE_PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ServiceFreeze {
    host: String,
    service: Instance,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ServiceFreeze { host, service }))
}

#[async_trait]
impl Fault for ServiceFreeze {
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
        process::signal_service(system, &self.host, &self.service, "STOP").await?;
        // Whatever was started between the look and the signal.
        process::signal_service(system, &self.host, &self.service, "STOP").await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match process::not_stopped(system, &self.host, &self.service).await? {
            None => Ok(format!("the kernel says that every process of {} on {} is stopped", self.service, self.host)),
            Some(running) => Err(running),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::signal_service(system, &self.host, &self.service, "CONT").await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        process::none_is_stopped(system, &self.host, &self.service).await?;
        Ok(format!("every process of {} on {} runs on", self.service, self.host))
    }
}
