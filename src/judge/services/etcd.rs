//! etcd: a DCS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Broken, Clock, Dcs, Instances, Leadership, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings,
    Site, Starts, Storage, Volume, context, tls, versions,
};
use crate::{credentials::Credentials, span::Span};

/// Clients' port.
pub const CLIENT_PORT: u16 = 2379;
pub const PEER_PORT: u16 = 2380;
/// Where a member's volume is, its data in it, and beside that the flags that an operator has it started with.
const VOLUME: &str = "/var/lib/etcd";
pub const DATA_DIRECTORY: &str = "/var/lib/etcd/pgquake";
pub const FLAGS_FILE: &str = "/var/lib/etcd/flags";

/// The users where members ask for passwords: that of the harness and of operators, which etcd has to be called so, and the agents'.
pub const ROOT_USER: &str = "root";
pub const AGENT_USER: &str = "patroni";
/// The agents' role, and what the keys begin with that it may read and write.
pub const AGENT_ROLE: &str = "agents";
pub const AGENT_KEYS: &str = "/service/";

/// The image of a member.
const IMAGE: Recipe = Recipe {
    name: "etcd",
    files: context!("etcd": "Dockerfile", "Dockerfile.own", "contract.sh", "entrypoint.sh"),
    pulled: None,
    on: None,
    packages: &["etcd-server"],
    build_rank: 3,
};

/// The image of a member whose topology names the version of etcd.
const WITH_VERSIONS: Recipe = Recipe {
    name: "etcd-versions",
    files: context!("etcd-versions": "Dockerfile", "choose-versions.sh"),
    pulled: None,
    on: Some(&IMAGE),
    packages: &["etcd-server"],
    build_rank: 2,
};

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Etcd,
    summary: "a member of the DCS: holds the leader key",
    placed_by_topologies: true,
    image: IMAGE,
    ports: &[Port::watched(CLIENT_PORT, "clients"), Port::unwatched(PEER_PORT, "members")],
    processes: &[Process::main("etcd", "^/usr/bin/etcd ")],
    storage: Some(Storage {
        directory: VOLUME,
        data: "pgquake",
        volumes: &[Volume { word: "DCS", below: "" }],
        user: "etcd",
        entry_point: "/usr/local/bin/entrypoint.sh",
        control_port: 7482,
    }),
    capabilities: &[],
    clock: Clock::Kernel(
        "etcd is a Go program: it asks the kernel for the time, past the library that could change it",
    ),
    starts: Starts::AtOnce,
    stop_rank: 2,
    health: Some(|| ["CMD", "etcdctl", "endpoint", "health"].map(str::to_owned).into()),
    role: Role::Dcs(Dcs {
        client_port: CLIENT_PORT,
        peer_port: PEER_PORT,
        agent_settings,
        // The agent refreshes its lease once a loop.
        refreshed_within_ms: |settings| u64::from(settings.patroni.loop_wait_s) * 1000,
        expiry,
        ends_with_host: |_| None,
        leadership: Leadership::HandedOver,
        tells_of_a_first_leader: true,
        with_versions: Some(&WITH_VERSIONS),
    }),
    formats: &[],
    variables: &["ETCD"],
    instances: Instances::OneOnAHost("members of a DCS have the same settings, and are called as their hosts"),
    rules,
    render,
};

fn agent_settings(site: &Site<'_>, credentials: &Credentials) -> (&'static str, Value) {
    let members: Vec<String> = site.dcs_members.iter().map(|member| format!("{member}:{CLIENT_PORT}")).collect();
    let mut settings = json!({ "hosts": members });
    if site.tls.dcs {
        settings["protocol"] = "https".into();
        settings["cacert"] = tls::AUTHORITY_FILE.into();
        settings["cert"] = tls::CERTIFICATE_FILE.into();
        settings["key"] = tls::KEY_FILE.into();
    }
    if site.settings.etcd.authentication {
        settings["username"] = AGENT_USER.into();
        settings["password"] = credentials.dcs_agent_password.as_str().into();
    }
    ("etcd3", settings)
}

/// etcd's lessor revokes expired leases twice a second.
const EXPIRY_CHECK_MS: u64 = 500;

