//! PostgreSQL under Patroni.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use super::postgresql::server::{Access, DATA_DIRECTORY, HARNESS_ACCESS, POSTGRESQL_PORT, WAL_SEGMENT_BYTES};
use super::{
    Agent, Broken, Clock, Instances, Node, Port, Process, Recipe, Rendered, RevivedBy, Role, RunsOn, Service,
    ServiceKind, Settings, Site, Starts, Upstream, WatchdogMode, WatchdogSettings, context,
    dynamic::{self, Change},
    etcd, own, pgbouncer,
    postgresql::{
        self, MAJOR_VERSION,
        databases::{DatabaseSettings, Extension},
        server,
    },
    tls, versions, watchdog,
};
use crate::credentials::{Credentials, DATABASE};

/// Patroni's REST API.
pub const REST_PORT: u16 = 8008;
/// The name under which a cluster stands in its DCS where the topology names none: its leader key is then
/// `/service/pgquake/leader`.
pub const SCOPE: &str = "pgquake";

/// What the clock of Patroni and PostgreSQL differs from the machine's by, where the topology has clocks prepared. In
/// the words of libfaketime: `+60` is 60 s ahead.
pub const CLOCK_FILE: &str = "/etc/patroni/clock";

/// What the agent is configured by.
pub(super) const CONFIGURATION: &str = "/etc/patroni/patroni.yml";

/// Patroni itself.
pub const AGENT: Process = Process {
    word: "the Patroni agent",
    // Wherever it lies: an image of the team's own may have it in a virtual environment.
    pattern: "python[0-9.]* (-[^ ]+ )*[^ ]*/patroni ",
    revived_by: RevivedBy::EntryPoint,
    runs_on: RunsOn::Every,
};
/// PostgreSQL's first process. Patroni starts the program for other ends too, to read a setting for example; only the
/// server listens.
pub const POSTMASTER: Process =
    server::postmaster("^/usr/lib/postgresql/[0-9]+/bin/postgres .*--listen_addresses", RevivedBy::Agent);

/// The image of a node.
const IMAGE: Recipe = Recipe {
    name: "patroni",
    files: context!(
        "patroni":
        "Dockerfile",
        "Dockerfile.own",
        "contract.sh",
        "entrypoint.sh",
        "first-start/sitecustomize.py",
        "no-main-cluster.conf",
        "restore-prepared.sh",
    ),
    pulled: None,
    on: None,
    packages: &["patroni", "postgresql-${POSTGRES_MAJOR}"],
    build_rank: 4,
};

/// The image of a node whose cluster has backups.
pub(super) const WITH_BACKUPS: Recipe = Recipe {
    name: "patroni-backups",
    files: context!("patroni-backups": "Dockerfile", "with-backups.sh"),
    pulled: None,
    on: Some(&IMAGE),
    packages: &["patroni", "pgbackrest", "postgresql-${POSTGRES_MAJOR}", "s3cmd"],
    build_rank: 3,
};

/// The image of a node with pgvector for the PostgreSQL of Debian's package.
const WITH_VECTOR: Recipe = Recipe {
    name: "patroni-vector",
    files: context!("patroni-vector": "Dockerfile"),
    pulled: None,
    on: Some(&IMAGE),
    packages: &["patroni", "postgresql-${POSTGRES_MAJOR}", "postgresql-${POSTGRES_MAJOR}-pgvector"],
    build_rank: 3,
};

/// The image of a node whose cluster names the version of Patroni or PostgreSQL.
const WITH_VERSIONS: Recipe = Recipe {
    name: "patroni-versions",
    files: context!("patroni-versions": "Dockerfile", "choose-versions.sh", "patroni.txt"),
    pulled: None,
    on: Some(&IMAGE),
    packages: &["patroni", "postgresql-15", "postgresql-${POSTGRES_MAJOR}"],
    build_rank: 2,
};

