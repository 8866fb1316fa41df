//! HAProxy: routes writes to the node whose Patroni says that it leads, reads to the replicas. Or it checks its servers as
//! documents 001 and 002 write, to find out what that does.

use std::fmt::Write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Balancer, Broken, Clock, Front, Instances, Port, Process, Recipe, Rendered, Role, Serves, Service, ServiceKind,
    Settings, Site, Starts, context, own, patroni::REST_PORT, tls,
};
use crate::{credentials::Credentials, span::Span};

/// Where HAProxy shows its servers' states, unless its settings say otherwise.
pub const STATS_PORT: u16 = 8404;

/// What it is configured by.
pub(super) const CONFIGURATION: &str = "/etc/haproxy/haproxy.cfg";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Haproxy,
    summary: "the proxy in front of the nodes, led by Patroni's REST API",
    placed_by_topologies: true,
    image: Recipe {
        name: "haproxy",
        files: context!("haproxy": "Dockerfile", "Dockerfile.own", "contract.sh"),
        pulled: None,
        on: None,
        packages: &["haproxy"],
        build_rank: 1,
    },
    ports: &[Port::watched(STATS_PORT, "statistics").set_by("stats_port", |settings| settings.haproxy.stats_port)],
    processes: &[Process::main("HAProxy", "^/usr/sbin/haproxy ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of haproxy is not prepared"),
    starts: Starts::BehindAPrimary,
    stop_rank: 0,
    health: None,
    role: Role::Balancer(Balancer {
        program: "haproxy",
        asks_for_role,
        closes_sessions: |settings| settings.haproxy.close_sessions_of_down_server,
        route,
        mark_down,
        mark_down_of_silent,
    }),
    formats: &[own::HAPROXY_CFG],
    variables: &[],
    instances: Instances::Several,
    rules,
    render,
};

fn asks_for_role(settings: &Settings) -> bool {
    settings.haproxy.check == HealthCheck::Role
}

/// `rise` checks, the first of them up to one interval away.
fn route(settings: &Settings) -> Span {
    let (inter_ms, rise) = (u64::from(settings.haproxy.inter_ms), u64::from(settings.haproxy.rise));
    Span { least_ms: inter_ms * rise.saturating_sub(1), most_ms: inter_ms * rise }
}

/// `fall` checks that fail. A server that refuses them fails one in each interval, the first up to one interval away. The
/// check of a silent server waits for its timeout before the next interval begins, and HAProxy takes the interval for
/// the timeout where `timeout check` is not set: `inter 2s fall 30` was measured to take 119 s.
fn mark_down(settings: &Settings) -> Span {
    let (inter_ms, fall) = (u64::from(settings.haproxy.inter_ms), u64::from(settings.haproxy.fall));
    let (timeout_ms, first_ms) = (inter_ms, inter_ms);
    let least_ms = inter_ms.saturating_mul(fall.saturating_sub(1));
    Span { least_ms, most_ms: (inter_ms + timeout_ms).saturating_mul(fall).saturating_add(first_ms) }
}

/// The check under way when a host falls silent, or the next one, begins up to one interval later and waits for its timeout;
/// each further one begins an interval after that. With `inter 2s fall 30` that is 118 to 120 s.
fn mark_down_of_silent(settings: &Settings) -> Span {
    let (inter_ms, fall) = (u64::from(settings.haproxy.inter_ms), u64::from(settings.haproxy.fall));
    let timeout_ms = inter_ms;
    let further_ms = (inter_ms + timeout_ms).saturating_mul(fall.saturating_sub(1));
    let least_ms = timeout_ms.saturating_add(further_ms);
    Span { least_ms, most_ms: least_ms.saturating_add(inter_ms) }
}

/// HAProxy's health checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HaproxySettings {
    /// Time between two checks of a server.
    pub inter_ms: u32,
    /// Failed checks in a row until a server is DOWN.
    pub fall: u32,
    /// Good checks in a row until it is UP again.
    pub rise: u32,
    /// What a server must answer to count as good.
    pub check: HealthCheck,
    /// Whether sessions to a server that goes DOWN are closed.
    pub close_sessions_of_down_server: bool,
    /// Where it shows its servers' states. Two on one host need two.
    pub stats_port: u16,
}

