//! Services of hosts: kinds that a topology may place, names and settings of single ones, and the ports that they take.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, RESERVED_HOST_NAMES, below, check_name, hosts_with_paths, steps};
use crate::{
    services::{self, Broken, Port, ServiceKind, service},
    topology::{
        Host, NamedEndpoint, PlacedService, Topology,
        placed::refuses_own,
        position::{Path, Step},
    },
};

/// What is wrong with the services of each host by themselves.
pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    let mut logs: BTreeMap<String, &str> = BTreeMap::new();
    for (path, host) in hosts_with_paths(topology) {
        if host.services.is_empty() {
            let message = format!("the host `{}` runs nothing", host.name);
            problems.push(Problem::at(below(&path, "services"), message));
        }
        let mut known = BTreeSet::new();
        for (index, placed) in host.services.iter().enumerate() {
            let path = below(&below(&path, "services"), index);
            let kind = placed.kind.name();
            if !service(placed.kind).placed_by_topologies {
                let problem = Problem::at(path.clone(), format!("`{kind}` is not a topology's to place"));
                problems.push(problem.help("name `links` with their `shaped_ports`; it comes at both ends"));
            }
            if service(placed.kind).pooler().is_some() {
                pools(topology, host, placed, &path, problems);
            }
            let log = format!("{}-{}", host.name, placed.instance().name());
            if !known.insert(placed.instance()) {
                let problem = Problem::at(path.clone(), format!("`{placed}` stands twice on the host `{}`", host.name));
                let may_have_one = refuses_own(placed.kind).is_none();
                let help = format!("give one of them a name: `{kind}: {{ name: … }}`");
                problems.push(if may_have_one { problem.help(help) } else { problem });
            } else if logs.insert(log.clone(), &host.name).is_some_and(|other| other != host.name) {
                let problem = Problem::at(path.clone(), format!("two services would have the log `{log}`"));
                problems.push(problem.help("logs are called by host and service: give this one another name"));
            }
            if !placed.is_plain() {
                own_name(topology, placed, &below(&path, kind), problems);
                if let Some(other) = placed.name.as_deref().and_then(|name| names.insert(name, &host.name)) {
                    let name = placed.name.as_deref().unwrap_or_default();
                    let message = format!("a service of the host `{other}` is called `{name}` already");
                    problems.push(Problem::at(below(&below(&path, kind), "name"), message));
                }
            }
        }
    }
}

/// A pooler leads to the node of its host, or to the nodes of a role; then there is one cluster, whose agents may point it at
/// another node.
fn pools(topology: &Topology, host: &Host, placed: &PlacedService, path: &[Step], problems: &mut Vec<Problem>) {
    let kind = placed.kind.name();
    let Some(pooler) = service(placed.kind).pooler() else { return };
    let settings = topology.settings_on(host, placed);
    if (pooler.leads_to)(&settings).is_none() {
        if host.node_kind().is_none() {
            let problem = Problem::at(path.into(), format!("`{kind}` has no node on the host `{}`", host.name));
            let help = "it pools sessions with the PostgreSQL of its own host: place it beside one, or say of which role the \
                        nodes are that it `leads_to`";
            problems.push(problem.help(help));
        } else if (pooler.is_repointed)(&settings) {
            let message = format!("`{kind}` leads to the node of its host `{}`: it is not re-pointed", host.name);
            problems.push(Problem::at(path.into(), message).help("leave out `repointed`, or say whom it `leads_to`"));
        }
    } else if topology.clusters.len() > 1 {
        let message = format!("`{kind}` on the host `{}` can't tell which cluster it leads to", host.name);
        problems.push(Problem::at(path.into(), message).help("pools of a role need a topology of one cluster"));
    } else if (pooler.is_repointed)(&settings) && !topology.hosts().any(Host::has_agent) {
        let message = format!("no agent points `{kind}` on the host `{}` at another node", host.name);
        problems
            .push(Problem::at(path.into(), message).help("leave out `repointed`, or have the nodes kept by patroni"));
    }
}

/// A service with a name or settings of its own.
fn own_name(topology: &Topology, placed: &PlacedService, path: &[Step], problems: &mut Vec<Problem>) {
    if let Some(reason) = refuses_own(placed.kind) {
        let message = format!("`{}` takes no name and no settings of its own", placed.kind.name());
        problems.push(Problem { is_of_key: true, ..Problem::at(path.into(), message).help(reason) });
        return;
    }
    let Some(name) = &placed.name else { return };
    let path = below(path, "name");
    check_name("service", name, path.clone(), problems);
    let kinds = ServiceKind::ALL.iter().map(|kind| kind.name());
    // A host's own container is called that.
    let mut reserved = kinds.chain(RESERVED_HOST_NAMES.iter().copied()).chain(["holder"]);
    if reserved.any(|reserved| reserved == name) {
        let problem = Problem::at(path, format!("a service can't be called `{name}`"));
        problems.push(problem.help("a kind of service, an endpoint or a scenario has that name for something else"));
    } else if topology.hosts().any(|host| host.name == *name) {
        let problem = Problem::at(path, format!("`{name}` is a host's name, too"));
        problems.push(problem.help("reports would mean either"));
    }
}

