//! Global names: where they lead clients, by which shares, and when the last client has followed.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, Bound, ClientKind, Expectation, Milestone, Operation, RunbookStep},
    },
};

use super::{
    course::{lsn, number},
    standby_region::{Regions, STEADY_MS, STOP_MS, attempt, event, found, plan, refused},
    value,
};

const CONVERGENCE: &str = "name_convergence";
const SHARES: &str = "name_shares";
const LAST: &str = "last_client_ms";
const WRITER: u32 = 1;

fn runbook(step: RunbookStep, cluster: &str) -> Occurrence {
    Occurrence::Runbook { step, cluster: cluster.to_owned(), evidence: "seen".to_owned() }
}

fn answer(name: &str, host: &str) -> Occurrence {
    Occurrence::NameAnswer { name: name.to_owned(), hosts: Some(vec![host.to_owned()]) }
}

fn written(client: u32, ms: u64, node: &str, timeline: u32) -> Event {
    let outcome = AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: lsn(ms) };
    attempt(ClientKind::Writer, "write", (client, ms), ms, outcome)
}

/// West is promoted at 8 s and clients are pointed there at 8.1 s. The writer comes after 2 s, another client after `late_ms`;
/// without one it is refused to the end of the load.
fn moved(late_ms: Option<u64>) -> Vec<Event> {
    let mut events = vec![
        event(STEADY_MS, Occurrence::Reached { milestone: Milestone::SteadyState }),
        event(STOP_MS, Occurrence::Reached { milestone: Milestone::LoadStopped }),
        event(8_000, runbook(RunbookStep::Promoted, "west")),
        event(8_100, runbook(RunbookStep::Repointed, "west")),
        event(8_300, answer("db-primary", "west-proxy")),
        event(500, answer("db-primary", "east-proxy")),
    ];
    events.extend((1_000..5_000).step_by(100).map(|ms| written(WRITER, ms, "east1", 1)));
    events.extend((10_100..STOP_MS).step_by(100).map(|ms| written(WRITER, ms, "west1", 2)));
    let until_ms = late_ms.map_or(STOP_MS, |ms| 8_100 + ms);
    events.extend((8_200..until_ms).step_by(500).map(|ms| refused("write", ms, None)).map(|mut own| {
        if let Occurrence::Attempt(attempt) = &mut own.what {
            attempt.client = 2;
        }
        own
    }));
    events.extend(late_ms.map(|ms| written(2, 8_100 + ms, "west2", 2)));
    number(events)
}

fn convergence(events: &[Event], bound: Bound) -> Finding {
    let own = found(CONVERGENCE, events, &[(LAST, bound)]);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.into_iter().next().unwrap()
}

#[test]
fn the_last_client_decides() {
    let own = convergence(&moved(Some(5_000)), Bound::AtMost(5_004.0));
    assert_eq!((own.outcome, value(&own, LAST)), (Outcome::Pass, 5_004.0), "{own:#?}");
    assert_eq!(convergence(&moved(Some(5_000)), Bound::AtMost(5_003.0)).outcome, Outcome::Fail);
    assert!(own.summary.starts_with("the last of 2 clients of write wrote to west after 5.00 s"), "{}", own.summary);
}

#[test]
fn one_that_does_not_come_misses_a_bound_below_what_it_tried_and_is_else_in_doubt() {
    let events = moved(None);
    let own = convergence(&events, Bound::AtMost(9_000.0));
    assert_eq!(own.outcome, Outcome::Fail, "{own:#?}");
    assert!(own.summary.contains("1 of 2 clients of write, the first of them client 2, did not write to west"));
    // The load ended before its time was over.
    assert_eq!(convergence(&events, Bound::AtMost(60_000.0)).outcome, Outcome::Inconclusive);
    assert_eq!(found(CONVERGENCE, &events, &[])[0].outcome, Outcome::Inconclusive);
}

#[test]
fn one_that_never_comes_fails_though_nobody_asked() {
    let far = |event: &Event| event.at_us == STOP_MS * 1000;
    let mut events = moved(None);
    events.retain(|event| !far(event));
    // 30 s beyond the 60 s of the name.
    let end_ms = 8_100 + 95_000;
    events.push(event(end_ms + 100, Occurrence::Reached { milestone: Milestone::LoadStopped }));
    let mut last = refused("write", end_ms, None);
    if let Occurrence::Attempt(attempt) = &mut last.what {
        attempt.client = 2;
    }
    events.push(last);
    assert_eq!(found(CONVERGENCE, &number(events), &[])[0].outcome, Outcome::Fail);
}

