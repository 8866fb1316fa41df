//! What a service may know of its surroundings.

use serde_json::Value;

use super::{ServiceKind, Settings, service};

/// The surroundings of the services of one host.
pub struct Site<'a> {
    /// Where they run.
    pub host: &'a str,
    /// The PostgreSQL nodes; the first is the first primary.
    pub nodes: &'a [String],
    /// The kind of the DCS, if there is one.
    pub dcs: Option<ServiceKind>,
    /// The hosts of its members.
    pub dcs_members: Vec<&'a str>,
    /// What a balancer listens for.
    pub fronts: Vec<Front<'a>>,
    pub settings: &'a Settings,
    /// Whether the clocks of nodes can be set.
    pub clocks_are_prepared: bool,
}

/// A port at which a balancer serves clients.
pub struct Front<'a> {
    /// The endpoint's name.
    pub name: &'a str,
    pub port: u16,
    pub serves: Serves,
}

/// To whom clients of an endpoint are led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// The node that accepts writes.
    Primary,
    /// Nodes that answer reads.
    Standbys,
}

impl Site<'_> {
    /// What an agent is configured with to reach the DCS: the section's name and content.
    pub fn dcs_for_agents(&self) -> Option<(&'static str, Value)> {
        let dcs = service(self.dcs?).dcs()?;
        Some((dcs.agent_settings)(&self.dcs_members))
    }
}
