//! Histories that are made on the spot: what must not slip through, and what must not raise an alarm.

use std::collections::BTreeMap;

use pgquake::{
    checks::{Outcome, phases::Course as FailoverCourse},
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, Bound, ClientKind, FaultInjecting, Milestone, Operation, SequenceRange},
    },
    verdict::{ClaimState, RunVerdict, judge},
};

use crate::{
    course::{Course, number, plan, run},
    finding, findings, value, verdict_of, with_outcome,
};

fn clean() -> Vec<Event> {
    run(&[Course::default()])
}

/// The history with these events left out.
fn without(events: Vec<Event>, unwanted: impl Fn(&Occurrence) -> bool) -> Vec<Event> {
    number(events.into_iter().filter(|event| !unwanted(&event.what)).collect())
}

/// The history with this added to the scenario.
fn with(mut events: Vec<Event>, at_ms: u64, what: Occurrence) -> Vec<Event> {
    events.push(Event { seq: 0, at_us: (100 + at_ms) * 1000, scenario: 1, what });
    number(events)
}

fn with_ledgers(mut events: Vec<Event>, change: impl Fn(&str, &mut Vec<SequenceRange>)) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::LedgerRead { node, found, .. } = &mut event.what {
            change(node, found);
        }
    }
    events
}

fn is_milestone(what: &Occurrence, wanted: Milestone) -> bool {
    matches!(what, Occurrence::Reached { milestone } if *milestone == wanted)
}

/// A verdict that must be inconclusive because of this check alone.
fn assert_unproven(verdict: &RunVerdict, check: &str) {
    let found = &verdict.scenarios[0].findings;
    assert_eq!(verdict.outcome, Outcome::Inconclusive, "{found:#?}");
    assert_eq!(with_outcome(verdict, Outcome::Inconclusive), [check], "{found:#?}");
    assert_eq!(with_outcome(verdict, Outcome::Fail), [""; 0], "{found:#?}");
}

fn assert_fails(verdict: &RunVerdict, check: &str) {
    let found = &verdict.scenarios[0].findings;
    assert_eq!((verdict.outcome, with_outcome(verdict, Outcome::Fail)), (Outcome::Fail, vec![check]), "{found:#?}");
}

// ---- recovery and claims

