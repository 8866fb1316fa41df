//! Who watches what: the observers and clients that a plan implies. They must be there whether anybody heard of them or
//! not, so this is derived from the plan and not from the history.

use crate::{
    checks::Evidence,
    history::{Occurrence, event::Operation},
    plan::Plan,
    schema::is_first_schema,
    topology::{Serves, ServiceKind},
};

/// An observer that runs in every scenario whose plan has a target for it.
pub struct Watcher {
    /// The observer's name in histories.
    pub observer: &'static str,
    /// What it watches in this plan, each target by itself.
    pub targets: fn(&Plan) -> Vec<String>,
    /// What was recorded before the first release is not held to observers that came with it.
    pub since: Since,
}

/// Since when something belongs to every history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    TheBeginning,
    TheFirstRelease,
    /// Histories that name schema 3 or a later one: a plan has several clusters since then.
    SeveralClusters,
}

/// The schema of [`Since::SeveralClusters`].
const SEVERAL_CLUSTERS: u32 = 3;

/// Every observer, by name. A test of the acting half holds that these are the ones that it starts.
pub const ALL: &[Watcher] = &[
    Watcher {
        observer: "addresses",
        targets: |plan| plan.topology.virtual_addresses.iter().map(|shared| shared.name.clone()).collect(),
        since: Since::SeveralClusters,
    },
    Watcher { observer: "archive", targets: each_archive, since: Since::SeveralClusters },
    Watcher { observer: "dcs_leader", targets: each_dcs, since: Since::TheFirstRelease },
    Watcher { observer: "docker_events", targets: |_| one("engine"), since: Since::TheFirstRelease },
    Watcher { observer: "envoy", targets: |plan| called(plan, ServiceKind::Envoy), since: Since::SeveralClusters },
    Watcher { observer: "haproxy", targets: |plan| called(plan, ServiceKind::Haproxy), since: Since::TheFirstRelease },
    Watcher {
        observer: "leader_key",
        targets: |plan| plan.dcs_members().map(str::to_owned).collect(),
        since: Since::TheFirstRelease,
    },
    Watcher { observer: "names", targets: the_name_server, since: Since::TheFirstRelease },
    Watcher { observer: "node_state", targets: |plan| plan.nodes.clone(), since: Since::TheBeginning },
    Watcher { observer: "patroni_api", targets: agents, since: Since::TheFirstRelease },
    Watcher {
        observer: "pools",
        targets: |plan| plan.poolers().map(|pooler| pooler.called.to_owned()).collect(),
        since: Since::SeveralClusters,
    },
    Watcher {
        observer: "sessions",
        targets: |plan| if plan.topology.tls.postgresql { plan.nodes.clone() } else { Vec::new() },
        since: Since::SeveralClusters,
    },
    Watcher { observer: "slots", targets: |plan| plan.nodes.clone(), since: Since::SeveralClusters },
    Watcher {
        observer: "subscriptions",
        targets: |plan| plan.topology.subscriptions.iter().map(|own| own.name.clone()).collect(),
        since: Since::SeveralClusters,
    },
    Watcher { observer: "timers", targets: |_| one("harness"), since: Since::TheBeginning },
    Watcher {
        observer: "watchdog",
        targets: |plan| plan.nodes_with_watchdogs().map(str::to_owned).collect(),
        since: Since::SeveralClusters,
    },
];

fn one(target: &str) -> Vec<String> {
    vec![target.to_owned()]
}

fn agents(plan: &Plan) -> Vec<String> {
    plan.nodes_with_agents().map(|(node, _)| node.clone()).collect()
}

fn called(plan: &Plan, kind: ServiceKind) -> Vec<String> {
    plan.services.iter().filter(|planned| planned.kind == kind).map(|planned| planned.called().to_owned()).collect()
}

/// All members of a DCS are asked by one observer.
fn each_dcs(plan: &Plan) -> Vec<String> {
    plan.dcs.iter().map(|dcs| plan.words_for(dcs)).collect()
}

/// Each cluster with an archive.
fn each_archive(plan: &Plan) -> Vec<String> {
    plan.archives().map(|(cluster, _)| cluster.to_owned()).collect()
}

/// Every name is asked for at the one server by one observer.
fn the_name_server(plan: &Plan) -> Vec<String> {
    plan.name_server().filter(|_| !plan.topology.names.is_empty()).map(one).unwrap_or_default()
}

/// The observer and the target of which this is a sign of life.
pub fn sign_of_life(what: &Occurrence) -> Option<(&str, &str)> {
    match what {
        Occurrence::ObserverAlive { observer, target } => Some((observer, target)),
        // Told as soon as timers were watched, also when none was late.
        Occurrence::TimerLate { .. } => Some(("timers", "harness")),
        _ => None,
    }
}

/// Observers and targets that must give signs of life.
pub fn implied(evidence: &Evidence<'_>) -> Vec<(&'static str, String)> {
    let had = |watcher: &&Watcher| match watcher.since {
        Since::TheBeginning => true,
        Since::TheFirstRelease => is_of_a_release(evidence),
        Since::SeveralClusters => evidence.run.is_none_or(|run| run.schema >= SEVERAL_CLUSTERS),
    };
    let with_targets = |watcher: &Watcher| {
        (watcher.targets)(evidence.plan).into_iter().map(|target| (watcher.observer, target)).collect::<Vec<_>>()
    };
    ALL.iter().filter(had).flat_map(with_targets).collect()
}

/// Endpoints that fresh connections and a held session each try all the time, and what they do there.
pub fn tried(plan: &Plan) -> impl Iterator<Item = (&str, Operation)> {
    let operation = |serves: Serves| if serves.is_for_reads() { Operation::Read } else { Operation::Write };
    plan.endpoints.iter().map(move |endpoint| (endpoint.name.as_str(), operation(endpoint.serves)))
}

/// Whether a release recorded the history. Before the first one there was no schema to name, and the version was 0.0.0; a
/// history that names a schema is held to all of it, whatever version it names.
pub fn is_of_a_release(evidence: &Evidence<'_>) -> bool {
    evidence.run.is_none_or(|run| !is_first_schema(&run.schema) || run.version != "0.0.0")
}
