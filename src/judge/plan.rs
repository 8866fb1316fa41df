//! The plan: what a topology means for a run. What to start and in which order, with which deadlines, and which
//! failover times its settings predict.
//!
//! Architecture invariant: pure. The same topology gives the same plan, and the checks need nothing else beside
//! the history.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::span::Span;
use crate::{
    schema::{SCHEMA, first_schema, is_first_schema},
    services::{Front, ServiceKind, Site, Storage, patroni::POSTGRESQL_PORT, service},
    topology::{Endpoint, Link, Topology},
};

/// A topology, worked out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// See [`SCHEMA`].
    #[serde(default = "first_schema", skip_serializing_if = "is_first_schema")]
    pub schema: u32,
    pub topology: Topology,
    /// Services in the order of the topology; [`Plan::start_order`] says what waits for what.
    pub services: Vec<PlannedService>,
    /// Names of the PostgreSQL nodes. The first is the first primary.
    pub nodes: Vec<String>,
    /// What clients connect to: `write`, `read` if there is one, and every node by its name.
    pub endpoints: Vec<PlannedEndpoint>,
    /// Connections that go through a Toxiproxy: between the hosts whose links the topology names, and between regions.
    #[serde(default)]
    pub links: Vec<ShapedLink>,
    pub deadlines: Deadlines,
    pub predicted: PredictedFailover,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedService {
    pub host: String,
    pub kind: ServiceKind,
}

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
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEndpoint {
    /// `write`, `read` or a node's name.
    pub name: String,
    pub at: Endpoint,
}

/// How long the harness waits for a condition before it says what did not come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    pub cluster_ready_s: u64,
    pub steady_state_s: u64,
    /// From a fault to settled writes: well beyond every predicted bound, so that a slow failover is measured
    /// and not cut off.
    pub recovered_s: u64,
    pub rejoined_s: u64,
}

/// What the settings predict for the loss of the primary's host.
///
/// The holder refreshes its key once a loop, so a dead primary's key lives for `ttl − [0, loop_wait]` more. When
/// the host takes the etcd leader with it, a new etcd leader is elected first and grants every lease its full
/// time again (etcd's lessor "promotes" leases to make up for a slow election), so the key then lives for the
/// election plus the whole ttl.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictedFailover {
    /// Fault to key gone, when the etcd leader survives.
    pub detect: Span,
    /// Fault to key gone, when the etcd leader dies with the primary.
    pub detect_with_dcs_leader: Span,
    /// Key gone to key held: standbys watch the key and race for it at once, after asking each other.
    pub elect: Span,
    /// Key held to a direct write on the new primary.
    pub promote: Span,
    /// Direct write possible to the proxy's server UP: `rise` checks, the first up to one interval away.
    pub route: Span,
}

impl PredictedFailover {
    /// The client's outage, as the sum of the phases.
    pub fn outage(&self, dcs_leader_lost: bool) -> Span {
        let detect = if dcs_leader_lost { self.detect_with_dcs_leader } else { self.detect };
        detect.plus(self.elect).plus(self.promote).plus(self.route)
    }
}

impl Plan {
    /// Works a topology out. The topology is valid already (see `topology::load`).
    pub fn new(topology: Topology) -> Self {
        let links = shaped_links(&topology);
        let placed = |host: &str, kind| PlannedService { host: host.to_owned(), kind };
        let mut services = Vec::new();
        for host in topology.hosts() {
            services.extend(host.services.iter().map(|kind| placed(&host.name, *kind)));
            if links.iter().any(|link| link.from == host.name) {
                services.push(placed(&host.name, ServiceKind::Toxiproxy));
            }
        }
        let nodes = topology.nodes();
        let predicted = predict(&topology);
        let worst_ms = predicted.outage(true).most_ms;
        let deadlines = Deadlines {
            cluster_ready_s: 60,
            steady_state_s: 30,
            recovered_s: worst_ms.div_ceil(1000) * 3 + 30,
            rejoined_s: worst_ms.div_ceil(1000) * 2 + 60,
        };
        let endpoints = planned_endpoints(&topology, &nodes);
        Self { schema: SCHEMA, topology, services, nodes, endpoints, links, deadlines, predicted }
    }

