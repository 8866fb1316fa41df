//! What buckets and backups must keep: names that S3 takes, hosts that serve them, nodes that can archive.

use super::{BTreeSet, Path, Problem, Topology, did_you_mean, service, steps, unknown_host};
use crate::{
    services::{Own, ServiceKind, archive::Tool},
    topology::{Backups, Bucket},
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let is_own = |kind| topology.own.get(&kind).is_some_and(|own: &Own| own.image.is_some());
    if !topology.backups.is_empty() && is_own(ServiceKind::Patroni) {
        let message = "a cluster with backups can't run in an image of your own".to_owned();
        let path = steps!["own", "patroni", "image"];
        problems.push(Problem::at(path, message).help("leave the image out, or the backups"));
    }
    buckets(topology, problems);
    let mut seen = BTreeSet::new();
    let mut restored = BTreeSet::new();
    for (index, backups) in topology.backups.iter().enumerate() {
        let path = |field: &str| steps!["backups", index, field];
        if topology.bucket(&backups.bucket).is_none() {
            let known: Vec<_> = topology.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
            let message = format!("no bucket is called `{}`", backups.bucket);
            problems.push(Problem::at(path("bucket"), message).help(did_you_mean(&backups.bucket, &known)));
        }
        of(topology, backups, steps!["backups", index], problems);
        if !seen.insert(&backups.of) {
            problems.push(Problem::at(steps!["backups", index], "a cluster has its backups in one place".to_owned()));
        }
        of_pgbackrest(backups, &path, problems);
        restored_on(topology, backups, path("restore_on"), problems);
        if let Some(host) = backups.restore_on.as_ref().filter(|host| !restored.insert(*host)) {
            let message = format!("the backups of two clusters are restored on `{host}`");
            let help = "it has the PostgreSQL, the archive and the data directory of one: add a host for the other";
            problems.push(Problem::at(path("restore_on"), message).help(help));
        }
    }
    no_server_for_nobody(topology, problems);
}

fn buckets(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, bucket) in topology.buckets.iter().enumerate() {
        let path = |field: &str| steps!["buckets", index, field];
        let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        let ends = |name: &str| name.starts_with('-') || name.ends_with('-');
        let name = &bucket.name;
        if !(3..=63).contains(&name.len()) || !name.chars().all(letters) || ends(name) {
            let problem = Problem::at(path("name"), format!("`{name}` can't be the name of a bucket"));
            problems.push(problem.help("lower-case letters, digits and hyphens inside, 3 to 63 of them"));
        }
        if !seen.insert(&bucket.name) {
            problems.push(Problem::at(path("name"), format!("two buckets are called `{name}`")));
        }
        replicates(topology, bucket, path("replicates_to"), problems);
        match topology.host_called(&bucket.host) {
            Some(_) if bucket.server.is_some() => {
                let message = format!("`{}` is a host of the topology, and no other server", bucket.host);
                problems
                    .push(Problem::at(path("host"), message).help("leave `server` out, or name a server elsewhere"));
            }
            None if bucket.server.is_some() => {}
            None => problems.push(unknown_host(topology, &bucket.host, path("host"))),
            Some(host) if !host.kinds().any(|kind| service(kind).keeps_buckets()) => {
                let problem = Problem::at(path("host"), format!("the host `{}` serves no buckets", bucket.host));
                problems.push(problem.help("add `minio` to its services, or name a host that runs it"));
            }
            Some(_) => {}
        }
    }
}

