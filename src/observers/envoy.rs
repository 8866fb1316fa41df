//! Envoy's administration: which hosts each of its clusters leads clients to.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Observer, ObserverError, Scene, Watch,
    balancer::{self, ServerState},
};
use crate::{services::own::Names, topology::ServiceKind};

pub(super) const OBSERVER: Observer =
    Observer { name: "envoy", watches: "each Envoy's hosts by its administration, every 100 ms", watch };

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let shown = balancer::Shown {
        kind: ServiceKind::Envoy,
        port: |settings| settings.envoy.admin_port,
        path: "/clusters?format=json",
        read,
        names: |_, _| Names::default(),
    };
    balancer::watch(scene, OBSERVER.name, &shown)
}

/// Of `/clusters?format=json` (envoy.admin.v3.Clusters), what is read here.
#[derive(Deserialize)]
struct Clusters {
    #[serde(default)]
    cluster_statuses: Vec<ClusterStatus>,
}

#[derive(Deserialize)]
struct ClusterStatus {
    name: String,
    #[serde(default)]
    host_statuses: Vec<HostStatus>,
}

#[derive(Deserialize)]
struct HostStatus {
    /// The name that it was found by.
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    health_status: Map<String, Value>,
}

fn read(json: &str) -> Option<Vec<ServerState>> {
    let clusters: Clusters = serde_json::from_str(json).ok()?;
    let hosts = clusters.cluster_statuses.into_iter().flat_map(|cluster| {
        let state = move |host: HostStatus| {
            let failed = failed(&host.health_status);
            let status = if failed.is_empty() { "HEALTHY".to_owned() } else { failed.join(", ") };
            ServerState { backend: cluster.name.clone(), server: host.hostname, up: failed.is_empty(), status }
        };
        cluster.host_statuses.into_iter().map(state)
    });
    Some(hosts.collect())
}

/// Why a host gets no clients, in Envoy's words. A host that passes its checks has none of these; each is there only where it
/// is true.
fn failed(status: &Map<String, Value>) -> Vec<&str> {
    let failed = status.iter().filter(|(key, value)| key.starts_with("failed_") && **value == Value::Bool(true));
    failed.map(|(key, _)| key.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = r#"{"cluster_statuses":[{"name":"write","added_via_api":false,"host_statuses":[
        {"address":{"socket_address":{"address":"198.18.185.2","port_value":5432}},"stats":[],
         "health_status":{"eds_health_status":"HEALTHY"},"weight":1,"hostname":"node1"},
        {"address":{"socket_address":{"address":"198.18.185.4","port_value":5432}},
         "health_status":{"failed_active_health_check":true,"eds_health_status":"HEALTHY"},"hostname":"node2"}]},
        {"name":"empty"}]}"#;

    #[test]
    fn a_host_is_up_unless_a_check_of_it_failed() {
        let states = read(JSON).unwrap();
        let told: Vec<_> =
            states.iter().map(|own| (own.backend.as_str(), own.server.as_str(), own.status.as_str(), own.up)).collect();
        assert_eq!(
            told,
            [("write", "node1", "HEALTHY", true), ("write", "node2", "failed_active_health_check", false)]
        );
    }

    #[test]
    fn what_is_no_list_of_clusters_is_no_state() {
        assert_eq!(read("invalid path"), None);
        assert_eq!(read("{}"), Some(Vec::new()));
    }
}
