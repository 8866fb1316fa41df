//! Reads through the endpoint for them: their own outages, and whether they are stale.

use pgquake_judge::{checks::Outcome, history::event::Bound, verdict::RunVerdict};

use super::{
    course::{Course, run},
    edits::{assert_fails, assert_unproven, with_reads},
    finding, findings, value, verdict_of, with_outcome,
};

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
