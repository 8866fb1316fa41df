//! Roles and passwords of a cluster, and the names that clients use in it.

use std::fmt;

/// The role of writers, probers and observers. It owns the ledger, is a member of `pg_monitor` and `pg_checkpoint`, and
/// may read files of the server (timeline history).
pub const CLIENT_ROLE: &str = "pgquake";
/// The database with the ledger.
pub const DATABASE: &str = "postgres";
/// The ledger: a row for each write.
pub const LEDGER_TABLE: &str = "pgquake.ledger";
/// Its columns: which write of which client it is, what it says, and a hash over these three, by which a row that
/// changed is found.
pub const LEDGER_COLUMNS: &str =
    "client int, sequence bigint, content text NOT NULL, payload bytea NOT NULL, PRIMARY KEY (client, sequence)";
/// The index of its primary key.
pub const LEDGER_INDEX: &str = "pgquake.ledger_pkey";
/// A setting of each node that holds its name: `current_setting('pgquake.node')`.
pub const NODE_SETTING: &str = "pgquake.node";

/// Passwords of one cluster. They are made anew for each and never printed: `Debug` hides them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Of the role `postgres`, for Patroni.
    pub superuser_password: String,
    /// Of the role `replicator`.
    pub replication_password: String,
    /// Of [`CLIENT_ROLE`].
    pub client_password: String,
    /// The key to PowerDNS's HTTP API.
    pub names_api_key: String,
}

impl Credentials {
    /// Every password, for what must keep them out of logs.
    pub fn secrets(&self) -> Vec<String> {
        let Self { superuser_password, replication_password, client_password, names_api_key } = self;
        [superuser_password, replication_password, client_password, names_api_key].map(String::clone).into()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(hidden)")
    }
}
