//! The phases of outages, and of which outages they are asked.

use pgquake_judge::{
    checks::{Outcome, course::phases::PhaseName},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind},
    },
    verdict::RunVerdict,
};

use super::{
    course::{Course, run},
    edits::{assert_fails, assert_unproven, clean, unserved, with, with_another_fault, without},
    finding, value, verdict_of,
};

fn expecting(measure: &'static str, most: f64) -> Course {
    let expected = vec![("recovery_time", measure, Bound::AtMost(most))];
    Course { expected, heal_ms: 7200, rejoined_ms: 7400, stop_ms: 8000, ..Course::default() }
}

/// A second fault, after the recovery, that clients don't feel.
fn with_a_harmless_fault(measure: &'static str, most: f64) -> RunVerdict {
    verdict_of(&with_another_fault(run(&[expecting(measure, most)]), 6000, 6010))
}

#[test]
fn a_phase_is_asked_of_the_outages_that_have_it() {
    let kept = with_a_harmless_fault("promote_ms", 300.0);
    assert_eq!(kept.outcome, Outcome::Pass, "{:#?}", kept.scenarios[0].findings);
    assert_eq!(kept.scenarios[0].failovers.len(), 2);
    assert_fails(&with_a_harmless_fault("promote_ms", 200.0), "recovery_time");
}

#[test]
fn the_old_primarys_last_write_is_asked_of_the_outages_in_which_one_was_replaced() {
    let kept = with_a_harmless_fault("old_primary_writes_ms", 500.0);
    assert_eq!(kept.outcome, Outcome::Pass, "{:#?}", kept.scenarios[0].findings);
}

#[test]
fn a_phase_that_no_outage_has_leaves_its_expectation_unproven() {
    assert_unproven(&with_a_harmless_fault("restart_ms", 9000.0), "recovery_time");
    let events = run(&[Course { key: None, direct_ms: 2600, up_ms: 2800, ..expecting("promote_ms", 9000.0) }]);
    assert_unproven(&verdict_of(&events), "recovery_time");
}

#[test]
fn a_phase_whose_end_nobody_saw_leaves_its_expectation_unproven() {
    let blind = without(
        run(&[expecting("promote_ms", 9000.0)]),
        |what| matches!(what, Occurrence::Attempt(attempt) if attempt.endpoint == "node2" || attempt.client_kind == ClientKind::Writer),
    );
    let recovery = verdict_of(&blind);
    assert_eq!(finding(&recovery, "recovery_time").outcome, Outcome::Inconclusive);
}

/// The new primary leads, so that the proxy has it UP, but restores WAL for 2 s more before it accepts writes.
fn promoted_late() -> Vec<Event> {
    let course = Course { key: Some((2600, 2700)), direct_ms: 5003, up_ms: 3000, ..expecting("promote_ms", 1000.0) };
    // The direct prober tries twice a second only, and so after the client.
    let too_often = |what: &Occurrence| match what {
        Occurrence::Attempt(attempt) => attempt.endpoint == "node2" && attempt.started_us % 500_000 != 2_000,
        _ => false,
    };
    let mut events = without(run(&[Course { heal_ms: 7200, rejoined_ms: 7400, ..course }]), too_often);
    // The node itself refuses whoever the proxy sends there.
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && let AttemptOutcome::Refused { sqlstate, .. } = &mut attempt.outcome
            && attempt.endpoint == "write"
            && (3_100_000..5_103_000).contains(&attempt.started_us)
        {
            *sqlstate = Some("25006".to_owned());
        }
    }
    super::course::number(events)
}

#[test]
fn a_promotion_that_takes_long_behind_a_proxy_that_trusts_it_is_seen_as_such() {
    let verdict = verdict_of(&promoted_late());
    let recovery = finding(&verdict, "recovery_time");
    assert!(value(recovery, "promote_ms") > 2200.0, "{recovery:#?}");
    assert_eq!((value(recovery, "route_ms"), value(recovery, "first_write_ms")), (0.0, 0.0));
    assert_fails(&verdict, "recovery_time");
}

