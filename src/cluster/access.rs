//! How the harness reaches a cluster from outside: ports published on 127.0.0.1, and this run's passwords.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
};

/// Published ports and credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    ports: BTreeMap<(String, u16), u16>,
    pub credentials: Credentials,
}

/// Passwords of this run alone. They are made anew for each cluster and never printed: `Debug` hides them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Of the role `postgres`, for Patroni.
    pub superuser_password: String,
    /// Of the role `replicator`.
    pub replication_password: String,
    /// Of the role `pgquake`, which writers, probers and observers use. It owns the table `pgquake.ledger`, is a
    /// member of `pg_monitor`, and may call `pg_read_file(text)`.
    pub client_password: String,
}

/// The role of writers, probers and observers.
pub const CLIENT_ROLE: &str = "pgquake";
/// The database with the ledger.
pub const DATABASE: &str = "postgres";
/// The ledger: `(client int, sequence bigint, primary key (client, sequence))`.
pub const LEDGER_TABLE: &str = "pgquake.ledger";
/// A setting of each node that holds its name: `current_setting('pgquake.node')`.
pub const NODE_SETTING: &str = "pgquake.node";

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(hidden)")
    }
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
