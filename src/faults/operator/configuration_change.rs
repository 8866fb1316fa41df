//! `configuration_change`: an operator changes a setting of the whole system.

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, ParameterError, Parameters, Place, Takes, operator,
    },
    plan::Plan,
    system::System,
    topology::{Instance, dynamic::Change},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "configuration_change",
    effect: "a key of Patroni's dynamic configuration gets another value, which every agent takes over in its next loop",
    confirmed_by: "Patroni reports the new value; healed when it reports the old one",
    limits: "an agent must answer; the target names the node that is asked, the whole cluster changes; a parameter of \
             PostgreSQL that needs a restart waits for one; a key or a value that Patroni or PostgreSQL would pass over \
             is a mistake, found before the start",
    parameters: &[
        Parameter::required("key", Takes::Text, "as ttl, or postgresql.parameters.work_mem"),
        Parameter::required("value", Takes::Text, "a number, true, false, null or text"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

struct ConfigurationChange {
    aim: Aim,
    change: Change,
    /// What it was before; null if it was not set.
    before: Value,
}

/// The change that a scenario orders, if it is one that Patroni would make.
pub fn change_of(parameters: &Parameters) -> Result<Change, ParameterError> {
    let text = |name| parameters.text(name).unwrap_or_default();
    Change::read(&text("key"), &text("value")).map_err(|problem| {
        let name = if problem.is_of_value() { "value" } else { "key" };
        ParameterError::Refused { name, text: text(name), reason: problem.to_string(), help: problem.help() }
    })
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    operator::asks_an_agent(KIND.name, plan, aim)?;
    let change = change_of(&aim.parameters)?;
    Ok(Box::new(ConfigurationChange { aim: aim.clone(), change, before: Value::Null }))
}

impl ConfigurationChange {
    async fn told(&self, system: &System) -> Result<Value, String> {
        Ok(self.change.found(&operator::cluster_of(system, &self.aim)?.configuration().await?))
    }

    async fn is(&self, system: &System, wanted: &Value) -> Result<String, String> {
        let told = self.told(system).await?;
        let key = self.change.key();
        if told == *wanted { Ok(format!("Patroni says that {key} is {told}")) } else { Err(format!("{key} is {told}")) }
    }
}

#[async_trait]
impl Fault for ConfigurationChange {
    /// It stops nothing that runs.
    fn services(&self) -> Vec<(String, Instance)> {
        Vec::new()
    }

    /// The DCS keeps it.
    fn stands_on(&self) -> Vec<Place> {
        Vec::new()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.before = self.told(system).await.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if self.before == *self.change.value() {
            let reason = format!("{} is {} already", self.change.key(), self.before);
            return Err(self.aim.refuse(KIND.name, reason));
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        operator::cluster_of(system, &self.aim)
            .map_err(|reason| self.aim.refuse(KIND.name, reason))?
            .configure(&self.change.patch(self.change.value()))
            .await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        self.is(system, self.change.value()).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        operator::cluster_of(system, &self.aim)
            .map_err(|reason| self.aim.refuse(KIND.name, reason))?
            .configure(&self.change.patch(&self.before))
            .await?;
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.is(system, &self.before).await
    }
}