/// A copy goes to another bucket, and both keep versions: MinIO replicates no others.
fn replicates(topology: &Topology, bucket: &Bucket, path: Path, problems: &mut Vec<Problem>) {
    let Some(name) = &bucket.replicates_to else { return };
    let message = match topology.bucket(name) {
        None => {
            let known: Vec<_> = topology.buckets.iter().map(|bucket| bucket.name.as_str()).collect();
            let problem = Problem::at(path, format!("no bucket is called `{name}`"));
            problems.push(problem.help(did_you_mean(name, &known)));
            return;
        }
        Some(other) if *name == bucket.name || other.host == bucket.host => {
            format!("`{}` is on the same server as its copy", bucket.name)
        }
        Some(other) if other.server.is_some() || bucket.server.is_some() => {
            format!("`{}` or its copy is on a server that is none of the topology's", bucket.name)
        }
        Some(other) if !other.versioned || !bucket.versioned => {
            format!("`{}` and `{name}` do not both keep versions", bucket.name)
        }
        Some(_) => return,
    };
    problems
        .push(Problem::at(path, message).help("a copy is on another server, and both buckets are `versioned: true`"));
}

/// The cluster exists, and every node of it can archive.
fn of(topology: &Topology, backups: &Backups, path: Path, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    let of = super::below(&path, "of");
    let cluster = match (&backups.of, clusters.as_slice()) {
        (Some(name), _) => clusters.iter().find(|cluster| cluster.name == *name),
        (None, [only]) => Some(only),
        (None, _) => {
            let problem = Problem::at(path, "there are several clusters, and none is named".to_owned());
            problems.push(problem.help("say whose backups these are: `of: NAME`"));
            return;
        }
    };
    let Some(cluster) = cluster else {
        let name = backups.of.as_deref().unwrap_or_default();
        let known: Vec<_> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        let problem = Problem::at(of, format!("no cluster is called `{name}`"));
        problems.push(problem.help(did_you_mean(name, &known)));
        return;
    };
    let can = |node: &&String| {
        let kind = topology.hosts().find(|host| host.name == **node).and_then(super::Host::node_kind);
        kind.and_then(|kind| service(kind).node()).is_some_and(|node| node.with_backups.is_some())
    };
    if let Some(node) = cluster.nodes.iter().find(|node| !can(node)) {
        let message = format!("the node `{node}` has no tool for backups in its image");
        problems.push(Problem::at(path, message).help("nodes with `patroni` can have backups"));
    }
}

/// What `pgbackrest` alone lets one choose.
fn of_pgbackrest(backups: &Backups, path: &dyn Fn(&str) -> Path, problems: &mut Vec<Problem>) {
    let tool = backups.tool.name();
    let choices = [
        (backups.archive_async, "archive_async", "sends one file at a time", "`pgbackrest` can send in the background"),
        (backups.from_standby, "from_standby", "copies a standby in any case", "leave it out"),
        (backups.restored_archives, "restored_archives", "restores a server that archives in any case", "leave it out"),
    ];
    for (_, field, message, help) in choices.into_iter().filter(|(chosen, ..)| *chosen) {
        if backups.tool != Tool::Pgbackrest {
            problems.push(Problem::at(path(field), format!("`{tool}` {message}")).help(help));
        }
    }
}

fn restored_on(topology: &Topology, backups: &Backups, path: Path, problems: &mut Vec<Problem>) {
    let Some(name) = &backups.restore_on else { return };
    match topology.hosts().find(|host| host.name == *name) {
        None => problems.push(unknown_host(topology, name, path)),
        Some(host) if !host.runs(ServiceKind::Restore) => {
            let problem = Problem::at(path, format!("no backup is restored on the host `{name}`"));
            problems.push(problem.help("give it the service `restore`"));
        }
        Some(_) => {}
    }
}

/// A machine for restoring knows its backups by them.
fn no_server_for_nobody(topology: &Topology, problems: &mut Vec<Problem>) {
    for (path, host) in super::hosts_with_paths(topology) {
        let restores = host.runs(ServiceKind::Restore);
        let named = topology.backups.iter().any(|backups| backups.restore_on.as_ref() == Some(&host.name));
        if restores && !named {
            let problem = Problem::at(path, format!("no backups are restored on `{}`", host.name));
            problems.push(problem.help("name it as `restore_on` of the backups that are restored there"));
        }
    }
}
