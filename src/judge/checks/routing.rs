//! Do balancers lead clients that write to the node that accepts writes?
//!
//! Judged of each endpoint that a balancer serves and that is to lead to a primary, by its fresh connections, from the steady
//! state to the end of the load:
//!
//! - A node of the endpoint's cluster **serves** from its first acknowledged write to its last one before a pause of more than
//!   [`PAUSE_US`], whoever wrote and wherever: every node is written to at its own port, too. It serves until that last one began and no longer: a
//!   server that shuts down in order turns new sessions away while it answers what it has begun. A balancer notices a change by its checks, so a
//!   node has **settled** once it has served for as long as these may take by the balancer's settings
//!   ([`settling_us`]). The first primary has from the beginning, as a system is ready only then.
//! - An attempt that began and ended while one node was settled, and that was refused, is **misled**: the balancer led it to a
//!   standby (SQLSTATE 25006), or to nobody, though there was a node to write to. One of unknown fate is neither.
//! - With fewer than [`ATTEMPTS_AT_LEAST`] attempts while a node was settled there is no figure.
//!
//! It is judged where a scenario expects it. A balancer that dies misleads too.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{grouping::Watched, phases::milliseconds, record::Tried, watched::is_read_only},
};
use crate::{
    history::event::{AttemptOutcome, Operation},
    plan::{Plan, PlannedEndpoint},
    services::service,
    topology::Serves,
};

const NAME: &str = "routing";
pub const MISLED_WRITES: &str = "misled_writes";
const MISLED_TO_STANDBYS: &str = "misled_to_standbys";
const MISLED_LONGEST_MS: &str = "misled_longest_ms";
const SETTLED_WRITES: &str = "settled_writes";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did balancers lead clients that write to the node that accepts writes?",
    measures: &[MISLED_WRITES, MISLED_TO_STANDBYS, MISLED_LONGEST_MS, SETTLED_WRITES],
    over: Over::Lineage,
    judge,
};

/// The longest time between two acknowledged writes of a node that serves. Sessions that are held write every 20 ms, fresh
/// connections to each node twice a second.
const PAUSE_US: u64 = 1_000_000;
/// Fewer attempts say nothing.
const ATTEMPTS_AT_LEAST: usize = 10;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    if evidence.expectations(NAME).next().is_none() {
        return Vec::new();
    }
    let plan = evidence.plan;
    let is_led = |endpoint: &&PlannedEndpoint| {
        endpoint.serves == Serves::Primary
            && !plan.is_blocked(endpoint)
            && evidence.whole.balancers_at(endpoint).next().is_some()
            // There the pools lead clients to nodes ([`super::pools_split`]).
            && evidence.whole.pools_behind(endpoint).is_empty()
    };
    let findings = plan.endpoints.iter().filter(is_led).map(|endpoint| judge_one(evidence, endpoint)).collect();
    evidence.held(NAME, findings, "no balancer leads clients to a primary here")
}

fn judge_one(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint) -> Finding {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else {
        return Finding::new(NAME, Outcome::Inconclusive, format!("{}: no load was steady", endpoint.name));
    };
    let settled = settled(evidence, endpoint, steady_us);
    let own = evidence.attempts().iter().filter(|tried| tried.is_fresh(&endpoint.name, Operation::Write));
    let own = own.filter(|tried| (steady_us..watched.until_us).contains(&tried.started_us()));
    let looked_at: Vec<&Tried<'_>> = own.filter(|tried| is_within(&settled, tried)).collect();
    finding(&endpoint.name, &looked_at)
}

