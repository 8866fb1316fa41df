//! Directed cuts between hosts: what partitions are made of, and how they are proven.
//!
//! A packet is stopped where it would arrive, by its source's address, so that a cut of one direction leaves the other
//! alone. Nothing asks whether a connection is new: established ones are cut too. Three cases need more:
//!
//! - **Clients** ([`CLIENTS`]) are no host: they come from the network's gateway. What goes to them is stopped where it
//!   leaves.
//! - **Virtual addresses** are stopped by who sends from them: whoever holds one then is cut off with it, and no other host.
//! - **Shaped links**: the application's packets never leave its host, they are redirected to a Toxiproxy there, which
//!   would go on accepting connections for a peer that is cut off. So these packets are stopped as well: on their way
//!   out, where they still bear the peer's address, and on their way back from the proxy.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{
    nft::{Rules, Table},
    probe::{Answer, Probe, ask},
};
use crate::{
    engine::Pod,
    faults::{CLIENTS, FaultError, Place},
    system::System,
};

/// More probes than this are cut down to one for each destination.
const MOST_PROBES: usize = 24;
/// More ways than this are reported as a sum.
const MOST_TOLD: usize = 6;

/// No packet from one host arrives at another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    pub from: String,
    pub to: String,
    /// Only conversations with a service at one of these ports, on either side; empty: all packets.
    pub ports: Vec<u16>,
}

/// What becomes of a packet that is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// It vanishes.
    Drop,
    /// Its sender gets a reset.
    Reject,
}

/// Where packets come from and go to.
#[derive(Debug, Default)]
struct Addresses {
    /// Of each host: its own addresses, and those of its networks' gateways.
    hosts: BTreeMap<String, (Vec<String>, Vec<String>)>,
    /// Of each host that may hold a virtual address: its hardware address, and that address.
    shared: BTreeMap<String, (String, String)>,
    /// Directed links that go through a Toxiproxy at their source.
    shaped: Vec<(String, String)>,
}

/// Cuts that are made and healed together.
pub(super) struct Cuts {
    cuts: Vec<Cut>,
    manner: Manner,
    table: Table,
    /// Of each host, once it is prepared.
    rules: BTreeMap<String, Rules>,
    /// The packets that each cut had stopped when it was last proven.
    last: Mutex<Vec<u64>>,
}

impl Cut {
    /// Both ways between each of some hosts and each of others. A host that stands on both sides is cut from its own
    /// services, if ports are named.
    pub(super) fn between(some: &[String], others: &[String], ways: (bool, bool), ports: &[u16]) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = Vec::new();
        let cut = |from: &str, to: &str| Cut { from: from.to_owned(), to: to.to_owned(), ports: ports.to_owned() };
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
            if one == other && ports.is_empty() {
                continue;
            }
            let (outward, inward) = (cut(one, other), cut(other, one));
            for cut in [ways.0.then_some(outward), ways.1.then_some(inward)].into_iter().flatten() {
                if !cuts.contains(&cut) {
                    cuts.push(cut);
                }
            }
        }
        cuts
    }

    fn path(&self) -> Place {
        Place::Path(self.from.clone(), self.to.clone())
    }

    /// Whether it stops conversations with a service at this port.
    pub(super) fn concerns(&self, port: u16) -> bool {
        self.ports.is_empty() || self.ports.contains(&port)
    }
}

impl Addresses {
    fn of(system: &System) -> Self {
        let of_pod = |pod: &Pod| (pod.host.clone(), (pod.addresses(), pod.gateways.clone()));
        Self {
            hosts: system.pods().map(of_pod).collect(),
            shared: system.pods().filter_map(|pod| shared_by(system, pod)).collect(),
            shaped: system.plan().links.iter().map(|link| (link.from.clone(), link.to.clone())).collect(),
        }
    }

    /// What tells packets that a host sends from a virtual address from those of others that may hold it.
    fn shared_by(&self, host: &str) -> Option<String> {
        let (hardware, address) = self.shared.get(host)?;
        Some(format!("ether saddr {hardware} ip saddr {address}"))
    }

    /// The addresses of a host, or of the clients, as another host sees them: a set of nftables.
    fn seen(&self, who: &str, by: &str) -> String {
        let addresses = match who {
            CLIENTS => self.hosts.get(by).map(|(_, gateways)| gateways),
            _ => self.hosts.get(who).map(|(own, _)| own),
        };
        format!("{{ {} }}", addresses.map_or(String::new(), |addresses| addresses.join(", ")))
    }

    fn is_shaped(&self, from: &str, to: &str) -> bool {
        self.shaped.iter().any(|(source, far)| source == from && far == to)
    }
}

