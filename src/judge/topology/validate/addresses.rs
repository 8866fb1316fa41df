//! Virtual addresses: names of their own, and hosts that can hold them and serve their clients.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, RESERVED_HOST_NAMES, below, check_name, hosts_with_paths, steps, unknown_host};
use crate::{
    services::{Role, service},
    topology::{Host, NetworkDriver, Topology, VirtualAddress, position::Path, virtual_addresses::MOST},
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let known = problems.len();
    let mut names = BTreeSet::new();
    let mut held: BTreeMap<&str, &str> = BTreeMap::new();
    if topology.virtual_addresses.len() > MOST {
        let problem = Problem::at(steps!["virtual_addresses"], format!("there are more than {MOST} virtual addresses"));
        problems.push(problem.help("they are addresses of one network of 254"));
    }
    let overlay = topology.regions.iter().position(|region| region.driver == NetworkDriver::Overlay);
    if let Some(index) = overlay.filter(|_| !topology.virtual_addresses.is_empty()) {
        let message = "no virtual address can be held in an overlay network".to_owned();
        let problem = Problem::at(steps!["regions", index, "driver"], message);
        problems.push(
            problem.help("such a network delivers nothing to an address that the engine did not give: take `bridge`"),
        );
    }
    for (index, shared) in topology.virtual_addresses.iter().enumerate() {
        let path = |field: &str| -> Path { steps!["virtual_addresses", index, field] };
        let name = shared.name.as_str();
        check_name("virtual address", name, path("name"), problems);
        let is_host = topology.host_called(name).is_some();
        if is_host || topology.global_name(name).is_some() || RESERVED_HOST_NAMES.contains(&name) {
            let problem = Problem::at(path("name"), format!("`{name}` is the name of something else, too"));
            problems.push(problem.help("no host, alias, global name or endpoint can have it"));
        } else if !names.insert(name) {
            problems.push(Problem::at(path("name"), format!("two virtual addresses are called `{name}`")));
        }
        if shared.holders.len() < 2 {
            let problem = Problem::at(path("holders"), format!("nobody could take `{name}` over"));
            problems.push(problem.help("it needs two hosts or more that may hold it"));
        }
        holders(topology, index, shared, &mut held, problems);
    }
    // Who is left without an address by a mistake in one made none of its own.
    if problems.len() == known {
        idle(topology, problems);
    }
}

fn holds_addresses(host: &Host) -> bool {
    host.kinds().any(|kind| matches!(service(kind).role, Role::Address))
}

fn holders<'a>(
    topology: &'a Topology,
    index: usize,
    shared: &'a VirtualAddress,
    held: &mut BTreeMap<&'a str, &'a str>,
    problems: &mut Vec<Problem>,
) {
    let name = &shared.name;
    let region = shared.holders.first().and_then(|first| topology.region_of(first));
    for (place, holder) in shared.holders.iter().enumerate() {
        let path = steps!["virtual_addresses", index, "holders", place];
        let Some(host) = topology.hosts().find(|host| host.name == *holder) else {
            problems.push(unknown_host(topology, holder, path));
            continue;
        };
        let taken = held.insert(holder, name);
        if let Some(other) = taken {
            let problem = Problem::at(path, format!("`{holder}` may hold `{other}` already"));
            problems.push(problem.help("a host holds one virtual address, and is named once"));
        } else if !holds_addresses(host) {
            let problem = Problem::at(path, format!("nothing on `{holder}` can hold `{name}`"));
            problems.push(problem.help("add `keepalived` to its services"));
        } else if topology.region_of(holder) != region {
            let problem =
                Problem::at(path, format!("`{holder}` is in another region than the first holder of `{name}`"));
            problems.push(problem.help("an address moves within one network, which is that of a region"));
        }
    }
}

/// What would hold an address, and has none.
fn idle(topology: &Topology, problems: &mut Vec<Problem>) {
    for (path, host) in hosts_with_paths(topology) {
        let place = host.kinds().position(|kind| matches!(service(kind).role, Role::Address));
        if let Some(place) = place.filter(|_| topology.shared_by(&host.name).is_none()) {
            let path = below(&below(&path, "services"), place);
            let message = format!("`{}` holds no virtual address on `{}`", host.services[place], host.name);
            problems.push(Problem::at(path, message).help("name the host among the `holders` of one"));
        }
    }
}
