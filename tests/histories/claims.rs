//! What trials say of claims.

use pgquake_judge::{
    checks::{Outcome, measures},
    claims::{Claims, Subject},
    history::{
        Event, Occurrence,
        event::{ClientKind, Operation, Role},
    },
    plan::Plan,
    topology::ServiceKind,
    verdict::{ClaimState, ClaimVerdict, RunVerdict, judge_by},
};

use super::{
    course::{Course, lsn, number, plan, run},
    edits::{primary, unserved, with, with_another_fault, with_states, without},
    verdict_of,
};

const EVERY: [&str; 9] = [
    "RTO-30",
    "RTO-30-60",
    "DETECT-5-10",
    "PROMOTE-3-5",
    "RPO-0-SYNC",
    "LAG-CAP",
    "QUORUM-DEMOTE",
    "NO-SPLIT-BRAIN",
    "RECOVER-REWIND",
];

fn clean() -> Course {
    Course { claims: EVERY.to_vec(), ..Course::default() }
}

fn claim<'v>(verdict: &'v RunVerdict, id: &str) -> &'v ClaimVerdict {
    verdict.claims.iter().find(|claim| claim.claim.id == id).unwrap()
}

/// The claims that the only trial kept.
fn kept(verdict: &RunVerdict) -> Vec<&str> {
    let kept = verdict.claims.iter().filter(|claim| claim.trials.iter().any(|trial| trial.kept == Some(true)));
    kept.map(|claim| claim.claim.id.as_str()).collect()
}

/// Trials one after the other, each with its changes to the course.
fn trials(count: u32, change: impl Fn(u32, &mut Course)) -> Vec<Event> {
    let courses: Vec<Course> = (1..=count)
        .map(|trial| {
            let start_ms = 100 + u64::from(trial) * 100_000;
            let mut course = Course { scenario: trial, trial, trials: count, start_ms, ..clean() };
            change(trial, &mut course);
            course
        })
        .collect();
    run(&courses)
}

#[test]
fn a_clean_failover_is_kept_in_one_of_one_and_confirms_nothing() {
    let verdict = verdict_of(&run(&[clean()]));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    // The primary was not cut off: its host died.
    let expected: Vec<&str> = EVERY.into_iter().filter(|id| *id != "QUORUM-DEMOTE").collect();
    assert_eq!(kept(&verdict), expected);
    assert!(verdict.claims.iter().all(|claim| claim.state == ClaimState::Undecided));
    let summary = &claim(&verdict, "RTO-30").summary;
    assert_eq!(summary, "kept in 1 of 1: at least 5 % at 95 % confidence");
}

#[test]
fn ten_of_ten_prove_74_percent() {
    let verdict = verdict_of(&trials(10, |_, _| {}));
    let claim = claim(&verdict, "RTO-30");
    assert_eq!(claim.state, ClaimState::Undecided);
    assert!(
        claim.summary.starts_with("kept in 10 of 10: at least 74 % at 95 % confidence; minimum"),
        "{}",
        claim.summary
    );
    assert!(claim.summary.ends_with("95th percentile at least 1.10 s (n = 10)"), "{}", claim.summary);
}

#[test]
fn a_restart_in_place_decides_nothing_that_is_about_a_failover() {
    let verdict =
        verdict_of(&run(&[Course { key: None, direct_ms: 2600, up_ms: 2800, unknown_kept: true, ..clean() }]));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    assert_eq!(kept(&verdict), ["RTO-30", "RTO-30-60", "RPO-0-SYNC", "NO-SPLIT-BRAIN"]);
    let rewind = claim(&verdict, "RECOVER-REWIND");
    assert_eq!((rewind.state, rewind.trials[0].about), (ClaimState::Undecided, false));
    assert_eq!(rewind.summary, "no trial was about it: in none there was a failover whose old primary came back");
}

#[test]
fn a_fault_without_an_outage_decides_no_failover_time() {
    // The fault hits a standby's etcd, and nobody feels it.
    let mut events = run(&[Course { key: None, direct_ms: 2000, up_ms: 2000, ..clean() }]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(fault) = &mut event.what {
            fault.hosts = vec!["node3".to_owned()];
            fault.services = vec!["node3/etcd".to_owned()];
        }
    }
    let verdict = verdict_of(&events);
    assert_eq!(kept(&verdict), ["NO-SPLIT-BRAIN"], "{:#?}", verdict.scenarios[0].findings);
    assert!(verdict.claims.iter().all(|claim| claim.state == ClaimState::Undecided));
}

#[test]
fn an_old_primary_that_never_came_back_has_rewound_nothing() {
    let mut events = without(run(&[clean()]), |what| {
        matches!(what, Occurrence::FaultHealing { .. } | Occurrence::FaultHealed { .. })
    });
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node1"
            && event.at_us > 2_100_000
        {
            state.reachable = false;
        }
    }
    let verdict = verdict_of(&events);
    assert!(!claim(&verdict, "RECOVER-REWIND").trials[0].about);
}

