//! One service among those of its host: its kind, and the name that a topology gives it.

use std::fmt;

use serde_json::{Map, Value};

use super::{ServiceKind, Settings, own_section};

/// One service of a host. Where a topology gives it no name, it is called as its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    pub kind: ServiceKind,
    /// The name that the topology gives it.
    pub own_name: Option<String>,
}

impl Instance {
    /// What it is called on its host: in the names of containers and logs, and in the history.
    pub fn name(&self) -> &str {
        self.own_name.as_deref().unwrap_or(self.kind.name())
    }
}

impl From<ServiceKind> for Instance {
    fn from(kind: ServiceKind) -> Self {
        Self { kind, own_name: None }
    }
}

impl From<&Instance> for Instance {
    fn from(instance: &Instance) -> Self {
        instance.clone()
    }
}

/// The kind, and the name if it has one: `haproxy west-balancer`.
impl fmt::Display for Instance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.own_name {
            Some(own) => write!(formatter, "{} {own}", self.kind.name()),
            None => formatter.write_str(self.kind.name()),
        }
    }
}

impl Settings {
    /// These settings, with the fields that one service of this kind has otherwise. Of fields that the kind does not have,
    /// nothing is taken: whoever reads a topology has refused them.
    pub fn with_own(&self, kind: ServiceKind, own: &Map<String, Value>) -> Self {
        let merged = || -> Option<Self> {
            let mut settings = serde_json::to_value(self).ok()?;
            let section = settings.get_mut(own_section(kind)?)?.as_object_mut()?;
            section.extend(own.clone());
            serde_json::from_value(settings).ok()
        };
        merged().unwrap_or_else(|| self.clone())
    }
}
