//! Clients with timeouts of an application's own.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{ApplicationState, Attempt, AttemptOutcome, Bound, ClientKind, Expectation, Operation},
    },
    plan::Plan,
    topology::{Topology, load},
};

use super::{
    course::{Course, plan, run},
    edits::{is_attempt, with},
    finding, value, verdict_of,
};

const WAIT: &str = "application_wait_ms";
const LEFT: &str = "application_clients_left";
const CONNECTS: &str = "application_connects_in_densest_s";
const FIRST: u32 = 90;

/// The plan of all histories, with an application of two clients that write ten rows a second each.
fn planned(settings: &[(&str, &str)]) -> Plan {
    // The settings of the histories are no real cluster's, which a scenario could change.
    let mut real = load("single-region", &[]).expect("a topology");
    let own = [("clients", "2"), ("rows_per_s", "10")].iter().chain(settings);
    let own = own.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    real.set_application("web", &own).expect("an application");
    let topology = Topology { applications: real.applications, ..plan(false).topology };
    Plan { schema: 1, ..Plan::new(topology) }
}

/// The primary dies at 2,000 ms, and new connections write again from 3,100 ms on.
fn course(stop_ms: u64) -> Vec<Event> {
    let events = run(&[Course { stop_ms, ..Course::default() }]);
    let started = Occurrence::ApplicationStarted { application: "web".to_owned(), first_client: FIRST, clients: 2 };
    with(events, 100, started)
}

fn acknowledged() -> AttemptOutcome {
    AttemptOutcome::Acknowledged { node: "node2".to_owned(), timeline: 2, lsn: 1 }
}

fn refused(code: &str) -> AttemptOutcome {
    AttemptOutcome::Refused { sqlstate: Some(code.to_owned()), message: "no".to_owned(), contact: None }
}

fn attempt(events: Vec<Event>, client: u32, (from_ms, to_ms): (u64, u64), outcome: AttemptOutcome) -> Vec<Event> {
    let attempt = Attempt {
        client_kind: ClientKind::Application,
        endpoint: "write".to_owned(),
        operation: Operation::Write,
        client: FIRST + client,
        sequence: from_ms,
        started_us: (100 + from_ms) * 1000,
        outcome,
        saw: None,
        led_to: None,
    };
    with(events, to_ms, Occurrence::Attempt(attempt))
}

/// A client that is acknowledged a write every 100 ms within these spans.
fn writes(mut events: Vec<Event>, client: u32, spans: &[(u64, u64)]) -> Vec<Event> {
    for ms in spans.iter().flat_map(|(from_ms, to_ms)| (*from_ms..*to_ms).step_by(100)) {
        events = attempt(events, client, (ms, ms + 5), acknowledged());
    }
    events
}

/// Both clients write until the fault, and again from 3,200 ms on.
fn served(stop_ms: u64) -> Vec<Event> {
    let events = writes(course(stop_ms), 0, &[(400, 2000), (3200, stop_ms)]);
    writes(events, 1, &[(450, 2000), (3250, stop_ms)])
}

/// The second client waits for an answer from the fault to the end.
fn one_waits(stop_ms: u64) -> Vec<Event> {
    let events = writes(course(stop_ms), 0, &[(400, 2000), (3200, stop_ms)]);
    let events = writes(events, 1, &[(450, 1900)]);
    let lost = AttemptOutcome::Unknown { message: "no answer came in time".to_owned() };
    attempt(events, 1, (1950, stop_ms), lost)
}

fn expecting(events: Vec<Event>, of: &str, measure: &str, bound: Bound) -> Vec<Event> {
    let (check, measure, text) = ("applications".to_owned(), measure.to_owned(), measure.to_owned());
    let expectation = Expectation { check, measure, of: Some(of.to_owned()), bound, text, line: 7 };
    with(events, 1, Occurrence::Expected(expectation))
}

fn judged(plan: &Plan, events: &[Event]) -> Vec<Finding> {
    (find("applications").expect("the check").judge)(&Evidence::new(plan, None, events))
}

