//! Steps of an upgrade, and what each of them cost.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, FaultInjecting},
    },
};

use super::{
    course::{Course, plan, run},
    edits::{with, without},
    value,
};

const NAME: &str = "operator_steps";
const OUTAGE: &str = "step_outage_ms";
const LEAST: &str = "streaming_least_nodes";
const LOST: &str = "step_lost_rows";
const WITHOUT: &str = "without_standby_ms";

fn told(events: Vec<Event>, at_ms: u64, host: &str, version: &str) -> Vec<Event> {
    let (host, program, version) = (host.to_owned(), "patroni".to_owned(), version.to_owned());
    with(events, at_ms, Occurrence::VersionTold { host, program, version })
}

/// The agent of node1, the primary, is upgraded at 1,980 ms without a switchover: node2 takes over after 1,104 ms without writes, and
/// node1 streams again from 5,300 ms on. Nobody has told its new version yet.
fn begun(course: Course) -> Vec<Event> {
    let mut events = run(&[course]);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.name = "patroni_upgrade".to_owned();
            injecting.services = vec!["node1/patroni".to_owned()];
            injecting.parameters = [("to".to_owned(), "4.1".to_owned())].into();
        }
    }
    ["node1", "node2", "node3"].into_iter().fold(events, |events, node| told(events, 50, node, "4.0.11"))
}

fn upgraded(expected: &[(&'static str, Bound)]) -> Vec<Event> {
    let expected = expected.iter().map(|(measure, bound)| (NAME, *measure, *bound)).collect();
    told(begun(Course { expected, ..Course::default() }), 5_200, "node1", "4.1.5")
}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

fn is_of(what: &Occurrence, node: &str) -> bool {
    matches!(what, Occurrence::NodeState(state) if state.node == node)
}

#[test]
fn a_step_tells_versions_outage_and_standbys() {
    let found = one(&upgraded(&[]));
    assert_eq!((found.outcome, value(&found, OUTAGE)), (Outcome::Pass, 1_104.0), "{found:#?}");
    assert_eq!((value(&found, LEAST), value(&found, WITHOUT)), (1.0, 0.0));
    assert_eq!(
        found.summary,
        "step 1 of 1, patroni_upgrade of the primary (node1) (patroni 4.0.11 to 4.1.5): clients could not write for 1.10 s; at \
         least 1 of 3 nodes streamed as standbys; then 4.0.11 on node2, node3 and 4.1.5 on node1 ran"
    );
}

#[test]
fn a_step_misses_the_bounds_on_its_outage_and_its_standbys() {
    for (most, outcome) in [(1_200.0, Outcome::Pass), (1_000.0, Outcome::Fail)] {
        assert_eq!(one(&upgraded(&[(OUTAGE, Bound::AtMost(most))])).outcome, outcome, "{most}");
    }
    for (least, outcome) in [(1.0, Outcome::Pass), (2.0, Outcome::Fail)] {
        assert_eq!(one(&upgraded(&[(LEAST, Bound::AtLeast(least))])).outcome, outcome, "{least}");
    }
    let mut alone = upgraded(&[(WITHOUT, Bound::AtMost(1_000.0))]);
    for event in &mut alone {
        if let Occurrence::NodeState(state) = &mut event.what
            && state.node == "node3"
        {
            (state.reachable, state.role, state.streaming_from) = (false, None, None);
        }
    }
    // From the promotion of node2, seen at 3,010 ms, until node1 streams from it.
    let found = one(&alone);
    assert_eq!((found.outcome, value(&found, WITHOUT)), (Outcome::Fail, 2_290.0), "{found:#?}");
}

#[test]
fn a_standby_that_nobody_heard_of_leaves_a_bound_in_doubt() {
    let judged = |measure, bound| {
        let from_us = 2_200_000;
        let mut events = upgraded(&[(measure, bound)]);
        events.retain(|event| event.at_us < from_us || event.at_us > 5_000_000 || !is_of(&event.what, "node3"));
        one(&events)
    };
    // It was last seen to stream at 2,010 ms, which counts for 2.5 s, and is seen again at 5,010 ms.
    assert_eq!(judged(WITHOUT, Bound::AtMost(100.0)).outcome, Outcome::Inconclusive);
    assert_eq!(judged(WITHOUT, Bound::AtMost(600.0)).outcome, Outcome::Pass);
    let found = judged(LEAST, Bound::AtLeast(1.0));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("some were not heard of"), "{}", found.summary);
    assert_eq!(judged(LEAST, Bound::AtLeast(2.0)).outcome, Outcome::Fail);
}

#[test]
fn an_upgrade_whose_version_nobody_saw_is_in_doubt() {
    let unseen = begun(Course::default());
    assert_eq!(one(&unseen).outcome, Outcome::Inconclusive);
    let other = one(&told(unseen, 5_200, "node1", "4.10.0"));
    assert_eq!(other.outcome, Outcome::Inconclusive, "4.10 is not of the line 4.1");
    assert!(other.summary.ends_with("nobody saw the version that was asked for run on node1"), "{}", other.summary);
    // What ran before is of the line that was asked for, and nobody saw another release of it.
    let mut of_its_line = begun(Course::default());
    for event in &mut of_its_line {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.parameters = [("to".to_owned(), "4.0".to_owned())].into();
        }
    }
    let found = one(&of_its_line);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("(patroni 4.0.11 to unknown)"), "{}", found.summary);
    let nobody = without(upgraded(&[(OUTAGE, Bound::AtMost(5_000.0))]), |what| matches!(what, Occurrence::Attempt(_)));
    assert_eq!(one(&nobody).outcome, Outcome::Inconclusive, "nobody tried to write");
}

