//! What can speak TLS here, and what would go on speaking plainly beside it, or not at all.

use super::{Problem, Topology, below, hosts_with_paths, steps};
use crate::services::ServiceKind;

/// What speaks TLS, or has nothing to do with it.
const KNOW_IT: [ServiceKind; 5] =
    [ServiceKind::Etcd, ServiceKind::Patroni, ServiceKind::Haproxy, ServiceKind::Pgbouncer, ServiceKind::Keepalived];

/// PostgreSQL's major versions that come from the PyPI wheel, built without OpenSSL.
const WITHOUT_OPENSSL: [u32; 2] = [16, 18];

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let access = topology.settings.postgresql.access;
    if !access.is_of_everybody() && !topology.tls.postgresql {
        let message = "document 002's rules let in who comes with TLS, and PostgreSQL does not speak it".to_owned();
        let problem = Problem::at(steps!["settings", "postgresql", "access"], message);
        problems.push(problem.help("write `tls: { postgresql: true }`"));
    }
    if topology.tls.is_off() {
        return;
    }
    for (path, host) in hosts_with_paths(topology) {
        for (index, kind) in host.kinds().enumerate().filter(|(_, kind)| !KNOW_IT.contains(kind)) {
            let message =
                format!("`{}` on `{}` does not speak TLS here, and the topology does", kind.name(), host.name);
            let known = KNOW_IT.map(|kind| format!("`{}`", kind.name())).join(", ");
            let help = format!("with `tls` a topology has {known}; take another service, or leave `tls` out");
            problems.push(Problem::at(below(&below(&path, "services"), index), message).help(help));
        }
    }
    for kind in topology.own.keys() {
        let problem = Problem::at(steps!["own", kind.name()], "files of your own have no TLS of the run's".to_owned());
        problems.push(problem.help("certificates are the run's own: leave `tls` out, or what is your own"));
    }
    if topology.tls.postgresql {
        without_openssl(topology, problems);
    }
}

fn without_openssl(topology: &Topology, problems: &mut Vec<Problem>) {
    for (index, cluster) in topology.all_clusters().iter().enumerate() {
        let major = topology.settings_of(cluster).postgresql.major_version;
        if !WITHOUT_OPENSSL.contains(&major) {
            continue;
        }
        let below = ["settings", "postgresql", "major_version"];
        let of_cluster = steps!["clusters", index, below[0], below[1], below[2]];
        let message =
            format!("PostgreSQL {major} comes from a wheel that was built without OpenSSL, and speaks no TLS");
        let problem = Problem::at_all(vec![of_cluster, steps![below[0], below[1], below[2]]], message);
        problems.push(problem.help("15 and 17 speak it; or leave `postgresql` out of `tls`"));
    }
}