fn one(plan: &Plan, events: &[Event]) -> Finding {
    let mut own = judged(plan, events);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

#[test]
fn clients_that_write_again_pass_with_the_longest_wait_of_one() {
    let own = one(&planned(&[]), &served(12_000));
    assert_eq!((own.outcome, value(&own, LEFT), value(&own, WAIT)), (Outcome::Pass, 0.0, 1300.0), "{own:#?}");
    assert!(
        own.summary.contains("all of 2 clients of the application web (no timeout) write again"),
        "{}",
        own.summary
    );
}

#[test]
fn a_client_that_waits_on_while_new_connections_are_served_is_left_behind() {
    let own = one(&planned(&[]), &one_waits(12_000));
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Fail, 1.0), "{own:#?}");
    assert!(own.summary.contains("at least 10.1 s"), "{}", own.summary);
    assert!(!own.evidence.is_empty());
}

/// A new connection that failed once, long after the others were served, takes nothing back.
#[test]
fn one_failed_connection_later_hides_no_client_that_was_left_behind() {
    let mut events = one_waits(14_000);
    let late = events.iter_mut().filter(|event| event.at_us > 13_000_000).find_map(|event| match &mut event.what {
        Occurrence::Attempt(attempt) if attempt.client_kind == ClientKind::Fresh => Some(attempt),
        _ => None,
    });
    late.expect("a new connection").outcome = refused("57P03");
    let own = one(&planned(&[]), &events);
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Fail, 1.0), "{own:#?}");
}

/// It had to wait on while others were served, whatever helped it in the end.
#[test]
fn a_client_that_wrote_again_only_when_the_lost_machine_was_back_was_left_behind() {
    let events = writes(course(20_000), 0, &[(400, 2000), (3200, 20_000)]);
    let events = writes(events, 1, &[(450, 1900), (15_000, 20_000)]);
    // Where it was not seen to try, it may have been the harness that did not let it.
    let unseen = one(&planned(&[]), &events);
    assert_eq!((unseen.outcome, value(&unseen, LEFT)), (Outcome::Inconclusive, 0.0), "{unseen:#?}");
    assert!(unseen.summary.contains("whether they tried"), "{}", unseen.summary);
    let asked = one(&planned(&[]), &expecting(events.clone(), "web", WAIT, Bound::AtMost(6_000.0)));
    assert_eq!(asked.outcome, Outcome::Inconclusive, "{asked:#?}");
    let events = attempt(events, 1, (1_950, 14_990), AttemptOutcome::Unknown { message: "reset".to_owned() });
    let own = one(&planned(&[]), &events);
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Fail, 1.0), "{own:#?}");
    assert!(own.summary.contains("until something else helped them"), "{}", own.summary);
    // Its own timeouts explain as much.
    let own = one(&planned(&[("answer_timeout_ms", "10000")]), &events);
    assert_eq!(own.outcome, Outcome::Pass, "{own:#?}");
}

/// Whether a client waits or is gone is not known where it is not seen to try.
#[test]
fn a_client_that_was_not_seen_to_try_is_in_doubt() {
    let events = writes(course(12_000), 0, &[(400, 2000), (3200, 12_000)]);
    let events = writes(events, 1, &[(450, 1900)]);
    let own = one(&planned(&[]), &events);
    assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own.summary.contains("was not seen to try"), "{}", own.summary);
    // Nor for how long it waits.
    let asked = one(&planned(&[]), &expecting(events, "web", WAIT, Bound::AtMost(6_000.0)));
    assert_eq!(asked.outcome, Outcome::Inconclusive, "{asked:#?}");
}

/// What this machine may have done itself is nobody's failure.
#[test]
fn who_was_left_behind_is_in_doubt_where_the_harness_was_not_well() {
    let late = with(one_waits(12_000), 6_000, Occurrence::TimerLate { late_us: 7_000_000 });
    let exhausted = Occurrence::ObserverLost {
        observer: "workload".to_owned(),
        target: "write".to_owned(),
        reason: "too many open files".to_owned(),
    };
    for events in [late, with(one_waits(12_000), 6_000, exhausted)] {
        let own = one(&planned(&[]), &events);
        assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
        let own = one(&planned(&[]), &expecting(events, "web", LEFT, Bound::Exactly(0.0)));
        assert_eq!(own.outcome, Outcome::Inconclusive, "{own:#?}");
    }
}

/// A long transaction makes long pauses usual: a write since the fault is asked for all the same.
#[test]
fn a_client_that_has_not_written_since_the_fault_is_in_doubt() {
    let plan = planned(&[("transaction_idle_ms", "20000")]);
    assert_eq!(one(&plan, &served(12_000)).outcome, Outcome::Pass);
    let own = one(&plan, &one_waits(12_000));
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Inconclusive, 0.0), "{own:#?}");
}

