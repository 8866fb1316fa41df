//! Clients whose sessions are pooled.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, Bound, ClientKind, IdleClients, PoolState},
    },
    plan::Plan,
    services::ServiceKind,
    topology::Endpoints,
    verdict::{RunVerdict, judge},
};
use serde_json::json;

use super::{
    course::{Course, number, plan, run},
    edits::{is_attempt, with, without},
    findings,
    regions::Regions,
    value,
};

const LEFT: &str = "pooled_clients_left";
const WRONG: &str = "sessions_on_wrong_node";

/// The plan of all histories, whose clients write through poolers, beside an endpoint without them. The balancer's checks take
/// at most 600 ms to lead clients elsewhere.
fn pooled() -> Plan {
    let mut topology = plan(false).topology;
    topology.settings.haproxy.inter_ms = 100;
    for host in &mut topology.regions[0].hosts[..3] {
        host.services.push(ServiceKind::Pgbouncer.into());
    }
    let endpoints = json!([
        { "name": "write", "serves": "primary", "pooled": true, "host": "proxy1", "port": 5000 },
        { "name": "unpooled", "serves": "primary", "host": "proxy1", "port": 5001 },
    ]);
    topology.endpoints = serde_json::from_value::<Endpoints>(endpoints).expect("endpoints");
    Plan { schema: 1, ..Plan::new(topology) }
}

fn verdict(events: &[Event]) -> RunVerdict {
    judge(&BTreeMap::from([(1, pooled())]), events)
}

fn found(events: &[Event]) -> Vec<Finding> {
    findings(&verdict(events), "pool").into_iter().cloned().collect()
}

fn expecting(measure: &'static str, bound: Bound) -> Course {
    Course { expected: vec![("pool", measure, bound)], ..Course::default() }
}

/// A failover, with nobody to be left behind.
fn failover() -> Vec<Event> {
    run(&[expecting(LEFT, Bound::Exactly(0.0))])
}

/// The history in which a standby refuses one writer from 3,100 ms on, when the others are served again.
fn stuck(mut events: Vec<Event>, writer: u32) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.client == writer
            && attempt.started_us >= 3_200_000
        {
            assert_eq!(attempt.client_kind, ClientKind::Writer);
            let (sqlstate, message) = (Some("25006".to_owned()), "read-only transaction".to_owned());
            attempt.outcome = AttemptOutcome::Refused { sqlstate, message, contact: None };
        }
    }
    events
}

#[test]
fn clients_that_all_write_again_pass() {
    let own = found(&failover());
    assert_eq!((own.len(), own[0].outcome), (1, Outcome::Pass), "{own:#?}");
    assert_eq!((value(&own[0], LEFT), value(&own[0], WRONG)), (0.0, 0.0));
    // Of the second writer: one write was in flight at the fault, so it had been acknowledged its last one 100 ms before.
    assert_eq!(value(&own[0], "pooled_wait_ms"), 1300.0);
    assert_eq!(value(&own[0], "pooled_errors"), 11.0 + 12.0);
    assert_eq!(value(&own[0], "pooled_outage_ms"), 1104.0);
}

#[test]
fn a_client_that_stays_with_a_standby_fails() {
    let own = found(&stuck(failover(), 2));
    assert_eq!(own[0].outcome, Outcome::Fail, "{own:#?}");
    assert_eq!((value(&own[0], LEFT), value(&own[0], WRONG)), (1.0, 1.0));
    assert!(own[0].summary.starts_with("1 of 2 pooled clients of write were left behind"), "{}", own[0].summary);
    assert!(!own[0].evidence.is_empty());
}

#[test]
fn a_session_that_is_with_a_standby_only_while_nobody_has_settled_is_with_none() {
    let mut events = failover();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.client == 2
            && (3_200_000..3_400_000).contains(&attempt.started_us)
        {
            let (sqlstate, message) = (Some("25006".to_owned()), "read-only transaction".to_owned());
            attempt.outcome = AttemptOutcome::Refused { sqlstate, message, contact: None };
        }
    }
    let own = found(&events);
    assert_eq!((own[0].outcome, value(&own[0], WRONG)), (Outcome::Pass, 0.0), "{own:#?}");
}

#[test]
fn where_no_node_takes_writes_in_the_end_nobody_was_left_behind_by_a_pooler() {
    let events = without(failover(), |what| {
        is_attempt(what, |attempt| attempt.endpoint == "node2" && attempt.started_us > 2_000_000)
    });
    let own = found(&events);
    assert_eq!(own[0].outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own[0].summary.contains("so nobody could write"), "{}", own[0].summary);
}

#[test]
fn without_a_fault_that_took_effect_nothing_is_known() {
    let own = found(&run(&[Course { confirmed: false, ..expecting(LEFT, Bound::Exactly(0.0)) }]));
    assert_eq!((own.len(), own[0].outcome), (1, Outcome::Inconclusive), "{own:#?}");
}

#[test]
fn without_poolers_nothing_is_said() {
    let events = run(&[Course::default()]);
    let verdict = judge(&BTreeMap::from([(1, plan(false))]), &events);
    assert!(findings(&verdict, "pool").is_empty());
}

