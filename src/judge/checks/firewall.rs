//! Do the rules of a firewall keep out whom they are meant to keep out, and let in the others?
//!
//! A rule that accepts a network at a port says for whom that port is. Document 002 puts it into words: "Allow PostgreSQL from
//! HAProxy only". So a connection from another host is meant to fail, whether a rule drops it or none is there to do so:
//! `connections_let_through` counts those that were answered, by a service or by a refusal. `connections_kept_out` counts those that
//! were meant to get through and had no answer.
//!
//! The harness, which comes from the gateway of the hosts' network, and its way from host to host to see whether a machine lives (the
//! port 9, which nobody serves) have rules of their own before all others.

use super::{Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS};
use crate::history::{
    Event, Occurrence,
    event::{ConnectionAnswer, ConnectionTried},
};

const NAME: &str = "firewall";
pub const CONNECTIONS_LET_THROUGH: &str = "connections_let_through";
pub const CONNECTIONS_KEPT_OUT: &str = "connections_kept_out";
const CONNECTIONS_TRIED: &str = "connections_tried";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Do the rules of a firewall keep out whom they are meant to keep out, and let in the others?",
    measures: &[CONNECTIONS_LET_THROUGH, CONNECTIONS_KEPT_OUT, CONNECTIONS_TRIED],
    over: Over::Scenario,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let topology = &evidence.plan.topology;
    let events = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::ConnectionsTried { tried } => Some(tried.iter().map(move |one| (event, one))),
        _ => None,
    });
    let tried: Vec<(&Event, &ConnectionTried)> = events.flatten().collect();
    let Some(firewall) = topology.firewall.as_ref().filter(|_| !tried.is_empty()) else {
        return evidence.held(NAME, Vec::new(), "no host tried what the rules of a firewall do");
    };
    let doubt = doubt(evidence, &tried);
    let tried: Vec<(&Event, &ConnectionTried)> = tried
        .into_iter()
        .filter(|(look, one)| ![&one.from, &one.to].iter().any(|host| is_hit(evidence, host, look.at_us)))
        .collect();
    let is_meant = |one: &ConnectionTried| topology.is_let_in(firewall, &one.from, one.port);
    let is_silent = |one: &ConnectionTried| one.answer == ConnectionAnswer::Silence;
    let let_through: Vec<_> = tried.iter().filter(|(_, one)| !is_meant(one) && !is_silent(one)).collect();
    let kept_out: Vec<_> = tried.iter().filter(|(_, one)| is_meant(one) && is_silent(one)).collect();
    let first = |of: &[&(&Event, &ConnectionTried)]| {
        let first = of.first().map(|(_, one)| format!(", the first from {} to {}:{}", one.from, one.to, one.port));
        first.unwrap_or_default()
    };
    let summary = format!(
        "of {} connections that hosts tried {} got through that no rule is there to let in{}, and {} were kept out that one is \
         there to let in{}; the harness comes in by rules of its own, from the gateway of the hosts' network and at port 9, which nobody serves",
        tried.len(),
        let_through.len(),
        first(&let_through),
        kept_out.len(),
        first(&kept_out)
    );
    let shown = let_through.iter().chain(&kept_out).map(|(look, _)| look.seq);
    let mut shown: Vec<u64> = shown.collect();
    shown.dedup();
    shown.truncate(SHOWN_EVENTS);
    let (outcome, summary) = match doubt {
        Some(why) => (Outcome::Inconclusive, format!("{why}; {summary}")),
        None => (Outcome::Pass, summary),
    };
    let finding = Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(CONNECTIONS_LET_THROUGH, let_through.len() as f64))
        .with_details(vec![
            Measure::new(CONNECTIONS_KEPT_OUT, kept_out.len() as f64),
            Measure::new(CONNECTIONS_TRIED, tried.len() as f64),
        ])
        .with_evidence(shown);
    evidence.held_by(NAME, vec![finding], "", Finding::held_where_known)
}

/// Why what hosts tried proves nothing: an attempt is missing, or nobody had an answer.
fn doubt(evidence: &Evidence<'_>, tried: &[(&Event, &ConnectionTried)]) -> Option<String> {
    let topology = &evidence.plan.topology;
    for look in tried.chunk_by(|(one, _), (next, _)| one.seq == next.seq) {
        let has = |wanted: &(&str, &str, u16)| {
            let is_it = |one: &ConnectionTried| (one.from.as_str(), one.to.as_str(), one.port) == *wanted;
            let is_down = |host: &str| look.first().is_some_and(|(event, _)| is_hit(evidence, host, event.at_us));
            look.iter().any(|(_, one)| is_it(one)) || is_down(wanted.0) || is_down(wanted.1)
        };
        if let Some((from, to, port)) = topology.connections_to_try().into_iter().find(|wanted| !has(wanted)) {
            return Some(format!("whether {from} gets to {to}:{port} was not seen"));
        }
    }
    let is_answered = |(_, one): &(&Event, &ConnectionTried)| one.answer != ConnectionAnswer::Silence;
    (!tried.iter().any(is_answered)).then(|| "nothing answered anybody, which a dead network does as well".to_owned())
}

/// Whether a fault was on at a host at an instant.
fn is_hit(evidence: &Evidence<'_>, host: &str, at_us: u64) -> bool {
    evidence.faults().iter().any(|fault| {
        fault.touches(host) && fault.injecting_us <= at_us && fault.healed_us.is_none_or(|healed_us| healed_us >= at_us)
    })
}