/// The virtual address that a host may hold, with the host's hardware address.
fn shared_by(system: &System, pod: &Pod) -> Option<(String, (String, String))> {
    let topology = &system.plan().topology;
    let shared = topology.shared_by(&pod.host)?;
    let address = pod.neighbour(shared.last_octet)?;
    Some((pod.host.clone(), (pod.hardware_address.clone(), address.to_string())))
}

/// Which way a packet that is stopped goes, from the point of view of the host that stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Arriving,
    Leaving,
}

/// Where a cut is made: at which hosts, on which way, and by what its packets are known.
fn stops(cut: &Cut, addresses: &Addresses) -> Vec<(String, Way, String)> {
    let Cut { from, to, .. } = cut;
    let stop = |at: &String, way, filter: String| (at.clone(), way, filter);
    let source = |who: &str| addresses.seen(who, to);
    if from == to {
        // Only by its own address: by 127.0.0.1 a service talks with itself (etcd's gateway does).
        return vec![stop(to, Way::Arriving, format!("iif lo ip saddr {}", source(from)))];
    }
    if to == CLIENTS {
        let gateway = addresses.seen(CLIENTS, from);
        return vec![stop(from, Way::Leaving, format!("ip daddr {gateway}"))];
    }
    let mut stops = vec![stop(to, Way::Arriving, format!("ip saddr {}", source(from)))];
    stops.extend(addresses.shared_by(from).map(|filter| stop(to, Way::Arriving, filter)));
    if addresses.is_shaped(from, to) {
        let far = addresses.seen(to, from);
        stops.push(stop(from, Way::Leaving, format!("ip daddr {far}")));
    }
    if addresses.is_shaped(to, from) {
        // The proxy's answers bear its own address; the connection's tracking remembers whom it was meant for.
        stops.push(stop(to, Way::Arriving, format!("ct direction reply ct original ip daddr {}", source(from))));
    }
    stops
}

/// The rules that stop what a filter finds.
fn rules_of(filter: &str, ports: &[u16], manner: Manner, counter: &str) -> Vec<String> {
    let counted = format!("counter name {counter}");
    let list = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let conversations = ["dport", "sport"].map(|side| format!("{filter} tcp {side} {{ {list} }} {counted}"));
    match (manner, ports.is_empty()) {
        (Manner::Drop, true) => vec![format!("{filter} {counted} drop")],
        (Manner::Drop, false) => conversations.map(|rule| format!("{rule} drop")).into(),
        (Manner::Reject, all) => {
            // The answer that rejects a packet must reach its sender.
            let mut rules = vec![
                format!("{filter} tcp flags rst accept"),
                format!("{filter} icmp type destination-unreachable accept"),
            ];
            if all {
                rules.push(format!("{filter} meta l4proto tcp {counted} reject with tcp reset"));
                rules.push(format!("{filter} {counted} reject"));
            } else {
                rules.extend(conversations.map(|rule| format!("{rule} reject with tcp reset")));
            }
            rules
        }
    }
}

fn counter(index: usize) -> String {
    format!("cut{index}")
}

/// The rules of each host.
fn rules(cuts: &[Cut], manner: Manner, addresses: &Addresses) -> BTreeMap<String, Rules> {
    let mut rules: BTreeMap<String, Rules> = BTreeMap::new();
    for (index, cut) in cuts.iter().enumerate() {
        for (at, way, filter) in stops(cut, addresses) {
            let own = rules.entry(at).or_default();
            if !own.counters.contains(&counter(index)) {
                own.counters.push(counter(index));
            }
            let chain = match way {
                Way::Arriving => &mut own.arriving,
                Way::Leaving => &mut own.leaving,
            };
            chain.extend(rules_of(&filter, &cut.ports, manner, &counter(index)));
        }
    }
    rules
}

impl Cuts {
    pub(super) fn new(cuts: Vec<Cut>, manner: Manner) -> Self {
        Self { cuts, manner, table: Table::new("cut"), rules: BTreeMap::new(), last: Mutex::default() }
    }

    /// Writes the rules, for the addresses that the hosts have now.
    pub(super) fn prepare(&mut self, system: &System) {
        self.rules = rules(&self.cuts, self.manner, &Addresses::of(system));
    }

    pub(super) async fn inject(&self, system: &System) -> Result<(), FaultError> {
        self.table.add(system, &self.rules).await
    }

    pub(super) async fn heal(&self, system: &System) -> Result<(), FaultError> {
        self.table.remove(system, &self.hosts()).await
    }

    /// Asks, and judges the answers.
    pub(super) async fn bite(&self, system: &System) -> Result<String, String> {
        let answers = ask(system, &self.probes()).await?;
        self.judge(system, &answers).await
    }

