//! `clock_rate`: a node's clock goes too fast or too slow.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes, clock, process},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "clock_rate",
    effect: "from now on the time of day of Patroni and PostgreSQL on the node goes at this rate; the longer \
             it lasts, the further it drifts",
    confirmed_by: "two looks at PostgreSQL's clock_timestamp(), compared with the harness's clock; healed when it agrees \
                   with it again",
    limits: clock::LIMITS,
    parameters: &[
        Parameter::required("rate", Takes::Number, "1 is right; from 0.1 to 10, and at least 0.1 from 1"),
        clock::SERVICE,
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The time between the two looks.
const LOOKS_APART: Duration = Duration::from_secs(1);
/// What a starved machine may spoil of a rate that is measured over a second.
const RATE_WITHIN: f64 = 0.08;

struct ClockRate {
    node: String,
    rate: f64,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = clock::node(KIND.name, plan, aim)?;
    let rate = aim.parameters.number("rate").unwrap_or_default();
    if !(0.1..=10.0).contains(&rate) || (rate - 1.0).abs() < 0.1 {
        return Err(aim.refuse(KIND.name, "the rate must be from 0.1 to 10, and at least 0.1 from 1"));
    }
    Ok(Box::new(ClockRate { node, rate }))
}

#[async_trait]
impl Fault for ClockRate {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        clock::stands_on(&self.node)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        // The library counts from the start of the agent, which starts PostgreSQL: what would have drifted since then is
        // taken away.
        let age_s = process::age_s(system, &self.node, Process::AGENT).await?;
        let words = clock::words(age_s * (1.0 - self.rate), self.rate);
        Ok(system.set_clock(&self.node, &words).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let begun = Instant::now();
        let first_s = system.postgresql_ahead_s(&self.node).await?;
        tokio::time::sleep(LOOKS_APART).await;
        let apart_s = begun.elapsed().as_secs_f64();
        let last_s = system.postgresql_ahead_s(&self.node).await?;
        let rate = 1.0 + (last_s - first_s) / apart_s;
        let told = format!("the clock of PostgreSQL on {} goes at {rate:.2}, and is {last_s:+.2} s off", self.node);
        if (rate - self.rate).abs() <= RATE_WITHIN * self.rate.max(1.0) { Ok(told) } else { Err(told) }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.set_clock(&self.node, &clock::words(0.0, 1.0)).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        clock::shows(system, &self.node, 0.0).await
    }
}
