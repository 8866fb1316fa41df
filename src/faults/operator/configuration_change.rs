//! `configuration_change`: an operator changes a setting of the whole cluster.

use async_trait::async_trait;
use serde_json::{Value, json};

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes},
    plan::Plan,
    system::System,
    topology::ServiceKind,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "configuration_change",
    effect: "a key of Patroni's dynamic configuration gets another value, which every agent takes over in its next loop",
    confirmed_by: "Patroni reports the new value; healed when it reports the old one",
    limits: "an agent must answer; the target names the node that is asked, the whole cluster changes; a parameter of \
             PostgreSQL that needs a restart waits for one",
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
    /// The parts of the key.
    path: Vec<String>,
    value: Value,
    /// What it was before; null if it was not set.
    before: Value,
}

fn aim(_plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let key = aim.parameters.text("key").unwrap_or_default();
    let path: Vec<String> = key.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(aim.refuse(KIND.name, format!("`{key}` is no key")));
    }
    let text = aim.parameters.text("value").unwrap_or_default();
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Box::new(ConfigurationChange { aim: aim.clone(), path, value, before: Value::Null }))
}

/// A change that sets this key alone.
fn change(path: &[String], value: &Value) -> Value {
    path.iter().rev().fold(value.clone(), |inner, part| json!({ part.as_str(): inner }))
}

/// What a configuration has under a key; null if nothing.
fn found(configuration: &Value, path: &[String]) -> Value {
    path.iter().fold(configuration, |outer, part| &outer[part.as_str()]).clone()
}

impl ConfigurationChange {
    async fn told(&self, system: &System) -> Result<Value, String> {
        Ok(found(&system.configuration().await?, &self.path))
    }

    async fn is(&self, system: &System, wanted: &Value) -> Result<String, String> {
        let told = self.told(system).await?;
        let key = self.path.join(".");
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

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.before = self.told(system).await.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if self.before == self.value {
            return Err(self.aim.refuse(KIND.name, format!("{} is {} already", self.path.join("."), self.value)));
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        system.configure(&change(&self.path, &self.value)).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        self.is(system, &self.value).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        system.configure(&change(&self.path, &self.before)).await?;
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.is(system, &self.before).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_changed_alone_and_found_again() {
        let path: Vec<String> = ["postgresql", "parameters", "work_mem"].map(str::to_owned).into();
        let change = change(&path, &json!("64MB"));
        assert_eq!(change, json!({ "postgresql": { "parameters": { "work_mem": "64MB" } } }));
        assert_eq!(found(&change, &path), json!("64MB"));
        assert_eq!(found(&change, &["ttl".to_owned(), "more".to_owned()]), Value::Null);
    }
}
