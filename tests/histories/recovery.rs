//! Outages, their phases and the claims that rest on them: histories that are made on the spot.

use pgquake_judge::{
    checks::{Outcome, course::phases::Course as FailoverCourse},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Milestone, SequenceRange},
    },
    verdict::ClaimState,
};

use super::{
    course::{Course, number, run},
    edits::{assert_unproven, clean, is_milestone, with, with_another_fault, with_ledgers},
    finding, value, verdict_of, with_outcome,
};

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
fn a_claim_is_refuted_by_one_trial_that_missed_it_and_says_what_trials_that_kept_it_prove() {
    let verdict = verdict_of(&trials(&[24_004, 31_804, 28_804], &["RTO-30", "RTO-30-60"]));
    let claim = |id: &str| verdict.claims.iter().find(|claim| claim.claim.id == id).unwrap();
    assert_eq!(claim("RTO-30").state, ClaimState::Refuted);
    assert_eq!(
        claim("RTO-30").trials.iter().map(|trial| trial.kept).collect::<Vec<_>>(),
        [Some(true), Some(false), Some(true)]
    );
    assert!(
        claim("RTO-30").summary.contains("missed in 1 of 3: at least 1 % and at most 87 %"),
        "{}",
        claim("RTO-30").summary
    );
    assert_eq!(claim("RTO-30-60").state, ClaimState::Undecided);
    let summary = &claim("RTO-30-60").summary;
    assert!(summary.starts_with("kept in 3 of 3: at least 36 % at 95 % confidence"), "{summary}");
    assert!(summary.ends_with("95th percentile at least 28.8 s (n = 3)"), "{summary}");
    // Nothing was expected by a step, so the scenario itself passes: refuting a claim is a result.
    assert_eq!(verdict.outcome, Outcome::Pass);
    assert_eq!(verdict.groups.len(), 1);
    let outage = verdict.groups[0].statistics.iter().find(|own| own.measure == "write_outage_ms").unwrap();
    assert_eq!((outage.minimum, outage.median, outage.maximum), (24_004.0, 28_804.0, 31_804.0));
    assert_eq!((outage.p95_at_least, outage.p95_at_most), (Some(28_804.0), None));
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
        (29_964, 20_000, ClaimState::Undecided),
    ] {
        let verdict = verdict_of(&with(trials(&[outage_ms], &["RTO-30"]), 3000, late(late_us)));
        let claim = &verdict.claims[0];
        assert_eq!(claim.state, state, "{outage_ms} ms, timers {late_us} us late");
        assert_eq!(claim.trials[0].kept.is_some(), late_us == 20_000, "{outage_ms} ms, timers {late_us} us late");
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
            attempt.outcome = AttemptOutcome::Refused { sqlstate: None, message, contact: None };
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
    let verdict = verdict_of(&events);
    assert_eq!(with_outcome(&verdict, Outcome::Inconclusive), ["recovery_time", "load_was_real"]);
    assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0]);
    let recovery = finding(&verdict, "recovery_time");
    // It had not settled when the fault struck at 2 s, so it is one with what followed.
    assert!(recovery.summary.contains("an outage of 2.2 s began before the first fault"), "{}", recovery.summary);
    assert_eq!(recovery.value_of("write_outage_ms"), None);
}

/// A fault can hit the leader and leave it leading (lost packets), or move it without hitting it (a ring).
#[test]
fn whether_the_etcd_leader_was_lost_is_seen_and_not_concluded_from_the_fault() {
    let led_by = |events, at_ms, member: &str| {
        with(events, at_ms, Occurrence::DcsLeader { member: Some(member.to_owned()), dcs: None, before_us: None })
    };
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
