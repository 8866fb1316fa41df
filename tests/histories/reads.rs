//! Reads through the endpoint for them: their own outages, and whether they are stale.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Bound, ClientKind, Operation},
    },
    plan::Plan,
    topology::{Endpoint, Endpoints},
    verdict::{RunVerdict, judge},
};

use super::{
    course::{Course, number, plan, run},
    edits::{assert_fails, assert_unproven, is_attempt, with_reads},
    finding, findings, value, with_outcome,
};

/// The verdict by a plan that has an endpoint for reads.
fn verdict_of(events: &[Event]) -> RunVerdict {
    let mut topology = plan(false).topology;
    let endpoint = |port| Endpoint { host: "proxy1".to_owned(), port, publish: None };
    topology.endpoints = Endpoints::write_and_read(endpoint(5000), Some(endpoint(5001)));
    judge(&BTreeMap::from([(1, Plan { schema: 1, ..Plan::new(topology) })]), events)
}

type Answer = Option<(&'static str, u32)>;

/// A clean failover at 2 s, with these answers to reads.
fn with_answers(expected: &[(&'static str, Bound)], answer: impl Fn(u64) -> Answer) -> RunVerdict {
    let expected = expected.iter().map(|(measure, bound)| ("recovery_time", *measure, *bound)).collect();
    let course = Course { expected, stop_ms: 8000, ..Course::default() };
    verdict_of(&with_reads(run(&[course]), 7900, answer))
}

/// node3 follows the new primary half a second after its first write.
fn follows(ms: u64) -> Answer {
    Some(("node3", if ms < 3400 { 1 } else { 2 }))
}

#[test]
fn reads_that_are_always_served_have_no_outage() {
    let verdict = with_answers(&[("read_outage_ms", Bound::AtMost(100.0))], follows);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    let plain = with_answers(&[], follows);
    let recovery = finding(&plain, "recovery_time");
    assert_eq!(value(recovery, "read_outage_ms"), 0.0);
    // The new primary's first write is acknowledged at 2906, the last read of the old timeline at 3354.
    assert_eq!(value(recovery, "stale_read_ms"), 448.0);
}

#[test]
fn an_outage_of_reads_is_held_to_its_bound() {
    let dead = |ms| follows(ms).filter(|_| !(3000..4500).contains(&ms));
    for (most, outcome) in [(1600.0, Outcome::Pass), (1500.0, Outcome::Fail)] {
        let verdict = with_answers(&[("read_outage_ms", Bound::AtMost(most))], dead);
        assert_eq!(verdict.outcome, outcome, "{:#?}", verdict.scenarios[0].findings);
        let held = findings(&verdict, "recovery_time").into_iter().find(|own| own.target.is_some()).unwrap();
        assert_eq!(value(held, "read_outage_ms"), 1504.0);
    }
}

#[test]
fn reads_that_never_come_back_are_told_and_prove_nothing() {
    let verdict = with_answers(&[], |ms| follows(ms).filter(|_| ms < 5000));
    assert_unproven(&verdict, "recovery_time");
    let own = findings(&verdict, "recovery_time");
    assert!(own[1].summary.contains("clients had not been able to read for 2.9 s"), "{}", own[1].summary);
    assert_eq!(own[0].value_of("read_outage_ms"), None);
}

#[test]
fn reads_that_never_come_back_fail_a_bound_that_they_outlasted_and_keep_none() {
    let dead = |most| with_answers(&[("read_outage_ms", Bound::AtMost(most))], |ms| follows(ms).filter(|_| ms < 5000));
    assert_fails(&dead(2000.0), "recovery_time");
    assert_unproven(&dead(9000.0), "recovery_time");
}

#[test]
fn an_outage_of_reads_before_the_first_fault_proves_nothing() {
    let verdict = with_answers(&[], |ms| follows(ms).filter(|_| !(700..1200).contains(&ms)));
    assert_unproven(&verdict, "recovery_time");
}

#[test]
fn a_bound_on_reads_without_a_client_that_reads_is_not_measured() {
    let expected = vec![("recovery_time", "read_outage_ms", Bound::AtMost(9000.0))];
    assert_unproven(&verdict_of(&run(&[Course { expected, ..Course::default() }])), "recovery_time");
}

/// The old primary came back on its own timeline, and nobody noticed: clients read what was superseded.
#[test]
fn stale_reads_to_the_end_prove_nothing_and_fail_a_bound() {
    let stale = |ms: u64| Some(("node1", 1)).filter(|_| (ms / 50).is_multiple_of(2)).or(follows(ms));
    let verdict = with_answers(&[], stale);
    assert_unproven(&verdict, "recovery_time");
    let own = findings(&verdict, "recovery_time");
    assert!(own[1].summary.contains("superseded timeline"), "{}", own[1].summary);
    assert_fails(&with_answers(&[("stale_read_ms", Bound::AtMost(1000.0))], stale), "recovery_time");
}

#[test]
fn stale_reads_until_a_standby_has_followed_are_told_and_held_to_their_bound_alone() {
    let late = |ms: u64| Some(("node3", if ms < 4900 { 1 } else { 2 }));
    let verdict = with_answers(&[("stale_read_ms", Bound::AtMost(1000.0))], late);
    assert_eq!(with_outcome(&verdict, Outcome::Fail), ["recovery_time"]);
    assert_eq!(with_answers(&[], late).outcome, Outcome::Pass);
}

#[test]
fn a_read_that_names_no_timeline_is_not_taken_for_stale() {
    let unnamed = |ms: u64| Some(("node3", if ms < 3000 { 1 } else { 0 }));
    let verdict = with_answers(&[], unnamed);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
}

#[test]
fn reads_that_nobody_tried_to_the_end_keep_no_bound() {
    let expected = vec![("recovery_time", "read_outage_ms", Bound::AtMost(100.0))];
    let events = |until_ms| {
        with_reads(run(&[Course { expected: expected.clone(), ..Course::default() }]), until_ms, |_| Some(("node3", 1)))
    };
    let outcome = |until_ms| {
        let verdict = verdict_of(&events(until_ms));
        verdict.scenarios[0]
            .findings
            .iter()
            .find(|own| own.value_of("read_outage_ms").is_some() && own.target.is_some())
            .map(|own| own.outcome)
    };
    assert_eq!((outcome(5390), outcome(3500)), (Some(Outcome::Pass), Some(Outcome::Inconclusive)));
}

#[test]
fn reads_that_never_came_back_are_in_the_figures_of_trials() {
    let events = with_reads(run(&[Course::default()]), 5390, |ms| (ms < 2000).then_some(("node3", 1)));
    let verdict = verdict_of(&events);
    let own = verdict.groups[0].statistics.iter().find(|own| own.measure == "read_outage_ms");
    assert!(own.is_some_and(|own| own.maximum_at_least && own.maximum > 3000.0), "{own:#?}");
}

#[test]
fn outages_of_reads_are_counted() {
    let twice = |ms: u64| follows(ms).filter(|_| !(3000..3200).contains(&ms) && !(5300..5500).contains(&ms));
    let outcome =
        |answer: fn(u64) -> Answer, most| with_answers(&[("read_outages", Bound::AtMost(most))], answer).outcome;
    assert_eq!(outcome(twice, 2.0), Outcome::Pass);
    assert_eq!(outcome(twice, 1.0), Outcome::Fail);
    assert_eq!(outcome(|ms| follows(ms).filter(|_| ms < 5000), 1.0), Outcome::Inconclusive);
    assert_eq!(value(finding(&with_answers(&[], follows), "recovery_time"), "read_outages"), 0.0);
}

#[test]
fn the_wait_of_one_reading_client_is_that_of_its_sessions() {
    let judged = |until_ms: u64, most| {
        let expected = vec![("recovery_time", "longest_read_gap_ms", Bound::AtMost(most))];
        let events = with_reads(run(&[Course { expected, stop_ms: 8000, ..Course::default() }]), 7900, follows);
        let mut held = events.clone();
        for event in &mut held {
            if let Occurrence::Attempt(attempt) = &mut event.what
                && attempt.operation == Operation::Read
            {
                attempt.client_kind = ClientKind::Held;
                // The session breaks, and the next one is another client.
                attempt.client = if event.at_us < 3_100_000 { 91 } else { 92 };
            }
        }
        held.retain(|event| {
            let gap = (3_100_000..until_ms * 1000).contains(&event.at_us);
            !(gap && matches!(&event.what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Held))
        });
        let verdict = verdict_of(&number(events.into_iter().chain(held.into_iter().filter(is_held_read)).collect()));
        let held = findings(&verdict, "recovery_time").into_iter().find(|own| own.target.is_some());
        held.unwrap_or_else(|| panic!("{:#?}", verdict.scenarios[0].findings)).outcome
    };
    assert_eq!(judged(4_100, 1_100.0), Outcome::Pass);
    assert_eq!(judged(4_100, 900.0), Outcome::Fail);
    // It never came back.
    assert_eq!(judged(9_000, 4_000.0), Outcome::Fail);
    let nobody = with_answers(&[("longest_read_gap_ms", Bound::AtMost(9_000.0))], follows);
    assert_unproven(&nobody, "recovery_time");
}

fn is_held_read(event: &Event) -> bool {
    is_attempt(&event.what, |attempt| attempt.client_kind == ClientKind::Held && attempt.operation == Operation::Read)
}
