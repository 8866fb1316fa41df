//! A topology: regions, hosts, services, links, endpoints and their settings, as a file in `topologies/` says.
//!
//! Architecture invariant: pure data. A topology knows nothing of containers, ports on this machine or
//! passwords; those belong to a run.

mod applications;
mod changes;
mod clusters;
mod endpoints;
mod error;
mod firewall;
mod library;
mod links;
mod names;
mod own;
mod parse;
mod placed;
pub use crate::services::{dynamic, postgresql};
mod schema;
mod storage;
mod subscriptions;
mod validate;
mod virtual_addresses;
mod warnings;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{services::service, yaml::position};

pub use crate::services::{
    EnvoySettings, EtcdSettings, HaproxySettings, Instance, KeepalivedSettings, Own, PatroniSettings,
    PgbouncerSettings, PoolOf, PostgresqlSettings, PowerdnsSettings, Serves, ServiceKind, Settings, Tags, Tls,
    patroni::POSTGRESQL_PORT,
};
pub use applications::{AfterReadOnly, Application};
pub use changes::SettingError;
pub use clusters::{Cluster, Follows, ONLY_CLUSTER, Written};
pub use endpoints::{Endpoint, Endpoints, NamedEndpoint, READ, WRITE};
pub use error::{Mistake, TopologyError};
pub use firewall::{Action, Firewall, FirewallRule, NamedNetwork};
pub use library::{BUILT_IN, Summary, known, load, load_with, text};
pub use links::{Link, RegionLink};
pub use names::{Answer, GlobalName};
pub use own::OverriddenKey;
pub use parse::parse;
pub use placed::PlacedService;
pub use schema::schema;
pub use storage::{Backups, Bucket, OtherServer};
pub use subscriptions::{NODES, SlotKept, Subscription};
pub use virtual_addresses::VirtualAddress;

/// What a topology file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// The name by which scenarios and the command line call it; equal to the file's name without `.yaml`.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Which document it follows, for example `"002"`, and where it departs from it.
    pub follows: String,
    pub regions: Vec<Region>,
    /// The clusters. Left out: all nodes are one, with all members of the DCS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Cluster>,
    /// Links with properties of their own. A link that is not named is direct.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What the links between two regions are like, always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub region_links: Vec<RegionLink>,
    /// What clients connect to.
    pub endpoints: Endpoints,
    /// Global names, which clients resolve to the address of a host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<GlobalName>,
    /// Addresses that belong to no host, and that one of several holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub virtual_addresses: Vec<VirtualAddress>,
    /// Hosts that the rules of a firewall name together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NamedNetwork>,
    /// The rules by which the hosts of one network take connections. Left out: they take all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firewall: Option<Firewall>,
    /// What speaks TLS, with certificates of the run's own authority. Left out: nothing does.
    #[serde(default, skip_serializing_if = "Tls::is_off")]
    pub tls: Tls,
    /// Buckets of S3 servers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<Bucket>,
    /// Where clusters archive their WAL and keep their backups. Left out: nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backups: Vec<Backups>,
    /// Subscriptions to the ledger of a cluster, at servers outside of all clusters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
    /// Clients that write beside the load, with timeouts of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub applications: Vec<Application>,
    #[serde(default)]
    pub settings: Settings,
    /// What the services of a kind have of the team's own: an image, configuration, files and environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub own: BTreeMap<ServiceKind, Own>,
    /// What services are started with so that a scenario can break it later.
    #[serde(default, skip_serializing_if = "Prepare::is_nothing")]
    pub prepare: Prepare,
    /// Ids of the claims that bear on this topology: documented ones (`pgquake list claims`) or those of the claims file.
    #[serde(default)]
    pub claims: Vec<String>,
}

/// What must be in place from the start for some faults to be possible. It costs something, so it is asked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prepare {
    /// The data directories of PostgreSQL and etcd are on disks that can lose power, fill up, stall and fail. The
    /// engine's machine needs FUSE. Writes cost about a quarter more.
    pub disks: bool,
    /// The clocks of Patroni and PostgreSQL can be set: they ask libfaketime for the time, which asks the kernel.
    pub clocks: bool,
}

impl Prepare {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// One region: a network of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    pub name: String,
    /// By which of the engine's drivers its hosts are joined.
    #[serde(default, skip_serializing_if = "NetworkDriver::is_bridge")]
    pub driver: NetworkDriver,
    pub hosts: Vec<Host>,
}

