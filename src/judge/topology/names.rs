//! Global names: what clients resolve before they connect, wherever they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{POSTGRESQL_PORT, Topology, WRITE};
use crate::services::powerdns::ZONE;

/// A name that clients resolve to the address of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobalName {
    /// The name, as `db-primary` or `db-read.us-west-2`; it ends in `.pgquake.test` where it is asked for.
    pub name: String,
    /// How long clients may keep an answer; without it, as long as `settings.powerdns` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_s: Option<u32>,
    /// Whether the first host that accepts connections is answered; the port is that of the endpoint at this name, or else
    /// of `write`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub health_checked: bool,
    /// What is answered. With weights, one of these for each question, by lot; without, all of them.
    pub answers: Vec<Answer>,
}

/// A host that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub host: String,
    /// Its share of the answers, against the weights of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl GlobalName {
    /// The whole name, as clients ask for it, without the dot at its end.
    pub fn in_zone(&self) -> String {
        format!("{}.{ZONE}", self.name)
    }

    /// Whether each answer is drawn by weight.
    pub fn is_weighted(&self) -> bool {
        self.answers.iter().any(|answer| answer.weight.is_some())
    }
}

impl Topology {
    /// The global name of this name.
    pub fn global_name(&self, name: &str) -> Option<&GlobalName> {
        self.names.iter().find(|known| known.name == name)
    }

    /// How long clients may keep an answer for a name.
    pub fn ttl_s(&self, name: &GlobalName) -> u32 {
        name.ttl_s.unwrap_or(self.settings.powerdns.ttl_s)
    }

    /// The hosts at which clients arrive that connect to a place: those that a global name leads to, or else
    /// [`Topology::hosts_at`].
    pub fn hosts_behind<'a>(&'a self, host: &'a str) -> Vec<&'a str> {
        let led_to = |name: &'a GlobalName| name.answers.iter().map(|answer| answer.host.as_str()).collect();
        self.global_name(host).map_or_else(|| self.hosts_at(host), led_to)
    }

    /// The port at which the hosts of a health-checked name are checked: that of the endpoint at this name.
    pub fn health_checked_port(&self, name: &GlobalName) -> u16 {
        let at_name = self.endpoints.iter().find(|endpoint| endpoint.host == name.name);
        at_name.or_else(|| self.endpoints.find(WRITE)).map_or(POSTGRESQL_PORT, |endpoint| endpoint.port)
    }
}
