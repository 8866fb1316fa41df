//! etcd: the DCS.

use super::{Rendered, Service, Storage};
use crate::{credentials::Credentials, plan::Plan, topology::ServiceKind};

/// Clients' port.
pub const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Etcd,
    summary: "a member of the DCS: holds the leader key",
    image: "etcd",
    ports: &[CLIENT_PORT],
    storage: Some(Storage {
        directory: "/var/lib/etcd",
        data: "pgquake",
        user: "etcd",
        entry_point: "/usr/bin/etcd",
        control_port: 7482,
    }),
    behind_primary: false,
    render,
};

fn render(plan: &Plan, host: &str, _credentials: &Credentials) -> Rendered {
    let settings = &plan.topology.settings.etcd;
    let members: Vec<String> =
        plan.hosts_with(ServiceKind::Etcd).map(|member| format!("{member}=http://{member}:{PEER_PORT}")).collect();
    let command = [
        format!("--name={host}"),
        "--data-dir=/var/lib/etcd/pgquake".to_owned(),
        format!("--listen-client-urls=http://0.0.0.0:{CLIENT_PORT}"),
        format!("--advertise-client-urls=http://{host}:{CLIENT_PORT}"),
        format!("--listen-peer-urls=http://0.0.0.0:{PEER_PORT}"),
        format!("--initial-advertise-peer-urls=http://{host}:{PEER_PORT}"),
        format!("--initial-cluster={}", members.join(",")),
        "--initial-cluster-state=new".to_owned(),
        format!("--heartbeat-interval={}", settings.heartbeat_interval_ms),
        format!("--election-timeout={}", settings.election_timeout_ms),
    ];
    Rendered { command: command.into(), files: Vec::new() }
}
