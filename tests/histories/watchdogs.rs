//! Watchdogs, and what became of the hosts that they guard.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{Bound, FaultInjecting, WatchdogChange, WatchdogState},
    },
    plan::Plan,
    services::{WatchdogMode, WatchdogSettings},
    verdict::{RunVerdict, judge},
};

use super::{
    course::{Course, plan, run},
    edits::with,
    finding, findings, value,
};

const MARGIN: &str = "reset_margin_ms";
/// The number of the fault that froze the agent; the reset is number 1.
const FROZEN: u32 = 2;

/// The plan of all histories, with a watchdog on each node's host: its timeout is 1 s.
fn guarded() -> Plan {
    let mut topology = plan(false).topology;
    topology.settings.patroni.watchdog = WatchdogSettings { mode: WatchdogMode::Required, safety_margin_s: 1 };
    Plan { schema: 1, ..Plan::new(topology) }
}

fn verdict_of(events: &[Event]) -> RunVerdict {
    judge(&BTreeMap::from([(1, guarded())]), events)
}

fn said(state: WatchdogState, ms: Option<u64>) -> Occurrence {
    let (timeout_ms, unfed_ms) = match state {
        WatchdogState::Armed => (ms, None),
        _ => (None, ms),
    };
    Occurrence::Watchdog(WatchdogChange { node: "node1".to_owned(), state, timeout_ms, unfed_ms })
}

/// The course of the other histories, a second later: the agent freezes at 2,000 ms, the host goes down at 3,000.
fn course() -> Course {
    let own = Course::default();
    Course {
        fault_ms: own.fault_ms + 1000,
        key: own.key.map(|(gone_ms, held_ms)| (gone_ms + 1000, held_ms + 1000)),
        direct_ms: own.direct_ms + 1000,
        up_ms: own.up_ms + 1000,
        routed_until_ms: own.routed_until_ms + 1000,
        old_until_ms: own.old_until_ms + 1000,
        heal_ms: own.heal_ms + 1000,
        rejoined_ms: own.rejoined_ms + 1000,
        stop_ms: own.stop_ms + 1000,
        ..own
    }
}

/// The watchdog's reset of node1 instead of the fault of the course, and before it a fault that froze the agent.
fn reset(course: Course) -> Vec<Event> {
    let (begun_ms, heal_ms) = (course.fault_ms - 1000, course.heal_ms);
    let mut events = run(std::slice::from_ref(&course));
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.name = "watchdog_reset".to_owned();
            injecting.target = "node1, by its own watchdog".to_owned();
        }
    }
    let freeze = FaultInjecting {
        fault: FROZEN,
        name: "process_freeze".to_owned(),
        target: "the primary (node1)".to_owned(),
        hosts: vec!["node1".to_owned()],
        services: vec!["node1/patroni".to_owned()],
        parameters: BTreeMap::from([("process".to_owned(), "the Patroni agent".to_owned())]),
        hands_over: false,
        worst: Default::default(),
        primary_before: Some("node1".to_owned()),
        dcs_leader_before: None,
    };
    let us = |ms: u64| (course.start_ms + ms) * 1000;
    let confirmed = Occurrence::FaultConfirmed {
        fault: FROZEN,
        effect_from_us: us(begun_ms),
        effect_to_us: us(begun_ms + 5),
        evidence: "it is stopped".to_owned(),
    };
    for (at_ms, what) in [
        (20, said(WatchdogState::Armed, Some(1000))),
        (begun_ms, Occurrence::FaultInjecting(freeze)),
        (begun_ms + 10, confirmed),
        (course.fault_ms - 1, said(WatchdogState::Expiring, Some(700))),
        (course.fault_ms + 1, said(WatchdogState::Resetting, Some(1001))),
        (heal_ms + 1, Occurrence::FaultHealing { fault: FROZEN }),
        (course.rejoined_ms - 1, Occurrence::FaultHealed { fault: FROZEN, evidence: String::new() }),
    ] {
        events = with(events, at_ms, what);
    }
    events
}

fn expecting(course: Course) -> Course {
    Course { expected: vec![("watchdog", MARGIN, Bound::AtLeast(0.0))], ..course }
}

#[test]
fn a_reset_before_another_node_leads_passes_and_nobody_writes_twice() {
    let verdict = verdict_of(&reset(expecting(course())));
    let own = finding(&verdict, "watchdog");
    // Down at 3,030 ms at the latest; node2 holds the key at 3,700.
    assert_eq!((own.outcome, value(own, MARGIN)), (Outcome::Pass, 670.0), "{own:#?}");
    let unfed = own.details.iter().find(|measure| measure.name == "reset_unfed_ms").unwrap();
    assert_eq!((unfed.value, unfed.predicted), (1001.0, Some((1000.0, 1250.0))));
    assert_eq!(own.summary, "the watchdog of node1 reset it after 1.0 s unfed, 670 ms before node2 led");
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Pass);
    assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
}

#[test]
fn the_times_are_predicted_by_what_the_watchdog_left_of_the_lease() {
    let verdict = verdict_of(&reset(course()));
    let predicted = guarded().predicted;
    let detect = predicted.watchdog.unwrap().detect;
    assert_eq!((detect.least_ms, predicted.detect.least_ms > detect.least_ms), (500, true));
    let recovery =
        findings(&verdict, "recovery_time").into_iter().find(|own| own.value_of("detect_ms").is_some()).unwrap();
    let measured = recovery.details.iter().find(|measure| measure.name == "detect_ms").unwrap();
    assert_eq!(measured.predicted, Some((detect.least_ms as f64, detect.most_ms as f64)));
}

