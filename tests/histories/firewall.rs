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

fn judged(expected: &'static str, tried: &[(&str, &str, u16, ConnectionAnswer)]) -> Finding {
    let events = run(&[Course { expected: vec![(NAME, expected, Bound::Exactly(0.0))], ..Course::default() }]);
    let tried = tried.iter().map(|(from, to, port, answer)| ConnectionTried {
        from: (*from).to_owned(),
        to: (*to).to_owned(),
        port: *port,
        answer: *answer,
    });
    let tried: Vec<ConnectionTried> = tried.collect();
    let events: Vec<Event> =
        if tried.is_empty() { events } else { with(events, 1_000, Occurrence::ConnectionsTried { tried }) };
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
    assert_eq!(judged(THROUGH, &[]).outcome, Outcome::Inconclusive);
}

#[test]
fn every_other_host_tries_each_port_that_a_rule_names_and_a_host_serves() {
    let plan = guarded();
    let wanted = plan.topology.connections_to_try();
    // Three nodes, two ports, three others each.
    assert_eq!(wanted.len(), 18, "{wanted:?}");
    assert!(wanted.contains(&("proxy1", "node3", 2379)) && !wanted.iter().any(|(_, to, _)| *to == "proxy1"));
}