    /// The proof: over each way that is cut a connection got no answer (or a reset, if packets are rejected), and the
    /// way's own rule has counted packets since the last proof. `answers` are those to [`Cuts::probes`].
    pub(super) async fn judge(&self, system: &System, answers: &[Answer]) -> Result<String, String> {
        let counts = self.table.packets(system, &self.hosts()).await?;
        let wanted = match self.manner {
            Manner::Drop => Answer::Silence,
            Manner::Reject => Answer::Reset,
        };
        let stopped = self.since_last_proof(&counts);
        for (probe, answer) in self.probes().iter().zip(answers) {
            let Cut { from, to, .. } = &self.cuts[probe.of];
            if *answer != wanted {
                let port = probe.port.map(|port| format!(" at port {port}")).unwrap_or_default();
                return Err(format!("{} gets {} from {}{port}", probe.by, answer.words(), probe.to));
            }
            if stopped[probe.of] == 0 {
                return Err(format!("the rule against packets from {from} to {to} has counted none"));
            }
        }
        let told = |(cut, packets): (&Cut, &u64)| format!("{} to {}: {packets}", cut.from, cut.to);
        let told = match self.cuts.len() {
            ways if ways > MOST_TOLD => format!("{} on {ways} ways", stopped.iter().sum::<u64>()),
            _ => self.cuts.iter().zip(&stopped).map(told).collect::<Vec<_>>().join(", "),
        };
        Ok(format!("{} connections got {}; packets stopped: {told}", answers.len(), wanted.words()))
    }

    /// How many packets each cut has stopped since this was asked last.
    fn since_last_proof(&self, counts: &BTreeMap<String, u64>) -> Vec<u64> {
        let now: Vec<u64> =
            (0..self.cuts.len()).map(|index| counts.get(&counter(index)).copied().unwrap_or(0)).collect();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, now.clone());
        let before = before.into_iter().chain(std::iter::repeat(0));
        now.iter().zip(before).map(|(now, before)| now.saturating_sub(before)).collect()
    }

    /// The proof that it is gone: no rule is left, and peers answer one another, unless another fault keeps them apart.
    pub(super) async fn is_gone(&self, system: &System) -> Result<String, String> {
        let others = self.table.is_gone(system, &self.hosts()).await?;
        let probes = self.probes();
        let answers = ask(system, &probes).await?;
        let apart = |probe: &Probe| [&probe.by, &probe.to].iter().any(|host| others.contains(host));
        for (probe, answer) in probes.iter().zip(&answers) {
            if *answer == Answer::Silence && !apart(probe) {
                return Err(format!("{} gets {} from {}", probe.by, answer.words(), probe.to));
            }
        }
        let silent = answers.iter().filter(|answer| **answer == Answer::Silence).count();
        let answered = answers.len() - silent;
        Ok(match silent {
            0 => format!("no rule is left; {answered} connections are answered"),
            _ => format!("no rule is left; {answered} connections are answered, {silent} kept apart by another fault"),
        })
    }

    /// The paths that it needs to be proven.
    pub(super) fn paths(&self) -> Vec<Place> {
        self.cuts.iter().map(Cut::path).collect()
    }

    /// The paths on which nothing passes any more. Where ports are named, all else still does.
    pub(super) fn paths_taken(&self) -> Vec<Place> {
        self.cuts.iter().filter(|cut| cut.ports.is_empty()).map(Cut::path).collect()
    }

    fn hosts(&self) -> Vec<String> {
        self.rules.keys().cloned().collect()
    }

    /// The connections to try: one for each cut, or one for each destination if those are too many.
    pub(super) fn probes(&self) -> Vec<Probe> {
        // What clients sent never arrives, so no answer to it leaves for the other rule to count.
        let mute = |cut: &Cut| {
            let back = |other: &Cut| (&other.from, &other.to) == (&cut.to, &cut.from);
            cut.to == CLIENTS && self.cuts.iter().any(back)
        };
        let heard = self.cuts.iter().enumerate().filter(|(_, cut)| !mute(cut));
        let all: Vec<Probe> = heard.flat_map(|(index, cut)| probes_of(index, cut)).collect();
        if all.len() <= MOST_PROBES {
            return all;
        }
        let mut fewer: Vec<Probe> = Vec::new();
        for probe in all {
            if !fewer.iter().any(|other| self.cuts[other.of].to == self.cuts[probe.of].to) {
                fewer.push(probe);
            }
        }
        fewer
    }
}

/// A port on which nothing listens: the machine itself answers, with a reset.
const NO_SERVICE: u16 = 9;

