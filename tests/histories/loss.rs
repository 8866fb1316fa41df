//! Lost and refused rows: histories that are made on the spot.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Outcome, data_loss::follows_from_two_writers},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, SequenceRange},
    },
    verdict::{ClaimState, RunVerdict, judge},
};

use super::{
    course::{Course, lsn, plan, run},
    edits::{ALL, assert_fails, assert_unproven, clean, losing, with, with_ledgers, without},
    finding, findings, value, verdict_of, with_outcome,
};

#[test]
fn an_asynchronous_loss_passes_within_the_documented_five_seconds_and_fails_beyond() {
    let verdict = verdict_of(&run(&[Course { lost_ms: 521, ..Course::default() }]));
    let loss = finding(&verdict, "data_loss");
    assert_eq!((loss.outcome, loss.target), (Outcome::Pass, Some(Bound::AtMost(5000.0))), "{loss:#?}");
    assert!(value(loss, "lost_rows") > 25.0 && loss.summary.contains("are lost"), "{}", loss.summary);
    let late = Course {
        fault_ms: 8000,
        routed_until_ms: 8000,
        old_until_ms: 8000,
        key: Some((8600, 8700)),
        direct_ms: 8900,
        up_ms: 9100,
        heal_ms: 11_150,
        rejoined_ms: 11_350,
        stop_ms: 11_400,
        lost_ms: 6000,
        ..Course::default()
    };
    let verdict = verdict_of(&run(&[late]));
    assert_fails(&verdict, "data_loss");
    assert!(value(finding(&verdict, "data_loss"), "lost_ms") > 5900.0);
}

#[test]
fn a_scenario_can_expect_that_an_asynchronous_topology_loses_nothing() {
    let expected = vec![("data_loss", "lost_rows", Bound::Exactly(0.0))];
    assert_fails(&verdict_of(&run(&[Course { lost_ms: 521, expected, ..Course::default() }])), "data_loss");
}

#[test]
fn a_refused_write_that_was_kept_fails() {
    // Client 4 probes node1; its last attempts are refused there.
    let events = with_ledgers(clean(), |_, found| found.push(SequenceRange { client: 4, from: 40, to: 40 }));
    let verdict = verdict_of(&events);
    let own = findings(&verdict, "data_loss");
    assert!(own.iter().any(|one| one.outcome == Outcome::Fail && one.summary.contains("refused but kept")), "{own:#?}");
}

#[test]
fn a_ledger_that_was_not_read_is_inconclusive() {
    let events = without(clean(), |what| matches!(what, Occurrence::LedgerRead { node, .. } if node == "node3"));
    let reason = "no session".to_owned();
    let events = with(events, 5500, Occurrence::LedgerUnread { node: "node3".to_owned(), reason });
    let verdict = verdict_of(&events);
    assert_unproven(&verdict, "data_loss");
    assert!(finding(&verdict, "data_loss").summary.contains("node3 was not read: no session"));
}

/// Rows that the primary lost are lost, whatever a node that is gone may hold.
#[test]
fn a_loss_counts_though_a_standby_could_not_be_read() {
    let expected = vec![("data_loss", "lost_rows", Bound::Exactly(0.0))];
    let events = run(&[Course { lost_ms: 521, expected, ..Course::default() }]);
    let events = without(events, |what| matches!(what, Occurrence::LedgerRead { node, .. } if node == "node3"));
    let reason = "connection refused".to_owned();
    let verdict = verdict_of(&with(events, 5500, Occurrence::LedgerUnread { node: "node3".to_owned(), reason }));
    assert_fails(&verdict, "data_loss");
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
}

fn synchronous(events: &[Event]) -> RunVerdict {
    judge(&BTreeMap::from([(1, plan(true))]), events)
}

/// A failover that loses what was acknowledged in its last 121 ms.
fn losing_failover() -> Vec<Event> {
    run(&[Course { lost_ms: 121, ..Course::default() }])
}

// ---- what a failover explains

#[test]
fn rows_that_the_final_primary_acknowledged_are_lost_by_no_failover_whatever_the_bound() {
    for most_ms in [None, Some(5000.0), Some(60_000.0)] {
        let expected = most_ms.map(|most| ("data_loss", "lost_ms", Bound::AtMost(most))).into_iter().collect();
        let events = run(&[Course { expected, claims: vec!["RPO-5-ASYNC"], ..Course::default() }]);
        let verdict = verdict_of(&losing(events, ALL, |_, timeline, at| timeline == 2 && at >= lsn(4500)));
        assert_fails(&verdict, "data_loss");
        let loss = finding(&verdict, "data_loss");
        assert_eq!(value(loss, "unexcused_rows"), value(loss, "lost_rows"));
        assert!(loss.summary.contains("no failover explains"), "{}", loss.summary);
        assert_eq!(verdict.claims[0].state, ClaimState::Undecided, "{}", verdict.claims[0].summary);
    }
}

