//! PgBouncer: pools the sessions of clients with the PostgreSQL of its own host, as document 002 has it, or with the nodes of a
//! role, as the write pools and the read pools of document 003.
//!
//! PgBouncer knows no roles: its configuration names hosts. Document 003 does not say who changes them when another node becomes
//! primary. Where the pools are re-pointed, each has a configuration for every node as primary beside the one that it starts
//! with, and the Patroni of the node that becomes primary has it read that one, at its console (`SET conffile`, `RELOAD`): a
//! console can't change the host of a database, and an agent writes no file on another host. A pool that is started again begins
//! with the first node. PgBouncer passes over a changed host of `*` for the databases that it knows already, so the database
//! stands there by its name.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Broken, Clock, Instances, PoolAt, Pooler, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings,
    Site, Starts, context, own, patroni::POSTGRESQL_PORT, tls,
};
use crate::credentials::{CLIENT_ROLE, Credentials, DATABASE};

/// Where clients connect, and whoever asks for its pools, where nothing else is written.
pub const POOL_PORT: u16 = 6432;
/// The database that answers `SHOW`, in place of one of PostgreSQL's.
pub const ADMIN_DATABASE: &str = "pgbouncer";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Pgbouncer,
    summary: "pools clients' sessions with the node of its host, or with the nodes of a role",
    placed_by_topologies: true,
    image: Recipe {
        name: "pgbouncer",
        files: context!("pgbouncer": "Dockerfile", "Dockerfile.own", "contract.sh"),
        pulled: None,
        on: None,
        packages: &["pgbouncer"],
        build_rank: 1,
    },
    ports: &[Port::watched(POOL_PORT, "pooled clients").set_by("port", |settings| settings.pgbouncer.port())],
    processes: &[Process::main("PgBouncer", "^/usr/sbin/pgbouncer ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of pgbouncer is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 4,
    health: None,
    role: Role::Pooler(Pooler {
        port: |settings| settings.pgbouncer.port(),
        leads_to: |settings| settings.pgbouncer.leads_to,
        is_repointed: |settings| settings.pgbouncer.is_repointed(),
    }),
    formats: &[own::PGBOUNCER_INI],
    variables: &[],
    instances: Instances::Several,
    rules,
    render,
};

/// PgBouncer's pools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PgbouncerSettings {
    /// When a client gives its session with PostgreSQL back.
    pub pool_mode: PoolMode,
    /// The most clients that it takes.
    pub max_client_conn: u32,
    /// The most sessions with PostgreSQL for each role and database.
    pub default_pool_size: u32,
    /// So many more where clients have waited for five seconds.
    pub reserve_pool_size: u32,
    /// How long it lets clients wait, after PostgreSQL has refused it a session, before it asks for one again. PgBouncer has
    /// 15 where nothing is written.
    pub server_login_retry_s: u32,
    /// Where clients connect; 6432 where nothing is written. Two on one host need two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The nodes that it pools sessions with; where nothing is written, the one of its host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leads_to: Option<PoolOf>,
    /// Whether the Patroni of a node that becomes primary points it there. If not, it leads to the hosts that were right at first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repointed: Option<bool>,
    /// How long it tries to connect to PostgreSQL. PgBouncer has 15 where nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_connect_timeout_s: Option<u32>,
    /// Whether its sessions with PostgreSQL take turns. Where nothing is written PgBouncer takes the one that was used last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_round_robin: Option<bool>,
    /// So many sessions with PostgreSQL it opens even if its clients need fewer. PgBouncer has 0 where nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_pool_size: Option<u32>,
}

/// The nodes that a pool leads to, by their role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolOf {
    /// The one that accepts writes.
    Primary,
    /// All others.
    Standbys,
}

impl PoolOf {
    /// The nodes of that role where this one is primary.
    pub fn nodes<'a>(self, nodes: &'a [String], primary: &str) -> Vec<&'a str> {
        let is_own = |node: &&str| (*node == primary) == (self == PoolOf::Primary);
        nodes.iter().map(String::as_str).filter(is_own).collect()
    }
}

impl PgbouncerSettings {
    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(POOL_PORT)
    }

    /// Whether an agent points it at a node that becomes primary.
    pub fn is_repointed(&self) -> bool {
        self.repointed.unwrap_or_default()
    }
}

