//! PostgreSQL under Patroni.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Rendered, Service, Storage, etcd};
use crate::{
    credentials::{CLIENT_ROLE, Credentials, LEDGER_COLUMNS, LEDGER_TABLE},
    plan::Plan,
    topology::{PatroniSettings, ServiceKind, postgresql::MAX_CONNECTIONS},
};

/// PostgreSQL's port.
pub const POSTGRESQL_PORT: u16 = 5432;
/// Patroni's REST API.
pub const REST_PORT: u16 = 8008;
/// The name under which a cluster stands in the DCS: its leader key is `/service/pgquake/leader`.
pub const SCOPE: &str = "pgquake";
/// Where the DCS holds the configuration that all nodes share.
pub const CONFIG_KEY: &str = "/service/pgquake/config";
/// Where the data directory is, in the service's container.
pub const DATA_DIRECTORY: &str = "/var/lib/postgresql/data";
/// The size of a file of the WAL: PostgreSQL's default, which the image keeps.
pub const WAL_SEGMENT_BYTES: u64 = 16 << 20;

/// What the clock of Patroni and PostgreSQL differs from the machine's by, where the topology has clocks prepared. In
/// the words of libfaketime: `+60` is 60 s ahead.
pub const CLOCK_FILE: &str = "/etc/patroni/clock";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Patroni,
    summary: "PostgreSQL under a Patroni agent",
    image: "patroni",
    ports: &[POSTGRESQL_PORT, REST_PORT],
    // Not over the data directory itself: Patroni moves and removes that.
    storage: Some(Storage {
        directory: "/var/lib/postgresql",
        data: "data",
        user: "postgres",
        entry_point: "/usr/local/bin/entrypoint.sh",
        control_port: 7481,
    }),
    behind_primary: false,
    render,
};

fn render(plan: &Plan, host: &str, credentials: &Credentials) -> Rendered {
    let first = plan.nodes.first().is_some_and(|node| node == host);
    let mut files = vec![("/etc/patroni/patroni.yml".to_owned(), configuration(plan, host, first, credentials))];
    if first {
        files.push(("/etc/patroni/first-start.sql".to_owned(), first_start(plan, host, credentials)));
    }
    if plan.topology.prepare.clocks {
        // The entry point looks for it; the library reads it once a second.
        files.push((CLOCK_FILE.to_owned(), "+0\n".to_owned()));
    }
    Rendered { command: Vec::new(), files }
}

/// The agent's configuration. YAML is a superset of JSON, but people read this file, so it is written as YAML.
fn configuration(plan: &Plan, host: &str, first: bool, credentials: &Credentials) -> String {
    let members: Vec<String> =
        plan.hosts_with(ServiceKind::Etcd).map(|member| format!("{member}:{}", etcd::CLIENT_PORT)).collect();
    let mut configuration = json!({
        "scope": SCOPE,
        "name": host,
        "restapi": {
            "listen": format!("0.0.0.0:{REST_PORT}"),
            "connect_address": format!("{host}:{REST_PORT}"),
        },
        "etcd3": { "hosts": members },
        "watchdog": { "mode": "off" },
        "postgresql": postgresql(host, credentials),
    });
    // The dynamic configuration is the first node's to bring into the DCS. The others must not have it: a node
    // with a `bootstrap` section and no data would race to make a cluster of its own.
    if first {
        configuration["bootstrap"] = json!({ "dcs": dynamic(plan) });
    }
    serde_saphyr::to_string(&configuration).unwrap_or_else(|_| configuration.to_string())
}

fn postgresql(host: &str, credentials: &Credentials) -> Value {
    json!({
        "listen": format!("0.0.0.0:{POSTGRESQL_PORT}"),
        "connect_address": format!("{host}:{POSTGRESQL_PORT}"),
        "data_dir": DATA_DIRECTORY,
        "bin_dir": "/usr/lib/postgresql/17/bin",
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

/// The configuration that the cluster shares through the DCS, under [`CONFIG_KEY`].
pub fn dynamic(plan: &Plan) -> Value {
    let settings = &plan.topology.settings;
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
    let senders = 10.max(2 * plan.nodes.len());
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
    json!({
        "ttl": ttl_s,
        "loop_wait": loop_wait_s,
        "retry_timeout": retry_timeout_s,
        "maximum_lag_on_failover": maximum_lag_on_failover_bytes,
        "primary_start_timeout": primary_start_timeout_s,
        "synchronous_mode": synchronous_mode,
        "synchronous_mode_strict": synchronous_mode_strict,
        "failsafe_mode": failsafe_mode,
        "postgresql": { "use_pg_rewind": true, "use_slots": true, "parameters": parameters },
    })
}

/// What the first primary runs once, in single-user mode, before its first start: this run's roles and
/// passwords, the ledger, and the standbys' replication slots (Patroni would make those only in its next loop,
/// and a standby that finds none waits five seconds before it asks again).
///
/// `scram_iterations` is low because probers connect hundreds of times a second and the passwords live as long as
/// the run; PostgreSQL's default would cost the machine under test a third of a core. Its errors are not logged: a
/// standby refuses a hundred of its writes a second, and the history tells each.
fn first_start(plan: &Plan, host: &str, credentials: &Credentials) -> String {
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
    for standby in plan.nodes.iter().filter(|node| *node != host) {
        let slot = slot_name(standby);
        // Writing to a String can't fail.
        let _ = writeln!(sql, "SELECT pg_create_physical_replication_slot('{slot}', true);");
    }
    sql
}

/// The name that Patroni gives to a member's slot: slots know no hyphens.
fn slot_name(node: &str) -> String {
    node.replace('-', "_")
}