#[test]
fn one_lost_row_never_measures_nothing() {
    let expected = vec![("data_loss", "lost_ms", Bound::AtMost(0.0))];
    let events = run(&[Course { expected, ..Course::default() }]);
    let last = lsn(5380);
    let verdict = verdict_of(&losing(events, ALL, |_, _, at| at == last));
    assert_fails(&verdict, "data_loss");
    assert_eq!(
        (value(finding(&verdict, "data_loss"), "lost_rows"), value(finding(&verdict, "data_loss"), "lost_ms")),
        (1.0, 4.0)
    );
}

#[test]
fn a_restart_in_place_explains_no_loss() {
    let events = run(&[Course { key: None, direct_ms: 2600, up_ms: 2800, ..Course::default() }]);
    let verdict = verdict_of(&losing(events, ALL, |_, _, at| (lsn(1000)..lsn(2000)).contains(&at)));
    assert_fails(&verdict, "data_loss");
}

#[test]
fn rows_from_before_the_switch_are_lost_by_no_failover() {
    let verdict = verdict_of(&losing(losing_failover(), ALL, |_, _, at| (lsn(1500)..lsn(1510)).contains(&at)));
    assert_fails(&verdict, "data_loss");
    let loss = finding(&verdict, "data_loss");
    assert!(loss.summary.contains("a later write there is in the final primary's history"), "{}", loss.summary);
    assert!(value(loss, "superseded_rows") > 0.0 && value(loss, "unexcused_rows") == 2.0, "{loss:#?}");
}

/// 20 rows deleted by hand on the new primary, and one that the failover lost: none of them is older than 5 s.
#[test]
fn rows_deleted_by_hand_on_the_new_primary_are_told_from_those_of_the_failover() {
    let events = run(&[Course { lost_ms: 21, ..Course::default() }]);
    let mut spared = 0;
    let mut deleted = Vec::new();
    for event in &events {
        if let Occurrence::Attempt(attempt) = &event.what
            && let AttemptOutcome::Acknowledged { timeline: 2, lsn, .. } = &attempt.outcome
        {
            spared += 1;
            if spared > 30 && deleted.len() < 20 {
                deleted.push((attempt.client, attempt.sequence, *lsn));
            }
        }
    }
    let events = with_ledgers(events, |_, found| {
        let rows = found.iter().flat_map(|range| (range.from..=range.to).map(|own| (range.client, own)));
        let kept = rows.filter(|id| !deleted.iter().any(|(client, sequence, _)| (*client, *sequence) == *id));
        *found = kept.map(|(client, own)| SequenceRange { client, from: own, to: own }).collect();
    });
    let verdict = verdict_of(&events);
    assert_fails(&verdict, "data_loss");
    let loss = finding(&verdict, "data_loss");
    let counted = ["lost_rows", "unexcused_rows", "superseded_rows"].map(|measure| value(loss, measure));
    assert_eq!(counted, [21.0, 20.0, 1.0]);
    assert!(value(loss, "lost_ms") < 5000.0);
}

/// Acknowledgements on the old timeline with other positions.
fn at_positions(mut events: Vec<Event>, change: impl Fn(u64) -> u64) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && let AttemptOutcome::Acknowledged { timeline: 1, lsn, .. } = &mut attempt.outcome
        {
            *lsn = change(*lsn);
        }
    }
    events
}

#[test]
fn a_write_at_the_edge_of_the_switch_is_excused_if_its_commit_had_no_room_before_it() {
    let switch_lsn = lsn(1879);
    let near =
        |bytes: u64| at_positions(losing_failover(), move |at| if at == lsn(1880) { switch_lsn - bytes } else { at });
    let verdict = verdict_of(&near(33));
    assert_eq!(finding(&verdict, "data_loss").outcome, Outcome::Pass, "{:#?}", finding(&verdict, "data_loss"));
    // Other sessions may have written between its row and its commit, and no later write tells.
    let verdict = verdict_of(&near(34));
    assert_unproven(&verdict, "data_loss");
    assert!(finding(&verdict, "data_loss").summary.contains("34 bytes before the switch"));
}

#[test]
fn a_loss_at_an_unknown_position_is_neither_excused_nor_proven() {
    let verdict = verdict_of(&at_positions(losing_failover(), |at| if at >= lsn(1880) { 0 } else { at }));
    assert_unproven(&verdict, "data_loss");
    // With synchronous replication no loss needs a cause.
    let verdict = synchronous(&at_positions(losing_failover(), |_| 0));
    assert_fails(&verdict, "data_loss");
}

