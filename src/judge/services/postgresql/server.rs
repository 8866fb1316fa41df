//! What PostgreSQL is on every node, whoever starts it: where its files are, its processes, and the parameters and the
//! accounts with which it starts.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MAX_CONNECTIONS, databases};
use crate::{
    credentials::{CLIENT_ROLE, Credentials, LEDGER_COLUMNS, LEDGER_TABLE},
    services::{Process, RevivedBy, RunsOn, Site, Storage, Volume, tls},
};

/// PostgreSQL's port.
pub const POSTGRESQL_PORT: u16 = 5432;
/// Where the data directory is, in the service's container.
pub const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";
/// The size of a file of the WAL: PostgreSQL's default, which the images keep.
pub const WAL_SEGMENT_BYTES: u64 = 16 << 20;
/// The role by which standbys stream.
pub const REPLICATION_ROLE: &str = "replicator";

/// Where the entry points find what each further database gets, in a file of its name.
const DATABASES: &str = "/etc/pgquake/databases";

/// The process that asks for a checkpoint now and then.
pub const CHECKPOINTER: Process = Process::of_postmaster("the checkpointer", "^postgres: .*checkpointer");
pub(in crate::services) const WAL_SENDER: Process = Process::of_postmaster("a WAL sender", "^postgres: .*walsender ")
    .only_on(RunsOn::Primary("only the primary has WAL senders here"));
pub(in crate::services) const WAL_RECEIVER: Process =
    Process::of_postmaster("the WAL receiver", "^postgres: .*walreceiver")
        .only_on(RunsOn::Standbys("a primary has no WAL receiver"));
pub(in crate::services) const STARTUP_PROCESS: Process =
    Process::of_postmaster("the startup process", "^postgres: .*startup recovering")
        .only_on(RunsOn::Standbys("a primary replays no WAL, and has no startup process"));

/// PostgreSQL's first process, found by a regular expression, and started again by somebody.
pub(in crate::services) const fn postmaster(pattern: &'static str, revived_by: RevivedBy) -> Process {
    Process { word: "PostgreSQL", pattern, revived_by, runs_on: RunsOn::Every }
}

/// Not over the data directory itself: it is moved and removed as a whole.
pub(in crate::services) const STORAGE: Storage = Storage {
    directory: "/var/lib/postgresql",
    data: "data",
    volumes: &[Volume { word: "data", below: "" }, Volume { word: "WAL", below: "pg_wal" }],
    user: "postgres",
    entry_point: "/usr/local/bin/entrypoint.sh",
    control_port: 7481,
};

/// Who may connect, in the words of `pg_hba.conf`.
pub(in crate::services) const ACCESS: [&str; 3] =
    ["local all all peer", "host replication replicator all scram-sha-256", "host all all all scram-sha-256"];

/// The same where PostgreSQL speaks TLS: who comes without it is refused.
const ACCESS_WITH_TLS: [&str; 3] =
    ["local all all peer", "hostssl replication replicator all scram-sha-256", "hostssl all all all scram-sha-256"];

/// The line by which the harness gets in where the rules are a document's.
pub const HARNESS_ACCESS: &str = "hostssl all pgquake all scram-sha-256";

/// Who may connect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Every host with its password; with TLS alone where PostgreSQL speaks it.
    #[default]
    Everybody,
    /// Document 002's pg_hba.conf as written: nodes may replicate from each other and nothing else, balancers' hosts may connect,
    /// all by `md5`, and everybody else is rejected. Addresses are those of the topology's hosts.
    #[serde(rename = "document_002")]
    Document002,
    /// The same corrected: `scram-sha-256`, nodes may connect to each other as `postgres`, as pg_rewind does, and an agent may ask its
    /// own node as a standby would.
    #[serde(rename = "document_002_corrected")]
    Document002Corrected,
}

impl Access {
    /// Whether nothing is said.
    pub fn is_of_everybody(&self) -> bool {
        *self == Self::default()
    }
}

/// Who may connect, by what the topology says.
pub(in crate::services) fn access(site: &Site<'_>) -> Vec<String> {
    let access = site.settings.postgresql.access;
    let method = match access {
        Access::Everybody => {
            let lines = if site.tls.postgresql { &ACCESS_WITH_TLS } else { &ACCESS };
            return lines.map(str::to_owned).into();
        }
        Access::Document002 => "md5",
        Access::Document002Corrected => "scram-sha-256",
    };
    // The entry point puts addresses there: a host has none before it runs.
    let line = |of: &str, host: &str| format!("hostssl {of} {{address of {host}}}/32 {method}");
    let mut lines: Vec<String> = site.nodes.iter().map(|node| line("replication replicator", node)).collect();
    if access == Access::Document002Corrected {
        lines.push(format!("hostssl replication replicator 127.0.0.1/32 {method}"));
        lines.extend(site.nodes.iter().map(|node| line("all postgres", node)));
    }
    lines.extend(["local all postgres peer".to_owned(), format!("host all all 127.0.0.1/32 {method}")]);
    lines.extend(site.balanced_from.iter().map(|host| line("all all", host)));
    lines.extend([HARNESS_ACCESS.to_owned(), "host all all 0.0.0.0/0 reject".to_owned()]);
    lines
}

