//! Links of a topology: those between two hosts that are shaped, and what the links between two regions are like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Topology;

/// Two hosts whose connections go through Toxiproxies, whichever end opens them; the order of the two makes no
/// difference. Links that are not named are direct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// One end.
    pub from: String,
    /// The other end.
    pub to: String,
    /// The ports, of either end, to which connections go through a Toxiproxy, so that a scenario can slow, limit or cut
    /// the data of each way.
    pub shaped_ports: Vec<u16>,
}

/// What every link between the hosts of two regions is like, from before the first byte to the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegionLink {
    /// The two regions; their order makes no difference.
    pub between: [String; 2],
    /// How long a question and its answer are under way together.
    pub round_trip_ms: u64,
    /// By how much a round trip may be longer or shorter, evenly spread.
    #[serde(default)]
    pub jitter_ms: u64,
    /// How much data each connection passes each way; left out: as much as it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth_mbit_per_s: Option<u32>,
}

impl RegionLink {
    /// Whether it joins these two regions.
    pub fn joins(&self, one: &str, other: &str) -> bool {
        let [first, second] = &self.between;
        (first == one && second == other) || (first == other && second == one)
    }
}

impl Topology {
    /// Shapes the links between these hosts, at every port.
    pub fn shape_links_between(&mut self, hosts: &[String]) {
        let ends: Vec<(String, Vec<u16>)> = self
            .hosts()
            .filter(|host| hosts.contains(&host.name))
            .map(|host| (host.name.clone(), self.ports_of(host)))
            .collect();
        for (from, _) in &ends {
            for (to, ports) in ends.iter().filter(|(to, _)| to != from) {
                self.links.retain(|link| link.from != *from || link.to != *to);
                self.links.push(Link { from: from.clone(), to: to.clone(), shaped_ports: ports.clone() });
            }
        }
    }
}