/// A key whose lease is not refreshed is gone within [`EXPIRY_CHECK_MS`] of its end. If the raft leader is lost, another
/// one is elected first, in one to two election timeouts, and grants every lease its whole time again (etcd's lessor
/// "promotes" leases to make up for a slow election).
fn expiry(settings: &Settings) -> (Span, Span) {
    let election_ms = u64::from(settings.etcd.election_timeout_ms);
    let with_leader = Span { least_ms: 0, most_ms: EXPIRY_CHECK_MS };
    (with_leader, Span { least_ms: election_ms, most_ms: 2 * election_ms + EXPIRY_CHECK_MS })
}

/// etcd, as document 002 sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EtcdSettings {
    pub heartbeat_interval_ms: u32,
    pub election_timeout_ms: u32,
    /// How large the store of a member may become, in bytes, before etcd raises the alarm NOSPACE; absent: etcd's own 2 GB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_backend_bytes: Option<u64>,
    /// Old revisions are compacted once they are older than this; absent: never by etcd itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_compaction_s: Option<u32>,
    /// How many of the newest revisions are kept when old ones are compacted, in place of `auto_compaction_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_compaction_revisions: Option<u32>,
    /// How many changes a member keeps in memory before it writes a snapshot; absent: etcd's own number (100,000 in 3.5).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot_count: Option<u32>,
    /// Members ask for a name and a password: the agents have a user of their own, who may do with the keys of clusters what they like,
    /// and with no others. It is switched on before the first agent has a key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authentication: bool,
    /// The version of every member: 3.5 or 3.6. Left out: that of Debian's package, which is of the line 3.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// Whether a package of a member's image is the one that runs with these settings.
pub(super) fn runs_package(settings: &Settings, package: &str) -> bool {
    let named = settings.etcd.version.as_deref().unwrap_or(versions::ETCD[0]);
    versions::package("etcd", named).as_deref() == Some(package)
}

impl Default for EtcdSettings {
    fn default() -> Self {
        Self {
            heartbeat_interval_ms: 100,
            election_timeout_ms: 1000,
            quota_backend_bytes: None,
            auto_compaction_s: None,
            auto_compaction_revisions: None,
            snapshot_count: None,
            authentication: false,
            version: None,
        }
    }
}

/// A store begins with some pages of bbolt's, and has every revision of a cluster's keys until they are compacted.
const LEAST_QUOTA_BYTES: u64 = 1 << 20;
/// etcd maps the store into its memory, with a tenth more than its quota, when it starts: a process has 128 TiB of addresses.
const MOST_QUOTA_BYTES: u64 = 1 << 46;

/// etcd refuses to start otherwise, or to take anything.
fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &settings.etcd;
    let path = |field: &'static str| ["etcd", field];
    if let Some(version) = settings.version.as_ref().filter(|named| !versions::ETCD.contains(&named.as_str())) {
        let problem = Broken::new(path("version"), format!("etcd {version} can't be had"));
        broken.push(problem.help(format!("known: {}", versions::known_of("etcd"))));
    }
    if settings.heartbeat_interval_ms == 0 {
        broken.push(Broken::new(path("heartbeat_interval_ms"), "heartbeat_interval_ms must be at least 1".to_owned()));
    }
    let (heartbeat, election) = (u64::from(settings.heartbeat_interval_ms), u64::from(settings.election_timeout_ms));
    if election < 5 * heartbeat {
        let message = format!("election_timeout_ms is {election}, less than 5 × heartbeat_interval_ms ({heartbeat})");
        let paths = ["election_timeout_ms", "heartbeat_interval_ms"].map(path);
        broken.push(Broken::together(&paths, message).help("etcd refuses to start with that"));
    }
    if election > 50_000 {
        let message = format!("election_timeout_ms is {election}; etcd takes at most 50000");
        broken.push(Broken::new(path("election_timeout_ms"), message));
    }
    if settings.quota_backend_bytes.is_some_and(|bytes| bytes < LEAST_QUOTA_BYTES) {
        let message =
            format!("quota_backend_bytes is less than {LEAST_QUOTA_BYTES}, in which a cluster's keys have no room");
        broken.push(Broken::new(path("quota_backend_bytes"), message).help("0 would switch etcd's quota off"));
    }
    if settings.quota_backend_bytes.is_some_and(|bytes| bytes > MOST_QUOTA_BYTES) {
        let message = format!(
            "quota_backend_bytes is more than {MOST_QUOTA_BYTES}, for which no process has room among its addresses"
        );
        broken.push(Broken::new(path("quota_backend_bytes"), message).help("etcd refuses to start with that"));
    }
    for (field, value) in [
        ("auto_compaction_s", settings.auto_compaction_s),
        ("auto_compaction_revisions", settings.auto_compaction_revisions),
        ("snapshot_count", settings.snapshot_count),
    ] {
        if value == Some(0) {
            let problem = Broken::new(path(field), format!("{field} must be at least 1"));
            broken.push(problem.help("left out, it is as etcd has it"));
        }
    }
    if settings.auto_compaction_s.is_some() && settings.auto_compaction_revisions.is_some() {
        let message = "etcd compacts by age or by number, and not by both".to_owned();
        let paths = ["auto_compaction_revisions", "auto_compaction_s"].map(path);
        broken.push(Broken::together(&paths, message).help("leave one of them out"));
    }
    broken
}