/// Trials with these outages in milliseconds, of a lease of 30 s as documented.
fn trials(outages_ms: &[u64], claims: &[&'static str]) -> Vec<Event> {
    let mut start_ms = 100;
    let mut courses = Vec::new();
    for (trial, outage_ms) in (1..).zip(outages_ms) {
        let up_ms = 2000 + outage_ms - 4;
        courses.push(Course {
            scenario: trial,
            start_ms,
            trial,
            trials: outages_ms.len() as u32,
            claims: claims.to_vec(),
            key: Some((up_ms - 400, up_ms - 300)),
            direct_ms: up_ms - 200,
            up_ms,
            heal_ms: up_ms + 2100,
            rejoined_ms: up_ms + 2300,
            stop_ms: up_ms + 2400,
            ..Course::default()
        });
        start_ms += up_ms + 3000;
    }
    run(&courses)
}

#[test]
fn a_claim_is_refuted_by_one_trial_that_missed_it_and_confirmed_by_all_that_kept_it() {
    let verdict = verdict_of(&trials(&[24_004, 31_804, 28_804], &["RTO-30", "RTO-30-60"]));
    let claim = |id: &str| verdict.claims.iter().find(|claim| claim.claim.id == id).unwrap();
    assert_eq!(claim("RTO-30").state, ClaimState::Refuted);
    assert_eq!(
        claim("RTO-30").trials.iter().map(|trial| trial.kept).collect::<Vec<_>>(),
        [Some(true), Some(false), Some(true)]
    );
    assert!(claim("RTO-30").summary.contains("1 of 3 trials missed"), "{}", claim("RTO-30").summary);
    assert_eq!(claim("RTO-30-60").state, ClaimState::Confirmed);
    // Nothing was expected by a step, so the scenario itself passes: refuting a claim is a result.
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!(verdict.groups.len(), 1);
    let outage = verdict.groups[0].statistics.iter().find(|own| own.measure == "write_outage_ms").unwrap();
    assert_eq!((outage.minimum, outage.median, outage.p95, outage.maximum), (24_004.0, 28_804.0, 31_804.0, 31_804.0));
    assert!(finding(&verdict, "recovery_time").claims.contains(&"RTO-30".to_owned()));
}

#[test]
fn a_claim_with_a_doubtful_trial_is_not_confirmed() {
    let mut events = trials(&[24_004, 24_004], &["RTO-30"]);
    events.retain(|event| event.scenario != 2 || !matches!(event.what, Occurrence::ScenarioEnded));
    let verdict = verdict_of(&number(events));
    assert_eq!((verdict.claims[0].state, verdict.outcome), (ClaimState::Undecided, Outcome::Inconclusive));
}

#[test]
fn a_value_within_the_harness_s_own_error_of_the_bound_decides_no_claim() {
    let late = |late_us| Occurrence::TimerLate { late_us };
    for (outage_ms, late_us, state) in [
        (30_084, 120_000, ClaimState::Undecided),
        (29_964, 120_000, ClaimState::Undecided),
        (30_084, 20_000, ClaimState::Refuted),
        (29_964, 20_000, ClaimState::Confirmed),
    ] {
        let verdict = verdict_of(&with(trials(&[outage_ms], &["RTO-30"]), 3000, late(late_us)));
        assert_eq!(verdict.claims[0].state, state, "{outage_ms} ms, timers {late_us} us late");
    }
}

#[test]
fn timers_count_until_the_last_recovery() {
    // The harness took writes for recovered before the outage had even begun.
    let mut events = clean();
    for event in &mut events {
        if is_milestone(&event.what, Milestone::Recovered) {
            event.at_us = 2_101_000;
        }
    }
    let events = with(number(events), 2900, Occurrence::TimerLate { late_us: 400_000 });
    assert_unproven(&verdict_of(&events), "harness_was_sound");
}

#[test]
fn a_doubtful_fault_refutes_nothing() {
    let mut events = trials(&[31_804], &["RTO-30"]);
    events = with(events, 9000, Occurrence::FaultUnconfirmed { fault: 1, reason: "node1 answered again".to_owned() });
    assert_eq!(verdict_of(&events).claims[0].state, ClaimState::Undecided);
}

#[test]
fn writes_that_never_come_back_fail_and_refute_the_claim() {
    let far_ms = 90_000;
    let course = Course {
        claims: vec!["RTO-30"],
        key: Some((far_ms, far_ms + 1)),
        direct_ms: far_ms,
        up_ms: far_ms,
        stop_ms: 70_000,
        heal_ms: 60_000,
        rejoined_ms: 61_000,
        ..Course::default()
    };
    let verdict = verdict_of(&run(&[course]));
    let recovery = finding(&verdict, "recovery_time");
    assert_eq!(recovery.outcome, Outcome::Fail, "{recovery:#?}");
    assert!(recovery.summary.contains("could not write again within 68.0 s"), "{}", recovery.summary);
    assert_eq!(verdict.claims[0].state, ClaimState::Refuted);
}

#[test]
fn a_watch_that_was_too_short_does_not_prove_that_writes_never_came_back() {
    let course = Course { key: Some((90_000, 90_000)), direct_ms: 90_000, up_ms: 90_000, ..Course::default() };
    let verdict = verdict_of(&run(std::slice::from_ref(&course)));
    assert_eq!(finding(&verdict, "recovery_time").outcome, Outcome::Inconclusive);
    // But it does prove that an expectation was missed.
    let expected = vec![("recovery_time", "write_outage_ms", Bound::AtMost(3000.0))];
    let verdict = verdict_of(&run(&[Course { expected, ..course }]));
    assert_eq!(finding(&verdict, "recovery_time").outcome, Outcome::Fail);
}

#[test]
fn an_outage_that_begins_late_is_not_missed_nor_blamed_on_detection() {
    // The agent freezes: the old primary serves on until its proxy gives it up.
    let frozen = Course {
        routed_until_ms: 3200,
        old_until_ms: 3200,
        key: Some((3600, 3700)),
        direct_ms: 3900,
        up_ms: 4100,
        heal_ms: 6200,
        rejoined_ms: 6400,
        stop_ms: 6500,
        ..Course::default()
    };
    let verdict = verdict_of(&run(&[frozen]));
    let recovery = finding(&verdict, "recovery_time");
    assert_eq!((value(recovery, "write_outage_ms"), value(recovery, "outage_onset_ms")), (904.0, 1170.0));
    assert_eq!(recovery.value_of("detect_ms"), None);
    assert_eq!(verdict.scenarios[0].failovers[0].predicted, None);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
}

#[test]
fn lucky_hits_do_not_shorten_an_outage() {
    let verdict = verdict_of(&run(&[Course { lucky: vec![2920, 2940], ..Course::default() }]));
    assert_eq!(value(finding(&verdict, "recovery_time"), "write_outage_ms"), 1104.0);
}

#[test]
fn a_recovery_that_was_not_watched_long_enough_is_not_settled() {
    let verdict = verdict_of(&run(&[Course { stop_ms: 4000, heal_ms: 3500, rejoined_ms: 3800, ..Course::default() }]));
    assert_unproven(&verdict, "recovery_time");
}

#[test]
fn the_loss_of_the_etcd_leader_is_predicted_and_explained() {
    let verdict = verdict_of(&run(&[Course { dcs_leader: "node1", ..Course::default() }]));
    let recovery = finding(&verdict, "recovery_time");
    assert!(recovery.summary.contains("granted the lease its full ttl of 2 s again"), "{}", recovery.summary);
    let detect = recovery.details.iter().find(|measure| measure.name == "detect_ms").unwrap();
    assert_eq!(detect.predicted, Some((2200.0, 2900.0)));
}

/// A switchover has no dead primary: no lease has to run out, so nothing is predicted from its length.
#[test]
fn a_primary_that_hands_over_predicts_no_lease_to_run_out() {
    let mut events = run(&[Course { dcs_leader: "node1", ..Course::default() }]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.hands_over = true;
        }
    }
    let verdict = verdict_of(&events);
    let failover = &verdict.scenarios[0].failovers[0];
    assert_eq!(failover.course, FailoverCourse::Failover);
    assert_eq!(failover.predicted, None);
    let recovery = finding(&verdict, "recovery_time");
    assert!(!recovery.summary.contains("predicted") && !recovery.summary.contains("ttl"), "{}", recovery.summary);
}

