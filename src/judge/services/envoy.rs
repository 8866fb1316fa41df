//! Envoy: routes writes to the node whose Patroni says that it leads, reads to the replicas, as HAProxy does. How it finds out
//! differs: an answer that says no takes a node out at once, and only checks without an answer are counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Balancer, Broken, Clock, Front, Instances, Port, Process, Recipe, Rendered, Role, Serves, Service, ServiceKind,
    Settings, Site, Starts, context, patroni::REST_PORT,
};
use crate::{credentials::Credentials, span::Span};

/// Where Envoy shows its hosts' states, unless its settings say otherwise.
pub const ADMIN_PORT: u16 = 9901;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Envoy,
    summary: "the proxy in front of the nodes in place of HAProxy, led by Patroni's REST API",
    placed_by_topologies: true,
    image: Recipe {
        name: "envoy",
        files: context!("envoy": "Dockerfile"),
        pulled: None,
        on: None,
        packages: &[],
        build_rank: 2,
    },
    ports: &[Port::watched(ADMIN_PORT, "administration").set_by("admin_port", |settings| settings.envoy.admin_port)],
    processes: &[Process::main("Envoy", "^/usr/local/bin/envoy ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of envoy is not prepared"),
    starts: Starts::BehindAPrimary,
    stop_rank: 11,
    health: None,
    role: Role::Balancer(Balancer {
        program: "envoy",
        asks_for_role,
        closes_sessions: |settings| settings.envoy.close_connections_on_host_health_failure,
        route,
        mark_down,
        mark_down_of_silent,
    }),
    formats: &[],
    variables: &[],
    instances: Instances::Several,
    rules,
    render,
};

/// In a panic it leads clients to nodes that failed their checks.
fn asks_for_role(settings: &Settings) -> bool {
    settings.envoy.healthy_panic_threshold_percent == 0
}

/// `healthy_threshold` checks, the first of them up to one interval away. Where clients have come only since, that one is
/// still as far away as checks are without them.
fn route(settings: &Settings) -> Span {
    let times = Times::of(settings);
    let rise = u64::from(settings.envoy.healthy_threshold);
    let further = rise.saturating_sub(1);
    let first_ms = times.longest_ms.max(times.without_traffic_ms);
    Span {
        least_ms: times.interval_ms.saturating_mul(further),
        most_ms: first_ms.saturating_add(times.longest_ms.saturating_mul(further)),
    }
}

/// A node whose agent answers that it does not lead any more is out with the next check, whatever the threshold. One that
/// refuses checks fails one in each interval; one that is silent is slower than that.
fn mark_down(settings: &Settings) -> Span {
    Span { least_ms: 0, most_ms: mark_down_of_silent(settings).most_ms }
}

/// The check under way when a host falls silent, or the next one, begins up to one interval later and waits for its timeout;
/// each further one begins an interval after that.
fn mark_down_of_silent(settings: &Settings) -> Span {
    let times = Times::of(settings);
    let fall = u64::from(settings.envoy.unhealthy_threshold);
    let (waits_ms, further) = (times.timeout_ms.saturating_mul(fall), fall.saturating_sub(1));
    let first_ms = times.longest_ms.max(times.without_traffic_ms);
    Span {
        least_ms: waits_ms.saturating_add(times.interval_ms.saturating_mul(further)),
        most_ms: waits_ms.saturating_add(times.longest_ms.saturating_mul(further)).saturating_add(first_ms),
    }
}

/// What lies between checks.
struct Times {
    /// From the end of a check to the beginning of the next, without and with all of the jitter.
    interval_ms: u64,
    longest_ms: u64,
    /// The same before the endpoint has had a client.
    without_traffic_ms: u64,
    /// The longest that a check takes.
    timeout_ms: u64,
}

impl Times {
    fn of(settings: &Settings) -> Self {
        let EnvoySettings { interval_ms, interval_jitter_ms, no_traffic_interval_ms, timeout_ms, .. } = settings.envoy;
        let jitter_ms = u64::from(interval_jitter_ms);
        Self {
            interval_ms: u64::from(interval_ms),
            longest_ms: u64::from(interval_ms) + jitter_ms,
            without_traffic_ms: u64::from(no_traffic_interval_ms) + jitter_ms,
            timeout_ms: u64::from(timeout_ms),
        }
    }
}

