//! Whose an outage is, and what is held against it: none is nobody's, and none is cut in two.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, Bound, ClientKind, Milestone},
    },
};

use super::{
    course::{Course, number, run},
    edits::{
        assert_fails, assert_unproven, clean, hung, is_attempt, is_milestone, unserved, with, with_another_fault,
        without,
    },
    finding, findings, value, verdict_of, with_outcome,
};

const WITHOUT_FAILOVER: Option<(u64, u64)> = None;

fn expecting(measure: &'static str, bound: Bound) -> Vec<(&'static str, &'static str, Bound)> {
    vec![("recovery_time", measure, bound)]
}

/// A clean failover after a fault at 6 s, with quiet before and after.
fn long(expected: Vec<(&'static str, &'static str, Bound)>) -> Course {
    Course {
        expected,
        fault_ms: 6000,
        routed_until_ms: 6000,
        old_until_ms: 6000,
        key: Some((6600, 6700)),
        direct_ms: 6900,
        up_ms: 7100,
        heal_ms: 9200,
        rejoined_ms: 9400,
        stop_ms: 14_000,
        ..Course::default()
    }
}

/// The same with a second fault and a second outage, from 10 s to 11 s.
fn twice(expected: Vec<(&'static str, &'static str, Bound)>) -> Vec<Event> {
    unserved(with_another_fault(run(&[long(expected)]), 9960, 9980), 10_000, 11_000)
}

#[test]
fn writes_that_fail_for_good_at_the_end_are_not_hidden_by_a_longer_outage() {
    let dead_at_the_end = |expected| verdict_of(&unserved(run(&[long(expected)]), 13_500, 14_000));
    let verdict = dead_at_the_end(Vec::new());
    assert_unproven(&verdict, "recovery_time");
    let own = findings(&verdict, "recovery_time");
    assert_eq!((value(own[0], "write_outage_ms"), value(own[1], "not_recovered_for_ms")), (1104.0, 480.0));
    assert_eq!(value(own[0], "total_outage_ms"), 1584.0);
    assert_unproven(&dead_at_the_end(expecting("write_outage_ms", Bound::AtMost(1200.0))), "recovery_time");
    assert_fails(&dead_at_the_end(expecting("write_outage_ms", Bound::AtMost(1000.0))), "recovery_time");
    // Each of the two has outlasted this one.
    let both = dead_at_the_end(expecting("write_outage_ms", Bound::AtMost(400.0)));
    assert_eq!(with_outcome(&both, Outcome::Fail), ["recovery_time"; 2]);
    let total = dead_at_the_end(expecting("total_outage_ms", Bound::AtMost(2000.0)));
    assert_eq!(with_outcome(&total, Outcome::Inconclusive), ["recovery_time"; 2]);
    assert_eq!(with_outcome(&total, Outcome::Fail), [""; 0]);
    assert_fails(&dead_at_the_end(expecting("total_outage_ms", Bound::AtMost(1500.0))), "recovery_time");
    assert_fails(&dead_at_the_end(expecting("outages", Bound::AtMost(1.0))), "recovery_time");
}

/// A success of 1.4 s between two outages ends none: recovery is a run of 2 s.
#[test]
fn writes_that_fail_for_good_before_the_recovery_had_settled_never_came_back() {
    let course = Course { expected: expecting("write_outage_ms", Bound::AtMost(1500.0)), ..Course::default() };
    let verdict = verdict_of(&unserved(run(&[course]), 4400, 5400));
    assert_fails(&verdict, "recovery_time");
    let recovery = finding(&verdict, "recovery_time");
    assert!(recovery.summary.contains("could not write again within 3.4 s"), "{}", recovery.summary);
}

#[test]
fn a_short_outage_that_had_not_settled_at_the_end_is_not_hidden_by_a_longer_one_that_had() {
    assert_unproven(&verdict_of(&unserved(run(&[long(Vec::new())]), 13_000, 13_100)), "recovery_time");
}

#[test]
fn a_lucky_success_before_a_harmless_fault_cuts_no_outage_in_two() {
    // 3 s without writes, but for one at 3.5 s, just before a second fault.
    let course = Course {
        expected: expecting("write_outage_ms", Bound::AtMost(2500.0)),
        key: Some((4400, 4500)),
        direct_ms: 4700,
        up_ms: 5000,
        lucky: vec![],
        heal_ms: 7100,
        rejoined_ms: 7300,
        stop_ms: 7400,
        ..Course::default()
    };
    // The proxy sends clients to the new primary from 3 s on, and is refused again from the instant of the second fault.
    let course = Course { key: Some((2600, 2700)), direct_ms: 2900, up_ms: 3500, ..course };
    let events = unserved(with_another_fault(run(&[course]), 3510, 3520), 3520, 5000);
    let verdict = verdict_of(&events);
    assert_fails(&verdict, "recovery_time");
    let recovery = finding(&verdict, "recovery_time");
    assert_eq!(value(recovery, "write_outage_ms"), 3004.0);
    assert_eq!(verdict.scenarios[0].failovers[0].faults, [1, 2]);
}

