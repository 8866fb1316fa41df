//! PowerDNS: answers global names. Their records are made through its HTTP API, when the hosts' addresses are known.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Broken, Clock, Instances, Port, Process, Recipe, Rendered, Role, Service, ServiceKind, Settings, Site, Starts,
    context,
};
use crate::credentials::Credentials;

/// Where it answers questions.
pub const DNS_PORT: u16 = 53;
/// Its HTTP API.
pub const API_PORT: u16 = 8081;
/// The zone that every name is in. Nobody else has one below `test` (RFC 2606).
pub const ZONE: &str = "pgquake.test";

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Powerdns,
    summary: "answers global names with the addresses of hosts, by weight or by health",
    placed_by_topologies: true,
    image: Recipe {
        name: "powerdns",
        files: context!("powerdns": "Dockerfile"),
        pulled: None,
        on: None,
        packages: &["pdns-server"],
        build_rank: 1,
    },
    ports: &[Port::watched(DNS_PORT, "names"), Port::watched(API_PORT, "HTTP API")],
    processes: &[Process::main("PowerDNS", "^/usr/sbin/pdns_server ")],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of powerdns is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 8,
    health: Some(|| ["CMD", "pdns_control", "rping"].map(str::to_owned).into()),
    role: Role::Names,
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("one answers the names of the topology, by the settings of the topology"),
    rules,
    render,
};

/// PowerDNS's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PowerdnsSettings {
    /// How long clients may keep an answer, for names that do not say it themselves.
    pub ttl_s: u32,
    /// Time between two checks of a host that a health-checked name leads to.
    pub health_check_interval_s: u32,
}

impl Default for PowerdnsSettings {
    fn default() -> Self {
        Self { ttl_s: 60, health_check_interval_s: 5 }
    }
}

/// The longest time to live that DNS has (RFC 2181).
pub const MOST_TTL_S: u32 = i32::MAX as u32;

fn rules(settings: &Settings, _nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &settings.powerdns;
    let fields = [("ttl_s", settings.ttl_s), ("health_check_interval_s", settings.health_check_interval_s)];
    for (field, value) in fields {
        let path = ["powerdns", field];
        if value == 0 {
            broken.push(Broken::new(path, format!("{field} must be at least 1")));
        } else if value > MOST_TTL_S {
            broken.push(Broken::new(path, format!("{field} is {value}; PowerDNS takes at most {MOST_TTL_S}")));
        }
    }
    broken
}

fn render(site: &Site<'_>, credentials: &Credentials) -> Rendered {
    let text = configuration(&site.settings.powerdns, &credentials.names_api_key);
    Rendered { command: Vec::new(), files: vec![("/etc/powerdns/pdns.conf".to_owned(), text)], ..Rendered::default() }
}

fn configuration(settings: &PowerdnsSettings, api_key: &str) -> String {
    let interval_s = settings.health_check_interval_s.to_string();
    CONFIGURATION.replace("{interval_s}", &interval_s).replace("{api_key}", api_key)
}

/// Nothing is kept between two questions, so that a change is served with the next answer. The zone is in LMDB, which
/// needs no set-up by hand. Probers open a connection for each question.
const CONFIGURATION: &str = "\
daemon=no
guardian=no
disable-syslog=yes
write-pid=no
security-poll-suffix=

launch=lmdb
lmdb-filename=/var/lib/powerdns/names.lmdb
lmdb-shards=1
lmdb-map-size=64

local-address=0.0.0.0
local-port=53
receiver-threads=1
distributor-threads=1
max-tcp-connections=1000

enable-lua-records=yes
lua-health-checks-interval={interval_s}

cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
zone-metadata-cache-ttl=0

api=yes
api-key={api_key}
webserver=yes
webserver-address=0.0.0.0
webserver-port=8081
webserver-allow-from=0.0.0.0/0
webserver-loglevel=none
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_the_settings_and_the_ports_that_the_row_names() {
        let powerdns = PowerdnsSettings { health_check_interval_s: 7, ..Default::default() };
        let text = configuration(&powerdns, "key of the run");
        let port = format!("local-port={DNS_PORT}");
        let api_port = format!("webserver-port={API_PORT}");
        for line in [&port, &api_port, "lua-health-checks-interval=7", "api-key=key of the run"] {
            assert!(text.lines().any(|known| known == line), "no {line} in {text}");
        }
    }
}
