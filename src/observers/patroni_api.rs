//! Patroni's REST API: what each agent reports about its node, and the versions that run there.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{Occurrence, Recorder},
    http,
    services::Agent,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "patroni_api", watches: "each Patroni agent's REST API, every second", watch };

/// Each answer costs the agent a query and some milliseconds of Python, and no check needs it to be younger.
const PERIOD: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(1);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let built = scene.access.http(http::client().timeout(TIMEOUT)).build();
    let no_client =
        |error: reqwest::Error| ObserverError::NoClient { observer: OBSERVER.name, reason: error.to_string() };
    let http = built.map_err(no_client)?;
    let watch_node = |(node, agent): (&String, &Agent)| {
        let (observer, host, port) = (OBSERVER.name, node.clone(), agent.rest_port);
        let at = scene.access.patroni(node).ok_or(ObserverError::Unpublished { observer, host, port })?;
        Ok(Watch::new(node, watch_agent(node.clone(), at, http.clone(), scene.recorder.clone())))
    };
    scene.plan.nodes_with_agents().map(watch_node).collect()
}

async fn watch_agent(node: String, at: String, http: reqwest::Client, recorder: Recorder) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, &node, &recorder);
    let url = format!("{at}/patroni");
    let mut due = every(PERIOD);
    let mut last = None;
    let mut told = BTreeMap::new();
    loop {
        due.tick().await;
        let said = ask(&http, &url).await;
        for (program, version) in said.iter().flat_map(Said::versions) {
            if told.insert(program, version.clone()).as_ref() != Some(&version) {
                let (host, program) = (node.clone(), program.to_owned());
                recorder.record(Occurrence::VersionTold { host, program, version });
            }
        }
        if last.as_ref() != Some(&said) {
            let Said { role, state, timeline, pending_restart, .. } = said.clone().unwrap_or_default();
            let reachable = said.is_some();
            let node = node.clone();
            recorder.record(Occurrence::AgentState { node, reachable, role, state, timeline, pending_restart });
            last = Some(said);
        }
        pulse.beat();
    }
}

/// What the API says of the node. Everything is optional: an agent whose PostgreSQL does not run says less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Said {
    role: Option<String>,
    state: Option<String>,
    timeline: Option<u32>,
    #[serde(default)]
    pending_restart: bool,
    /// PostgreSQL's version, as 170011.
    server_version: Option<u32>,
    patroni: Option<About>,
}

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct About {
    version: Option<String>,
}

impl Said {
    /// The versions of what runs, each with its program.
    fn versions(&self) -> impl Iterator<Item = (&'static str, String)> {
        let postgresql = self.server_version.map(|number| format!("{}.{}", number / 10_000, number % 10_000));
        let patroni = self.patroni.as_ref().and_then(|about| about.version.clone());
        [("patroni", patroni), ("postgresql", postgresql)]
            .into_iter()
            .filter_map(|(program, version)| Some((program, version?)))
    }
}

/// `None`: no answer, or none of Patroni's. The status does not matter: 503 says only that PostgreSQL does not run.
async fn ask(http: &reqwest::Client, url: &str) -> Option<Said> {
    http.get(url).send().await.ok()?.json().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_and_an_agent_without_postgresql_are_read() {
        let primary = r#"{"state": "running", "postmaster_start_time": "2025-01-01 10:00:00.1+00:00",
            "role": "primary", "server_version": 170011, "xlog": {"location": 67108864}, "timeline": 3,
            "replication": [{"usename": "replicator", "application_name": "node2", "state": "streaming"}],
            "dcs_last_seen": 1735725600, "patroni": {"version": "4.0.7", "scope": "pgquake", "name": "node1"}}"#;
        let said: Said = serde_json::from_str(primary).unwrap();
        assert_eq!(said.role.as_deref(), Some("primary"));
        assert_eq!((said.state.as_deref(), said.timeline), (Some("running"), Some(3)));
        let versions = [("patroni", "4.0.7".to_owned()), ("postgresql", "17.11".to_owned())];
        assert_eq!(said.versions().collect::<Vec<_>>(), versions);
        let stopped: Said = serde_json::from_str(r#"{"state": "start failed", "role": "replica"}"#).unwrap();
        assert_eq!((stopped.state.as_deref(), stopped.timeline), (Some("start failed"), None));
        let waits: Said = serde_json::from_str(r#"{"state": "running", "pending_restart": true}"#).unwrap();
        assert!(waits.pending_restart && !stopped.pending_restart);
        assert_eq!(stopped.versions().count(), 0);
    }
}
