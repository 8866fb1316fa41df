//! HAProxy: routes writes to the node whose Patroni says that it leads, reads to the replicas.

use std::fmt::Write;

use super::{Rendered, Service};
use crate::{
    credentials::Credentials,
    plan::Plan,
    topology::{Endpoint, ServiceKind},
};

/// Where HAProxy tells its servers' states.
pub const STATS_PORT: u16 = 8404;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Haproxy,
    summary: "the proxy in front of the nodes, led by Patroni's REST API",
    image: "haproxy",
    ports: &[STATS_PORT],
    storage: None,
    behind_primary: true,
    render,
};

fn render(plan: &Plan, _host: &str, _credentials: &Credentials) -> Rendered {
    let mut text = String::from(GLOBAL);
    text.push_str(&backend(plan, "write", &plan.topology.endpoints.write, "/leader"));
    if let Some(read) = &plan.topology.endpoints.read {
        text.push_str(&backend(plan, "read", read, "/replica"));
    }
    Rendered { command: Vec::new(), files: vec![("/etc/haproxy/haproxy.cfg".to_owned(), text)] }
}

/// `max-spread-checks` bounds only how far apart the first checks start, so that a proxy that has just started
/// knows its servers at once; the interval of the topology holds from then on. Sessions that end well are not logged:
/// probers make a hundred a second.
const GLOBAL: &str = "\
global
    maxconn 4000
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
    bind :8404
    mode http
    stats enable
    stats uri /stats
";

fn backend(plan: &Plan, name: &str, at: &Endpoint, check: &str) -> String {
    let settings = &plan.topology.settings.haproxy;
    let down = if settings.close_sessions_of_down_server { " on-marked-down shutdown-sessions" } else { "" };
    let mut text = format!(
        "\nlisten {name}\n    bind :{port}\n    option httpchk\n    http-check send meth OPTIONS uri {check}\n    \
         http-check expect status 200\n    default-server inter {inter}ms fall {fall} rise {rise}{down}\n",
        port = at.port,
        inter = settings.inter_ms,
        fall = settings.fall,
        rise = settings.rise,
    );
    for node in &plan.nodes {
        // Writing to a String can't fail.
        let _ = writeln!(text, "    server {node} {node}:5432 check port 8008");
    }
    text
}