fn probes_of(index: usize, cut: &Cut) -> Vec<Probe> {
    // Clients are asked to connect on either way: nothing of a host's connects to them.
    let (by, to) = if cut.to == CLIENTS { (&cut.to, &cut.from) } else { (&cut.from, &cut.to) };
    let ports = if cut.ports.is_empty() { &[NO_SERVICE] } else { cut.ports.as_slice() };
    ports.iter().map(|port| Probe { of: index, by: by.clone(), to: to.clone(), port: Some(*port) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let host = |name: &str, last: u8| {
            (name.to_owned(), (vec![format!("10.0.0.{last}")], vec!["10.0.0.1".to_owned(), "10.1.0.1".to_owned()]))
        };
        Addresses {
            hosts: [host("node1", 11), host("node2", 12), host("proxy", 20), host("active", 21)].into(),
            shared: [("active".to_owned(), ("02:42:0a:00:00:15".to_owned(), "10.0.0.100".to_owned()))].into(),
            shaped: vec![("node1".to_owned(), "node2".to_owned())],
        }
    }

    fn hosts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn rules_between(one: &str, other: &str, ways: (bool, bool), ports: &[u16]) -> BTreeMap<String, Rules> {
        rules(&Cut::between(&hosts(&[one]), &hosts(&[other]), ways, ports), Manner::Drop, &addresses())
    }

    #[test]
    fn packets_are_stopped_where_they_arrive() {
        let rules = rules_between("node2", "proxy", (true, false), &[]);
        assert_eq!(rules.keys().collect::<Vec<_>>(), ["proxy"]);
        assert_eq!(rules["proxy"].arriving, ["ip saddr { 10.0.0.12 } counter name cut0 drop"]);
        let both = rules_between("node2", "proxy", (true, true), &[]);
        assert_eq!(both["node2"].arriving, ["ip saddr { 10.0.0.20 } counter name cut1 drop"]);
    }

    #[test]
    fn a_virtual_address_is_cut_off_with_the_host_that_sends_from_it() {
        let rules = rules_between("active", "node2", (true, false), &[]);
        let shared = "ether saddr 02:42:0a:00:00:15 ip saddr 10.0.0.100 counter name cut0 drop";
        assert_eq!(rules["node2"].arriving, ["ip saddr { 10.0.0.21 } counter name cut0 drop", shared]);
    }

    #[test]
    fn a_shaped_link_is_cut_before_and_behind_its_proxy() {
        let there = rules_between("node1", "node2", (true, false), &[]);
        assert_eq!(there["node2"].arriving, ["ip saddr { 10.0.0.11 } counter name cut0 drop"]);
        assert_eq!(there["node1"].leaving, ["ip daddr { 10.0.0.12 } counter name cut0 drop"]);
        let back = rules_between("node1", "node2", (false, true), &[]);
        assert_eq!(back.keys().collect::<Vec<_>>(), ["node1"]);
        assert_eq!(back["node1"].arriving[0], "ip saddr { 10.0.0.12 } counter name cut0 drop");
        let answers = "ct direction reply ct original ip daddr { 10.0.0.12 } counter name cut0 drop";
        assert_eq!(back["node1"].arriving[1], answers);
    }

    #[test]
    fn clients_come_from_the_gateway_and_what_goes_to_them_is_stopped_where_it_leaves() {
        let rules = rules_between(CLIENTS, "proxy", (true, true), &[5432]);
        assert_eq!(rules.keys().collect::<Vec<_>>(), ["proxy"]);
        assert_eq!(
            rules["proxy"].arriving[0],
            "ip saddr { 10.0.0.1, 10.1.0.1 } tcp dport { 5432 } counter name cut0 drop"
        );
        assert_eq!(
            rules["proxy"].leaving[1],
            "ip daddr { 10.0.0.1, 10.1.0.1 } tcp sport { 5432 } counter name cut1 drop"
        );
    }

    #[test]
    fn a_host_is_cut_from_its_own_services_only_by_their_ports() {
        assert_eq!(Cut::between(&hosts(&["node1"]), &hosts(&["node1"]), (true, true), &[]), []);
        let rules = rules_between("node1", "node1", (true, true), &[2379]);
        let filter = "iif lo ip saddr { 10.0.0.11 }";
        let counted = "counter name cut0 drop";
        let wanted = ["dport", "sport"].map(|side| format!("{filter} tcp {side} {{ 2379 }} {counted}"));
        assert_eq!(rules["node1"].arriving, wanted);
    }

    #[test]
    fn a_rejected_sender_gets_to_know() {
        let rules = rules_of("ip saddr 10.0.0.2", &[], Manner::Reject, "cut0");
        assert_eq!(rules.len(), 4);
        assert!(rules[0].ends_with("tcp flags rst accept"));
        assert!(rules[2].ends_with("counter name cut0 reject with tcp reset"));
    }
}
