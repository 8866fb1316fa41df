//! Whom commits wait for, while one of the standbys that synchronous_standby_names lists is slow.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, ClientKind, FaultInjecting, Milestone},
    },
    plan::Plan,
    topology::load,
};

use super::{
    course::{lsn, number},
    standby_region::{STOP_MS, attempt, event},
    value,
};

const NAME: &str = "commit_wait";
const CONFIRMED_MS: u64 = 5_000;
const HEALING_MS: u64 = 15_000;

fn plan(rule: &str) -> Plan {
    let mut topology = load("sync-manual", &[]).unwrap();
    topology.set_postgresql("synchronous_standby_names", rule).unwrap();
    Plan::new(topology)
}

/// A write every 600 ms, while a round trip between this standby and the primary takes 500 ms longer.
fn slowed(standby: &str, took_ms: impl Fn(u64) -> u64) -> Vec<Event> {
    let injecting = FaultInjecting {
        fault: 1,
        name: "link_latency".to_owned(),
        target: standby.to_owned(),
        hosts: vec![standby.to_owned()],
        services: Vec::new(),
        parameters: BTreeMap::from([
            ("to".to_owned(), "node1".to_owned()),
            ("round_trip".to_owned(), "500 ms".to_owned()),
        ]),
        hands_over: false,
        worst: Default::default(),
        primary_before: Some("node1".to_owned()),
        dcs_leader_before: None,
    };
    let (effect_from_us, effect_to_us) = (CONFIRMED_MS * 1000 - 100_000, CONFIRMED_MS * 1000);
    let evidence = "seen".to_owned();
    let mut events = vec![
        event(1_000, Occurrence::Reached { milestone: Milestone::SteadyState }),
        event(CONFIRMED_MS - 200, Occurrence::FaultInjecting(injecting)),
        event(CONFIRMED_MS, Occurrence::FaultConfirmed { fault: 1, effect_from_us, effect_to_us, evidence }),
        event(HEALING_MS, Occurrence::FaultHealing { fault: 1 }),
        event(STOP_MS, Occurrence::Reached { milestone: Milestone::LoadStopped }),
    ];
    for (ms, sequence) in (1_500..STOP_MS).step_by(600).zip(1..) {
        let outcome = AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: lsn(ms) };
        let mut write = attempt(ClientKind::Writer, "write", (1, sequence), ms, outcome);
        let is_slow = (CONFIRMED_MS..HEALING_MS).contains(&ms);
        write.at_us = (ms + if is_slow { took_ms(sequence) } else { 3 }) * 1000;
        events.push(write);
    }
    number(events)
}

fn judged(rule: &str, events: &[Event]) -> Finding {
    let plan = plan(rule);
    let mut own = (find(NAME).unwrap().judge)(&Evidence::new(&plan, None, events));
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

const FIRST: &str = "FIRST 1 (node2, node3)";
const ANY: &str = "ANY 1 (node2, node3)";

#[test]
fn first_waits_for_the_one_that_is_named_first_and_any_for_none_that_is_slow() {
    let waiting = slowed("node2", |_| 503);
    let quick = slowed("node2", |_| 4);
    assert_eq!(judged(FIRST, &waiting).outcome, Outcome::Pass);
    assert_eq!(judged(ANY, &quick).outcome, Outcome::Pass);
    // Each way the other rule is broken.
    let own = judged(FIRST, &quick);
    assert_eq!((own.outcome, value(&own, "commits_against_rule")), (Outcome::Fail, 17.0), "{own:#?}");
    assert!(own.summary.contains("commits have to wait for it"), "{}", own.summary);
    let own = judged(ANY, &waiting);
    assert_eq!(own.outcome, Outcome::Fail);
    assert!(own.summary.contains("no commit has to wait for it"), "{}", own.summary);
    // The second of the list is not waited for, unless two are.
    let second = slowed("node3", |_| 4);
    assert_eq!(judged(FIRST, &second).outcome, Outcome::Pass);
    assert_eq!(judged("FIRST 2 (node2, node3)", &second).outcome, Outcome::Fail);
    assert_eq!(judged("ANY 2 (node2, node3)", &slowed("node3", |_| 503)).outcome, Outcome::Pass);
}

#[test]
fn one_commit_against_the_rule_is_enough() {
    let own = judged(FIRST, &slowed("node2", |sequence| if sequence == 12 { 4 } else { 503 }));
    assert_eq!((own.outcome, value(&own, "commits_against_rule")), (Outcome::Fail, 1.0), "{own:#?}");
    assert!(own.evidence.len() > 1);
}

#[test]
fn few_writes_and_a_starved_machine_are_in_doubt() {
    let mut events = slowed("node2", |_| 503);
    events.retain(|event| !matches!(&event.what, Occurrence::Attempt(attempt) if attempt.sequence > 10));
    assert_eq!(judged(FIRST, &events).outcome, Outcome::Inconclusive);
    let mut events = slowed("node2", |sequence| if sequence == 12 { 600 } else { 4 });
    assert_eq!(judged(ANY, &events).outcome, Outcome::Fail);
    events.push(event(9_000, Occurrence::TimerLate { late_us: 300_000 }));
    assert_eq!(judged(ANY, &number(events)).outcome, Outcome::Inconclusive);
}

/// It waits for its session, too, for as long as it is set to.
#[test]
fn a_slow_write_of_an_application_shows_no_rule() {
    let mut events = slowed("node2", |sequence| if sequence == 12 { 2_000 } else { 4 });
    assert_eq!(judged(ANY, &events).outcome, Outcome::Fail);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.sequence == 12
        {
            attempt.client_kind = ClientKind::Application;
        }
    }
    assert_eq!(judged(ANY, &events).outcome, Outcome::Pass);
}

