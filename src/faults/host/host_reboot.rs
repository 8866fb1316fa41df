//! `host_reboot`: a machine goes down and comes back by itself.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, host, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "host_reboot",
    effect: "the host goes down, by power loss or in order as in host_shutdown, and comes back by itself after a time",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; healed \
                   when it has come back: every service runs and another host is answered again",
    limits: "any host; it stays down for at least a second, or its being down could not be proven",
    parameters: &[
        Parameter::with_default("how", Takes::OneOf(&["crash", "shutdown"]), "crash", "how it goes down"),
        Parameter::with_default("down_for", Takes::Duration, "10 s", "how long it stays down"),
        Parameter::with_default("grace", Takes::Duration, "90 s", "how long a service may take to shut down"),
    ],
    lasts: Lasts::Once,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

const DOWN_FOR_AT_LEAST: Duration = Duration::from_secs(1);

struct HostReboot {
    hosts: Vec<String>,
    services: Vec<(String, Instance)>,
    clean: bool,
    down_for: Duration,
    grace: Duration,
    /// Boots the hosts when their time has come.
    boot: Option<JoinHandle<Result<(), FaultError>>>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let down_for = aim.parameters.duration("down_for").unwrap_or_default();
    if down_for < DOWN_FOR_AT_LEAST {
        return Err(aim.refuse(KIND.name, "it must stay down for at least 1 s"));
    }
    Ok(Box::new(HostReboot {
        hosts: aim.hosts.clone(),
        services: hosts::services(plan, &aim.hosts),
        clean: aim.parameters.text("how").as_deref() == Some("shutdown"),
        down_for,
        grace: aim.parameters.duration("grace").unwrap_or_default(),
        boot: None,
    }))
}

impl Drop for HostReboot {
    fn drop(&mut self) {
        if let Some(boot) = &self.boot {
            boot.abort();
        }
    }
}

#[async_trait]
impl Fault for HostReboot {
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
        self.clean
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let down = self.hosts.iter().map(|name| async {
            match self.clean {
                true => host::shut_down(system, name, self.grace).await,
                false => host::power_off(system, name).await,
            }
        });
        join_all(down).await.into_iter().collect::<Result<(), FaultError>>()?;
        let (system, hosts, services) = (system.clone(), self.hosts.clone(), self.services.clone());
        let down_for = self.down_for;
        self.boot = Some(tokio::spawn(async move {
            tokio::time::sleep(down_for).await;
            host::boot(&system, &hosts, &services).await
        }));
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        host::is_off(system, &self.hosts, &self.services).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        match self.boot.take() {
            // A task that was aborted or panicked has not booted anything for sure.
            Some(boot) => match boot.await {
                Ok(booted) => booted,
                Err(_) => host::boot(system, &self.hosts, &self.services).await,
            },
            None => host::boot(system, &self.hosts, &self.services).await,
        }
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::is_on(system, &self.hosts, &self.services).await
    }
}
