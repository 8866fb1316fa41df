//! Clusters: hosts that they are made of, and whom they follow.

use std::collections::BTreeMap;

use super::{Problem, RESERVED_HOST_NAMES, check_name, kinds_of_dcs, unknown_host};
use crate::{
    services::{dynamic::is_slot_name, service},
    suggestion::did_you_mean,
    topology::{Cluster, Follows, Host, Serves, Topology, position::steps},
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    aliases(topology, problems);
    one_kind_of_node(topology, problems);
    if topology.clusters.is_empty() {
        return;
    }
    let mut nodes: BTreeMap<&str, &str> = BTreeMap::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, cluster) in topology.clusters.iter().enumerate() {
        let path = |field: &str| steps!["clusters", index, field];
        check_name("cluster", &cluster.name, path("name"), problems);
        if names.insert(&cluster.name, index).is_some() {
            problems.push(Problem::at(path("name"), format!("two clusters are called `{}`", cluster.name)));
        }
        let is_node = |host: &Host| host.node_kind().is_some();
        let is_member = |host: &Host| host.kinds().any(|kind| service(kind).dcs().is_some());
        members(topology, index, ("nodes", &cluster.nodes), "patroni", is_node, problems);
        if has_agent(topology, cluster) {
            members(topology, index, ("dcs", &cluster.dcs), &kinds_of_dcs(), is_member, problems);
        } else if !cluster.dcs.is_empty() {
            let message = format!("no agent of the cluster `{}` has a key in a DCS", cluster.name);
            problems.push(Problem::at(path("dcs"), message).help("write `dcs: []`: an operator promotes its nodes"));
        }
        for (place, node) in cluster.nodes.iter().enumerate() {
            if let Some(other) = nodes.insert(node, &cluster.name).filter(|other| *other != cluster.name) {
                let message = format!("the node `{node}` is in the clusters `{other}` and `{}`", cluster.name);
                let problem = Problem::at(steps!["clusters", index, "nodes", place], message);
                problems.push(problem.help("a node has one data directory: it belongs to one cluster"));
            }
        }
        same_key(topology, index, problems);
        if let Some(follows) = &cluster.follows {
            followed(topology, index, cluster, follows, problems);
        }
    }
    for host in topology.nodes().iter().filter(|host| !nodes.contains_key(host.as_str())) {
        let problem = Problem::at(steps!["clusters"], format!("the node `{host}` is in no cluster"));
        problems.push(problem.help("name it in the `nodes` of one"));
    }
    if topology.clusters.iter().all(|cluster| cluster.follows.is_some()) {
        let problem =
            Problem::at(steps!["clusters"], "every cluster follows another one: none has a primary".to_owned());
        problems.push(problem.help("leave `follows` out in the one that accepts writes"));
    }
}

/// Whether an agent keeps nodes of a cluster. One whose nodes are none, which another rule reports, is taken for Patroni's.
pub(super) fn has_agent(topology: &Topology, cluster: &Cluster) -> bool {
    let mut nodes = nodes(topology, cluster).peekable();
    nodes.peek().is_none() || nodes.any(Host::has_agent)
}

fn nodes<'t>(topology: &'t Topology, cluster: &'t Cluster) -> impl Iterator<Item = &'t Host> {
    let hosts = cluster.nodes.iter().filter_map(|node| topology.hosts().find(|host| host.name == *node));
    hosts.filter(|host| host.node_kind().is_some())
}

/// An agent would take nodes that nobody keeps for none of its own, and an operator would act behind an agent's back.
fn one_kind_of_node(topology: &Topology, problems: &mut Vec<Problem>) {
    for (index, cluster) in topology.all_clusters().iter().enumerate() {
        let (kept, alone): (Vec<&Host>, Vec<&Host>) = nodes(topology, cluster).partition(|host| host.has_agent());
        if let (Some(kept), Some(alone)) = (kept.first(), alone.first()) {
            let message = format!(
                "an agent keeps the node `{}` of the cluster `{}`, and none keeps `{}`",
                kept.name, cluster.name, alone.name
            );
            let path =
                if topology.clusters.is_empty() { steps!["regions"] } else { steps!["clusters", index, "nodes"] };
            problems.push(Problem::at(path, message).help("run patroni on every node of a cluster, or on none"));
        }
    }
}