/// Each service that has settings of its own, with these in the place of the others', and what they break.
pub(super) fn broken_rules(topology: &Topology) -> Vec<(Path, Broken)> {
    let mut found = Vec::new();
    for (path, host) in hosts_with_paths(topology) {
        let own = host.services.iter().enumerate().filter(|(_, placed)| placed.own_fields().next().is_some());
        for (index, placed) in own {
            let settings = topology.settings_on(host, placed);
            let above: Path = path.iter().cloned().chain(steps!["services", index, placed.kind.name()]).collect();
            let nodes = topology.nodes().len();
            for mut broken in (service(placed.kind).rules)(&settings, nodes) {
                // What it has from others is said with those.
                let is_own =
                    |field: &Vec<String>| field.last().is_some_and(|last| placed.own_fields().any(|own| own == last));
                if !broken.fields.iter().any(is_own) {
                    continue;
                }
                for section in broken.fields.iter_mut().filter_map(|field| field.first_mut()) {
                    *section = "settings".to_owned();
                }
                found.push((above.clone(), broken));
            }
        }
    }
    found
}

/// A port on which a service of a host listens.
pub(super) struct Listener {
    pub port: u16,
    /// Who, and what for: `haproxy (statistics)`.
    pub who: String,
    /// The endpoint that asks for it.
    pub endpoint: Option<usize>,
    /// The place of the service among those of its host.
    service: usize,
    /// Where the file says so: the first of these that it holds.
    paths: Vec<Path>,
}

/// The ports on which a host's services listen, and who does. Every balancer serves every endpoint that a balancer has,
/// where there is one cluster; else those of its region; and one that endpoints go through, those alone.
pub(super) fn listeners(topology: &Topology, host: &Host) -> Vec<Listener> {
    let path = hosts_with_paths(topology).find(|(_, known)| known.name == host.name).map_or_else(Path::new, |it| it.0);
    let mut found = Vec::new();
    // Another rule reports one that stands twice.
    let once = |(index, placed): &(usize, &PlacedService)| {
        host.services[..*index].iter().all(|earlier| earlier.instance() != placed.instance())
    };
    for (index, placed) in host.services.iter().enumerate().filter(once) {
        let at = below(&below(&path, "services"), index);
        let settings = topology.settings_on(host, placed);
        let kind = placed.kind.name();
        found.extend(service(placed.kind).ports.iter().map(|port: &Port| {
            let own = port.field().map(|field| at.iter().cloned().chain(steps![kind, "settings", field]).collect());
            Listener {
                port: port.number(&settings),
                who: format!("{placed} ({})", port.purpose),
                endpoint: None,
                service: index,
                paths: own.into_iter().chain([at.clone()]).collect(),
            }
        }));
        if service(placed.kind).balancer().is_none() {
            continue;
        }
        let is_served = |(_, endpoint): &(usize, &NamedEndpoint)| {
            let behind = topology.hosts_behind(&endpoint.host);
            let balanced = topology.hosts().any(|host| behind.contains(&host.name.as_str()) && super::balances(host));
            balanced && topology.is_served_by(endpoint, &host.name, &placed.instance())
        };
        let served = topology.endpoints.iter().enumerate().filter(is_served);
        found.extend(served.map(|(place, endpoint)| Listener {
            port: endpoint.port,
            who: format!("{placed} (the endpoint `{}`)", endpoint.name),
            endpoint: Some(place),
            service: index,
            paths: vec![topology.endpoints.path(place, "port")],
        }));
    }
    found
}

pub(super) fn ports_taken_twice(topology: &Topology, problems: &mut Vec<Problem>) {
    // Where an endpoint names no known balancer, who serves it is not known: that mistake is enough.
    let named: BTreeSet<&str> =
        topology.hosts().flat_map(Host::balancers).filter_map(|own| own.name.as_deref()).collect();
    let all_are_known =
        topology.endpoints.iter().filter_map(|endpoint| endpoint.through.as_deref()).all(|name| named.contains(name));
    for (_, host) in hosts_with_paths(topology) {
        // What endpoints ask for comes last: there the clash is shown.
        let mut listeners = listeners(topology, host);
        listeners.sort_by_key(|listener| listener.endpoint.is_some());
        let mut taken: BTreeMap<u16, Listener> = BTreeMap::new();
        for listener in listeners {
            let (port, who) = (listener.port, &listener.who);
            match taken.get(&port) {
                // Two endpoints of one balancer on one port are a mistake that the endpoints' rules name.
                Some(other)
                    if listener.endpoint.is_none()
                        || other.endpoint.is_none()
                        || (listener.service != other.service && all_are_known) =>
                {
                    let message =
                        format!("port {port} of the host `{}` is taken by {} and by {who}", host.name, other.who);
                    let help = match listener.endpoint {
                        Some(_) if other.endpoint == listener.endpoint => {
                            "list the endpoints, and say with `through: NAME` which of the two serves each"
                        }
                        Some(_) => "give the endpoint another port, or a host of its own",
                        None if listener.paths.len() > 1 => {
                            "give one of them another port in settings of its own, or a host of its own"
                        }
                        None => "give one of them a host of its own",
                    };
                    problems.push(Problem::at_all(listener.paths, message).help(help));
                }
                _ => _ = taken.insert(port, listener),
            }
        }
    }
}

/// Whether a host leads clients to nodes.
pub(super) fn balances(host: &Host) -> bool {
    host.balancers().next().is_some()
}

/// The kinds of service that can hold a DCS, as a message names them.
pub(super) fn kinds_of_dcs() -> String {
    let kinds = services::ALL.iter().filter(|row| row.dcs().is_some()).map(|row| row.kind.name());
    kinds.collect::<Vec<_>>().join("` or `")
}