#[test]
fn an_outage_that_began_before_the_fault_is_not_the_faults() {
    let mut events = clean();
    for event in &mut events {
        // The second before the fault: held sessions and writers are served, fresh ones are not.
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.client_kind == ClientKind::Fresh
            && attempt.endpoint == "write"
            && (1_000_000..1_900_000).contains(&attempt.started_us)
        {
            let message = "no session came in time".to_owned();
            attempt.outcome = AttemptOutcome::Refused { sqlstate: None, message };
        }
    }
    let client = events.iter().find_map(|event| match &event.what {
        Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh && attempt.endpoint == "write" => {
            Some(attempt.client)
        }
        _ => None,
    });
    let refused: Vec<u64> = events
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Attempt(attempt) if Some(attempt.client) == client => match attempt.outcome {
                AttemptOutcome::Refused { .. } => Some(attempt.sequence),
                _ => None,
            },
            _ => None,
        })
        .collect();
    let events = with_ledgers(events, |_, found| {
        let own = found.iter().filter(|range| Some(range.client) == client).copied().collect::<Vec<_>>();
        found.retain(|range| Some(range.client) != client);
        let kept = own.iter().flat_map(|range| range.from..=range.to).filter(|sequence| !refused.contains(sequence));
        found.extend(kept.map(|sequence| SequenceRange { client: own[0].client, from: sequence, to: sequence }));
    });
    assert_unproven(&verdict_of(&events), "load_was_real");
}

