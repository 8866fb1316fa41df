//! A DCS that loses its leader, and when another member leads.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    claims::Subject,
    history::{Event, Occurrence, event::Bound},
};

use super::{
    course::{Course, plan, run},
    edits::with,
    value, verdict_of,
};

const NAME: &str = "dcs_failover";
const GAP: &str = "dcs_leader_gap_ms";

/// Who led from when on, and when the last look began that did not show it.
type Told = (u64, Option<u64>, Option<&'static str>);

/// The host of node1 is lost at some instant between 1,985 ms and 2,030 ms, and healed at 5,150 ms.
fn told(expected: &[Bound], leaders: &[Told]) -> Vec<Event> {
    let expected = expected.iter().map(|bound| (NAME, GAP, *bound)).collect();
    let events = run(&[Course { expected, ..Course::default() }]);
    leaders.iter().fold(events, |events, (ms, before_ms, member)| {
        let before_us = before_ms.map(|ms| (100 + ms) * 1000);
        with(events, *ms, Occurrence::DcsLeader { member: member.map(str::to_owned), dcs: None, before_us })
    })
}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, events))
}

fn one(events: &[Event]) -> Finding {
    let mut own = judged(events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

const LED_BY_NODE1: Told = (10, None, Some("node1"));

#[test]
fn a_gap_lies_between_its_bounds_and_a_bound_between_is_not_decided() {
    let leaders = [LED_BY_NODE1, (2_600, Some(2_350), None), (3_100, Some(2_900), Some("node2"))];
    for (most, outcome) in [(1_115.0, Outcome::Pass), (1_000.0, Outcome::Inconclusive), (869.0, Outcome::Fail)] {
        let found = one(&told(&[Bound::AtMost(most)], &leaders));
        assert_eq!(found.outcome, outcome, "{found:#?}");
        assert_eq!((value(&found, GAP), value(&found, "dcs_leader_gap_resolution_ms")), (870.0, 245.0));
        assert!(found.summary.contains("etcd lost its leader node1, and node2 led after 870 ms"), "{}", found.summary);
    }
    // Where the look before is not recorded, it may have been 900 ms ago.
    let found = one(&told(&[], &[LED_BY_NODE1, (3_100, None, Some("node2"))]));
    assert_eq!((value(&found, GAP), value(&found, "dcs_leader_gap_resolution_ms")), (170.0, 945.0));
}

#[test]
fn a_dcs_that_nobody_leads_any_more_misses_its_bound_once_that_time_is_over() {
    let leaders = [LED_BY_NODE1, (2_600, Some(2_350), None), (5_200, Some(5_100), Some("node1"))];
    let found = one(&told(&[Bound::AtMost(3_000.0)], &leaders));
    assert_eq!((found.outcome, value(&found, GAP)), (Outcome::Fail, 3_120.0), "{found:#?}");
    assert_eq!(value(&found, "dcs_leaders_not_replaced"), 1.0);
    // The fault was healed too soon for a longer bound.
    let found = one(&told(&[Bound::AtMost(4_000.0)], &leaders));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}

#[test]
fn the_loss_of_a_member_that_does_not_lead_is_no_loss_of_the_leader() {
    assert_eq!(judged(&told(&[], &[(10, None, Some("node3"))])), []);
    let asked = one(&told(&[Bound::AtMost(1_000.0)], &[(10, None, Some("node3"))]));
    assert_eq!(asked.outcome, Outcome::Inconclusive);
    // Nor is a fault that was never proven.
    let mut events = told(&[], &[LED_BY_NODE1, (3_100, Some(2_900), Some("node2"))]);
    events.retain(|event| !matches!(event.what, Occurrence::FaultConfirmed { .. }));
    assert_eq!(judged(&events), []);
}

/// Its links were slow, and it went on leading.
#[test]
fn a_leader_that_a_fault_hit_and_that_leads_on_was_not_lost() {
    let slowed = |leaders: &[Told]| {
        let mut events = told(&[], leaders);
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                (injecting.name, injecting.services) = ("link_latency".to_owned(), Vec::new());
            }
        }
        judged(&events)
    };
    assert_eq!(slowed(&[LED_BY_NODE1]), []);
    assert_eq!(slowed(&[LED_BY_NODE1, (5_300, Some(5_250), Some("node2"))]), [], "it was healed by then");
    assert_eq!(slowed(&[LED_BY_NODE1, (3_100, Some(2_900), Some("node2"))]).len(), 1);
    // One that was killed is lost, whatever its members say.
    assert_eq!(value(&one(&told(&[], &[LED_BY_NODE1])), "dcs_leaders_not_replaced"), 1.0);
}

/// Of one that loses two of three members at once nobody promises that it has a leader.
#[test]
fn a_dcs_without_a_quorum_says_nothing_of_how_soon_another_leads() {
    let about = |members: &[&str]| {
        let mut events = told(&[], &[LED_BY_NODE1, (2_600, Some(2_350), None)]);
        for event in &mut events {
            if let Occurrence::FaultInjecting(injecting) = &mut event.what {
                injecting.services = members.iter().map(|member| format!("{member}/etcd")).collect();
            }
        }
        verdict_of(&events).scenarios[0].happened.contains(&Subject::DcsLeaderLost)
    };
    assert!(about(&["node1"]));
    assert!(!about(&["node1", "node2"]));
}
