//! What a topology must keep beyond its format: names that exist, ports that are served, rules that Patroni and
//! etcd hold themselves to. Found here, with a line, and not after half a minute of start-up.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Endpoint, Host, POSTGRESQL_PORT, ServiceKind, Topology,
    position::{Path, Step, steps},
};
use crate::{
    claims,
    services::{self, Port, service},
    suggestion::{did_you_mean, nearest},
};

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

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Everything that is wrong with a topology. `file_stem` is the name that its file gives it.
pub(super) fn problems(topology: &Topology, file_stem: Option<&str>) -> Vec<Problem> {
    let mut problems = Vec::new();
    own_name(topology, file_stem, &mut problems);
    regions(topology, &mut problems);
    hosts(topology, &mut problems);
    needs(topology, &mut problems);
    endpoints(topology, &mut problems);
    ports_taken_twice(topology, &mut problems);
    links(topology, &mut problems);
    settings(topology, &mut problems);
    claimed(topology, &mut problems);
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
        problems.push(Problem::at(path, format!("`{name}` can't be the name of a {what}")).help(DNS_LABEL_RULE));
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
        if host.services.is_empty() {
            let message = format!("the host `{}` runs nothing", host.name);
            problems.push(Problem::at(below(&path, "services"), message));
        }
        let mut kinds = BTreeSet::new();
        for (index, kind) in host.services.iter().enumerate().filter(|(_, kind)| !kinds.insert(**kind)) {
            let message = format!("`{}` stands twice on the host `{}`", kind.name(), host.name);
            problems.push(Problem::at(below(&below(&path, "services"), index), message));
        }
        let unplaced = host.services.iter().enumerate().filter(|(_, kind)| !service(**kind).placed_by_topologies);
        for (index, kind) in unplaced {
            let message = format!("`{}` is not a topology's to place", kind.name());
            let problem = Problem::at(below(&below(&path, "services"), index), message);
            problems.push(problem.help("name `links` with their `shaped_ports`; it comes at both ends"));
        }
    }
}

/// Services that are of no use without others.
fn needs(topology: &Topology, problems: &mut Vec<Problem>) {
    let runs = |kind| topology.hosts_with(kind).next().is_some();
    if !runs(ServiceKind::Patroni) {
        let problem = Problem::at(steps!["regions"], "no host runs patroni".to_owned());
        problems.push(problem.help("without a PostgreSQL node there is nothing to drill, and nothing to proxy"));
    } else if !runs(ServiceKind::Etcd) {
        let problem = Problem::at(steps!["regions"], "no host runs etcd".to_owned());
        problems.push(problem.help("Patroni keeps its leader key there: add `etcd` to one, three or five hosts"));
    }
}

fn endpoints(topology: &Topology, problems: &mut Vec<Problem>) {
    for (name, _, endpoint) in topology.endpoints.named() {
        let path = |field: &str| steps!["endpoints", name, field];
        let Some(host) = topology.hosts().find(|host| host.name == endpoint.host) else {
            problems.push(unknown_host(topology, &endpoint.host, path("host")));
            continue;
        };
        let proxied = host.services.contains(&ServiceKind::Haproxy);
        let direct = host.services.contains(&ServiceKind::Patroni);
        let port = endpoint.port;
        if !proxied && !direct {
            let message = format!("the endpoint `{name}` is on `{}`, where no client is served", host.name);
            problems.push(Problem::at(path("host"), message).help("it needs a host with haproxy or patroni"));
        } else if port == 0 {
            problems.push(Problem::at(path("port"), "no service can listen on port 0".to_owned()));
        } else if service(ServiceKind::Toxiproxy).ports.iter().any(|own| own.number == port) {
            let message = format!("port {port} is Toxiproxy's, which comes where links are shaped");
            problems.push(Problem::at(path("port"), message).help("give the endpoint another port"));
        } else if !proxied && port != POSTGRESQL_PORT {
            let message = format!("nothing on `{}` serves port {port} to clients", host.name);
            let help = format!("PostgreSQL listens on {}", POSTGRESQL_PORT);
            problems.push(Problem::at(path("port"), message).help(help));
        }
    }
    published(topology, problems);
    if let Some(read) = &topology.endpoints.read {
        let write = &topology.endpoints.write;
        let proxies =
            |endpoint: &Endpoint| topology.hosts_with(ServiceKind::Haproxy).any(|proxy| proxy.name == endpoint.host);
        if write.port == read.port && proxies(write) && proxies(read) {
            let message = format!("reads and writes share port {} of the proxy", read.port);
            let help = "every haproxy listens on both ports, so they must differ (document 002: 5432 and 5433)";
            problems.push(Problem::at(steps!["endpoints", "read", "port"], message).help(help));
        }
    }
}

/// The ports of this machine at which endpoints are reached.
fn published(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut taken = BTreeMap::new();
    for (name, _, endpoint) in topology.endpoints.named() {
        let Some(port) = endpoint.publish else { continue };
        let path = steps!["endpoints", name, "publish"];
        match taken.insert(port, (name, endpoint)) {
            _ if port == 0 => {
                let problem = Problem::at(path, "an endpoint can't be published at port 0".to_owned());
                problems.push(problem.help("leave `publish` out for any port that is free"));
            }
            Some((other, first)) if (&first.host, first.port) != (&endpoint.host, endpoint.port) => {
                let message = format!("port {port} of this machine is taken by the endpoint `{other}`");
                problems.push(Problem::at(path, message).help("publish each endpoint at a port of its own"));
            }
            _ => {}
        }
    }
}

