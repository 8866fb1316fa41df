//! A DCS that loses every member, and what makes it whole again.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    claims::Subject,
    history::{
        Event, Occurrence,
        event::{Bound, CommandRun, FaultInjecting},
    },
};

use super::{
    course::{Course, plan, run},
    edits::{with, without},
    value, verdict_of,
};

const NAME: &str = "dcs_repair";
const NOT_REPAIRED: &str = "dcs_not_repaired";
const MEMBERS: [&str; 3] = ["node1", "node2", "node3"];

/// When members have lost their data, and when they are started again.
const LOST_MS: u64 = 2_100;
const HEALING_MS: u64 = 2_500;

/// These members of etcd lose their data.
fn lost(members: &[&str]) -> FaultInjecting {
    FaultInjecting {
        fault: 7,
        name: "etcd_member_lost".to_owned(),
        target: "the etcd members".to_owned(),
        hosts: members.iter().map(|member| (*member).to_owned()).collect(),
        services: members.iter().map(|member| format!("{member}/etcd")).collect(),
        parameters: Default::default(),
        hands_over: false,
        worst: Default::default(),
        primary_before: None,
        dcs_leader_before: None,
    }
}

/// The clean failover, in which these members of etcd lose their data.
fn losing(members: &[&str], expected: bool) -> Vec<Event> {
    losing_until(members, expected, Course::default().stop_ms)
}

/// The same with a load that ends at this time.
fn losing_until(members: &[&str], expected: bool, stop_ms: u64) -> Vec<Event> {
    let expected = expected.then_some((NAME, NOT_REPAIRED, Bound::Exactly(0.0)));
    let events = run(&[Course { expected: expected.into_iter().collect(), stop_ms, ..Course::default() }]);
    let events =
        without(events, |what| matches!(what, Occurrence::LeaderKey { .. } | Occurrence::LeaseRefreshed { .. }));
    let injecting = lost(members);
    let us = |ms: u64| (100 + ms) * 1000;
    let confirmed = Occurrence::FaultConfirmed {
        fault: 7,
        effect_from_us: us(LOST_MS - 30),
        effect_to_us: us(LOST_MS),
        evidence: "no process of etcd is left".to_owned(),
    };
    let events = with(events, LOST_MS - 40, Occurrence::FaultInjecting(injecting));
    let events = with(events, LOST_MS + 10, confirmed);
    let events = with(events, HEALING_MS, Occurrence::FaultHealing { fault: 7 });
    let healed = Occurrence::FaultHealed { fault: 7, evidence: "etcd runs".to_owned() };
    with(
        key(with(events, HEALING_MS + 20, healed), 10, 9, true),
        50,
        Occurrence::LeaseRefreshed { revision: 18, cluster: None },
    )
}

/// A member shows the leader key.
fn key(events: Vec<Event>, at_ms: u64, revision: i64, initial: bool) -> Vec<Event> {
    let (member, holder) = ("node3".to_owned(), Some("node1".to_owned()));
    with(events, at_ms, Occurrence::LeaderKey { member, holder, revision, initial, cluster: None })
}

/// A node leads by the DCS, with a refreshed lease.
fn led(events: Vec<Event>, at_ms: u64) -> Vec<Event> {
    with(events, at_ms, Occurrence::LeaseRefreshed { revision: 20, cluster: None })
}

/// The DCS serves again at 2.9 s at this revision, and a node leads by it.
fn back(events: Vec<Event>, revision: i64) -> Vec<Event> {
    led(key(events, 2_900, revision, true), 3_000)
}

fn command(events: Vec<Event>, at_ms: u64, command: &str, status: Option<i32>) -> Vec<Event> {
    let (node, command) = ("node1".to_owned(), command.to_owned());
    let output = "Deprecated\nError: couldn't find local name \"default\"".to_owned();
    with(events, at_ms, Occurrence::CommandRun(CommandRun { node, command, status, output }))
}

const RESTORE: &str = "etcdutl snapshot restore /backup/etcd-snapshot.db";

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

#[test]
fn one_that_serves_again_and_takes_writes_is_repaired() {
    let found = one(&back(losing(&MEMBERS, true), 9));
    assert_eq!((found.outcome, value(&found, NOT_REPAIRED), value(&found, "dcs_down_ms")), (Outcome::Pass, 0.0, 800.0));
    assert!(found.summary.contains("served again after 800 ms, and clients wrote"), "{}", found.summary);
    // A restored one goes on at a revision that was seen; one that began anew at an earlier one.
    let restored = command(losing(&MEMBERS, true), 2_300, RESTORE, Some(0));
    let found = one(&back(restored, 12));
    assert!(found.summary.contains("served again after 800 ms from a snapshot"), "{}", found.summary);
    let found = one(&back(losing(&MEMBERS, true), 1));
    assert!(found.summary.contains("with nothing of what it had held"), "{}", found.summary);
}