fn finding(endpoint: &str, looked_at: &[&Tried<'_>]) -> Finding {
    let misled: Vec<&Tried<'_>> = looked_at.iter().copied().filter(|tried| is_misled(tried)).collect();
    let to_standbys = misled.iter().filter(|tried| is_read_only(&tried.attempt.outcome)).count();
    let longest_us = longest_us(looked_at);
    let (all, count) = (looked_at.len(), misled.len());
    let (outcome, summary) = match (all < ATTEMPTS_AT_LEAST, count) {
        (true, _) => (
            Outcome::Inconclusive,
            format!("only {all} fresh clients of {endpoint} tried to write while a node had settled as primary"),
        ),
        (false, 0) => {
            (Outcome::Pass, format!("{endpoint} led all {all} fresh clients to the node that had settled as primary"))
        }
        (false, count) => (
            Outcome::Pass,
            format!(
                "{endpoint} misled {count} of {all} fresh clients while a node had settled as primary: {to_standbys} to a \
                 standby and {} to nobody, for up to {:.1} s on end",
                count - to_standbys,
                milliseconds(longest_us) / 1000.0
            ),
        ),
    };
    let details = [
        Measure::new(MISLED_TO_STANDBYS, to_standbys as f64),
        Measure::new(MISLED_LONGEST_MS, milliseconds(longest_us)),
        Measure::new(SETTLED_WRITES, all as f64),
    ];
    let finding =
        Finding::new(NAME, outcome, summary).with_evidence(misled.iter().map(|tried| tried.seq).take(SHOWN_EVENTS));
    match all < ATTEMPTS_AT_LEAST {
        true => finding,
        false => finding.with_measure(Measure::new(MISLED_WRITES, count as f64)).with_details(details.to_vec()),
    }
}

fn is_misled(tried: &Tried<'_>) -> bool {
    matches!(tried.attempt.outcome, AttemptOutcome::Refused { .. })
}

/// The longest time from the first to the last of the attempts that were misled without one among them that was not.
fn longest_us(looked_at: &[&Tried<'_>]) -> u64 {
    let runs = looked_at.split(|tried| !is_misled(tried));
    let lengths = runs.filter_map(|run| Some(run.last()?.ended_us.saturating_sub(run.first()?.started_us())));
    lengths.max().unwrap_or(0)
}

/// How long the checks of an endpoint's balancers may take by their settings until clients are led from one node to another.
/// Before pools that lead to nodes of a role its checks say nothing of these.
fn settling_us(plan: &Plan, endpoint: &PlannedEndpoint) -> u64 {
    if !plan.pools_behind(endpoint).is_empty() {
        return 0;
    }
    let most_ms = plan.balancers_at(endpoint).filter_map(|planned| {
        let (balancer, settings) = (service(planned.kind).balancer()?, plan.settings_for(planned));
        Some((balancer.route)(&settings).most_ms.max((balancer.mark_down_of_silent)(&settings).most_ms))
    });
    most_ms.max().unwrap_or(0).saturating_mul(1000)
}

/// Whether an attempt began and ended in one of these spans.
pub(super) fn is_within(spans: &[(u64, u64)], tried: &Tried<'_>) -> bool {
    spans.iter().any(|(from_us, to_us)| *from_us <= tried.started_us() && tried.ended_us <= *to_us)
}

/// Whether an endpoint can lead to a node: a global name may be pointed at another cluster; a balancer knows the nodes of its
/// own alone.
pub(super) fn can_lead_to(plan: &Plan, endpoint: &PlannedEndpoint, node: &str) -> bool {
    let of = endpoint.of.as_deref().filter(|_| plan.topology.global_name(&endpoint.at.host).is_none());
    of.is_none_or(|of| plan.cluster_of(node).is_none_or(|cluster| cluster.name == of))
}

/// The spans in which a node had settled to which an endpoint can lead.
pub(super) fn settled(evidence: &Evidence<'_>, endpoint: &PlannedEndpoint, steady_us: u64) -> Vec<(u64, u64)> {
    let plan = evidence.whole;
    let settling_us = settling_us(plan, endpoint);
    let mut acknowledged: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for tried in evidence.attempts().iter().filter(|tried| tried.is_write()) {
        if let Some((node, _)) = tried.answered_by().filter(|(node, _)| can_lead_to(plan, endpoint, node)) {
            acknowledged.entry(node).or_default().push((tried.ended_us, tried.started_us()));
        }
    }
    let mut spans = Vec::new();
    for writes in acknowledged.values_mut() {
        writes.sort_unstable();
        let is_first = |from_us: u64| from_us <= steady_us;
        let settles = |served: Served| {
            let from_us = served.from_us;
            (if is_first(from_us) { from_us } else { from_us.saturating_add(settling_us) }, served.last_began_us)
        };
        spans.extend(served(writes).into_iter().map(settles).filter(|(from_us, to_us)| from_us < to_us));
    }
    spans
}

/// A time in which a node acknowledged writes without a longer pause.
struct Served {
    from_us: u64,
    /// When the last of them that was answered was answered …
    until_us: u64,
    /// … and when the last that began had begun.
    last_began_us: u64,
}

/// Of the writes that a node acknowledged, each with its end and its beginning, in the order of their ends.
fn served(writes: &[(u64, u64)]) -> Vec<Served> {
    let mut served: Vec<Served> = Vec::new();
    for &(ended_us, started_us) in writes {
        match served.last_mut().filter(|last| ended_us - last.until_us <= PAUSE_US) {
            Some(last) => {
                last.until_us = ended_us;
                last.last_began_us = last.last_began_us.max(started_us);
            }
            None => served.push(Served { from_us: ended_us, until_us: ended_us, last_began_us: started_us }),
        }
    }
    served
}
