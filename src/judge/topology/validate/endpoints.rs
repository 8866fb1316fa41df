//! Endpoints: names, hosts that serve clients, ports that nobody else has.

use std::collections::{BTreeMap, BTreeSet};

use super::{Path, Problem, balances, check_name, clusters, listeners};
use crate::{
    services::{PoolOf, Serves, service},
    suggestion::did_you_mean,
    topology::{
        Cluster, GlobalName, Host, NamedEndpoint, POSTGRESQL_PORT, READ, ServiceKind, Topology, VirtualAddress, WRITE,
        position::steps,
    },
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    names(topology, problems);
    for (index, endpoint) in topology.endpoints.iter().enumerate() {
        let name = &endpoint.name;
        let path = |field: &str| topology.endpoints.path(index, field);
        if let Some(through) = &endpoint.through {
            leads_through(topology, index, through, problems);
        }
        if endpoint.pooled {
            leads_to_poolers(topology, index, endpoint, problems);
        }
        if let Some(global) = topology.global_name(&endpoint.host) {
            at_a_name(topology, index, global, problems);
            continue;
        }
        if endpoint.asks_each_time {
            let message = format!("`{}` is no global name: there is nothing to ask for", endpoint.host);
            problems.push(Problem::at(path("asks_each_time"), message));
        }
        if let Some(shared) = topology.virtual_address(&endpoint.host) {
            at_a_virtual_address(topology, index, shared, problems);
            continue;
        }
        let Some(host) = topology.hosts().find(|host| host.name == endpoint.host) else {
            problems.push(unknown_host_or_name(topology, &endpoint.host, path("host")));
            continue;
        };
        let proxied = balances(host);
        let direct = host.node_kind().is_some();
        let port = endpoint.port;
        if !proxied && !direct {
            let message = format!("the endpoint `{name}` is on `{}`, where no client is served", host.name);
            problems
                .push(Problem::at(path("host"), message).help("it needs a host with haproxy, patroni or postgresql"));
        } else if proxied && !clusters::has_agent(topology, &led_to(topology, endpoint)) {
            let message = format!("no agent tells the balancer of the endpoint `{name}` which node leads");
            let help = "name a node as its host: a step of a runbook points clients at another one";
            problems.push(Problem::at(path("host"), message).help(help));
        } else if port == 0 {
            problems.push(Problem::at(path("port"), "no service can listen on port 0".to_owned()));
        } else if service(ServiceKind::Toxiproxy).ports.iter().any(|own| own.number(&topology.settings) == port) {
            let message = format!("port {port} is Toxiproxy's, which comes where links are shaped");
            problems.push(Problem::at(path("port"), message).help("give the endpoint another port"));
        } else if proxied && endpoint.through.is_none() && !is_listened_for(topology, host, index) {
            let message = format!("no balancer of the host `{}` serves the endpoint `{name}`", host.name);
            let names: Vec<_> = host.balancers().filter_map(|placed| placed.name.as_deref()).collect();
            let help = format!("each serves those that go through it alone: write `through: {}`", names.join("` or `"));
            problems.push(Problem::at(path("host"), message).help(help));
        } else if !proxied && port != POSTGRESQL_PORT {
            let message = format!("nothing on `{}` serves port {port} to clients", host.name);
            let help = format!("PostgreSQL listens on {}", POSTGRESQL_PORT);
            problems.push(Problem::at(path("port"), message).help(help));
        }
    }
    published(topology, problems);
    same_port(topology, problems);
}

/// Whether a balancer of a host listens for the endpoint of this place.
fn is_listened_for(topology: &Topology, host: &Host, index: usize) -> bool {
    listeners(topology, host).iter().any(|listener| listener.endpoint == Some(index))
}

/// An endpoint that one balancer serves alone, which is where clients connect.
fn leads_through(topology: &Topology, index: usize, through: &str, problems: &mut Vec<Problem>) {
    let Some(endpoint) = topology.endpoints.iter().nth(index) else { return };
    let path = topology.endpoints.path(index, "through");
    let named = topology.hosts().flat_map(|host| {
        host.balancers().filter_map(move |placed| Some((placed.name.as_deref()?, host.name.as_str())))
    });
    let named: Vec<(&str, &str)> = named.collect();
    let Some((_, on)) = named.iter().find(|(name, _)| *name == through) else {
        let known: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
        let problem = Problem::at(path, format!("no balancer is called `{through}`"));
        problems.push(problem.help(match known.is_empty() {
            true => format!("give one a name: `haproxy: {{ name: {through} }}` among the services of a host"),
            false => did_you_mean(through, &known),
        }));
        return;
    };
    if !topology.hosts_behind(&endpoint.host).contains(on) {
        let message = format!("`{through}` runs on `{on}`, and not on `{}`", endpoint.host);
        problems.push(Problem::at(path, message).help(format!("write `host: {on}`, or name a balancer there")));
    }
}

