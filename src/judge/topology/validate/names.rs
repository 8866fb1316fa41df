//! What global names must keep: hosts that serve clients, a server that answers, answers that it can give.

use super::{BTreeSet, Path, Problem, Topology, check_name, listeners, service, steps, unknown_host};
use crate::{
    services::powerdns::MOST_TTL_S,
    topology::{Answer, GlobalName, Host, position::Step},
};

/// An answer by weight or by health is one text of PowerDNS's, which has at most 255 characters.
const MOST_ANSWERS: usize = 8;

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    servers(topology, problems);
    let mut seen = BTreeSet::new();
    for (index, name) in topology.names.iter().enumerate() {
        let path = |field: &str| steps!["names", index, field];
        for label in name.name.split('.') {
            check_name("global name", label, path("name"), problems);
        }
        if !seen.insert(&name.name) {
            problems.push(Problem::at(path("name"), format!("two names are called `{}`", name.name)));
        }
        if topology.host_called(&name.name).is_some() {
            let problem = Problem::at(path("name"), format!("`{}` is a host's name, too", name.name));
            problems.push(problem.help("an endpoint's `host` would mean either"));
        }
        match name.ttl_s {
            Some(0) => problems.push(Problem::at(path("ttl_s"), "ttl_s must be at least 1".to_owned())),
            Some(ttl_s) if ttl_s > MOST_TTL_S => {
                problems.push(Problem::at(path("ttl_s"), format!("ttl_s is {ttl_s}; DNS has at most {MOST_TTL_S}")));
            }
            _ => {}
        }
        answers(topology, index, name, problems);
    }
}

/// One host answers the names.
fn servers(topology: &Topology, problems: &mut Vec<Problem>) {
    let answers = |host: &&Host| host.kinds().any(|kind| service(kind).answers_names());
    let servers: Vec<&Host> = topology.hosts().filter(answers).collect();
    match servers.as_slice() {
        [] if !topology.names.is_empty() => {
            let problem = Problem::at(steps!["names"], "no host answers these names".to_owned());
            problems.push(problem.help("add `powerdns` to the services of a host, best of one that has no other"));
        }
        [first, second, ..] => {
            let message = format!("`{}` and `{}` both answer names", first.name, second.name);
            let problem = Problem::at(steps!["regions"], message);
            problems.push(problem.help("a zone has one server here: leave `powerdns` to one host"));
        }
        _ => {}
    }
}

fn answers(topology: &Topology, index: usize, name: &GlobalName, problems: &mut Vec<Problem>) {
    let path = steps!["names", index, "answers"];
    if name.answers.is_empty() {
        problems.push(Problem::at(path.clone(), format!("the name `{}` leads nowhere", name.name)));
    } else if name.answers.len() > MOST_ANSWERS {
        let message = format!("the name `{}` has {} answers, more than {MOST_ANSWERS}", name.name, name.answers.len());
        problems.push(Problem::at(path.clone(), message));
    }
    let mut seen = BTreeSet::new();
    for (position, answer) in name.answers.iter().enumerate() {
        let at =
            |field: &str| -> Path { path.iter().cloned().chain([Step::from(position), Step::from(field)]).collect() };
        if !seen.insert(&answer.host) {
            let message = format!("the name `{}` leads to `{}` twice", name.name, answer.host);
            problems.push(Problem::at(at("host"), message).help("give the host a larger weight instead"));
        }
        match topology.hosts().find(|host| host.name == answer.host) {
            None => problems.push(unknown_name_or_host(topology, &answer.host, at("host"))),
            Some(host) => serves(topology, name, host, at("host"), problems),
        }
        weight(name, answer, &at, problems);
    }
}

/// A name leads to hosts, and not to another name.
fn unknown_name_or_host(topology: &Topology, answered: &str, path: Path) -> Problem {
    if topology.global_name(answered).is_some() {
        let message = format!("`{answered}` is a global name, and not a host");
        return Problem::at(path, message).help("a name leads to hosts: write those that it stands for");
    }
    unknown_host(topology, answered, path)
}

/// Clients that were led to a host must be served there.
fn serves(topology: &Topology, name: &GlobalName, host: &Host, path: Path, problems: &mut Vec<Problem>) {
    let is_served = |row: &crate::services::Service| row.is_node() || row.balancer().is_some();
    let port = topology.health_checked_port(name);
    if !host.kinds().any(|kind| is_served(service(kind))) {
        let message = format!("the name `{}` leads to `{}`, where no client is served", name.name, host.name);
        problems.push(Problem::at(path, message).help("it needs a host with haproxy or patroni"));
    } else if name.health_checked && !listeners(topology, host).iter().any(|listener| listener.port == port) {
        let message = format!("nothing on `{}` listens on port {port}, by which its health is checked", host.name);
        problems
            .push(Problem::at(path, message).help("the port is that of the endpoint at this name, or else of `write`"));
    }
}

/// PowerDNS adds the weights of a name in 32 bits with a sign.
const WEIGHT_MOST: u32 = 1_000_000;

fn weight(name: &GlobalName, answer: &Answer, at: &impl Fn(&str) -> Path, problems: &mut Vec<Problem>) {
    match answer.weight {
        Some(_) if name.health_checked => {
            let message = format!("the health-checked name `{}` has no weights", name.name);
            let help = "the first host that accepts connections is answered; leave one of the two out";
            problems.push(Problem::at(at("weight"), message).help(help));
        }
        Some(0) => {
            let problem = Problem::at(at("weight"), "a weight must be at least 1".to_owned());
            problems.push(problem.help("leave a host out that is never to be answered"));
        }
        Some(weight) if weight > WEIGHT_MOST => {
            let message = format!("a weight of {weight}; at most {WEIGHT_MOST}");
            problems
                .push(Problem::at(at("weight"), message).help("weights are shares against each other, as 70 and 30"));
        }
        None if name.is_weighted() && !name.health_checked => {
            let message = format!("`{}` has no weight, and other answers have one", answer.host);
            problems.push(Problem::at(at("host"), message).help("give every answer a `weight`, or none"));
        }
        _ => {}
    }
}