impl Default for HaproxySettings {
    fn default() -> Self {
        Self {
            inter_ms: 2000,
            fall: 3,
            rise: 2,
            check: HealthCheck::default(),
            close_sessions_of_down_server: true,
            stats_port: STATS_PORT,
        }
    }
}

/// How HAProxy finds out whether a server may have clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// It asks Patroni's REST API for the role that the endpoint serves.
    #[default]
    Role,
    /// Document 001 as written: `option pgsql-check`. The first node serves writes, the others are its `backup` servers and
    /// serve reads. Any PostgreSQL that answers passes.
    PgsqlCheck,
    /// Document 002 as written: rules of `tcp-check` and `http-check` in one backend, under neither option. HAProxy ignores
    /// both and looks only whether a connection is accepted.
    #[serde(rename = "select_1")]
    Select1,
    /// The same rules under `option tcp-check`, so that `SELECT 1` is sent.
    #[serde(rename = "select_1_tcp_check")]
    Select1TcpCheck,
}

/// HAProxy keeps the sum of fall and rise, and times in milliseconds, in 31 bits.
const MOST_FOR_HAPROXY: u32 = i32::MAX as u32 / 2;

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &settings.haproxy;
    for (field, value) in [("inter_ms", settings.inter_ms), ("fall", settings.fall), ("rise", settings.rise)] {
        let path = ["haproxy", field];
        if value == 0 {
            broken.push(Broken::new(path, format!("{field} must be at least 1")));
        } else if value > MOST_FOR_HAPROXY {
            broken.push(Broken::new(path, format!("{field} is {value}; HAProxy takes at most {MOST_FOR_HAPROXY}")));
        }
    }
    if settings.stats_port == 0 {
        broken.push(Broken::new(["haproxy", "stats_port"], "no service can listen on port 0".to_owned()));
    }
    broken
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let mut text = GLOBAL.replace("{stats_port}", &site.settings.haproxy.stats_port.to_string());
    for front in &site.fronts {
        text.push_str(&backend(site, front));
    }
    let mut files = vec![(CONFIGURATION.to_owned(), text)];
    if site.tls.patroni {
        files.extend(tls::authority(credentials));
    }
    Rendered { command: Vec::new(), files, ..Rendered::default() }
}

/// `max-spread-checks` bounds only how far apart the first checks start, so that a proxy that has just started
/// knows its servers at once; the interval of the topology holds from then on. Sessions that end well are not logged:
/// probers make a hundred a second.
const GLOBAL: &str = "\
global
    maxconn 9500
    max-spread-checks 100
    log stdout format raw local0

defaults
    mode tcp
    log global
    option tcplog
    option dontlog-normal
    timeout connect 4s
    timeout client 30m
    timeout server 30m

listen stats
    bind :{stats_port}
    mode http
    stats enable
    stats uri /stats
";

/// Document 002's three checks, word for word.
const SELECT_1: &str = "    tcp-check connect
    http-check send meth GET uri /leader
    http-check expect status 200
    tcp-check send \"SELECT 1\"
    tcp-check expect string \"1\"
";

/// The lines of a backend that say how its servers are checked.
fn check(check: HealthCheck, serves: Serves) -> String {
    match check {
        HealthCheck::Role => {
            // Not `/leader`: the leader of a standby cluster answers that too, and accepts no write.
            let role = match serves {
                Serves::Primary => "/primary",
                Serves::Leader => "/leader",
                Serves::Standbys => "/replica",
                Serves::Node => "/health",
            };
            let send = format!("    http-check send meth OPTIONS uri {role}\n");
            format!("    option httpchk\n{send}    http-check expect status 200\n")
        }
        HealthCheck::PgsqlCheck => "    option pgsql-check user postgres\n".to_owned(),
        HealthCheck::Select1 => SELECT_1.to_owned(),
        HealthCheck::Select1TcpCheck => format!("    option tcp-check\n{SELECT_1}"),
    }
}