#[test]
fn a_loss_is_not_excused_by_a_switch_that_nobody_saw() {
    let is_switch = |what: &Occurrence| matches!(what, Occurrence::TimelineSwitch { .. });
    let verdict = verdict_of(&without(losing_failover(), is_switch));
    let loss = finding(&verdict, "data_loss");
    assert_eq!(loss.outcome, Outcome::Inconclusive, "{loss:#?}");
    assert!(loss.summary.contains("it is not known where timeline 2 began"), "{}", loss.summary);
    // What the final primary itself acknowledged needs no switch.
    let events = losing(without(clean(), is_switch), ALL, |node, _, at| node == "node2" && at > lsn(5000));
    assert!(with_outcome(&verdict_of(&events), Outcome::Fail).contains(&"data_loss"));
}

/// node1 begins a timeline 2 of its own, and what it acknowledges there is rewound away.
fn same_number_twice(own_switch: Option<u64>) -> Vec<Event> {
    let mut events = clean();
    let mut lost = Vec::new();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && let AttemptOutcome::Acknowledged { node, timeline: 2, lsn: at } = &attempt.outcome
            && *at < lsn(3200)
        {
            lost.push((attempt.client, attempt.sequence));
            let _ = node;
            attempt.outcome = AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 2, lsn: *at };
        }
    }
    let events = with_ledgers(events, |_, found| {
        let rows = found.iter().flat_map(|range| (range.from..=range.to).map(|own| (range.client, own)));
        let kept = rows.filter(|id| !lost.contains(id));
        *found = kept.map(|(client, own)| SequenceRange { client, from: own, to: own }).collect();
    });
    let told = |switch_lsn| {
        let node = "node1".to_owned();
        Occurrence::TimelineSwitch { node, parent: 1, timeline: 2, switch_lsn }
    };
    match own_switch {
        Some(switch_lsn) => with(events, 2880, told(switch_lsn)),
        None => events,
    }
}

#[test]
fn a_timeline_that_two_nodes_began_is_told_apart_by_the_place_of_the_switch() {
    let loss_of = |events: &[Event]| finding(&verdict_of(events), "data_loss").clone();
    let elsewhere = loss_of(&same_number_twice(Some(lsn(2500))));
    assert_eq!(elsewhere.outcome, Outcome::Pass, "{elsewhere:#?}");
    assert!(value(&elsewhere, "lost_rows") > 0.0);
    let same = loss_of(&same_number_twice(Some(lsn(2000))));
    assert_eq!(same.outcome, Outcome::Fail, "{same:#?}");
    let unseen = loss_of(&same_number_twice(None));
    assert_eq!(unseen.outcome, Outcome::Inconclusive, "{unseen:#?}");
}

#[test]
fn what_two_writers_lead_to_is_told_from_what_they_do_not() {
    let verdict = synchronous(&losing_failover());
    assert!(follows_from_two_writers(finding(&verdict, "data_loss")), "{:#?}", finding(&verdict, "data_loss"));
    let verdict = verdict_of(&losing(losing_failover(), ALL, |_, timeline, at| timeline == 2 && at > lsn(5000)));
    assert!(!follows_from_two_writers(finding(&verdict, "data_loss")));
    // A standby that lacked rows long before the fault.
    let verdict = verdict_of(&losing(clean(), &["node3"], |_, timeline, at| timeline == 1 && at < lsn(1000)));
    let diverged = findings(&verdict, "data_loss").into_iter().find(|own| own.outcome == Outcome::Fail).unwrap();
    assert!(!follows_from_two_writers(diverged), "{diverged:#?}");
}

#[test]
fn unknown_writes_that_are_missing_can_be_bounded() {
    for (most, outcome) in [(1.0, Outcome::Pass), (0.0, Outcome::Fail)] {
        let expected = vec![("data_loss", "unknown_missing_rows", Bound::AtMost(most))];
        let verdict = verdict_of(&run(&[Course { expected, ..Course::default() }]));
        assert_eq!(verdict.outcome, outcome, "{:#?}", findings(&verdict, "data_loss"));
    }
}

#[test]
fn a_loss_no_further_from_its_bound_than_timers_were_late_neither_keeps_nor_misses_it() {
    let at = |late_us| {
        let late = Course {
            fault_ms: 8000,
            routed_until_ms: 8000,
            old_until_ms: 8000,
            key: Some((8600, 8700)),
            direct_ms: 8900,
            up_ms: 9100,
            heal_ms: 11_150,
            rejoined_ms: 11_350,
            stop_ms: 11_400,
            lost_ms: 5200,
            ..Course::default()
        };
        finding(&verdict_of(&with(run(&[late]), 7900, Occurrence::TimerLate { late_us })), "data_loss").outcome
    };
    assert_eq!((at(100_000), at(1_000_000)), (Outcome::Fail, Outcome::Inconclusive));
}
