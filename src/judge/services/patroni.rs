//! PostgreSQL under Patroni.

use std::{collections::BTreeMap, fmt::Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Broken, Clock, Port, Process, Recipe, Rendered, RevivedBy, Role, RunsOn, Service, ServiceKind, Settings, Site,
    Starts, Storage, Upstream, Volume, context,
    postgresql::{self, MAJOR_VERSION, MAX_CONNECTIONS},
};
use crate::credentials::{CLIENT_ROLE, Credentials, LEDGER_COLUMNS, LEDGER_TABLE};

/// PostgreSQL's port.
pub const POSTGRESQL_PORT: u16 = 5432;
/// Patroni's REST API.
pub const REST_PORT: u16 = 8008;
/// The name under which a cluster stands in its DCS where the topology names none: its leader key is then
/// `/service/pgquake/leader`.
pub const SCOPE: &str = "pgquake";
/// Where the data directory is, in the service's container.
pub const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";
/// The size of a file of the WAL: PostgreSQL's default, which the image keeps.
pub const WAL_SEGMENT_BYTES: u64 = 16 << 20;

/// What the clock of Patroni and PostgreSQL differs from the machine's by, where the topology has clocks prepared. In
/// the words of libfaketime: `+60` is 60 s ahead.
pub const CLOCK_FILE: &str = "/etc/patroni/clock";

/// Patroni itself.
pub const AGENT: Process = Process {
    word: "the Patroni agent",
    pattern: "python3 /usr/bin/patroni ",
    revived_by: RevivedBy::EntryPoint,
    runs_on: RunsOn::Every,
};
/// PostgreSQL's first process. Patroni starts the program for other ends too, to read a setting for example; only the
/// server listens.
pub const POSTMASTER: Process = Process {
    word: "PostgreSQL",
    pattern: "^/usr/lib/postgresql/[0-9]+/bin/postgres .*--listen_addresses",
    revived_by: RevivedBy::Agent,
    runs_on: RunsOn::Every,
};
/// The process that asks for a checkpoint now and then.
pub const CHECKPOINTER: Process = Process::of_postmaster("the checkpointer", "^postgres: .*checkpointer");

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Patroni,
    summary: "PostgreSQL under a Patroni agent",
    placed_by_topologies: true,
    image: Recipe {
        name: "patroni",
        files: context!(
            "patroni":
            "Dockerfile", "entrypoint.sh", "first-start/sitecustomize.py", "no-main-cluster.conf", "restore-prepared.sh"
        ),
        packages: &["patroni", "postgresql-${POSTGRES_MAJOR}"],
        build_rank: 4,
    },
    ports: &[Port::watched(POSTGRESQL_PORT, "PostgreSQL"), Port::watched(REST_PORT, "REST API")],
    processes: &[
        POSTMASTER,
        AGENT,
        Process::of_postmaster("a WAL sender", "^postgres: .*walsender ")
            .only_on(RunsOn::Primary("only the primary has WAL senders here")),
        Process::of_postmaster("the WAL receiver", "^postgres: .*walreceiver")
            .only_on(RunsOn::Standbys("a primary has no WAL receiver")),
        CHECKPOINTER,
        Process::of_postmaster("the startup process", "^postgres: .*startup recovering")
            .only_on(RunsOn::Standbys("a primary replays no WAL, and has no startup process")),
    ],
    // Not over the data directory itself: Patroni moves and removes that.
    storage: Some(Storage {
        directory: "/var/lib/postgresql",
        data: "data",
        volumes: &[Volume { word: "data", below: "" }, Volume { word: "WAL", below: "pg_wal" }],
        user: "postgres",
        entry_point: "/usr/local/bin/entrypoint.sh",
        control_port: 7481,
    }),
    clock: Clock::Prepared,
    starts: Starts::AtOnce,
    stop_rank: 1,
    health: Some(|| {
        let url = format!("http://127.0.0.1:{REST_PORT}/health");
        let ask = format!("import urllib.request; urllib.request.urlopen('{url}', timeout=2)");
        vec!["CMD".to_owned(), "python3".to_owned(), "-c".to_owned(), ask]
    }),
    role: Role::Node,
    rules,
    render,
};

/// Patroni's dynamic configuration, under Patroni's own names with their units.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PatroniSettings {
    /// How long the leader key outlives its last refresh. Patroni wants at least 20.
    pub ttl_s: u32,
    /// How long the agent sleeps between two runs of its loop.
    pub loop_wait_s: u32,
    /// How long DCS and PostgreSQL operations are retried. Patroni wants
    /// `loop_wait_s + 2 × retry_timeout_s <= ttl_s`.
    pub retry_timeout_s: u32,
    /// A standby that is further behind is not promoted.
    pub maximum_lag_on_failover_bytes: u64,
    /// How long a crashed primary may take to start before a standby takes over; 0: at once.
    pub primary_start_timeout_s: u32,
    /// Commits wait for a synchronous standby that Patroni chooses.
    pub synchronous_mode: bool,
    /// With `synchronous_mode`: without a standby, writes block instead of becoming asynchronous.
    pub synchronous_mode_strict: bool,
    /// The primary stays while the DCS is down and every member answers it.
    pub failsafe_mode: bool,
}