/// A watchdog that is too late is none.
#[test]
fn two_writers_in_spite_of_a_watchdog_fail() {
    let course = Course { fault_ms: 4400, routed_until_ms: 4400, old_until_ms: 4400, up_ms: 4600, ..course() };
    let verdict = verdict_of(&reset(expecting(course)));
    let own = finding(&verdict, "watchdog");
    assert_eq!(own.outcome, Outcome::Fail, "{own:#?}");
    assert!(own.summary.contains("node2 led 685 ms before that"), "{}", own.summary);
    assert_eq!(finding(&verdict, "single_writer").outcome, Outcome::Fail);
}

/// The host leads again later, and another node after it: neither has to do with the first reset.
#[test]
fn what_comes_once_the_host_leads_again_makes_no_late_watchdog_early() {
    let course = Course { fault_ms: 4400, routed_until_ms: 4400, old_until_ms: 4400, up_ms: 4600, ..course() };
    let key = |holder: &str, revision| {
        let (member, holder) = ("node3".to_owned(), Some(holder.to_owned()));
        Occurrence::LeaderKey { member, holder, revision, initial: false, cluster: None }
    };
    let events = super::edits::with(reset(expecting(course)), 5_000, key("node1", 40));
    let verdict = verdict_of(&super::edits::with(events, 5_100, key("node2", 41)));
    let own = finding(&verdict, "watchdog");
    assert_eq!(own.outcome, Outcome::Fail, "{own:#?}");
    assert!(own.summary.contains("node2 led"), "{}", own.summary);
}

/// A fault that was gone long before the watchdog was last fed explains nothing.
#[test]
fn a_reset_after_a_fault_that_was_healed_long_before_is_in_doubt() {
    let healed = |what: &Occurrence| matches!(what, Occurrence::FaultHealed { fault: FROZEN, .. });
    let mut events = super::edits::without(reset(course()), healed);
    for event in &mut events {
        if let Occurrence::Watchdog(change) = &mut event.what {
            change.unfed_ms = change.unfed_ms.map(|_| 500);
        }
    }
    let early = Occurrence::FaultHealed { fault: FROZEN, evidence: String::new() };
    let own = finding(&verdict_of(&super::edits::with(events, 2_300, early)), "watchdog").clone();
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own.summary.contains("may have starved its agent"), "{}", own.summary);
}

#[test]
fn a_key_that_changed_hands_while_the_host_went_down_is_in_doubt() {
    let verdict = verdict_of(&reset(expecting(Course { key: Some((3010, 3020)), ..course() })));
    let own = finding(&verdict, "watchdog");
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own.summary.contains("nobody can say which came first"), "{}", own.summary);
}

#[test]
fn a_reset_that_no_fault_explains_is_in_doubt() {
    let events = reset(course());
    let is_of_freeze = |what: &Occurrence| match what {
        Occurrence::FaultInjecting(injecting) => injecting.fault == FROZEN,
        Occurrence::FaultConfirmed { fault, .. }
        | Occurrence::FaultHealing { fault }
        | Occurrence::FaultHealed { fault, .. } => *fault == FROZEN,
        _ => false,
    };
    let verdict = verdict_of(&super::edits::without(events, is_of_freeze));
    let own = finding(&verdict, "watchdog");
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own.summary.contains("no fault had come before"), "{}", own.summary);
}

#[test]
fn watchdogs_that_nobody_armed_prove_nothing() {
    let outcome = |events: &[Event]| {
        let verdict = verdict_of(events);
        findings(&verdict, "watchdog").into_iter().cloned().collect::<Vec<Finding>>()
    };
    let never = outcome(&run(&[Course::default()]));
    assert_eq!(never.iter().map(|own| own.outcome).collect::<Vec<_>>(), [Outcome::Inconclusive], "{never:#?}");
    // Armed, and nobody left it unfed: there is nothing to say.
    let armed = with(run(&[Course::default()]), 20, said(WatchdogState::Armed, Some(1000)));
    assert_eq!(outcome(&armed), []);
}

/// An agent that dies stops nothing, and the watchdog must do what it is for.
#[test]
fn a_watchdog_that_is_left_behind_and_resets_nothing_fails() {
    let left = |node: &str, fault: &str| {
        let mut events = with(run(&[Course::default()]), 20, said(WatchdogState::Armed, Some(1000)));
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.name = fault.to_owned();
            }
        }
        let mut events = with(events, 2040, said(WatchdogState::Abandoned, None));
        for event in &mut events {
            if let Occurrence::Watchdog(change) = &mut event.what {
                change.node = node.to_owned();
            }
        }
        findings(&verdict_of(&events), "watchdog").into_iter().cloned().collect::<Vec<Finding>>()
    };
    let silent = left("node1", "process_kill");
    assert_eq!(silent.iter().map(|own| own.outcome).collect::<Vec<_>>(), [Outcome::Fail], "{silent:#?}");
    assert!(silent[0].summary.contains("never reset the host"), "{}", silent[0].summary);
    assert_eq!(left("node1", "host_crash"), [], "the host itself is down");
    assert_eq!(left("node3", "process_kill").len(), 1);
}
