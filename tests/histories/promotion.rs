//! How far behind a node was when it was promoted.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Occurrence,
        event::{AttemptOutcome, Bound},
    },
    verdict::ClaimState,
};

use super::{
    course::{Course, run},
    finding, findings, value, verdict_of,
};

const BEHIND: &str = "promoted_behind_bytes";

#[test]
fn a_node_that_had_everything_is_not_behind() {
    let verdict = verdict_of(&run(&[Course::default()]));
    let own = finding(&verdict, "promotion");
    assert_eq!((own.outcome, value(own, BEHIND), value(own, "promotions")), (Outcome::Pass, 0.0, 1.0));
    assert!(own.summary.contains("node2 was promoted to timeline 2"), "{}", own.summary);
}

#[test]
fn what_a_promoted_node_lacked_fails_what_was_expected_and_refutes_the_claim() {
    let lacking = |bytes| {
        let course = Course {
            claims: vec!["LAG-CAP"],
            expected: vec![("promotion", BEHIND, Bound::AtMost(1_048_576.0))],
            ..Course::default()
        };
        let mut events = run(&[course]);
        for event in &mut events {
            if let Occurrence::TimelineSwitch { switch_lsn, .. } = &mut event.what {
                *switch_lsn -= bytes;
            }
        }
        verdict_of(&events)
    };
    let most = value(finding(&lacking(1_000_000), "promotion"), BEHIND);
    for (bytes, outcome, state) in
        [(1_000_000, Outcome::Pass, ClaimState::Undecided), (1_000_000 + 1_048_576, Outcome::Fail, ClaimState::Refuted)]
    {
        let verdict = lacking(bytes);
        let own = finding(&verdict, "promotion");
        assert_eq!((own.outcome, value(own, BEHIND)), (outcome, most + (bytes - 1_000_000) as f64));
        assert_eq!(
            (verdict.claims[0].state, verdict.claims[0].trials[0].kept),
            (state, Some(outcome == Outcome::Pass))
        );
    }
}

#[test]
fn what_an_old_primary_writes_after_the_election_is_not_what_the_node_lacked() {
    let lived_on = |old_until_ms| {
        let course = Course { lost_ms: 100, old_until_ms, routed_until_ms: 2000, ..Course::default() };
        value(finding(&verdict_of(&run(&[course])), "promotion"), BEHIND)
    };
    assert!(lived_on(2600) > lived_on(2000), "before the election it counts");
    assert_eq!(lived_on(4000), lived_on(2700), "the key changed hands at 2700 ms");
}

#[test]
fn where_nobody_was_promoted_nothing_is_said_unless_it_was_asked() {
    let in_place = Course { key: None, ..Course::default() };
    assert!(findings(&verdict_of(&run(std::slice::from_ref(&in_place))), "promotion").is_empty());
    let asked = Course { expected: vec![("promotion", BEHIND, Bound::AtMost(0.0))], ..in_place };
    let verdict = verdict_of(&run(&[asked]));
    let own = finding(&verdict, "promotion");
    assert_eq!((own.outcome, value(own, BEHIND)), (Outcome::Pass, 0.0));
}

#[test]
fn a_promotion_from_an_unseen_position_is_inconclusive() {
    let mut events = run(&[Course::default()]);
    for event in &mut events {
        match &mut event.what {
            Occurrence::NodeState(state) => state.lsn = None,
            Occurrence::Attempt(attempt) => {
                if let AttemptOutcome::Acknowledged { lsn, .. } = &mut attempt.outcome {
                    *lsn = 0;
                }
            }
            _ => {}
        }
    }
    assert_eq!(finding(&verdict_of(&events), "promotion").outcome, Outcome::Inconclusive);
}