/// The image of a node whose cluster has both: what takes backups, on top of that of versions.
const WITH_VERSIONS_AND_BACKUPS: Recipe = Recipe {
    name: "patroni-versions-backups",
    on: Some(&WITH_VERSIONS),
    packages: &["patroni", "pgbackrest", "postgresql-15", "postgresql-${POSTGRES_MAJOR}", "s3cmd"],
    build_rank: 1,
    ..WITH_BACKUPS
};

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Patroni,
    summary: "PostgreSQL under a Patroni agent",
    placed_by_topologies: true,
    image: IMAGE,
    ports: &[Port::watched(POSTGRESQL_PORT, "PostgreSQL"), Port::watched(REST_PORT, "REST API")],
    processes: &[
        POSTMASTER,
        AGENT,
        server::WAL_SENDER,
        server::WAL_RECEIVER,
        server::CHECKPOINTER,
        server::STARTUP_PROCESS,
    ],
    storage: Some(server::STORAGE),
    capabilities: &[],
    clock: Clock::Prepared,
    starts: Starts::AtOnce,
    stop_rank: 1,
    health: Some(|| {
        let url = format!("http://127.0.0.1:{REST_PORT}/health");
        let ask = format!("import urllib.request; urllib.request.urlopen('{url}', timeout=2)");
        vec!["CMD".to_owned(), "python3".to_owned(), "-c".to_owned(), ask]
    }),
    role: Role::Node(Node {
        with_backups: Some(&WITH_BACKUPS),
        with_versions: Some(&WITH_VERSIONS),
        with_versions_and_backups: Some(&WITH_VERSIONS_AND_BACKUPS),
        with_vector: Some(&WITH_VECTOR),
        agent: Some(Agent { rest_port: REST_PORT }),
    }),
    formats: &[own::PATRONI_YML, own::POSTGRESQL_CONF],
    variables: own::PATRONI_VARIABLES,
    instances: Instances::OneOnAHost("a node is called as its host, and has the settings of its cluster"),
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
    /// Further keys of the dynamic configuration, under Patroni's own names with dots between their parts, as
    /// `synchronous_node_count: 2` or `postgresql.use_pg_rewind: false`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dynamic: BTreeMap<String, Value>,
    /// The agent's version, as `4.1.5`, or `4.1` for the newest of that line. Left out: that of Debian's package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What resets the host of a leader whose agent does not get to refresh its lease.
    #[serde(skip_serializing_if = "WatchdogSettings::is_off")]
    pub watchdog: WatchdogSettings,
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
            dynamic: BTreeMap::new(),
            version: None,
            watchdog: WatchdogSettings::default(),
        }
    }
}

/// PostgreSQL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresqlSettings {
    /// The major version: 15, 16, 17 or 18.
    pub major_version: u32,
    /// The minor version, of a major one of which several can be had: 11 or 14 of 16. Left out: the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor_version: Option<u32>,
    /// Who may connect, in `pg_hba.conf`. Left out: every host with its password.
    #[serde(skip_serializing_if = "Access::is_of_everybody")]
    pub access: Access,
    /// Parameters as in `postgresql.conf`, the same on every node.
    // Any scalar of YAML is taken as its text; the schema must not tell an editor that `100` is wrong.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub parameters: BTreeMap<String, String>,
    /// Further databases, by their names. The load writes into each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub databases: BTreeMap<String, DatabaseSettings>,
}

impl Default for PostgresqlSettings {
    fn default() -> Self {
        Self {
            major_version: MAJOR_VERSION,
            minor_version: None,
            access: Access::default(),
            parameters: BTreeMap::new(),
            databases: BTreeMap::new(),
        }
    }
}

impl PostgresqlSettings {
    /// The version that is named: `16.11`, or `16` for any minor one.
    pub fn version(&self) -> String {
        let minor = self.minor_version.map(|minor| format!(".{minor}")).unwrap_or_default();
        format!("{}{minor}", self.major_version)
    }

    /// Whether some database has this extension.
    pub fn has_extension(&self, extension: Extension) -> bool {
        self.databases.values().any(|own| own.has(extension))
    }

    /// Whether a parameter is set, and to a word that PostgreSQL reads as false.
    pub fn is_off(&self, name: &str) -> bool {
        let set = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        set.is_some_and(|(_, value)| super::postgresql::is_false(value))
    }
}

/// Patroni's own rules: it would silently lower `loop_wait` and `retry_timeout` instead of refusing.
fn rules(all: &Settings, nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &all.patroni;
    if let Some(version) = settings.version.as_ref().filter(|named| versions::find_patroni(named).is_none()) {
        let problem = Broken::new(["patroni", "version"], format!("Patroni {version} can't be had"));
        broken.push(problem.help(format!("known: {}", versions::known_of("patroni"))));
    }
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
    broken.extend(dynamic::broken(&settings.dynamic));
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
    broken.extend(watchdog::rules(settings));
    broken.extend(postgresql::rules(all, nodes));
    broken
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let first = site.nodes.first().is_some_and(|node| node == site.host);
    let of_archive =
        site.archive.iter().flat_map(|archive| (archive.tool.row().files)(archive, credentials, site.host));
    let mut files = vec![(CONFIGURATION.to_owned(), configuration(site, first, credentials))];
    // A standby cluster's roles, ledger and slots come with the WAL of the cluster that it follows.
    if first && site.upstream.is_none_or(|upstream| !upstream.is_dynamic) {
        files.push(("/etc/patroni/first-start.sql".to_owned(), server::first_start(site, credentials)));
        files.extend(server::first_start_of_databases(site));
    }
    files.extend(of_archive);
    files.extend(chosen_versions(&site.settings));
    if !site.repointed.is_empty() {
        files.push((pgbouncer::REPOINTING.to_owned(), pgbouncer::repointing(site, credentials)));
    }
    if !site.tls.is_off() {
        files.extend(tls::files(site.host, credentials));
    }
    if site.clocks_are_prepared {
        // The entry point looks for it; the library reads it once a second.
        files.push((CLOCK_FILE.to_owned(), "+0\n".to_owned()));
    }
    Rendered { command: Vec::new(), files, ..Rendered::default() }
}

