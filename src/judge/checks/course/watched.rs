//! Which nodes were watched, and when. What nobody watched may have accepted writes.
//!
//! A node is watched while it shows what it does:
//!
//! - it acknowledged a write, or refused one as a standby (SQLSTATE 25006), to any client at its own port;
//! - its kernel refused the connection, because nothing listens; or the server was only starting, or was shutting down and
//!   had ended the session that was held with it (a smart shutdown ends none, and serves those that it has);
//! - it took a statement of the prober, though it did not answer it;
//! - it told the observer that asks it in SQL whether it is a primary or a standby.
//!
//! Between its first and its last acknowledgement on one timeline a node is known as a writer, whether it answers or not
//! ([`super::reigns`]). And a fault that is proven to end or hold all of PostgreSQL proves its silence too, from its effect
//! until its healing begins or the node answers. Neither a partition nor a lost network is such a fault, nor is a
//! process that is frozen: PostgreSQL may live on behind it.

use super::{
    record::{FaultRecord, Tried, watched_span},
    reigns::Reign,
};
use crate::{
    checks::Evidence,
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, ClientKind, Contact},
    },
};

/// The longest time for which a node may show nothing. It is probed twice a second.
pub const UNWATCHED_US: u64 = 1_000_000;

/// SQLSTATE `read_only_sql_transaction`: a standby's refusal of a write.
pub const READ_ONLY: &str = "25006";
/// SQLSTATE `cannot_connect_now`: the server starts or shuts down.
const CANNOT_CONNECT_NOW: &str = "57P03";
/// What it says when it shuts down.
const SHUTTING_DOWN: &str = "shutting down";
/// What a client's error says when the server has ended its session.
const ENDED: &[&str] = &["terminating connection", "connection closed", "the session had ended"];

/// The reset of a host by its own watchdog, which the harness records as a fault that no scenario asked for.
pub const WATCHDOG_RESET: &str = "watchdog_reset";

/// Faults that keep PostgreSQL from running until they are healed, where they hit its whole service or host.
pub const ENDS_POSTGRESQL: &[&str] = &[
    "host_crash",
    "host_freeze",
    "host_shutdown",
    "power_loss",
    "service_kill",
    "service_freeze",
    "container_pause",
    "container_stop",
    "member_removed",
    WATCHDOG_RESET,
];
/// The same, and it returns by itself before it is healed.
pub const ENDS_POSTGRESQL_FOR_A_TIME: &[&str] = &["host_reboot"];

/// Whether a fault is of a kind that ends the services that it hits, or stops them, with their hosts or by themselves.
pub fn ends_what_it_hits(fault: &FaultRecord<'_>) -> bool {
    let name = fault.injecting.name.as_str();
    ENDS_POSTGRESQL.contains(&name) || ENDS_POSTGRESQL_FOR_A_TIME.contains(&name)
}

/// Whether a node refused a write as a standby.
pub fn is_read_only(outcome: &AttemptOutcome) -> bool {
    matches!(outcome, AttemptOutcome::Refused { sqlstate: Some(code), .. } if code == READ_ONLY)
}

/// Spans in which a fault answers clients with resets in a server's place.
pub fn forged_resets(faults: &[FaultRecord<'_>]) -> Vec<(u64, u64)> {
    let forging = faults.iter().filter(|fault| fault.forges_resets());
    forging.map(|fault| (fault.injecting_us, fault.healed_us.unwrap_or(u64::MAX))).collect()
}

/// The spans in which a fault is proven to keep all of PostgreSQL of a node from running.
pub fn dead_spans<'a>(evidence: &Evidence<'a>, forged: &[(u64, u64)]) -> Vec<(&'a str, u64, u64)> {
    let mut found = Vec::new();
    let is_hit = |node: &&String| evidence.faults().iter().any(|fault| fault.hits_node(node));
    for node in evidence.plan.nodes.iter().filter(is_hit) {
        let answers = answers(evidence.events, evidence.attempts(), node, forged);
        let spans = evidence.faults().iter().filter_map(|fault| dead(evidence.events, fault, node, &answers));
        found.extend(spans.map(|(from_us, to_us)| (node.as_str(), from_us, to_us)));
    }
    found
}

