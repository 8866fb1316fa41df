//! `configuration_change`: an operator changes a setting of the whole cluster.

use async_trait::async_trait;
use serde_json::Value;

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, ParameterError, Parameters, Place, Takes, operator,
};
use crate::{
    cluster::Cluster,
    plan::Plan,
    topology::{ServiceKind, dynamic::Change},
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "configuration_change",
    effect: "a key of Patroni's dynamic configuration gets another value, which every agent takes over in its next loop",
    confirmed_by: "Patroni tells the new value; healed when it tells the old one",
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
    async fn told(&self, cluster: &Cluster) -> Result<Value, String> {
        Ok(self.change.found(&cluster.configuration().await?))
    }

    async fn is(&self, cluster: &Cluster, wanted: &Value) -> Result<String, String> {
        let told = self.told(cluster).await?;
        let key = self.change.key();
        if told == *wanted { Ok(format!("Patroni says that {key} is {told}")) } else { Err(format!("{key} is {told}")) }
    }
}

#[async_trait]
impl Fault for ConfigurationChange {
    /// It stops nothing that runs.
    fn services(&self) -> Vec<(String, ServiceKind)> {
        Vec::new()
    }

    /// The DCS keeps it.
    fn stands_on(&self) -> Vec<Place> {
        Vec::new()
    }

    async fn prepare(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.before = self.told(cluster).await.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if self.before == *self.change.value() {
            let reason = format!("{} is {} already", self.change.key(), self.before);
            return Err(self.aim.refuse(KIND.name, reason));
        }
        Ok(())
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        cluster.configure(&self.change.patch(self.change.value())).await?;
        Ok(())
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        self.is(cluster, self.change.value()).await
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        cluster.configure(&self.change.patch(&self.before)).await?;
        Ok(())
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        self.is(cluster, &self.before).await
    }
}
