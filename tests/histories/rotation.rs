//! A node that dies, and when a balancer takes it out of its rotation.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{Event, Occurrence, event::Bound},
};

use super::{
    course::{Course, plan, run},
    edits::without,
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