#[test]
fn a_switchover_in_order_rewinds_nothing() {
    let mut events = run(&[clean()]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(fault) = &mut event.what {
            fault.hands_over = true;
        }
    }
    assert!(!claim(&verdict_of(&events), "RECOVER-REWIND").trials[0].about);
}

#[test]
fn only_a_primary_that_lived_on_behind_a_partition_says_when_it_demotes_itself() {
    let mut events = run(&[Course { old_until_ms: 2500, ..clean() }]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(fault) = &mut event.what {
            fault.name = "partition".to_owned();
            fault.services.clear();
        }
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node1"
        {
            state.reachable = true;
        }
    }
    let demoted = &claim(&verdict_of(&events), "QUORUM-DEMOTE").trials[0].clone();
    assert_eq!((demoted.about, demoted.kept), (true, Some(true)));
}

#[test]
fn a_trial_that_never_recovered_is_in_every_figure() {
    let never = |trial: u32, course: &mut Course| {
        if trial == 2 {
            *course = Course {
                key: Some((90_000, 90_001)),
                direct_ms: 90_000,
                up_ms: 90_000,
                stop_ms: 40_000,
                heal_ms: 30_000,
                rejoined_ms: 31_000,
                ..course.clone()
            };
        }
    };
    let verdict = verdict_of(&trials(2, never));
    let outage = verdict.groups[0].statistics.iter().find(|own| own.measure == "write_outage_ms").unwrap();
    assert_eq!((outage.trials.len(), outage.minimum, outage.minimum_at_least), (2, 1104.0, false));
    assert!(outage.maximum > 37_000.0 && outage.maximum_at_least && outage.median_at_least);
    assert_eq!(outage.p95_at_most, None);
    let refuted = claim(&verdict, "RTO-30");
    assert_eq!(refuted.state, ClaimState::Refuted, "{refuted:#?}");
    assert!(
        refuted.summary.contains("missed in 1 of 2") && refuted.summary.contains("maximum more than 38.0 s"),
        "{}",
        refuted.summary
    );
    // Longer than 38 s may be more than 60 s or not.
    let open = claim(&verdict, "RTO-30-60");
    assert_eq!((open.state, open.trials[1].kept, open.trials[1].at_least), (ClaimState::Undecided, None, true));
    assert!(
        open.summary.starts_with("kept in 1 of 2, and one proves nothing: at least 2 % at 95 %"),
        "{}",
        open.summary
    );
}

#[test]
fn a_trial_that_proves_nothing_neither_blocks_nor_helps() {
    let starved = |events: Vec<Event>, trial: u32| -> Vec<Event> {
        let with_pause = events.into_iter().filter(|event| {
            let paused = matches!(&event.what, Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Writer
                && attempt.operation == Operation::Write);
            !(event.scenario == trial && paused)
        });
        number(with_pause.collect())
    };
    let verdict = verdict_of(&starved(trials(4, |_, _| {}), 3));
    let rto = claim(&verdict, "RTO-30");
    assert_eq!((rto.state, rto.trials[2].kept), (ClaimState::Undecided, None));
    assert!(
        rto.summary.starts_with("kept in 3 of 4, and one proves nothing: at least 24 % at 95 %"),
        "{}",
        rto.summary
    );
    // A miss elsewhere refutes all the same.
    let slow = |trial: u32, course: &mut Course| {
        if trial == 1 {
            let up_ms = 40_000;
            *course = Course {
                key: Some((up_ms - 400, up_ms - 300)),
                direct_ms: up_ms - 200,
                up_ms,
                heal_ms: up_ms + 2100,
                rejoined_ms: up_ms + 2300,
                stop_ms: up_ms + 2400,
                ..course.clone()
            };
        }
    };
    let verdict = verdict_of(&starved(trials(4, slow), 3));
    assert_eq!(claim(&verdict, "RTO-30").state, ClaimState::Refuted);
}

/// The only trial, with its fault turned into a partition of the primary that lives on.
fn partitioned(mut events: Vec<Event>) -> Vec<Event> {
    for event in &mut events {
        if let Occurrence::FaultInjecting(fault) = &mut event.what {
            fault.name = "partition".to_owned();
            fault.services.clear();
        }
    }
    events
}

#[test]
fn an_old_primary_that_a_fault_still_keeps_away_has_rewound_nothing() {
    let events = without(run(&[clean()]), |what| {
        matches!(what, Occurrence::FaultHealing { .. } | Occurrence::FaultHealed { .. })
    });
    let events = with_states(partitioned(events), "node1", (3_000_000, u64::MAX), |state| {
        (state.reachable, state.role, state.timeline) = (true, Some(Role::Standby), Some(2));
    });
    assert!(!claim(&verdict_of(&events), "RECOVER-REWIND").trials[0].about);
}

