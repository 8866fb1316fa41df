//! The firewall of a running system: the rules in each host's own network namespace, and connections that show what they do.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::System;
use crate::{
    engine::{DISCARD_PORT, EngineError, Pod},
    topology::{Action, Firewall, Topology},
};

/// How long a host waits for an answer to be sure that there is none: a packet that got lost is sent again after a second.
const SILENT_AFTER_S: u32 = 2;

/// An attempt of a host to connect to a port of another one.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub from: String,
    pub to: String,
    pub port: u16,
    pub answer: Heard,
}

/// What the host heard.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    Accepted,
    /// Nobody listens, and the packet got there.
    Refused,
    /// Nothing answered.
    Silence,
}

#[doc(hidden)]
impl System {
    /// Gives every host that has rules its firewall.
    pub(super) async fn raise_firewall(&self) -> Result<(), EngineError> {
        let topology = &self.plan().topology;
        let guarded =
            topology.hosts().filter_map(|host| Some((self.pod(&host.name)?, topology.firewall_of(&host.name)?)));
        try_join_all(guarded.map(|(pod, firewall)| async move {
            pod.shell.must(&format!("nft '{}'", self.transaction(pod, topology, firewall))).await
        }))
        .await?;
        Ok(())
    }

    /// The rules, as one transaction. Before those of the topology stand what every host needs to work at all, and the harness's
    /// way in: from the gateway, and from host to host to see whether a machine lives.
    fn transaction(&self, pod: &Pod, topology: &Topology, firewall: &Firewall) -> String {
        let addresses = |hosts: &[String]| {
            let of = hosts.iter().filter_map(|host| self.address_from(&pod.host, host));
            of.collect::<Vec<_>>().join(", ")
        };
        let mut rules = vec!["iif lo accept".to_owned(), "ct state established,related accept".to_owned()];
        rules.push(format!("ip saddr {{ {} }} accept", pod.gateways.join(", ")));
        // A port that nobody serves, at which hosts hear whether a machine lives.
        rules.push(format!("tcp dport {DISCARD_PORT} accept"));
        for rule in &firewall.rules {
            let from = rule.from.as_deref().map(|network| addresses(topology.hosts_of_network(network)));
            let from = from.map(|own| format!("ip saddr {{ {own} }} ")).unwrap_or_default();
            rules.push(format!("{from}tcp dport {} {}", rule.port, word(rule.action)));
        }
        let chain = format!("{{ type filter hook input priority 0; policy {}; }}", word(firewall.default));
        let mut commands =
            vec!["add table inet firewall".to_owned(), format!("add chain inet firewall incoming {chain}")];
        commands.extend(rules.iter().map(|rule| format!("add rule inet firewall incoming {rule}")));
        commands.join("; ")
    }

    /// Has every host try the ports that the firewall's rules name, all at once.
    ///
    /// # Errors
    /// A host's shell does not answer, or says something else than was asked.
    pub async fn try_connections(&self) -> Result<Vec<Connection>, EngineError> {
        let topology = &self.plan().topology;
        let mut by_sender: BTreeMap<&str, Vec<(&str, u16)>> = BTreeMap::new();
        for (from, to, port) in topology.connections_to_try() {
            by_sender.entry(from).or_default().push((to, port));
        }
        let tried = try_join_all(by_sender.into_iter().map(|(from, wanted)| self.try_from(from, wanted))).await?;
        Ok(tried.into_iter().flatten().collect())
    }

    async fn try_from(&self, from: &str, wanted: Vec<(&str, u16)>) -> Result<Vec<Connection>, EngineError> {
        let Some(pod) = self.pod(from) else { return Ok(Vec::new()) };
        let attempts = wanted.iter().filter_map(|(to, port)| {
            let address = self.address_from(from, to)?;
            let connect = format!("exec 3<>/dev/tcp/{address}/{port}");
            // Only what the other side says is a refusal; that a network cannot be reached is none.
            Some(format!(
                "(said=$(timeout {SILENT_AFTER_S} bash -c \"{connect}\" 2>&1); status=$?; \
                 case $said in *'Connection refused'*) status=refused ;; esac; echo {to} {port} $status) &"
            ))
        });
        let script = format!("{} wait", attempts.collect::<Vec<_>>().join(" "));
        let told = pod.shell.must(&script).await?;
        Ok(told.lines().filter_map(|line| read(from, line)).collect())
    }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Accept => "accept",
        Action::Drop => "drop",
    }
}

/// A line as `node1 5432 124`: the status of `timeout` is 124 where it had to end the attempt.
fn read(from: &str, line: &str) -> Option<Connection> {
    let mut words = line.split_whitespace();
    let (to, port, status) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let answer = match status {
        "0" => Heard::Accepted,
        "124" => Heard::Silence,
        "refused" => Heard::Refused,
        _ => return None,
    };
    Some(Connection { from: from.to_owned(), to: to.to_owned(), port, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_says_of_its_attempts_is_read() {
        let told = ["node1 5432 0", "node1 8008 124", "node1 2379 refused"]
            .map(|line| read("proxy1", line).map(|own| own.answer));
        let wanted = [Heard::Accepted, Heard::Silence, Heard::Refused];
        assert_eq!(told, wanted.map(Some));
        assert_eq!(read("proxy1", "node1 5432"), None);
        // The network is unreachable, or the shell has no process left: neither is an answer.
        assert_eq!(read("proxy1", "node1 5432 1"), None);
    }
}