/// Whether a node with these settings runs what Debian's packages have.
pub fn is_as_packaged(settings: &Settings) -> bool {
    settings.patroni.version.is_none() && settings.postgresql.major_version == MAJOR_VERSION
}

/// Whether a node with these settings runs a package of its image: an image of versions has several of each program.
pub fn runs_package(settings: &Settings, package: &str) -> bool {
    let named = settings.patroni.version.as_deref();
    let patroni = named.and_then(|named| versions::package("patroni", named)).unwrap_or_else(|| "patroni".to_owned());
    let postgresql = format!("postgresql-{}", chosen_postgresql(settings));
    // As an image of the team's own calls it.
    let by_major = format!("postgresql-{}", settings.postgresql.major_version);
    if package.split('-').next() == Some("etcd") {
        return etcd::runs_package(settings, package);
    }
    let is_chosen = [patroni, postgresql, by_major].iter().any(|own| own == package);
    is_chosen || !["patroni", "postgresql"].iter().any(|program| package.split('-').next() == Some(program))
}

/// The file by which the entry point makes the versions that are named those that run; `None`: those of the packages do.
pub(super) fn chosen_versions(settings: &Settings) -> Option<(String, String)> {
    if is_as_packaged(settings) {
        return None;
    }
    let patroni = settings.patroni.version.as_deref().and_then(versions::find_patroni).unwrap_or("debian");
    let chosen = format!("patroni {patroni}\npostgresql {}\n", chosen_postgresql(settings));
    Some((versions::FILE.to_owned(), chosen))
}

fn chosen_postgresql(settings: &Settings) -> String {
    versions::of_postgresql(settings.postgresql.major_version, settings.postgresql.minor_version)
}

