//! A balancer that the topology gives a name: its states count, and those of no other one.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::Outcome,
    history::{Event, Occurrence, event::Bound},
    plan::Plan,
    verdict::{RunVerdict, judge},
};

use super::{
    course::{Course, plan, run},
    edits::assert_unproven,
    finding, value, verdict_of,
};

/// The plan of all histories, whose balancer is called `front`.
fn with_a_name() -> Plan {
    let mut topology = plan(false).topology;
    let balancer = &mut topology.regions[0].hosts[3].services[0];
    balancer.name = Some("front".to_owned());
    Plan { schema: 1, ..Plan::new(topology) }
}

fn routed() -> Vec<Event> {
    run(&[Course { expected: vec![("recovery_time", "route_ms", Bound::AtMost(9000.0))], ..Course::default() }])
}

/// The verdict when the states are those of a balancer that is called so.
fn told_by(proxy: &str) -> RunVerdict {
    let mut events = routed();
    for event in &mut events {
        if let Occurrence::ProxyState { proxy: told, .. } = &mut event.what {
            *told = proxy.to_owned();
        }
    }
    judge(&BTreeMap::from([(1, with_a_name())]), &events)
}

#[test]
fn the_states_of_a_balancer_with_a_name_are_told_under_it() {
    let verdict = told_by("front");
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    let plain = verdict_of(&routed());
    let route_ms = |verdict: &RunVerdict| value(finding(verdict, "recovery_time"), "route_ms");
    assert_eq!(route_ms(&verdict), route_ms(&plain));
}

#[test]
fn states_of_another_balancer_show_nothing() {
    assert_unproven(&told_by("reads"), "recovery_time");
    assert_unproven(&told_by("proxy1"), "recovery_time");
}
