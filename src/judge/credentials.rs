//! Roles and passwords of a cluster, and the names that clients use in it.

use std::{collections::BTreeMap, fmt};

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
/// A table beside a further database's ledger, where that has vectors: one for each write.
pub const VECTOR_TABLE: &str = "pgquake.vectors";
/// Its HNSW index.
pub const VECTOR_INDEX: &str = "pgquake.vectors_embedding";
/// How many numbers a vector has.
pub const VECTOR_DIMENSIONS: usize = 8;
/// The publication of the ledger, where somebody subscribes to it.
pub const PUBLICATION: &str = "ledger";
/// A sequence beside the ledger, where somebody subscribes to it: both ends have one.
pub const SEQUENCE: &str = "pgquake.tickets";
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
    /// Of etcd's user `root`, for the harness and operators, where members ask for passwords.
    pub dcs_password: String,
    /// Of etcd's user `patroni`, for the agents.
    pub dcs_agent_password: String,
    /// The key to PowerDNS's HTTP API.
    pub names_api_key: String,
    /// The name of the key to every bucket of the run's own servers.
    pub bucket_key_id: String,
    /// That key.
    pub bucket_secret: String,
    /// What opens the buckets of other servers, by the bucket's name.
    pub other_buckets: BTreeMap<String, BucketAccess>,
    /// The run's own authority, which certifies all of its servers.
    pub authority: Certificate,
    /// Of servers that speak TLS, by host.
    pub certificates: BTreeMap<String, Certificate>,
    /// The harness's own, which it shows where a client must.
    pub client: Certificate,
    /// The list of the certificates that the authority has revoked, as PEM. Anybody may see it.
    pub revoked: String,
}

/// What opens a bucket.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BucketAccess {
    pub key_id: String,
    pub secret: String,
    /// The certificate of the authority that the server is certified by, as PEM.
    pub authority: String,
}

/// A certificate with its key, both as PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// What anybody may see.
    pub certificate: String,
    /// What nobody but its server may.
    pub key: String,
}

impl Credentials {
    /// Every password, for what must keep them out of logs.
    pub fn secrets(&self) -> Vec<String> {
        let of_postgresql = [&self.superuser_password, &self.replication_password, &self.client_password];
        let of_dcs = [&self.dcs_password, &self.dcs_agent_password];
        let keys = [&self.names_api_key, &self.bucket_key_id, &self.bucket_secret];
        let certificates = self.certificates.values().chain([&self.authority, &self.client]);
        // A log holds lines: each line of a key is kept out by itself. The last ones hold its public half, and where that
        // happens to be broken into lines as in the certificate, everybody may read it.
        let lines = certificates.flat_map(|known| {
            let is_secret = |line: &&str| !line.starts_with("-----") && !known.certificate.contains(*line);
            known.key.lines().filter(is_secret)
        });
        let others = self.other_buckets.values().flat_map(|other| [&other.key_id, &other.secret]);
        let known = of_postgresql.into_iter().chain(of_dcs).chain(keys).chain(others).map(String::as_str).chain(lines);
        known.filter(|secret| !secret.is_empty()).map(str::to_owned).collect()
    }
}

impl Credentials {
    /// What opens a bucket.
    pub fn of_bucket(&self, name: &str) -> BucketAccess {
        self.other_buckets.get(name).cloned().unwrap_or_else(|| BucketAccess {
            key_id: self.bucket_key_id.clone(),
            secret: self.bucket_secret.clone(),
            authority: self.authority.certificate.clone(),
        })
    }

    /// A text of some program's in which no secret of the run stands any more.
    pub fn hide_in(&self, text: &str) -> String {
        self.secrets().iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "(hidden)"))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials(hidden)")
    }
}
