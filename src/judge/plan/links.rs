//! The links that go through Toxiproxies.

use serde::{Deserialize, Serialize};

use crate::topology::{Link, RegionLink, Topology};

/// Connections that one host opens to another, which go through the Toxiproxy of the host that opens them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShapedLink {
    /// The host that opens the connections.
    pub from: String,
    pub to: String,
    /// Ports of the far host, sorted.
    pub ports: Vec<u16>,
    /// The loopback address in the near host on which the listeners for the far one stand.
    pub listen: String,
    /// What the link is like for as long as the system runs, if it joins two regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<RegionDelay>,
}

/// What data meets on each way between two regions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionDelay {
    /// Half of the round trip.
    pub one_way_ms: u64,
    /// By how much one way may take longer or shorter.
    pub jitter_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_kb_per_s: Option<u64>,
}

impl RegionDelay {
    fn new(link: &RegionLink) -> Self {
        Self {
            one_way_ms: link.round_trip_ms / 2,
            jitter_ms: link.jitter_ms / 2,
            // A megabit is 125 kB.
            bandwidth_kb_per_s: link.bandwidth_mbit_per_s.map(|megabits| u64::from(megabits) * 125),
        }
    }
}

/// The ports that a topology names for two hosts, each at the end that serves it: data goes both ways over connections
/// that either end has opened. Between regions, every port.
pub(super) fn shaped(topology: &Topology) -> Vec<ShapedLink> {
    let mut links = Vec::new();
    for from in topology.hosts() {
        for (index, to) in topology.hosts().enumerate().filter(|(_, to)| to.name != from.name) {
            let between = |link: &&Link| {
                [&link.from, &link.to] == [&from.name, &to.name] || [&link.to, &link.from] == [&from.name, &to.name]
            };
            let named = topology.links.iter().filter(between);
            let named: Vec<u16> = named.flat_map(|link| link.shaped_ports.iter().copied()).collect();
            let regions = topology.region_of(&from.name).zip(topology.region_of(&to.name));
            let crosses = regions.is_some_and(|(here, there)| here != there);
            let mut ports = topology.ports_of(to);
            ports.retain(|port| crosses || named.contains(port));
            if !ports.is_empty() {
                let listen = format!("127.0.{}.{}", 1 + index / 250, 1 + index % 250);
                let joins = |link: &&RegionLink| regions.is_some_and(|(here, there)| link.joins(here, there));
                let delay = topology.region_links.iter().find(joins).map(RegionDelay::new);
                links.push(ShapedLink { from: from.name.clone(), to: to.name.clone(), ports, listen, delay });
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{plan::Plan, services::ServiceKind, topology::load};

    #[test]
    fn named_links_are_shaped_at_their_ports_alone_and_at_both_ends() {
        let mut topology = load("single-region", &[]).expect("a built-in topology");
        let link = Link { from: "node1".to_owned(), to: "node2".to_owned(), shaped_ports: vec![5432] };
        topology.links.push(link);
        let plan = Plan::new(topology);
        assert_eq!(plan.links.len(), 2);
        assert_eq!(plan.link("node1", "node2").map(|link| link.ports.clone()), Some(vec![5432]));
        assert_eq!(plan.link("node2", "node1").map(|link| link.ports.clone()), Some(vec![5432]));
        assert_eq!(plan.hosts_with(ServiceKind::Toxiproxy).collect::<Vec<_>>(), ["node1", "node2"]);
    }

    #[test]
    fn a_port_that_one_end_alone_serves_is_shaped_for_connections_to_it() {
        let mut topology = load("single-region", &[]).expect("a built-in topology");
        let link = Link { from: "node1".to_owned(), to: "proxy".to_owned(), shaped_ports: vec![8008] };
        topology.links.push(link);
        let plan = Plan::new(topology);
        assert_eq!(plan.link("proxy", "node1").map(|link| link.ports.clone()), Some(vec![8008]));
        assert_eq!(plan.link("node1", "proxy"), None);
    }

    #[test]
    fn every_link_that_crosses_regions_is_shaped_at_every_port() {
        let mut topology = load("single-region", &[]).expect("a built-in topology");
        let mut far = topology.regions[0].clone();
        far.name = "far".to_owned();
        far.hosts = vec![topology.regions[0].hosts.remove(2)];
        topology.regions.push(far);
        let plan = Plan::new(topology);
        assert_eq!(plan.link("node1", "node3").map(|link| link.ports.clone()), Some(vec![2379, 2380, 5432, 8008]));
        assert_eq!(plan.link("node1", "node2"), None);
        assert_eq!(plan.link("node3", "proxy").map(|link| link.ports.clone()), Some(vec![5432, 5433, 8404]));
        let listens: Vec<&str> = plan.links.iter().filter(|l| l.from == "node3").map(|l| l.listen.as_str()).collect();
        assert_eq!(listens, ["127.0.1.1", "127.0.1.2", "127.0.1.3"]);
    }
}