#[test]
fn the_time_counts_from_the_promotion_if_the_name_moved_before_it() {
    let mut events = moved(Some(5_000));
    events.retain(|event| !matches!(event.what, Occurrence::Runbook { step: RunbookStep::Repointed, .. }));
    for event in &mut events {
        // The name followed the health of its hosts, a second before the promotion.
        if matches!(&event.what, Occurrence::NameAnswer { hosts: Some(hosts), .. } if hosts[0] == "west-proxy") {
            event.at_us = 7_000_000;
        }
    }
    let own = convergence(&number(events), Bound::AtMost(60_000.0));
    assert_eq!((own.outcome, value(&own, LAST)), (Outcome::Pass, 5_104.0), "{own:#?}");
}

#[test]
fn clients_that_were_never_moved_are_no_proof() {
    let mut events = moved(Some(5_000));
    events.retain(|event| !matches!(event.what, Occurrence::Runbook { .. }));
    events.retain(
        |event| !matches!(&event.what, Occurrence::NameAnswer { hosts: Some(hosts), .. } if hosts[0] == "west-proxy"),
    );
    assert_eq!(convergence(&events, Bound::AtMost(60_000.0)).outcome, Outcome::Inconclusive);
    assert!(found(CONVERGENCE, &events, &[]).is_empty());
    assert!(found(CONVERGENCE, &Regions::default().happen(), &[]).is_empty());
}

#[test]
fn a_starved_machine_misses_no_bound_on_the_last_client() {
    let mut events = moved(Some(5_000));
    events.push(event(9_000, Occurrence::TimerLate { late_us: 400_000 }));
    assert_eq!(convergence(&number(events), Bound::AtMost(5_000.0)).outcome, Outcome::Inconclusive);
}

/// Reads through `read`, each led to one of these hosts in turn.
fn led(hosts: &[&str], count: u64) -> Vec<Event> {
    let mut events = vec![
        event(STEADY_MS, Occurrence::Reached { milestone: Milestone::SteadyState }),
        event(STOP_MS, Occurrence::Reached { milestone: Milestone::LoadStopped }),
    ];
    for (index, host) in (0..count).zip(hosts.iter().cycle()) {
        let mut read = refused("read", STEADY_MS + 50 + index * 40, None);
        if let Occurrence::Attempt(attempt) = &mut read.what {
            (attempt.operation, attempt.led_to) = (Operation::Read, Some((*host).to_owned()));
        }
        events.push(read);
    }
    number(events)
}

const SEVEN_OF_TEN: [&str; 10] = [
    "east-proxy",
    "east-proxy",
    "west-proxy",
    "east-proxy",
    "east-proxy",
    "west-proxy",
    "east-proxy",
    "east-proxy",
    "west-proxy",
    "east-proxy",
];

fn shares(events: &[Event]) -> Finding {
    let own = found(SHARES, events, &[("misdrawn_hosts", Bound::Exactly(0.0))]);
    assert_eq!(own.len(), 1, "{own:#?}");
    own.into_iter().next().unwrap()
}

#[test]
fn shares_that_chance_explains_pass_and_others_fail() {
    let own = shares(&led(&SEVEN_OF_TEN, 300));
    assert_eq!((own.outcome, value(&own, "share_error_percent")), (Outcome::Pass, 0.0), "{own:#?}");
    let own = shares(&led(&["east-proxy", "west-proxy"], 300));
    assert_eq!((own.outcome, value(&own, "misdrawn_hosts")), (Outcome::Fail, 2.0), "{own:#?}");
    assert_eq!(shares(&led(&["east-proxy"], 300)).outcome, Outcome::Fail);
}

#[test]
fn few_draws_say_nothing_of_shares() {
    assert_eq!(shares(&led(&SEVEN_OF_TEN, 90)).outcome, Outcome::Inconclusive);
    assert!(found(SHARES, &led(&SEVEN_OF_TEN, 90), &[]).is_empty(), "nobody asked");
    // Nor do 20 that all went one way, as a client that keeps its answer makes them.
    assert_eq!(shares(&led(&["west-proxy"], 20)).outcome, Outcome::Fail);
}

#[test]
fn a_host_that_is_none_of_the_names_fails_however_few_were_led_there() {
    let own = shares(&led(&["east-proxy", "east1"], 4));
    assert_eq!(own.outcome, Outcome::Fail);
    assert!(own.summary.contains("led clients to east1, which is none of its hosts"), "{}", own.summary);
    assert!(!own.evidence.is_empty());
}

