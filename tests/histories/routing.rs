//! Where balancers lead clients that write.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Milestone},
    },
    plan::Plan,
    verdict::judge,
};

use super::{
    course::{Course, number, plan, run},
    edits::{is_attempt, is_milestone, without},
    findings,
    standby_region::{Regions, STOP_MS, attempt, found, refused},
    value,
};

/// The plan of all histories, with checks every 100 ms: they take at most 600 ms (fall 3, each with its timeout) to lead
/// clients elsewhere.
fn checking_often() -> Plan {
    let mut topology = plan(false).topology;
    topology.settings.haproxy.inter_ms = 100;
    Plan { schema: 1, ..Plan::new(topology) }
}

fn routing(events: &[Event]) -> Vec<Finding> {
    let verdict = judge(&BTreeMap::from([(1, checking_often())]), events);
    findings(&verdict, "routing").into_iter().cloned().collect()
}

/// node2 writes from 2,900 ms on, so it has settled at 3,504 ms.
fn led_again_at(up_ms: u64) -> Vec<Event> {
    let expected = vec![("routing", "misled_writes", Bound::Exactly(0.0))];
    run(&[Course { expected, up_ms, ..Course::default() }])
}

#[test]
fn a_balancer_that_follows_in_the_time_of_its_checks_passes() {
    for up_ms in [3100, 3500] {
        let own = routing(&led_again_at(up_ms));
        assert_eq!((own.len(), own[0].outcome, value(&own[0], "misled_writes")), (1, Outcome::Pass, 0.0), "{own:#?}");
        assert!(value(&own[0], "settled_writes") > 100.0);
    }
}

#[test]
fn one_that_leads_to_nobody_for_longer_fails() {
    let own = routing(&led_again_at(4300));
    assert_eq!(own[0].outcome, Outcome::Fail, "{own:#?}");
    // Every 20 ms from 3,520 ms until 4,280 ms.
    assert_eq!((value(&own[0], "misled_writes"), value(&own[0], "misled_to_standbys")), (39.0, 0.0));
    assert_eq!(value(&own[0], "misled_longest_ms"), 764.0);
    assert!(!own[0].evidence.is_empty());
}

#[test]
fn one_that_leads_to_a_standby_fails_and_says_so() {
    let mut events = led_again_at(3100);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && (attempt.endpoint.as_str(), attempt.client_kind) == ("write", ClientKind::Fresh)
            && (4_600_000..4_700_000).contains(&attempt.started_us)
        {
            let (sqlstate, message) = (Some("25006".to_owned()), "read-only transaction".to_owned());
            attempt.outcome = AttemptOutcome::Refused { sqlstate, message, contact: None };
        }
    }
    let own = routing(&events);
    assert_eq!((own[0].outcome, value(&own[0], "misled_to_standbys")), (Outcome::Fail, 5.0), "{own:#?}");
    assert!(own[0].summary.contains("5 to a standby and 0 to nobody"), "{}", own[0].summary);
}

#[test]
fn a_write_of_unknown_fate_misleads_nobody() {
    let mut events = led_again_at(3100);
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "write"
            && (4_600_000..4_700_000).contains(&attempt.started_us)
        {
            attempt.outcome = AttemptOutcome::Unknown { message: "connection reset".to_owned() };
        }
    }
    assert_eq!(routing(&events)[0].outcome, Outcome::Pass);
}

/// A server that shuts down in order closes new sessions, and answers what it has begun a little later.
#[test]
fn who_is_turned_away_while_the_last_write_is_answered_was_led_where_it_should() {
    let refused_until = |last_began_us: u64| {
        let mut events = led_again_at(3100);
        for event in &mut events {
            let Occurrence::Attempt(attempt) = &mut event.what else { continue };
            // node2 answers one write for long, and nothing that began while it did.
            let (at_us, at_the_end) = (event.at_us, 5_000_000..5_200_000);
            if at_the_end.contains(&attempt.started_us) && attempt.endpoint == "write" {
                let message = "connection closed".to_owned();
                attempt.outcome = AttemptOutcome::Refused { sqlstate: None, message, contact: None };
            }
            if matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. }) && at_us >= 5_000_000 {
                attempt.started_us = attempt.started_us.min(last_began_us);
            }
        }
        routing(&events)
    };
    assert_eq!(refused_until(4_990_000)[0].outcome, Outcome::Pass);
    assert_eq!(refused_until(u64::MAX)[0].outcome, Outcome::Fail);
}

#[test]
fn an_endpoint_that_hardly_anybody_tried_is_in_doubt() {
    let events = without(led_again_at(3100), |what| {
        is_attempt(what, |attempt| {
            (attempt.endpoint.as_str(), attempt.client_kind) == ("write", ClientKind::Fresh) && attempt.sequence > 15
        })
    });
    let own = routing(&events);
    assert_eq!(own[0].outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own[0].summary.contains("only 5 fresh clients of write"), "{}", own[0].summary);
}

#[test]
fn without_a_steady_load_nothing_is_known() {
    let events = without(led_again_at(3100), |what| is_milestone(what, Milestone::SteadyState));
    assert_eq!(routing(&events)[0].outcome, Outcome::Inconclusive);
}

#[test]
fn it_is_judged_only_where_a_scenario_expects_it() {
    assert_eq!(routing(&run(&[Course { up_ms: 4300, ..Course::default() }])), []);
}

/// Clients of a region's balancer are led to nobody once the region is lost: the node that was promoted is another region's.
#[test]
fn a_balancer_leads_to_nodes_of_its_own_cluster_alone() {
    let mut events = Regions::default().happen();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && let AttemptOutcome::Acknowledged { node, .. } = &mut attempt.outcome
            && attempt.started_us >= 3_000_000
            && node == "east1"
        {
            *node = "west1".to_owned();
        }
    }
    for (ms, sequence) in (1_000..STOP_MS).step_by(50).zip(1..) {
        let outcome = AttemptOutcome::Acknowledged { node: "east1".to_owned(), timeline: 1, lsn: 1 };
        events.push(match ms < 3_000 {
            true => attempt(ClientKind::Fresh, "east-write", (70, sequence), ms, outcome),
            false => refused("east-write", ms, None),
        });
    }
    let own = found("routing", &number(events), &[("misled_writes", Bound::Exactly(0.0))]);
    let own: Vec<&Finding> = own.iter().filter(|own| own.summary.contains("east-write")).collect();
    assert_eq!((own.len(), own[0].outcome), (1, Outcome::Pass), "{own:#?}");
    assert_eq!(value(own[0], "misled_writes"), 0.0);
}
