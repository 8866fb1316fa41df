//! Subscriptions: a subscriber that is there, a publisher that writes what they need, and slots that somebody keeps.

use std::collections::BTreeSet;

use super::{Path, Problem, Topology, did_you_mean, hosts_with_paths, steps, unknown_host};
use crate::{
    services::{
        PostgresqlSettings, ServiceKind,
        postgresql::{is_plain, server::slot_name},
    },
    topology::{Cluster, Host, NODES, SlotKept, Subscription},
};

/// The first version whose standbys copy the slots of subscriptions.
const FAILOVER_SLOTS_SINCE: u32 = 17;

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    let (mut names, mut slots, mut hosts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (index, own) in topology.subscriptions.iter().enumerate() {
        let path = |field: &str| steps!["subscriptions", index, field];
        for (field, name) in [("name", Some(&own.name)), ("slot", own.slot.as_ref())] {
            if let Some(name) = name.filter(|name| !is_plain(name)) {
                let problem = Problem::at(path(field), format!("`{name}` can't be the {field} of a subscription"));
                problems.push(problem.help("lower-case letters, digits and underscores, at most 63"));
            }
        }
        if !names.insert(&own.name) {
            problems.push(Problem::at(path("name"), format!("two subscriptions are called `{}`", own.name)));
        } else if !slots.insert(own.slot()) {
            problems.push(Problem::at(path("slot"), format!("two subscriptions have the slot `{}`", own.slot())));
        }
        subscriber(topology, own, path("host"), problems);
        if !hosts.insert(&own.host) {
            let problem = Problem::at(path("host"), format!("two subscriptions are at the host `{}`", own.host));
            problems.push(problem.help("each would write into the one ledger there"));
        }
        match own.publisher(&clusters) {
            None => {
                let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
                let (at, message) = match &own.of {
                    Some(of) => (path("of"), format!("no cluster is called `{of}`")),
                    None => (steps!["subscriptions", index], "it is not said which cluster publishes".to_owned()),
                };
                let help =
                    own.of.as_deref().map_or_else(|| "name it in `of`".to_owned(), |of| did_you_mean(of, &known));
                problems.push(Problem::at(at, message).help(help));
            }
            Some(cluster) => publisher(topology, own, cluster, &path, problems),
        }
    }
    for (at, host) in hosts_with_paths(topology).filter(|(_, host)| host.runs(ServiceKind::Subscriber)) {
        if !topology.subscriptions.iter().any(|own| own.host == host.name) {
            let problem = Problem::at(
                super::below(&at, "services"),
                format!("the subscriber on `{}` subscribes to nothing", host.name),
            );
            problems.push(problem.help("name it as the `host` of one of the `subscriptions`"));
        }
    }
}

fn subscriber(topology: &Topology, own: &Subscription, path: Path, problems: &mut Vec<Problem>) {
    match topology.hosts().find(|host| host.name == own.host) {
        None => problems.push(unknown_host(topology, &own.host, path)),
        Some(host) if !host.runs(ServiceKind::Subscriber) => {
            let problem = Problem::at(path, format!("the host `{}` runs no subscriber", own.host));
            problems.push(problem.help("add `subscriber` to its services, or name a host that runs it"));
        }
        Some(_) => {}
    }
}

/// What the publisher must be for a subscription.
fn publisher(
    topology: &Topology,
    own: &Subscription,
    cluster: &Cluster,
    path: &dyn Fn(&str) -> Path,
    problems: &mut Vec<Problem>,
) {
    let settings = topology.settings_of(cluster);
    if cluster.follows.is_some() {
        let problem = Problem::at(
            path("of"),
            format!("the cluster `{}` follows another one: it publishes nothing", cluster.name),
        );
        problems.push(problem.help("subscribe to the one that accepts writes"));
    }
    match topology.endpoints.find(&own.through) {
        None if own.through == NODES => {}
        None => {
            let known = topology.endpoints.iter().map(|endpoint| endpoint.name.as_str());
            let known: Vec<&str> = known.chain([NODES]).collect();
            let problem = Problem::at(path("through"), format!("no endpoint is called `{}`", own.through));
            problems.push(problem.help(did_you_mean(&own.through, &known)));
        }
        Some(endpoint) if endpoint.serves.is_for_reads() || endpoint.pooled => {
            let message = format!("a subscription can't connect by the endpoint `{}`", own.through);
            let help = "it needs a session of replication with the primary: no standby, and no pooler between";
            problems.push(Problem::at(path("through"), message).help(help));
        }
        Some(_) => {}
    }
    if cluster.nodes.iter().any(|node| slot_name(node) == own.slot()) {
        let problem = Problem::at(path("slot"), format!("a standby has the slot `{}`", own.slot()));
        problems.push(problem.help("each node's own slot is called as the node"));
    }
    let parameter = |name: &str| parameter(&settings.postgresql, name);
    if parameter("wal_level").as_deref() != Some("logical") {
        let problem = Problem::at(
            path("name"),
            format!("the cluster `{}` writes too little WAL to be subscribed to", cluster.name),
        );
        problems.push(problem.help("set `wal_level: logical` in `settings.postgresql.parameters`"));
    }
    match own.slot_kept {
        SlotKept::Plain => {}
        SlotKept::Permanent => {
            if !cluster.nodes.iter().filter_map(|node| topology.host_called(node)).any(Host::has_agent) {
                let problem = Problem::at(path("slot_kept"), "no agent keeps a permanent slot".to_owned());
                problems
                    .push(problem.help("permanent slots are Patroni's: have it keep the nodes, or take another way"));
            }
        }
        SlotKept::Failover => {
            let major = settings.postgresql.major_version;
            let is_on = |name: &str| parameter(name).is_some_and(|text| text == "on");
            if major < FAILOVER_SLOTS_SINCE {
                let problem = Problem::at(path("slot_kept"), format!("PostgreSQL {major} has no failover slots"));
                problems.push(problem.help(format!("they came with version {FAILOVER_SLOTS_SINCE}")));
            } else if let Some(missing) =
                ["sync_replication_slots", "hot_standby_feedback"].into_iter().find(|name| !is_on(name))
            {
                let problem =
                    Problem::at(path("slot_kept"), format!("standbys copy no failover slot: `{missing}` is off"));
                problems.push(problem.help(format!("set `{missing}: on` in `settings.postgresql.parameters`")));
            }
        }
    }
}

/// A parameter as the topology sets it; words for yes are `on`.
fn parameter(settings: &PostgresqlSettings, name: &str) -> Option<String> {
    let set = settings.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    set.map(|(_, text)| {
        let plain = text.trim().to_lowercase();
        if ["true", "yes", "1"].contains(&plain.as_str()) { "on".to_owned() } else { plain }
    })
}
