//! Histories that prove nothing, and must not pass for a proof.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::Outcome,
    history::{
        Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Milestone},
    },
    verdict::judge,
};

use super::{
    course::{Course, plan, run},
    edits::{assert_unproven, clean, hung, is_attempt, is_milestone, with, with_ledgers, without},
    finding, verdict_of, with_outcome,
};

#[test]
fn a_step_that_was_not_carried_out_is_inconclusive() {
    let (text, message) = ("the host comes back".to_owned(), "no answer within 60 s".to_owned());
    assert_unproven(
        &verdict_of(&with(clean(), 3000, Occurrence::StepFailed { text, line: 9, message })),
        "ran_to_the_end",
    );
}

#[test]
fn a_target_that_was_missed_fails_though_a_step_failed_before_its_then() {
    let judged = |most_ms| {
        let expected = vec![("recovery_time", "write_outage_ms", Bound::AtMost(most_ms))];
        let (text, message) = ("every node has rejoined".to_owned(), "no answer within 60 s".to_owned());
        let failed = Occurrence::StepFailed { text, line: 9, message };
        verdict_of(&with(run(&[Course { expected, ..Course::default() }]), 5300, failed)).outcome
    };
    assert_eq!(judged(500.0), Outcome::Fail);
    assert_eq!(judged(5000.0), Outcome::Inconclusive);
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
            attempt.outcome =
                AttemptOutcome::Refused { sqlstate: None, message: "no connection".to_owned(), contact: None };
        }
    }
    let verdict =
        verdict_of(&with_ledgers(events, |_, found| found.retain(|range| range.client != 2 || range.from > 18)));
    assert_eq!(finding(&verdict, "load_was_real").outcome, Outcome::Inconclusive);
}

#[test]
fn a_prober_that_paused_is_inconclusive() {
    // The fault comes at 2.1 s: before it the prober may start an attempt each 100 ms, from then on each 20 ms.
    for pause in [1_000_000..1_400_000, 2_300_000..2_390_000] {
        let paused = |what: &Occurrence| is_probe(what) && pause.contains(&started_us(what));
        assert_unproven(&verdict_of(&without(clean(), paused)), "load_was_real");
    }
}

#[test]
fn a_prober_may_be_rarer_before_the_fault_and_after_the_recovery_alone() {
    let rare = |what: &Occurrence| is_probe(what) && !started_us(what).is_multiple_of(100_000);
    let calm = |what: &Occurrence| rare(what) && !(2_000_000..5_300_000).contains(&started_us(what));
    assert_eq!(verdict_of(&without(clean(), calm)).outcome, Outcome::Pass);
    assert_unproven(&verdict_of(&without(clean(), rare)), "load_was_real");
}

fn is_probe(what: &Occurrence) -> bool {
    is_attempt(what, |attempt| attempt.client == 1)
}

fn started_us(what: &Occurrence) -> u64 {
    match what {
        Occurrence::Attempt(attempt) => attempt.started_us,
        _ => 0,
    }
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

/// The machine stood still for half a second before the fault. What the fault found decides.
#[test]
fn a_steady_state_that_was_lost_counts_where_it_was_reached_again() {
    let steady = || Occurrence::Reached { milestone: Milestone::SteadyState };
    let unsteady = || hung(clean(), 900, 1400);
    assert_eq!(verdict_of(&unsteady()).outcome, Outcome::Inconclusive);
    let again = verdict_of(&with(unsteady(), 1700, steady()));
    assert_eq!(again.outcome, Outcome::Pass, "{again:#?}");
    let load = finding(&again, "load_was_real");
    assert!(
        load.summary.ends_with("the steady state was lost, and reached again before the fault"),
        "{}",
        load.summary
    );
    // It was lost a second time, and not reached again.
    let twice = hung(with(unsteady(), 1450, steady()), 1550, 1900);
    assert_eq!(verdict_of(&twice).outcome, Outcome::Inconclusive);
    // It was reached only after the fault, or after an operator had begun to act: it was not the fault that found it.
    let late = with(unsteady(), 4900, steady());
    assert_eq!(verdict_of(&late).outcome, Outcome::Inconclusive);
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