/// Attempts that hang when the next fault strikes belong to the outage in which they began.
#[test]
fn attempts_in_flight_at_the_next_fault_belong_to_the_outage_in_which_they_began() {
    let course = Course { key: WITHOUT_FAILOVER, direct_ms: 2000, up_ms: 2000, ..long(Vec::new()) };
    let course = Course { fault_ms: 2000, routed_until_ms: 2000, old_until_ms: 2000, ..course };
    // Everything hangs from the first fault at 2 s on; the second one strikes at 2.9 s; at 3.65 s all is answered.
    let events = with_another_fault(hung(run(&[course]), 2000, 3650), 2880, 2900);
    let verdict = verdict_of(&events);
    let failovers = &verdict.scenarios[0].failovers;
    assert_eq!((failovers.len(), &failovers[0].faults[..]), (1, &[1, 2][..]));
    assert_eq!(value(finding(&verdict, "recovery_time"), "write_outage_ms"), 1650.0);
}

#[test]
fn attempts_that_a_fault_breaks_are_its_own_though_they_began_a_moment_before() {
    let events = with_another_fault(run(&[long(Vec::new())]), 9960, 9980);
    // In flight when the second fault takes effect at 9980: refused 40 ms after they began.
    let mut events = unserved(events, 9950, 11_000);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &event.what
            && attempt.endpoint == "write"
            && (10_050_000..10_080_000).contains(&attempt.started_us)
        {
            event.at_us = attempt.started_us + 40_000;
        }
    }
    let verdict = verdict_of(&super::course::number(events));
    let failovers = &verdict.scenarios[0].failovers;
    assert_eq!(failovers.iter().map(|failover| failover.faults.len()).collect::<Vec<_>>(), [1, 1]);
    // From the effect of the fault, at 9980.
    assert_eq!((failovers[0].outage_ms(), failovers[1].outage_ms()), (Some(1104.0), Some(1024.0)));
}

#[test]
fn an_outage_that_had_settled_before_the_first_fault_is_nobodys_and_proves_nothing() {
    let verdict = verdict_of(&unserved(run(&[long(Vec::new())]), 1000, 2700));
    assert_unproven(&verdict, "recovery_time");
    let own = findings(&verdict, "recovery_time");
    assert_eq!((own.len(), own[0].outcome, value(own[0], "write_outage_ms")), (2, Outcome::Pass, 1104.0));
    assert!(own[1].summary.contains("an outage of 1.7 s began before the first fault"), "{}", own[1].summary);
    assert_eq!(value(own[1], "outage_before_fault_ms"), 1704.0);
}

#[test]
fn an_outage_in_which_the_first_fault_strikes_gives_no_times_and_keeps_no_bound() {
    for bound in [Bound::AtMost(1.0), Bound::AtMost(9000.0)] {
        let events = unserved(run(&[long(expecting("write_outage_ms", bound))]), 5200, 6000);
        let verdict = verdict_of(&events);
        assert_eq!(with_outcome(&verdict, Outcome::Fail), [""; 0], "{:#?}", verdict.scenarios[0].findings);
        assert_eq!(verdict.outcome, Outcome::Inconclusive);
        let recovery = finding(&verdict, "recovery_time");
        assert_eq!((recovery.value_of("write_outage_ms"), value(recovery, "outage_before_fault_ms")), (None, 1904.0));
    }
}

#[test]
fn a_pause_before_the_first_fault_that_any_machine_may_make_is_no_outage() {
    let verdict = verdict_of(&unserved(run(&[long(Vec::new())]), 1000, 1200));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    let verdict = verdict_of(&hung(run(&[long(Vec::new())]), 5500, 5700));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    assert_eq!(value(finding(&verdict, "recovery_time"), "write_outage_ms"), 1104.0);
}