impl Default for PatroniSettings {
    fn default() -> Self {
        Self {
            ttl_s: 30,
            loop_wait_s: 10,
            retry_timeout_s: 10,
            maximum_lag_on_failover_bytes: 1_048_576,
            primary_start_timeout_s: 300,
            synchronous_mode: false,
            synchronous_mode_strict: false,
            failsafe_mode: false,
        }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresqlSettings {
    /// The major version. Images are made for this one.
    pub major_version: u32,
    /// Parameters as in `postgresql.conf`, the same on every node.
    // Any scalar of YAML is taken as its text; the schema must not tell an editor that `100` is wrong.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub parameters: BTreeMap<String, String>,
}

impl Default for PostgresqlSettings {
    fn default() -> Self {
        Self { major_version: MAJOR_VERSION, parameters: BTreeMap::new() }
    }
}

/// Patroni's own rules: it would silently lower `loop_wait` and `retry_timeout` instead of refusing.
fn rules(all: &Settings, nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &all.patroni;
    let path = |field: &'static str| ["patroni", field];
    for (field, value, least) in [
        ("ttl_s", settings.ttl_s, 20),
        ("loop_wait_s", settings.loop_wait_s, 1),
        ("retry_timeout_s", settings.retry_timeout_s, 3),
    ] {
        if value < least {
            broken.push(Broken::new(path(field), format!("{field} is {value}; Patroni wants at least {least}")));
        }
    }
    let (ttl, loop_wait, retry) =
        (u64::from(settings.ttl_s), u64::from(settings.loop_wait_s), u64::from(settings.retry_timeout_s));
    let sum = loop_wait + 2 * retry;
    if sum > ttl {
        let message = format!(
            "loop_wait_s + 2 × retry_timeout_s is {sum} ({loop_wait} + 2 × {retry}) and exceeds ttl_s, which is {ttl}"
        );
        let paths = ["ttl_s", "loop_wait_s", "retry_timeout_s"].map(path);
        let help =
            "otherwise the key of a healthy primary can expire while it retries: raise ttl_s or lower the others";
        broken.push(Broken::together(&paths, message).help(help));
    }
    broken.extend(postgresql::rules(all, nodes));
    broken
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let first = site.nodes.first().is_some_and(|node| node == site.host);
    let mut files = vec![("/etc/patroni/patroni.yml".to_owned(), configuration(site, first, credentials))];
    // A standby cluster's roles, ledger and slots come with the WAL of the cluster that it follows.
    if first && site.upstream.is_none_or(|upstream| !upstream.is_dynamic) {
        files.push(("/etc/patroni/first-start.sql".to_owned(), first_start(site, credentials)));
    }
    if site.clocks_are_prepared {
        // The entry point looks for it; the library reads it once a second.
        files.push((CLOCK_FILE.to_owned(), "+0\n".to_owned()));
    }
    Rendered { command: Vec::new(), files }
}

/// The agent's configuration. YAML is a superset of JSON, but people read this file, so it is written as YAML.
fn configuration(site: &Site<'_>, first: bool, credentials: &Credentials) -> String {
    let host = site.host;
    let mut configuration = json!({
        "scope": site.scope,
        "name": host,
        "restapi": {
            "listen": format!("0.0.0.0:{REST_PORT}"),
            "connect_address": format!("{host}:{REST_PORT}"),
        },
        "watchdog": { "mode": "off" },
        "postgresql": postgresql(host, credentials),
    });
    if let Some((kind, settings)) = site.dcs_for_agents() {
        configuration[kind] = settings;
    }
    // The dynamic configuration is the first node's to bring into the DCS. The others must not have it: a node
    // with a `bootstrap` section and no data would race to make a cluster of its own.
    if first {
        configuration["bootstrap"] = json!({ "dcs": dynamic(site) });
    }
    if let Some(upstream) = site.upstream.filter(|upstream| !upstream.is_dynamic) {
        configuration["standby_cluster"] = standby_cluster(upstream);
        if first {
            configuration["bootstrap"]["method"] = json!("standby_cluster");
            configuration["bootstrap"]["standby_cluster"] = json!({ "host": upstream.host, "port": upstream.port });
        }
    }
    serde_saphyr::to_string(&configuration).unwrap_or_else(|_| configuration.to_string())
}

fn postgresql(host: &str, credentials: &Credentials) -> Value {
    json!({
        "listen": format!("0.0.0.0:{POSTGRESQL_PORT}"),
        "connect_address": format!("{host}:{POSTGRESQL_PORT}"),
        "data_dir": DATA_DIRECTORY,
        "bin_dir": format!("/usr/lib/postgresql/{MAJOR_VERSION}/bin"),
        "create_replica_methods": ["prepared", "basebackup"],
        "prepared": { "command": "/usr/local/bin/restore-prepared.sh" },
        "authentication": {
            "superuser": { "username": "postgres", "password": credentials.superuser_password },
            "rewind": { "username": "postgres", "password": credentials.superuser_password },
            "replication": { "username": "replicator", "password": credentials.replication_password },
        },
        "pg_hba": [
            "local all all peer",
            "host replication replicator all scram-sha-256",
            "host all all all scram-sha-256",
        ],
        "parameters": {
            "pgquake.node": host,
            "unix_socket_directories": "/var/run/postgresql",
        },
    })
}

/// How a standby cluster follows another one, in Patroni's words. Standbys beside the standby leader copy that one.
fn standby_cluster(upstream: Upstream<'_>) -> Value {
    let mut section = json!({ "host": upstream.host, "port": upstream.port, "create_replica_methods": ["basebackup"] });
    if let Some(slot) = upstream.slot {
        section["primary_slot_name"] = json!(slot);
    }
    section
}

/// The configuration that the nodes of a cluster share through the DCS, under its key `config`.
pub fn dynamic(site: &Site<'_>) -> Value {
    let (settings, nodes) = (site.settings, site.nodes.len());
    let PatroniSettings {
        ttl_s,
        loop_wait_s,
        retry_timeout_s,
        maximum_lag_on_failover_bytes,
        primary_start_timeout_s,
        synchronous_mode,
        synchronous_mode_strict,
        failsafe_mode,
    } = settings.patroni;
    // A standby streams by one, and may copy the primary by another at the same time.
    let senders = 10.max(2 * nodes);
    let mut parameters = json!({
        "wal_level": "replica",
        "hot_standby": "on",
        "max_wal_senders": senders,
        "max_replication_slots": senders,
        "max_connections": MAX_CONNECTIONS,
    });
    for (name, value) in &settings.postgresql.parameters {
        // In the place of one above, however its name is written.
        let name = if parameters.get(name.to_lowercase()).is_some() { &name.to_lowercase() } else { name };
        parameters[name] = json!(value);
    }
    let mut dynamic = json!({
        "ttl": ttl_s,
        "loop_wait": loop_wait_s,
        "retry_timeout": retry_timeout_s,
        "maximum_lag_on_failover": maximum_lag_on_failover_bytes,
        "primary_start_timeout": primary_start_timeout_s,
        "synchronous_mode": synchronous_mode,
        "synchronous_mode_strict": synchronous_mode_strict,
        "failsafe_mode": failsafe_mode,
        "postgresql": { "use_pg_rewind": true, "use_slots": true, "parameters": parameters },
    });
    if let Some(upstream) = site.upstream.filter(|upstream| upstream.is_dynamic) {
        dynamic["standby_cluster"] = standby_cluster(upstream);
    }
    for slot in &site.permanent_slots {
        dynamic["slots"][slot] = json!({ "type": "physical" });
    }
    dynamic
}

/// What the first primary runs once, in single-user mode, before its first start: this run's roles and
/// passwords, the ledger, and the standbys' replication slots (Patroni would make those only in its next loop,
/// and a standby that finds none waits five seconds before it asks again).
///
/// `scram_iterations` is low because probers connect hundreds of times a second and the passwords live as long as
/// the run; PostgreSQL's default would cost the machine under test a third of a core. Its errors are not logged: a
/// standby refuses a hundred of its writes a second, and the history tells each.
fn first_start(site: &Site<'_>, credentials: &Credentials) -> String {
    let mut sql = format!(
        "SET scram_iterations = 16;\n\
         ALTER ROLE postgres PASSWORD '{superuser}';\n\
         CREATE ROLE replicator REPLICATION LOGIN PASSWORD '{replication}';\n\
         CREATE ROLE {CLIENT_ROLE} LOGIN PASSWORD '{client}';\n\
         GRANT pg_monitor, pg_checkpoint TO {CLIENT_ROLE};\n\
         ALTER ROLE {CLIENT_ROLE} SET log_min_messages = fatal;\n\
         GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {CLIENT_ROLE};\n\
         CREATE SCHEMA pgquake AUTHORIZATION {CLIENT_ROLE};\n\
         CREATE TABLE {LEDGER_TABLE} ({LEDGER_COLUMNS});\n\
         ALTER TABLE {LEDGER_TABLE} OWNER TO {CLIENT_ROLE};\n",
        superuser = credentials.superuser_password,
        replication = credentials.replication_password,
        client = credentials.client_password,
    );
    let standbys = site.nodes.iter().filter(|node| *node != site.host).map(|standby| slot_name(standby));
    for slot in standbys.chain(site.permanent_slots.iter().map(|slot| (*slot).to_owned())) {
        // Writing to a String can't fail.
        let _ = writeln!(sql, "SELECT pg_create_physical_replication_slot('{slot}', true);");
    }
    sql
}

/// The name that Patroni gives to a member's slot: slots know no hyphens.
fn slot_name(node: &str) -> String {
    node.replace('-', "_")
}
