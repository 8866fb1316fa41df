//! What can speak TLS here, and what would go on speaking plainly beside it, or not at all.

use super::{Path, Problem, Step, Topology, below, hosts_with_paths, steps};
use crate::{
    services::{ServiceKind, haproxy::HealthCheck, postgresql::is_false},
    topology::Cluster,
};

/// What speaks TLS, or has nothing to do with it.
const KNOW_IT: [ServiceKind; 5] =
    [ServiceKind::Etcd, ServiceKind::Patroni, ServiceKind::Haproxy, ServiceKind::Pgbouncer, ServiceKind::Keepalived];

/// PostgreSQL's major versions that come from the PyPI wheel, built without OpenSSL.
const WITHOUT_OPENSSL: [u32; 2] = [16, 18];

/// What the run sets itself where PostgreSQL speaks TLS.
const PARAMETERS: [&str; 5] = ["ssl", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "ssl_crl_file"];

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    for (index, cluster) in clusters.iter().enumerate() {
        access(topology, index, cluster, problems);
        parameters(topology, index, cluster, problems);
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
        plain_checks(topology, problems);
    }
}

/// A field of the settings of a cluster, where that has it of its own, else of the topology's.
fn in_settings(cluster: usize, field: &[&str]) -> Vec<Path> {
    let fields = || field.iter().map(|own| Step::Key((*own).to_owned()));
    let of_cluster = steps!["clusters", cluster, "settings"].into_iter().chain(fields()).collect();
    vec![of_cluster, steps!["settings"].into_iter().chain(fields()).collect()]
}

/// What several clusters have from the topology is said once.
fn add(problem: Problem, problems: &mut Vec<Problem>) {
    if !problems.iter().any(|known| known.message == problem.message) {
        problems.push(problem);
    }
}

fn access(topology: &Topology, index: usize, cluster: &Cluster, problems: &mut Vec<Problem>) {
    if topology.settings_of(cluster).postgresql.access.is_of_everybody() {
        return;
    }
    let at = in_settings(index, &["postgresql", "access"]);
    if !topology.tls.postgresql {
        let message = "document 002's rules let in who comes with TLS, and PostgreSQL does not speak it".to_owned();
        add(Problem::at_all(at, message).help("write `tls: { postgresql: true }`"), problems);
    } else if let Some(other) = topology.clusters.iter().find(|other| streams_from(other, cluster)) {
        let message = format!(
            "document 002's rules let the nodes of one cluster replicate, and `{}` streams from `{}`",
            other.name, cluster.name
        );
        add(Problem::at_all(at, message).help("leave `access` out"), problems);
    }
}

fn streams_from(cluster: &Cluster, followed: &Cluster) -> bool {
    !cluster.is_shipped() && cluster.follows.as_ref().is_some_and(|follows| follows.cluster == followed.name)
}

fn parameters(topology: &Topology, index: usize, cluster: &Cluster, problems: &mut Vec<Problem>) {
    for (name, value) in &topology.settings_of(cluster).postgresql.parameters {
        let lower = name.to_lowercase();
        let (message, help) = match topology.tls.postgresql {
            true if PARAMETERS.contains(&lower.as_str()) => {
                (format!("`{name}` is the run's own where PostgreSQL speaks TLS"), "remove it")
            }
            false if lower == "ssl" && !is_false(value) => {
                let message = format!("`{name}` needs a certificate, and the topology has none for PostgreSQL");
                (message, "write `tls: { postgresql: true }` in its place")
            }
            _ => continue,
        };
        let at = in_settings(index, &["postgresql", "parameters", name]);
        add(Problem { is_of_key: true, ..Problem::at_all(at, message).help(help) }, problems);
    }
}

/// A check of HAProxy's that comes without TLS, so that every server is DOWN for ever.
fn plain_checks(topology: &Topology, problems: &mut Vec<Problem>) {
    for (path, host) in hosts_with_paths(topology) {
        for (index, placed) in host.services.iter().enumerate() {
            let check = topology.settings_on(host, placed).haproxy.check;
            if placed.kind != ServiceKind::Haproxy || check != HealthCheck::PgsqlCheck {
                continue;
            }
            let own = ["haproxy", "settings", "check"].into_iter();
            let own = own.fold(below(&below(&path, "services"), index), |path, field| below(&path, field));
            let message =
                "`pgsql_check` asks PostgreSQL without TLS, and is refused: no server would ever be UP".to_owned();
            let problem = Problem::at_all(vec![own, steps!["settings", "haproxy", "check"]], message);
            add(problem.help("`role` asks Patroni; or leave `postgresql` out of `tls`"), problems);
        }
    }
}

fn without_openssl(topology: &Topology, problems: &mut Vec<Problem>) {
    for (index, cluster) in topology.all_clusters().iter().enumerate() {
        let major = topology.settings_of(cluster).postgresql.major_version;
        if !WITHOUT_OPENSSL.contains(&major) {
            continue;
        }
        let message =
            format!("PostgreSQL {major} comes from a wheel that was built without OpenSSL, and speaks no TLS");
        let problem = Problem::at_all(in_settings(index, &["postgresql", "major_version"]), message);
        add(problem.help("15 and 17 speak it; or leave `postgresql` out of `tls`"), problems);
    }
}