#[test]
fn an_outage_without_any_fault_is_told_and_proves_nothing() {
    let course = Course { key: WITHOUT_FAILOVER, direct_ms: 6000, up_ms: 6000, ..long(Vec::new()) };
    let no_fault = without(run(&[course]), |what| {
        matches!(what, Occurrence::FaultInjecting(_) | Occurrence::FaultConfirmed { .. })
            || matches!(what, Occurrence::FaultHealing { .. } | Occurrence::FaultHealed { .. })
    });
    assert_eq!(findings(&verdict_of(&no_fault), "recovery_time").len(), 0);
    let verdict = verdict_of(&unserved(no_fault, 8000, 9000));
    let recovery = finding(&verdict, "recovery_time");
    assert_eq!((recovery.outcome, value(recovery, "outage_before_fault_ms")), (Outcome::Inconclusive, 1004.0));
}

#[test]
fn every_outage_is_held_to_its_bound_and_all_of_them_to_that_of_the_scenario() {
    let of = |measure, bound| verdict_of(&twice(expecting(measure, bound)));
    let each = of("write_outage_ms", Bound::AtMost(1200.0));
    assert_eq!(each.outcome, Outcome::Pass, "{:#?}", each.scenarios[0].findings);
    assert_eq!(findings(&each, "recovery_time").len(), 2);
    assert_fails(&of("write_outage_ms", Bound::AtMost(1050.0)), "recovery_time");
    for (measure, kept, missed, measured) in [
        ("total_outage_ms", 2200.0, 2100.0, 2108.0),
        ("outages", 2.0, 1.0, 2.0),
        ("longest_client_gap_ms", 1400.0, 1000.0, 1300.0),
    ] {
        let verdict = of(measure, Bound::AtMost(kept));
        assert_eq!(verdict.outcome, Outcome::Pass, "{measure}: {:#?}", verdict.scenarios[0].findings);
        let held: Vec<_> = findings(&verdict, "recovery_time").into_iter().filter(|own| own.target.is_some()).collect();
        assert_eq!((held.len(), value(held[0], measure)), (1, measured), "{measure}: {held:#?}");
        assert_fails(&of(measure, Bound::AtMost(missed)), "recovery_time");
    }
}

#[test]
fn a_count_is_not_compared_with_the_lateness_of_timers_but_short_outages_are() {
    let late = |events, late_us| verdict_of(&with(events, 6500, Occurrence::TimerLate { late_us }));
    let one = |count: f64| run(&[long(expecting("outages", Bound::AtMost(count)))]);
    assert_eq!(late(one(1.0), 20_000).outcome, Outcome::Pass);
    // A second one of 150 ms: proven by timers that were 20 ms late, and not by such as were 200 ms late.
    let two = || hung(one(1.0), 12_000, 12_150);
    assert_fails(&late(two(), 20_000), "recovery_time");
    assert_unproven(&late(two(), 200_000), "recovery_time");
}

#[test]
fn a_starved_machine_neither_keeps_nor_misses_a_bound_on_a_time() {
    for most in [500.0, 2000.0] {
        let events = run(&[long(expecting("write_outage_ms", Bound::AtMost(most)))]);
        let verdict = verdict_of(&with(events, 6500, Occurrence::TimerLate { late_us: 400_000 }));
        assert_eq!(verdict.outcome, Outcome::Inconclusive, "{most}");
        assert_eq!(with_outcome(&verdict, Outcome::Inconclusive), ["recovery_time", "harness_was_sound"]);
    }
}

#[test]
fn one_late_timer_does_not_hide_that_writes_never_came_back() {
    let never = Course {
        key: Some((90_000, 90_001)),
        direct_ms: 90_000,
        up_ms: 90_000,
        heal_ms: 60_000,
        rejoined_ms: 61_000,
        stop_ms: 70_000,
        ..Course::default()
    };
    let late = |late_us| {
        let events = with(run(std::slice::from_ref(&never)), 30_000, Occurrence::TimerLate { late_us });
        finding(&verdict_of(&events), "recovery_time").outcome
    };
    assert_eq!((late(400_000), late(20_000_000)), (Outcome::Fail, Outcome::Inconclusive));
}

#[test]
fn what_fails_once_the_harness_has_lost_its_own_ground_fails_for_no_reason_of_the_systems() {
    let lost = |expected| {
        let gone = Occurrence::GroundLost { reason: "the engine does not answer".to_owned() };
        verdict_of(&with(unserved(run(&[long(expected)]), 10_000, 14_000), 11_500, gone))
    };
    let most = |most| lost(expecting("write_outage_ms", Bound::AtMost(most)));
    assert!(!with_outcome(&most(1200.0), Outcome::Fail).contains(&"recovery_time"));
    assert_eq!(most(1200.0).outcome, Outcome::Inconclusive);
    assert!(with_outcome(&most(1200.0), Outcome::Inconclusive).contains(&"ran_to_the_end"));
    // What had been proven before that stands.
    assert!(with_outcome(&most(1000.0), Outcome::Fail).contains(&"recovery_time"));
}

