//! Settings of the members of DCSs: those that ask for passwords must be there, and clusters that share members have one set.

use super::{Problem, Topology, steps};
use crate::{
    services::{ServiceKind, Settings, own_section, service},
    topology::Cluster,
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    nobody_asks(topology, problems);
    for (index, cluster) in topology.clusters.iter().enumerate() {
        other_settings(topology, index, cluster, problems);
    }
}

/// The kind of the members of a cluster's DCS.
fn kind_of(topology: &Topology, cluster: &Cluster) -> Option<ServiceKind> {
    let host = topology.hosts().find(|host| cluster.dcs.contains(&host.name))?;
    host.kinds().find(|kind| service(*kind).dcs().is_some())
}

fn nobody_asks(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    let mut asks =
        clusters.iter().enumerate().filter(|(_, own)| topology.settings_of(own).etcd.authentication).peekable();
    let Some((index, _)) = asks.peek().copied() else { return };
    if asks.all(|(_, cluster)| kind_of(topology, cluster) != Some(ServiceKind::Etcd)) {
        let field = ["etcd", "authentication"];
        let of_cluster = steps!["clusters", index, "settings", field[0], field[1]];
        let message = "no agent's keys are in etcd, which would ask for passwords".to_owned();
        let problem = Problem::at_all(vec![of_cluster, steps!["settings", field[0], field[1]]], message);
        problems.push(problem.help("of the DCSs etcd alone asks for them here: leave it out, or take etcd"));
    }
}

/// What members ask for, the agents of every cluster must bring.
fn other_settings(topology: &Topology, index: usize, cluster: &Cluster, problems: &mut Vec<Problem>) {
    let is_shared = |other: &&Cluster| other.dcs == cluster.dcs;
    let Some(kind) = kind_of(topology, cluster) else { return };
    let (Some(first), Some(section)) = (topology.clusters[..index].iter().find(is_shared), own_section(kind)) else {
        return;
    };
    let of = |cluster: &Cluster| section_of(topology.settings_of(cluster), section);
    if of(cluster) != of(first) {
        let message = format!(
            "the clusters `{}` and `{}` share the members of their DCS, and not their settings of `{section}`",
            first.name, cluster.name
        );
        let of_cluster = |index: usize| steps!["clusters", index, "settings", section];
        let paths = (0..=index).rev().map(of_cluster).collect();
        let help = "write them in `settings` of the topology, or give each cluster a DCS of its own";
        problems.push(Problem::at_all(paths, message).help(help));
    }
}

fn section_of(settings: &Settings, section: &str) -> Option<serde_json::Value> {
    serde_json::to_value(settings).ok()?.get(section).cloned()
}
