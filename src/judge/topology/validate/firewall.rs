//! Networks and the rules of their hosts: names that exist, and rules that can fit.

use std::collections::BTreeSet;

use super::{Path, Problem, check_name, did_you_mean, steps, unknown_host};
use crate::topology::{NetworkDriver, Region, Topology};

pub(super) fn check(topology: &Topology, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for (index, network) in topology.networks.iter().enumerate() {
        check_name("network", &network.name, steps!["networks", index, "name"], problems);
        if !names.insert(network.name.as_str()) {
            let message = format!("two networks are called `{}`", network.name);
            problems.push(Problem::at(steps!["networks", index, "name"], message));
        }
        for (place, host) in network.hosts.iter().enumerate() {
            if !topology.hosts().any(|known| known.name == *host) {
                problems.push(unknown_host(topology, host, steps!["networks", index, "hosts", place]));
            }
        }
    }
    let Some(firewall) = &topology.firewall else { return };
    let is_overlay = |region: &Region| region.driver == NetworkDriver::Overlay;
    if let Some(index) = topology.regions.iter().position(is_overlay) {
        let message = "a firewall can't stand in an overlay network".to_owned();
        let problem = Problem::at(steps!["regions", index, "driver"], message);
        problems.push(
            problem
                .help("its rules would keep out the harness, which comes in by another network there: take `bridge`"),
        );
    }
    let known: Vec<&str> = names.iter().copied().collect();
    let mut is_known = |name: &str, path: Path| {
        if !names.contains(name) {
            let problem = Problem::at(path, format!("no network is called `{name}`"));
            problems.push(problem.help(did_you_mean(name, &known)));
        }
    };
    is_known(&firewall.on, steps!["firewall", "on"]);
    for (index, rule) in firewall.rules.iter().enumerate() {
        if let Some(from) = &rule.from {
            is_known(from, steps!["firewall", "rules", index, "from"]);
        }
    }
    for (index, _) in firewall.rules.iter().enumerate().filter(|(_, rule)| rule.port == 0) {
        let path = steps!["firewall", "rules", index, "port"];
        problems.push(Problem::at(path, "no service can listen on port 0".to_owned()));
    }
}
