//! What a topology must keep beyond its format: names that exist, ports that are served, rules that Patroni and
//! etcd hold themselves to. Found here, with a line, and not after half a minute of start-up.

mod addresses;
mod applications;
mod clusters;
mod databases;
mod dcs;
mod dynamic;
mod endpoints;
mod firewall;
mod links;
mod names;
mod services;
mod storage;
mod subscriptions;
mod tags;
mod tls;
mod versions;

use std::collections::BTreeSet;

use super::{
    Host, Topology,
    position::{Path, Step, steps},
};
use crate::{
    claims::Claims,
    services::{ALL as SERVICES, Broken, service},
    suggestion::{did_you_mean, nearest},
};
use services::{balances, kinds_of_dcs, listeners};

/// Something that makes no sense.
pub(super) struct Problem {
    /// Where to show it: the first of these that the file holds.
    pub paths: Vec<Path>,
    pub message: String,
    pub help: Option<String>,
    /// Whether it is the key that is wrong, whatever its value is.
    pub is_of_key: bool,
}

impl Problem {
    fn at(path: Path, message: String) -> Self {
        Self::at_all(vec![path], message)
    }

    /// Of several together.
    fn at_all(paths: Vec<Path>, message: String) -> Self {
        Self { paths, message, help: None, is_of_key: false }
    }