    /// Whether nodes, services and endpoints are those of its topology, and every predicted span is one. A saved plan
    /// that was put together otherwise says nothing of the system that ran.
    pub fn fits_its_topology(&self) -> bool {
        let made = Self::new(self.topology.clone());
        let PredictedFailover { detect, detect_with_dcs_leader, elect, promote, route } = &self.predicted;
        let spans = [detect, detect_with_dcs_leader, elect, promote, route];
        self.nodes == made.nodes
            && self.services == made.services
            && self.endpoints == made.endpoints
            && spans.iter().all(|span| span.least_ms <= span.most_ms)
    }

    /// The kinds of service that the topology needs, each once.
    pub fn kinds(&self) -> Vec<ServiceKind> {
        let mut kinds: Vec<_> = self.services.iter().map(|service| service.kind).collect();
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// The connections that one host opens to another, if they are shaped.
    pub fn link(&self, from: &str, to: &str) -> Option<&ShapedLink> {
        self.links.iter().find(|link| link.from == from && link.to == to)
    }

    /// Whether a host runs a service of this kind.
    pub fn runs(&self, host: &str, kind: ServiceKind) -> bool {
        self.services.iter().any(|service| service.host == host && service.kind == kind)
    }

    /// The kinds of service that a host runs, sorted.
    pub fn services_on(&self, host: &str) -> Vec<ServiceKind> {
        let here = self.services.iter().filter(|service| service.host == host);
        let mut kinds: Vec<ServiceKind> = here.map(|service| service.kind).collect();
        kinds.sort();
        kinds
    }

    /// The time from a fault until no balancer leads clients to a dead primary; `None` without a balancer.
    pub fn predicted_mark_down(&self) -> Option<Span> {
        let balancers = self.balancers().filter_map(|(_, kind)| service(kind).balancer());
        balancers.map(|balancer| (balancer.mark_down)(&self.topology.settings)).reduce(Span::later)
    }

    /// The members of the DCS: hosts, in the order of the topology.
    pub fn dcs_members(&self) -> impl Iterator<Item = &str> {
        self.services
            .iter()
            .filter(|planned| service(planned.kind).dcs().is_some())
            .map(|planned| planned.host.as_str())
    }

    /// The kind of the DCS, if there is one.
    pub fn dcs(&self) -> Option<ServiceKind> {
        self.services.iter().map(|planned| planned.kind).find(|kind| service(*kind).dcs().is_some())
    }

    /// The balancers: host and kind.
    pub fn balancers(&self) -> impl Iterator<Item = (&str, ServiceKind)> {
        let balancers = self.services.iter().filter(|planned| service(planned.kind).balancer().is_some());
        balancers.map(|planned| (planned.host.as_str(), planned.kind))
    }

    /// What the services of a host may know of their surroundings.
    pub fn site<'a>(&'a self, host: &'a str) -> Site<'a> {
        let endpoints = self.topology.endpoints.named();
        Site {
            host,
            nodes: &self.nodes,
            dcs: self.dcs(),
            dcs_members: self.dcs_members().collect(),
            fronts: endpoints.map(|(name, serves, at)| Front { name, port: at.port, serves }).collect(),
            settings: &self.topology.settings,
            clocks_are_prepared: self.topology.prepare.clocks,
        }
    }

    /// The storage of a host's service, if it runs there and the topology puts it on a disk that can be broken.
    pub fn prepared_storage(&self, host: &str, kind: ServiceKind) -> Option<Storage> {
        let prepared = self.topology.prepare.disks && self.runs(host, kind);
        service(kind).storage.filter(|_| prepared)
    }

    /// The ports of a host that observers, probers and clients reach, each with the port of 127.0.0.1 that it is to have
    /// (0: any).
    pub fn published_ports(&self, host: &str) -> BTreeMap<u16, u16> {
        let of_services = self.services_on(host).into_iter().flat_map(|kind| service(kind).watched_ports());
        let mut ports: BTreeMap<u16, u16> = of_services.map(|port| (port, 0)).collect();
        for endpoint in self.endpoints.iter().map(|endpoint| &endpoint.at).filter(|at| at.host == host) {
            let published = ports.entry(endpoint.port).or_default();
            *published = endpoint.publish.unwrap_or(*published);
        }
        ports
    }

    /// The hosts that run this kind of service.
    pub fn hosts_with(&self, kind: ServiceKind) -> impl Iterator<Item = &str> {
        self.services.iter().filter(move |service| service.kind == kind).map(|service| service.host.as_str())
    }
}

/// The ports that a topology names for two hosts, each at the end that serves it: data goes both ways over connections
/// that either end has opened. Between regions, every port.
fn shaped_links(topology: &Topology) -> Vec<ShapedLink> {
    let mut links = Vec::new();
    for from in topology.hosts() {
        for (index, to) in topology.hosts().enumerate().filter(|(_, to)| to.name != from.name) {
            let between = |link: &&Link| {
                [&link.from, &link.to] == [&from.name, &to.name] || [&link.to, &link.from] == [&from.name, &to.name]
            };
            let named = topology.links.iter().filter(between);
            let named: Vec<u16> = named.flat_map(|link| link.shaped_ports.iter().copied()).collect();
            let crosses = topology.region_of(&from.name) != topology.region_of(&to.name);
            let mut ports = topology.ports_of(to);
            ports.retain(|port| crosses || named.contains(port));
            if !ports.is_empty() {
                let listen = format!("127.0.{}.{}", 1 + index / 250, 1 + index % 250);
                links.push(ShapedLink { from: from.name.clone(), to: to.name.clone(), ports, listen });
            }
        }
    }
    links
}

fn planned_endpoints(topology: &Topology, nodes: &[String]) -> Vec<PlannedEndpoint> {
    let named = topology.endpoints.named();
    let named = named.map(|(name, _, at)| PlannedEndpoint { name: name.to_owned(), at: at.clone() });
    let direct = nodes.iter().map(|node| PlannedEndpoint {
        name: node.clone(),
        at: Endpoint { host: node.clone(), port: POSTGRESQL_PORT, publish: None },
    });
    named.chain(direct).collect()
}

/// What the settings of the services predict.
fn predict(topology: &Topology) -> PredictedFailover {
    let settings = &topology.settings;
    let kinds: BTreeSet<ServiceKind> = topology.hosts().flat_map(|host| host.services.iter().copied()).collect();
    let ttl_ms = u64::from(settings.patroni.ttl_s) * 1000;
    let loop_wait_ms = u64::from(settings.patroni.loop_wait_s) * 1000;
    let expiry = kinds.iter().find_map(|kind| service(*kind).dcs()).map(|dcs| (dcs.expiry)(settings));
    let (expiry, expiry_with_loss) = expiry.unwrap_or((Span::NONE, Span::NONE));
    let lease = Span { least_ms: ttl_ms - loop_wait_ms.min(ttl_ms), most_ms: ttl_ms };
    let whole_lease = Span { least_ms: ttl_ms, most_ms: ttl_ms };
    let routes = kinds.iter().filter_map(|kind| service(*kind).balancer()).map(|balancer| (balancer.route)(settings));
    PredictedFailover {
        detect: lease.plus(expiry),
        detect_with_dcs_leader: whole_lease.plus(expiry_with_loss),
        // A candidate asks every member's REST API first; a dead host answers nothing for up to 2 s
        // (Patroni's timeout for that request).
        elect: Span { least_ms: 0, most_ms: 2500 },
        promote: Span { least_ms: 50, most_ms: 2000 },
        route: routes.reduce(Span::later).unwrap_or(Span::NONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    #[test]
    fn a_topology_without_links_shapes_none_and_needs_no_toxiproxy() {
        let plan = Plan::new(load("single-region", &[]).expect("a built-in topology"));
        assert!(plan.links.is_empty());
        assert!(!plan.kinds().contains(&ServiceKind::Toxiproxy));
    }

    #[test]
    fn a_plan_that_lacks_a_node_or_has_a_span_of_no_length_does_not_fit() {
        let plan = Plan::new(load("single-region", &[]).expect("a built-in topology"));
        assert!(plan.fits_its_topology());
        let mut lacking = plan.clone();
        lacking.nodes.pop();
        assert!(!lacking.fits_its_topology());
        let mut reversed = plan;
        reversed.predicted.detect = Span { least_ms: u64::MAX, most_ms: 0 };
        assert!(!reversed.fits_its_topology());
    }

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
