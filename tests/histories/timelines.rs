//! Numbers of timelines that stand for two histories.

use pgquake_judge::{
    checks::Outcome,
    history::{Event, Occurrence},
};

use super::{
    course::{Course, lsn, run},
    edits::{clean, primary, with, without, write},
    finding, value, verdict_of,
};

fn switch(node: &str, timeline: u32, parent: u32, switch_lsn: u64) -> Occurrence {
    Occurrence::TimelineSwitch { node: node.to_owned(), parent, timeline, switch_lsn }
}

fn outcome(events: &[Event]) -> Outcome {
    finding(&verdict_of(events), "timelines").outcome
}

#[test]
fn timelines_that_one_node_each_began_pass() {
    let followed = with(clean(), 3200, switch("node3", 2, 1, lsn(2000)));
    assert_eq!(outcome(&followed), Outcome::Pass, "who follows has the same history");
    assert_eq!(outcome(&run(&[Course { key: None, ..Course::default() }])), Outcome::Pass, "one timeline");
}

/// Case 01: node3 never heard of node2's timeline and begins one of the same number.
#[test]
fn two_beginnings_of_one_number_fail() {
    let verdict = verdict_of(&with(clean(), 4500, switch("node3", 2, 1, lsn(1500))));
    let own = finding(&verdict, "timelines");
    assert_eq!((own.outcome, value(own, "ambiguous_timelines")), (Outcome::Fail, 1.0));
    assert!(own.summary.contains("timeline 2 was begun at two places") && own.evidence.len() >= 2, "{own:#?}");
    assert_eq!(outcome(&with(clean(), 4500, switch("node3", 2, 7, lsn(2000)))), Outcome::Fail, "another parent");
}

#[test]
fn two_primaries_on_one_number_fail_though_they_began_at_one_place() {
    assert_eq!(outcome(&with(clean(), 4500, write("node3", 2, 4490))), Outcome::Fail);
    assert_eq!(outcome(&with(clean(), 4500, primary("node3", 2, lsn(4400)))), Outcome::Fail);
    // A node that is primary on the number anew after a restart is the same.
    assert_eq!(outcome(&with(clean(), 4500, primary("node2", 2, lsn(4400)))), Outcome::Pass);
}

#[test]
fn a_timeline_whose_history_nobody_read_is_inconclusive() {
    let untold = without(clean(), |what| matches!(what, Occurrence::TimelineSwitch { .. }));
    assert_eq!(outcome(&untold), Outcome::Inconclusive);
    let blind = without(untold, |what| matches!(what, Occurrence::NodeState(_) | Occurrence::Attempt(_)));
    assert_eq!(outcome(&blind), Outcome::Inconclusive);
}

/// Such a place would hide what the promoted node lacked.
#[test]
fn a_primary_before_the_place_where_its_timeline_began_contradicts_its_history() {
    let mut events = clean();
    for event in &mut events {
        if let Occurrence::TimelineSwitch { switch_lsn, .. } = &mut event.what {
            *switch_lsn = lsn(5000);
        }
    }
    assert_eq!(outcome(&events), Outcome::Inconclusive);
}