#[test]
fn less_than_the_least_is_no_failure_where_the_fault_ceased_by_itself() {
    let course = |least| long(expecting("write_outage_ms", Bound::Between(least, 5000.0)));
    let ceased = |least| {
        let reason = "it had ceased before it was healed: a process runs".to_owned();
        verdict_of(&with(run(&[course(least)]), 9000, Occurrence::FaultUnconfirmed { fault: 1, reason }))
    };
    assert_eq!(with_outcome(&ceased(2000.0), Outcome::Fail), [""; 0]);
    assert_eq!(with_outcome(&ceased(2000.0), Outcome::Inconclusive), ["recovery_time", "faults_took_effect"]);
    assert_eq!(with_outcome(&ceased(500.0), Outcome::Inconclusive), ["faults_took_effect"]);
    assert_fails(&verdict_of(&run(&[course(2000.0)])), "recovery_time");
}

/// Recovery is reached again after the healing: the milestone stands twice, and timers count until the last.
#[test]
fn a_recovery_that_is_reached_twice_is_no_mistake() {
    let verdict = verdict_of(&with(clean(), 5340, Occurrence::Reached { milestone: Milestone::Recovered }));
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
    assert!(clean().iter().any(|event| is_milestone(&event.what, Milestone::Recovered)));
}

/// Whoever loses service may be felt to do so only later.
#[test]
fn a_fault_that_clients_did_not_try_for_long_enough_after_proves_nothing() {
    for effect_ms in [13_200, 13_950] {
        let verdict = verdict_of(&with_another_fault(run(&[long(Vec::new())]), effect_ms - 20, effect_ms));
        assert_unproven(&verdict, "recovery_time");
    }
    let in_time = with_another_fault(run(&[long(Vec::new())]), 12_700, 12_720);
    assert_eq!(verdict_of(&in_time).outcome, Outcome::Pass);
    // The load is recorded as ended before the first fault.
    let mut events = run(&[long(expecting("write_outage_ms", Bound::AtMost(100.0)))]);
    for event in &mut events {
        if is_milestone(&event.what, Milestone::LoadStopped) {
            event.at_us = 4_000_000;
        }
    }
    assert_eq!(with_outcome(&verdict_of(&number(events)), Outcome::Inconclusive)[0], "recovery_time");
}

/// Without its attempts nobody knows whether new clients were served: here they were, from 2.1 s on.
#[test]
fn an_outage_in_which_the_prober_paused_misses_no_bound() {
    let outcome = |paused: bool, up_ms: u64| {
        let course = Course {
            key: WITHOUT_FAILOVER,
            direct_ms: up_ms,
            up_ms,
            heal_ms: 7250,
            rejoined_ms: 7400,
            stop_ms: 7500,
            expected: expecting("write_outage_ms", Bound::AtMost(1000.0)),
            ..Course::default()
        };
        let silent = |what: &Occurrence| {
            let new = |own: &Attempt| own.client_kind == ClientKind::Fresh && own.endpoint == "write";
            is_attempt(what, |own| paused && new(own) && (2_200_000..5_100_000).contains(&own.started_us))
        };
        finding(&verdict_of(&without(run(&[course]), silent)), "recovery_time").outcome
    };
    assert_eq!((outcome(false, 2100), outcome(true, 2100)), (Outcome::Pass, Outcome::Inconclusive));
    assert_eq!((outcome(false, 5100), outcome(true, 5100)), (Outcome::Fail, Outcome::Inconclusive));
}

#[test]
fn writers_to_which_nothing_is_acknowledged_though_new_connections_are_served_are_in_doubt() {
    let mut events = run(&[long(Vec::new())]);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.client_kind == ClientKind::Writer
            && attempt.started_us > 6_100_000
        {
            attempt.outcome = AttemptOutcome::Unknown { message: "no answer".to_owned() };
        }
    }
    let verdict = verdict_of(&events);
    assert_unproven(&verdict, "recovery_time");
    let told = findings(&verdict, "recovery_time");
    assert!(told[1].summary.contains("and nothing was acknowledged to it"), "{told:#?}");
}

/// The longest outage is one in place, and has no promotion.
#[test]
fn a_least_phase_is_asked_of_the_longest_outage_that_has_it() {
    for (least, outcome) in [(10.0, Outcome::Pass), (900.0, Outcome::Fail)] {
        let expected = expecting("promote_ms", Bound::AtLeast(least));
        let events = unserved(with_another_fault(run(&[long(expected)]), 9960, 9980), 10_000, 11_900);
        assert_eq!(verdict_of(&events).outcome, outcome, "{least}");
    }
}
