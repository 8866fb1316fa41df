//! Where streaming from another cluster broke, did the archive take over, and did streaming come back?
//!
//! Of each cluster that follows another one and takes WAL back from an archive (`restore_command`), by the looks at its nodes
//! while it follows ([`super::course::following`]). Streaming is **broken** from the last look that showed a node of it stream
//! from outside to the next one, where these are more than [`BROKEN_US`] apart. A receiver whose packets are dropped believes
//! for `wal_receiver_timeout` that it streams: that time belongs to the standstill, and not to the break.
//!
//! - A break is **missed** if no node replayed anything in it though the archive that the cluster reads had got a file for
//!   more than [`MAY_TAKE_US`], or if nobody had streamed again by the end of the load. Either is a failure.
//! - A break in which nothing was replayed, and nothing new was in the archive, is in doubt: there was nothing to take over
//!   with.
//!
//! `archive_standstill_ms` is the longest time between two looks that showed the cluster replay further while the one that it
//! follows was ahead: how long it stood still, from the last streamed byte to the first one from the archive for instance. Its
//! resolution is that of the looks.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        following::{Following, spans, streams_from_outside},
        grouping::Watched,
        phases::milliseconds,
    },
};
use crate::{
    history::{
        Occurrence,
        event::{ArchiveObject, NodeState},
    },
    quantity::written::value,
    topology::Cluster,
};

const NAME: &str = "archive_fallback";
pub const FALLBACKS_MISSED: &str = "fallbacks_missed";
const BREAKS: &str = "streaming_breaks";
const STANDSTILL_MS: &str = "archive_standstill_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Where streaming from another cluster broke, did the archive take over, and did streaming come back?",
    measures: &[FALLBACKS_MISSED, BREAKS, STANDSTILL_MS],
    over: Over::Lineage,
    judge,
};

/// Looks come once a second at least: streaming that was not seen for longer was broken.
const BROKEN_US: u64 = 5_000_000;
/// What is replayed in the first time of a break had been received before.
const SETTLES_US: u64 = 2_000_000;
/// How long a node may take to find a file in its archive: PostgreSQL asks every 5 s (`wal_retrieve_retry_interval`).
const MAY_TAKE_US: u64 = 12_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let findings: Vec<Finding> = courses(evidence).iter().map(Course::finding).collect();
    if findings.is_empty() && evidence.is_part() {
        return findings;
    }
    evidence.held(NAME, findings, "streaming to a cluster that reads an archive was not broken")
}

/// Whether streaming to a cluster that reads an archive was broken.
pub fn was_broken(evidence: &Evidence<'_>) -> bool {
    !courses(evidence).is_empty()
}

/// What became of a cluster whose streaming was broken.
struct Course<'a> {
    cluster: &'a str,
    breaks: Vec<Break>,
    standstill_us: u64,
}

struct Break {
    seq: u64,
    from_us: u64,
    /// When a node streamed from outside again.
    until_us: Option<u64>,
    /// How much was replayed in it.
    replayed_bytes: u64,
    /// Whether the archive had a file for long enough.
    could_take: bool,
}

impl Break {
    fn outcome(&self) -> Outcome {
        match (self.until_us, self.replayed_bytes, self.could_take) {
            (None, ..) | (Some(_), 0, true) => Outcome::Fail,
            (Some(_), 0, false) => Outcome::Inconclusive,
            (Some(_), ..) => Outcome::Pass,
        }
    }
}

/// A look at a node.
#[derive(Clone, Copy)]
struct Look<'a> {
    at_us: u64,
    seq: u64,
    state: &'a NodeState,
}

fn courses<'a>(evidence: &Evidence<'a>) -> Vec<Course<'a>> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let last_us = evidence.events.last().map_or(0, |event| event.at_us);
    let reads = |span: &Following<'_>| evidence.plan.archive_of(&span.cluster.name).is_some_and(|own| own.is_read);
    let own = spans(evidence.plan, evidence.events).into_iter().filter(reads);
    own.filter_map(|span| {
        let from_us = span.from_us.max(steady_us);
        let until_us = span.until_us.unwrap_or(last_us).min(watched.until_us);
        Course::of(evidence, span, from_us, until_us)
    })
    .collect()
}

impl<'a> Course<'a> {
    /// `None`: its streaming was not broken.
    fn of(evidence: &Evidence<'a>, span: Following<'a>, from_us: u64, until_us: u64) -> Option<Self> {
        let looks: Vec<Look<'a>> = evidence
            .events
            .iter()
            .filter(|event| (from_us..until_us).contains(&event.at_us))
            .filter_map(|event| match &event.what {
                Occurrence::NodeState(state) => Some(Look { at_us: event.at_us, seq: event.seq, state }),
                _ => None,
            })
            .collect();
        let own: Vec<Look<'a>> =
            looks.iter().copied().filter(|look| span.cluster.nodes.contains(&look.state.node)).collect();
        let cluster = span.cluster.name.as_str();
        let files: Vec<u64> = files_of(evidence, cluster).collect();
        let breaks = breaks(&own, &span, from_us, until_us, &files);
        let followed = span.cluster.follows.as_ref().and_then(|follows| evidence.plan.cluster(&follows.cluster));
        let standstill_us = followed.map_or(0, |followed| standstill_us(&looks, span.cluster, followed));
        (!breaks.is_empty()).then_some(Self { cluster, breaks, standstill_us })
    }