/// When a client's session with PostgreSQL goes back to the pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PoolMode {
    /// When the client leaves.
    Session,
    /// At the end of each transaction.
    #[default]
    Transaction,
    /// After each statement.
    Statement,
}

impl PoolMode {
    /// Its name in PgBouncer's configuration.
    fn name(self) -> &'static str {
        match self {
            PoolMode::Session => "session",
            PoolMode::Transaction => "transaction",
            PoolMode::Statement => "statement",
        }
    }
}

/// Those of document 002; of what it does not name, PgBouncer's own.
impl Default for PgbouncerSettings {
    fn default() -> Self {
        Self {
            pool_mode: PoolMode::default(),
            max_client_conn: 10_000,
            default_pool_size: 25,
            reserve_pool_size: 5,
            server_login_retry_s: 15,
            port: None,
            leads_to: None,
            repointed: None,
            server_connect_timeout_s: None,
            server_round_robin: None,
            min_pool_size: None,
        }
    }
}

/// PgBouncer keeps its numbers in 31 bits.
const MOST_FOR_PGBOUNCER: u32 = i32::MAX as u32;

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let settings = &settings.pgbouncer;
    let fields = [
        ("max_client_conn", settings.max_client_conn, 1),
        ("default_pool_size", settings.default_pool_size, 1),
        ("reserve_pool_size", settings.reserve_pool_size, 0),
        ("server_login_retry_s", settings.server_login_retry_s, 0),
    ];
    let optional = [
        ("port", settings.port.map(u32::from), 1),
        ("server_connect_timeout_s", settings.server_connect_timeout_s, 1),
        ("min_pool_size", settings.min_pool_size, 0),
    ];
    let optional = optional.into_iter().filter_map(|(field, value, least)| Some((field, value?, least)));
    let broken = fields.into_iter().chain(optional).filter_map(|(field, value, least)| {
        let message = match value {
            _ if value < least => format!("{field} must be at least {least}"),
            _ if value > MOST_FOR_PGBOUNCER => {
                format!("{field} is {value}; PgBouncer takes at most {MOST_FOR_PGBOUNCER}")
            }
            _ => return None,
        };
        Some(Broken::new(["pgbouncer", field], message))
    });
    broken.collect()
}

/// What it starts with.
pub(super) const CONFIGURATION: &str = "/etc/pgbouncer/pgbouncer.ini";

/// What it reads anew where this node has become primary.
fn configuration_for(primary: &str) -> String {
    format!("/etc/pgbouncer/primary-{primary}.ini")
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let settings = &site.settings.pgbouncer;
    let first = site.nodes.first().map_or("", String::as_str);
    let mut files = vec![(CONFIGURATION.to_owned(), configuration(site, first))];
    let mut accounts = format!("\"{CLIENT_ROLE}\" \"{}\"\n", credentials.client_password);
    if settings.is_repointed() {
        files.extend(site.nodes.iter().map(|node| (configuration_for(node), configuration(site, node))));
        let _ = writeln!(accounts, "\"{CONSOLE_ROLE}\" \"{}\"", credentials.superuser_password);
    }
    files.push(("/etc/pgbouncer/userlist.txt".to_owned(), accounts));
    if site.tls.postgresql {
        files.extend(tls::files(site.host, credentials));
    }
    Rendered { command: Vec::new(), files, ..Rendered::default() }
}

/// Whom the console obeys.
const CONSOLE_ROLE: &str = "postgres";