fn backend(site: &Site<'_>, front: &Front<'_>) -> String {
    let settings = &site.settings.haproxy;
    let (name, port) = (front.name, front.port);
    let leads_to_pools = !front.pools.is_empty();
    let down = if settings.close_sessions_of_down_server { " on-marked-down shutdown-sessions" } else { "" };
    let mut text = format!(
        "\nlisten {name}\n    bind :{port}\n{check}    default-server inter {inter}ms fall {fall} rise {rise}{down}\n",
        // A pool has no role: it only has to accept a connection.
        check = if leads_to_pools { String::new() } else { check(settings.check, front.serves) },
        inter = settings.inter_ms,
        fall = settings.fall,
        rise = settings.rise,
    );
    for (index, (called, host, port)) in front.servers().into_iter().enumerate() {
        let options = match settings.check {
            _ if leads_to_pools => "check".to_owned(),
            HealthCheck::Role if site.tls.patroni => {
                format!(
                    "check port {REST_PORT} check-ssl verify required verifyhost {host} ca-file {}",
                    tls::AUTHORITY_FILE
                )
            }
            HealthCheck::Role => format!("check port {REST_PORT}"),
            HealthCheck::PgsqlCheck if front.serves.is_for_reads() && index == 0 => continue,
            HealthCheck::PgsqlCheck if !front.serves.is_for_reads() && index > 0 => "check backup".to_owned(),
            HealthCheck::PgsqlCheck | HealthCheck::Select1 | HealthCheck::Select1TcpCheck => "check".to_owned(),
        };
        // Writing to a String can't fail.
        let _ = writeln!(text, "    server {called} {host}:{port} {options}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn configuration(check: HealthCheck, serves: Serves) -> String {
        let haproxy = HaproxySettings { check, ..HaproxySettings::default() };
        let nodes = ["node1", "node2", "node3"].map(str::to_owned);
        let site = Site {
            host: "proxy",
            scope: "pgquake",
            nodes: &nodes,
            dcs: None,
            dcs_members: Vec::new(),
            upstream: None,
            permanent_slots: Vec::new(),
            logical_slots: Vec::new(),
            balancers: Vec::new(),
            balanced_from: Vec::new(),
            fronts: Vec::new(),
            repointed: Vec::new(),
            shared_address: None,
            archive: None,
            settings: Cow::Owned(Settings { haproxy, ..Settings::default() }),
            tls: crate::services::Tls::default(),
            clocks_are_prepared: false,
            tags: &crate::services::Tags::NONE,
        };
        let front = Front { name: "front", port: 5000, serves, nodes: &nodes, node_port: 5432, pools: Vec::new() };
        backend(&site, &front)
    }

    fn servers(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.trim().strip_prefix("server ")).collect()
    }

    #[test]
    fn by_role_every_node_is_asked_whether_it_has_it() {
        let text = configuration(HealthCheck::Role, Serves::Primary);
        assert!(text.contains("http-check send meth OPTIONS uri /primary"), "{text}");
        assert_eq!(servers(&text)[2], "node3 node3:5432 check port 8008");
    }

    #[test]
    fn document_001_has_a_primary_and_its_backups_and_reads_from_the_others() {
        let text = configuration(HealthCheck::PgsqlCheck, Serves::Primary);
        assert!(text.contains("option pgsql-check user postgres"), "{text}");
        let of_writes = ["node1 node1:5432 check", "node2 node2:5432 check backup", "node3 node3:5432 check backup"];
        assert_eq!(servers(&text), of_writes);
        let text = configuration(HealthCheck::PgsqlCheck, Serves::Standbys);
        assert_eq!(servers(&text), ["node2 node2:5432 check", "node3 node3:5432 check"]);
    }

    #[test]
    fn document_002_has_its_rules_under_no_option_unless_that_is_asked_for() {
        let text = configuration(HealthCheck::Select1, Serves::Primary);
        assert!(text.contains(SELECT_1) && !text.contains("option"), "{text}");
        let text = configuration(HealthCheck::Select1TcpCheck, Serves::Primary);
        assert!(text.contains(&format!("    option tcp-check\n{SELECT_1}")), "{text}");
        assert_eq!(servers(&text)[0], "node1 node1:5432 check");
    }
}