    fn finding(&self) -> Finding {
        let Self { cluster, breaks, standstill_us } = self;
        let count = |wanted: Outcome| breaks.iter().filter(|own| own.outcome() == wanted).count();
        let (missed, doubted) = (count(Outcome::Fail), count(Outcome::Inconclusive));
        let standstill = value(STANDSTILL_MS, milliseconds(*standstill_us));
        let said = |own: &Break| {
            let lasted = own.until_us.map_or_else(
                || "to the end".to_owned(),
                |until_us| format!("for {:.1} s", milliseconds(until_us.saturating_sub(own.from_us)) / 1000.0),
            );
            format!("nobody streamed {lasted}, and {} bytes were replayed meanwhile", own.replayed_bytes)
        };
        let told: Vec<String> = breaks.iter().map(said).collect();
        let summary =
            format!("{cluster}: {}; it stood still for at most {standstill} behind the primary", told.join("; "));
        let outcome = match (missed, doubted) {
            (0, 0) => Outcome::Pass,
            (0, _) => Outcome::Inconclusive,
            _ => Outcome::Fail,
        };
        let details =
            vec![Measure::new(BREAKS, breaks.len() as f64), Measure::new(STANDSTILL_MS, milliseconds(*standstill_us))];
        let finding =
            Finding::new(NAME, outcome, summary).with_details(details).with_evidence(breaks.iter().map(|own| own.seq));
        match outcome {
            Outcome::Inconclusive => finding,
            _ => finding.with_measure(Measure::new(FALLBACKS_MISSED, missed as f64)),
        }
    }
}

/// When each file came into the archive that a cluster reads.
fn files_of<'e>(evidence: &'e Evidence<'_>, cluster: &'e str) -> impl Iterator<Item = u64> + 'e {
    let is_wal = evidence.plan.archive_of(cluster).map(|archive| archive.tool.row().archived);
    evidence.events.iter().filter_map(move |event| match &event.what {
        Occurrence::ArchiveObject(ArchiveObject { cluster: of, key, is_deletion: false, .. })
            if of == cluster && is_wal?(key).is_some() =>
        {
            Some(event.at_us)
        }
        _ => None,
    })
}

/// The times in which no node of the cluster was seen to stream from outside.
fn breaks(own: &[Look<'_>], span: &Following<'_>, from_us: u64, until_us: u64, files: &[u64]) -> Vec<Break> {
    let streaming: Vec<Look<'_>> =
        own.iter().copied().filter(|look| streams_from_outside(look.state, span.cluster)).collect();
    let starts = streaming.iter().map(|look| (look.at_us, look.seq));
    let ends = streaming.iter().skip(1).map(|look| Some(look.at_us)).chain([None]);
    let gaps =
        starts.zip(ends).filter(|((at_us, _), next)| next.unwrap_or(until_us).saturating_sub(*at_us) > BROKEN_US);
    gaps.filter(|((at_us, _), _)| *at_us >= from_us)
        .map(|((from_us, seq), next)| {
            let end_us = next.unwrap_or(until_us);
            let seen = |to_us: u64| own.iter().filter(move |look| look.at_us <= to_us);
            let position = |to_us: u64| seen(to_us).filter_map(|look| look.state.lsn).max();
            let settled_us = from_us.saturating_add(SETTLES_US);
            let replayed = position(end_us.saturating_sub(1)).zip(position(settled_us));
            Break {
                seq,
                from_us,
                until_us: next,
                replayed_bytes: replayed.map_or(0, |(after, before)| after.saturating_sub(before)),
                could_take: files.iter().any(|file| *file > from_us && file.saturating_add(MAY_TAKE_US) < end_us),
            }
        })
        .collect()
}

/// The longest time between two looks that showed the cluster replay further, if the one that it follows was ahead.
fn standstill_us(looks: &[Look<'_>], cluster: &Cluster, followed: &Cluster) -> u64 {
    let (mut position, mut moved_us, mut ahead, mut longest_us) = (0, None, 0, 0);
    for Look { at_us, state, .. } in looks {
        let Some(lsn) = state.lsn else { continue };
        if cluster.nodes.contains(&state.node) && lsn > position {
            let since_us = moved_us.filter(|_| ahead > position).map_or(0, |moved_us| at_us.saturating_sub(moved_us));
            (longest_us, position, moved_us) = (longest_us.max(since_us), lsn, Some(*at_us));
        } else if followed.nodes.contains(&state.node) && state.is_primary() {
            ahead = ahead.max(lsn);
        }
    }
    longest_us
}