fn unknown_host(topology: &Topology, name: &str, path: Path) -> Problem {
    let known: Vec<_> = topology.hosts().map(|host| host.name.as_str()).collect();
    Problem::at(path, format!("no host is called `{name}`")).help(did_you_mean(name, &known))
}

/// The ports on which a host's services listen, and who does. Every proxy serves every endpoint that a proxy has.
fn listeners(topology: &Topology, host: &Host) -> Vec<(u16, String, Option<&'static str>)> {
    let proxied =
        |endpoint: &Endpoint| topology.hosts_with(ServiceKind::Haproxy).any(|proxy| proxy.name == endpoint.host);
    let kinds: BTreeSet<_> = host.services.iter().collect();
    let own = kinds.into_iter().flat_map(|kind| {
        let listens = |port: &Port| (port.number, format!("{} ({})", kind.name(), port.purpose), None);
        service(*kind).ports.iter().map(listens)
    });
    let mut found: Vec<_> = own.collect();
    if host.services.contains(&ServiceKind::Haproxy) {
        let through = topology.endpoints.named().filter(|(.., endpoint)| proxied(endpoint));
        found.extend(
            through.map(|(name, _, endpoint)| (endpoint.port, format!("haproxy (the endpoint `{name}`)"), Some(name))),
        );
    }
    found
}

fn ports_taken_twice(topology: &Topology, problems: &mut Vec<Problem>) {
    for (path, host) in hosts_with_paths(topology) {
        let mut taken: BTreeMap<u16, String> = BTreeMap::new();
        for (port, who, endpoint) in listeners(topology, host) {
            match taken.get(&port) {
                // Two endpoints on one port are told of with the endpoints.
                Some(other) if !(endpoint.is_some() && other.contains("endpoint")) => {
                    let message = format!("port {port} of the host `{}` is taken by {other} and by {who}", host.name);
                    let at =
                        endpoint.map_or_else(|| below(&path, "services"), |name| steps!["endpoints", name, "port"]);
                    problems
                        .push(Problem::at(at, message).help("give the endpoint another port, or a host of its own"));
                }
                _ => _ = taken.insert(port, who),
            }
        }
    }
}

fn links(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, link) in topology.links.iter().enumerate() {
        let path = |field: &str| steps!["links", index, field];
        for (field, name) in [("from", &link.from), ("to", &link.to)] {
            if !topology.hosts().any(|host| host.name == *name) {
                problems.push(unknown_host(topology, name, path(field)));
            }
        }
        if link.from == link.to {
            let message = format!("a link from `{}` to itself", link.from);
            problems.push(Problem::at(path("to"), message).help("a host reaches itself without a network"));
        }
        if !seen.insert((&link.from, &link.to)) {
            let message = format!("a second link from `{}` to `{}`", link.from, link.to);
            problems.push(Problem::at(steps!["links", index], message).help("list every port in one link"));
        }
        if link.shaped_ports.is_empty() {
            let message = format!("the link from `{}` to `{}` shapes no port", link.from, link.to);
            problems.push(Problem::at(path("shaped_ports"), message).help("a link that is not named is direct"));
        }
        shaped_ports(topology, index, problems);
    }
}

/// A shaped port is a listener on one end that leads to a service on the other one.
fn shaped_ports(topology: &Topology, index: usize, problems: &mut Vec<Problem>) {
    let link = &topology.links[index];
    let ends: Vec<&Host> = topology.hosts().filter(|host| [&link.from, &link.to].contains(&&host.name)).collect();
    if ends.len() < 2 {
        return;
    }
    let served: BTreeMap<u16, String> =
        ends.iter().flat_map(|end| listeners(topology, end)).map(|(port, who, _)| (port, who)).collect();
    let mut seen = BTreeSet::new();
    for (position, port) in link.shaped_ports.iter().enumerate() {
        let path = steps!["links", index, "shaped_ports", position];
        if !seen.insert(port) {
            problems.push(Problem::at(path, format!("port {port} stands twice in this link")));
        } else if !served.contains_key(port) {
            let known: Vec<_> = served.iter().map(|(port, who)| format!("{port} {who}")).collect();
            let message = format!("nothing on `{}` or `{}` listens on port {port}", link.from, link.to);
            problems.push(Problem::at(path, message).help(format!("they have {}", known.join(", "))));
        }
    }
}

/// The rules of each kind of service.
fn settings(topology: &Topology, problems: &mut Vec<Problem>) {
    let nodes = topology.nodes().len();
    for broken in services::ALL.iter().flat_map(|row| (row.rules)(&topology.settings, nodes)) {
        let path = |field: Vec<String>| std::iter::once("settings".to_owned()).chain(field).map(Step::Key).collect();
        problems.push(Problem {
            paths: broken.fields.into_iter().map(path).collect(),
            message: broken.message,
            help: broken.help,
            is_of_key: broken.is_of_name,
        });
    }
}

fn claimed(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut seen = BTreeSet::new();
    for (index, id) in topology.claims.iter().enumerate() {
        let path = steps!["claims", index];
        if claims::find(id).is_none() {
            let meant = nearest(id, claims::all().iter().map(|claim| claim.id.as_str()));
            let question = meant.map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
            let help = format!("{question}`pgquake list claims` shows every claim");
            problems.push(Problem::at(path, format!("no claim has the id `{id}`")).help(help));
        } else if !seen.insert(id) {
            problems.push(Problem::at(path, format!("the claim `{id}` stands twice")));
        }
    }
}