/// A fault can hit the leader and leave it leading (lost packets), or move it without hitting it (a ring).
#[test]
fn whether_the_etcd_leader_was_lost_is_seen_and_not_concluded_from_the_fault() {
    let led_by =
        |events, at_ms, member: &str| with(events, at_ms, Occurrence::DcsLeader { member: Some(member.to_owned()) });
    let lost = |events: &[Event]| verdict_of(events).scenarios[0].failovers[0].dcs_leader_lost;
    let hit = run(&[Course { dcs_leader: "node1", ..Course::default() }]);
    assert!(lost(&hit));
    let stayed = led_by(hit, 900, "node1");
    assert!(!lost(&stayed));
    assert!(lost(&led_by(stayed, 2300, "node3")));
    let spared = led_by(clean(), 900, "node3");
    assert!(!lost(&spared));
    assert!(lost(&led_by(spared.clone(), 2300, "node2")));
    // After the outage it does not matter any more.
    assert!(!lost(&led_by(spared, 4000, "node2")));
}

/// A node that is cut off lives on: clients that reach it go on writing until it steps down.
#[test]
fn an_old_primary_that_lives_on_is_timed_until_its_last_write() {
    let course = Course { old_until_ms: 2500, ..Course::default() };
    let verdict = verdict_of(&run(&[course]));
    let recovery = finding(&verdict, "recovery_time");
    let writes_ms = recovery.value_of("old_primary_writes_ms").unwrap();
    assert!((450.0..=520.0).contains(&writes_ms), "{writes_ms}");
    assert_eq!(with_outcome(&verdict, Outcome::Inconclusive), [""; 0]);
    // In place of a failover there is no old primary.
    let in_place = verdict_of(&run(&[Course { key: None, ..Course::default() }]));
    assert_eq!(finding(&in_place, "recovery_time").value_of("old_primary_writes_ms"), None);
}

/// The history with another fault, of the proxy.
fn with_another_fault(events: Vec<Event>, injecting_ms: u64, effect_ms: u64) -> Vec<Event> {
    let second = FaultInjecting {
        fault: 2,
        name: "service_kill".to_owned(),
        target: "the proxy".to_owned(),
        hosts: vec!["proxy1".to_owned()],
        services: vec!["proxy1/haproxy".to_owned()],
        parameters: BTreeMap::new(),
        hands_over: false,
        primary_before: None,
        dcs_leader_before: None,
    };
    let events = with(events, injecting_ms, Occurrence::FaultInjecting(second));
    let (effect_from_us, effect_to_us) = ((effect_ms + 100) * 1000, (effect_ms + 105) * 1000);
    let evidence = "gone".to_owned();
    let confirmed = Occurrence::FaultConfirmed { fault: 2, effect_from_us, effect_to_us, evidence };
    with(events, effect_ms + 15, confirmed)
}

/// That clients can't write for a time at least is said of the longest outage: another fault may make none.
#[test]
fn a_least_outage_is_asked_of_the_longest_alone() {
    let expected = |least| vec![("recovery_time", "write_outage_ms", Bound::Between(least, 5000.0))];
    let verdict = |least| {
        let events = run(&[Course { expected: expected(least), ..Course::default() }]);
        verdict_of(&with_another_fault(events, 1300, 1305))
    };
    let kept = verdict(1000.0);
    assert_eq!(kept.scenarios[0].failovers.len(), 2);
    assert_eq!(with_outcome(&kept, Outcome::Fail), [""; 0], "{:#?}", kept.scenarios[0].findings);
    assert!(with_outcome(&verdict(2000.0), Outcome::Fail).contains(&"recovery_time"));
}

