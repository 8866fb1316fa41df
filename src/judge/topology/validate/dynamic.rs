//! Keys of Patroni's dynamic configuration that other parts of a topology need for themselves.

use serde_json::Value;

use super::{Problem, Topology, steps};
use crate::{
    services::{dynamic::leaves, service},
    topology::{Cluster, SlotKept},
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    for (index, cluster) in topology.all_clusters().iter().enumerate() {
        for (key, value) in &topology.settings_of(cluster).patroni.dynamic {
            let Some((leaf, why)) = needed(topology, cluster, key, value) else { continue };
            let message = format!("`{leaf}` is not said here: {why}");
            let of_cluster = steps!["clusters", index, "settings", "patroni", "dynamic", key.as_str()];
            let paths = vec![of_cluster, steps!["settings", "patroni", "dynamic", key.as_str()]];
            // What several clusters have from the topology is said once.
            if problems.iter().all(|known| known.message != message) {
                let problem = Problem::at_all(paths, message).help("leave it out, or what needs it");
                problems.push(Problem { is_of_key: true, ..problem });
            }
        }
    }
}

/// A key below what is stated that something else in the topology needs, and what that is.
fn needed(topology: &Topology, cluster: &Cluster, key: &str, value: &Value) -> Option<(String, String)> {
    let slots = slots_of(topology, cluster);
    leaves(key, value).into_iter().find_map(|leaf| {
        let slot = leaf.strip_prefix("slots.").and_then(|rest| rest.split('.').next());
        let why = match leaf.as_str() {
            "postgresql.recovery_conf.restore_command" if restores(topology, cluster) => {
                "nodes take WAL from the archive of their `backups`".to_owned()
            }
            own if own.starts_with("postgresql.callbacks") && repoints(topology) => {
                "agents call what points pools at the primary (`repointed`)".to_owned()
            }
            _ => {
                let (name, user) = slots.iter().find(|(name, _)| Some(name.as_str()) == slot)?;
                format!("the slot `{name}` is that of {user}")
            }
        };
        Some((leaf, why))
    })
}

fn restores(topology: &Topology, cluster: &Cluster) -> bool {
    topology.backups_of(&cluster.name).is_some_and(|backups| backups.restore_command)
}

fn repoints(topology: &Topology) -> bool {
    let mut placed = topology.hosts().flat_map(|host| host.services.iter().map(move |placed| (host, placed)));
    placed.any(|(host, placed)| {
        let pooler = service(placed.kind).pooler();
        pooler.is_some_and(|pooler| (pooler.is_repointed)(&topology.settings_on(host, placed)))
    })
}

/// The slots that a cluster keeps for others, and for whom.
fn slots_of(topology: &Topology, cluster: &Cluster) -> Vec<(String, String)> {
    let clusters = topology.all_clusters();
    let followers = clusters.iter().filter_map(|other| Some((other, other.follows.as_ref()?)));
    let followers = followers.filter(|(_, follows)| follows.cluster == cluster.name && follows.slot_is_permanent);
    let followers = followers.filter_map(|(other, follows)| {
        Some((follows.slot.clone()?, format!("the cluster `{}`, which follows by it", other.name)))
    });
    let subscribed = topology.subscriptions.iter().filter(|own| own.slot_kept == SlotKept::Permanent);
    let subscribed = subscribed.filter(|own| own.publisher(&clusters).is_some_and(|of| of.name == cluster.name));
    let subscribed = subscribed.map(|own| (own.slot().to_owned(), format!("the subscription `{}`", own.name)));
    followers.chain(subscribed).collect()
}
