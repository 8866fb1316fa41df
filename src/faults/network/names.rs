//! The name service of a host, and its loss: Docker answers each host at an address of the host's own, 127.0.0.11.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures::future::try_join_all;

use super::{
    nft::{Rules, Table},
    probe::{Answer, Probe, ask},
};
use crate::{
    faults::{FaultError, Place},
    system::System,
};

/// Where the resolver of every host asks.
const SERVER: &str = "127.0.0.11";
const COUNTER: &str = "asked";

/// Hosts whose resolver asks and gets no answer.
///
/// What is asked is dropped where the server would receive it: where it leaves, the kernel would report that to the
/// sender at once, and the resolver would not wait for an answer that never comes.
pub(super) struct Nameless {
    hosts: Vec<String>,
    table: Table,
    /// The questions that each host's rule had stopped when it was last proven.
    last: Mutex<Vec<u64>>,
}

impl Nameless {
    pub(super) fn new(hosts: Vec<String>) -> Self {
        Self { hosts, table: Table::new("names"), last: Mutex::default() }
    }

    /// The networks of its hosts: without one, nothing is asked.
    pub(super) fn stands_on(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Network).collect()
    }

    pub(super) async fn inject(&self, system: &System) -> Result<(), FaultError> {
        let rules = Rules {
            counters: vec![COUNTER.to_owned()],
            arriving: vec![format!("ip daddr {SERVER} counter name {COUNTER} drop")],
            leaving: Vec::new(),
        };
        let rules: BTreeMap<_, _> = self.hosts.iter().map(|host| (host.clone(), rules.clone())).collect();
        self.table.add(system, &rules).await
    }

    pub(super) async fn heal(&self, system: &System) -> Result<(), FaultError> {
        self.table.remove(system, &self.hosts).await
    }

    /// Who is to look a name up: each of the hosts.
    pub(super) fn probes(&self, system: &System) -> Vec<Probe> {
        let probe = |(index, host): (usize, &String)| {
            // Its own name stands in a file.
            let peer = system.pods().find(|peer| peer.host != *host)?;
            Some(Probe { of: index, by: host.clone(), to: peer.host.clone(), port: None })
        };
        self.hosts.iter().enumerate().filter_map(probe).collect()
    }

    /// The proof: a look-up got no answer, and the rule has counted questions since the last proof. `answers` are
    /// those to [`Nameless::probes`].
    pub(super) async fn judge(&self, system: &System, answers: &[Answer]) -> Result<String, String> {
        let hosts = self.hosts.iter().map(|host| self.table.packets(system, std::slice::from_ref(host)));
        let counts = try_join_all(hosts).await?;
        let now: Vec<u64> = counts.iter().map(|counts| counts.get(COUNTER).copied().unwrap_or(0)).collect();
        let before = std::mem::replace(&mut *self.last.lock().unwrap_or_else(PoisonError::into_inner), now.clone());
        let mut told = Vec::new();
        for (probe, answer) in self.probes(system).iter().zip(answers) {
            let host = &probe.by;
            let asked = now[probe.of].saturating_sub(before.get(probe.of).copied().unwrap_or(0));
            match (answer, asked) {
                (Answer::Silence, 0) => return Err(format!("no question of {host} met the rule")),
                (Answer::Silence, _) => told.push(format!("{host} gets no answer to a name ({asked} packets stopped)")),
                _ => return Err(format!("{host} gets {} when it looks up a name", answer.words())),
            }
        }
        Ok(told.join("; "))
    }

    /// Asks, and judges the answers.
    pub(super) async fn bite(&self, system: &System) -> Result<String, String> {
        let answers = ask(system, &self.probes(system)).await?;
        self.judge(system, &answers).await
    }

    pub(super) async fn is_gone(&self, system: &System) -> Result<String, String> {
        let others = self.table.is_gone(system, &self.hosts).await?;
        let probes = self.probes(system);
        let answers = ask(system, &probes).await?;
        let unanswered =
            |(probe, answer): &(&Probe, &Answer)| **answer != Answer::Accepted && !others.contains(&probe.by);
        match probes.iter().zip(&answers).find(unanswered) {
            Some((probe, answer)) => Err(format!("{} gets {} when it looks up a name", probe.by, answer.words())),
            None => Ok("names are resolved".to_owned()),
        }
    }
}