#[test]
fn a_second_fault_in_an_outage_belongs_to_it() {
    let verdict = verdict_of(&with_another_fault(clean(), 2300, 2305));
    assert_eq!(verdict.scenarios[0].failovers[0].faults, [1, 2]);
    assert_eq!(value(finding(&verdict, "recovery_time"), "write_outage_ms"), 1104.0);
}

// ---- data

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

// ---- writers

#[test]
fn a_quick_handover_is_no_overlap() {
    let course = Course { key: Some((2001, 2002)), direct_ms: 2003, up_ms: 2010, ..Course::default() };
    let verdict = verdict_of(&run(&[course]));
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Pass, "{:#?}", finding(&verdict, "single_writer"));
}

#[test]
fn a_node_that_nobody_probed_may_have_been_a_hidden_writer() {
    let direct = |what: &Occurrence| matches!(what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh && attempt.endpoint == "node3");
    assert_unproven(&verdict_of(&without(clean(), direct)), "single_writer");
}

/// A write of node1 on its old timeline, from a session that was held.
fn late_write(started_ms: u64, ended_ms: u64) -> impl Fn(Vec<Event>) -> Vec<Event> {
    move |events| {
        let attempt = Attempt {
            client_kind: ClientKind::Held,
            endpoint: "node1".to_owned(),
            operation: Operation::Write,
            client: 99,
            sequence: 1,
            started_us: (100 + started_ms) * 1000,
            outcome: AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 },
        };
        let kept = SequenceRange { client: 99, from: 1, to: 1 };
        with_ledgers(with(events, ended_ms, Occurrence::Attempt(attempt)), |_, found| found.push(kept))
    }
}

fn is_attempt(what: &Occurrence, wanted: impl Fn(&Attempt) -> bool) -> bool {
    matches!(what, Occurrence::Attempt(attempt) if wanted(attempt))
}

#[test]
fn an_acknowledgement_that_hung_across_the_takeover_decides_nothing() {
    // node1 got the write before the takeover and acknowledged it after: committed before, or beside the new primary?
    let frozen = |what: &Occurrence| {
        is_attempt(what, |attempt| attempt.endpoint == "node1" && (2_000_000..3_800_000).contains(&attempt.started_us))
    };
    let verdict = verdict_of(&late_write(2050, 3650)(without(clean(), frozen)));
    let writers = finding(&verdict, "single_writer");
    assert_eq!((writers.outcome, value(writers, "overlap_ms")), (Outcome::Inconclusive, 0.0), "{writers:#?}");
    assert!(
        value(writers, "possible_overlap_ms") > 600.0 && writers.summary.contains("may have"),
        "{}",
        writers.summary
    );
}

#[test]
fn a_write_on_a_superseded_timeline_fails_though_the_nodes_took_turns() {
    // node2 is silent while node1, which was written off, wakes for one write.
    let by_node2 =
        |attempt: &Attempt| matches!(&attempt.outcome, AttemptOutcome::Acknowledged { node, .. } if node == "node2");
    let silent = |what: &Occurrence| is_attempt(what, |attempt| attempt.started_us > 3_350_000 && by_node2(attempt));
    let verdict = verdict_of(&late_write(4000, 4007)(without(clean(), silent)));
    let writers = finding(&verdict, "single_writer");
    assert_eq!((writers.outcome, value(writers, "superseded_writes")), (Outcome::Fail, 1.0), "{writers:#?}");
    assert_eq!(value(writers, "overlap_ms"), 7.0);
    assert!(writers.summary.contains("took turns"), "{}", writers.summary);
}

#[test]
fn a_control_that_is_not_caught_fails() {
    let verdict = verdict_of(&run(&[Course { control: Some("single_writer"), ..Course::default() }]));
    assert_eq!((verdict.outcome, verdict.scenarios[0].worst_finding), (Outcome::Fail, Outcome::Pass));
    assert!(!verdict.scenarios[0].control.as_ref().unwrap().caught);
}

