//! How the harness reaches a system from outside, and this run's passwords.

use std::{collections::BTreeMap, net::SocketAddr};

pub use crate::credentials::{
    CLIENT_ROLE, Credentials, DATABASE, LEDGER_COLUMNS, LEDGER_INDEX, LEDGER_TABLE, NODE_SETTING,
};

/// Published ports and credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    ports: BTreeMap<(String, u16), Way>,
    /// This run's passwords.
    pub credentials: Credentials,
}

impl Access {
    /// Access to nothing yet.
    #[doc(hidden)]
    pub fn new(credentials: Credentials) -> Self {
        Self { ports: BTreeMap::new(), credentials }
    }

    /// Notes where a host's port is published, and where the harness itself reaches it.
    #[doc(hidden)]
    pub fn publish(&mut self, host: &str, port: u16, published: SocketAddr, reached: SocketAddr) {
        self.ports.insert((host.to_owned(), port), Way { published, reached });
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
