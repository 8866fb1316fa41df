//! The plan: what a topology means for a run. What to start and in which order, with which deadlines, and which
//! failover times its settings predict.
//!
//! Architecture invariant: pure. The same topology gives the same plan, and the checks need nothing else beside
//! the history.

mod clusters;
mod links;
mod nodes;
mod pools;
mod predicted;
mod storage;

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};

pub use crate::span::Span;
use crate::{
    schema::{SCHEMA, first_schema, is_first_schema},
    services::{Instance, Serves, ServiceKind, Settings, Storage, patroni::POSTGRESQL_PORT, service},
    topology::{Cluster, Endpoint, NamedEndpoint, Topology},
};
pub use clusters::PlannedDcs;
pub use links::{RegionDelay, ShapedLink};
pub use pools::PlannedPooler;
pub use predicted::{FailoverParts, PredictedFailover, PredictedReset};
pub use storage::ImageOf;

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
    /// Names of the PostgreSQL nodes of every cluster. The first is the first primary.
    pub nodes: Vec<String>,
    /// The Patroni clusters; at least one.
    #[serde(default)]
    pub clusters: Vec<Cluster>,
    /// The consensus groups that hold their leader keys.
    #[serde(default)]
    pub dcs: Vec<PlannedDcs>,
    /// What clients connect to: the endpoints of the topology, and every node by its name.
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
    /// The name that the topology gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl PlannedService {
    /// Which of the services of its host it is.
    pub fn instance(&self) -> Instance {
        Instance { kind: self.kind, own_name: self.name.clone() }
    }

    /// What observers and reports call it, if its kind is known: its own name, or else its host's.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.host)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedEndpoint {
    /// The topology's name for it, or a node's name.
    pub name: String,
    /// Whom it leads clients to.
    #[serde(default)]
    pub serves: Serves,
    /// The cluster whose nodes it leads to; `None`: those that its name leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Whether it leads clients to the pooler of a node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pooled: bool,
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

impl Deadlines {
    fn after(predicted: &PredictedFailover) -> Self {
        let worst_ms = predicted.outage(true).most_ms;
        // Where no agent keeps a node, a primary gives up a silent standby that its commits wait for after a minute
        // (`wal_sender_timeout`).
        let by_hand_s = if *predicted == PredictedFailover::NONE { 60 } else { 0 };
        Self {
            cluster_ready_s: 60,
            steady_state_s: 30,
            recovered_s: (worst_ms.div_ceil(1000) * 3).max(by_hand_s) + 30,
            rejoined_s: worst_ms.div_ceil(1000) * 2 + 60,
        }
    }
}

impl Plan {
    /// Works a topology out. The topology is valid already (see `topology::load`).
    pub fn new(topology: Topology) -> Self {
        let links = links::shaped(&topology);
        let placed = |host: &str, kind, name| PlannedService { host: host.to_owned(), kind, name };
        let mut services = Vec::new();
        for host in topology.hosts() {
            services.extend(host.services.iter().map(|own| placed(&host.name, own.kind, own.name.clone())));
            if links.iter().any(|link| link.from == host.name) {
                services.push(placed(&host.name, ServiceKind::Toxiproxy, None));
            }
        }
        let clusters = topology.all_clusters();
        let dcs = clusters::groups(&topology, &clusters);
        // Those that lead first: the first node of all is the first primary.
        let (leading, following): (Vec<&Cluster>, Vec<&Cluster>) =
            clusters.iter().partition(|cluster| cluster.follows.is_none());
        let nodes: Vec<String> = leading.iter().chain(&following).flat_map(|cluster| cluster.nodes.clone()).collect();
        let first = leading.first().map(|cluster| (*cluster).clone());
        let endpoints = planned_endpoints(&topology, &clusters);
        let predicted = PredictedFailover::NONE;
        let deadlines = Deadlines::after(&predicted);
        let mut plan =
            Self { schema: SCHEMA, topology, services, nodes, clusters, dcs, endpoints, links, deadlines, predicted };
        if let Some(first) = first {
            plan.predicted = plan.predicted_of(&first);
            plan.deadlines = Deadlines::after(&plan.predicted);
        }
        plan
    }

    /// Fills in what plans of an older schema don't say: they have one cluster with one DCS.
    pub fn complete(&mut self) {
        if self.schema == SCHEMA {
            return;
        }
        let made = Self::new(self.topology.clone());
        for endpoint in &mut self.endpoints {
            if let Some(known) = made.endpoint(&endpoint.name) {
                (endpoint.serves, endpoint.of) = (known.serves, known.of.clone());
            }
        }
        (self.clusters, self.dcs) = (made.clusters, made.dcs);
    }

