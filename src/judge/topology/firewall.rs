//! Networks with names, and the rules by which the hosts of one of them take connections from the others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Host, Topology};

/// Hosts that rules name together, as document 002's `coordinator-net`. Packets are routed between networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedNetwork {
    pub name: String,
    /// Those whose addresses are in it.
    pub hosts: Vec<String>,
}

/// What the hosts of a network do with new connections. The first rule that fits decides. Connections within a host, those that
/// are established, and those of the harness come in by rules of their own before these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Firewall {
    /// The network whose hosts have the rules.
    pub on: String,
    /// What becomes of a connection that no rule fits.
    pub default: Action,
    pub rules: Vec<FirewallRule>,
}

/// A rule for one TCP port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FirewallRule {
    pub port: u16,
    /// The network that it is for; left out: every sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What becomes of the connection; `accept` where nothing is written.
    #[serde(default)]
    pub action: Action,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    #[default]
    Accept,
    Drop,
}

impl Topology {
    /// The hosts of the network of this name.
    pub fn hosts_of_network(&self, name: &str) -> &[String] {
        self.networks.iter().find(|network| network.name == name).map_or(&[], |network| network.hosts.as_slice())
    }

    /// The rules that a host has.
    pub fn firewall_of(&self, host: &str) -> Option<&Firewall> {
        let is_on = |firewall: &&Firewall| self.hosts_of_network(&firewall.on).iter().any(|own| own == host);
        self.firewall.as_ref().filter(is_on)
    }

    /// Whether the rules are there to let connections of a host to a port through: one of them accepts the host's network there,
    /// or everybody and none before it drops that network. Everybody else is meant to be kept out, whatever the rules do.
    pub fn is_let_in(&self, firewall: &Firewall, from: &str, port: u16) -> bool {
        let names_it = |rule: &FirewallRule| {
            rule.from.as_deref().is_some_and(|network| self.hosts_of_network(network).iter().any(|own| own == from))
        };
        let mut is_barred = false;
        for rule in firewall.rules.iter().filter(|rule| rule.port == port) {
            match rule.action {
                Action::Accept if names_it(rule) || (rule.from.is_none() && !is_barred) => return true,
                Action::Accept => {}
                Action::Drop => is_barred |= names_it(rule),
            }
        }
        false
    }

    /// The connections that show what the rules do: from every other host to each port that a rule names and that a host with
    /// the rules serves, as sender, receiver and port.
    pub fn connections_to_try(&self) -> Vec<(&str, &str, u16)> {
        let Some(firewall) = &self.firewall else { return Vec::new() };
        let mut named: Vec<u16> = firewall.rules.iter().map(|rule| rule.port).collect();
        named.sort_unstable();
        named.dedup();
        let guarded = self.hosts().filter(|host| self.firewall_of(&host.name).is_some());
        let mut found = Vec::new();
        for to in guarded {
            let served = self.ports_of(to);
            for port in named.iter().filter(|port| served.contains(port)) {
                let others = self.hosts().filter(|host: &&Host| host.name != to.name);
                found.extend(others.map(|from| (from.name.as_str(), to.name.as_str(), *port)));
            }
        }
        found
    }
}