/// What PostgreSQL serves TLS with. The list of revoked certificates is of clients' ones.
pub(in crate::services) fn tls_parameters() -> [(&'static str, String); 5] {
    let file = |name: &str| format!("{}/{name}", tls::OF_POSTGRESQL);
    [
        ("ssl", "on".to_owned()),
        ("ssl_ca_file", file("authority.crt")),
        ("ssl_cert_file", file("server.crt")),
        ("ssl_key_file", file("server.key")),
        ("ssl_crl_file", file("revoked.crl")),
    ]
}

/// Who may connect whatever a team's own rules say: the agent on its own host, standbys, and clients of the run.
pub(in crate::services) const OWN_ACCESS: [&str; 4] = [
    "local all all peer",
    "host all postgres 127.0.0.1/32 scram-sha-256",
    "host replication replicator all scram-sha-256",
    "host all pgquake all scram-sha-256",
];

/// The parameters that every node of a cluster has: the harness's, and the topology's in their place.
pub(in crate::services) fn parameters(site: &Site<'_>) -> Value {
    // A standby streams by one, and may copy the primary by another at the same time.
    let senders = 10.max(2 * site.nodes.len());
    let mut parameters = json!({
        "wal_level": "replica",
        "hot_standby": "on",
        "max_wal_senders": senders,
        "max_replication_slots": senders,
        "max_connections": MAX_CONNECTIONS,
    });
    if let Some(archive) = &site.archive {
        parameters["archive_mode"] = json!("on");
        parameters["archive_command"] = json!((archive.tool.row().archive_command)(archive));
    }
    for (name, value) in &site.settings.postgresql.parameters {
        // In the place of one above, however its name is written.
        let name = if parameters.get(name.to_lowercase()).is_some() { &name.to_lowercase() } else { name };
        parameters[name] = json!(value);
    }
    parameters
}

/// What the first primary runs once, in single-user mode, before its first start: this run's roles and
/// passwords, the ledger, and the standbys' replication slots (Patroni would make those only in its next loop,
/// and a standby that finds none waits five seconds before it asks again).
///
/// `scram_iterations` is low because probers connect hundreds of times a second and the passwords live as long as
/// the run; PostgreSQL's default would cost the machine under test a third of a core. Its errors are not logged: a
/// standby refuses a hundred of its writes a second, and the history records each.
pub(in crate::services) fn first_start(site: &Site<'_>, credentials: &Credentials) -> String {
    let mut sql = accounts_and_ledger(site.settings.postgresql.major_version, credentials);
    if site.archive.is_some() {
        // Whether everything is archived can be seen only of files that are complete.
        let _ = writeln!(sql, "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO {CLIENT_ROLE};");
    }
    let standbys = site.nodes.iter().filter(|node| *node != site.host).map(|standby| slot_name(standby));
    for slot in standbys.chain(site.permanent_slots.iter().map(|slot| (*slot).to_owned())) {
        // Writing to a String can't fail.
        let _ = writeln!(sql, "SELECT pg_create_physical_replication_slot('{slot}', true);");
    }
    sql + &databases::made(&site.settings.postgresql.databases)
}

/// What the first primary runs in each further database, once that is made: files that the entry points look for.
pub(in crate::services) fn first_start_of_databases(site: &Site<'_>) -> impl Iterator<Item = (String, String)> {
    let databases = site.settings.postgresql.databases.iter();
    databases.map(|(name, own)| (format!("{DATABASES}/{name}.sql"), databases::filled(own)))
}

/// This run's roles and passwords, and the ledger.
pub(in crate::services) fn accounts_and_ledger(major: u32, credentials: &Credentials) -> String {
    // A parameter since PostgreSQL 16. Before it, the machine pays what PostgreSQL's default costs.
    let is_set = major >= 16;
    let mut sql = if is_set { "SET scram_iterations = 16;\n".to_owned() } else { String::new() };
    let _ = write!(
        sql,
        "ALTER ROLE postgres PASSWORD '{superuser}';\n\
         CREATE ROLE {REPLICATION_ROLE} REPLICATION LOGIN PASSWORD '{replication}';\n\
         CREATE ROLE {CLIENT_ROLE} LOGIN PASSWORD '{client}';\n\
         GRANT pg_monitor, pg_checkpoint TO {CLIENT_ROLE};\n\
         ALTER ROLE {CLIENT_ROLE} SET log_min_messages = fatal;\n\
         GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {CLIENT_ROLE};\n",
        superuser = credentials.superuser_password,
        replication = credentials.replication_password,
        client = credentials.client_password,
    );
    sql + &ledger("")
}

/// The table that clients write into; `kind` stands before the word TABLE, as `UNLOGGED `.
pub(super) fn ledger(kind: &str) -> String {
    format!(
        "CREATE SCHEMA pgquake AUTHORIZATION {CLIENT_ROLE};\n\
         CREATE {kind}TABLE {LEDGER_TABLE} ({LEDGER_COLUMNS});\n\
         ALTER TABLE {LEDGER_TABLE} OWNER TO {CLIENT_ROLE};\n"
    )
}

/// The name of a node's slot, as Patroni gives it too: slots know no hyphens.
pub fn slot_name(node: &str) -> String {
    node.replace('-', "_")
}
