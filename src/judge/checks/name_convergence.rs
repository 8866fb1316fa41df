//! When did the last client write to the cluster that clients were moved to?
//!
//! Clients are moved when a runbook points them at another cluster, or when the global name that they resolve is answered
//! with a host of another cluster. Each client of that endpoint that had written before or tried to write afterwards is
//! followed to its first write that a node of the new cluster acknowledged. Time counts from the move, or from the promotion
//! of the new cluster if that came later: until then nobody could write there.
//!
//! - `last_client_ms` is that of the client that came last. One that did not come by the end counts with the time for which it
//!   tried, also with an attempt that was under way at the move, so a bound below that is missed for sure.
//! - It is a failure, whether anyone asked or not, if a client tried for [`NEVER_US`] longer than an answer may be kept, and
//!   did not come. One that tried for less, or not at all, is in doubt.
//!
//! Held sessions are not followed: the next session is another client.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::Watched,
        led::cluster_behind,
        phases::milliseconds,
        record::{Tried, runbook},
    },
    harness_was_sound::in_doubt_if_starved,
};
use crate::{
    history::{
        Occurrence,
        event::{ClientKind, Expectation, RunbookStep},
    },
    quantity::written::value,
    topology::{Cluster, Serves},
};

const NAME: &str = "name_convergence";
pub const LAST_CLIENT_MS: &str = "last_client_ms";
const CLIENTS_MOVED: &str = "clients_moved";

pub const CHECK: Check = Check {
    name: NAME,
    question: "When did the last client write to the cluster that clients were moved to?",
    measures: &[LAST_CLIENT_MS, CLIENTS_MOVED],
    over: Over::Lineage,
    judge,
};

/// Who tried for this long beyond the time to live of the answer that it may have kept should have come.
const NEVER_US: u64 = 30_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let findings: Vec<Finding> = moves(evidence).iter().map(|own| judge_one(evidence, own)).collect();
    let doubt = "clients were not moved to another cluster";
    evidence.held_by(NAME, findings, doubt, |finding, expectation| hold(evidence, finding, expectation))
}

/// Whether a name led clients to another cluster.
pub fn names_moved(evidence: &Evidence<'_>) -> bool {
    moves(evidence).iter().any(|own| own.ttl_us > 0)
}

/// Clients of an endpoint were led to another cluster.
#[derive(Debug, Clone, Copy)]
struct Move<'a> {
    endpoint: &'a str,
    to: &'a Cluster,
    at_us: u64,
    seq: u64,
    /// When they were moved again, or the load ended.
    until_us: u64,
    /// How long a client may keep the answer that it has; 0: the endpoint is at no name.
    ttl_us: u64,
}

/// Every move, in the order of time.
fn moves<'a>(evidence: &Evidence<'a>) -> Vec<Move<'a>> {
    let plan = evidence.plan;
    let watched = Watched::of(evidence.events);
    let mut leads_to: BTreeMap<&str, &str> = BTreeMap::new();
    let for_writes = || plan.endpoints.iter().filter(|endpoint| endpoint.serves == Serves::Primary);
    for endpoint in for_writes() {
        leads_to.extend(endpoint.of.as_deref().map(|cluster| (endpoint.name.as_str(), cluster)));
    }
    let mut found: Vec<Move<'a>> = Vec::new();
    let mut go = |endpoint: &'a str, name: Option<&str>, to: &'a Cluster, (at_us, seq): (u64, u64)| {
        let before = leads_to.insert(endpoint, &to.name);
        let is_watched = watched.steady_us.is_some_and(|steady_us| (steady_us..watched.until_us).contains(&at_us));
        if !is_watched || before.is_none_or(|before| before == to.name) {
            return;
        }
        let earlier = found.iter_mut().filter(|own| own.endpoint == endpoint);
        earlier.for_each(|own| own.until_us = own.until_us.min(at_us));
        let ttl_s = name.and_then(|name| plan.topology.global_name(name)).map_or(0, |name| plan.topology.ttl_s(name));
        let (until_us, ttl_us) = (watched.until_us, u64::from(ttl_s) * 1_000_000);
        found.push(Move { endpoint, to, at_us, seq, until_us, ttl_us });
    };
    for event in evidence.events {
        let at = (event.at_us, event.seq);
        match &event.what {
            Occurrence::Runbook { step: RunbookStep::Repointed, cluster, .. } => {
                let (Some(endpoint), Some(to)) = (plan.write_endpoint(), plan.cluster(cluster)) else { continue };
                go(&endpoint.name, Some(&endpoint.at.host), to, at);
            }
            Occurrence::NameAnswer { name, hosts: Some(hosts) } => {
                let Some(to) = hosts.first().filter(|_| hosts.len() == 1).and_then(|host| cluster_behind(plan, host))
                else {
                    continue;
                };
                for endpoint in for_writes().filter(|endpoint| endpoint.at.host == *name) {
                    go(&endpoint.name, Some(name), to, at);
                }
            }
            _ => {}
        }
    }
    found
}