/// An endpoint at which a balancer leads clients to the pooler of each node.
fn leads_to_poolers(topology: &Topology, index: usize, endpoint: &NamedEndpoint, problems: &mut Vec<Problem>) {
    let path = topology.endpoints.path(index, "pooled");
    let behind = topology.hosts_behind(&endpoint.host);
    let is_led = topology.hosts().any(|host| behind.contains(&host.name.as_str()) && balances(host));
    if !is_led {
        let message = format!("no balancer leads clients of the endpoint `{}` to poolers", endpoint.name);
        problems.push(Problem::at(path, message).help("its host needs a balancer, as `haproxy`"));
        return;
    }
    let of = match endpoint.serves {
        Serves::Primary => Some(PoolOf::Primary),
        Serves::Standbys => Some(PoolOf::Standbys),
        Serves::Leader | Serves::Node => None,
    };
    if of.is_some() && topology.hosts().any(|host| topology.pools(host, of)) {
        return;
    }
    let nodes = led_to(topology, endpoint).nodes;
    let lacks = |host: &&Host| nodes.contains(&host.name) && !topology.pools(host, None);
    if let Some(host) = topology.hosts().find(lacks) {
        let message = format!("the node `{}` has no pooler for the endpoint `{}`", host.name, endpoint.name);
        problems
            .push(Problem::at(path, message).help("add `pgbouncer` to the services of every node that it leads to"));
    }
}

/// The cluster that an endpoint leads to, of those that are known; which one it names is checked elsewhere.
fn led_to(topology: &Topology, endpoint: &NamedEndpoint) -> Cluster {
    let mut clusters = topology.all_clusters();
    let named = clusters.iter().position(|cluster| endpoint.of.as_ref() == Some(&cluster.name));
    clusters.swap_remove(named.unwrap_or_default())
}

/// An endpoint at a global name is served by every host that the name leads to.
fn at_a_name(topology: &Topology, index: usize, global: &GlobalName, problems: &mut Vec<Problem>) {
    let Some(endpoint) = topology.endpoints.iter().nth(index) else { return };
    let path = |field: &str| topology.endpoints.path(index, field);
    if endpoint.publish.is_some() {
        let message = format!("`{}` is a global name: it can't be published at one port", global.name);
        problems
            .push(Problem::at(path("publish"), message).help("publish the endpoints of the hosts that it leads to"));
    }
    let deaf = |host: &&Host| !listeners(topology, host).iter().any(|listener| listener.port == endpoint.port);
    let hosts = global.answers.iter().filter_map(|answer| topology.hosts().find(|host| host.name == answer.host));
    if let Some(host) = hosts.into_iter().find(deaf) {
        let message =
            format!("nothing on `{}`, to which `{}` leads, listens on port {}", host.name, global.name, endpoint.port);
        let help = "where there are several clusters, a balancer listens for the endpoints that name its host";
        problems.push(Problem::at(path("port"), message).help(help));
    }
}

/// An endpoint at a virtual address is served by every host that may hold it.
fn at_a_virtual_address(topology: &Topology, index: usize, shared: &VirtualAddress, problems: &mut Vec<Problem>) {
    let Some(endpoint) = topology.endpoints.iter().nth(index) else { return };
    let path = |field: &str| topology.endpoints.path(index, field);
    if endpoint.publish.is_some() {
        let message = format!("`{}` is a virtual address: it can't be published at one port", shared.name);
        problems.push(Problem::at(path("publish"), message).help("publish endpoints at the hosts that may hold it"));
    }
    let deaf = |host: &&Host| !listeners(topology, host).iter().any(|listener| listener.port == endpoint.port);
    let hosts = topology.hosts().filter(|host| shared.holders.contains(&host.name));
    if let Some(host) = hosts.into_iter().find(deaf) {
        let message =
            format!("nothing on `{}`, which may hold `{}`, listens on port {}", host.name, shared.name, endpoint.port);
        problems.push(Problem::at(path("port"), message).help("add `haproxy` to its services"));
    }
}

fn unknown_host_or_name(topology: &Topology, host: &str, path: Path) -> Problem {
    let names = topology.names.iter().map(|global| global.name.as_str());
    let names = names.chain(topology.virtual_addresses.iter().map(|shared| shared.name.as_str()));
    let known: Vec<&str> = topology.hosts().map(|host| host.name.as_str()).chain(names).collect();
    Problem::at(path, format!("no host is called `{host}`")).help(did_you_mean(host, &known))
}

