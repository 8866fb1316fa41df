//! A virtual address, and who answers for it.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{Event, Occurrence, event::Bound},
    plan::Plan,
    services::ServiceKind,
    topology::{Endpoints, VirtualAddress},
    verdict::judge,
};
use serde_json::json;

use super::{
    course::{Course, plan, run},
    edits::with,
    findings, value,
};

const TAKEOVER: &str = "address_takeover_ms";
const NOT_TAKEN_OVER: &str = "addresses_not_taken_over";

/// The plan of all histories, whose first two nodes are balancers too and share an address: the fault takes node1.
fn shared() -> Plan {
    let mut topology = plan(false).topology;
    for host in &mut topology.regions[0].hosts[..2] {
        host.services.extend([ServiceKind::Haproxy.into(), ServiceKind::Keepalived.into()]);
    }
    let holders = vec!["node1".to_owned(), "node2".to_owned()];
    topology.virtual_addresses = vec![VirtualAddress { name: "vip".to_owned(), holders }];
    let endpoints = json!([{ "name": "write", "serves": "primary", "host": "vip", "port": 5000 }]);
    topology.endpoints = serde_json::from_value::<Endpoints>(endpoints).expect("endpoints");
    Plan { schema: 1, ..Plan::new(topology) }
}

/// The whole host of node1 is lost at 2,000 ms (2,030 ms at the latest) and healed at 5,150 ms. Who answers from when on.
fn seen(expected: &[(&'static str, Bound)], holders: &[(u64, Option<&str>)]) -> Vec<Event> {
    let expected = expected.iter().map(|(measure, bound)| ("virtual_address", *measure, *bound)).collect();
    let mut events = run(&[Course { expected, ..Course::default() }]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.services = ["etcd", "haproxy", "keepalived", "patroni"].map(|own| format!("node1/{own}")).into();
        }
    }
    for (ms, holder) in holders {
        let what = Occurrence::AddressHolder { address: "vip".to_owned(), holder: holder.map(str::to_owned) };
        events = with(events, *ms, what);
    }
    events
}

fn found(events: &[Event]) -> Vec<Finding> {
    let verdict = judge(&BTreeMap::from([(1, shared())]), events);
    findings(&verdict, "virtual_address").into_iter().cloned().collect()
}

const WITHIN_3_S: (&str, Bound) = (TAKEOVER, Bound::AtMost(3000.0));
const ALWAYS: (&str, Bound) = (NOT_TAKEN_OVER, Bound::Exactly(0.0));

#[test]
fn an_address_that_another_host_takes_over_passes() {
    let events = seen(&[WITHIN_3_S, ALWAYS], &[(10, Some("node1")), (2100, None), (4030, Some("node2"))]);
    let own = found(&events);
    assert!(own.len() == 2 && own.iter().all(|finding| finding.outcome == Outcome::Pass), "{own:#?}");
    assert_eq!((value(&own[0], TAKEOVER), value(&own[0], "address_moves")), (2000.0, 1.0));
    assert!(own[0].summary.contains("from node1 by node2"), "{}", own[0].summary);
}

#[test]
fn one_that_is_taken_over_too_late_or_not_at_all_fails() {
    let late = found(&seen(&[WITHIN_3_S], &[(10, Some("node1")), (2100, None), (5040, Some("node2"))]));
    assert_eq!((late[0].outcome, value(&late[0], TAKEOVER)), (Outcome::Fail, 3010.0), "{late:#?}");
    let never = found(&seen(&[WITHIN_3_S, ALWAYS], &[(10, Some("node1")), (2100, None), (5300, Some("node1"))]));
    assert!(never.iter().all(|finding| finding.outcome == Outcome::Fail), "{never:#?}");
    // Until it was healed.
    assert_eq!((value(&never[0], TAKEOVER), value(&never[0], NOT_TAKEN_OVER)), (3120.0, 1.0));
}

#[test]
fn a_fault_that_was_healed_before_the_bound_proves_nothing() {
    let within_5_s = (TAKEOVER, Bound::AtMost(5000.0));
    let own = found(&seen(&[within_5_s], &[(10, Some("node1")), (2100, None)]));
    assert_eq!(own[0].outcome, Outcome::Inconclusive, "{own:#?}");
}

#[test]
fn a_fault_that_takes_nothing_from_its_holder_is_no_loss() {
    let own = found(&seen(&[WITHIN_3_S], &[(10, Some("node2"))]));
    assert_eq!(own[0].outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own[0].summary.contains("no holder of a virtual address was lost"), "{}", own[0].summary);
    let mut events = seen(&[], &[(10, Some("node1")), (4030, Some("node2"))]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.services = vec!["node1/etcd".to_owned()];
        }
    }
    assert!(found(&events).is_empty());
}

#[test]
fn a_holder_that_goes_on_serving_was_not_lost() {
    let named = |name: &str, holders: &[(u64, Option<&str>)]| {
        let mut events = seen(&[], holders);
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.name = name.to_owned();
            }
        }
        found(&events)
    };
    assert_eq!(named("clock_offset", &[(10, Some("node1"))]), []);
    assert_eq!(named("cpu_quota", &[(10, Some("node1")), (4030, Some("node2"))]).len(), 1);
    assert_eq!(value(&named("process_kill", &[(10, Some("node1"))])[0], NOT_TAKEN_OVER), 1.0);
}
