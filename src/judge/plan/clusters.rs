//! The clusters of a plan, their DCSs, and what the services of a host may know of them.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Plan, PlannedEndpoint, PlannedService, PredictedFailover};
use crate::{
    services::{Front, Serves, ServiceKind, Settings, Site, Tags, Upstream, patroni::POSTGRESQL_PORT, service},
    topology::{Cluster, Host, NamedEndpoint, SlotKept, Subscription, Topology, WRITE, Written},
};

/// One consensus group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedDcs {
    /// The name of the first cluster that has it.
    pub name: String,
    pub kind: ServiceKind,
    /// The hosts of its members.
    pub members: Vec<String>,
}

/// The consensus groups of these clusters: those that name the same members share one.
pub(super) fn groups(topology: &Topology, clusters: &[Cluster]) -> Vec<PlannedDcs> {
    let mut groups: Vec<PlannedDcs> = Vec::new();
    for cluster in clusters {
        let kind_of = |member: &String| {
            let host = topology.hosts().find(|host| host.name == *member)?;
            host.kinds().find(|kind| service(*kind).dcs().is_some())
        };
        let Some(kind) = cluster.dcs.iter().find_map(kind_of) else { continue };
        if !groups.iter().any(|group| group.members == cluster.dcs) {
            groups.push(PlannedDcs { name: cluster.name.clone(), kind, members: cluster.dcs.clone() });
        }
    }
    groups
}