/// Who knows the nodes is served by nodes, and not by the endpoint of others.
#[test]
fn a_client_of_the_nodes_is_not_left_behind_where_no_node_serves() {
    let plan = planned(&[("endpoint", "nodes")]);
    assert_eq!(one(&plan, &one_waits(12_000)).outcome, Outcome::Fail);
    let mut events = one_waits(12_000);
    for event in &mut events {
        let at_a_node = is_attempt(&event.what, |attempt| attempt.endpoint.starts_with("node"));
        if let Occurrence::Attempt(attempt) = &mut event.what
            && at_a_node
            && attempt.started_us > 2_000_000
        {
            attempt.outcome = refused("57P03");
        }
    }
    assert_eq!(one(&plan, &events).outcome, Outcome::Inconclusive);
}

/// The acknowledgement of a write from before the fault, which came when the network was healed, shows no old primary that wrote on.
#[test]
fn an_acknowledgement_that_waited_in_the_network_is_no_write_of_that_time() {
    let old_primary = AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 };
    let events = attempt(served(12_000), 0, (1_950, 9_000), old_primary);
    let verdict = verdict_of(&events);
    let writes_ms = finding(&verdict, "recovery_time").value_of("old_primary_writes_ms").expect("a failover");
    assert!(writes_ms < 100.0, "{writes_ms}");
}

#[test]
fn a_client_whose_own_timeouts_may_still_help_is_in_doubt() {
    let patient = planned(&[("answer_timeout_ms", "8000")]);
    let own = one(&patient, &one_waits(12_000));
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Inconclusive, 0.0), "{own:#?}");
    // It has waited for ten seconds already: more than one bound, and no proof of the other.
    let missed = one(&patient, &expecting(one_waits(12_000), "web", WAIT, Bound::AtMost(5_000.0)));
    assert_eq!(missed.outcome, Outcome::Fail, "{missed:#?}");
    let open = one(&patient, &expecting(one_waits(12_000), "web", WAIT, Bound::AtMost(30_000.0)));
    assert_eq!(open.outcome, Outcome::Inconclusive, "{open:#?}");
    // Each timeout counts, as a client may go through all of them.
    for settings in [("tcp_user_timeout", "8000"), ("connect_timeout", "8"), ("keepalives_idle", "8")] {
        assert_eq!(one(&planned(&[settings]), &one_waits(12_000)).outcome, Outcome::Inconclusive, "{settings:?}");
    }
    let off = planned(&[("keepalives", "0"), ("keepalives_idle", "8")]);
    assert_eq!(one(&off, &one_waits(12_000)).outcome, Outcome::Fail, "no keepalive ends its wait");
}

#[test]
fn a_load_that_ended_too_soon_proves_nothing() {
    assert_eq!(one(&planned(&[]), &one_waits(6_500)).outcome, Outcome::Inconclusive);
}

#[test]
fn where_nobody_is_served_in_the_end_nobody_is_left_behind() {
    let mut events = one_waits(12_000);
    for event in &mut events {
        let of_prober = is_attempt(&event.what, |attempt| {
            attempt.client_kind == ClientKind::Fresh && attempt.started_us > 8_000_000
        });
        if let Occurrence::Attempt(attempt) = &mut event.what
            && of_prober
        {
            attempt.outcome = refused("57P03");
        }
    }
    let own = one(&planned(&[]), &events);
    assert_eq!((own.outcome, value(&own, LEFT)), (Outcome::Inconclusive, 0.0), "{own:#?}");
    assert!(own.summary.contains("nobody was served"), "{}", own.summary);
}

#[test]
fn an_application_that_was_not_seen_to_write_is_in_doubt() {
    let missing = run(&[Course::default()]);
    let own = one(&planned(&[]), &missing);
    assert_eq!(own.outcome, Outcome::Inconclusive);
    assert!(own.summary.contains("was not started"), "{}", own.summary);
    let own = one(&planned(&[]), &writes(course(12_000), 0, &[(400, 2000), (3200, 12_000)]));
    assert_eq!(own.outcome, Outcome::Inconclusive);
    assert!(own.summary.contains("client 91 had no write acknowledged before the fault"), "{}", own.summary);
    assert!(judged(&plan(false), &missing).is_empty(), "no application, no finding");
}

