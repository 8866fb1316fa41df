//! `clock_offset`: a node's clock is wrong.

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, clock},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "clock_offset",
    effect: "the time of day of Patroni and PostgreSQL on the node is ahead or behind by `by`",
    confirmed_by: "PostgreSQL's clock_timestamp() and the date of Patroni's answers, compared with the harness's clock; \
                   healed when both agree with it again",
    limits: clock::LIMITS,
    parameters: &[clock::BY, clock::DIRECTION, clock::SERVICE],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct ClockOffset {
    node: String,
    ahead_s: f64,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = clock::node(KIND.name, plan, aim)?;
    Ok(Box::new(ClockOffset { node, ahead_s: clock::ahead_s(aim) }))
}

#[async_trait]
impl Fault for ClockOffset {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        clock::stands_on(&self.node)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.set_clock(&self.node, &clock::words(self.ahead_s, 1.0)).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        clock::shows(system, &self.node, self.ahead_s).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.set_clock(&self.node, &clock::words(0.0, 1.0)).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        clock::shows(system, &self.node, 0.0).await
    }
}