/// Envoy's health checks, under Envoy's own names with their units. Where both have the same, the defaults are those of
/// HAProxy here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnvoySettings {
    /// Time from the end of a check of a host to the beginning of the next.
    pub interval_ms: u32,
    /// Up to so much is added to each interval, by chance.
    pub interval_jitter_ms: u32,
    /// The interval in place of that for an endpoint that has led no client to a host yet. Envoy has 60 s where nothing is
    /// written: an endpoint that had no host to lead to when Envoy started then goes without one for a minute.
    pub no_traffic_interval_ms: u32,
    /// How long a check waits for an answer.
    pub timeout_ms: u32,
    /// Checks in a row without an answer until a host is unhealthy. An answer other than 200 makes it so at once.
    pub unhealthy_threshold: u32,
    /// Good checks in a row until it is healthy again. After a start the first one is enough.
    pub healthy_threshold: u32,
    /// How long it waits for a host to accept a client's connection.
    pub connect_timeout_ms: u32,
    /// Whether connections to a host that becomes unhealthy are closed. Envoy leaves them open where nothing is written.
    pub close_connections_on_host_health_failure: bool,
    /// Below this share of healthy hosts it leads clients to all hosts, healthy or not ("panic"); 0: never. Envoy has 50 where
    /// nothing is written: of three nodes one is primary, so two of three clients that write would be led to standbys.
    pub healthy_panic_threshold_percent: u32,
    /// Where it shows its hosts' states. Two on one host need two.
    pub admin_port: u16,
}

impl Default for EnvoySettings {
    fn default() -> Self {
        Self {
            interval_ms: 2000,
            interval_jitter_ms: 0,
            no_traffic_interval_ms: 2000,
            timeout_ms: 2000,
            unhealthy_threshold: 3,
            healthy_threshold: 2,
            connect_timeout_ms: 4000,
            close_connections_on_host_health_failure: true,
            healthy_panic_threshold_percent: 0,
            admin_port: ADMIN_PORT,
        }
    }
}

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let settings = &settings.envoy;
    let at_least_one = [
        ("interval_ms", settings.interval_ms),
        ("no_traffic_interval_ms", settings.no_traffic_interval_ms),
        ("timeout_ms", settings.timeout_ms),
        ("unhealthy_threshold", settings.unhealthy_threshold),
        ("healthy_threshold", settings.healthy_threshold),
        ("connect_timeout_ms", settings.connect_timeout_ms),
    ];
    let missing = at_least_one.into_iter().filter(|(_, value)| *value == 0);
    let mut broken: Vec<Broken> =
        missing.map(|(field, _)| Broken::new(["envoy", field], format!("{field} must be at least 1"))).collect();
    let percent = settings.healthy_panic_threshold_percent;
    if percent > 100 {
        let message = format!("healthy_panic_threshold_percent is {percent}; it is a share of at most 100");
        broken.push(Broken::new(["envoy", "healthy_panic_threshold_percent"], message));
    }
    if settings.admin_port == 0 {
        broken.push(Broken::new(["envoy", "admin_port"], "no service can listen on port 0".to_owned()));
    }
    broken
}

fn render(site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    let configuration = configuration(&site.settings.envoy, &site.fronts);
    // YAML is a superset of JSON, but people read this file, so it is written as YAML.
    let text = serde_saphyr::to_string(&configuration).unwrap_or_else(|_| configuration.to_string());
    Rendered { command: Vec::new(), files: vec![("/etc/envoy/envoy.yaml".to_owned(), text)], ..Rendered::default() }
}

