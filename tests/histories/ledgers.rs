//! Rows that are wrong, ledgers that were not read or contradict other events, and standbys that differ: histories that
//! are made on the spot.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, FaultInjecting, LedgerCounts, Milestone, Role, SequenceRange},
    },
    verdict::{RunVerdict, judge},
};

use super::{
    course::{Course, lsn, number, plan, run},
    edits::{ALL, assert_fails, assert_unproven, clean, is_attempt, is_milestone, losing, with, with_ledgers, without},
    finding, findings, value, verdict_of,
    watchers::released,
    with_outcome,
};

// ---- rows that are wrong

#[test]
fn rows_that_nobody_wrote_fail_unless_a_client_broke() {
    let strange = || with_ledgers(clean(), |_, found| found.push(SequenceRange { client: 900, from: 1, to: 7 }));
    let verdict = verdict_of(&strange());
    assert_fails(&verdict, "data_loss");
    let own = findings(&verdict, "data_loss");
    let told = own.iter().find(|own| own.outcome == Outcome::Fail).unwrap();
    assert_eq!(value(told, "unrecorded_rows"), 7.0);
    let message = "a client of the load failed".to_owned();
    let broke = Occurrence::StepFailed { text: "(the load)".to_owned(), line: 0, message };
    let verdict = verdict_of(&with(strange(), 5399, broke));
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
}

#[test]
fn a_row_that_is_there_twice_fails_though_no_row_is_missing() {
    let twice = |_: &str, found: &mut Vec<SequenceRange>| found.push(SequenceRange { client: 1, from: 5, to: 8 });
    assert_fails(&verdict_of(&with_ledgers(clean(), twice)), "data_loss");
    // A duplicate does not hide the row beside it that is gone.
    let events = with_ledgers(losing(clean(), ALL, |_, _, at| at == lsn(1000)), twice);
    let verdict = verdict_of(&events);
    let failed = with_outcome(&verdict, Outcome::Fail);
    assert_eq!(failed, ["data_loss"; 2], "{:#?}", findings(&verdict, "data_loss"));
}

fn counted(mut events: Vec<Event>, on: &str, change: impl Fn(&mut LedgerCounts)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::LedgerRead { node, found, counts, .. } = &mut event.what {
            let rows = found.iter().map(|range| range.to - range.from + 1).sum();
            let mut own = LedgerCounts { rows, ..LedgerCounts::default() };
            if node == on {
                change(&mut own);
            }
            *counts = Some(own);
        }
    }
    events
}

#[test]
fn what_a_table_and_its_index_hold_beside_distinct_rows_fails_on_any_node() {
    assert_eq!(verdict_of(&counted(clean(), "node3", |_| {})).outcome, Outcome::Pass);
    let damages: [fn(&mut LedgerCounts); 4] = [
        |counts| counts.rows += 1,
        |counts| counts.changed_rows = 1,
        |counts| counts.missing_in_index = 1,
        |counts| counts.missing_in_table = 1,
    ];
    for node in ["node2", "node3"] {
        for damage in damages {
            assert_fails(&verdict_of(&counted(clean(), node, damage)), "data_loss");
        }
    }
}

#[test]
fn a_range_that_ends_before_it_begins_is_damaged_evidence() {
    let reversed = |node: &str, found: &mut Vec<SequenceRange>| {
        if node == "node3" {
            found.push(SequenceRange { client: 77, from: 9, to: 3 });
        }
    };
    assert_unproven(&verdict_of(&with_ledgers(clean(), reversed)), "data_loss");
}

#[test]
fn a_ledger_that_claims_every_row_there_could_be_breaks_nothing() {
    let all = |_: &str, found: &mut Vec<SequenceRange>| {
        found.extend((0..3).map(|client| SequenceRange { client, from: 0, to: u64::MAX }));
    };
    let verdict = verdict_of(&with_ledgers(clean(), all));
    assert!(with_outcome(&verdict, Outcome::Fail).contains(&"data_loss"));
    assert!(!findings(&verdict, "data_loss").iter().any(|own| own.summary.contains("error in pgquake")));
}

// ---- what could not be read, and what contradicts itself

fn unread(events: Vec<Event>, node: &str) -> Vec<Event> {
    let events = without(events, |what| matches!(what, Occurrence::LedgerRead { node: read, .. } if read == node));
    let reason = "no answer within 15 s".to_owned();
    with(events, 5500, Occurrence::LedgerUnread { node: node.to_owned(), reason })
}