/// Where the members of an etcd reach this one.
pub fn peer_url(is_secured: bool, member: &str) -> String {
    format!("{}://{member}:{PEER_PORT}", scheme(is_secured))
}

/// What `etcdctl` on the host of a member must find in its environment to ask that member.
pub fn etcdctl_variables(is_secured: bool, member: &str) -> String {
    if !is_secured {
        return format!("ETCDCTL_ENDPOINTS=http://127.0.0.1:{CLIENT_PORT}");
    }
    // By its name, which its certificate has.
    let (authority, certificate, key) = (tls::AUTHORITY_FILE, tls::CERTIFICATE_FILE, tls::KEY_FILE);
    format!(
        "ETCDCTL_ENDPOINTS=https://{member}:{CLIENT_PORT} ETCDCTL_CACERT={authority} ETCDCTL_CERT={certificate} \
         ETCDCTL_KEY={key}"
    )
}

fn scheme(is_secured: bool) -> &'static str {
    if is_secured { "https" } else { "http" }
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let (host, settings) = (site.host, &site.settings.etcd);
    let is_secured = site.tls.dcs;
    let scheme = scheme(is_secured);
    let members: Vec<String> =
        site.dcs_members.iter().map(|member| format!("{member}={}", peer_url(is_secured, member))).collect();
    let mut command = vec![
        format!("--name={host}"),
        format!("--data-dir={DATA_DIRECTORY}"),
        format!("--listen-client-urls={scheme}://0.0.0.0:{CLIENT_PORT}"),
        format!("--advertise-client-urls={scheme}://{host}:{CLIENT_PORT}"),
        format!("--listen-peer-urls={scheme}://0.0.0.0:{PEER_PORT}"),
        format!("--initial-advertise-peer-urls={}", peer_url(is_secured, host)),
        format!("--initial-cluster={}", members.join(",")),
        "--initial-cluster-state=new".to_owned(),
        format!("--heartbeat-interval={}", settings.heartbeat_interval_ms),
        format!("--election-timeout={}", settings.election_timeout_ms),
    ];
    command.extend(settings.quota_backend_bytes.map(|bytes| format!("--quota-backend-bytes={bytes}")));
    command.extend(settings.snapshot_count.map(|changes| format!("--snapshot-count={changes}")));
    let by_age = settings.auto_compaction_s.map(|seconds| ("periodic", format!("{seconds}s")));
    let by_number = settings.auto_compaction_revisions.map(|revisions| ("revision", revisions.to_string()));
    if let Some((mode, retention)) = by_age.or(by_number) {
        command.push(format!("--auto-compaction-mode={mode}"));
        command.push(format!("--auto-compaction-retention={retention}"));
    }
    // The entry point makes it the one that runs.
    let version = settings.version.iter().map(|version| (versions::FILE.to_owned(), format!("etcd {version}\n")));
    let mut files: Vec<(String, String)> = version.collect();
    if is_secured {
        command.extend(secured());
        files.extend(tls::files(host, credentials));
    }
    // What runs in the container asks as an operator, who knows the password.
    let asks = settings.authentication;
    let user = asks.then(|| ("ETCDCTL_USER".to_owned(), format!("{ROOT_USER}:{}", credentials.dcs_password)));
    Rendered { command, files, environment: user.into_iter().collect() }
}

/// Document 002's flags: certificates for clients and members, and nobody who shows none. etcd reads the files again for each
/// connection.
fn secured() -> impl Iterator<Item = String> {
    ["", "peer-"].into_iter().flat_map(|of| {
        [
            format!("--{of}client-cert-auth"),
            format!("--{of}trusted-ca-file={}", tls::AUTHORITY_FILE),
            format!("--{of}cert-file={}", tls::CERTIFICATE_FILE),
            format!("--{of}key-file={}", tls::KEY_FILE),
        ]
    })
}