/// The administration answers what shows states and nothing else: who reaches that port could end Envoy by it.
fn configuration(settings: &EnvoySettings, fronts: &[Front<'_>]) -> Value {
    json!({
        "admin": {
            "address": address("0.0.0.0", settings.admin_port),
            "allow_paths": [{ "prefix": "/clusters" }, { "exact": "/ready" }],
        },
        "static_resources": {
            "listeners": fronts.iter().map(listener).collect::<Vec<_>>(),
            "clusters": fronts.iter().map(|front| cluster(settings, front)).collect::<Vec<_>>(),
        },
    })
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

fn listener(front: &Front<'_>) -> Value {
    let proxy = json!({
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": front.name,
            "cluster": front.name,
        },
    });
    json!({
        "name": front.name,
        "address": address("0.0.0.0", front.port),
        "filter_chains": [{ "filters": [proxy] }],
    })
}

/// What Envoy calls a cluster: the hosts behind one endpoint.
fn cluster(settings: &EnvoySettings, front: &Front<'_>) -> Value {
    let leads_to_pools = !front.pools.is_empty();
    let host = |(_, host, port): (&str, &str, u16)| match leads_to_pools {
        true => json!({ "endpoint": { "address": address(host, port) } }),
        false => json!({ "endpoint": {
            "address": address(host, port),
            "health_check_config": { "port_value": REST_PORT },
        } }),
    };
    json!({
        "name": front.name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_ONLY",
        "connect_timeout": duration(settings.connect_timeout_ms),
        "close_connections_on_host_health_failure": settings.close_connections_on_host_health_failure,
        "common_lb_config": { "healthy_panic_threshold": { "value": settings.healthy_panic_threshold_percent } },
        "health_checks": [health_check(settings, front.serves, leads_to_pools)],
        "load_assignment": {
            "cluster_name": front.name,
            "endpoints": [{ "lb_endpoints": front.servers().into_iter().map(host).collect::<Vec<_>>() }],
        },
    })
}

/// A pool has no role: it only has to accept a connection.
fn health_check(settings: &EnvoySettings, serves: Serves, of_pools: bool) -> Value {
    // Not `/leader`: the leader of a standby cluster answers that too, and accepts no write.
    let role = match serves {
        Serves::Primary => "/primary",
        Serves::Leader => "/leader",
        Serves::Standbys => "/replica",
        Serves::Node => "/health",
    };
    let asked = match of_pools {
        true => ("tcp_health_check", json!({})),
        false => ("http_health_check", json!({ "method": "OPTIONS", "path": role })),
    };
    json!({
        "interval": duration(settings.interval_ms),
        "interval_jitter": duration(settings.interval_jitter_ms),
        "no_traffic_interval": duration(settings.no_traffic_interval_ms),
        "timeout": duration(settings.timeout_ms),
        "unhealthy_threshold": settings.unhealthy_threshold,
        "healthy_threshold": settings.healthy_threshold,
        asked.0: asked.1,
    })
}

/// A duration in protobuf's words: `2.000s`.
fn duration(ms: u32) -> String {
    format!("{}.{:03}s", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(envoy: EnvoySettings) -> Settings {
        Settings { envoy, ..Settings::default() }
    }

    #[test]
    fn every_node_is_asked_for_its_role_and_the_primary_alone_is_led_to() {
        let nodes = ["node1", "node2", "node3"].map(str::to_owned);
        let front = Front {
            name: "write",
            port: 5432,
            serves: Serves::Primary,
            nodes: &nodes,
            node_port: 6432,
            pools: Vec::new(),
        };
        let written = configuration(&EnvoySettings::default(), &[front]);
        let cluster = &written["static_resources"]["clusters"][0];
        assert_eq!(cluster["health_checks"][0]["http_health_check"]["path"], "/primary");
        assert_eq!(cluster["health_checks"][0]["interval"], "2.000s");
        assert_eq!(cluster["common_lb_config"]["healthy_panic_threshold"]["value"], 0);
        let host = &cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][2]["endpoint"];
        assert_eq!(host["address"], address("node3", 6432));
        assert_eq!(host["health_check_config"]["port_value"], REST_PORT);
        let listener = &written["static_resources"]["listeners"][0];
        assert_eq!(listener["filter_chains"][0]["filters"][0]["typed_config"]["cluster"], "write");
    }

    #[test]
    fn with_the_defaults_it_is_predicted_to_be_as_fast_as_haproxy() {
        let settings = Settings::default();
        assert_eq!(route(&settings), Span { least_ms: 2000, most_ms: 4000 });
        assert_eq!(mark_down(&settings), Span { least_ms: 0, most_ms: 12_000 });
        assert_eq!(mark_down_of_silent(&settings), Span { least_ms: 10_000, most_ms: 12_000 });
    }

    /// Envoy's own interval without traffic may still lie before the first check that counts.
    #[test]
    fn the_interval_without_traffic_and_the_jitter_are_predicted() {
        let slow =
            EnvoySettings { interval_jitter_ms: 500, no_traffic_interval_ms: 60_000, ..EnvoySettings::default() };
        assert_eq!(route(&settings(slow.clone())), Span { least_ms: 2000, most_ms: 63_000 });
        assert_eq!(mark_down_of_silent(&settings(slow)), Span { least_ms: 10_000, most_ms: 71_500 });
    }

    #[test]
    fn nothing_is_predicted_of_an_envoy_that_may_panic() {
        assert!(asks_for_role(&Settings::default()));
        let panics = EnvoySettings { healthy_panic_threshold_percent: 50, ..EnvoySettings::default() };
        assert!(!asks_for_role(&settings(panics)));
    }

    #[test]
    fn what_envoy_refuses_is_a_mistake() {
        let broken = |envoy: EnvoySettings| {
            rules(&settings(envoy), 3).into_iter().map(|broken| broken.message).collect::<Vec<_>>()
        };
        let none = EnvoySettings { interval_ms: 0, unhealthy_threshold: 0, ..EnvoySettings::default() };
        assert_eq!(broken(none), ["interval_ms must be at least 1", "unhealthy_threshold must be at least 1"]);
        let over = EnvoySettings { healthy_panic_threshold_percent: 101, admin_port: 0, ..EnvoySettings::default() };
        let told =
            ["healthy_panic_threshold_percent is 101; it is a share of at most 100", "no service can listen on port 0"];
        assert_eq!(broken(over), told);
        assert!(broken(EnvoySettings::default()).is_empty());
    }
}
