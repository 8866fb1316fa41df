//! `packet_loss`: a share of the packets between hosts vanishes, in one direction.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures::future::try_join_all;

use super::nft::{Rules, Table};
use crate::{
    faults::{Aim, CLIENTS, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "packet_loss",
    effect: "of the packets that arrive at the host from those of `from` (or at those from the host), a share is dropped, \
             each by lot; the other direction is left alone",
    confirmed_by: "of a burst of datagrams over each way two rules count how many came and how many were dropped, and \
                   the share lies within four standard deviations; healed when no rule is left",
    limits: "between hosts only: what clients send comes through the engine's own proxy",
    parameters: &[
        Parameter::required("share", Takes::Share, "how many of the packets are lost"),
        Parameter::with_default("from", Takes::Hosts, "the rest", "the other side"),
        Parameter::with_default(
            "direction",
            Takes::OneOf(&["in", "out"]),
            "in",
            "which packets are lost, as the hosts that it is aimed at see them",
        ),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

/// nftables draws from this many outcomes.
const OUTCOMES: f64 = 10_000.0;
/// A measured share may be off by this many standard deviations. Chance alone exceeds that once in 15,000 times.
const DEVIATIONS: f64 = 4.0;
/// Datagrams for a proof: enough to lose some twenty, within bounds.
const LOST_IN_BURST: f64 = 20.0;
const BURST: std::ops::RangeInclusive<f64> = 200.0..=2000.0;

struct PacketLoss {
    /// From where to where.
    ways: Vec<(String, String)>,
    share: f64,
    table: Table,
    /// Of each host, once it is prepared.
    rules: BTreeMap<String, Rules>,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let share = aim.parameters.number("share").unwrap_or_default();
    let from = aim.parameters.hosts("from");
    if from.iter().any(|host| host == CLIENTS) {
        return Err(aim.refuse(KIND.name, "what clients send comes through the engine's own proxy"));
    }
    if share * OUTCOMES < 1.0 {
        return Err(aim.refuse(KIND.name, "a share below 0.01 % loses nothing"));
    }
    let outward = aim.parameters.text("direction").as_deref() == Some("out");
    let (sources, destinations) = if outward { (&aim.hosts, &from) } else { (&from, &aim.hosts) };
    let ways: Vec<(String, String)> = sources
        .iter()
        .flat_map(|from| destinations.iter().map(move |to| (from.clone(), to.clone())))
        .filter(|(from, to)| from != to)
        .collect();
    if ways.is_empty() {
        return Err(aim.refuse(KIND.name, "there is no other host on the other side"));
    }
    let services = hosts::services(plan, &aim.hosts);
    Ok(Box::new(PacketLoss { ways, share, table: Table::new("loss"), rules: BTreeMap::new(), services }))
}

fn came(index: usize) -> String {
    format!("came{index}")
}

fn lost(index: usize) -> String {
    format!("lost{index}")
}

fn rule(sources: &str, index: usize, share: f64) -> String {
    let (came, lost) = (came(index), lost(index));
    let unlucky = (share * OUTCOMES).round();
    // Where every outcome loses, nftables refuses to draw.
    let draw = if unlucky < OUTCOMES { format!("numgen random mod {OUTCOMES} < {unlucky} ") } else { String::new() };
    format!("ip saddr {{ {sources} }} counter name {came} {draw}counter name {lost} drop")
}

/// Whether this many losses are plausible for the share.
fn plausible(came: f64, lost: f64, share: f64) -> bool {
    let deviation = (came * share * (1.0 - share)).sqrt();
    lost > 0.0 && (lost - came * share).abs() <= DEVIATIONS * deviation
}

impl PacketLoss {
    fn hosts(&self) -> Vec<String> {
        self.rules.keys().cloned().collect()
    }

    /// Datagrams to a port on which nothing listens; what the destination answers to them does not matter.
    async fn burst(&self, system: &System) -> Result<(), String> {
        let number = (LOST_IN_BURST / self.share).clamp(*BURST.start(), *BURST.end()).round();
        let send = self.ways.iter().map(|(from, to)| async move {
            let address = system.address_from(from, to).unwrap_or_default();
            let send = format!("for ((sent = 0; sent < {number}; sent++)); do echo >/dev/udp/{address}/9; done");
            hosts::pod(system, from)?.shell.run(&format!("bash -c '{send}' 2>/dev/null")).await?;
            Ok::<_, FaultError>(())
        });
        try_join_all(send).await.map(|_| ()).map_err(|error| error.to_string())
    }
}

#[async_trait]
impl Fault for PacketLoss {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.ways.iter().map(|(from, to)| Place::Path(from.clone(), to.clone())).collect()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.rules.clear();
        for (index, (from, to)) in self.ways.iter().enumerate() {
            let sources = hosts::pod(system, from)?.addresses().join(", ");
            let own = self.rules.entry(to.clone()).or_default();
            own.counters.extend([came(index), lost(index)]);
            own.arriving.push(rule(&sources, index, self.share));
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.table.add(system, &self.rules).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let hosts = self.hosts();
        let before = self.table.packets(system, &hosts).await?;
        self.burst(system).await?;
        let after = self.table.packets(system, &hosts).await?;
        let count = |counter: String| {
            let packets = |counts: &BTreeMap<String, u64>| counts.get(&counter).copied().unwrap_or(0);
            packets(&after).saturating_sub(packets(&before)) as f64
        };
        let proof = |(index, (from, to)): (usize, &(String, String))| {
            let (came, lost) = (count(came(index)), count(lost(index)));
            let told = format!("{lost} of {came} packets from {from} to {to} were dropped");
            if plausible(came, lost, self.share) { Ok(told) } else { Err(told) }
        };
        let proofs: Result<Vec<_>, _> = self.ways.iter().enumerate().map(proof).collect();
        Ok(proofs?.join(", "))
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.table.remove(system, &self.hosts()).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        self.table.is_gone(system, &self.hosts()).await.map(|_| "no rule is left".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_told_from_others_and_from_nothing() {
        assert!(plausible(400.0, 120.0, 0.3));
        assert!(plausible(400.0, 135.0, 0.3));
        assert!(!plausible(400.0, 200.0, 0.3));
        assert!(!plausible(400.0, 0.0, 0.01));
        assert!(plausible(400.0, 400.0, 1.0));
        assert!(!plausible(400.0, 399.0, 1.0));
    }

    #[test]
    fn a_rule_counts_what_came_and_what_was_dropped() {
        let wanted = "ip saddr { 10.0.0.2 } counter name came1 numgen random mod 10000 < 50 counter name lost1 drop";
        assert_eq!(rule("10.0.0.2", 1, 0.005), wanted);
        assert_eq!(rule("10.0.0.2", 0, 1.0), "ip saddr { 10.0.0.2 } counter name came0 counter name lost0 drop");
    }
}