/// The agent's configuration. YAML is a superset of JSON, but people read this file, so it is written as YAML.
fn configuration(site: &Site<'_>, first: bool, credentials: &Credentials) -> String {
    let host = site.host;
    let mut configuration = json!({
        "scope": site.scope,
        "name": host,
        "restapi": rest_api(site),
        "watchdog": watchdog(&site.settings.patroni.watchdog),
        "postgresql": postgresql(site, credentials),
    });
    if !site.tags.is_empty() {
        configuration["tags"] = json!(site.tags);
    }
    if let Some((kind, settings)) = site.dcs_for_agents(credentials) {
        configuration[kind] = settings;
    }
    if !site.repointed.is_empty() {
        let called = format!("/bin/sh {}", pgbouncer::REPOINTING);
        configuration["postgresql"]["callbacks"] = json!({ "on_role_change": called, "on_start": called });
    }
    if site.tls.patroni {
        // What `patronictl` shows, and the agent itself where it asks those of the other nodes.
        let (cacert, certfile, keyfile) = (tls::AUTHORITY_FILE, tls::CERTIFICATE_FILE, tls::KEY_FILE);
        configuration["ctl"] = json!({ "cacert": cacert, "certfile": certfile, "keyfile": keyfile });
    }
    // The dynamic configuration is the first node's to bring into the DCS. The others must not have it: a node
    // with a `bootstrap` section and no data would race to make a cluster of its own.
    if first {
        configuration["bootstrap"] = json!({ "dcs": dynamic(site) });
    }
    if first && site.upstream.is_some_and(|upstream| upstream.host.is_none()) {
        // There is nobody to copy: the standby leader begins with the data directory that the image carries.
        configuration["postgresql"]["prepared"]["no_leader"] = json!(true);
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

/// Patroni's default is `automatic`: it would take a `/dev/watchdog` of the machine's own.
fn watchdog(settings: &WatchdogSettings) -> Value {
    match settings.mode {
        WatchdogMode::Off => json!({ "mode": "off" }),
        mode => json!({
            "mode": mode.word(),
            "device": watchdog::DEVICE,
            "safety_margin": settings.safety_margin_s,
        }),
    }
}

/// Whoever asks is answered, and who orders something must show a certificate where there is TLS: balancers need none.
fn rest_api(site: &Site<'_>) -> Value {
    let mut section = json!({
        "listen": format!("0.0.0.0:{REST_PORT}"),
        "connect_address": format!("{}:{REST_PORT}", site.host),
    });
    if site.tls.patroni {
        section["certfile"] = json!(tls::CERTIFICATE_FILE);
        section["keyfile"] = json!(tls::KEY_FILE);
        section["cafile"] = json!(tls::AUTHORITY_FILE);
        section["verify_client"] = json!("optional");
    }
    section
}

/// A role by which the agent, a standby or `pg_rewind` connects; with TLS only to the server that is meant.
fn account(site: &Site<'_>, role: &str, password: &str) -> Value {
    let mut account = json!({ "username": role, "password": password });
    if site.tls.postgresql {
        let file = |name: &str| json!(format!("{}/{name}", tls::OF_POSTGRESQL));
        account["sslmode"] = json!("verify-full");
        account["sslrootcert"] = file("authority.crt");
        account["sslcrl"] = file("revoked.crl");
    }
    account
}

fn postgresql(site: &Site<'_>, credentials: &Credentials) -> Value {
    let (host, major) = (site.host, site.settings.postgresql.major_version);
    let mut parameters = json!({ "pgquake.node": host, "unix_socket_directories": "/var/run/postgresql" });
    if site.tls.postgresql {
        server::tls_parameters().into_iter().for_each(|(name, value)| parameters[name] = json!(value));
    }
    json!({
        "listen": format!("0.0.0.0:{POSTGRESQL_PORT}"),
        "connect_address": format!("{host}:{POSTGRESQL_PORT}"),
        "data_dir": DATA_DIRECTORY,
        "bin_dir": format!("/usr/lib/postgresql/{major}/bin"),
        "create_replica_methods": ["prepared", "basebackup"],
        "prepared": { "command": "/usr/local/bin/restore-prepared.sh" },
        "authentication": {
            "superuser": account(site, "postgres", &credentials.superuser_password),
            "rewind": account(site, "postgres", &credentials.superuser_password),
            "replication": account(site, server::REPLICATION_ROLE, &credentials.replication_password),
        },
        "pg_hba": server::access(site),
        "parameters": parameters,
    })
}

/// How a standby cluster follows another one, in Patroni's words. Standbys beside the standby leader copy that one. Where no
/// host is named, Patroni has the standby leader stream from nobody.
fn standby_cluster(upstream: Upstream<'_>) -> Value {
    let Some(host) = upstream.host else { return json!({ "create_replica_methods": ["prepared"] }) };
    let mut section = json!({ "host": host, "port": upstream.port, "create_replica_methods": ["basebackup"] });
    if let Some(slot) = upstream.slot {
        section["primary_slot_name"] = json!(slot);
    }
    section
}

/// The configuration that the nodes of a cluster share through the DCS, under its key `config`.
pub fn dynamic(site: &Site<'_>) -> Value {
    let PatroniSettings {
        ttl_s,
        loop_wait_s,
        retry_timeout_s,
        maximum_lag_on_failover_bytes,
        primary_start_timeout_s,
        synchronous_mode,
        synchronous_mode_strict,
        failsafe_mode,
        dynamic: ref further,
        version: _,
        watchdog: _,
    } = site.settings.patroni;
    let parameters = server::parameters(site);
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
    if let Some(archive) = site.archive.filter(|archive| archive.is_read) {
        // Patroni knows it as one of recovery, and not as a parameter like any other.
        let command = (archive.tool.row().restore_command)(&archive);
        dynamic["postgresql"]["recovery_conf"] = json!({ "restore_command": command });
    }
    if let Some(upstream) = site.upstream.filter(|upstream| upstream.is_dynamic) {
        dynamic["standby_cluster"] = standby_cluster(upstream);
        if let Some(archive) = site.archive.filter(|archive| archive.is_read) {
            // A standby leader takes it from here: where streaming breaks, the archive goes on.
            let command = (archive.tool.row().restore_command)(&archive);
            dynamic["standby_cluster"]["restore_command"] = json!(command);
        }
    }
    for slot in &site.permanent_slots {
        dynamic["slots"][slot] = json!({ "type": "physical" });
    }
    for slot in &site.logical_slots {
        dynamic["slots"][slot] = json!({ "type": "logical", "database": DATABASE, "plugin": "pgoutput" });
    }
    // A topology with one that can't be is refused before.
    let further = further.iter().filter_map(|(key, value)| Change::from_the_start(key, value).ok());
    further.for_each(|change| change.make(&mut dynamic));
    dynamic
}
