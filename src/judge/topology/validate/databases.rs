//! Further databases: the same in every cluster, and nodes whose image has what their extensions need.

use super::{Host, Problem, Topology, steps};
use crate::services::{ServiceKind, patroni::is_as_packaged, postgresql::databases::Extension, service};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let shared = &topology.settings.postgresql;
    let clusters = topology.all_clusters();
    for (index, cluster) in clusters.iter().enumerate() {
        let own = &topology.settings_of(cluster).postgresql;
        if own.databases != shared.databases {
            let path = steps!["clusters", index, "settings", "postgresql", "databases"];
            let message = format!("the cluster `{}` has other databases than the others", cluster.name);
            let help = "every cluster has the same: write them in `settings.postgresql.databases` of the topology";
            problems.push(Problem::at(path, message).help(help));
        }
    }
    let Some((name, _)) = shared.databases.iter().find(|(_, own)| own.has(Extension::Vector)) else { return };
    let path = || steps!["settings", "postgresql", "databases", name.as_str(), "extensions"];
    let extension = Extension::Vector.name();
    if topology.own.get(&ServiceKind::Patroni).is_some_and(|own| own.image.is_some()) {
        let message = format!("whether an image of your own has `{extension}` can't be known before it runs");
        problems.push(Problem::at(path(), message).help("leave the extension out, or the image"));
        return;
    }
    for cluster in &clusters {
        let settings = topology.settings_of(cluster);
        let can = |node: &&String| {
            let kind = topology.hosts().find(|host| host.name == **node).and_then(Host::node_kind);
            let node = kind.and_then(|kind| service(kind).node());
            // The image of versions has it for those that come with it.
            node.is_some_and(|node| node.with_vector.is_some())
        };
        if let Some(node) = cluster.nodes.iter().find(|node| !can(node)) {
            let message = format!("the node `{node}` has no image with `{extension}`");
            problems.push(Problem::at(path(), message).help("nodes with `patroni` have one"));
        } else if topology.backups_of(&cluster.name).is_some() && is_as_packaged(settings) {
            let message = format!("no image has both what takes backups and `{extension}`");
            problems.push(Problem::at(path(), message).help("leave the extension out, or the backups"));
        }
    }
}
