//! How old is what clients read from standbys, and do a session's reads go back?
//!
//! A read returns the newest row that it saw of each of the first writers of the load. The writes of one writer follow each
//! other, so it saw all of them up to that one, and none behind it.
//!
//! - A read is **stale** by the age of the oldest write that counts in the end ([`super::course::kept`]) and that it did not
//!   see: at least the time from that write's acknowledgement to the read's begin, at most from the write's begin to the
//!   read's end. The least is the figure, `staleness_resolution_ms` says how much more the worst of the figures may be, and a bound that lies
//!   between is neither kept nor missed. A read that saw every write that was acknowledged before it began is not stale.
//! - On **one session** no read may see less of a writer than an earlier one did: that is a failure, whether anyone asked or
//!   not, as clients take one connection for one state of the data.
//!
//! Each endpoint for reads is judged by itself, from the steady state to the end of the load. With fewer than
//! [`READS_AT_LEAST`] reads there that say what they saw there are no figures. Reads from a superseded timeline are measured
//! by `recovery_time`.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        bracket::{Bracket, Bracketed, Distribution, held},
        grouping::Watched,
        kept::{Kept, kept},
        record::Tried,
    },
    harness_was_sound::in_doubt_if_starved,
};
use crate::{
    history::event::{ClientKind, Expectation, Operation},
    plan::PlannedEndpoint,
    quantity::written::value,
};

const NAME: &str = "replica_reads";
pub const REPLICA_STALENESS_MEDIAN_MS: &str = "replica_staleness_median_ms";
pub const REPLICA_STALENESS_P95_MS: &str = "replica_staleness_p95_ms";
pub const REPLICA_STALENESS_MAX_MS: &str = "replica_staleness_max_ms";
pub const READS_GONE_BACK: &str = "reads_gone_back";
const STALENESS_RESOLUTION_MS: &str = "staleness_resolution_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How old was what clients read from standbys, and did the reads of a session ever go back?",
    measures: &[
        REPLICA_STALENESS_MEDIAN_MS,
        REPLICA_STALENESS_P95_MS,
        REPLICA_STALENESS_MAX_MS,
        READS_GONE_BACK,
        STALENESS_RESOLUTION_MS,
    ],
    over: Over::Lineage,
    judge,
};

/// Fewer reads are no distribution.
const READS_AT_LEAST: usize = 20;

/// What a read saw of each writer.
type Saw<'a> = &'a BTreeMap<u32, u64>;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let places: Vec<_> = evidence.plan.endpoints.iter().filter(|endpoint| endpoint.serves.is_for_reads()).collect();
    if places.is_empty() && !expectations.is_empty() {
        let summary = "no endpoint serves reads, so nobody read from a standby";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    }
    places.into_iter().flat_map(|place| judge_one(evidence, place, &expectations)).collect()
}

fn judge_one(evidence: &Evidence<'_>, place: &PlannedEndpoint, expectations: &[&Expectation]) -> Vec<Finding> {
    let reads = reads(evidence, &place.name);
    if reads.is_empty() && expectations.is_empty() {
        return Vec::new();
    }
    let back = gone_back(&reads);
    let stale: Vec<(u64, Bracket)> = match writes(evidence, place) {
        Some(writers) => reads.iter().map(|(read, saw)| (read.seq, staleness_us(read, saw, &writers))).collect(),
        None => Vec::new(),
    };
    let figures = figures(&stale);
    let finding = finding(&place.name, &reads, &back, &figures, stalest(&stale));
    match expectations.is_empty() {
        true => vec![finding],
        false => expectations.iter().map(|own| hold(evidence, finding.clone(), &figures, own)).collect(),
    }
}

/// The reads through an endpoint that tell what they saw, in the order in which they began.
fn reads<'a>(evidence: &Evidence<'a>, endpoint: &str) -> Vec<(Tried<'a>, Saw<'a>)> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let own = evidence.attempts().iter().filter(|tried| {
        tried.attempt.operation == Operation::Read && tried.acknowledged() && tried.attempt.endpoint == endpoint
    });
    let own = own.filter(|tried| (steady_us..watched.until_us).contains(&tried.started_us()));
    own.filter_map(|tried| Some((*tried, tried.attempt.saw.as_ref()?))).collect()
}

/// The writes that count, of each client in their order; `None`: which count is not known.
fn writes(evidence: &Evidence<'_>, place: &PlannedEndpoint) -> Option<BTreeMap<u32, Vec<Kept>>> {
    let of = place.of.as_deref().and_then(|name| evidence.plan.cluster(name));
    let cluster = of.or_else(|| evidence.plan.leading().next())?;
    let mut writers: BTreeMap<u32, Vec<Kept>> = BTreeMap::new();
    for write in kept(evidence, cluster)? {
        writers.entry(write.client).or_default().push(write);
    }
    writers.values_mut().for_each(|own| own.sort_by_key(|write| write.sequence));
    Some(writers)
}

