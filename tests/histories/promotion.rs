//! How far behind a node was when it was promoted.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Occurrence,
        event::{AttemptOutcome, Bound},
    },
    topology::Tags,
    verdict::ClaimState,
};

use super::{
    course::{Course, lsn, plan, run},
    edits::{clean, primary, with, without},
    finding, findings, judge, value, verdict_of,
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

/// E1: the claim is not confirmed by what nobody read.
#[test]
fn a_promotion_whose_history_nobody_read_is_inconclusive_and_counted() {
    let events = without(run(&[Course { claims: vec!["LAG-CAP"], ..Course::default() }]), |what| {
        matches!(what, Occurrence::TimelineSwitch { .. })
    });
    let verdict = verdict_of(&events);
    let own = finding(&verdict, "promotion");
    assert_eq!((own.outcome, value(own, "promotions"), own.value_of(BEHIND)), (Outcome::Inconclusive, 1.0, None));
    assert_ne!(verdict.claims[0].state, ClaimState::Confirmed);
}

/// R1: node3 begins the same number, far behind.
#[test]
fn a_second_promotion_to_the_same_number_is_looked_at_too() {
    let (parent, timeline, switch_lsn) = (1, 2, lsn(1000) - 20_000_000);
    let told = Occurrence::TimelineSwitch { node: "node3".to_owned(), parent, timeline, switch_lsn };
    let events = with(with(clean(), 4400, told), 4500, primary("node3", 2, switch_lsn + 10));
    let verdict = verdict_of(&events);
    let own = finding(&verdict, "promotion");
    assert_eq!((value(own, "promotions"), value(own, "primary_changes")), (2.0, 3.0));
    assert!(value(own, BEHIND) > 20_000_000.0 && own.summary.contains("node3 was promoted"), "{own:#?}");
}

/// A standby took the timeline of a restored server from an archive that both use, while its primary went on.
#[test]
fn a_timeline_that_nobody_was_seen_to_lead_is_no_promotion_of_who_has_its_history() {
    let stayed = || run(&[Course { key: None, ..Course::default() }]);
    assert!(findings(&verdict_of(&stayed()), "promotion").is_empty());
    let (parent, timeline, switch_lsn) = (1, 2, lsn(1000));
    let told = Occurrence::TimelineSwitch { node: "node3".to_owned(), parent, timeline, switch_lsn };
    let verdict = verdict_of(&with(stayed(), 3500, told));
    let own = finding(&verdict, "promotion");
    assert_eq!((own.outcome, own.value_of(BEHIND)), (Outcome::Inconclusive, None), "{own:#?}");
    assert!(own.summary.contains("node1 went on as the primary of an older one"), "{}", own.summary);
}

#[test]
fn that_nobody_is_promoted_and_that_the_primary_stays_can_be_asked() {
    let asked = |key, measure| {
        let expected = vec![("promotion", measure, Bound::Exactly(0.0))];
        finding(&verdict_of(&run(&[Course { key, expected, ..Course::default() }])), "promotion").outcome
    };
    for measure in ["promotions", "primary_changes"] {
        assert_eq!(asked(None, measure), Outcome::Pass, "{measure}");
        assert_eq!(asked(Some((2600, 2700)), measure), Outcome::Fail, "{measure}");
    }
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

/// node2 is promoted in this course.
#[test]
fn a_node_that_its_tags_bar_is_not_promoted() {
    let promoted = |host: &str, tags: Tags| {
        let mut plan = plan(false);
        let own = plan.topology.regions[0].hosts.iter_mut().find(|known| known.name == host).unwrap();
        own.tags = tags;
        let expected = vec![("promotion", "barred_promotions", Bound::Exactly(0.0))];
        let events = run(&[Course { expected, ..Course::default() }]);
        let verdict = judge(&[(1, plan)].into_iter().collect(), &events);
        finding(&verdict, "promotion").outcome
    };
    let barred = || Tags { nofailover: Some(true), ..Tags::NONE };
    assert_eq!(promoted("node2", barred()), Outcome::Fail);
    assert_eq!(promoted("node2", Tags { failover_priority: Some(0), ..Tags::NONE }), Outcome::Fail);
    assert_eq!(promoted("node3", barred()), Outcome::Pass);
    assert_eq!(
        promoted("node2", Tags { nofailover: Some(false), failover_priority: Some(1), ..Tags::NONE }),
        Outcome::Pass
    );
}

/// A leader key that outlives a demotion, as one that came back with a restored DCS, says nothing of when its holder was promoted.
#[test]
fn a_key_that_was_never_given_up_is_no_election() {
    let mut events = run(&[Course { key: None, ..Course::default() }]);
    let restarted_us = (100 + 2_300) * 1000;
    for event in events.iter_mut().filter(|event| event.at_us >= restarted_us) {
        match &mut event.what {
            Occurrence::NodeState(state) => state.timeline = state.timeline.map(|_| 2),
            Occurrence::Attempt(attempt) => {
                if let AttemptOutcome::Acknowledged { timeline, .. } = &mut attempt.outcome {
                    *timeline = 2;
                }
            }
            _ => {}
        }
    }
    let node = "node1".to_owned();
    let switch = Occurrence::TimelineSwitch { node, parent: 1, timeline: 2, switch_lsn: lsn(1_000) };
    let events = with(events, 3_000, switch);
    let own = finding(&verdict_of(&events), "promotion").clone();
    assert_eq!(own.outcome, Outcome::Pass, "{own:#?}");
    assert!(own.summary.contains("node1 was promoted to timeline 2") && value(&own, BEHIND) > 0.0, "{}", own.summary);
}

/// Nobody was seen to begin the timeline: one that must not may have done so, and another one has its history.
#[test]
fn where_nobody_was_seen_to_lead_a_barred_node_may_have() {
    let mut plan = plan(false);
    plan.topology.regions[0].hosts.iter_mut().for_each(|host| {
        if host.name == "node3" {
            host.tags.nofailover = Some(true);
        }
    });
    let expected = vec![("promotion", "barred_promotions", Bound::Exactly(0.0))];
    let events = run(&[Course { expected, ..Course::default() }]);
    let events = without(events, |what| match what {
        Occurrence::NodeState(state) => state.timeline == Some(2),
        Occurrence::Attempt(attempt) => {
            matches!(attempt.outcome, AttemptOutcome::Acknowledged { timeline: 2, .. })
        }
        _ => false,
    });
    let verdict = judge(&[(1, plan)].into_iter().collect(), &events);
    assert_eq!(finding(&verdict, "promotion").outcome, Outcome::Inconclusive);
}
