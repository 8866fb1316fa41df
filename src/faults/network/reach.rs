//! Which services a set of cuts robs of what they need.
//!
//! A partition is made of packets, but what a failover's course depends on is who lost whom: whether the primary's
//! agent still reaches the DCS, and whether the raft leader still leads a majority.

use super::cut::Cut;
use crate::{
    faults::CLIENTS,
    plan::Plan,
    services::{self, Role, service},
    topology::{Instance, ServiceKind},
};

/// The services that are hit:
///
/// - a member of the DCS that no majority of members can talk with any more,
/// - an agent that can't talk with any member that still can,
/// - Patroni with PostgreSQL, a pooler, and a proxy, on a host that the fault is aimed at, if their ports are concerned,
/// - a proxy or a server of names that clients can't reach.
pub(super) fn services_hit(plan: &Plan, cuts: &[Cut], aimed: &[String]) -> Vec<(String, Instance)> {
    let talks = |one: &str, other: &str, port: Option<u16>| {
        let between = |cut: &Cut| (cut.from == one && cut.to == other) || (cut.from == other && cut.to == one);
        !cuts.iter().any(|cut| between(cut) && port.is_none_or(|port| cut.concerns(port)))
    };
    let leads = |member: &str| {
        plan.dcs_at(member).is_some_and(|dcs| {
            let port = service(dcs.kind).dcs().map(|dcs| dcs.peer_port);
            let reached = dcs.members.iter().filter(|peer| talks(member, peer, port)).count();
            reached * 2 > dcs.members.len()
        })
    };
    let has_dcs = |host: &str| {
        let dcs = plan.cluster_at(host).and_then(|cluster| plan.dcs_of(cluster));
        dcs.is_none_or(|dcs| {
            let port = service(dcs.kind).dcs().map(|dcs| dcs.client_port);
            dcs.members.iter().any(|member| leads(member) && talks(host, member, port))
        })
    };
    let nodes_ports = || services::ALL.iter().filter(|row| row.is_node()).flat_map(|row| row.ports);
    let is_cut = |host: &str| {
        let touches = |cut: &&Cut| cut.from == host || cut.to == host;
        cuts.iter()
            .filter(touches)
            .any(|cut| nodes_ports().any(|port| cut.concerns(port.number(&plan.topology.settings))))
    };
    let is_aimed_at = |host: &str| aimed.iter().any(|aimed| aimed == host);
    let from_clients = |host: &str| {
        cuts.iter().any(|cut| (cut.from == CLIENTS && cut.to == host) || (cut.to == CLIENTS && cut.from == host))
    };
    let hit = |host: &str, kind: ServiceKind| match service(kind).role {
        Role::Dcs(_) => !leads(host),
        Role::Node(_) => (is_aimed_at(host) && is_cut(host)) || !has_dcs(host),
        Role::Balancer(_) => from_clients(host) || (is_aimed_at(host) && is_cut(host)),
        Role::Pooler(_) => is_aimed_at(host) && is_cut(host),
        Role::Names => from_clients(host),
        // Nodes archive there, as peers that are cut off from it.
        Role::Buckets => from_clients(host) || cuts.iter().any(|cut| cut.from == host || cut.to == host),
        Role::Address | Role::None => false,
    };
    let hit = plan.services.iter().filter(|service| hit(&service.host, service.kind));
    hit.map(|service| (service.host.clone(), service.instance())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology;

    fn hit(some: &[&str], others: &[&str], ports: &[u16]) -> Vec<String> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let plan = Plan::new(topology::load("single-region-fast", &[]).unwrap());
        let cuts = Cut::between(&names(some), &names(others), (true, true), ports);
        let hit = services_hit(&plan, &cuts, &names(some));
        hit.into_iter().map(|(host, service)| format!("{host}/{}", service.name())).collect()
    }

    #[test]
    fn a_host_in_the_minority_loses_its_dcs_whichever_side_was_aimed_at() {
        assert_eq!(hit(&["node1"], &["node2", "node3", "proxy"], &[]), ["node1/etcd", "node1/patroni"]);
        let others = hit(&["node2", "node3"], &["node1"], &[]);
        assert_eq!(others, ["node1/etcd", "node1/patroni", "node2/patroni", "node3/patroni"]);
        // One of two links: each member still talks with a majority.
        assert_eq!(hit(&["node1"], &["node2"], &[]), ["node1/patroni"]);
    }

    #[test]
    fn ports_decide_what_a_cut_concerns() {
        let members = ["node1", "node2", "node3"];
        assert_eq!(hit(&["node1"], &members, &[2379]), ["node1/patroni"]);
        assert_eq!(hit(&["node1"], &["node2", "node3"], &[5432]), ["node1/patroni"]);
        assert_eq!(hit(&["node1"], &["node2", "node3"], &[2380]), ["node1/etcd"]);
        assert_eq!(hit(&[CLIENTS], &["proxy"], &[5432]), ["proxy/haproxy"]);
    }
}