/// What a client did after a move.
struct Client {
    number: u32,
    /// Its first write in the new cluster: when that was acknowledged, and the event.
    came: Option<(u64, u64)>,
    last_us: u64,
}

fn clients(evidence: &Evidence<'_>, own: &Move<'_>) -> Vec<Client> {
    let mut clients: BTreeMap<u32, Client> = BTreeMap::new();
    let steady_us = Watched::of(evidence.events).steady_us.unwrap_or(own.at_us);
    let tried = evidence.attempts().iter().filter(|tried| {
        tried.is_write()
            && tried.attempt.endpoint == own.endpoint
            && matches!(tried.attempt.client_kind, ClientKind::Fresh | ClientKind::Writer)
            && (steady_us..own.until_us).contains(&tried.started_us())
    });
    for tried in tried {
        let number = tried.attempt.client;
        let client = clients.entry(number).or_insert(Client { number, came: None, last_us: 0 });
        client.last_us = client.last_us.max(tried.ended_us);
        if is_there(own, tried) && tried.ended_us >= own.at_us {
            client.came = client.came.into_iter().chain([(tried.ended_us, tried.seq)]).min();
        }
    }
    clients.into_values().collect()
}

fn is_there(own: &Move<'_>, tried: &Tried<'_>) -> bool {
    tried.answered_by().is_some_and(|(node, _)| own.to.nodes.iter().any(|known| known == node))
}

fn judge_one(evidence: &Evidence<'_>, own: &Move<'_>) -> Finding {
    let (endpoint, to) = (own.endpoint, &own.to.name);
    let promoted = runbook(evidence.events)
        .find(|done| done.step == RunbookStep::Promoted && done.cluster == *to && done.at_us >= own.at_us);
    let from_us = promoted.filter(|done| done.at_us < own.until_us).map_or(own.at_us, |done| done.at_us);
    let clients = clients(evidence, own);
    let since_us = |at_us: u64| at_us.saturating_sub(from_us);
    let took_us = |client: &Client| since_us(client.came.map_or(client.last_us, |(at_us, _)| at_us));
    let missing: Vec<&Client> = clients.iter().filter(|client| client.came.is_none()).collect();
    let Some(last) = clients.iter().max_by_key(|client| (client.came.is_none(), took_us(client))) else {
        let summary = format!("no client of {endpoint} tried to write after it was led to {to}");
        return Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence([own.seq]);
    };
    let (count, last_ms) = (clients.len(), milliseconds(took_us(last)));
    let written = value(LAST_CLIENT_MS, last_ms);
    let (outcome, summary) = match missing.first() {
        None => (Outcome::Pass, format!("the last of {count} clients of {endpoint} wrote to {to} after {written}")),
        Some(first) => {
            let never = took_us(last) > own.ttl_us + NEVER_US;
            let outcome = if never { Outcome::Fail } else { Outcome::Inconclusive };
            let (number, missing) = (first.number, missing.len());
            let what = format!(
                "{missing} of {count} clients of {endpoint}, the first of them client {number}, did not write to {to} within {written}"
            );
            (outcome, what)
        }
    };
    Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(LAST_CLIENT_MS, last_ms))
        .with_details(vec![Measure::new(CLIENTS_MOVED, (count - missing.len()) as f64)])
        .with_evidence([own.seq].into_iter().chain(last.came.map(|(_, seq)| seq)))
}

/// The finding held to an expectation. Who comes late on a starved machine is not late because of names alone.
fn hold(evidence: &Evidence<'_>, finding: Finding, expectation: &Expectation) -> Finding {
    let before = finding.outcome;
    let held = finding.held_against(expectation);
    if before == Outcome::Fail { held } else { in_doubt_if_starved(evidence, held) }
}
