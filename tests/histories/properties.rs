//! What must hold for every history.

use pgquake_judge::{checks::Outcome, history::Event, verdict::RunVerdict};
use proptest::prelude::*;

use crate::{
    course::{Course, LATENCY_MS, run},
    finding, value, verdict_of,
};

prop_compose! {
    /// A failover with phases of any length, in the order in which they come.
    fn courses()(
        detect_ms in 1..900u64, elect_ms in 0..300u64, promote_ms in 0..600u64, route_ms in 0..700u64,
        start_ms in 100..5000u64, tie in any::<bool>(),
    ) -> Course {
        let gone_ms = 2000 + detect_ms;
        let held_ms = gone_ms + elect_ms;
        let direct_ms = held_ms + promote_ms;
        // The proxy may be quicker than the database.
        let up_ms = if tie { direct_ms } else { direct_ms + route_ms };
        Course {
            start_ms,
            key: Some((gone_ms, held_ms)),
            direct_ms,
            up_ms,
            heal_ms: up_ms + 2100,
            rejoined_ms: up_ms + 2400,
            stop_ms: up_ms + 2500,
            ..Course::default()
        }
    }
}

/// A finding without the ids of its events: check, outcome, summary and measures.
type Said = (String, Outcome, String, Vec<(String, f64)>);

fn said(verdict: &RunVerdict) -> Vec<Said> {
    let scenario = &verdict.scenarios[0];
    let measures = |finding: &pgquake_judge::checks::Finding| {
        let own = finding.measure.iter().chain(&finding.details);
        own.map(|measure| (measure.name.clone(), measure.value)).collect()
    };
    let said = scenario
        .findings
        .iter()
        .map(|finding| (finding.check.clone(), finding.outcome, finding.summary.clone(), measures(finding)));
    said.collect()
}

fn shifted(mut events: Vec<Event>, by_us: u64) -> Vec<Event> {
    use pgquake_judge::history::Occurrence;
    for event in &mut events {
        event.at_us += by_us;
        match &mut event.what {
            Occurrence::Attempt(attempt) => attempt.started_us += by_us,
            Occurrence::FaultConfirmed { effect_from_us, effect_to_us, .. } => {
                *effect_from_us += by_us;
                *effect_to_us += by_us;
            }
            _ => {}
        }
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn phases_follow_each_other_and_add_up_to_the_outage(course in courses()) {
        let verdict = verdict_of(&run(std::slice::from_ref(&course)));
        prop_assert_eq!(verdict.outcome, Outcome::Pass, "{:#?}", verdict.scenarios[0].findings);
        let failover = &verdict.scenarios[0].failovers[0];
        let outage_ms = failover.outage_ms().unwrap();
        let sum: f64 = failover.phases.iter().map(|phase| phase.duration_ms()).sum();
        prop_assert!((sum - outage_ms).abs() < 0.001);
        prop_assert_eq!(failover.phases.first().unwrap().from_us, failover.outage_from_us);
        prop_assert!(failover.phases.windows(2).all(|pair| pair[0].to_us == pair[1].from_us));
        prop_assert!(failover.phases.iter().all(|phase| phase.from_us <= phase.to_us));
        // The outage is what it was made to be, to one period of the prober and the time of an attempt.
        let truth_ms = (course.up_ms - course.fault_ms) as f64;
        let error_ms = outage_ms - truth_ms;
        let most_ms = (course.probe_every_ms + LATENCY_MS) as f64;
        prop_assert!((-25.0..=25.0).contains(&error_ms) && error_ms.abs() <= most_ms, "off by {} ms", error_ms);
    }

    #[test]
    fn a_constant_added_to_all_times_changes_nothing(course in courses(), by_us in 0..10_000_000_000u64) {
        let events = run(&[course]);
        let (here, there) = (verdict_of(&events), verdict_of(&shifted(events, by_us)));
        prop_assert_eq!(said(&here), said(&there));
        prop_assert_eq!(here.outcome, there.outcome);
    }

    #[test]
    fn an_overlap_is_measured_to_the_schedule_and_never_without_two_writers(
        course in courses(), overlap_ms in 100..800u64, both in any::<bool>(),
    ) {
        let old_until_ms = if both { course.direct_ms + overlap_ms } else { course.fault_ms };
        let verdict = verdict_of(&run(&[Course { old_until_ms, ..course }]));
        let found = finding(&verdict, "single_writer");
        if both {
            // The new primary is probed every 100 ms, the old one's held session writes every 20 ms.
            let measured = value(found, "overlap_ms");
            prop_assert_eq!(found.outcome == Outcome::Fail, measured > 0.0);
            prop_assert!((overlap_ms as f64 - 130.0..=overlap_ms as f64).contains(&measured), "{} of {}", measured, overlap_ms);
        } else {
            prop_assert_eq!((found.outcome, value(found, "overlap_ms")), (Outcome::Pass, 0.0));
        }
    }
}