/// Two endpoints of one balancer, or of balancers that take over from each other, need two ports.
fn same_port(topology: &Topology, problems: &mut Vec<Problem>) {
    let stand_in = topology.all_clusters().len() == 1;
    let balancer = |endpoint: &NamedEndpoint| {
        // Of several clusters, a balancer listens for its own endpoints alone, whatever names lead to it.
        let hosts = if stand_in { topology.hosts_behind(&endpoint.host) } else { vec![endpoint.host.as_str()] };
        topology.hosts().any(|host| hosts.contains(&host.name.as_str()) && balances(host))
    };
    let is_named = |endpoint: &NamedEndpoint| topology.global_name(&endpoint.host).is_some();
    let balanced: Vec<_> = topology.endpoints.iter().enumerate().filter(|(_, endpoint)| balancer(endpoint)).collect();
    for (place, (index, endpoint)) in balanced.iter().enumerate() {
        let clash = |(_, earlier): &&(usize, &NamedEndpoint)| {
            let together = stand_in || topology.region_of(&earlier.host) == topology.region_of(&endpoint.host);
            // A name and what it leads to, or two names, are one front of the balancer.
            let one = (is_named(earlier) || is_named(endpoint)) && earlier.serves == endpoint.serves;
            earlier.port == endpoint.port && together && earlier.through == endpoint.through && !one
        };
        if let Some((_, earlier)) = balanced[..place].iter().find(clash) {
            let message =
                format!("the endpoints `{}` and `{}` share port {}", earlier.name, endpoint.name, endpoint.port);
            let help =
                "every balancer of a region listens on both ports, so they must differ (document 002: 5432 and 5433)";
            problems.push(Problem::at(topology.endpoints.path(*index, "port"), message).help(help));
        }
    }
}

/// Names and clusters of listed endpoints.
fn names(topology: &Topology, problems: &mut Vec<Problem>) {
    let clusters = topology.all_clusters();
    let known: Vec<&str> = clusters.iter().map(|cluster| cluster.name.as_str()).collect();
    if !topology.endpoints.is_list() {
        if clusters.len() > 1 {
            let problem =
                Problem::at(steps!["endpoints"], "it is not said which cluster the endpoints lead to".to_owned());
            problems
                .push(problem.help("list them: `- { name: write, serves: primary, of: CLUSTER, host: …, port: … }`"));
        }
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, endpoint) in topology.endpoints.iter().enumerate() {
        let path = |field: &str| topology.endpoints.path(index, field);
        let name = &endpoint.name;
        check_name("endpoint", name, path("name"), problems);
        if !seen.insert(name) {
            problems.push(Problem::at(path("name"), format!("two endpoints are called `{name}`")));
        }
        if topology.hosts().any(|host| host.name == *name) {
            let problem = Problem::at(path("name"), format!("the endpoint `{name}` has the name of a host"));
            problems.push(problem.help("every node is an endpoint by its own name already"));
        }
        if name == WRITE && endpoint.serves != Serves::Primary || name == READ && endpoint.serves != Serves::Standbys {
            let message = format!("the endpoint `{name}` serves something else");
            problems.push(Problem::at(path("serves"), message).help("`write` serves the primary, `read` the standbys"));
        }
        match &endpoint.of {
            Some(of) if !known.contains(&of.as_str()) => {
                let problem = Problem::at(path("of"), format!("no cluster is called `{of}`"));
                problems.push(problem.help(did_you_mean(of, &known)));
            }
            None if clusters.len() > 1 && topology.global_name(&endpoint.host).is_none() => {
                let problem = Problem::at(path("name"), format!("the endpoint `{name}` is of no cluster"));
                problems.push(problem.help(format!("write `of: {}`", known.join("` or `of: "))));
            }
            _ => {}
        }
    }
    if topology.endpoints.find(WRITE).is_none() {
        let problem = Problem::at(steps!["endpoints"], "no endpoint is called `write`".to_owned());
        problems.push(problem.help("it is where applications write: outages of writes are measured there"));
    }
}

/// The ports of this machine at which endpoints are reached.
fn published(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut taken = BTreeMap::new();
    for (index, endpoint) in topology.endpoints.iter().enumerate() {
        let Some(port) = endpoint.publish else { continue };
        let path = topology.endpoints.path(index, "publish");
        match taken.insert(port, (&endpoint.name, endpoint)) {
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