#[test]
fn one_that_was_to_be_restored_and_was_not_or_that_stays_away_is_not_repaired() {
    for status in [Some(1), None] {
        let failed = command(losing(&MEMBERS, true), 2_300, RESTORE, status);
        let found = one(&back(failed, 1));
        assert_eq!(
            (found.outcome, value(&found, NOT_REPAIRED), value(&found, "restores_failed")),
            (Outcome::Fail, 1.0, 1.0)
        );
        assert!(found.summary.contains("on node1 had failed: Error: couldn't find"), "{}", found.summary);
    }
    // A lease and a loop are 3 s here: less than that after the healing proves nothing.
    let found = one(&losing_until(&MEMBERS, true, 6_000));
    assert_eq!((found.outcome, value(&found, NOT_REPAIRED)), (Outcome::Fail, 1.0), "{found:#?}");
    assert_eq!(one(&losing(&MEMBERS, true)).outcome, Outcome::Inconclusive);
    // A restore that ended with 0 and had no effect, as into another directory.
    let in_vain = command(losing(&MEMBERS, true), 2_300, RESTORE, Some(0));
    let found = one(&back(in_vain, 1));
    assert_eq!((found.outcome, value(&found, NOT_REPAIRED)), (Outcome::Fail, 1.0), "{found:#?}");
    // Other commands, and restores before the loss, are another matter.
    let other =
        command(command(losing(&MEMBERS, true), 2_300, "etcdctl snapshot save x", Some(1)), 1_500, RESTORE, Some(1));
    assert_eq!(one(&back(other, 9)).outcome, Outcome::Pass);
}

#[test]
fn one_by_which_no_node_leads_is_not_repaired_once_there_was_time_for_that() {
    // A lease and a loop are 3 s here.
    let shown = |stop_ms| one(&key(losing_until(&MEMBERS, true, stop_ms), 2_900, 1, true));
    let found = shown(5_850);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("how soon a node leads by it was not waited for"), "{}", found.summary);
    let found = shown(5_950);
    assert_eq!((found.outcome, value(&found, NOT_REPAIRED)), (Outcome::Fail, 1.0), "{found:#?}");
    assert!(found.summary.contains("with nothing of what it had held, but no node led by it"), "{}", found.summary);
    // What comes after the next fault is no merit of the repair.
    let next = FaultInjecting { fault: 8, name: "container_restart".to_owned(), ..lost(&MEMBERS) };
    let late = with(losing_until(&MEMBERS, true, 6_400), 6_000, Occurrence::FaultInjecting(next));
    let found = one(&led(key(late, 2_900, 1, true), 6_100));
    assert_eq!((found.outcome, value(&found, NOT_REPAIRED)), (Outcome::Fail, 1.0), "{found:#?}");
}

#[test]
fn one_that_nobody_started_again_or_wrote_to_is_in_doubt() {
    let events = without(losing(&MEMBERS, true), |what| {
        matches!(what, Occurrence::FaultHealing { fault: 7 } | Occurrence::FaultHealed { fault: 7, .. })
    });
    let found = one(&events);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("none was started again"), "{}", found.summary);
    let silent = without(back(losing(&MEMBERS, true), 9), |what| matches!(what, Occurrence::Attempt(_)));
    let found = one(&silent);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("no client tried to write"), "{}", found.summary);
}

#[test]
fn each_loss_is_judged() {
    let again = |events: Vec<Event>| {
        let second = FaultInjecting { fault: 8, ..lost(&MEMBERS) };
        let (from, to) = ((100 + 3_470) * 1000, (100 + 3_500) * 1000);
        let evidence = "no process of etcd is left".to_owned();
        let confirmed = Occurrence::FaultConfirmed { fault: 8, effect_from_us: from, effect_to_us: to, evidence };
        let events = with(events, 3_460, Occurrence::FaultInjecting(second));
        let events = with(events, 3_510, confirmed);
        with(events, 3_600, Occurrence::FaultHealing { fault: 8 })
    };
    let found = judged(&again(back(losing_until(&MEMBERS, true, 7_000), 9)));
    let outcomes: Vec<Outcome> = found.iter().map(|own| own.outcome).collect();
    assert_eq!(outcomes, [Outcome::Pass, Outcome::Fail], "{found:#?}");
}

#[test]
fn one_that_keeps_a_member_was_not_lost() {
    assert_eq!(judged(&losing(&MEMBERS[..2], false)), []);
    assert_eq!(judged(&losing(&MEMBERS[..2], true))[0].outcome, Outcome::Inconclusive);
    let is_about = |events: &[Event]| verdict_of(events).scenarios[0].happened.contains(&Subject::DcsLost);
    assert!(!is_about(&losing(&MEMBERS[..2], false)));
    assert!(is_about(&back(losing(&MEMBERS, false), 9)));
}