#[test]
fn an_outage_belongs_to_the_step_in_which_it_was_and_one_that_is_open_may_be_longer() {
    let injecting = |events: &[Event]| -> FaultInjecting {
        let first = events.iter().find_map(|event| match &event.what {
            Occurrence::FaultInjecting(injecting) => Some(injecting.clone()),
            _ => None,
        });
        first.expect("a fault")
    };
    let events = upgraded(&[(OUTAGE, Bound::AtMost(600.0))]);
    let restart = FaultInjecting {
        fault: 2,
        name: "postgresql_restart".to_owned(),
        target: "node3".to_owned(),
        hosts: vec!["node3".to_owned()],
        parameters: Default::default(),
        ..injecting(&events)
    };
    // 500 ms after the outage began.
    let found = judged(&with(events, 2_500, Occurrence::FaultInjecting(restart)));
    let outages: Vec<f64> = found.iter().map(|own| value(own, OUTAGE)).collect();
    assert_eq!(outages.len(), 2, "{found:#?}");
    // It is the first one's, in its whole length: cut in two, each part would keep a bound that clients saw missed.
    assert_eq!(outages, [1_104.0, 0.0]);
    assert_eq!(found[0].outcome, Outcome::Fail, "{found:#?}");
    // A restart that nobody proved.
    assert_eq!(found[1].outcome, Outcome::Inconclusive, "{found:#?}");

    let open = |most: f64| {
        let expected = vec![(NAME, OUTAGE, Bound::AtMost(most))];
        let course = Course { expected, stop_ms: 2_900, heal_ms: 2_700, rejoined_ms: 2_850, ..Course::default() };
        one(&told(begun(course), 2_800, "node1", "4.1.5")).outcome
    };
    assert_eq!([open(2_000.0), open(500.0)], [Outcome::Inconclusive, Outcome::Fail]);
}

#[test]
fn where_nobody_tried_to_write_no_step_shows_that_clients_could() {
    let events = upgraded(&[(OUTAGE, Bound::AtMost(5_000.0))]);
    assert_eq!(one(&events).outcome, Outcome::Pass);
    // The prober ends after the step has begun.
    let silent = without(events, |what| matches!(what, Occurrence::Attempt(attempt) if attempt.started_us > 3_000_000));
    let found = one(&silent);
    assert_eq!((found.outcome, found.value_of(OUTAGE)), (Outcome::Inconclusive, None), "{}", found.summary);
}

#[test]
fn what_is_lost_is_put_down_to_the_step_that_acknowledged_it() {
    let course = |lost_ms| Course { expected: vec![(NAME, LOST, Bound::Exactly(0.0))], lost_ms, ..Course::default() };
    let judged = |lost_ms| one(&told(begun(course(lost_ms)), 5_200, "node1", "4.1.5"));
    assert_eq!((judged(0).outcome, value(&judged(0), LOST)), (Outcome::Pass, 0.0));
    // Most of these were acknowledged before the step began, 20 ms before the primary was gone.
    let found = judged(200);
    let few = judged(100);
    assert!(found.outcome == Outcome::Fail && value(&found, LOST) > value(&few, LOST), "{found:#?}");
    assert!(value(&few, LOST) >= 1.0, "{few:#?}");
    assert!(found.summary.contains("lost; at least"), "{}", found.summary);
    let unread =
        without(told(begun(course(0)), 5_200, "node1", "4.1.5"), |what| matches!(what, Occurrence::LedgerRead { .. }));
    assert_eq!(one(&unread).outcome, Outcome::Inconclusive);
}

#[test]
fn without_an_upgrade_there_is_nothing_to_tell() {
    assert_eq!(judged(&run(&[Course::default()])), []);
    let asked = run(&[Course { expected: vec![(NAME, OUTAGE, Bound::AtMost(1.0))], ..Course::default() }]);
    assert_eq!(one(&asked).outcome, Outcome::Inconclusive);
}
