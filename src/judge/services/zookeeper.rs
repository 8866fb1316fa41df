//! ZooKeeper: a DCS.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Broken, Clock, Dcs, Instances, Leadership, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings,
    Site, Starts, Storage, Volume, context,
};
use crate::{credentials::Credentials, span::Span};

/// Clients' port.
pub const CLIENT_PORT: u16 = 2181;
/// Where followers reach the leader.
const PEER_PORT: u16 = 2888;
const ELECTION_PORT: u16 = 3888;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Zookeeper,
    summary: "a member of the DCS, in place of etcd: holds the leader key",
    placed_by_topologies: true,
    image: Recipe {
        name: "zookeeper",
        files: context!("zookeeper": "Dockerfile", "entrypoint.sh"),
        pulled: None,
        on: None,
        packages: &["libzookeeper-java"],
        build_rank: 4,
    },
    ports: &[
        Port::watched(CLIENT_PORT, "clients"),
        Port::unwatched(PEER_PORT, "members"),
        Port::unwatched(ELECTION_PORT, "elections"),
    ],
    processes: &[Process::main("ZooKeeper", "^java .*QuorumPeerMain")],
    storage: Some(Storage {
        directory: "/var/lib/zookeeper",
        data: "pgquake",
        volumes: &[Volume { word: "DCS", below: "" }],
        user: "zookeeper",
        entry_point: "/usr/local/bin/entrypoint.sh",
        control_port: 7483,
    }),
    capabilities: &[],
    clock: Clock::Kernel("ZooKeeper counts ticks by the monotonic clock, and its clock is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 6,
    health: Some(|| {
        let ask = format!("exec 3<>/dev/tcp/127.0.0.1/{CLIENT_PORT} && echo srvr >&3 && grep -q ^Mode <&3");
        vec!["CMD".to_owned(), "bash".to_owned(), "-c".to_owned(), ask]
    }),
    role: Role::Dcs(Dcs {
        client_port: CLIENT_PORT,
        peer_port: PEER_PORT,
        agent_settings: |site, _| {
            let members: Vec<String> =
                site.dcs_members.iter().map(|member| format!("{member}:{CLIENT_PORT}")).collect();
            ("zookeeper", json!({ "hosts": members }))
        },
        refreshed_within_ms,
        expiry,
        ends_with_host: |_| None,
        leadership: Leadership::Elected("ZooKeeper has no request that hands the leadership to a member"),
        // Patroni watches the key only where there is one.
        tells_of_a_first_leader: false,
        with_versions: None,
    }),
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("members of a DCS have the same settings, and are called as their hosts"),
    rules,
    render,
};

/// The leader key is an ephemeral node: it lives as long as its holder's session, and the session as long as anything is
/// heard of it within Patroni's ttl. That is a request, or a ping where none was made for half of what Patroni calls the
/// time to read, which it sets to two seconds less than its loop. A follower tells the leader twice a tick whom it has
/// heard, and what it has not told is lost with it.
fn refreshed_within_ms(settings: &Settings) -> u64 {
    let time_to_read_s = u64::from(settings.patroni.loop_wait_s).saturating_sub(2).max(2);
    time_to_read_s * 500 + u64::from(settings.zookeeper.tick_time_ms) / 2
}

/// How long members take for an election once they look for a leader: they wait 200 ms for better votes, and followers then
/// take over what the leader knows.
const ELECTION: Span = Span { least_ms: 200, most_ms: 2000 };

/// Sessions end together, at the next of the leader's ticks; what a follower has heard counts from when it told it, up to half
/// a tick later. If the leader is lost, another one is elected and gives every session its whole time again. A leader
/// whose host fell silent is missed only when followers have heard nothing for the time that they may be behind.
fn expiry(settings: &Settings) -> (Span, Span) {
    let tick_ms = u64::from(settings.zookeeper.tick_time_ms);
    let silent_ms = u64::from(settings.zookeeper.sync_limit_ticks) * tick_ms;
    let with_leader = Span { least_ms: 0, most_ms: tick_ms + tick_ms / 2 };
    let with_loss = Span { least_ms: ELECTION.least_ms, most_ms: silent_ms + ELECTION.most_ms + tick_ms };
    (with_leader, with_loss)
}

/// ZooKeeper, as its own sample configuration sets it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZookeeperSettings {
    /// The unit of all its times: sessions end at ticks, and members send each other heartbeats twice a tick.
    pub tick_time_ms: u32,
    /// How many ticks a follower may take to connect to a leader and to take over what that knows.
    pub init_limit_ticks: u32,
    /// After how many silent ticks a follower and its leader leave each other.
    pub sync_limit_ticks: u32,
}

impl Default for ZookeeperSettings {
    fn default() -> Self {
        Self { tick_time_ms: 2000, init_limit_ticks: 10, sync_limit_ticks: 5 }
    }
}

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let settings = &settings.zookeeper;
    let mut broken = Vec::new();
    if !(100..=10_000).contains(&settings.tick_time_ms) {
        let message = format!("tick_time_ms is {}; it must be from 100 to 10000", settings.tick_time_ms);
        // ZooKeeper grants no session less than two ticks, and Patroni's ttl may be 20 s.
        broken.push(Broken::new(["zookeeper", "tick_time_ms"], message));
    }
    for (field, ticks) in
        [("init_limit_ticks", settings.init_limit_ticks), ("sync_limit_ticks", settings.sync_limit_ticks)]
    {
        if ticks == 0 {
            broken.push(Broken::new(["zookeeper", field], format!("{field} must be at least 1")));
        }
    }
    broken
}

/// A server grants sessions at most this many ticks where its configuration does not say otherwise.
const MOST_TICKS_OF_A_SESSION: u64 = 20;

fn render(site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    let settings = &site.settings.zookeeper;
    let tick_ms = u64::from(settings.tick_time_ms);
    // A longer ttl would be cut without a word.
    let most_ms = (MOST_TICKS_OF_A_SESSION * tick_ms).max(u64::from(site.settings.patroni.ttl_s) * 1000);
    let mut lines = vec![
        format!("tickTime={tick_ms}"),
        format!("initLimit={}", settings.init_limit_ticks),
        format!("syncLimit={}", settings.sync_limit_ticks),
        format!("maxSessionTimeout={most_ms}"),
        "dataDir=/var/lib/zookeeper/pgquake".to_owned(),
        format!("clientPort={CLIENT_PORT}"),
        // The harness and Compose ask each member what it is.
        "4lw.commands.whitelist=srvr,conf".to_owned(),
        "admin.enableServer=false".to_owned(),
        "quorumListenOnAllIPs=true".to_owned(),
    ];
    let members = site.dcs_members.iter().enumerate();
    lines.extend(members.map(|(index, member)| format!("server.{}={member}:{PEER_PORT}:{ELECTION_PORT}", index + 1)));
    let own = site.dcs_members.iter().position(|member| *member == site.host).map_or(0, |index| index + 1);
    Rendered {
        command: vec![own.to_string()],
        files: vec![("/etc/zookeeper/zoo.cfg".to_owned(), lines.join("\n") + "\n")],
        ..Rendered::default()
    }
}