// ---- rejoin

#[test]
fn a_node_that_does_not_come_back_fails() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node1"
            && event.at_us > 2_200_000
        {
            (state.reachable, state.role, state.timeline, state.streaming_from) = (false, None, None, None);
        }
    }
    assert_fails(&verdict_of(&events), "rejoin");
}

#[test]
fn a_node_that_was_not_seen_in_the_end_is_inconclusive() {
    let mut events = clean();
    events.retain(|event| {
        event.at_us < 200_000 || !matches!(&event.what, Occurrence::NodeState(state) if state.node == "node3")
    });
    assert_unproven(&verdict_of(&number(events)), "rejoin");
}

#[test]
fn a_standby_on_the_old_timeline_has_not_rejoined() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node3"
        {
            state.timeline = Some(1);
        }
    }
    let verdict = verdict_of(&events);
    assert_fails(&verdict, "rejoin");
    assert!(finding(&verdict, "rejoin").summary.contains("node3 streams, but is on timeline 1"));
}

// ---- the harness itself

#[test]
fn a_step_that_was_not_carried_out_is_inconclusive() {
    let (text, message) = ("the host comes back".to_owned(), "no answer within 60 s".to_owned());
    assert_unproven(
        &verdict_of(&with(clean(), 3000, Occurrence::StepFailed { text, line: 9, message })),
        "ran_to_the_end",
    );
}

#[test]
fn late_timers_are_inconclusive_while_the_load_runs_and_also_when_the_run_records_them() {
    assert_unproven(&verdict_of(&with(clean(), 3000, Occurrence::TimerLate { late_us: 300_000 })), "harness_was_sound");
    let mut events = with(clean(), 3000, Occurrence::TimerLate { late_us: 300_000 });
    events
        .iter_mut()
        .filter(|event| event.what == Occurrence::TimerLate { late_us: 300_000 })
        .for_each(|event| event.scenario = 0);
    assert_unproven(&verdict_of(&events), "harness_was_sound");
    // Containers start before the load does; that may cost time.
    assert_eq!(verdict_of(&with(clean(), 100, Occurrence::TimerLate { late_us: 300_000 })).outcome, Outcome::Pass);
}

#[test]
fn an_observer_that_failed_or_never_saw_a_node_is_inconclusive() {
    let (observer, target) = ("leader_key".to_owned(), "node2".to_owned());
    let lost = Occurrence::ObserverLost { observer, target, reason: "watch cancelled".to_owned() };
    assert_unproven(&verdict_of(&with(clean(), 3000, lost)), "harness_was_sound");
    let unseen = without(clean(), |what| matches!(what, Occurrence::NodeState(state) if state.node == "node3"));
    assert!(with_outcome(&verdict_of(&unseen), Outcome::Inconclusive).contains(&"harness_was_sound"));
}

#[test]
fn writers_that_do_not_write_are_no_load() {
    let writers = |what: &Occurrence| is_attempt(what, |attempt| attempt.client_kind == ClientKind::Writer);
    assert_unproven(&verdict_of(&without(clean(), writers)), "load_was_real");
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.client == 2
            && attempt.started_us < 2_000_000
        {
            attempt.outcome = AttemptOutcome::Refused { sqlstate: None, message: "no connection".to_owned() };
        }
    }
    let verdict =
        verdict_of(&with_ledgers(events, |_, found| found.retain(|range| range.client != 2 || range.from > 18)));
    assert_eq!(finding(&verdict, "load_was_real").outcome, Outcome::Inconclusive);
}

#[test]
fn a_prober_that_paused_is_inconclusive() {
    let paused = |what: &Occurrence| {
        is_attempt(what, |attempt| attempt.client == 1 && (1_000_000..1_090_000).contains(&attempt.started_us))
    };
    assert_unproven(&verdict_of(&without(clean(), paused)), "load_was_real");
}

