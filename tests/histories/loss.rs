//! Lost, refused and diverging rows: histories that are made on the spot.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Occurrence,
        event::{Bound, Milestone, SequenceRange},
    },
};

use super::{
    course::{Course, run},
    edits::{assert_fails, assert_unproven, clean, is_milestone, with, with_ledgers, without},
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
fn a_standby_that_differs_fails_once_all_have_rejoined_and_is_in_doubt_before() {
    let differing = || with_ledgers(clean(), |node, found| found.retain(|range| node != "node3" || range.client != 2));
    assert_fails(&verdict_of(&differing()), "data_loss");
    let verdict = verdict_of(&without(differing(), |what| is_milestone(what, Milestone::Rejoined)));
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"data_loss"));
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
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
