//! How the harness reaches a cluster from outside: ports published on 127.0.0.1, and this run's passwords.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
};

pub use crate::credentials::{CLIENT_ROLE, Credentials, DATABASE, LEDGER_INDEX, LEDGER_TABLE, NODE_SETTING};

/// Published ports and credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    ports: BTreeMap<(String, u16), u16>,
    pub credentials: Credentials,
}

impl Access {
    pub fn new(credentials: Credentials) -> Self {
        Self { ports: BTreeMap::new(), credentials }
    }

    /// Notes that a host's port is published on this port of 127.0.0.1.
    pub fn publish(&mut self, host: &str, port: u16, published: u16) {
        self.ports.insert((host.to_owned(), port), published);
    }

    /// Where a host's port is reached, or `None` if it is not published.
    pub fn address(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let published = *self.ports.get(&(host.to_owned(), port))?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, published)))
    }
}
