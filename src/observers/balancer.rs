//! What the observers of balancers share: each asks a balancer of its kind for the states of its servers, again and again, and
//! what changed is recorded. How a kind shows them is its observer's to say.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{ObserverError, Pulse, Scene, Watch, every, http_client};
use crate::{
    history::{Occurrence, Recorder},
    plan::{Plan, PlannedService},
    services::{Settings, own::Names},
    topology::ServiceKind,
};

const PERIOD: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where a kind of balancer shows the states of its servers by HTTP, and how they are read.
pub(super) struct Shown {
    pub kind: ServiceKind,
    pub port: fn(&Settings) -> u16,
    pub path: &'static str,
    /// `None`: the answer shows no states.
    pub read: fn(&str) -> Option<Vec<ServerState>>,
    /// What the backends and servers of a team's own configuration are called elsewhere.
    pub names: fn(&Plan, &PlannedService) -> Names,
}

/// A server of a backend, as its balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerState {
    pub backend: String,
    pub server: String,
    pub up: bool,
    /// The balancer's own words.
    pub status: String,
}

impl ServerState {
    /// The same under the names of an endpoint and a host, where the balancer's configuration has its own.
    fn under(self, names: &Names) -> Self {
        let Self { backend, server, up, status } = self;
        let host = names.hosts.get(&(backend.clone(), server.clone())).cloned();
        let endpoint = names.endpoints.get(&backend).cloned();
        Self { backend: endpoint.unwrap_or(backend), server: host.unwrap_or(server), up, status }
    }
}

/// Watches every balancer of a kind.
pub(super) fn watch(scene: &Scene<'_>, observer: &'static str, shown: &Shown) -> Result<Vec<Watch>, ObserverError> {
    let http = http_client(observer, TIMEOUT)?;
    let watch_one = |planned: &PlannedService| {
        let port = (shown.port)(&scene.plan.settings_for(planned));
        let (called, address) = (planned.called(), scene.address(observer, &planned.host, port)?);
        let names = (shown.names)(scene.plan, planned);
        let asked = Asked { url: url(address, shown.path), http: http.clone(), read: shown.read, names };
        Ok(Watch::new(called, watch_one(observer, called.to_owned(), asked, scene.recorder.clone())))
    };
    scene.plan.services.iter().filter(|planned| planned.kind == shown.kind).map(watch_one).collect()
}

fn url(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

struct Asked {
    url: String,
    http: reqwest::Client,
    read: fn(&str) -> Option<Vec<ServerState>>,
    names: Names,
}

impl Asked {
    async fn ask(&self) -> Option<Vec<ServerState>> {
        let answer = self.http.get(&self.url).send().await.ok()?.error_for_status().ok()?;
        let states = (self.read)(&answer.text().await.ok()?)?;
        Some(states.into_iter().map(|state| state.under(&self.names)).collect())
    }
}

async fn watch_one(observer: &'static str, proxy: String, asked: Asked, recorder: Recorder) -> String {
    let mut pulse = Pulse::new(observer, &proxy, &recorder);
    let mut due = every(PERIOD);
    let mut known: BTreeMap<(String, String), String> = BTreeMap::new();
    loop {
        due.tick().await;
        // A proxy that does not answer shows no state. Docker's events and the probers show that it is gone.
        for state in asked.ask().await.unwrap_or_default() {
            let ServerState { backend, server, up, status } = state;
            let before = known.insert((backend.clone(), server.clone()), status.clone());
            if before.as_ref() != Some(&status) {
                recorder.record(Occurrence::ProxyState { proxy: proxy.clone(), backend, server, up, status });
            }
        }
        pulse.beat();
    }
}