/// A node that was not watched for too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unwatched {
    pub node: String,
    /// The longest time for which it showed nothing.
    pub from_us: u64,
    pub to_us: u64,
}

/// The nodes of the plan that showed nothing for longer than [`UNWATCHED_US`] while the prober ran.
pub fn unwatched(evidence: &Evidence<'_>, attempts: &[Tried<'_>], reigns: &[Reign]) -> Vec<Unwatched> {
    let (from_us, until_us) = watched_span(evidence.events);
    let fresh = attempts.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Fresh);
    // The load takes a moment to end, in which nothing starts any more.
    let until_us = fresh.map(Tried::started_us).max().unwrap_or(until_us).min(until_us);
    let faults = evidence.faults();
    let forged = forged_resets(faults);
    let longest = |node: &String| {
        let own = reigns.iter().filter(|reign| reign.node == *node);
        let mut known: Vec<(u64, u64)> = own
            .map(|reign| (reign.first_acknowledged_us, reign.last_started_us))
            .filter(|(from, to)| from < to)
            .collect();
        let answers = answers(evidence.events, attempts, node, &forged);
        known.extend(faults.iter().filter_map(|fault| dead(evidence.events, fault, node, &answers)));
        known.extend(answers.iter().map(|answer| (answer.to_us, answer.to_us)));
        let (from_us, to_us) = longest_gap_us(from_us, known, until_us);
        (to_us.saturating_sub(from_us) > UNWATCHED_US).then(|| Unwatched { node: node.clone(), from_us, to_us })
    };
    evidence.plan.nodes.iter().filter_map(longest).collect()
}

/// A node showed what it does at some instant between the two.
struct Answer {
    from_us: u64,
    to_us: u64,
    /// A server gave it, and not the kernel in its place.
    by_server: bool,
}