/// Its configuration where this node is primary.
fn configuration(site: &Site<'_>, primary: &str) -> String {
    let settings = &site.settings.pgbouncer;
    let PgbouncerSettings { max_client_conn, default_pool_size, reserve_pool_size, server_login_retry_s, .. } =
        settings;
    let pool_mode = settings.pool_mode.name();
    let database = match settings.leads_to {
        None => format!("* = host=127.0.0.1 port={POSTGRESQL_PORT}"),
        Some(of) => {
            let hosts = of.nodes(site.nodes, primary).join(",");
            let further = site.settings.postgresql.databases.keys().map(String::as_str);
            let lines = [DATABASE].into_iter().chain(further);
            let lines = lines.map(|name| format!("{name} = host={hosts} port={POSTGRESQL_PORT}"));
            lines.collect::<Vec<_>>().join("\n")
        }
    };
    let optional = [
        ("server_connect_timeout", settings.server_connect_timeout_s),
        ("server_round_robin", settings.server_round_robin.map(u32::from)),
        ("min_pool_size", settings.min_pool_size),
    ];
    let optional = optional.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}\n", value?)));
    let optional: String = optional.collect();
    let console = if settings.is_repointed() { format!("admin_users = {CONSOLE_ROLE}\n") } else { String::new() };
    let port = settings.port();
    let secured = if site.tls.postgresql { secured() } else { String::new() };
    format!(
        "[databases]\n\
         {database}\n\n\
         [pgbouncer]\n\
         pool_mode = {pool_mode}\n\
         max_client_conn = {max_client_conn}\n\
         default_pool_size = {default_pool_size}\n\
         reserve_pool_size = {reserve_pool_size}\n\
         server_login_retry = {server_login_retry_s}\n\
         {optional}\n\
         listen_addr = *\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         {ACCOUNTS}\
         {secured}\
         {console}\
         stats_users = {CLIENT_ROLE}\n"
    )
}

/// Clients must come with TLS (one that shows a certificate would be refused without an authority to look it up), and the node must be the one that is meant.
fn secured() -> String {
    let (authority, certificate, key) = (tls::AUTHORITY_FILE, tls::CERTIFICATE_FILE, tls::KEY_FILE);
    format!(
        "client_tls_sslmode = require\n\
         client_tls_cert_file = {certificate}\n\
         client_tls_key_file = {key}\n\
         client_tls_ca_file = {authority}\n\
         server_tls_sslmode = verify-full\n\
         server_tls_ca_file = {authority}\n"
    )
}

/// Where Patroni finds the script of [`repointing`].
pub(super) const REPOINTING: &str = "/etc/patroni/repoint-pools.sh";

/// What Patroni calls with an action, a role and a scope: a node that has become primary points the pools at itself and at the
/// others, and one that comes back as a standby has the read pools open their sessions anew, as they would not lead to it otherwise
/// until they need more of them. Each pool gets its command by itself, so that one that is gone delays none of the others.
pub(super) fn repointing(site: &Site<'_>, credentials: &Credentials) -> String {
    let (host, password) = (site.host, &credentials.superuser_password);
    let told = |pool: &PoolAt<'_>, commands: &str| format!("  tell {} {} {commands} &\n", pool.host, pool.port);
    let conffile = configuration_for(host);
    let repointed = format!("-c \"SET conffile = '{conffile}'\" -c RELOAD");
    let primary: String = site.repointed.iter().map(|pool| told(pool, &repointed)).collect();
    let reads = site.repointed.iter().filter(|pool| pool.of == PoolOf::Standbys);
    let replica: String = reads.map(|pool| told(pool, "-c RECONNECT")).collect();
    format!(
        "#!/bin/sh\n\
         # Called by Patroni: on_role_change, on_start.\n\
         export PGPASSWORD='{password}' PGCONNECT_TIMEOUT=2\n\
         tell() {{\n\
         \x20 pool=\"host=$1 port=$2 user={CONSOLE_ROLE} dbname={ADMIN_DATABASE}\"\n\
         \x20 shift 2\n\
         \x20 tries=0\n\
         \x20 until psql -qXv ON_ERROR_STOP=1 \"$pool\" \"$@\"; do\n\
         \x20   tries=$((tries + 1))\n\
         \x20   [ $tries -lt 30 ] || return 1\n\
         \x20   sleep 1\n\
         \x20 done\n\
         }}\n\
         case \"$1 $2\" in\n\
         'on_role_change primary')\n\
         {primary}\x20 ;;\n\
         'on_start replica' | 'on_role_change replica')\n\
         {replica}\x20 ;;\n\
         esac\n\
         wait\n"
    )
}

/// Probers log in a hundred times a second, and with SCRAM PgBouncer would work for some milliseconds on each; passwords live as long
/// as the run. It logs in at PostgreSQL with SCRAM. Logins are not logged.
const ACCOUNTS: &str = "\
auth_type = md5
auth_file = /etc/pgbouncer/userlist.txt
log_connections = 0
log_disconnections = 0
log_pooler_errors = 1
";