#[test]
fn what_comes_after_a_runbook_pointed_the_name_elsewhere_is_another_name() {
    let mut events = led(&SEVEN_OF_TEN, 200);
    events.push(event(STEADY_MS + 50 + 200 * 40, runbook(RunbookStep::Repointed, "west")));
    for event in led(&["west-proxy"], 400).split_off(2) {
        if event.at_us > (STEADY_MS + 100 + 200 * 40) * 1000 {
            events.push(event);
        }
    }
    let own = shares(&number(events));
    assert_eq!((own.outcome, value(&own, "name_answers")), (Outcome::Pass, 200.0), "{own:#?}");
}

#[test]
fn clients_that_keep_an_answer_are_no_draws() {
    let mut plan = plan();
    let mut topology = plan.topology.clone();
    topology.endpoints = serde_json::from_value(
        serde_json::to_value(&topology.endpoints)
            .map(|mut list| {
                for endpoint in list.as_array_mut().unwrap() {
                    endpoint.as_object_mut().unwrap().remove("asks_each_time");
                }
                list
            })
            .unwrap(),
    )
    .unwrap();
    plan.topology = topology;
    let mut events = led(&["west-proxy"], 300);
    let own = (find(SHARES).unwrap().judge)(&Evidence::new(&plan, None, &events));
    assert_eq!(own[0].outcome, Outcome::Pass, "{own:#?}");
    // Whoever asks for shares learns that nothing shows them.
    let (check, measure, text) = (SHARES.to_owned(), "misdrawn_hosts".to_owned(), "by weight".to_owned());
    let expectation = Expectation { of: None, check, measure, bound: Bound::Exactly(0.0), text, line: 7 };
    events.push(event(STEADY_MS, Occurrence::Expected(expectation)));
    let own = (find(SHARES).unwrap().judge)(&Evidence::new(&plan, None, &events));
    assert!(own.iter().any(|own| own.outcome == Outcome::Inconclusive), "{own:#?}");
}

#[test]
fn where_nobody_was_led_by_a_name_an_expectation_is_in_doubt() {
    let own = found(SHARES, &Regions::default().happen(), &[("misdrawn_hosts", Bound::Exactly(0.0))]);
    assert_eq!(own[0].outcome, Outcome::Inconclusive);
}

#[test]
fn a_client_that_had_written_before_and_came_no_more_is_none_that_came() {
    let mut events = moved(Some(5_000));
    events.extend((1_000..5_000).step_by(100).map(|ms| written(3, ms, "east1", 1)));
    let own = found(CONVERGENCE, &number(events.clone()), &[]);
    assert_eq!(own[0].outcome, Outcome::Inconclusive, "{own:#?}");
    assert!(own[0].summary.contains("1 of 3 clients of write, the first of them client 3"), "{}", own[0].summary);
    // Its last attempt hung at the old region.
    let message = "no answer came in time".to_owned();
    let mut hung = attempt(ClientKind::Writer, "write", (3, 5_000), 5_000, AttemptOutcome::Unknown { message });
    hung.at_us = 18_000_000;
    events.push(hung);
    let own = convergence(&number(events.clone()), Bound::AtMost(9_000.0));
    assert_eq!((own.outcome, value(&own, LAST)), (Outcome::Fail, 9_900.0), "{own:#?}");
    assert_eq!(convergence(&number(events.clone()), Bound::AtMost(60_000.0)).outcome, Outcome::Inconclusive);
    // It came with an attempt that had begun before the move.
    for event in &mut events {
        if let Occurrence::Attempt(own) = &mut event.what
            && own.client == 3
            && event.at_us == 18_000_000
        {
            own.outcome = AttemptOutcome::Acknowledged { node: "west1".to_owned(), timeline: 2, lsn: lsn(18_000) };
        }
    }
    assert_eq!(convergence(&number(events), Bound::AtMost(60_000.0)).outcome, Outcome::Pass);
}

/// A name without weights that leads where it should proves nothing of one by weight.
#[test]
fn where_shares_are_asked_for_each_name_by_weight_has_to_show_them() {
    let writes = led(&["east-proxy"], 200).into_iter().map(|mut event| {
        if let Occurrence::Attempt(own) = &mut event.what {
            (own.endpoint, own.operation, own.client) = ("write".to_owned(), Operation::Write, 51);
        }
        event
    });
    let writes: Vec<Event> = writes.collect();
    let asked = |events: &[Event]| {
        let own = found(SHARES, events, &[("misdrawn_hosts", Bound::Exactly(0.0))]);
        own.iter().map(|own| own.outcome).max()
    };
    assert_eq!(asked(&number(writes.clone())), Some(Outcome::Inconclusive));
    assert!(found(SHARES, &number(writes.clone()), &[]).iter().all(|own| own.outcome == Outcome::Pass));
    let both = writes.into_iter().chain(led(&SEVEN_OF_TEN, 300).split_off(2)).collect();
    assert_eq!(asked(&number(both)), Some(Outcome::Pass));
}
