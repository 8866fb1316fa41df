//! PgBouncer: pools the sessions of clients with the PostgreSQL of its own host, as document 002 has it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Broken, Clock, Instances, Pooler, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings, Site,
    Starts, context, patroni::POSTGRESQL_PORT,
};
use crate::credentials::{CLIENT_ROLE, Credentials};

/// Where clients connect, and whoever asks for its pools.
pub const POOL_PORT: u16 = 6432;
/// The database that answers `SHOW`, in place of one of PostgreSQL's.
pub const ADMIN_DATABASE: &str = "pgbouncer";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Pgbouncer,
    summary: "pools clients' sessions with the node of its host",
    placed_by_topologies: true,
    image: Recipe {
        name: "pgbouncer",
        files: context!("pgbouncer": "Dockerfile"),
        pulled: None,
        on: None,
        packages: &["pgbouncer"],
        build_rank: 1,
    },
    ports: &[Port::watched(POOL_PORT, "pooled clients")],
    processes: &[Process::main("PgBouncer", "^/usr/sbin/pgbouncer ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of pgbouncer is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 4,
    health: None,
    role: Role::Pooler(Pooler { port: POOL_PORT }),
    instances: Instances::OneOnAHost("it pools for the node of its host, by the settings of that node's cluster"),
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
    let broken = fields.into_iter().filter_map(|(field, value, least)| {
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

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let PgbouncerSettings { pool_mode, max_client_conn, default_pool_size, reserve_pool_size, server_login_retry_s } =
        &site.settings.pgbouncer;
    let pool_mode = pool_mode.name();
    let configuration = format!(
        "[databases]\n\
         * = host=127.0.0.1 port={POSTGRESQL_PORT}\n\n\
         [pgbouncer]\n\
         pool_mode = {pool_mode}\n\
         max_client_conn = {max_client_conn}\n\
         default_pool_size = {default_pool_size}\n\
         reserve_pool_size = {reserve_pool_size}\n\
         server_login_retry = {server_login_retry_s}\n\n\
         listen_addr = *\n\
         listen_port = {POOL_PORT}\n\
         unix_socket_dir =\n\
         {ACCOUNTS}\
         stats_users = {CLIENT_ROLE}\n"
    );
    let accounts = format!("\"{CLIENT_ROLE}\" \"{}\"\n", credentials.client_password);
    Rendered {
        command: Vec::new(),
        files: vec![
            ("/etc/pgbouncer/pgbouncer.ini".to_owned(), configuration),
            ("/etc/pgbouncer/userlist.txt".to_owned(), accounts),
        ],
    }
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