impl Plan {
    /// The cluster of this name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The cluster that a node belongs to.
    pub fn cluster_of(&self, node: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.nodes.iter().any(|own| own == node))
    }

    /// The clusters that follow nobody, when the system starts.
    pub fn leading(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.iter().filter(|cluster| cluster.follows.is_none())
    }

    /// The clusters that follow this one.
    pub fn followers<'a>(&'a self, cluster: &'a str) -> impl Iterator<Item = &'a Cluster> {
        self.clusters
            .iter()
            .filter(move |other| other.follows.as_ref().is_some_and(|follows| follows.cluster == cluster))
    }

    /// The cluster that a cluster's rows come from in the end: itself, or that of whom it follows. A cluster and all
    /// that have the same one are a lineage.
    pub fn lineage_of<'a>(&'a self, cluster: &'a Cluster) -> &'a Cluster {
        let mut origin = cluster;
        // A valid topology has no circle; a saved plan may.
        for _ in 0..self.clusters.len() {
            let Some(next) = origin.follows.as_ref().and_then(|follows| self.cluster(&follows.cluster)) else { break };
            origin = next;
        }
        origin
    }

    /// The clusters that hold the same rows: each that follows nobody with those that follow it, in the order of the plan.
    pub fn lineages(&self) -> Vec<Vec<&Cluster>> {
        let mut lineages: Vec<Vec<&Cluster>> = Vec::new();
        for cluster in &self.clusters {
            let origin = &self.lineage_of(cluster).name;
            match lineages.iter_mut().find(|known| self.lineage_of(known[0]).name == *origin) {
                Some(known) => known.push(cluster),
                None => lineages.push(vec![cluster]),
            }
        }
        lineages
    }

    /// What the plan says of these clusters: their nodes, DCSs and endpoints, and what the settings of the one that leads
    /// predict. An endpoint that is of no cluster leads to all of them.
    pub fn part(&self, clusters: &[&Cluster]) -> Self {
        let is_own = |name: &str| clusters.iter().any(|cluster| cluster.name == name);
        let mut part = self.clone();
        part.clusters.retain(|cluster| is_own(&cluster.name));
        part.nodes.retain(|node| self.cluster_of(node).is_some_and(|cluster| is_own(&cluster.name)));
        part.dcs.retain(|dcs| clusters.iter().any(|cluster| cluster.dcs == dcs.members));
        part.endpoints.retain(|endpoint| endpoint.of.as_deref().is_none_or(is_own));
        let leading = clusters.iter().find(|cluster| cluster.follows.is_none()).or(clusters.first());
        if let Some(leading) = leading {
            part.predicted = self.predicted_of(leading);
        }
        part
    }

    /// What a cluster's settings predict.
    pub fn predicted_of(&self, cluster: &Cluster) -> PredictedFailover {
        PredictedFailover::of(self, cluster)
    }

    /// The endpoint at which applications write, or else the first that leads to a primary.
    pub fn write_endpoint(&self) -> Option<&PlannedEndpoint> {
        let leads = |endpoint: &&PlannedEndpoint| endpoint.serves.is_for_writes() && !self.is_blocked(endpoint);
        self.endpoint(WRITE).or_else(|| self.endpoints.iter().find(leads))
    }

    /// The hosts of the nodes, of the members of DCSs and of the endpoints, some of them several times.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        let at = self.endpoints.iter().flat_map(|endpoint| self.topology.hosts_at(&endpoint.at.host));
        self.nodes.iter().map(String::as_str).chain(self.dcs_members()).chain(at)
    }

    /// Whether an endpoint leads to nobody for as long as its cluster follows another one: it serves a primary.
    pub fn is_blocked(&self, endpoint: &PlannedEndpoint) -> bool {
        let of = endpoint.of.as_deref().and_then(|name| self.cluster(name));
        endpoint.serves == Serves::Primary && of.is_some_and(|cluster| cluster.follows.is_some())
    }

    /// Whether somebody serves an endpoint as soon as the system is ready, as far as its settings say: it is not blocked, and
    /// no balancer of it looks for something else than a node's role.
    pub fn is_served(&self, endpoint: &PlannedEndpoint) -> bool {
        !self.is_blocked(endpoint) && self.balancers_at(endpoint).all(|planned| self.asks_for_role(planned))
    }

    fn asks_for_role(&self, planned: &PlannedService) -> bool {
        let balancer = service(planned.kind).balancer();
        balancer.is_some_and(|balancer| (balancer.asks_for_role)(&self.settings_for(planned)))
    }

    /// A cluster's settings.
    pub fn settings_of<'a>(&'a self, cluster: &'a Cluster) -> &'a Settings {
        self.topology.settings_of(cluster)
    }

    /// The DCS of a cluster.
    pub fn dcs_of(&self, cluster: &Cluster) -> Option<&PlannedDcs> {
        self.dcs.iter().find(|dcs| dcs.members == cluster.dcs)
    }

    /// Whether the members of a DCS ask for passwords.
    pub fn asks_for_passwords(&self, dcs: &PlannedDcs) -> bool {
        let mut settings = self.clusters_in(dcs).map(|cluster| self.settings_of(cluster));
        dcs.kind == ServiceKind::Etcd && settings.any(|settings| settings.etcd.authentication)
    }

    /// The clusters whose leader key a DCS holds.
    pub fn clusters_in<'a>(&'a self, dcs: &'a PlannedDcs) -> impl Iterator<Item = &'a Cluster> {
        self.clusters.iter().filter(move |cluster| cluster.dcs == dcs.members)
    }

    /// What observers and reports call a DCS: its kind, and its name where there are several.
    pub fn words_for(&self, dcs: &PlannedDcs) -> String {
        let kind = dcs.kind.name();
        if self.dcs.len() > 1 { format!("{kind} of {}", dcs.name) } else { kind.to_owned() }
    }

    /// The DCS that a host is a member of.
    pub fn dcs_at(&self, host: &str) -> Option<&PlannedDcs> {
        self.dcs.iter().find(|dcs| dcs.members.iter().any(|member| member == host))
    }

    /// Whether a cluster that leads keeps its leader key in another kind of DCS than etcd.
    pub fn leads_without_etcd(&self) -> bool {
        let kinds = self.leading().filter_map(|cluster| Some(self.dcs_of(cluster)?.kind));
        kinds.into_iter().any(|kind| kind != ServiceKind::Etcd)
    }

    /// The ports at which members of the DCSs are reached by clients, each once.
    pub fn dcs_client_ports(&self) -> BTreeSet<u16> {
        self.dcs.iter().filter_map(|dcs| service(dcs.kind).dcs()).map(|dcs| dcs.client_port).collect()
    }

    /// The members of every DCS: hosts, in the order of the clusters.
    pub fn dcs_members(&self) -> impl Iterator<Item = &str> {
        self.dcs.iter().flat_map(|dcs| &dcs.members).map(String::as_str)
    }

    /// The cluster that a host belongs to: with a node, with a member of its DCS, or with an endpoint that leads to it.
    pub fn cluster_at(&self, host: &str) -> Option<&Cluster> {
        self.topology.cluster_at(&self.clusters, host)
    }

    /// The cluster that a service belongs to: that of the endpoints that go through it, or else that of its host.
    pub fn cluster_beside(&self, service: &PlannedService) -> Option<&Cluster> {
        self.topology.cluster_beside(&self.clusters, &service.host, &service.instance())
    }

    /// The balancers through which clients write to the nodes of a cluster, of those that ask for a node's role.
    pub fn balancers_of(&self, cluster: &Cluster) -> Vec<&PlannedService> {
        let leads = |front: &Front<'_>| front.serves.is_for_writes() && front.nodes == cluster.nodes.as_slice();
        let balancers = self.balancers().filter(|planned| self.asks_for_role(planned));
        balancers.filter(|planned| self.fronts(planned).iter().any(leads)).collect()
    }

    /// The balancers that serve an endpoint where its clients connect.
    pub fn balancers_at<'a>(&'a self, endpoint: &'a PlannedEndpoint) -> impl Iterator<Item = &'a PlannedService> {
        let serves = |balancer: &&PlannedService| {
            let known = self.topology.endpoints.find(&endpoint.name);
            let served = |known| self.topology.is_served_by(known, &balancer.host, &balancer.instance());
            let is_there = self.topology.hosts_at(&endpoint.at.host).contains(&balancer.host.as_str());
            is_there && known.is_some_and(served)
        };
        self.balancers().filter(serves)
    }

    /// The same as observers call them, and what each calls the endpoint.
    pub fn fronts_for<'a>(&'a self, endpoint: &'a PlannedEndpoint) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.balancers_at(endpoint).map(|balancer| (balancer.called(), endpoint.name.as_str()))
    }

    /// The subscriptions to the ledger of a cluster.
    pub fn subscriptions_to<'a>(&'a self, cluster: &'a Cluster) -> impl Iterator<Item = &'a Subscription> {
        let is_own = |own: &&Subscription| {
            own.publisher(&self.topology.all_clusters()).is_some_and(|publisher| publisher.name == cluster.name)
        };
        self.topology.subscriptions.iter().filter(is_own)
    }

    /// What a service may know of its surroundings.
    pub fn site_of<'a>(&'a self, service: &'a PlannedService) -> Site<'a> {
        let of_cluster = self.surroundings(&service.host, self.cluster_beside(service));
        let archive = match service.kind {
            ServiceKind::Restore => self.restored_on(&service.host).and_then(|cluster| self.archive_of(cluster)),
            _ => of_cluster.archive,
        };
        Site { fronts: self.fronts(service), settings: self.settings_for(service), archive, ..of_cluster }
    }

    /// What a service of a node may know of its surroundings.
    pub fn site<'a>(&'a self, node: &'a str) -> Site<'a> {
        self.surroundings(node, self.cluster_at(node))
    }

    fn surroundings<'a>(&'a self, host: &'a str, cluster: Option<&'a Cluster>) -> Site<'a> {
        let dcs = self.dcs_at(host).or_else(|| self.dcs_of(cluster?));
        let follows = cluster.and_then(|cluster| cluster.follows.as_ref());
        let followers = cluster.into_iter().flat_map(|cluster| self.followers(&cluster.name));
        let followers = followers.filter_map(|follower| follower.follows.as_ref());
        Site {
            host,
            scope: cluster.map_or("", |cluster| cluster.scope.as_str()),
            nodes: cluster.map_or(&[], |cluster| cluster.nodes.as_slice()),
            dcs: dcs.map(|dcs| dcs.kind),
            dcs_members: dcs.into_iter().flat_map(|dcs| &dcs.members).map(String::as_str).collect(),
            upstream: follows.map(|follows| Upstream {
                host: follows.host.as_deref(),
                port: follows.port,
                slot: follows.slot.as_deref(),
                is_dynamic: follows.written == Written::Dynamic,
            }),
            permanent_slots: followers
                .filter(|follows| follows.slot_is_permanent)
                .filter_map(|f| f.slot.as_deref())
                .collect(),
            logical_slots: cluster
                .into_iter()
                .flat_map(|cluster| self.subscriptions_to(cluster))
                .filter(|own| own.slot_kept == SlotKept::Permanent)
                .map(Subscription::slot)
                .collect(),
            balancers: self.balancers_on(host),
            balanced_from: self.hosts_with_balancers().map(|host| host.name.as_str()).collect(),
            fronts: Vec::new(),
            repointed: self.pools_repointed(),
            shared_address: self.topology.shared_by(host),
            archive: self.archive_at(host),
            settings: Cow::Borrowed(cluster.map_or(&self.topology.settings, |cluster| self.settings_of(cluster))),
            tls: self.topology.tls,
            clocks_are_prepared: self.topology.prepare.clocks,
            tags: self.topology.hosts().find(|own| own.name == host).map_or(&Tags::NONE, |own| &own.tags),
        }
    }

    /// The hosts of the balancers, each once.
    pub(super) fn hosts_with_balancers(&self) -> impl Iterator<Item = &Host> {
        self.topology.hosts().filter(|host| host.balancers().next().is_some())
    }

    /// The programs of a host's balancers, each once.
    fn balancers_on(&self, host: &str) -> Vec<&'static str> {
        let here = self.services.iter().filter(|planned| planned.host == host);
        let programs = here.filter_map(|planned| Some(service(planned.kind).balancer()?.program));
        programs.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The port of a cluster's nodes that an endpoint leads to.
    fn port_of(&self, endpoint: &NamedEndpoint, cluster: &Cluster) -> u16 {
        let is_own = |host: &str| endpoint.pooled && cluster.nodes.iter().any(|own| own == host);
        let mut poolers = self.poolers().filter(|pooler| pooler.leads_to.is_none() && is_own(pooler.host));
        poolers.next().map_or(POSTGRESQL_PORT, |pooler| pooler.port)
    }

    /// What a balancer listens for.
    fn fronts<'a>(&'a self, balancer: &PlannedService) -> Vec<Front<'a>> {
        let instance = balancer.instance();
        let is_here = |endpoint: &&NamedEndpoint| self.topology.is_served_by(endpoint, &balancer.host, &instance);
        let front = |endpoint: &'a NamedEndpoint| {
            let of = endpoint.of.as_deref().and_then(|name| self.cluster(name));
            let cluster = of.or_else(|| self.cluster_at(&endpoint.host))?;
            let pools = self.pools_led_to(endpoint);
            Some(Front {
                name: &endpoint.name,
                port: endpoint.port,
                serves: endpoint.serves,
                nodes: if pools.is_empty() { &cluster.nodes } else { &[] },
                node_port: self.port_of(endpoint, cluster),
                pools,
            })
        };
        let mut fronts: Vec<Front<'a>> = Vec::new();
        for front in self.topology.endpoints.iter().filter(is_here).filter_map(front) {
            // An endpoint at a name has the front of the one at the host.
            if fronts.iter().all(|known| known.port != front.port) {
                fronts.push(front);
            }
        }
        fronts
    }
}
