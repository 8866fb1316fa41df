//! Who watches what: the observers and clients that a plan implies. They must be there whether anybody heard of them or
//! not, so this is derived from the plan and not from the history.

use super::Evidence;
use crate::{
    history::{Occurrence, event::Operation},
    plan::Plan,
    topology::ServiceKind,
};

/// An observer that runs in every scenario whose plan has a target for it.
pub struct Watcher {
    /// The observer's name in histories.
    pub observer: &'static str,
    /// What it watches in this plan, each target by itself.
    pub targets: fn(&Plan) -> Vec<String>,
    /// The first version of pgquake that had it: a history of an earlier one is not held to it.
    pub since: Version,
}

/// Major, minor and patch number.
pub type Version = (u32, u32, u32);

const BEFORE_THE_FIRST_RELEASE: Version = (0, 0, 0);
/// The first release.
pub const FIRST_RELEASE: Version = (0, 1, 0);

/// Every observer, by name. A test of the acting half holds that these are the ones that it starts.
pub const ALL: &[Watcher] = &[
    Watcher { observer: "dcs_leader", targets: the_dcs, since: FIRST_RELEASE },
    Watcher { observer: "docker_events", targets: |_| one("engine"), since: FIRST_RELEASE },
    Watcher { observer: "haproxy", targets: |plan| hosts(plan, ServiceKind::Haproxy), since: FIRST_RELEASE },
    Watcher { observer: "leader_key", targets: |plan| hosts(plan, ServiceKind::Etcd), since: FIRST_RELEASE },
    Watcher { observer: "node_state", targets: |plan| plan.nodes.clone(), since: BEFORE_THE_FIRST_RELEASE },
    Watcher { observer: "patroni_api", targets: |plan| plan.nodes.clone(), since: FIRST_RELEASE },
    Watcher { observer: "timers", targets: |_| one("harness"), since: BEFORE_THE_FIRST_RELEASE },
];

fn one(target: &str) -> Vec<String> {
    vec![target.to_owned()]
}

fn hosts(plan: &Plan, kind: ServiceKind) -> Vec<String> {
    plan.hosts_with(kind).map(str::to_owned).collect()
}

/// All members of etcd are asked by one observer.
fn the_dcs(plan: &Plan) -> Vec<String> {
    if plan.hosts_with(ServiceKind::Etcd).next().is_some() { one("etcd") } else { Vec::new() }
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
    let had = |watcher: &&Watcher| version(evidence) >= watcher.since;
    let with_targets = |watcher: &Watcher| {
        (watcher.targets)(evidence.plan).into_iter().map(|target| (watcher.observer, target)).collect::<Vec<_>>()
    };
    ALL.iter().filter(had).flat_map(with_targets).collect()
}

/// Endpoints that fresh connections and a held session each try all the time, and what they do there.
pub fn tried(plan: &Plan) -> impl Iterator<Item = (&str, Operation)> {
    let operation = |name: &str| if name == "read" { Operation::Read } else { Operation::Write };
    plan.endpoints.iter().map(move |endpoint| (endpoint.name.as_str(), operation(&endpoint.name)))
}

/// The version that recorded the history; the newest there can be if it does not say.
pub fn version(evidence: &Evidence<'_>) -> Version {
    let parse = |text: &str| {
        let release = text.split(['-', '+']).next()?;
        let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??, numbers.next()??))
    };
    evidence.run.and_then(|run| parse(&run.version)).unwrap_or((u32::MAX, 0, 0))
}
