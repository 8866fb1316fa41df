//! `container_stop`: a service ends as `docker stop` ends it.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, host, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "container_stop",
    effect: "the main process of the service gets SIGTERM, and everything in its container SIGKILL when the time to \
             end is over",
    confirmed_by: "Docker says that the container has exited, and no process of it is left; healed when the service \
                   runs again",
    limits: "the host must run the service",
    parameters: &[
        Parameter::required("service", Takes::Service, "the service"),
        Parameter::with_default("grace", Takes::Duration, "10 s", "the time to end, in whole seconds"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ContainerStop {
    host: String,
    service: Instance,
    grace: Duration,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    let grace = aim.parameters.duration("grace").unwrap_or_default();
    if grace.subsec_nanos() > 0 {
        return Err(aim.refuse(KIND.name, "Docker counts the time to end in whole seconds"));
    }
    Ok(Box::new(ContainerStop { host, service, grace }))
}

#[async_trait]
impl Fault for ContainerStop {
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

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.host, &self.service) else { return Ok(()) };
        let grace_s = i32::try_from(self.grace.as_secs()).unwrap_or(i32::MAX);
        Ok(system.engine().stop_service(service, grace_s).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let ended = host::how_it_ended(system, &self.host, &self.service).await?;
        let left =
            process::pids_of_service(system, &self.host, &self.service).await.map_err(|error| error.to_string())?;
        if left.is_empty() { Ok(ended) } else { Err(format!("processes {left} of {} are left", self.service)) }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::start_again(system, &self.host, &self.service).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::services_run(system, &[(self.host.clone(), self.service.clone())]).await?;
        Ok(format!("{} runs on {}", self.service, self.host))
    }
}
