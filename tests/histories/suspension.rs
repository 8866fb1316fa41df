//! Faults over faults: one whose host a later one takes away is suspended, and must be put back with it.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{FaultInjecting, Milestone},
    },
};

use super::{
    course::{Course, run},
    edits::{assert_unproven, is_milestone, with},
    findings, verdict_of, with_outcome,
};

/// The fault that is on before the host dies; the course's own is number 1.
const EARLIER: u32 = 2;

/// A slow link of a standby that is on before the primary's host dies, and these events of it.
fn with_a_slow_link(fate: &[(u64, Occurrence)]) -> Vec<Event> {
    let injecting = Occurrence::FaultInjecting(FaultInjecting {
        fault: EARLIER,
        name: "link_latency".to_owned(),
        target: "node1".to_owned(),
        hosts: vec!["node1".to_owned()],
        services: Vec::new(),
        parameters: Default::default(),
        hands_over: false,
        worst: Default::default(),
        primary_before: Some("node1".to_owned()),
        dcs_leader_before: Some("node2".to_owned()),
    });
    let evidence = "node1 to node2 took 81 ms".to_owned();
    let (effect_from_us, effect_to_us) = (1_840_000, 1_850_000);
    let confirmed = Occurrence::FaultConfirmed { fault: EARLIER, effect_from_us, effect_to_us, evidence };
    let mut events = with(with(run(&[Course::default()]), 1730, injecting), 1770, confirmed);
    for (at_ms, what) in fate {
        events = with(events, *at_ms, what.clone());
    }
    events
}

fn suspended() -> Occurrence {
    Occurrence::FaultSuspended { fault: EARLIER, by: 1, reason: "host_crash (fault 1) takes node1 away".to_owned() }
}

fn resumed() -> Occurrence {
    Occurrence::FaultResumed { fault: EARLIER, evidence: "node1 to node2 took 81 ms".to_owned() }
}

fn healing() -> Occurrence {
    Occurrence::FaultHealing { fault: EARLIER }
}

fn healed() -> Occurrence {
    Occurrence::FaultHealed { fault: EARLIER, evidence: "no toxic is left".to_owned() }
}

fn step() -> Occurrence {
    Occurrence::StepStarted { text: "When every node has rejoined".to_owned(), line: 9 }
}

/// Milliseconds of the course: its own fault strikes, and has been healed.
fn times() -> (u64, u64) {
    let course = Course::default();
    (course.fault_ms - 18, course.heal_ms + 100)
}

#[test]
fn a_fault_that_is_put_back_with_its_host_is_a_fact() {
    let (lost_ms, back_ms) = times();
    let fate = [
        (lost_ms, suspended()),
        (back_ms + 20, resumed()),
        (back_ms + 30, step()),
        (back_ms + 60, healing()),
        (back_ms + 80, healed()),
    ];
    let verdict = verdict_of(&with_a_slow_link(&fate));
    assert!(
        findings(&verdict, "faults_took_effect").iter().all(|finding| finding.outcome == Outcome::Pass),
        "{verdict:#?}"
    );
}

#[test]
fn a_fault_that_is_healed_with_its_host_or_before_it_need_not_be_put_back() {
    let (lost_ms, back_ms) = times();
    let fate = [(lost_ms, suspended()), (back_ms + 10, healing()), (back_ms + 20, healed()), (back_ms + 30, step())];
    let verdict = verdict_of(&with_a_slow_link(&fate));
    assert!(!with_outcome(&verdict, Outcome::Inconclusive).contains(&"faults_took_effect"), "{verdict:#?}");
}

#[test]
fn a_fault_that_is_not_put_back_with_its_host_is_inconclusive() {
    let (lost_ms, back_ms) = times();
    let late = [(lost_ms, suspended()), (back_ms + 10, step()), (back_ms + 60, healing()), (back_ms + 80, healed())];
    assert_unproven(&verdict_of(&with_a_slow_link(&late)), "faults_took_effect");
    // Neither put back nor healed.
    assert_unproven(&verdict_of(&with_a_slow_link(&[(lost_ms, suspended())])), "faults_took_effect");
}

#[test]
fn a_fault_that_is_suspended_again_must_be_put_back_again() {
    let (lost_ms, back_ms) = times();
    let again = Occurrence::FaultSuspended { fault: EARLIER, by: 3, reason: "service_kill (fault 3)".to_owned() };
    let fate = [(lost_ms, suspended()), (back_ms + 20, resumed()), (back_ms + 30, again)];
    let verdict = verdict_of(&with_a_slow_link(&fate));
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"faults_took_effect"), "{verdict:#?}");
}

#[test]
fn a_fault_that_ceased_before_the_later_one_came_is_inconclusive() {
    let (lost_ms, _) = times();
    let reason = "it had ceased before host_crash came: no toxic is listed".to_owned();
    let fate = [(lost_ms - 20, Occurrence::FaultUnconfirmed { fault: EARLIER, reason })];
    let verdict = verdict_of(&with_a_slow_link(&fate));
    assert!(with_outcome(&verdict, Outcome::Inconclusive).contains(&"faults_took_effect"), "{verdict:#?}");
    assert!(with_a_slow_link(&fate).iter().any(|event| is_milestone(&event.what, Milestone::SteadyState)));
}
