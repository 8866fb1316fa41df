//! HAProxy's statistics: which servers each proxy routes to.

use super::{
    Observer, ObserverError, Scene, Watch,
    balancer::{self, ServerState},
};
use crate::{plan::Plan, topology::ServiceKind};

pub(super) const OBSERVER: Observer =
    Observer { name: "haproxy", watches: "each HAProxy's servers by its statistics, every 100 ms", watch };

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let shown = balancer::Shown {
        kind: ServiceKind::Haproxy,
        port: |settings| settings.haproxy.stats_port,
        path: "/stats;csv",
        read,
        names: Plan::names_of_own_balancer,
    };
    balancer::watch(scene, OBSERVER.name, &shown)
}

/// `UP 1/3` is still up (a check failed, not enough of them yet), `DOWN 1/2` is still down.
fn is_up(status: &str) -> bool {
    status.starts_with("UP") || status == "no check"
}

/// Reads the statistics' CSV (HAProxy's management guide, 9.1). Columns are found by their names in the first line.
/// The columns in use hold no commas; those after them may, within quotes.
fn read(csv: &str) -> Option<Vec<ServerState>> {
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next()?.strip_prefix("# ")?.split(',').collect();
    let column = |name| header.iter().position(|column| *column == name);
    let (backend, server, status) = (column("pxname")?, column("svname")?, column("status")?);
    let servers = lines.filter(|line| !line.is_empty()).filter_map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let (backend, server, status) = (*cells.get(backend)?, *cells.get(server)?, *cells.get(status)?);
        let own = !matches!(server, "FRONTEND" | "BACKEND");
        own.then(|| ServerState {
            backend: backend.to_owned(),
            server: server.to_owned(),
            up: is_up(status),
            status: status.to_owned(),
        })
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
        let states = read(CSV).unwrap();
        let told: Vec<_> =
            states.iter().map(|own| (own.backend.as_str(), own.server.as_str(), own.status.as_str(), own.up)).collect();
        let wanted = [
            ("write", "node1", "UP 1/3", true),
            ("write", "node2", "DOWN", false),
            ("write", "node3", "DOWN 1/2", false),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn what_is_no_statistics_is_no_state() {
        assert_eq!(read("<html>503</html>"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn a_server_in_maintenance_is_not_up() {
        assert!(!is_up("MAINT") && !is_up("NOLB") && !is_up("DOWN (agent)") && is_up("no check"));
    }
}
