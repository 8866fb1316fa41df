//! `pause`: an operator switches Patroni's automatic failover off (maintenance mode).

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, operator},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "pause",
    effect: "Patroni's maintenance mode is switched on for the whole cluster: no agent promotes, demotes or starts \
             PostgreSQL any more",
    confirmed_by: "every agent that answers says that it is paused; healed when none does",
    limits: "an agent must answer; the target names the node that is asked, the whole cluster pauses",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

struct Pause {
    aim: Aim,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    operator::asks_an_agent(KIND.name, plan, aim)?;
    Ok(Box::new(Pause { aim: aim.clone() }))
}

impl Pause {
    /// The agents that answer, each with whether it is paused.
    async fn told(&self, system: &System) -> Result<Vec<(String, bool)>, String> {
        let mut told = Vec::new();
        for node in &operator::cluster_of(system, &self.aim)?.plan().nodes {
            if let Ok(answer) = system.patroni_says(node).await {
                told.push((node.clone(), answer["pause"] == Value::Bool(true)));
            }
        }
        if told.is_empty() { Err("no agent answers".to_owned()) } else { Ok(told) }
    }

    async fn all_say(&self, system: &System, paused: bool) -> Result<String, String> {
        let told = self.told(system).await?;
        if let Some((node, _)) = told.iter().find(|(_, says)| *says != paused) {
            return Err(format!("{node} says that it is {}paused", if paused { "not " } else { "" }));
        }
        let nodes: Vec<_> = told.into_iter().map(|(node, _)| node).collect();
        Ok(format!("{} say that they are {}paused", nodes.join(", "), if paused { "" } else { "not " }))
    }
}

impl Pause {
    async fn set(&self, system: &System, value: &Value) -> Result<(), FaultError> {
        let cluster = operator::cluster_of(system, &self.aim).map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        cluster.configure(&json!({ "pause": value })).await?;
        Ok(())
    }
}

#[async_trait]
impl Fault for Pause {
    /// It stops nothing that runs.
    fn services(&self) -> Vec<(String, Instance)> {
        Vec::new()
    }

    /// The DCS keeps it.
    fn stands_on(&self) -> Vec<Place> {
        Vec::new()
    }

    /// Each agent learns of it in its next loop.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.set(system, &json!(true)).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        self.all_say(system, true).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.set(system, &Value::Null).await?;
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.all_say(system, false).await
    }
}
