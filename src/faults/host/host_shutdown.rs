//! `host_shutdown`: machines are shut down in order.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, host, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "host_shutdown",
    effect: "the services of the host get SIGTERM one after the other (proxy, Patroni, etcd), each the time to end and \
             SIGKILL after that; then no packet enters or leaves the host any more. Several hosts are shut down at once",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; Docker \
                   reports how each service ended; healed when every service runs and another host is answered again",
    limits: "none: any host",
    parameters: &[Parameter::with_default("grace", Takes::Duration, "90 s", "how long a service may take to end")],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

struct HostShutdown {
    hosts: Vec<String>,
    services: Vec<(String, Instance)>,
    grace: Duration,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    Ok(Box::new(HostShutdown {
        hosts: aim.hosts.clone(),
        services: hosts::services(plan, &aim.hosts),
        grace: aim.parameters.duration("grace").unwrap_or_default(),
    }))
}

#[async_trait]
impl Fault for HostShutdown {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    fn hands_over(&self) -> bool {
        true
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let all = self.hosts.iter().map(|name| host::shut_down(system, name, self.grace));
        join_all(all).await.into_iter().collect()
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let off = host::is_off(system, &self.hosts, &self.services).await?;
        let ended =
            try_join_all(self.services.iter().map(|(on, service)| host::how_it_ended(system, on, service))).await?;
        Ok(format!("{off}; {}", ended.join(", ")))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        // What a shutdown that failed half-way has asked to end may still be about to.
        try_join_all(self.hosts.iter().map(|name| host::power_off(system, name))).await?;
        host::boot(system, &self.hosts, &self.services).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::is_on(system, &self.hosts, &self.services).await
    }
}