#[test]
fn the_outage_without_a_pooler_stands_beside() {
    let mut events = failover();
    let beside: Vec<Event> = events
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Attempt(attempt) if attempt.client == 1 && attempt.sequence % 5 == 0 => {
                let what = Attempt { endpoint: "unpooled".to_owned(), client: 90, ..attempt.clone() };
                Some(Event { what: Occurrence::Attempt(what), ..event.clone() })
            }
            _ => None,
        })
        .collect();
    events.extend(beside);
    let own = found(&number(events));
    assert_eq!(value(&own[0], "unpooled_outage_resolution_ms"), 100.0);
    assert_eq!(value(&own[0], "unpooled_outage_ms"), 1104.0);
}

#[test]
fn poolers_show_how_many_sessions_they_have() {
    let state = |pooler: &str, sessions: u32| {
        Occurrence::PoolState(PoolState {
            pooler: pooler.to_owned(),
            reachable: true,
            longest_wait_us: 250_000,
            sessions: BTreeMap::from([("127.0.0.1:5432".to_owned(), sessions)]),
            ..PoolState::default()
        })
    };
    let course = |most: f64| run(&[expecting("pool_sessions_max", Bound::AtMost(most))]);
    let shown = |events| with(with(events, 1000, state("node1", 6)), 3500, state("node2", 7));
    let own = found(&shown(course(7.0)));
    assert_eq!((own[0].outcome, value(&own[0], "pool_wait_max_ms")), (Outcome::Pass, 250.0), "{own:#?}");
    assert_eq!(found(&shown(course(6.0)))[0].outcome, Outcome::Fail);
    assert_eq!(found(&course(7.0))[0].outcome, Outcome::Inconclusive, "nobody showed any");
}

/// As a control, a writer that is not served in the end is one of those that were left behind.
#[test]
fn a_writer_that_is_left_behind_is_caught_by_a_control() {
    let expected = vec![("pool", LEFT, Bound::Exactly(0.0))];
    let course = Course { expected, control: Some("pool"), stop_ms: 9000, ..Course::default() };
    let events = stuck(run(&[course]), 2);
    let verdict = verdict(&events);
    let told: Vec<&str> = findings(&verdict, "recovery_time").iter().map(|own| own.summary.as_str()).collect();
    assert!(told.iter().any(|summary| summary.contains("writer 2 had tried")), "{told:#?}");
    let control = verdict.scenarios[0].control.as_ref().expect("it is a control");
    assert!(control.consequences.contains(&"recovery_time".to_owned()), "{control:#?}");
}

#[test]
fn idle_clients_that_have_no_session_in_the_end_are_left_behind() {
    let idle = |connected: u32, endpoint: &str| {
        let endpoint = endpoint.to_owned();
        Occurrence::IdleClients(IdleClients { endpoint, wanted: 500, connected, broken: 500, refused: 3 })
    };
    let judged = |last: u32| {
        let events = with(run(&[expecting("idle_clients_left", Bound::Exactly(0.0))]), 1_000, idle(500, "write"));
        let events = with(with(events, 5_000, idle(last, "write")), 5_100, idle(7, "unpooled"));
        found(&events).remove(0)
    };
    assert_eq!(judged(500).outcome, Outcome::Pass);
    let left = judged(488);
    assert_eq!((left.outcome, value(&left, "idle_clients_left")), (Outcome::Fail, 12.0), "{left:#?}");
    assert!(left.summary.contains("488 of 500 idle clients had a session in the end"), "{}", left.summary);
    // Where there were none nothing is known of them.
    let none = found(&run(&[expecting("idle_clients_left", Bound::Exactly(0.0))])).remove(0);
    assert_eq!(none.outcome, Outcome::Inconclusive, "{none:#?}");
}

#[test]
fn a_client_that_hangs_and_tries_nothing_any_more_is_left_behind() {
    let own = found(&without(failover(), |what| {
        is_attempt(what, |attempt| attempt.client == 2 && attempt.started_us > 2_000_000)
    }));
    assert_eq!((own[0].outcome, value(&own[0], LEFT)), (Outcome::Fail, 1.0), "{own:#?}");
}

#[test]
fn sessions_of_any_number_are_added_up() {
    let sessions = [("one", u32::MAX), ("other", u32::MAX)].map(|(server, own)| (server.to_owned(), own)).into();
    let state = PoolState { pooler: "node1".to_owned(), reachable: true, sessions, ..PoolState::default() };
    let own = found(&with(failover(), 1000, Occurrence::PoolState(state)));
    assert_eq!(value(&own[0], "pool_sessions_max"), 2.0 * f64::from(u32::MAX));
}

/// A fault of the other of two clusters that have nothing to do with each other.
#[test]
fn what_befell_another_lineage_says_nothing_of_ones_own_poolers() {
    let course = Regions::independent();
    let mut whole = course.plan();
    whole.endpoints.iter_mut().filter(|own| own.name.ends_with("write")).for_each(|own| own.pooled = true);
    let mut events = course.events();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "west-write"
        {
            attempt.client_kind = ClientKind::Writer;
        }
    }
    let of = |cluster: &str| {
        let part = whole.part(&[whole.cluster(cluster).expect("a cluster")]);
        let evidence = Evidence::new(&whole, None, &events);
        (find("pool").expect("the check").judge)(&evidence.narrowed_to(&part)).len()
    };
    assert_eq!((of("east"), of("west")), (1, 0));
}