    /// Of fields below a path, which break a rule.
    fn of_rule(above: &[Step], broken: Broken) -> Self {
        let path = |field: Vec<String>| above.iter().cloned().chain(field.into_iter().map(Step::Key)).collect();
        let paths = broken.fields.into_iter().map(path).collect();
        Self { paths, message: broken.message, help: broken.help, is_of_key: broken.is_of_name }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong with a topology. `file_stem` is the name that its file gives it; `claims` are those that it may
/// name beside the documented ones, `None`: that was checked when it was read.
pub(super) fn problems(topology: &Topology, file_stem: Option<&str>, claims: Option<&Claims>) -> Vec<Problem> {
    let mut problems = Vec::new();
    own_name(topology, file_stem, &mut problems);
    regions(topology, &mut problems);
    hosts(topology, &mut problems);
    services::check(topology, &mut problems);
    needs(topology, &mut problems);
    clusters::check(topology, &mut problems);
    dcs::check(topology, &mut problems);
    endpoints::check(topology, &mut problems);
    services::ports_taken_twice(topology, &mut problems);
    names::check(topology, &mut problems);
    addresses::check(topology, &mut problems);
    firewall::check(topology, &mut problems);
    storage::check(topology, &mut problems);
    subscriptions::check(topology, &mut problems);
    applications::check(topology, &mut problems);
    tags::check(topology, &mut problems);
    tls::check(topology, &mut problems);
    versions::check(topology, &mut problems);
    databases::check(topology, &mut problems);
    dynamic::check(topology, &mut problems);
    links::check(topology, &mut problems);
    settings(topology, &mut problems);
    if let Some(claims) = claims {
        claimed(topology, claims, &mut problems);
    }
    problems
}

/// Names that endpoints have already, that resolve to something else on every machine, or that say something else where
/// scenarios name hosts.
const RESERVED_HOST_NAMES: &[&str] = &["write", "read", "localhost", "clients", "and"];

/// A name that can be a DNS label on every resolver: containers, hosts and networks are called by it.
fn is_dns_label(name: &str) -> bool {
    let starts = name.starts_with(|first: char| first.is_ascii_lowercase());
    let ends = !name.ends_with('-');
    let letters = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    starts && ends && letters && name.len() <= 40
}

const DNS_LABEL_RULE: &str =
    "lower-case letters, digits and hyphens, beginning with a letter, not ending with a hyphen, at most 40";

fn check_name(what: &str, name: &str, path: Path, problems: &mut Vec<Problem>) {
    if !is_dns_label(name) {
        let article = if what.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
        problems
            .push(Problem::at(path, format!("`{name}` can't be the name of {article} {what}")).help(DNS_LABEL_RULE));
    }
}

fn own_name(topology: &Topology, file_stem: Option<&str>, problems: &mut Vec<Problem>) {
    check_name("topology", &topology.name, steps!["name"], problems);
    if let Some(stem) = file_stem.filter(|stem| *stem != topology.name) {
        let message = format!("the topology is called `{}`, its file `{stem}`", topology.name);
        problems.push(
            Problem::at(steps!["name"], message).help(format!("write `name: {stem}`, or give the file the name")),
        );
    }
}

fn regions(topology: &Topology, problems: &mut Vec<Problem>) {
    if topology.regions.is_empty() {
        problems.push(Problem::at(steps!["regions"], "there is no region".to_owned()));
    }
    let mut seen = BTreeSet::new();
    for (index, region) in topology.regions.iter().enumerate() {
        check_name("region", &region.name, steps!["regions", index, "name"], problems);
        if !seen.insert(&region.name) {
            let message = format!("two regions are called `{}`", region.name);
            problems.push(Problem::at(steps!["regions", index, "name"], message));
        }
        if region.hosts.is_empty() {
            let message = format!("the region `{}` has no host", region.name);
            problems.push(Problem::at(steps!["regions", index, "hosts"], message));
        }
    }
}

/// Every host with its path.
fn hosts_with_paths(topology: &Topology) -> impl Iterator<Item = (Path, &Host)> {
    topology.regions.iter().enumerate().flat_map(|(region, known)| {
        let path = move |host: usize| steps!["regions", region, "hosts", host];
        known.hosts.iter().enumerate().map(move |(index, host)| (path(index), host))
    })
}

fn below(path: &[Step], step: impl Into<Step>) -> Path {
    path.iter().cloned().chain([step.into()]).collect()
}

fn hosts(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (path, host) in hosts_with_paths(topology) {
        let name_path = below(&path, "name");
        check_name("host", &host.name, name_path.clone(), problems);
        if RESERVED_HOST_NAMES.contains(&host.name.as_str()) {
            let message = format!("a host can't be called `{}`", host.name);
            problems.push(
                Problem::at(name_path.clone(), message)
                    .help("an endpoint, every machine or a scenario has that name for something else"),
            );
        }
        if !seen.insert(&host.name) {
            let message = format!("two hosts are called `{}`", host.name);
            problems.push(Problem::at(name_path, message).help("names are unique across regions"));
        }
        if let Some(zone) = &host.zone {
            check_name("zone", zone, below(&path, "zone"), problems);
        }
    }
}

/// Services that are of no use without others.
fn needs(topology: &Topology, problems: &mut Vec<Problem>) {
    let holds_keys = |host: &Host| host.kinds().any(|kind| service(kind).dcs().is_some());
    let has_agents = topology.hosts().any(Host::has_agent);
    if topology.nodes().is_empty() {
        let problem = Problem::at(steps!["regions"], "no host runs patroni or postgresql".to_owned());
        problems.push(problem.help("without a PostgreSQL node there is nothing to drill, and nothing to proxy"));
    } else if has_agents && !topology.hosts().any(holds_keys) {
        let problem = Problem::at(steps!["regions"], "no host runs a member of a DCS".to_owned());
        let help = format!("Patroni keeps its leader key there: add `{}` to one, three or five hosts", kinds_of_dcs());
        problems.push(problem.help(help));
    } else if !has_agents {
        for (path, host) in hosts_with_paths(topology).filter(|(_, host)| holds_keys(host)) {
            let message = format!("no agent has a key in the DCS of the host `{}`", host.name);
            let help = "`postgresql` runs without an agent: take `patroni` in its place, or leave the DCS out";
            problems.push(Problem::at(below(&path, "services"), message).help(help));
        }
    }
}

fn unknown_host(topology: &Topology, name: &str, path: Path) -> Problem {
    let known: Vec<_> = topology.hosts().map(|host| host.name.as_str()).collect();
    Problem::at(path, format!("no host is called `{name}`")).help(did_you_mean(name, &known))
}

/// The rules of each kind of service, held against the topology's settings, against those of each cluster and against those
/// of single services.
fn settings(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    let most_nodes = clusters.iter().map(|cluster| cluster.nodes.len()).max().unwrap_or_default();
    let own = clusters.iter().enumerate().filter_map(|(index, cluster)| {
        let settings = cluster.settings.as_ref()?;
        Some((steps!["clusters", index, "settings"], settings, cluster.nodes.len()))
    });
    let mut known = BTreeSet::new();
    for (above, settings, nodes) in std::iter::once((steps!["settings"], &topology.settings, most_nodes)).chain(own) {
        for broken in SERVICES.iter().flat_map(|row| (row.rules)(settings, nodes)) {
            // What a cluster has from the topology is said once.
            if known.insert(broken.message.clone()) {
                problems.push(Problem::of_rule(&above, broken));
            }
        }
    }
    problems
        .extend(services::broken_rules(topology).into_iter().map(|(above, broken)| Problem::of_rule(&above, broken)));
}

fn claimed(topology: &Topology, own: &Claims, problems: &mut Vec<Problem>) {
    let known = || own.all().iter().chain(Claims::documented().all()).map(|claim| claim.id.as_str());
    let mut seen = BTreeSet::new();
    for (index, id) in topology.claims.iter().enumerate() {
        let path = steps!["claims", index];
        if !known().any(|other| other == id) {
            let meant = nearest(id, known());
            let question = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
            let help = format!("{question}`pgquake list claims` shows every claim");
            problems.push(Problem::at(path, format!("no claim has the id `{id}`")).help(help));
        } else if !seen.insert(id) {
            problems.push(Problem::at(path, format!("the claim `{id}` stands twice")));
        }
    }
}
