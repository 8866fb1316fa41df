//! Services: what each kind of service runs with. One file a service, one row in [`ALL`].
//!
//! Architecture invariant: rendering is pure. The same plan gives the same files but for the run's passwords, and
//! the Compose file of a topology is made by the same functions.

mod etcd;
mod haproxy;
pub mod patroni;
mod toxiproxy;

use std::collections::BTreeMap;

use crate::{credentials::Credentials, plan::Plan, topology::ServiceKind};

pub use etcd::CLIENT_PORT as ETCD_CLIENT_PORT;
pub use haproxy::STATS_PORT;
pub use toxiproxy::API_PORT as TOXIPROXY_API_PORT;

/// A kind of service and how it is run.
pub struct Service {
    pub kind: ServiceKind,
    /// What it is, in a sentence.
    pub summary: &'static str,
    /// The folder of its image under `images/`.
    pub image: &'static str,
    /// Ports that the harness watches, beside those of the topology's endpoints.
    pub ports: &'static [u16],
    /// Where it keeps its data, if it keeps any.
    pub storage: Option<Storage>,
    /// Whether it is started only when a primary leads.
    pub behind_primary: bool,
    pub render: fn(&Plan, &str, &Credentials) -> Rendered,
}

/// Where a service keeps its data, and how it is started once that is mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// The directory that a prepared disk is mounted over; the data directory is inside.
    pub directory: &'static str,
    /// The data directory, below it.
    pub data: &'static str,
    /// The user that the service runs as.
    pub user: &'static str,
    /// The image's entry point.
    pub entry_point: &'static str,
    /// The port of the disk's control, on the host's loopback address.
    pub control_port: u16,
}

/// What a container is started with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Arguments of the image's entry point.
    pub command: Vec<String>,
    /// Files to write before the start: path and content.
    pub files: Vec<(String, String)>,
}

/// Every service, by name.
pub const ALL: &[Service] = &[etcd::SERVICE, haproxy::SERVICE, patroni::SERVICE, toxiproxy::SERVICE];

/// The storage of a host's service, if it runs there and the plan puts it on a disk that can be broken.
pub fn prepared_storage(plan: &Plan, host: &str, kind: ServiceKind) -> Option<Storage> {
    let prepared = plan.topology.prepare.disks && plan.runs(host, kind);
    service(kind).storage.filter(|_| prepared)
}

/// The ports of a host that observers, probers and clients reach, each with the port of 127.0.0.1 that it is to have
/// (0: any).
pub fn published_ports(plan: &Plan, host: &str) -> BTreeMap<u16, u16> {
    let of_services = plan.services_on(host).into_iter().flat_map(|kind| service(kind).ports.iter().copied());
    let mut ports: BTreeMap<u16, u16> = of_services.map(|port| (port, 0)).collect();
    for endpoint in plan.endpoints.iter().map(|endpoint| &endpoint.at).filter(|at| at.host == host) {
        let published = ports.entry(endpoint.port).or_default();
        *published = endpoint.publish.unwrap_or(*published);
    }
    ports
}

/// The row of a kind.
pub fn service(kind: ServiceKind) -> &'static Service {
    match kind {
        ServiceKind::Etcd => &ALL[0],
        ServiceKind::Haproxy => &ALL[1],
        ServiceKind::Patroni => &ALL[2],
        ServiceKind::Toxiproxy => &ALL[3],
    }
}

/// The kind of service that the harness watches at this port of a host.
pub fn kind_at(port: u16) -> Option<ServiceKind> {
    ALL.iter().find(|service| service.ports.contains(&port)).map(|service| service.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_row() {
        for kind in ServiceKind::ALL {
            assert_eq!(service(*kind).kind, *kind);
        }
        assert_eq!(ALL.len(), ServiceKind::ALL.len());
    }
}