/// A driver of the engine's networks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NetworkDriver {
    /// A bridge of the engine's machine.
    #[default]
    Bridge,
    /// Docker Swarm's overlay, which joins machines. The engine must be a manager of a swarm.
    Overlay,
}

impl NetworkDriver {
    /// The engine's word for it.
    pub fn name(self) -> &'static str {
        match self {
            NetworkDriver::Bridge => "bridge",
            NetworkDriver::Overlay => "overlay",
        }
    }

    fn is_bridge(&self) -> bool {
        *self == NetworkDriver::Bridge
    }
}

/// One machine: a network namespace with a name and an address that outlive its services.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The name by which the other hosts and the scenarios know it.
    pub name: String,
    /// The zone of its region that it stands in, as `a`. Scenarios aim at `zone a`; nothing else depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Other names by which the other hosts know it, as `primary-leader.us-east-1`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What runs on it.
    pub services: Vec<PlacedService>,
    /// What Patroni's tags say of the node that runs here.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl Host {
    /// The kinds of its services, in the order of the file.
    pub fn kinds(&self) -> impl Iterator<Item = ServiceKind> {
        self.services.iter().map(|placed| placed.kind)
    }

    /// Whether it runs a service of this kind.
    pub fn runs(&self, kind: ServiceKind) -> bool {
        self.kinds().any(|own| own == kind)
    }

    /// The kind of service by which it is a PostgreSQL node; `None`: it is none.
    pub fn node_kind(&self) -> Option<ServiceKind> {
        self.kinds().find(|kind| service(*kind).is_node())
    }

    /// Whether it is a PostgreSQL node that an agent keeps.
    pub fn has_agent(&self) -> bool {
        self.kinds().filter_map(|kind| service(kind).node()).any(|node| node.agent.is_some())
    }

    /// Its services that lead clients to nodes.
    pub fn balancers(&self) -> impl Iterator<Item = &PlacedService> {
        self.services.iter().filter(|placed| service(placed.kind).balancer().is_some())
    }
}

impl Topology {
    /// Every host of every region, in the order of the file.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.regions.iter().flat_map(|region| &region.hosts)
    }

    /// The host of this name, or with this other name.
    pub fn host_called(&self, name: &str) -> Option<&Host> {
        self.hosts().find(|host| host.name == name || host.aliases.iter().any(|alias| alias == name))
    }

    /// The hosts that run a service of this kind, in the order of the file.
    pub fn hosts_with(&self, kind: ServiceKind) -> impl Iterator<Item = &Host> {
        self.hosts().filter(move |host| host.runs(kind))
    }

    /// The ports on which a host serves: those of its services, and those of the endpoints that it has.
    pub fn ports_of(&self, host: &Host) -> Vec<u16> {
        let own = host.services.iter().flat_map(|placed| {
            let settings = self.settings_on(host, placed);
            service(placed.kind).ports.iter().map(move |port| port.number(&settings))
        });
        let is_here = |endpoint: &&NamedEndpoint| self.hosts_behind(&endpoint.host).contains(&host.name.as_str());
        let endpoints = self.endpoints.iter().filter(is_here);
        let of_endpoints = endpoints.map(|endpoint| endpoint.port);
        let mut ports: Vec<u16> = own.chain(of_endpoints).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// How many sessions PostgreSQL takes on each node.
    pub fn max_connections(&self) -> u32 {
        let parameters = &self.settings.postgresql.parameters;
        let set = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case("max_connections"));
        let number = set.and_then(|(name, text)| postgresql::whole_number(name, text));
        number.map_or(postgresql::MAX_CONNECTIONS, |number| number as u32)
    }

    /// Whether a host has a pooler that leads to the nodes of this role; `None`: to its own node.
    pub fn pools(&self, host: &Host, of: Option<PoolOf>) -> bool {
        host.services.iter().any(|placed| {
            let pooler = service(placed.kind).pooler();
            pooler.is_some_and(|pooler| (pooler.leads_to)(&self.settings_on(host, placed)) == of)
        })
    }

    /// The region of a host.
    pub fn region_of(&self, host: &str) -> Option<&str> {
        let has = |region: &&Region| region.hosts.iter().any(|known| known.name == host);
        self.regions.iter().find(has).map(|region| region.name.as_str())
    }

    /// Names of the hosts with a PostgreSQL node; a node is called as its host.
    pub fn nodes(&self) -> Vec<String> {
        self.hosts().filter(|host| host.node_kind().is_some()).map(|host| host.name.clone()).collect()
    }
}
