//! HAProxy's statistics: which servers each proxy routes to.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{Observer, ObserverError, Pulse, Scene, Watch, every, http_client};
use crate::{
    history::{Occurrence, Recorder},
    plan::PlannedService,
    topology::ServiceKind,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "haproxy", watches: "each HAProxy's servers by its statistics, every 100 ms", watch };

const PERIOD: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(1);

/// A server of a backend, and its status as HAProxy words it (`UP`, `UP 1/3`, `DOWN`, `MAINT` …).
type Statuses = BTreeMap<(String, String), String>;

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let http = http_client(OBSERVER.name, TIMEOUT)?;
    let watch_one = |planned: &PlannedService| {
        let port = scene.plan.settings_for(planned).haproxy.stats_port;
        let (called, address) = (planned.called(), scene.address(OBSERVER.name, &planned.host, port)?);
        Ok(Watch::new(called, watch_proxy(called.to_owned(), address, http.clone(), scene.recorder.clone())))
    };
    scene.plan.services.iter().filter(|planned| planned.kind == ServiceKind::Haproxy).map(watch_one).collect()
}

async fn watch_proxy(proxy: String, address: SocketAddr, http: reqwest::Client, recorder: Recorder) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, &proxy, &recorder);
    let url = format!("http://{address}/stats;csv");
    let mut due = every(PERIOD);
    let mut known = Statuses::new();
    loop {
        due.tick().await;
        // A proxy that does not answer shows no state. Docker's events and the probers show that it is gone.
        let statuses = ask(&http, &url).await.unwrap_or_default();
        for ((backend, server), status) in statuses {
            let key = (backend, server);
            if known.get(&key) != Some(&status) {
                recorder.record(Occurrence::ProxyState {
                    proxy: proxy.clone(),
                    backend: key.0.clone(),
                    server: key.1.clone(),
                    up: is_up(&status),
                    status: status.clone(),
                });
                known.insert(key, status);
            }
        }
        pulse.beat();
    }
}

async fn ask(http: &reqwest::Client, url: &str) -> Option<Statuses> {
    let answer = http.get(url).send().await.ok()?.error_for_status().ok()?;
    parse(&answer.text().await.ok()?)
}

/// `UP 1/3` is still up (a check failed, not enough of them yet), `DOWN 1/2` is still down.
fn is_up(status: &str) -> bool {
    status.starts_with("UP") || status == "no check"
}

/// Reads the statistics' CSV (HAProxy's management guide, 9.1). Columns are found by their names in the first line.
/// The columns in use hold no commas; those after them may, within quotes.
fn parse(csv: &str) -> Option<Statuses> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let column = |name| header.iter().position(|column| *column == name);
    let (backend, server, status) = (column("pxname")?, column("svname")?, column("status")?);
    let servers = lines.filter(|line| !line.is_empty()).filter_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let (backend, server) = (*cells.get(backend)?, *cells.get(server)?);
        let own = !matches!(server, "FRONTEND" | "BACKEND");
        own.then_some(((backend.to_owned(), server.to_owned()), (*cells.get(status)?).to_owned()))
    });
    Some(servers.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "\
# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,\n\
stats,FRONTEND,,,1,1,4000,12,1000,2000,0,0,0,,,,,OPEN,,\n\
stats,BACKEND,0,0,0,0,400,0,0,0,0,0,,0,0,0,0,UP,0,\n\
write,FRONTEND,,,0,3,4000,99,100,200,0,0,0,,,,,OPEN,,\n\
write,node1,0,0,0,3,,99,100,200,,0,,0,0,0,0,UP 1/3,1,\n\
write,node2,0,0,0,0,,0,0,0,,0,,0,0,0,0,DOWN,1,\n\
write,node3,0,0,0,0,,0,0,0,,0,,0,0,0,0,DOWN 1/2,1,\n\
write,BACKEND,0,0,0,3,400,99,100,200,0,0,,0,0,0,0,UP,1,\n";

    #[test]
    fn servers_are_read_and_totals_are_not() {
        let statuses = parse(CSV).unwrap();
        let read: Vec<_> = statuses
            .iter()
            .map(|((backend, server), status)| (backend.as_str(), server.as_str(), status.as_str(), is_up(status)))
            .collect();
        let wanted = [
            ("write", "node1", "UP 1/3", true),
            ("write", "node2", "DOWN", false),
            ("write", "node3", "DOWN 1/2", false),
        ];
        assert_eq!(read, wanted);
    }

    #[test]
    fn what_is_no_statistics_is_no_state() {
        assert_eq!(parse("<html>503</html>"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_server_in_maintenance_is_not_up() {
        assert!(!is_up("MAINT") && !is_up("NOLB") && !is_up("DOWN (agent)") && is_up("no check"));
    }
}
