//! Connections that a firewall should have let in, and others.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, ConnectionAnswer, ConnectionTried},
    },
    plan::Plan,
};
use serde_json::json;

use super::{
    course::{Course, plan, run},
    edits::with,
    value,
};

const NAME: &str = "firewall";
const THROUGH: &str = "connections_let_through";
const OUT: &str = "connections_kept_out";

/// node1 and node2 are in one network, the proxy in another; 6432 is for the proxy, 2379 for nodes.
fn guarded() -> Plan {
    let mut topology = plan(false).topology;
    let networks = json!([
        { "name": "coordinator-net", "hosts": ["node1", "node2", "node3"] },
        { "name": "admin-net", "hosts": ["proxy1"] },
    ]);
    let firewall = json!({ "on": "coordinator-net", "default": "accept", "rules": [
        { "port": 5432, "from": "admin-net" },
        { "port": 5432, "action": "drop" },
        { "port": 2379, "from": "coordinator-net" },
    ] });
    topology.networks = serde_json::from_value(networks).expect("networks");
    topology.firewall = serde_json::from_value(firewall).expect("a firewall");
    Plan::new(topology)
}

/// Every connection as the rules want it, but for these.
fn judged(expected: &'static str, other: &[(&str, &str, u16, ConnectionAnswer)]) -> Finding {
    judged_of(expected, tried(other), 1_000)
}

fn tried(other: &[(&str, &str, u16, ConnectionAnswer)]) -> Vec<ConnectionTried> {
    let Plan { topology, .. } = guarded();
    let firewall = topology.firewall.as_ref().expect("a firewall");
    let one = |(from, to, port): (&str, &str, u16)| {
        let wanted = if topology.is_let_in(firewall, from, port) { Accepted } else { Silence };
        let given = other.iter().find(|own| (own.0, own.1, own.2) == (from, to, port)).map(|own| own.3);
        ConnectionTried { from: from.to_owned(), to: to.to_owned(), port, answer: given.unwrap_or(wanted) }
    };
    topology.connections_to_try().into_iter().map(one).collect()
}

fn judged_of(expected: &'static str, tried: Vec<ConnectionTried>, at_ms: u64) -> Finding {
    let events = run(&[Course { expected: vec![(NAME, expected, Bound::Exactly(0.0))], ..Course::default() }]);
    let events: Vec<Event> =
        if tried.is_empty() { events } else { with(events, at_ms, Occurrence::ConnectionsTried { tried }) };
    let found = (find(NAME).expect("the check").judge)(&Evidence::new(&guarded(), None, &events));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().expect("one")
}

use ConnectionAnswer::{Accepted, Refused, Silence};

#[test]
fn rules_that_do_what_they_are_there_for_pass() {
    let own = judged(
        THROUGH,
        &[("proxy1", "node1", 5432, Accepted), ("node2", "node1", 5432, Silence), ("node2", "node1", 2379, Refused)],
    );
    assert_eq!((own.outcome, value(&own, THROUGH), value(&own, OUT)), (Outcome::Pass, 0.0, 0.0), "{own:#?}");
}

/// No rule drops it, and none is there to accept it. A refusal got through, too.
#[test]
fn whoever_gets_through_to_a_port_that_is_for_others_fails() {
    for answer in [Accepted, Refused] {
        let own = judged(THROUGH, &[("proxy1", "node1", 2379, answer), ("node2", "node1", 2379, Accepted)]);
        assert_eq!((own.outcome, value(&own, THROUGH)), (Outcome::Fail, 1.0), "{own:#?}");
        assert!(own.summary.contains("the first from proxy1 to node1:2379"), "{}", own.summary);
        assert!(!own.evidence.is_empty());
    }
}

#[test]
fn whoever_is_kept_out_that_a_rule_is_there_for_fails() {
    let tried = [("proxy1", "node1", 5432, Silence)];
    assert_eq!(judged(OUT, &tried).outcome, Outcome::Fail);
    assert_eq!(judged(THROUGH, &tried).outcome, Outcome::Pass);
}

#[test]
fn what_nobody_tried_is_in_doubt() {
    assert_eq!(judged_of(THROUGH, Vec::new(), 1_000).outcome, Outcome::Inconclusive);
    let mut one_missing = tried(&[]);
    one_missing.pop();
    let own = judged_of(THROUGH, one_missing, 1_000);
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    // A network that is gone keeps everybody out as well.
    let silent = tried(&[]).into_iter().map(|one| ConnectionTried { answer: Silence, ..one }).collect();
    let own = judged_of(THROUGH, silent, 1_000);
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
}

/// node1 is down from 2,000 ms on.
#[test]
fn a_host_that_a_fault_keeps_down_is_kept_out_by_no_rule() {
    let down = tried(&[("proxy1", "node1", 5432, Silence), ("node2", "node1", 2379, Silence)]);
    let own = judged_of(OUT, down.clone(), 2_400);
    assert_eq!((own.outcome, value(&own, OUT)), (Outcome::Pass, 0.0), "{own:#?}");
    assert_eq!(judged_of(OUT, down, 1_000).outcome, Outcome::Fail);
}

/// One network is barred, and everybody else let in: the first rule that fits decides.
#[test]
fn a_network_that_is_barred_before_everybody_is_let_in_is_meant_to_be_kept_out() {
    let Plan { mut topology, .. } = guarded();
    let rules = json!({ "on": "coordinator-net", "default": "drop", "rules": [
        { "port": 5432, "from": "admin-net", "action": "drop" },
        { "port": 5432 },
    ] });
    topology.firewall = serde_json::from_value(rules).expect("a firewall");
    let firewall = topology.firewall.as_ref().expect("a firewall");
    assert!(!topology.is_let_in(firewall, "proxy1", 5432) && topology.is_let_in(firewall, "node2", 5432));
}

#[test]
fn every_other_host_tries_each_port_that_a_rule_names_and_a_host_serves() {
    let plan = guarded();
    let wanted = plan.topology.connections_to_try();
    // Three nodes, two ports, three others each.
    assert_eq!(wanted.len(), 18, "{wanted:?}");
    assert!(wanted.contains(&("proxy1", "node3", 2379)) && !wanted.iter().any(|(_, to, _)| *to == "proxy1"));
}
