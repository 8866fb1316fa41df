//! `service_freeze`: every process of a service stops running and keeps all it holds.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, process},
    plan::Plan,
    system::System,
    topology::ServiceKind,
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
    kind: ServiceKind,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, kind) = process::service_aimed_at(KIND.name, plan, aim)?;
    Ok(Box::new(ServiceFreeze { host, kind }))
}

#[async_trait]
impl Fault for ServiceFreeze {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        vec![(self.host.clone(), self.kind)]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.kind)]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.kind)]
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        process::signal_service(system, &self.host, self.kind, "STOP").await?;
        // Whatever was started between the look and the signal.
        process::signal_service(system, &self.host, self.kind, "STOP").await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match process::not_stopped(system, &self.host, self.kind).await? {
            None => {
                Ok(format!("the kernel says that every process of {} on {} is stopped", self.kind.name(), self.host))
            }
            Some(running) => Err(running),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::signal_service(system, &self.host, self.kind, "CONT").await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        process::none_is_stopped(system, &self.host, self.kind).await?;
        Ok(format!("every process of {} on {} runs on", self.kind.name(), self.host))
    }
}
