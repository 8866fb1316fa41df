//! The sudden end of hosts, which several faults share: silence, then no process is left, and the way back.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use crate::{
    faults::{Aim, Fault, FaultError, Parameter, Place, Takes, host, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

/// In which order several hosts come back.
pub(in crate::faults) const PARAMETERS: &[Parameter] = &[
    Parameter::optional("order", Takes::Hosts, "the hosts come back one after the other, in this order"),
    Parameter::with_default("apart", Takes::Duration, "2 s", "with an order: the time from one to the next"),
];

/// Hosts that end at once.
pub(in crate::faults) struct Crash {
    hosts: Vec<String>,
    services: Vec<(String, Instance)>,
    /// Hosts that come back together, one group after the other.
    returns: Vec<Vec<String>>,
    apart: Duration,
    /// What prepared disks held unsynced when they ended, in words.
    lost: Option<String>,
}

impl Crash {
    /// The end of the hosts that a fault is aimed at.
    pub fn aimed(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<Self, FaultError> {
        let order = aim.parameters.hosts("order");
        let same = order.len() == aim.hosts.len() && order.iter().all(|host| aim.hosts.contains(host));
        if !order.is_empty() && !same {
            return Err(aim.refuse(fault, "the order must name each of its hosts once"));
        }
        let returns =
            if order.is_empty() { vec![aim.hosts.clone()] } else { order.into_iter().map(|host| vec![host]).collect() };
        Ok(Self {
            services: hosts::services(plan, &aim.hosts),
            hosts: aim.hosts.clone(),
            returns,
            apart: aim.parameters.duration("apart").unwrap_or_default(),
            lost: None,
        })
    }
}

#[async_trait]
impl Fault for Crash {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.lost = unsynced(system, &self.services).await?;
        join_all(self.hosts.iter().map(|name| host::power_off(system, name))).await.into_iter().collect()
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let off = host::is_off(system, &self.hosts, &self.services).await?;
        Ok(match &self.lost {
            Some(lost) => format!("{off}; {lost}"),
            None => off,
        })
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        for (index, hosts) in self.returns.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(self.apart).await;
            }
            host::boot(system, hosts, &self.services).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::is_on(system, &self.hosts, &self.services).await
    }
}

/// What prepared disks hold unsynced just before they die with their host; `None`: no disk is prepared.
async fn unsynced(system: &System, services: &[(String, Instance)]) -> Result<Option<String>, FaultError> {
    let kept = services.iter().filter(|(host, service)| system.prepared_disk(host, service.kind).is_some());
    let asked = kept.map(|(host, service)| async move {
        let bytes = system.disk_status(host, service.kind, "unsynced_bytes").await?;
        Ok::<_, FaultError>(format!("{bytes} bytes of {service} on {host}"))
    });
    let told = try_join_all(asked).await?;
    Ok((!told.is_empty()).then(|| format!("lost, as they were not synced: about {}", told.join(", "))))
}
