//! `name_service_loss`: a host can't look up names any more, while packets pass.

use async_trait::async_trait;

use super::names::Nameless;
use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "name_service_loss",
    effect: "what the host asks its name service is dropped: each look-up of another host's name takes as long as the \
             resolver waits; packets between hosts pass",
    confirmed_by: "looking up a peer's name gets no answer while the rule counts the questions; healed when the rule is \
                   gone and the name is resolved",
    limits: "none: any host; its own name stands in its hosts file and is still found",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

struct NameServiceLoss {
    nameless: Nameless,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let services = hosts::services(plan, &aim.hosts);
    Ok(Box::new(NameServiceLoss { nameless: Nameless::new(aim.hosts.clone()), services }))
}

#[async_trait]
impl Fault for NameServiceLoss {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    /// A host without a network can't ask for names.
    fn stands_on(&self) -> Vec<Place> {
        self.nameless.stands_on()
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.nameless.inject(system).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        self.nameless.bite(system).await
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.nameless.heal(system).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.nameless.is_gone(system).await
    }
}