#[test]
fn what_is_expected_of_one_application_is_not_asked_of_another() {
    let events = expecting(served(12_000), "web", WAIT, Bound::AtMost(1_000.0));
    assert_eq!(one(&planned(&[]), &events).outcome, Outcome::Fail);
    let events = expecting(served(12_000), "other", WAIT, Bound::AtMost(1_000.0));
    assert_eq!(one(&planned(&[]), &events).outcome, Outcome::Pass);
    let kept = expecting(served(12_000), "web", WAIT, Bound::AtMost(2_000.0));
    assert_eq!(one(&planned(&[]), &kept).outcome, Outcome::Pass);
    // The machine's own timers were later than what is between the figure and the bound.
    let late = with(
        expecting(served(12_000), "web", WAIT, Bound::AtMost(1_350.0)),
        2_500,
        Occurrence::TimerLate { late_us: 90_000 },
    );
    assert_eq!(one(&planned(&[]), &late).outcome, Outcome::Inconclusive);
}

#[test]
fn writes_at_a_standby_and_a_storm_of_connections_are_counted() {
    let mut events = served(12_000);
    for ms in [2_400, 2_600] {
        events = attempt(events, 0, (ms, ms + 5), refused("25006"));
    }
    events = attempt(events, 1, (2_400, 2_500), refused("57P03"));
    for (ms, opened, refused) in [(300, 60, 0), (1_300, 62, 0), (2_300, 70, 30), (3_300, 90, 31)] {
        let state = ApplicationState { application: "web".to_owned(), opened, refused };
        events = with(events, ms, Occurrence::ApplicationState(state));
    }
    let own = one(&planned(&[]), &events);
    assert_eq!(value(&own, "application_errors"), 3.0);
    assert_eq!(value(&own, "application_read_only_errors"), 2.0);
    // Those before the fault were no storm.
    assert_eq!(value(&own, CONNECTS), 38.0);
    let asked = expecting(events, "web", CONNECTS, Bound::AtMost(30.0));
    assert_eq!(one(&planned(&[]), &asked).outcome, Outcome::Fail);
}

#[test]
fn an_application_of_which_other_clients_were_started_than_planned_is_in_doubt() {
    for count in [0, 1, u32::MAX] {
        let mut events = served(12_000);
        for event in &mut events {
            if let Occurrence::ApplicationStarted { clients, .. } = &mut event.what {
                *clients = count;
            }
        }
        let own = one(&planned(&[]), &events);
        assert_eq!(own.outcome, Outcome::Inconclusive, "{count}: {own:#?}");
        assert!(own.summary.contains("and the plan has 2"), "{}", own.summary);
    }
}

#[test]
fn a_storm_that_no_single_look_shows_is_in_doubt() {
    let asked = |looks: &[(u64, u64)]| {
        let mut events = expecting(served(12_000), "web", CONNECTS, Bound::AtMost(30.0));
        for (ms, opened) in looks {
            let state = ApplicationState { application: "web".to_owned(), opened: *opened, refused: 0 };
            events = with(events, *ms, Occurrence::ApplicationState(state));
        }
        one(&planned(&[]), &events).outcome
    };
    // Forty in a row, of which one look saw the first half and the next look the others.
    assert_eq!(asked(&[(300, 2), (2_300, 22), (3_300, 42)]), Outcome::Inconclusive);
    // Two that lie apart are two.
    assert_eq!(asked(&[(300, 2), (2_300, 22), (5_300, 42)]), Outcome::Pass);
    assert_eq!(asked(&[(300, 2), (2_300, 42)]), Outcome::Fail);
    // Nobody looked, or only when it was over.
    assert_eq!(asked(&[]), Outcome::Inconclusive);
    assert_eq!(asked(&[(3_300, 42)]), Outcome::Inconclusive);
}

#[test]
fn a_wait_to_the_loss_of_the_ground_may_be_for_that_reason() {
    let lost = |at_ms| with(one_waits(30_000), at_ms, Occurrence::GroundLost { reason: "no engine".to_owned() });
    let asked = |events| one(&planned(&[]), &expecting(events, "web", WAIT, Bound::AtMost(6_000.0)));
    let doubted = asked(lost(9_000));
    assert_eq!(doubted.outcome, Outcome::Inconclusive, "{doubted:#?}");
    // The loss is noticed within ten seconds: what was before was no reason of the harness's.
    let proven = asked(lost(25_000));
    assert_eq!(proven.outcome, Outcome::Fail, "{proven:#?}");
}
