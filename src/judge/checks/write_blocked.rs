//! Does a cluster that follows another one refuse writes, on each of its nodes and endpoints?
//!
//! Judged while it follows ([`super::course::following`]), from the steady state to the order of its promotion, or to the end
//! of the load:
//!
//! - A write that was acknowledged at one of its endpoints, or by one of its nodes wherever the client connected, is a failure;
//!   so is one of unknown fate that was tried there and is in a ledger in the end. Of a cluster that a runbook made follow
//!   the nodes alone are judged, as its endpoints were pointed elsewhere.
//! - It passes if writes were tried and refused at each of its nodes, and at each endpoint that leads to its primary, without a
//!   pause of more than [`UNTRIED_US`], and if each node refused one as a standby (SQLSTATE 25006) and not only because
//!   nothing answered. What nobody tried is in doubt.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        following::{Following, spans},
        grouping::Watched,
        phases::milliseconds,
        record::Tried,
        watched::is_read_only,
    },
};
use crate::{
    history::{
        Occurrence,
        event::{AttemptOutcome, SequenceRange},
        rows::Rows,
    },
    plan::{Plan, PlannedEndpoint},
    topology::Serves,
};

const NAME: &str = "write_blocked";
pub const BLOCKED_REGION_WRITES: &str = "blocked_region_writes";
const REFUSED_ATTEMPTS: &str = "refused_attempts";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did every node and endpoint of a cluster that follows another one refuse writes?",
    measures: &[BLOCKED_REGION_WRITES, REFUSED_ATTEMPTS],
    over: Over::Lineage,
    judge,
};

/// The longest time for which nobody may have tried to write somewhere. Fresh connections try twice a second.
const UNTRIED_US: u64 = 5_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let watched = Watched::of(evidence.events);
    let last_us = evidence.events.last().map_or(0, |event| event.at_us).min(watched.until_us);
    let spans = spans(evidence.plan, evidence.events).into_iter().map(|span| {
        let from_us = span.from_us.max(watched.steady_us.unwrap_or(0));
        let until_us = Some(span.until_us.unwrap_or(u64::MAX).min(last_us));
        Following { from_us, until_us, ..span }
    });
    let findings: Vec<Finding> = spans.map(|span| judge_one(evidence, &span, watched.steady_us.is_some())).collect();
    evidence.held(NAME, findings, "no cluster follows another one, so none had to refuse writes")
}

fn judge_one(evidence: &Evidence<'_>, span: &Following<'_>, is_steady: bool) -> Finding {
    let cluster = span.cluster;
    let tried: Vec<&Tried<'_>> = evidence
        .attempts()
        .iter()
        .filter(|tried| tried.is_write() && is_there(evidence.plan, span, tried))
        // What ended after the promotion was ordered may have been committed after it.
        .filter(|tried| span.contains(tried.started_us()) && span.contains(tried.ended_us))
        .collect();
    let written: Vec<&Tried<'_>> = {
        let ledgers = ledgers(evidence);
        let is_row = |tried: &Tried<'_>| ledgers.contains(tried.attempt.client, tried.attempt.sequence);
        let is_unknown = |tried: &Tried<'_>| matches!(tried.attempt.outcome, AttemptOutcome::Unknown { .. });
        let is_written = |tried: &&&Tried<'_>| tried.acknowledged() || (is_unknown(tried) && is_row(tried));
        tried.iter().copied().filter(|tried| is_written(&tried)).collect()
    };
    let refused = tried.iter().filter(|tried| matches!(tried.attempt.outcome, AttemptOutcome::Refused { .. })).count();
    let name = &cluster.name;
    let (outcome, summary) = match written.first() {
        Some(first) => {
            let by = first.answered_by().map_or(first.attempt.endpoint.as_str(), |(node, _)| node);
            let (count, number) = (written.len(), first.attempt.sequence);
            let summary = format!(
                "{name} accepted {count} writes while it followed, the first (number {number} of client {}) at {by}",
                first.attempt.client
            );
            (Outcome::Fail, summary)
        }
        None => {
            match doubt(evidence.plan, span, &tried).or_else(|| (!is_steady).then(|| "no load was steady".into())) {
                Some(doubt) => (
                    Outcome::Inconclusive,
                    format!("{name} is not known to have accepted a write while it followed, but {doubt}"),
                ),
                None => (
                    Outcome::Pass,
                    format!(
                        "every node and endpoint of {name} refused all {refused} writes that were tried while it followed"
                    ),
                ),
            }
        }
    };
    Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new(BLOCKED_REGION_WRITES, written.len() as f64))
        .with_details(vec![Measure::new(REFUSED_ATTEMPTS, refused as f64)])
        .with_evidence(written.iter().map(|tried| tried.seq).take(SHOWN_EVENTS))
}

/// Whether an attempt was made at a place of the cluster, or answered by one of its nodes.
fn is_there(plan: &Plan, span: &Following<'_>, tried: &Tried<'_>) -> bool {
    let by_node = tried.answered_by().is_some_and(|(node, _)| span.cluster.nodes.iter().any(|own| own == node));
    by_node || plan.endpoint(&tried.attempt.endpoint).is_some_and(|endpoint| is_place(span, endpoint))
}

/// Whether writes that are tried at an endpoint are tried in the cluster.
fn is_place(span: &Following<'_>, endpoint: &PlannedEndpoint) -> bool {
    let is_own = endpoint.of.as_deref() == Some(span.cluster.name.as_str()) && !endpoint.serves.is_for_reads();
    is_own && (span.by_plan || endpoint.serves == Serves::Node)
}

/// The rows of every ledger that was read.
fn ledgers(evidence: &Evidence<'_>) -> Rows {
    let found = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::LedgerRead { found, .. } => Some(found.as_slice()),
        _ => None,
    });
    Rows::new(&found.flatten().copied().collect::<Vec<SequenceRange>>())
}

/// Where it is not known that writes were refused throughout.
fn doubt(plan: &Plan, span: &Following<'_>, tried: &[&Tried<'_>]) -> Option<String> {
    let places = plan.endpoints.iter().filter(|endpoint| is_place(span, endpoint));
    places.into_iter().find_map(|endpoint| {
        let there = tried.iter().filter(|tried| tried.attempt.endpoint == endpoint.name);
        let refused: Vec<&&Tried<'_>> =
            there.filter(|tried| matches!(tried.attempt.outcome, AttemptOutcome::Refused { .. })).collect();
        let name = &endpoint.name;
        if endpoint.serves == Serves::Node && !refused.iter().any(|tried| is_read_only(&tried.attempt.outcome)) {
            return Some(format!("{name} never refused one as a standby"));
        }
        let pause_us = longest_pause_us(span, refused.iter().map(|tried| tried.started_us()));
        let pause_s = milliseconds(pause_us) / 1000.0;
        (pause_us > UNTRIED_US).then(|| format!("none was tried and refused at {name} for {pause_s:.1} s"))
    })
}

/// The longest time of a span in which nothing began. What begins is in order.
fn longest_pause_us(span: &Following<'_>, begun_us: impl Iterator<Item = u64>) -> u64 {
    let (mut last_us, mut longest_us) = (span.from_us, 0);
    for at_us in begun_us.chain(span.until_us) {
        longest_us = at_us.saturating_sub(last_us).max(longest_us);
        last_us = at_us.max(last_us);
    }
    longest_us
}
