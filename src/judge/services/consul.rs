//! Consul: a DCS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Broken, Clock, Dcs, Instances, Leadership, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings,
    Site, Starts, Storage, Volume, context,
};
use crate::{credentials::Credentials, span::Span};

/// Clients' port.
pub const CLIENT_PORT: u16 = 8500;
/// Where servers reach each other for consensus.
const PEER_PORT: u16 = 8300;
const GOSSIP_PORT: u16 = 8301;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Consul,
    summary: "a server of the DCS, in place of etcd: holds the leader key",
    placed_by_topologies: true,
    image: Recipe {
        name: "consul",
        files: context!("consul": "Dockerfile", "go.mod"),
        pulled: None,
        on: None,
        packages: &[],
        build_rank: 8,
    },
    ports: &[
        Port::watched(CLIENT_PORT, "clients"),
        Port::unwatched(PEER_PORT, "servers"),
        Port::unwatched(GOSSIP_PORT, "gossip"),
    ],
    processes: &[Process::main("Consul", "^/usr/local/bin/consul agent ")],
    storage: Some(Storage {
        directory: "/var/lib/consul",
        data: "pgquake",
        volumes: &[Volume { word: "DCS", below: "" }],
        user: "consul",
        entry_point: "/usr/local/bin/consul",
        control_port: 7484,
    }),
    capabilities: &[],
    clock: Clock::Kernel(
        "Consul is a Go program: it asks the kernel for the time, past the library that could change it",
    ),
    starts: Starts::AtOnce,
    stop_rank: 7,
    health: Some(|| ["CMD", "consul", "operator", "raft", "list-peers"].map(str::to_owned).into()),
    role: Role::Dcs(Dcs {
        client_port: CLIENT_PORT,
        peer_port: PEER_PORT,
        agent_settings: |site, _| {
            // Patroni knows one address, and is meant to have an agent of Consul on its own host.
            let own = site.dcs_members.iter().find(|member| **member == site.host);
            let asked = own.or(site.dcs_members.first()).copied().unwrap_or_default();
            ("consul", json!({ "host": format!("{asked}:{CLIENT_PORT}") }))
        },
        // The agent renews its session once a loop.
        refreshed_within_ms: |settings| u64::from(settings.patroni.loop_wait_s) * 1000,
        expiry,
        ends_with_host,
        leadership: Leadership::Drawn("this version of Consul has no request that hands the leadership to a server"),
        // Patroni waits for a change of the key only where there is one.
        tells_of_a_first_leader: false,
        with_versions: None,
    }),
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("members of a DCS have the same settings, and are called as their hosts"),
    rules,
    render,
};

/// The unit of its times for consensus, which `raft_multiplier` multiplies: followers miss a leader after one to two of it, and a
/// vote that nobody wins is repeated after as long.
const UNIT_MS: u64 = 1000;
/// What it takes until a key is gone whose time is over: a write through the consensus.
const WRITTEN_MS: u64 = 500;

/// Consul ends a session when twice the time that it was made with has passed since it was renewed, so Patroni makes it with half
/// of its ttl. If the leader is lost, another one is elected and gives every session its whole time again.
fn expiry(settings: &Settings) -> (Span, Span) {
    let unit_ms = UNIT_MS * u64::from(settings.consul.raft_multiplier);
    let with_leader = Span { least_ms: 0, most_ms: WRITTEN_MS };
    (with_leader, Span { least_ms: unit_ms, most_ms: 4 * unit_ms + WRITTEN_MS })
}

/// Servers probe each other once a second. One that answers neither directly nor by way of another one is suspected, and after
/// four seconds more taken for failed.
const FAILED: Span = Span { least_ms: 5000, most_ms: 8000 };
/// The leader looks for failed servers every ten seconds, and removes one with all that it had where a majority stays.
const REMOVED_WITHIN_MS: u64 = 10_000;

fn ends_with_host(settings: &Settings) -> Option<Span> {
    let removed = Span { least_ms: 0, most_ms: REMOVED_WITHIN_MS + WRITTEN_MS };
    settings.consul.cleanup_dead_servers.then(|| FAILED.plus(removed))
}

/// Consul's servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ConsulSettings {
    /// What the times of its consensus are multiplied by. Its guide for production wants 1; where nothing is said, Consul takes 5.
    pub raft_multiplier: u32,
    /// Whether the leader removes a server that has failed, with the sessions that were made there, as Consul does where nothing is
    /// said (autopilot). Then a leader key is gone with its holder's host, without regard to Patroni's ttl.
    pub cleanup_dead_servers: bool,
}

impl Default for ConsulSettings {
    fn default() -> Self {
        Self { raft_multiplier: 1, cleanup_dead_servers: true }
    }
}

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let multiplier = settings.consul.raft_multiplier;
    if (1..=10).contains(&multiplier) {
        return Vec::new();
    }
    let message = format!("raft_multiplier is {multiplier}; Consul takes 1 to 10");
    vec![Broken::new(["consul", "raft_multiplier"], message)]
}

fn render(site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    let configuration = json!({
        "server": true,
        "node_name": site.host,
        "data_dir": "/var/lib/consul/pgquake",
        "client_addr": "0.0.0.0",
        "bind_addr": "0.0.0.0",
        "advertise_addr": "{{ GetPrivateIP }}",
        "bootstrap_expect": site.dcs_members.len(),
        "retry_join": site.dcs_members,
        // All of them start at once, and a first attempt that comes too early must not cost half a minute.
        "retry_interval": "250ms",
        "performance": { "raft_multiplier": site.settings.consul.raft_multiplier },
        "autopilot": { "cleanup_dead_servers": site.settings.consul.cleanup_dead_servers },
        "ports": { "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1 },
        "connect": { "enabled": false },
        "disable_update_check": true,
        "log_level": "INFO",
    });
    let file = "/etc/consul/consul.json";
    Rendered {
        command: ["agent".to_owned(), format!("-config-file={file}")].into(),
        files: vec![(file.to_owned(), format!("{configuration:#}\n"))],
        ..Rendered::default()
    }
}
