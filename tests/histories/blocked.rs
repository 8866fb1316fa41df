//! Writes in a region that follows another one.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Role, RunbookStep, SequenceRange},
    },
};

use super::{
    course::{LATENCY_MS, number},
    edits::is_attempt,
    standby_region::{Regions, and, attempt, found, ordered, refused},
    value,
};

const NAME: &str = "write_blocked";

fn judged(events: &[Event]) -> (Outcome, String) {
    let own = found(NAME, events, &[]);
    assert_eq!(own.len(), 1, "{own:#?}");
    (own[0].outcome, own[0].summary.clone())
}

fn accepted(endpoint: &str, node: &str, ms: u64) -> Event {
    let outcome = AttemptOutcome::Acknowledged { node: node.to_owned(), timeline: 1, lsn: 1 };
    attempt(ClientKind::Held, endpoint, (60, ms), ms, outcome)
}

fn with(mut events: Vec<Event>, event: Event) -> Vec<Event> {
    events.push(event);
    number(events)
}

#[test]
fn a_region_that_refuses_everything_everywhere_passes() {
    let own = found(NAME, &Regions::default().happen(), &[("blocked_region_writes", Bound::Exactly(0.0))]);
    assert_eq!((own.len(), own[0].outcome, value(&own[0], "blocked_region_writes")), (1, Outcome::Pass, 0.0));
    assert_eq!(value(&own[0], "refused_attempts"), 4.0 * 38.0);
}

#[test]
fn one_write_that_it_accepts_fails_wherever_the_client_connected() {
    for (endpoint, node) in [("west2", "west2"), ("west-write", "west1"), ("write", "west1"), ("west-write", "east1")] {
        let events = with(Regions::default().happen(), accepted(endpoint, node, 9_000));
        let own = found(NAME, &events, &[]);
        assert_eq!(own[0].outcome, Outcome::Fail, "{}", own[0].summary);
        let shown = events.iter().find(|event| is_attempt(&event.what, |attempt| attempt.client == 60)).unwrap();
        assert_eq!((own[0].evidence.as_slice(), value(&own[0], "blocked_region_writes")), (&[shown.seq][..], 1.0));
    }
}

#[test]
fn a_write_of_unknown_fate_counts_if_a_ledger_has_it() {
    let unknown = AttemptOutcome::Unknown { message: "no answer".to_owned() };
    let mut events = with(Regions::default().happen(), attempt(ClientKind::Held, "west3", (60, 1), 9_000, unknown));
    assert_eq!(judged(&events).0, Outcome::Pass);
    for event in &mut events {
        if let Occurrence::LedgerRead { node, found, .. } = &mut event.what
            && node == "west3"
        {
            found.push(SequenceRange { client: 60, from: 1, to: 1 });
        }
    }
    assert_eq!(judged(&events).0, Outcome::Fail);
}

#[test]
fn what_is_written_after_the_promotion_was_ordered_is_as_it_should_be() {
    let events = and(Regions::default().happen(), 15_000, ordered("west"));
    assert_eq!(judged(&with(events.clone(), accepted("west1", "west1", 15_100))).0, Outcome::Pass);
    // Committed before or after: nobody knows.
    let across = accepted("west1", "west1", 15_000 - LATENCY_MS + 1);
    assert_eq!(judged(&with(events.clone(), across)).0, Outcome::Pass);
    assert_eq!(judged(&with(events, accepted("west1", "west1", 14_900))).0, Outcome::Fail);
}

#[test]
fn a_place_that_nobody_tried_is_in_doubt() {
    for place in ["west3", "west-write"] {
        let mut events = Regions::default().happen();
        events.retain(|event| {
            let pause = (7_000_000..13_000_000).contains(&event.at_us);
            !(pause && is_attempt(&event.what, |attempt| attempt.endpoint == place))
        });
        let (outcome, summary) = judged(&events);
        assert_eq!(outcome, Outcome::Inconclusive);
        assert!(summary.contains(&format!("none was tried and refused at {place} for 6.5 s")), "{summary}");
    }
}

#[test]
fn a_node_that_only_never_answered_has_refused_nothing_as_a_standby() {
    let mut events = Regions::default().happen();
    for event in &mut events {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "west2"
        {
            let message = "no session came in time".to_owned();
            attempt.outcome = AttemptOutcome::Refused { sqlstate: None, message, contact: None };
        }
    }
    let (outcome, summary) = judged(&events);
    assert_eq!(outcome, Outcome::Inconclusive);
    assert!(summary.contains("west2 never refused one as a standby"), "{summary}");
}

#[test]
fn a_history_that_breaks_off_before_anything_was_steady_is_in_doubt() {
    assert_eq!(judged(&[]).0, Outcome::Inconclusive);
}

/// East is told to follow west at 14 s, and streams from it from 15 s on.
#[test]
fn a_region_that_is_rebuilt_refuses_from_when_it_streams() {
    let told = Occurrence::Runbook {
        step: RunbookStep::FollowOrdered,
        cluster: "east".to_owned(),
        evidence: "told".to_owned(),
    };
    let mut events = and(Regions::default().happen(), 14_000, told);
    events = and(events, 13_000, ordered("west"));
    for event in &mut events {
        if let Occurrence::NodeState(state) = &mut event.what
            && event.at_us >= 15_000_000
            && state.node == "east1"
        {
            (state.role, state.streaming_from) = (Some(Role::Standby), Some("primary-leader.us-west-2".to_owned()));
        }
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "write"
            && event.at_us >= 14_500_000
            && let AttemptOutcome::Acknowledged { node, .. } = &mut attempt.outcome
        {
            // Clients of the endpoint were pointed at the other region.
            *node = "west1".to_owned();
        }
    }
    for node in ["east1", "east2", "east3"] {
        events.extend((15_100..20_000).step_by(500).map(|ms| refused(node, ms, Some("25006"))));
    }
    let events = number(events);
    let east = |events: &[Event]| found(NAME, events, &[]).remove(0);
    assert_eq!(east(&events).outcome, Outcome::Pass, "{}", east(&events).summary);
    assert_eq!(east(&with(events.clone(), accepted("east1", "east1", 14_900))).outcome, Outcome::Pass);
    assert_eq!(east(&with(events, accepted("east1", "east1", 15_500))).outcome, Outcome::Fail);
}
