//! `clock_jump`: a node's clock jumps, and back.

use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, clock},
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "clock_jump",
    effect: "the time of day of Patroni and PostgreSQL on the node jumps by `by`, and jumps back by itself, as after \
             a wrong time server was believed",
    confirmed_by: "PostgreSQL's clock_timestamp() and the date of Patroni's answers, compared with the harness's clock; \
                   healed when both have jumped back",
    limits: clock::LIMITS,
    parameters: &[
        clock::BY,
        clock::DIRECTION,
        Parameter::with_default("back_after", Takes::Duration, "10 s", "when it jumps back, at least 3 s"),
        clock::SERVICE,
    ],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The library notices a change within a second, and the proof needs another.
const BACK_AFTER_AT_LEAST: Duration = Duration::from_secs(3);

struct ClockJump {
    node: String,
    ahead_s: f64,
    back_after: Duration,
    back: Option<JoinHandle<()>>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = clock::node(KIND.name, plan, aim)?;
    let back_after = aim.parameters.duration("back_after").unwrap_or_default();
    if back_after < BACK_AFTER_AT_LEAST {
        return Err(aim.refuse(KIND.name, "its jump could not be seen if it jumped back in less than 3 s"));
    }
    Ok(Box::new(ClockJump { node, ahead_s: clock::ahead_s(aim), back_after, back: None }))
}

impl Drop for ClockJump {
    fn drop(&mut self) {
        if let Some(back) = &self.back {
            back.abort();
        }
    }
}

#[async_trait]
impl Fault for ClockJump {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        clock::stands_on(&self.node)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.set_clock(&self.node, &clock::words(self.ahead_s, 1.0)).await?;
        let (system, node, back_after) = (system.clone(), self.node.clone(), self.back_after);
        self.back = Some(tokio::spawn(async move {
            tokio::time::sleep(back_after).await;
            // Healing sets it once more, and reports what fails.
            drop(system.set_clock(&node, &clock::words(0.0, 1.0)).await);
        }));
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        clock::shows(system, &self.node, self.ahead_s).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let Some(back) = self.back.take() {
            drop(back.await);
        }
        Ok(system.set_clock(&self.node, &clock::words(0.0, 1.0)).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        clock::shows(system, &self.node, 0.0).await
    }
}
