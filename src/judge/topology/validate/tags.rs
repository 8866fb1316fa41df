//! What Patroni's tags of a node must keep: an agent that reads them, a first primary, a node to stream from.

use super::{Host, Problem, Topology, below, hosts_with_paths};
use crate::suggestion::did_you_mean;

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    for (path, host) in hosts_with_paths(topology).filter(|(_, host)| !host.tags.is_empty()) {
        let path = below(&path, "tags");
        let cluster = clusters.iter().find(|cluster| cluster.nodes.contains(&host.name));
        let Some(cluster) = cluster.filter(|_| Host::has_agent(host)) else {
            let problem = Problem::at(path, format!("nobody reads the tags of `{}`", host.name));
            problems.push(problem.help("they are of a host with `patroni`"));
            continue;
        };
        if host.tags.is_barred() && cluster.nodes.first() == Some(&host.name) {
            let message = format!("`{}` is the first primary, and its tags keep it from leading", host.name);
            problems.push(
                Problem::at(path.clone(), message).help("the first node of a cluster leads first: bar another one"),
            );
        }
        if host
            .tags
            .nofailover
            .zip(host.tags.failover_priority)
            .is_some_and(|(never, priority)| never != (priority == 0))
        {
            let message = format!("the tags of `{}` say that it may lead and that it may not", host.name);
            problems.push(Problem::at(path.clone(), message).help(
                "leave out `nofailover` or `failover_priority`: Patroni's releases differ in which of the two counts",
            ));
        }
        if let Some(source) = &host.tags.replicatefrom {
            let others: Vec<&str> =
                cluster.nodes.iter().filter(|node| **node != host.name).map(String::as_str).collect();
            if !others.contains(&source.as_str()) {
                let message = format!("no other node of the cluster is called `{source}`");
                let help = did_you_mean(source, &others);
                problems.push(Problem::at(below(&path, "replicatefrom"), message).help(help));
            } else if streams_from_itself(topology, host) {
                let message = format!("`{}` would stream from itself, by way of the others", host.name);
                let problem = Problem::at(below(&path, "replicatefrom"), message);
                problems.push(problem.help("one of them streams from the primary"));
            }
        }
    }
}

/// Whether the nodes that a node streams from lead back to it.
fn streams_from_itself(topology: &Topology, host: &Host) -> bool {
    let source = |name: &str| topology.hosts().find(|own| own.name == name)?.tags.replicatefrom.as_deref();
    let chain = std::iter::successors(source(&host.name), |name| source(name));
    chain.take(topology.hosts().count()).any(|name| name == host.name)
}