    /// Whether nodes, services and endpoints are those of its topology, and every predicted span is one. A saved plan
    /// that was put together otherwise says nothing of the system that ran.
    pub fn fits_its_topology(&self) -> bool {
        let made = Self::new(self.topology.clone());
        let PredictedFailover { detect, detect_with_dcs_leader, elect, promote, route, watchdog: _ } = &self.predicted;
        let spans = [detect, detect_with_dcs_leader, elect, promote, route];
        self.nodes == made.nodes
            && self.services == made.services
            && self.clusters == made.clusters
            && self.dcs == made.dcs
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

    /// The services of a host, sorted by kind and name.
    pub fn services_on(&self, host: &str) -> Vec<Instance> {
        let here = self.services.iter().filter(|service| service.host == host);
        let mut instances: Vec<Instance> = here.map(PlannedService::instance).collect();
        instances.sort();
        instances
    }

    /// Which service of a host is meant by a kind alone: the first of that kind.
    pub fn which(&self, host: &str, meant: &Instance) -> Instance {
        let here = self.services_on(host);
        let first = here.iter().find(|own| meant.own_name.is_none() && own.kind == meant.kind);
        if here.contains(meant) { meant.clone() } else { first.unwrap_or(meant).clone() }
    }

    /// What a service runs with: its own settings, else those of its cluster, else the topology's.
    pub fn settings_for<'a>(&'a self, service: &PlannedService) -> Cow<'a, Settings> {
        let cluster = match service.kind {
            ServiceKind::Restore => self.cluster_for(&service.host, service.kind),
            _ => self.cluster_beside(service),
        };
        let shared = cluster.map_or(&self.topology.settings, |cluster| self.settings_of(cluster));
        let host = self.topology.hosts().find(|host| host.name == service.host);
        let placed = host.and_then(|host| host.services.iter().find(|own| own.instance() == service.instance()));
        placed.map_or(Cow::Borrowed(shared), |placed| placed.settings_over(shared))
    }

    /// The services that the harness may watch at this port of a host.
    pub fn watched_at<'a>(&'a self, host: &'a str, port: u16) -> impl Iterator<Item = &'a PlannedService> {
        let is_there = move |planned: &&PlannedService| {
            let row = service(planned.kind);
            planned.host == host && row.watched_ports(&self.settings_for(planned)).any(|own| own == port)
        };
        self.services.iter().filter(is_there)
    }

    /// The time from a fault until no balancer of a cluster leads clients to a dead primary; `None` without a balancer.
    pub fn predicted_mark_down(&self, cluster: &Cluster) -> Option<Span> {
        let spans = self
            .balancers_of(cluster)
            .into_iter()
            .filter_map(|planned| Some((service(planned.kind).balancer()?.mark_down)(&self.settings_for(planned))));
        spans.reduce(Span::later)
    }

    /// The same when the primary's whole host dies, and answers nothing any more.
    pub fn predicted_mark_down_of_silent(&self, cluster: &Cluster) -> Option<Span> {
        let of_silent = |planned: &PlannedService| {
            Some((service(planned.kind).balancer()?.mark_down_of_silent)(&self.settings_for(planned)))
        };
        self.balancers_of(cluster).into_iter().filter_map(of_silent).reduce(Span::later)
    }

    /// The host that answers global names, if there is one.
    pub fn name_server(&self) -> Option<&str> {
        let answers = self.services.iter().find(|planned| service(planned.kind).answers_names());
        answers.map(|planned| planned.host.as_str())
    }

    /// The balancers.
    pub fn balancers(&self) -> impl Iterator<Item = &PlannedService> {
        self.services.iter().filter(|planned| service(planned.kind).balancer().is_some())
    }

    /// The endpoint of this name.
    pub fn endpoint(&self, name: &str) -> Option<&PlannedEndpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.name == name)
    }

    /// The endpoints whose clients can arrive at a host: those that it has, those at a virtual address that it may hold, and
    /// those at global names, which can be pointed at any host that serves clients.
    pub fn endpoints_at<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a PlannedEndpoint> {
        let serves = |own: &Instance| service(own.kind).is_node() || service(own.kind).balancer().is_some();
        let serves = self.services_on(host).iter().any(serves);
        let is_name = move |at: &Endpoint| self.topology.global_name(&at.host).is_some();
        let is_here = move |at: &Endpoint| self.topology.hosts_at(&at.host).contains(&host) || serves && is_name(at);
        self.endpoints.iter().filter(move |endpoint| is_here(&endpoint.at))
    }

    /// The storage of a host's service, if it runs there and the topology puts it on a disk that can be broken.
    pub fn prepared_storage(&self, host: &str, kind: ServiceKind) -> Option<Storage> {
        let prepared = self.topology.prepare.disks && self.runs(host, kind);
        service(kind).storage.filter(|_| prepared)
    }

    /// The ports of a host that observers, probers and clients reach, each with the port of 127.0.0.1 that it is to have
    /// (0: any).
    pub fn published_ports(&self, host: &str) -> BTreeMap<u16, u16> {
        let mut ports: BTreeMap<u16, u16> = BTreeMap::new();
        for planned in self.services.iter().filter(|planned| planned.host == host) {
            let settings = self.settings_for(planned);
            ports.extend(service(planned.kind).watched_ports(&settings).map(|port| (port, 0)));
        }
        for endpoint in self.endpoints_at(host).map(|endpoint| &endpoint.at) {
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

fn planned_endpoints(topology: &Topology, clusters: &[Cluster]) -> Vec<PlannedEndpoint> {
    let only = || match clusters {
        [only] => Some(only.name.clone()),
        _ => None,
    };
    let named = topology.endpoints.iter().map(|endpoint: &NamedEndpoint| PlannedEndpoint {
        name: endpoint.name.clone(),
        serves: endpoint.serves,
        of: endpoint.of.clone().or_else(only),
        pooled: endpoint.pooled,
        at: endpoint.at(),
    });
    let direct = clusters.iter().flat_map(|cluster| {
        cluster.nodes.iter().map(|node| PlannedEndpoint {
            name: node.clone(),
            serves: Serves::Node,
            of: Some(cluster.name.clone()),
            pooled: false,
            at: Endpoint { host: node.clone(), port: POSTGRESQL_PORT, publish: None },
        })
    });
    named.chain(direct).collect()
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
}