/// The proxy sends clients to the old primary, which is dead, and to the new one in turn until it marks the old one DOWN.
fn marked_down_late(expected: (&'static str, f64), down_ms: u64) -> Vec<Event> {
    let course = Course { heal_ms: down_ms + 2200, rejoined_ms: down_ms + 2400, ..expecting(expected.0, expected.1) };
    let course = Course { stop_ms: down_ms + 3000, ..course };
    let proxy = |server: &str, up: bool, status: &str| Occurrence::ProxyState {
        proxy: "proxy1".to_owned(),
        backend: "write".to_owned(),
        server: server.to_owned(),
        up,
        status: status.to_owned(),
    };
    let events = without(
        run(&[course]),
        |what| matches!(what, Occurrence::ProxyState { server, up: false, .. } if server == "node1"),
    );
    let events = with(events, down_ms, proxy("node1", false, "DOWN"));
    // Every second client meets the dead server.
    let dead = (3_200_000..(120 + down_ms) * 1000).step_by(40_000).map(|us| us..us + 20_000).collect::<Vec<_>>();
    super::edits::refused(events, |attempt| {
        attempt.endpoint == "write" && dead.iter().any(|span| span.contains(&attempt.started_us))
    })
}

#[test]
fn a_proxy_that_still_believes_in_a_dead_server_has_a_phase_of_its_own() {
    let verdict = verdict_of(&marked_down_late(("mark_down_ms", 1000.0), 5100));
    let failover = &verdict.scenarios[0].failovers[0];
    let names: Vec<_> = failover.phases.iter().map(|phase| phase.name).collect();
    assert!(names.ends_with(&[PhaseName::Route, PhaseName::MarkDown, PhaseName::FirstWrite]), "{names:?}");
    let recovery = finding(&verdict, "recovery_time");
    // UP at 3.1 s, DOWN at 5.1 s; the old primary was gone at 2 s.
    assert_eq!((value(recovery, "mark_down_ms"), value(recovery, "sessions_closed_ms")), (2000.0, 3100.0));
    let sum: f64 = failover.phases.iter().map(|phase| phase.duration_ms()).sum();
    assert_eq!(Some(sum), failover.outage_ms());
    assert_fails(&verdict, "recovery_time");
    // inter 2 s and fall 3: 4 to 14 s after the fault, of which 1.1 s had passed.
    let phase = failover.phases.iter().find(|phase| phase.name == PhaseName::MarkDown).unwrap();
    let predicted = phase.predicted.unwrap();
    assert_eq!((predicted.least_ms, predicted.most_ms), (2900, 12_900));
    assert!(failover.predicted.unwrap().most_ms >= 14_000);
}

#[test]
fn a_proxy_that_had_given_the_dead_server_up_by_then_costs_nothing() {
    let verdict = verdict_of(&run(&[expecting("mark_down_ms", 1000.0)]));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    assert!(verdict.scenarios[0].failovers[0].phases.iter().all(|phase| phase.name != PhaseName::MarkDown));
    let plain = verdict_of(&clean());
    assert_eq!(finding(&plain, "recovery_time").value_of("mark_down_ms"), None);
    assert_eq!(value(finding(&plain, "recovery_time"), "sessions_closed_ms"), 400.0);
}

#[test]
fn what_fails_after_the_old_server_is_down_is_not_the_proxys() {
    let verdict = verdict_of(&unserved(clean(), 3100, 3300));
    assert!(verdict.scenarios[0].failovers[0].phases.iter().all(|phase| phase.name != PhaseName::MarkDown));
}

#[test]
fn a_takeover_whose_key_nobody_saw_is_no_restart_in_place() {
    let events = without(clean(), |what| matches!(what, Occurrence::LeaderKey { initial: false, .. }));
    let verdict = verdict_of(&events);
    let failover = &verdict.scenarios[0].failovers[0];
    assert_eq!(failover.course, pgquake_judge::checks::course::phases::Course::Failover, "{failover:#?}");
    assert!(failover.phases.iter().all(|phase| phase.seen || phase.to_us == phase.from_us));
}