#[test]
fn a_prober_that_died_is_inconclusive_but_one_that_ended_a_little_sooner_is_not() {
    let after = |ms: u64| {
        move |what: &Occurrence| {
            is_attempt(what, |attempt| attempt.client == 1 && attempt.started_us > (100 + ms) * 1000)
        }
    };
    // What was due in the last moments of the load was never started: seen on a starved machine.
    assert_eq!(verdict_of(&without(clean(), after(5150))).outcome, Outcome::Pass);
    let died = verdict_of(&without(clean(), after(3900)));
    assert_eq!(with_outcome(&died, Outcome::Inconclusive), ["recovery_time", "load_was_real"]);
}

#[test]
fn a_fault_before_the_steady_state_is_inconclusive() {
    let events = without(clean(), |what| is_milestone(what, Milestone::SteadyState));
    assert_unproven(&verdict_of(&events), "load_was_real");
    let late = with(events, 2500, Occurrence::Reached { milestone: Milestone::SteadyState });
    assert_unproven(&verdict_of(&late), "load_was_real");
}

#[test]
fn a_fault_that_was_not_provably_healed_is_inconclusive() {
    let events = without(clean(), |what| matches!(what, Occurrence::FaultHealed { .. }));
    assert_unproven(&verdict_of(&events), "faults_took_effect");
}

#[test]
fn an_expectation_that_nobody_judges_is_inconclusive() {
    for (check, measure) in
        [("recovery_tiem", "write_outage_ms"), ("recovery_time", "write_outage_s"), ("ran_to_the_end", "steps")]
    {
        let expected = vec![(check, measure, Bound::AtMost(1e9))];
        let verdict = verdict_of(&run(&[Course { expected, ..Course::default() }]));
        assert_eq!(verdict.outcome, Outcome::Inconclusive, "{check} {measure}");
    }
}

#[test]
fn a_history_with_a_hole_is_inconclusive() {
    let mut events = clean();
    events.remove(300);
    let verdict = verdict_of(&events);
    assert_eq!(verdict.outcome, Outcome::Inconclusive);
    assert!(verdict.doubts[0].contains("gap"), "{:?}", verdict.doubts);
}

#[test]
fn nothing_recorded_is_inconclusive() {
    assert_eq!(judge(&BTreeMap::new(), &[]).outcome, Outcome::Inconclusive);
    let verdict = judge(&BTreeMap::from([(1, plan(false)), (2, plan(false))]), &clean());
    assert_eq!((verdict.scenarios.len(), verdict.outcome), (2, Outcome::Inconclusive));
    assert_eq!(judge(&BTreeMap::new(), &clean()).outcome, Outcome::Inconclusive);
}

#[test]
fn an_interrupted_run_is_inconclusive() {
    let mut events = clean();
    let interrupted = Some("SIGINT".to_owned());
    events.last_mut().unwrap().what = Occurrence::RunEnded { interrupted };
    assert_eq!(verdict_of(&events).outcome, Outcome::Inconclusive);
}

#[test]
fn a_failure_of_the_run_itself_is_inconclusive() {
    let (text, message) = ("(the run)".to_owned(), "a scenario was never started".to_owned());
    let mut events = with(clean(), 3000, Occurrence::StepFailed { text, line: 0, message });
    events
        .iter_mut()
        .filter(|event| matches!(event.what, Occurrence::StepFailed { .. }))
        .for_each(|event| event.scenario = 0);
    assert_eq!(verdict_of(&events).outcome, Outcome::Inconclusive);
}

#[test]
fn every_prefix_of_a_passing_history_is_inconclusive() {
    let events = clean();
    assert_eq!(verdict_of(&events).outcome, Outcome::Pass);
    for length in (0..events.len()).step_by(7) {
        let verdict = verdict_of(&events[..length]);
        assert_eq!(verdict.outcome, Outcome::Inconclusive, "cut after {length}: {verdict:#?}");
    }
}
