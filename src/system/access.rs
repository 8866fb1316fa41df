//! How the harness reaches a system from outside, and this run's passwords.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

pub use crate::credentials::{
    CLIENT_ROLE, Credentials, DATABASE, LEDGER_COLUMNS, LEDGER_INDEX, LEDGER_TABLE, NODE_SETTING, SEQUENCE,
    VECTOR_DIMENSIONS, VECTOR_INDEX, VECTOR_TABLE,
};

/// Published ports and credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    ports: BTreeMap<(String, u16), Way>,
    hosts: BTreeMap<IpAddr, String>,
    /// This run's passwords.
    pub credentials: Credentials,
}

impl Access {
    /// Access to nothing yet.
    #[doc(hidden)]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// Notes where a host's port is published, and where the harness itself reaches it.
    #[doc(hidden)]
    pub fn publish(&mut self, host: &str, port: u16, published: SocketAddr, reached: SocketAddr) {
        self.ports.insert((host.to_owned(), port), Way { published, reached });
    }

    /// Notes a host's own addresses, which global names are answered with.
    #[doc(hidden)]
    pub fn know(&mut self, host: &str, addresses: &[String]) {
        let addresses = addresses.iter().filter_map(|address| address.parse().ok());
        self.hosts.extend(addresses.map(|address: IpAddr| (address, host.to_owned())));
    }

    /// The host that has this address. An address that no host has stands for itself.
    pub fn host_at(&self, address: &IpAddr) -> String {
        self.hosts.get(address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// The hosts that have these addresses, each once and sorted.
    pub fn hosts_at(&self, addresses: &[IpAddr]) -> Vec<String> {
        let mut hosts: Vec<String> = addresses.iter().map(|address| self.host_at(address)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Where the harness reaches a host's port, or `None` if it is not published.
    pub fn address(&self, host: &str, port: u16) -> Option<SocketAddr> {
        Some(self.ports.get(&(host.to_owned(), port))?.reached)
    }

    /// Where anybody on this machine reaches a host's port, or `None` if it is not published.
    pub fn published(&self, host: &str, port: u16) -> Option<SocketAddr> {
        Some(self.ports.get(&(host.to_owned(), port))?.published)
    }
}

#[derive(Debug, Clone, Copy)]
struct Way {
    published: SocketAddr,
    reached: SocketAddr,
}