/// The hosts that a cluster names for something that must run on them.
fn members(
    topology: &Topology,
    index: usize,
    (field, names): (&str, &[String]),
    what: &str,
    runs: impl Fn(&Host) -> bool,
    problems: &mut Vec<Problem>,
) {
    let cluster = &topology.clusters[index].name;
    if names.is_empty() {
        problems.push(Problem::at(steps!["clusters", index, field], format!("the cluster `{cluster}` has no {field}")));
    }
    for (place, name) in names.iter().enumerate() {
        let path = steps!["clusters", index, field, place];
        match topology.hosts().find(|host| host.name == *name) {
            None => problems.push(unknown_host(topology, name, path)),
            Some(host) if !runs(host) => {
                let problem = Problem::at(path, format!("the host `{name}` runs no `{what}`"));
                problems.push(problem.help(format!("add `{what}` to its services, or name another host")));
            }
            Some(_) if names[..place].contains(name) => {
                problems.push(Problem::at(path, format!("`{name}` stands twice in this list")));
            }
            Some(_) => {}
        }
    }
}

/// Two clusters under one scope in one DCS would be one. DCSs that share some members are none.
fn same_key(topology: &Topology, index: usize, problems: &mut Vec<Problem>) {
    let cluster = &topology.clusters[index];
    for other in &topology.clusters[..index] {
        if other.dcs == cluster.dcs && other.scope == cluster.scope && !cluster.dcs.is_empty() {
            let message = format!("the clusters `{}` and `{}` have one scope in one DCS", other.name, cluster.name);
            let problem = Problem::at(steps!["clusters", index, "name"], message);
            problems.push(problem.help("give one of them another `scope`, or a DCS of its own"));
        } else if other.dcs != cluster.dcs && other.dcs.iter().any(|member| cluster.dcs.contains(member)) {
            let message = format!("the DCSs of `{}` and `{}` share some of their members", other.name, cluster.name);
            let problem = Problem::at(steps!["clusters", index, "dcs"], message);
            problems.push(problem.help("name the same members in the same order, or others altogether"));
        }
    }
}

fn followed(topology: &Topology, index: usize, cluster: &Cluster, follows: &Follows, problems: &mut Vec<Problem>) {
    let path = |field: &str| steps!["clusters", index, "follows", field];
    let known: Vec<&str> =
        topology.clusters.iter().map(|other| other.name.as_str()).filter(|name| *name != cluster.name).collect();
    if !has_agent(topology, cluster) {
        let problem = Problem::at(path("cluster"), format!("no agent lets the cluster `{}` follow", cluster.name));
        problems.push(problem.help("nodes without an agent follow the first one of their own cluster"));
    } else if follows.cluster == cluster.name {
        let problem = Problem::at(path("cluster"), format!("the cluster `{}` follows itself", cluster.name));
        problems.push(problem.help("leave `follows` out if it accepts writes"));
    } else if !known.contains(&follows.cluster.as_str()) {
        let problem = Problem::at(path("cluster"), format!("no cluster is called `{}`", follows.cluster));
        problems.push(problem.help(did_you_mean(&follows.cluster, &known)));
    } else if let Some(circle) = circle(topology, cluster) {
        let message = format!("clusters follow each other in a circle: {}", circle.join(" → "));
        problems.push(Problem::at(path("cluster"), message).help("one of them must have a primary"));
    } else {
        upstream(topology, cluster, follows, &path, problems);
        same_major(topology, index, cluster, follows, problems);
    }
    if let Some(slot) = follows.slot.as_ref().filter(|slot| !is_slot_name(slot)) {
        let problem = Problem::at(path("slot"), format!("`{slot}` can't be the name of a replication slot"));
        problems.push(problem.help("lower-case letters, digits and underscores, at most 63"));
    }
}