fn answers(events: &[Event], attempts: &[Tried<'_>], node: &str, forged: &[(u64, u64)]) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let ended = ended_sessions(attempts, node, forged);
    for tried in attempts.iter().filter(|tried| tried.is_write()) {
        let (from_us, to_us) = (tried.started_us(), tried.ended_us);
        let direct = tried.attempt.endpoint == node;
        let forged = || overlaps(forged, tried);
        let by_server = match &tried.attempt.outcome {
            AttemptOutcome::Acknowledged { node: by, .. } if by == node => true,
            // A fresh connection was opened for it.
            AttemptOutcome::Unknown { .. } if direct && tried.attempt.client_kind == ClientKind::Fresh => true,
            outcome if direct && (is_read_only(outcome) || is_starting(outcome)) => true,
            outcome if direct && is_shutting_down(outcome) && was_ended(&ended, from_us) => true,
            outcome if direct && outcome.contact() == Some(Contact::Reset) && !forged() => false,
            _ => continue,
        };
        answers.push(Answer { from_us, to_us, by_server });
    }
    let mut before_us = 0;
    for event in events {
        if let Occurrence::NodeState(state) = &event.what
            && state.node == node
        {
            if state.role.is_some() {
                answers.push(Answer { from_us: before_us, to_us: event.at_us, by_server: true });
            }
            before_us = event.at_us;
        }
    }
    answers
}

/// Whether an attempt was under way in one of these spans.
fn overlaps(spans: &[(u64, u64)], tried: &Tried<'_>) -> bool {
    spans.iter().any(|(begin_us, end_us)| tried.started_us() <= *end_us && *begin_us <= tried.ended_us)
}

/// Whether the server said that it takes no session yet. One that shuts down serves those that it has.
fn is_starting(outcome: &AttemptOutcome) -> bool {
    takes_no_session(outcome).is_some_and(|message| !message.contains(SHUTTING_DOWN))
}

fn is_shutting_down(outcome: &AttemptOutcome) -> bool {
    takes_no_session(outcome).is_some_and(|message| message.contains(SHUTTING_DOWN))
}

fn takes_no_session(outcome: &AttemptOutcome) -> Option<&str> {
    match outcome {
        AttemptOutcome::Refused { sqlstate: Some(code), message, .. } if code == CANNOT_CONNECT_NOW => Some(message),
        _ => None,
    }
}

/// When attempts on sessions that were held at a node's own port ended, and whether the server had ended the session. An
/// answer that did not come says nothing of the session: the server may still work on it. Nor does the end of one while a
/// fault answers in the server's place.
fn ended_sessions(attempts: &[Tried<'_>], node: &str, forged: &[(u64, u64)]) -> Vec<(u64, bool)> {
    let held = attempts.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Held);
    let own = held.filter(|tried| tried.attempt.endpoint == node);
    let mut ended: Vec<(u64, bool)> = own
        .map(|tried| {
            let broke = match &tried.attempt.outcome {
                AttemptOutcome::Unknown { message } | AttemptOutcome::Refused { sqlstate: None, message, .. } => {
                    ENDED.iter().any(|words| message.contains(words))
                }
                _ => false,
            };
            (tried.ended_us, broke && !overlaps(forged, tried))
        })
        .collect();
    ended.sort_unstable();
    ended
}

/// Whether the last session that was held until this instant had been ended.
fn was_ended(ended: &[(u64, bool)], at_us: u64) -> bool {
    let until = ended.partition_point(|(ended_us, _)| *ended_us <= at_us);
    until.checked_sub(1).is_some_and(|last| ended[last].1)
}

/// The span in which a fault is proven to keep PostgreSQL of a node from running.
fn dead(events: &[Event], fault: &FaultRecord<'_>, node: &str, answers: &[Answer]) -> Option<(u64, u64)> {
    let name = fault.injecting.name.as_str();
    let until_us = match name {
        _ if ENDS_POSTGRESQL.contains(&name) => fault.healing_us,
        _ if ENDS_POSTGRESQL_FOR_A_TIME.contains(&name) => fault.healed_us,
        _ => return None,
    };
    if !fault.hits_node(node) {
        return None;
    }
    let from_us = fault.effect?.to_us;
    let ceased = events.iter().filter(|event| event.at_us > from_us).find(|event| match event.what {
        Occurrence::FaultUnconfirmed { fault: number, .. } | Occurrence::FaultSuspended { fault: number, .. } => {
            number == fault.injecting.fault
        }
        _ => false,
    });
    // What was asked after the effect and answered shows that it is over, whatever was proven.
    let answered =
        answers.iter().filter(|answer| answer.by_server && answer.from_us > from_us).map(|own| own.to_us).min();
    let ends = [until_us, ceased.map(|event| event.at_us), answered].into_iter().flatten();
    let to_us = ends.min().unwrap_or(u64::MAX);
    (from_us < to_us).then_some((from_us, to_us))
}

/// The longest part of a span that none of the others covers; instants are spans of no length.
fn longest_gap_us(from_us: u64, mut known: Vec<(u64, u64)>, until_us: u64) -> (u64, u64) {
    known.retain(|(begin_us, end_us)| *begin_us < until_us && *end_us >= from_us);
    known.sort_unstable();
    let mut longest = (from_us, from_us);
    let mut covered_us = from_us;
    for (begin_us, end_us) in known.into_iter().chain([(until_us, until_us)]) {
        if begin_us.saturating_sub(covered_us) > longest.1.saturating_sub(longest.0) {
            longest = (covered_us, begin_us);
        }
        covered_us = covered_us.max(end_us);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_gap_is_what_no_span_covers() {
        assert_eq!(longest_gap_us(0, vec![], 10), (0, 10));
        assert_eq!(longest_gap_us(0, vec![(2, 2), (3, 8)], 10), (0, 2));
        assert_eq!(longest_gap_us(0, vec![(3, 8), (0, 1), (2, 4)], 20), (8, 20));
        assert_eq!(longest_gap_us(5, vec![(0, 7), (9, 50)], 20), (7, 9));
    }
}
