//! nftables in the holders: a fault that stops packets has a table of its own on each host concerned, so that faults
//! that overlap neither see nor undo each other's rules.
//!
//! A table lives in its host's network namespace and dies with the pod, so nothing of it outlives a harness that was
//! killed once `clean` has removed the pods.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use futures::future::{join_all, try_join_all};

use crate::{
    faults::{FaultError, hosts::pod},
    system::System,
};

/// What the names of all tables of faults begin with.
const PREFIX: &str = "pgquake_";

/// Before connection tracking.
const FIRST_PRIORITY: i64 = -300;

static TABLES: AtomicI64 = AtomicI64::new(0);

/// The rules of one fault on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Named counters that the rules use.
    pub counters: Vec<String>,
    /// Rules for packets that arrive at the host or at one of its own processes.
    pub arriving: Vec<String>,
    /// Rules for packets that its processes send, before any address is translated.
    pub leaving: Vec<String>,
}

/// A fault's table, of the same name on every host that has rules in it.
#[derive(Debug)]
pub(super) struct Table {
    name: String,
    /// Of its rules: the lower, the earlier they see a packet.
    priority: i64,
}

impl Table {
    /// A name that no other table has.
    pub(super) fn new(of: &str) -> Self {
        let number = TABLES.fetch_add(1, Ordering::Relaxed);
        Self { name: format!("{PREFIX}{of}_{number}"), priority: FIRST_PRIORITY - number }
    }

    /// Adds the rules, on all hosts at once and in one transaction a host. They come before connection tracking (-200),
    /// so packets of established connections meet them like any other, and before the rules of earlier faults: so what
    /// two faults stop is counted by the later one, which has to be proven while the earlier one is on.
    pub(super) async fn add(&self, system: &System, rules: &BTreeMap<String, Rules>) -> Result<(), FaultError> {
        let add = rules.iter().map(|(host, rules)| self.add_to(system, host, rules));
        join_all(add).await.into_iter().collect()
    }

    async fn add_to(&self, system: &System, host: &str, rules: &Rules) -> Result<(), FaultError> {
        pod(system, host)?.shell.must(&format!("nft '{}'", self.transaction(rules))).await?;
        Ok(())
    }

    fn transaction(&self, rules: &Rules) -> String {
        let table = &self.name;
        let mut commands = vec![format!("add table inet {table}")];
        commands.extend(rules.counters.iter().map(|counter| format!("add counter inet {table} {counter}")));
        let chains = [("arriving", "input", &rules.arriving), ("leaving", "output", &rules.leaving)];
        for (chain, hook, rules) in chains.into_iter().filter(|(.., rules)| !rules.is_empty()) {
            let priority = self.priority;
            commands.push(format!("add chain inet {table} {chain} {{ type filter hook {hook} priority {priority}; }}"));
            commands.extend(rules.iter().map(|rule| format!("add rule inet {table} {chain} {rule}")));
        }
        commands.join("; ")
    }

    /// Removes the table from these hosts. It need not be there.
    pub(super) async fn remove(&self, system: &System, hosts: &[String]) -> Result<(), FaultError> {
        let script = format!("nft delete table inet {} 2>/dev/null || true", self.name);
        let remove = hosts.iter().map(|host| async {
            pod(system, host)?.shell.must(&script).await?;
            Ok(())
        });
        join_all(remove).await.into_iter().collect()
    }

    /// The packets that each counter has counted, added up over the hosts.
    pub(super) async fn packets(&self, system: &System, hosts: &[String]) -> Result<BTreeMap<String, u64>, String> {
        let script = format!("nft list counters table inet {}", self.name);
        let lists = try_join_all(hosts.iter().map(|host| output(system, host, &script))).await?;
        let mut packets: BTreeMap<String, u64> = BTreeMap::new();
        for (counter, count) in lists.iter().flat_map(|list| counted(list)) {
            *packets.entry(counter).or_default() += count;
        }
        Ok(packets)
    }

    /// The proof that no host has a rule of it any more; on which of them other faults have rules.
    pub(super) async fn is_gone(&self, system: &System, hosts: &[String]) -> Result<Vec<String>, String> {
        let lists = try_join_all(hosts.iter().map(|host| output(system, host, "nft list tables inet"))).await?;
        let named = |list: &str, wanted: &dyn Fn(&str) -> bool| {
            list.lines().filter_map(|line| line.split_whitespace().last()).any(wanted)
        };
        let mut others = Vec::new();
        for (host, list) in hosts.iter().zip(&lists) {
            if named(list, &|name| name == self.name) {
                return Err(format!("{host} still has the rules"));
            }
            if named(list, &|name| name.starts_with(PREFIX)) {
                others.push(host.clone());
            }
        }
        Ok(others)
    }
}

async fn output(system: &System, host: &str, script: &str) -> Result<String, String> {
    let pod = pod(system, host).map_err(|error| error.to_string())?;
    pod.shell.must(script).await.map_err(|error| error.to_string())
}

/// Reads `nft list counters`: names, each followed by a line `packets N bytes N`.
fn counted(list: &str) -> Vec<(String, u64)> {
    let mut name = None;
    let mut found = Vec::new();
    for line in list.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["counter", counter, "{"] => name = Some(counter.to_owned()),
            ["packets", count, ..] => found.extend(name.take().zip(count.parse().ok())),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_rules_are_one_transaction() {
        let table = Table { name: "pgquake_cut_7".to_owned(), priority: -307 };
        let rules = Rules {
            counters: vec!["cut0".to_owned()],
            arriving: vec!["ip saddr 10.0.0.2 counter name cut0 drop".to_owned()],
            leaving: Vec::new(),
        };
        assert_eq!(
            table.transaction(&rules),
            "add table inet pgquake_cut_7; add counter inet pgquake_cut_7 cut0; \
             add chain inet pgquake_cut_7 arriving { type filter hook input priority -307; }; \
             add rule inet pgquake_cut_7 arriving ip saddr 10.0.0.2 counter name cut0 drop"
        );
        assert_ne!(Table::new("cut").name, Table::new("cut").name);
    }

    #[test]
    fn counters_are_read() {
        let list = "table inet pgquake_cut_7 {\n\tcounter cut0 {\n\t\tpackets 5 bytes 300\n\t}\n\
                    \tcounter cut1 {\n\t\tpackets 0 bytes 0\n\t}\n}";
        assert_eq!(counted(list), [("cut0".to_owned(), 5), ("cut1".to_owned(), 0)]);
    }
}