#[test]
fn an_unread_ledger_hides_no_failure_that_is_proven() {
    let kept = with_ledgers(clean(), |_, found| found.push(SequenceRange { client: 4, from: 40, to: 40 }));
    let diverged = losing(clean(), &["node1"], |_, timeline, at| timeline == 1 && at < lsn(1000));
    let expected = vec![("data_loss", "unknown_missing_rows", Bound::AtMost(0.0))];
    let unknown = run(&[Course { expected, ..Course::default() }]);
    for events in [kept, diverged, unknown] {
        let verdict = verdict_of(&unread(events, "node3"));
        assert_fails(&verdict, "data_loss");
        assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
    }
    assert_unproven(&verdict_of(&unread(clean(), "node3")), "data_loss");
    // Nothing is proven of the rows of a primary that can't be read.
    assert!(!with_outcome(&verdict_of(&unread(clean(), "node2")), Outcome::Fail).contains(&"data_loss"));
}

#[test]
fn a_ledger_of_another_timeline_than_the_observer_s_is_in_doubt() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::LedgerRead { node, timeline, .. } = &mut event.what
            && node == "node2"
        {
            *timeline = 1;
        }
    }
    let verdict = verdict_of(&events);
    assert_eq!(
        (verdict.outcome, with_outcome(&verdict, Outcome::Inconclusive)),
        (Outcome::Inconclusive, vec!["data_loss", "rejoin"])
    );
    assert!(finding(&verdict, "data_loss").summary.contains("its observer saw it on timeline 2"));
}

#[test]
fn a_node_that_the_plan_does_not_have_is_in_doubt() {
    let mut plan = plan(false);
    plan.nodes.retain(|node| node != "node3");
    let verdict = judge(&BTreeMap::from([(1, plan)]), &clean());
    let loss = finding(&verdict, "data_loss");
    assert_eq!(loss.outcome, Outcome::Inconclusive);
    assert!(loss.summary.contains("node3"), "{}", loss.summary);
}

#[test]
fn two_trials_under_one_number_are_in_doubt() {
    let mut events = clean();
    let writes: Vec<_> = events.iter().filter(|event| is_attempt(&event.what, |_| true)).take(5).cloned().collect();
    events.extend(writes);
    let verdict = verdict_of(&number(events));
    assert!(finding(&verdict, "data_loss").summary.contains("rows can't be told apart"));
    assert_eq!(finding(&verdict, "data_loss").outcome, Outcome::Inconclusive);
}

#[test]
fn a_look_that_got_no_answer_does_not_hide_who_was_primary() {
    let mut events = clean();
    let last =
        events.iter().rposition(|event| matches!(&event.what, Occurrence::NodeState(state) if state.node == "node2"));
    let Occurrence::NodeState(state) = events[last.unwrap()].what.clone() else { panic!("no state") };
    let silent = pgquake_judge::history::event::NodeState {
        reachable: false,
        role: None,
        timeline: None,
        lsn: None,
        streaming_from: None,
        ..state
    };
    events = with(events, 5450, Occurrence::NodeState(silent));
    assert_eq!(finding(&verdict_of(&events), "data_loss").outcome, Outcome::Pass);
}

// ---- standbys that differ

#[test]
fn a_standby_that_differs_fails_once_all_have_rejoined_and_is_in_doubt_before() {
    let differing = || with_ledgers(clean(), |node, found| found.retain(|range| node != "node3" || range.client != 2));
    assert_fails(&verdict_of(&differing()), "data_loss");
    let verdict = verdict_of(&without(differing(), |what| is_milestone(what, Milestone::Rejoined)));
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
}

/// node3 lacks the last rows of every client.
fn lagging() -> Vec<Event> {
    losing(clean(), &["node3"], |_, _, at| at > lsn(5300))
}

#[test]
fn a_standby_that_had_not_replayed_everything_lags() {
    let message = "every standby to have replayed all WAL did not come".to_owned();
    let late = Occurrence::StepFailed { text: "(the replay of all WAL)".to_owned(), line: 0, message };
    let verdict = verdict_of(&with(lagging(), 5410, late));
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0], "{:#?}", findings(&verdict, "data_loss"));
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
    assert_fails(&verdict_of(&lagging()), "data_loss");
}

#[test]
fn a_return_from_before_another_fault_proves_no_replay() {
    let injecting = FaultInjecting {
        fault: 2,
        name: "link_bandwidth".to_owned(),
        target: "node3".to_owned(),
        hosts: vec!["node3".to_owned()],
        services: Vec::new(),
        parameters: BTreeMap::new(),
        hands_over: false,
        worst: Default::default(),
        primary_before: Some("node2".to_owned()),
        dcs_leader_before: None,
    };
    let events = with(lagging(), 5360, Occurrence::FaultInjecting(injecting));
    let own = |verdict: &RunVerdict, outcome| with_outcome(verdict, outcome).contains(&"data_loss");
    let verdict = verdict_of(&events);
    assert!(own(&verdict, Outcome::Inconclusive) && !own(&verdict, Outcome::Fail));
}

