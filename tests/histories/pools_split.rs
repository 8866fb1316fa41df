//! Write pools and read pools that lead to the nodes of a role.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, PoolState},
    },
    plan::Plan,
    topology::{Endpoints, PlacedService},
    verdict::{RunVerdict, judge},
};
use serde_json::json;

use super::{
    course::{Course, plan, run},
    edits::{is_attempt, refused, with, with_reads, without},
    finding, findings, value,
};

const DEFECTS: &str = "split_defects";

/// The plan of all histories, whose clients write and read through pools on a host of their own.
fn split() -> Plan {
    let mut topology = plan(false).topology;
    let mut pooler = topology.regions[0].hosts[3].clone();
    pooler.name = "pooler1".to_owned();
    let pools = json!([
        { "pgbouncer": { "name": "write-pool1", "settings": { "leads_to": "primary" } } },
        { "pgbouncer": { "name": "read-pool1", "settings": { "leads_to": "standbys", "port": 6433 } } },
    ]);
    pooler.services = serde_json::from_value::<Vec<PlacedService>>(pools).expect("services");
    topology.regions[0].hosts.push(pooler);
    let endpoints = json!([
        { "name": "write", "serves": "primary", "pooled": true, "host": "proxy1", "port": 5000 },
        { "name": "read", "serves": "standbys", "pooled": true, "host": "proxy1", "port": 5001 },
    ]);
    topology.endpoints = serde_json::from_value::<Endpoints>(endpoints).expect("endpoints");
    Plan { schema: 1, ..Plan::new(topology) }
}

fn verdict(events: &[Event]) -> RunVerdict {
    judge(&BTreeMap::from([(1, split())]), events)
}

fn found(events: &[Event]) -> Finding {
    let own = findings(&verdict(events), "pools_split").into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(own.len(), 1, "{own:#?}");
    own.into_iter().next().expect("one")
}

/// A failover at 2,000 ms; node1 is back as a standby at 5,350 ms.
fn failover() -> Vec<Event> {
    let expected = vec![("pools_split", DEFECTS, Bound::Exactly(0.0))];
    run(&[Course { expected, stop_ms: 8000, ..Course::default() }])
}

/// Reads that take turns at two standbys.
fn in_turn(ms: u64) -> Option<(&'static str, u32)> {
    let first = (ms / 50).is_multiple_of(2);
    Some(match ms {
        0..2000 => (if first { "node2" } else { "node3" }, 1),
        2000..5400 => ("node3", 1),
        _ => (if first { "node1" } else { "node3" }, 2),
    })
}

#[test]
fn pools_that_are_separate_and_come_back_pass() {
    let own = found(&with_reads(failover(), 7990, in_turn));
    assert_eq!((own.outcome, value(&own, DEFECTS)), (Outcome::Pass, 0.0), "{own:#?}");
    assert_eq!((value(&own, "writes_at_standbys"), value(&own, "reads_at_primary")), (0.0, 0.0));
    assert!((0.45..=0.5).contains(&value(&own, "least_read_share")), "{own:#?}");
}

/// node2 writes from 2,906 ms on.
#[test]
fn a_write_that_a_standby_refuses_while_another_node_writes_has_strayed() {
    let strayed = |from_us: u64| {
        let mut events = with_reads(failover(), 7990, in_turn);
        for event in &mut events {
            if let Occurrence::Attempt(attempt) = &mut event.what
                && (attempt.endpoint.as_str(), attempt.client_kind) == ("write", ClientKind::Fresh)
                && (from_us..from_us + 100_000).contains(&attempt.started_us)
            {
                let (sqlstate, message) = (Some("25006".to_owned()), "read-only transaction".to_owned());
                attempt.outcome = AttemptOutcome::Refused { sqlstate, message, contact: None };
            }
        }
        found(&events)
    };
    let own = strayed(3_050_000);
    assert_eq!((own.outcome, value(&own, DEFECTS), value(&own, "writes_at_standbys")), (Outcome::Fail, 1.0, 5.0));
    assert!(!own.evidence.is_empty());
    // While nobody wrote, there was no other node to lead to.
    assert_eq!(strayed(2_700_000).outcome, Outcome::Pass);
}

#[test]
fn a_standby_that_reads_leave_out_fails() {
    let all_at_one = |ms| if ms < 5400 { in_turn(ms) } else { Some(("node3", 2)) };
    let own = found(&with_reads(failover(), 7990, all_at_one));
    assert_eq!((own.outcome, value(&own, "standbys_left_out")), (Outcome::Fail, 1.0), "{own:#?}");
    assert!(own.summary.contains("reads left out node1"), "{}", own.summary);
    assert!(!own.evidence.is_empty());
}

#[test]
fn a_pool_that_serves_nobody_in_the_end_fails() {
    let events = refused(with_reads(failover(), 7990, in_turn), |attempt| {
        attempt.endpoint == "write" && attempt.started_us > 4_000_000
    });
    let own = found(&events);
    assert_eq!((own.outcome, value(&own, "pools_unrecovered")), (Outcome::Fail, 1.0), "{own:#?}");
    let own = found(&with_reads(failover(), 7990, |ms| in_turn(ms).filter(|_| ms < 4500)));
    assert!(own.outcome == Outcome::Fail && own.summary.contains("in the end at read"), "{own:#?}");
}

#[test]
fn what_is_not_known_is_in_doubt() {
    let own = found(&failover());
    assert_eq!((own.outcome, own.value_of(DEFECTS)), (Outcome::Inconclusive, None), "nobody read: {own:#?}");
    // Nobody wrote in the end, and nobody could have.
    let events = without(with_reads(failover(), 7990, in_turn), |what| {
        is_attempt(what, |attempt| attempt.endpoint == "node2" && attempt.started_us > 2_000_000)
    });
    let events = refused(events, |attempt| attempt.endpoint == "write" && attempt.started_us > 4_000_000);
    assert_eq!(found(&events).outcome, Outcome::Inconclusive);
}

#[test]
fn where_pools_belong_to_nodes_nothing_is_said() {
    let verdict = judge(&BTreeMap::from([(1, plan(false))]), &run(&[Course::default()]));
    assert!(findings(&verdict, "pools_split").is_empty());
}

/// node2 writes directly at 2,906 ms, and clients through the pool at 3,104 ms.
#[test]
fn the_time_until_a_pool_leads_to_the_new_primary_is_a_phase() {
    let state = |node: &str| {
        let leads_to = vec![node.to_owned()];
        let pooler = "write-pool1".to_owned();
        Occurrence::PoolState(PoolState { pooler, reachable: true, leads_to, ..PoolState::default() })
    };
    let told = |node: &str| with(with(failover(), 1000, state("node1")), 2960, state(node));
    let verdict_of = |events: &[Event]| verdict(events);
    let seen = verdict_of(&told("node2"));
    assert_eq!(value(finding(&seen, "recovery_time"), "repoint_pools_ms"), 54.0);
    assert_eq!(finding(&seen, "recovery_time").value_of("route_ms"), None);
    let unseen = verdict_of(&told("node1"));
    assert_eq!(finding(&unseen, "recovery_time").value_of("repoint_pools_ms"), None);
}