#[test]
fn that_an_old_primary_wrote_nothing_is_not_proven_where_nobody_saw_it() {
    // One look at it just after the fault, and then nothing for three seconds.
    let events = with(partitioned(run(&[clean()])), 2200, primary("node1", 1, lsn(2100)));
    let demoted = &claim(&verdict_of(&events), "QUORUM-DEMOTE").trials[0].clone();
    assert_eq!((demoted.about, demoted.kept), (true, None));
}

#[test]
fn a_switchover_is_not_refuted_by_the_outage_of_another_fault() {
    let up_ms = 12_500;
    let course = Course {
        claims: vec!["SWITCH-2-5", "DETECT-5-10"],
        fault_ms: 6000,
        routed_until_ms: 6000,
        old_until_ms: 6000,
        key: Some((12_000, 12_100)),
        direct_ms: 12_300,
        up_ms,
        heal_ms: up_ms + 2100,
        rejoined_ms: up_ms + 2300,
        stop_ms: up_ms + 2500,
        ..Course::default()
    };
    let about = |crash_hands_over: bool| {
        let mut events = with_another_fault(run(std::slice::from_ref(&course)), 2500, 2510);
        for event in &mut events {
            if let Occurrence::FaultInjecting(fault) = &mut event.what {
                fault.hands_over = fault.fault == 2 || crash_hands_over;
            }
        }
        let verdict = verdict_of(&unserved(events, 2510, 2800));
        ["SWITCH-2-5", "DETECT-5-10"].map(|id| claim(&verdict, id).trials[0].about)
    };
    assert_eq!((about(false), about(true)), ([false, true], [true, false]));
}

#[test]
fn a_total_of_outages_of_which_one_never_ended_is_a_least() {
    let far_ms = 90_000;
    let course = Course {
        key: Some((far_ms, far_ms)),
        direct_ms: far_ms,
        up_ms: far_ms,
        heal_ms: 60_000,
        rejoined_ms: 61_000,
        stop_ms: 70_000,
        ..clean()
    };
    let verdict = verdict_of(&run(&[course]));
    let total = verdict.groups[0].statistics.iter().find(|own| own.measure == "total_outage_ms");
    assert!(total.is_some_and(|own| own.maximum_at_least), "{total:#?}");
}

/// Had it come to its fault, it might have missed.
#[test]
fn a_trial_that_broke_off_before_its_fault_counts_against_a_confirmation() {
    let share = |share: f64| {
        let target = "check: recovery_time, measure: write_outage_ms, bound: { at_most: 2000 }, about: [outage]";
        let text = format!("- id: OURS\n  claim: back in 2 s\n  target: {{ {target}, share: {share} }}\n");
        Claims::parse("claims.yaml", &text, &measures()).unwrap()
    };
    let all = trials(10, |_, course| course.claims = vec!["OURS"]);
    let broken = |event: &Event| {
        let is_kept = matches!(event.what, Occurrence::ScenarioStarted(_) | Occurrence::ScenarioEnded);
        event.scenario == 10 && !is_kept
    };
    let mut cut: Vec<Event> = all.iter().filter(|event| !broken(event)).cloned().collect();
    let message = "a port was taken".to_owned();
    let at_us = all.iter().find(|event| broken(event)).unwrap().at_us;
    let text = "the start".to_owned();
    cut.push(Event { seq: 0, at_us, scenario: 10, what: Occurrence::StepFailed { text, line: 4, message } });
    let plans = (1..=10).map(|number| (number, plan(false))).collect();
    // Ten of ten prove 74 %, nine of nine would prove 71 %.
    let state = |events: &[Event]| {
        let verdict = judge_by(&share(0.7), &plans, events);
        (verdict.claims[0].state, verdict.claims[0].summary.clone())
    };
    assert_eq!(state(&all).0, ClaimState::Confirmed);
    let (found, summary) = state(&number(cut));
    assert_eq!(found, ClaimState::Undecided, "{summary}");
    assert!(summary.starts_with("kept in 9 of 10, and one proves nothing"), "{summary}");
}

#[test]
fn a_failover_decides_the_choice_of_the_dcs_only_where_that_is_another_one_than_etcd() {
    let events = run(&[clean()]);
    let over = |kind: ServiceKind| {
        let mut topology = plan(false).topology;
        let hosts = topology.regions.iter_mut().flat_map(|region| &mut region.hosts);
        for placed in hosts.flat_map(|host| &mut host.services).filter(|placed| placed.kind == ServiceKind::Etcd) {
            placed.kind = kind;
        }
        let numbers = events.iter().map(|event| event.scenario).filter(|number| *number > 0);
        let plans = numbers.map(|number| (number, Plan::new(topology.clone()))).collect();
        let verdict = judge_by(&Claims::default(), &plans, &events);
        let happened = &verdict.scenarios[0].happened;
        (happened.contains(&Subject::Failover), happened.contains(&Subject::FailoverOverAnotherDcs))
    };
    assert_eq!(over(ServiceKind::Zookeeper), (true, true));
    assert_eq!(over(ServiceKind::Etcd), (true, false));
}
