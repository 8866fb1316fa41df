//! `container_restart`: a service is stopped and started again, as `docker restart` does.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, host, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "container_restart",
    effect: "the main process of the service gets SIGTERM, everything in its container SIGKILL when the time to end is \
             over, and the container is started again",
    confirmed_by: "Docker says that the container was started anew; healed when it runs",
    limits: "the host must run the service",
    parameters: &[
        Parameter::required("service", Takes::Service, "the service"),
        Parameter::with_default("grace", Takes::Duration, "10 s", "the time to end, in whole seconds"),
    ],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ContainerRestart {
    host: String,
    service: Instance,
    grace: Duration,
    /// When the container was started before.
    started_at: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    let grace = aim.parameters.duration("grace").unwrap_or_default();
    if grace.subsec_nanos() > 0 {
        return Err(aim.refuse(KIND.name, "Docker counts the time to end in whole seconds"));
    }
    Ok(Box::new(ContainerRestart { host, service, grace, started_at: String::new() }))
}

#[async_trait]
impl Fault for ContainerRestart {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.service.clone())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.service.clone())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.service.clone())]
    }

    fn hands_over(&self) -> bool {
        true
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        if let Some(service) = system.service(&self.host, &self.service) {
            self.started_at = system.engine().container_state(service).await?.started_at;
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.host, &self.service) else { return Ok(()) };
        let grace_s = i32::try_from(self.grace.as_secs()).unwrap_or(i32::MAX);
        system.engine().stop_and_start_service(service, grace_s).await?;
        system.follow_log(&self.host, &self.service);
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let service = system.service(&self.host, &self.service).ok_or("the service is unknown")?;
        let state = system.engine().container_state(service).await.map_err(|error| error.to_string())?;
        if state.started_at == self.started_at {
            return Err(format!("{} on {} runs since {}", self.service, self.host, self.started_at));
        }
        let (before, now) = (&self.started_at, &state.started_at);
        Ok(format!("{} on {} was started at {now}, before that at {before}", self.service, self.host))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        // A restart that broke off after the stop.
        process::start_again(system, &self.host, &self.service).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::services_run(system, &[(self.host.clone(), self.service.clone())]).await?;
        Ok(format!("{} runs on {}", self.service, self.host))
    }
}