/// Where the standby leader connects must lead to the primary of the cluster that it follows. One that connects nowhere must
/// have an archive to take WAL from.
fn upstream(
    topology: &Topology,
    cluster: &Cluster,
    follows: &Follows,
    path: &dyn Fn(&str) -> crate::topology::position::Path,
    problems: &mut Vec<Problem>,
) {
    let Some(name) = &follows.host else {
        if !topology.backups_of(&cluster.name).is_some_and(|backups| backups.restore_command) {
            let message = format!("`{}` has nothing to take its WAL from", cluster.name);
            let help =
                "name the `host` that it streams from, or give it `backups` that its nodes read (`restore_command`)";
            problems.push(Problem::at(path("cluster"), message).help(help));
        } else if let Some(slot) = &follows.slot {
            let message = format!("`{}` streams from nobody, and uses no slot `{slot}`", cluster.name);
            problems.push(
                Problem::at(path("slot"), message).help("name the `host` that it streams from, or leave `slot` out"),
            );
        }
        return;
    };
    let Some(host) = topology.host_called(name) else {
        let known: Vec<&str> = topology
            .hosts()
            .flat_map(|host| std::iter::once(&host.name).chain(&host.aliases))
            .map(String::as_str)
            .collect();
        let problem = Problem::at(path("host"), format!("no host is called `{name}`"));
        problems.push(problem.help(did_you_mean(name, &known)));
        return;
    };
    let leads = topology.endpoints.iter().any(|endpoint| {
        let of = endpoint.of.as_deref() == Some(follows.cluster.as_str());
        let serves = matches!(endpoint.serves, Serves::Primary | Serves::Leader);
        endpoint.host == host.name && endpoint.port == follows.port && serves && of
    });
    let followed = topology.clusters.iter().find(|cluster| cluster.name == follows.cluster);
    let direct = followed.is_some_and(|cluster| cluster.nodes.contains(&host.name));
    if !leads && !direct {
        let message = format!("nothing at {name}:{} leads to the primary of `{}`", follows.port, follows.cluster);
        let help = "name the host and port of an endpoint that serves the primary of that cluster, or one of its nodes";
        problems.push(Problem::at_all(vec![path("host"), path("port")], message).help(help));
    }
}

/// WAL is replayed by the major version that wrote it, and by no other.
fn same_major(topology: &Topology, index: usize, cluster: &Cluster, follows: &Follows, problems: &mut Vec<Problem>) {
    let Some(followed) = topology.clusters.iter().find(|other| other.name == follows.cluster) else { return };
    let major = |cluster: &Cluster| topology.settings_of(cluster).postgresql.major_version;
    let (own, upstream) = (major(cluster), major(followed));
    if own == upstream {
        return;
    }
    let version = |index: usize| steps!["clusters", index, "settings", "postgresql", "major_version"];
    let of_followed = topology.clusters.iter().position(|other| other.name == followed.name);
    let paths = [Some(version(index)), of_followed.map(version), Some(steps!["clusters", index, "follows"])];
    let message = format!(
        "`{}` runs PostgreSQL {own}, and can't replay the WAL of `{}`, which runs {upstream}",
        cluster.name, followed.name
    );
    let problem = Problem::at_all(paths.into_iter().flatten().collect(), message);
    problems.push(problem.help("clusters that follow each other run one major version"));
}

/// The names of clusters that lead from this one back to itself, if they do.
fn circle(topology: &Topology, cluster: &Cluster) -> Option<Vec<String>> {
    let mut way = vec![cluster.name.clone()];
    let mut at = cluster;
    while let Some(follows) = &at.follows {
        at = topology.clusters.iter().find(|other| other.name == follows.cluster)?;
        let closed = at.name == cluster.name;
        if !closed && way.contains(&at.name) {
            // A circle further up, which its own members are said to have.
            return None;
        }
        way.push(at.name.clone());
        if closed {
            return Some(way);
        }
    }
    None
}

/// Other names of hosts.
fn aliases(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (region, known) in topology.regions.iter().enumerate() {
        for (index, host) in known.hosts.iter().enumerate() {
            for (place, alias) in host.aliases.iter().enumerate() {
                let path = steps!["regions", region, "hosts", index, "aliases", place];
                let labels: Vec<&str> = alias.split('.').collect();
                let taken =
                    topology.hosts().any(|other| other.name == *alias) || RESERVED_HOST_NAMES.contains(&alias.as_str());
                if labels.iter().any(|label| !is_label(label)) || alias.len() > 100 {
                    let problem = Problem::at(path, format!("`{alias}` can't be another name of a host"));
                    problems.push(problem.help("labels of lower-case letters, digits and hyphens, joined by dots"));
                } else if let Some(other) = seen.insert(alias, &host.name) {
                    problems.push(Problem::at(path, format!("`{alias}` is another name of `{other}` already")));
                } else if taken {
                    problems.push(Problem::at(path, format!("`{alias}` is the name of something else")));
                }
            }
        }
    }
}

/// A part of a name between two dots.
fn is_label(label: &str) -> bool {
    let letters = label.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    !label.is_empty() && letters && !label.starts_with('-') && !label.ends_with('-')
}
