//! A node that dies, and when a balancer takes it out of its rotation.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, NodeState, Role},
    },
};

use super::{
    course::{Course, plan, run},
    edits::{with, without},
    value,
};

const NAME: &str = "rotation";
const OUT: &str = "out_of_rotation_ms";

/// The host of node1 is lost at some instant between 1,985 ms and 2,030 ms; the balancer shows its server DOWN at 2,400 ms.
fn lost(expected: &[Bound]) -> Vec<Event> {
    let expected = expected.iter().map(|bound| (NAME, OUT, *bound)).collect();
    run(&[Course { expected, ..Course::default() }])
}

fn is_down(what: &Occurrence) -> bool {
    matches!(what, Occurrence::ProxyState { up: false, .. })
}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

#[test]
fn the_time_until_a_server_is_out_lies_between_its_bounds() {
    for (most, outcome) in [(415.0, Outcome::Pass), (300.0, Outcome::Inconclusive), (169.0, Outcome::Fail)] {
        let found = one(&lost(&[Bound::AtMost(most)]));
        assert_eq!(found.outcome, outcome, "{found:#?}");
        assert_eq!((value(&found, OUT), value(&found, "out_of_rotation_resolution_ms")), (170.0, 245.0));
        assert!(found.summary.contains("proxy1 took node1 out of its rotation"), "{}", found.summary);
    }
}

#[test]
fn a_server_that_stays_misses_its_bound_once_that_time_is_over() {
    let stays = |most: f64| one(&without(lost(&[Bound::AtMost(most)]), is_down));
    // Until it was healed, at 5,150 ms.
    let found = stays(3_000.0);
    assert_eq!((found.outcome, value(&found, OUT)), (Outcome::Fail, 3_120.0), "{found:#?}");
    assert_eq!(value(&found, "servers_left_in_rotation"), 1.0);
    assert_eq!(stays(6_000.0).outcome, Outcome::Inconclusive);
}

#[test]
fn only_a_node_that_died_while_it_was_up_counts() {
    // Its PostgreSQL was killed, and may come back at once.
    let in_place = run(&[Course { key: None, ..Course::default() }]);
    assert_eq!(judged(&in_place), []);
    let mut was_down = lost(&[]);
    for event in &mut was_down {
        if let Occurrence::ProxyState { server, up, .. } = &mut event.what {
            *up = *up && server != "node1";
        }
    }
    assert_eq!(judged(&was_down), []);
    let unproven = run(&[Course { confirmed: false, ..Course::default() }]);
    assert_eq!(judged(&unproven), []);
    let asked = without(lost(&[Bound::AtMost(6_000.0)]), |what| matches!(what, Occurrence::ProxyState { .. }));
    assert_eq!(one(&asked).outcome, Outcome::Inconclusive);
}

/// A second server whose death is known to 900 ms alone: it may have stayed for 950 ms.
#[test]
fn of_several_the_one_that_is_known_least_may_have_taken_longest() {
    let mut events = lost(&[Bound::AtMost(500.0)]);
    let of_fault = |what: &Occurrence| {
        matches!(what, Occurrence::FaultInjecting(_) | Occurrence::FaultConfirmed { .. }).then(|| what.clone())
    };
    let first: Vec<Occurrence> = events.iter().filter_map(|event| of_fault(&event.what)).collect();
    for mut what in first {
        match &mut what {
            Occurrence::FaultInjecting(injecting) => {
                (injecting.fault, injecting.hosts) = (2, vec!["node3".to_owned()]);
                injecting.services = vec!["node3/patroni".to_owned()];
                events = with(events, 2_990, what);
            }
            Occurrence::FaultConfirmed { fault, effect_from_us, effect_to_us, .. } => {
                (*fault, *effect_from_us, *effect_to_us) = (2, 3_100_000, 4_000_000);
                events = with(events, 3_945, what);
            }
            _ => {}
        }
    }
    for (ms, up) in [(7, true), (3_950, false)] {
        let (proxy, backend, server) = ("proxy1".to_owned(), "write".to_owned(), "node3".to_owned());
        events = with(events, ms, Occurrence::ProxyState { proxy, backend, server, up, status: "".to_owned() });
    }
    let found = one(&events);
    assert_eq!((value(&found, OUT), value(&found, "out_of_rotation_resolution_ms")), (170.0, 780.0));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}

#[test]
fn a_server_that_stays_may_have_stayed_for_any_longer_time() {
    for (bound, outcome) in [
        (Bound::AtLeast(6_000.0), Outcome::Inconclusive),
        (Bound::Between(5_000.0, 6_000.0), Outcome::Inconclusive),
        (Bound::AtLeast(3_000.0), Outcome::Pass),
        (Bound::Between(1_000.0, 3_000.0), Outcome::Fail),
    ] {
        let found = one(&without(lost(&[bound]), is_down));
        assert_eq!(found.outcome, outcome, "{found:#?}");
    }
}

/// It was up again before the balancer had to notice.
#[test]
fn a_node_that_is_back_is_rightly_in_rotation() {
    let (node, role) = ("node1".to_owned(), Some(Role::Standby));
    let state = NodeState {
        node,
        reachable: true,
        role,
        timeline: Some(1),
        lsn: Some(1),
        streaming_from: None,
        standbys: Default::default(),
        asked_us: Some(3_599_000),
    };
    let mut events = with(without(lost(&[Bound::AtMost(3_000.0)]), is_down), 3_500, Occurrence::NodeState(state));
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.name = "host_reboot".to_owned();
        }
    }
    let found = one(&events);
    assert_eq!((found.outcome, value(&found, OUT)), (Outcome::Inconclusive, 1_470.0), "{found:#?}");
}

/// A balancer that loses its power with the node shows nothing more, and leads nobody there.
#[test]
fn a_balancer_that_died_itself_keeps_nobody_in_its_rotation() {
    let mut events = without(lost(&[]), is_down);
    for event in &mut events {
        if let Occurrence::FaultInjecting(injecting) = &mut event.what {
            injecting.services.push("proxy1/haproxy".to_owned());
        }
    }
    assert_eq!(judged(&events), []);
}