/// The age of the oldest write that a read did not see.
fn staleness_us(read: &Tried<'_>, saw: Saw<'_>, writers: &BTreeMap<u32, Vec<Kept>>) -> Bracket {
    let first_unseen = |(writer, newest): (&u32, &u64)| {
        let own = writers.get(writer)?;
        own.get(own.partition_point(|write| write.sequence <= *newest))
    };
    let unseen = saw.iter().filter_map(first_unseen);
    let ages = unseen.map(|write| Bracket {
        least: read.started_us().saturating_sub(write.ended_us),
        most: read.ended_us.saturating_sub(write.started_us),
    });
    ages.fold(Bracket { least: 0, most: 0 }, |one, other| Bracket {
        least: one.least.max(other.least),
        most: one.most.max(other.most),
    })
}

/// The reads that saw less than an earlier one of their session had: each with that one.
fn gone_back(reads: &[(Tried<'_>, Saw<'_>)]) -> Vec<(u64, u64)> {
    // What each session has seen of each writer, and the read that saw it.
    let mut seen: BTreeMap<(u32, u32), (u64, u64)> = BTreeMap::new();
    let mut back = Vec::new();
    for (read, saw) in reads.iter().filter(|(read, _)| read.attempt.client_kind == ClientKind::Held) {
        let mut before = None;
        for (writer, newest) in *saw {
            let known = seen.entry((read.attempt.client, *writer)).or_insert((*newest, read.seq));
            if *newest < known.0 {
                before = Some(known.1);
            } else {
                *known = (*newest, read.seq);
            }
        }
        back.extend(before.map(|before| (before, read.seq)));
    }
    back
}

fn figures(stale: &[(u64, Bracket)]) -> Vec<Bracketed> {
    if stale.len() < READS_AT_LEAST {
        return Vec::new();
    }
    let own: Distribution = stale.iter().map(|(_, bracket)| *bracket).collect();
    let names = [REPLICA_STALENESS_MEDIAN_MS, REPLICA_STALENESS_P95_MS, REPLICA_STALENESS_MAX_MS];
    let figures = [own.median(), own.p95(), own.max()];
    names.into_iter().zip(figures).filter_map(|(name, figure)| Some(Bracketed::of_time(name, figure?))).collect()
}

fn stalest(stale: &[(u64, Bracket)]) -> Option<u64> {
    stale.iter().filter(|(_, own)| own.least > 0).max_by_key(|(_, own)| own.least).map(|(seq, _)| *seq)
}

fn finding(
    endpoint: &str,
    reads: &[(Tried<'_>, Saw<'_>)],
    back: &[(u64, u64)],
    figures: &[Bracketed],
    stalest: Option<u64>,
) -> Finding {
    let count = reads.len();
    let told = match figures {
        [median, p95, max] => format!(
            "what {endpoint} answered was {} old (median), {} (95th percentile), {} (maximum), in {count} reads",
            value(median.name, median.least),
            value(p95.name, p95.least),
            value(max.name, max.least)
        ),
        _ if reads.is_empty() => format!("no read through {endpoint} says what it saw"),
        _ => format!("{count} reads through {endpoint} tell what they saw, and how old that was is not known"),
    };
    let (outcome, summary) = match back.len() {
        0 => (Outcome::Pass, told),
        more => {
            let reads = if more == 1 { "one read" } else { "reads" };
            let times = if more == 1 { String::new() } else { format!("{more} ") };
            (Outcome::Fail, format!("{times}{reads} saw less than an earlier one of the same session; {told}"))
        }
    };
    let mut details: Vec<Measure> = figures.iter().map(|own| own.measure()).collect();
    if !figures.is_empty() {
        let resolution = figures.iter().map(|own| own.most - own.least).fold(0.0, f64::max);
        details.push(Measure::new(STALENESS_RESOLUTION_MS, resolution));
    }
    let finding = Finding::new(NAME, outcome, summary).with_details(details);
    // Without a session that read twice nothing is said of going back.
    let finding = match reads.iter().any(|(read, _)| read.attempt.client_kind == ClientKind::Held) {
        true => finding.with_measure(Measure::new(READS_GONE_BACK, back.len() as f64)),
        false => finding,
    };
    let shown = back.iter().take(SHOWN_EVENTS).flat_map(|(before, after)| [*before, *after]);
    finding.with_evidence(shown.chain(stalest))
}

/// The finding held to an expectation. What is late on a starved machine is not the system's staleness alone.
fn hold(evidence: &Evidence<'_>, finding: Finding, figures: &[Bracketed], expectation: &Expectation) -> Finding {
    let gone_back = finding.outcome == Outcome::Fail;
    let held = held(finding, figures, expectation);
    match gone_back || expectation.measure == READS_GONE_BACK {
        true => held,
        false => in_doubt_if_starved(evidence, held),
    }
}
