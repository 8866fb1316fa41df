//! Which clusters may run in another version than that of Debian's packages: those whose nodes have an image with it.

use super::{Host, Problem, Topology, steps};
use crate::services::{ServiceKind, patroni::is_as_packaged, service};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let has_etcd = topology.hosts().any(|host| host.kinds().any(|kind| kind == ServiceKind::Etcd));
    if topology.settings.etcd.version.is_some() && !has_etcd {
        let message = "no host runs etcd, whose version this is".to_owned();
        problems.push(Problem::at(steps!["settings", "etcd", "version"], message).help("leave it out"));
    }
    let of_its_own = |kind| topology.own.get(&kind).is_some_and(|own| own.image.is_some());
    for (kind, is_named, [section, field]) in [
        (ServiceKind::Etcd, topology.settings.etcd.version.is_some(), ["etcd", "version"]),
        (ServiceKind::Patroni, topology.settings.postgresql.minor_version.is_some(), ["postgresql", "minor_version"]),
    ] {
        if is_named && of_its_own(kind) {
            let message = "an image of your own has one version of it".to_owned();
            let help = "leave the version out: the report shows that of the image";
            problems.push(Problem::at(steps!["settings", section, field], message).help(help));
        }
    }
    for (index, cluster) in topology.all_clusters().iter().enumerate() {
        if is_as_packaged(topology.settings_of(cluster)) {
            continue;
        }
        let field = if topology.settings_of(cluster).patroni.version.is_some() {
            ["patroni", "version"]
        } else {
            ["postgresql", "major_version"]
        };
        let [section, field] = field;
        let own = topology.own.get(&crate::services::ServiceKind::Patroni).and_then(|own| own.image.as_ref());
        if own.is_some() && section == "postgresql" {
            // It says which PostgreSQL of that image runs, and the contract asks for it.
            continue;
        }
        let of_cluster = steps!["clusters", index, "settings", section, field];
        let paths = vec![of_cluster, steps!["settings", section, field]];
        let can = |node: &&String| {
            let kind = topology.hosts().find(|host| host.name == **node).and_then(Host::node_kind);
            kind.and_then(|kind| service(kind).node()).is_some_and(|node| node.with_versions.is_some())
        };
        if own.is_some() {
            let message = "an image of your own has one version of Patroni".to_owned();
            problems.push(
                Problem::at_all(paths, message).help("leave the version out: the report shows that of the image"),
            );
        } else if let Some(node) = cluster.nodes.iter().find(|node| !can(node)) {
            let message = format!("the node `{node}` has no other version in its image");
            problems.push(Problem::at_all(paths, message).help("nodes with `patroni` can name versions"));
        }
    }
}