/// What nodes were when they were read: node2 had written all, node3 had replayed so far.
fn with_positions(mut events: Vec<Event>, replayed: u64) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::LedgerRead { node, role, lsn: at, .. } = &mut event.what {
            *role = Some(if node == "node2" { Role::Primary } else { Role::Standby });
            *at = Some(if node == "node3" { replayed } else { lsn(5400) });
        }
    }
    without(events, |what| is_milestone(what, Milestone::Rejoined))
}

#[test]
fn a_standby_that_had_replayed_what_it_lacks_differs() {
    let fails = |events: Vec<Event>| with_outcome(&verdict_of(&events), Outcome::Fail).contains(&"data_loss");
    assert!(fails(with_positions(lagging(), lsn(5400))));
    // It had passed writes that came after some of those that it lacks.
    assert!(fails(with_positions(lagging(), lsn(5380))));
    assert!(!fails(with_positions(lagging(), lsn(5300))));
}

#[test]
fn a_hole_in_a_standby_s_rows_is_no_lag() {
    let events = losing(clean(), &["node3"], |_, _, at| (lsn(1000)..lsn(1300)).contains(&at));
    let verdict = verdict_of(&without(events, |what| is_milestone(what, Milestone::Rejoined)));
    assert!(with_outcome(&verdict, Outcome::Fail).contains(&"data_loss"));
}

#[test]
fn a_row_that_a_standby_alone_holds_fails_unless_its_write_may_be_under_way() {
    // The write of client 3 that was in flight when the fault struck at 2000 ms.
    let unknown = clean().into_iter().find_map(|event| match event.what {
        Occurrence::Attempt(attempt) if matches!(attempt.outcome, AttemptOutcome::Unknown { .. }) => {
            Some((attempt.client, attempt.sequence))
        }
        _ => None,
    });
    let (client, sequence) = unknown.unwrap();
    let alone = |events| {
        with_ledgers(events, |node, found| {
            if node == "node1" {
                found.push(SequenceRange { client, from: sequence, to: sequence });
            }
        })
    };
    let (heal_ms, rejoined_ms, stop_ms) = (8150, 8350, 8400);
    assert_fails(
        &verdict_of(&alone(run(&[Course { heal_ms, rejoined_ms, stop_ms, ..Course::default() }]))),
        "data_loss",
    );
    assert_unproven(&verdict_of(&alone(clean())), "data_loss");
}

#[test]
fn a_table_in_which_fewer_rows_were_counted_than_named_is_damaged_evidence() {
    let verdict = verdict_of(&counted(clean(), "node3", |counts| counts.rows -= 1));
    assert_unproven(&verdict, "data_loss");
    assert!(finding(&verdict, "data_loss").summary.contains("in which it counted"));
}

/// What came later than schema 1 is not left out where it belongs.
#[test]
fn a_ledger_of_a_newer_history_comes_with_its_counts() {
    let mut events = released(clean());
    for event in &mut events {
        if let Occurrence::LedgerRead { counts, role, lsn, .. } = &mut event.what {
            (*counts, *role, *lsn) = (None, None, None);
        }
    }
    let verdict = verdict_of(&events);
    assert_eq!(
        with_outcome(&verdict, Outcome::Inconclusive),
        ["data_loss"; 3],
        "{:#?}",
        findings(&verdict, "data_loss")
    );
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
}

#[test]
fn two_nodes_that_call_themselves_primary_when_their_ledgers_are_read_are_two_primaries() {
    let read_on = |of: &str, on: u32| {
        let mut events = clean();
        for event in &mut events {
            if let Occurrence::LedgerRead { node, role, timeline, .. } = &mut event.what {
                let leads = node == "node2" || node == of;
                *role = Some(if leads { Role::Primary } else { Role::Standby });
                *timeline = if node == of { on } else { 2 };
            }
        }
        verdict_of(&events)
    };
    assert!(with_outcome(&read_on("node1", 2), Outcome::Fail).contains(&"timelines"));
    let lower = read_on("node1", 1);
    assert!(with_outcome(&lower, Outcome::Inconclusive).contains(&"single_writer"));
    assert_eq!(read_on("node2", 2).outcome, Outcome::Pass);
}
