//! Links: ends that exist, ports that are served, properties that can be.

use std::collections::{BTreeMap, BTreeSet};

use super::{Problem, listeners, unknown_host};
use crate::{
    suggestion::did_you_mean,
    topology::{Host, Topology, position::steps},
};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    region_links(topology, problems);
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
        ends.iter().flat_map(|end| listeners(topology, end)).map(|it| (it.port, it.who)).collect();
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

/// No round trip on earth takes longer; a proof of a delay would not end in its time either.
const LONGEST_ROUND_TRIP_MS: u64 = 2000;

fn region_links(topology: &Topology, problems: &mut Vec<Problem>) {
    let known: Vec<&str> = topology.regions.iter().map(|region| region.name.as_str()).collect();
    for (index, link) in topology.region_links.iter().enumerate() {
        let path = |field: &str| steps!["region_links", index, field];
        let [one, other] = &link.between;
        for (end, name) in link.between.iter().enumerate().filter(|(_, name)| !known.contains(&name.as_str())) {
            let at = steps!["region_links", index, "between", end];
            problems.push(Problem::at(at, format!("no region is called `{name}`")).help(did_you_mean(name, &known)));
        }
        if one == other {
            let message = format!("a link from the region `{one}` to itself");
            problems.push(Problem::at(path("between"), message).help("hosts of one region meet directly"));
        }
        if topology.region_links[..index].iter().any(|earlier| earlier.joins(one, other)) {
            let message = format!("a second link between `{one}` and `{other}`");
            problems.push(Problem::at(path("between"), message).help("it is the same both ways"));
        }
        if link.round_trip_ms > LONGEST_ROUND_TRIP_MS {
            let message = format!("a round trip of {} ms; at most {LONGEST_ROUND_TRIP_MS} ms", link.round_trip_ms);
            problems.push(Problem::at(path("round_trip_ms"), message));
        }
        if link.jitter_ms > link.round_trip_ms {
            let message = format!("a round trip of {} ms can't vary by {} ms", link.round_trip_ms, link.jitter_ms);
            problems.push(Problem::at_all(vec![path("jitter_ms"), path("round_trip_ms")], message));
        }
        if link.bandwidth_mbit_per_s == Some(0) {
            let message = "a link that passes no data is cut: leave it out, and cut it in a scenario".to_owned();
            problems.push(Problem::at(path("bandwidth_mbit_per_s"), message));
        }
    }
}