#[test]
fn what_slows_both_or_nobody_shows_no_rule() {
    let plan = plan(FIRST);
    let both = slowed("node2", |_| 503).into_iter().map(|mut event| {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.hosts.push("node3".to_owned());
        }
        event
    });
    let both: Vec<Event> = both.collect();
    assert!((find(NAME).unwrap().judge)(&Evidence::new(&plan, None, &both)).is_empty());
    let other = slowed("node9", |_| 503);
    assert!((find(NAME).unwrap().judge)(&Evidence::new(&plan, None, &other)).is_empty());
}

/// The history whose fault was injected with other words.
fn with_fault(mut events: Vec<Event>, change: impl Fn(&mut FaultInjecting)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            change(injecting);
        }
    }
    events
}

fn says_nothing(events: &[Event]) -> bool {
    let plan = plan(FIRST);
    (find(NAME).unwrap().judge)(&Evidence::new(&plan, None, events)).is_empty()
}

#[test]
fn a_fault_by_which_no_commit_is_surely_slower_shows_no_rule() {
    for (parameter, value) in
        [("ports", "8008"), ("share", "50 %"), ("jitter", "100 ms"), ("to", "node9"), ("to", "the standbys")]
    {
        let other = with_fault(slowed("node2", |_| 4), |own| {
            own.parameters.insert(parameter.to_owned(), value.to_owned());
        });
        assert!(says_nothing(&other), "{parameter} {value}");
    }
    for (parameter, value) in [
        ("ports", "5432 and 8008"),
        ("share", "100 %"),
        ("jitter", "0 ms"),
        ("to", "node1, node9"),
        ("to", "the primary"),
    ] {
        let same = with_fault(slowed("node2", |_| 503), |own| {
            own.parameters.insert(parameter.to_owned(), value.to_owned());
        });
        assert_eq!(judged(FIRST, &same).outcome, Outcome::Pass, "{parameter} {value}");
    }
    // The same link from its other end.
    let turned = with_fault(slowed("node2", |_| 503), |own| {
        own.hosts = vec!["node1".to_owned()];
        own.parameters.insert("to".to_owned(), "node2".to_owned());
    });
    assert_eq!(judged(FIRST, &turned).outcome, Outcome::Pass);
}

#[test]
fn what_comes_after_a_fault_was_changed_or_had_ceased_is_not_held_to_it() {
    let changed_ms = 11_600;
    let mut quick_then = slowed("node2", |_| 503);
    for event in &mut quick_then {
        if let Occurrence::Attempt(attempt) = &event.what
            && (changed_ms * 1000..HEALING_MS * 1000).contains(&attempt.started_us)
        {
            event.at_us = attempt.started_us + 54_000;
        }
    }
    let parameters = BTreeMap::from([("round_trip".to_owned(), "50 ms".to_owned())]);
    let changed = Occurrence::FaultChanged { fault: 1, parameters, evidence: "seen".to_owned() };
    let ceased = Occurrence::FaultUnconfirmed { fault: 1, reason: "it had ceased".to_owned() };
    assert_eq!(judged(FIRST, &number(quick_then.clone())).outcome, Outcome::Fail);
    for what in [changed, ceased] {
        let mut events = quick_then.clone();
        events.push(event(changed_ms, what));
        assert_eq!(judged(FIRST, &number(events)).outcome, Outcome::Pass);
    }
}
