//! Are write pools and read pools separate, and do both come back?
//!
//! Document 003's promise, judged of endpoints behind pools that lead to the nodes of a role, from the steady state to the end of
//! the load. It is broken in up to three ways, and `split_defects` counts these:
//!
//! - **A write reached a standby**: one refused it (SQLSTATE 25006) on its way through the write pools, while another node served
//!   ([`super::routing`]). A pool that has not been pointed at the new primary yet leads there.
//! - **A standby was left out**: in a calm time it answered fewer than half of the reads through the read pools that an even spread
//!   would give it. Calm are the last [`CALM_US`] before the first fault, and before the end of the load once faults are gone. A node counts as a standby
//!   if it refused every write at its own port for all that time, and was asked for one at all.
//! - **A pool did not recover**: in the last [`LAST_US`] of the load no fresh client was answered through it, though a node
//!   answered the same at its own port.
//!
//! What is not known (fewer than [`READS_AT_LEAST`] reads in a calm time, nobody who tried in the end, or nobody who could have
//! answered) leaves it in doubt, unless another of these is a defect already.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{grouping::Watched, record::Tried, watched::is_read_only},
    routing::{is_within, settled},
};
use crate::{
    history::event::{ClientKind, Operation},
    plan::PlannedEndpoint,
    topology::Serves,
};

const NAME: &str = "pools_split";
pub const SPLIT_DEFECTS: &str = "split_defects";
const WRITES_AT_STANDBYS: &str = "writes_at_standbys";
const STANDBYS_LEFT_OUT: &str = "standbys_left_out";
const LEAST_READ_SHARE: &str = "least_read_share";
const READS_AT_PRIMARY: &str = "reads_at_primary";
const POOLS_UNRECOVERED: &str = "pools_unrecovered";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Are write pools and read pools separate, and do both come back?",
    measures: &[
        SPLIT_DEFECTS,
        WRITES_AT_STANDBYS,
        STANDBYS_LEFT_OUT,
        LEAST_READ_SHARE,
        READS_AT_PRIMARY,
        POOLS_UNRECOVERED,
    ],
    over: Over::Lineage,
    judge,
};

/// How long a time without a fault is looked at for the spread of reads.
const CALM_US: u64 = 10_000_000;
/// Fewer reads in it say nothing.
const READS_AT_LEAST: usize = 20;
/// Of the load's end: a pool through which nobody is answered for so long has not recovered. Fresh clients try several times a
/// second.
const LAST_US: u64 = 3_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let plan = evidence.plan;
    let is_split = |endpoint: &&PlannedEndpoint| !evidence.whole.pools_behind(endpoint).is_empty();
    let pooled: Vec<&PlannedEndpoint> = plan.endpoints.iter().filter(is_split).collect();
    let serving = |serves: Serves| pooled.iter().copied().filter(move |endpoint| endpoint.serves == serves);
    let both = serving(Serves::Primary).next().is_some() && serving(Serves::Standbys).next().is_some();
    let watched = Watched::of(evidence.events);
    let findings = match (both, watched.steady_us) {
        (true, Some(steady_us)) => {
            let split = Split { evidence, steady_us, until_us: watched.until_us };
            vec![split.finding(serving(Serves::Primary).collect(), serving(Serves::Standbys).collect())]
        }
        _ => Vec::new(),
    };
    evidence.held(NAME, findings, "nobody wrote and read through pools that lead to nodes of a role")
}

struct Split<'s, 'e> {
    evidence: &'s Evidence<'e>,
    steady_us: u64,
    until_us: u64,
}

/// From when, until when.
type Times = (u64, u64);

/// How reads were spread in one calm time.
struct Spread {
    /// Which one, as words.
    when: &'static str,
    left_out: BTreeSet<String>,
    /// The least share of the reads of standbys that one of them answered.
    least: f64,
    at_primary: usize,
    /// Reads that a standby answered which others should have had.
    shown: Vec<u64>,
}

impl<'e> Split<'_, 'e> {
    fn finding(&self, writes: Vec<&PlannedEndpoint>, reads: Vec<&PlannedEndpoint>) -> Finding {
        let strayed: Vec<u64> = writes.iter().flat_map(|endpoint| self.writes_at_standbys(endpoint)).collect();
        let calm = self.calm();
        let spreads: Vec<Option<Spread>> =
            calm.iter().flat_map(|calm| reads.iter().map(|endpoint| self.spread(&endpoint.name, *calm))).collect();
        let known: Vec<&Spread> = spreads.iter().flatten().collect();
        let left_out: BTreeSet<&str> =
            known.iter().flat_map(|spread| spread.left_out.iter().map(String::as_str)).collect();
        let ends: Vec<(&str, Option<Vec<u64>>)> = writes
            .iter()
            .chain(&reads)
            .map(|endpoint| (endpoint.name.as_str(), self.refused_in_the_end(endpoint)))
            .collect();
        let lost: Vec<&str> = ends
            .iter()
            .filter(|(_, end)| end.as_ref().is_some_and(|end| !end.is_empty()))
            .map(|(name, _)| *name)
            .collect();
        let defects =
            [!strayed.is_empty(), !left_out.is_empty(), !lost.is_empty()].into_iter().filter(|is| *is).count();
        let is_known = spreads.iter().all(Option::is_some) && ends.iter().all(|(_, end)| end.is_some());
        let summary = format!(
            "{}; {}; {}",
            match strayed.len() {
                0 => "no write through the write pools reached a standby".to_owned(),
                one =>
                    format!("{one} writes through the write pools reached a standby while another node accepted writes"),
            },
            match (left_out.is_empty(), known.is_empty()) {
                (false, _) => format!("reads left out {}", told(&known)),
                (true, false) => "reads were spread over the standbys".to_owned(),
                (true, true) => "how reads were spread is not known".to_owned(),
            },
            match lost.is_empty() {
                true => "every pool served its clients in the end".to_owned(),
                false => format!("nobody was served in the end at {}", lost.join(" and ")),
            }
        );
        let shown = strayed.iter().copied().take(SHOWN_EVENTS);
        let shown = shown.chain(known.iter().flat_map(|spread| spread.shown.iter().copied().take(SHOWN_EVENTS)));
        let shown = shown.chain(ends.iter().flat_map(|(_, end)| end.iter().flatten().copied().take(SHOWN_EVENTS)));
        let mut details = vec![
            Measure::new(WRITES_AT_STANDBYS, strayed.len() as f64),
            Measure::new(STANDBYS_LEFT_OUT, left_out.len() as f64),
            Measure::new(READS_AT_PRIMARY, known.iter().map(|spread| spread.at_primary).sum::<usize>() as f64),
            Measure::new(POOLS_UNRECOVERED, lost.len() as f64),
        ];
        let least = known.iter().map(|spread| spread.least).reduce(f64::min);
        details.extend(least.map(|least| Measure::new(LEAST_READ_SHARE, least)));
        let evidence: Vec<u64> = shown.collect();
        match is_known || defects > 0 {
            true => Finding::new(NAME, Outcome::Pass, summary)
                .with_measure(Measure::new(SPLIT_DEFECTS, defects as f64))
                .with_details(details)
                .with_evidence(evidence),
            false => Finding::new(
                NAME,
                Outcome::Inconclusive,
                format!("too few tried, or nobody could serve them; {summary}"),
            ),
        }
    }

    /// Writes at an endpoint that a standby refused while another node served.
    fn writes_at_standbys(&self, endpoint: &PlannedEndpoint) -> Vec<u64> {
        let served = settled(self.evidence, endpoint, self.steady_us);
        let own = self.evidence.attempts().iter().filter(|tried| tried.attempt.endpoint == endpoint.name);
        let own = own.filter(|tried| (self.steady_us..self.until_us).contains(&tried.started_us()));
        own.filter(|tried| is_read_only(&tried.attempt.outcome) && is_within(&served, tried))
            .map(|tried| tried.seq)
            .collect()
    }

    /// The times in which the spread of reads is looked at.
    fn calm(&self) -> Vec<(&'static str, Times)> {
        let faults = self.evidence.faults();
        let effects = faults.iter().filter_map(|fault| Some((fault.effect?.from_us, fault.healed_us)));
        let first = effects.clone().map(|(from_us, _)| from_us).min().filter(|at_us| *at_us > self.steady_us);
        let over_us = effects.map(|(_, healed_us)| healed_us.unwrap_or(u64::MAX)).max().unwrap_or(self.steady_us);
        let last = (self.until_us.saturating_sub(CALM_US).max(over_us), self.until_us);
        let before = first.map(|at_us| (at_us.saturating_sub(CALM_US).max(self.steady_us), at_us));
        before.map(|times| ("before the first fault", times)).into_iter().chain([("in the end", last)]).collect()
    }

    fn in_time(&self, (from_us, to_us): Times) -> impl Iterator<Item = &Tried<'e>> {
        self.evidence.attempts().iter().filter(move |tried| from_us <= tried.started_us() && tried.ended_us <= to_us)
    }

    /// What nodes were at their own ports.
    fn roles(&self, times: Times) -> Roles<'e> {
        let (mut standbys, mut others, mut primaries) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for tried in self.in_time(times).filter(|tried| tried.is_write()) {
            let node = tried.attempt.endpoint.as_str();
            if !self.evidence.plan.nodes.iter().any(|own| own == node) {
                continue;
            }
            match is_read_only(&tried.attempt.outcome) {
                true => _ = standbys.insert(node),
                false => _ = others.insert(node),
            }
            if tried.acknowledged() {
                primaries.insert(node);
            }
        }
        let are_known = others.iter().all(|node| primaries.contains(node));
        Roles { standbys: standbys.difference(&others).copied().collect(), primaries, are_known }
    }

    /// How reads at an endpoint were spread over the standbys; `None`: that is not known.
    fn spread(&self, endpoint: &str, (when, times): (&'static str, Times)) -> Option<Spread> {
        let Roles { standbys, primaries, are_known } = self.roles(times);
        are_known.then_some(())?;
        let mut answered: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        let mut at_primary = 0;
        for tried in self.in_time(times).filter(|tried| is_read(tried, endpoint)) {
            let Some((node, _)) = tried.answered_by() else { continue };
            at_primary += usize::from(primaries.contains(node));
            answered.entry(node).or_default().push(tried.seq);
        }
        let of = |node: &str| answered.get(node).map_or(0, Vec::len);
        let all: usize = standbys.iter().map(|node| of(node)).sum();
        (!standbys.is_empty() && all >= READS_AT_LEAST).then_some(())?;
        let least = standbys.iter().map(|node| of(node)).min().unwrap_or(0) as f64 / all as f64;
        let is_left_out = |node: &&&str| 2 * standbys.len() * of(node) < all;
        let left_out: BTreeSet<String> = standbys.iter().filter(is_left_out).map(|node| (*node).to_owned()).collect();
        let shown = if left_out.is_empty() { Vec::new() } else { answered.into_values().flatten().collect() };
        Some(Spread { when, left_out, least, at_primary, shown })
    }

    /// The attempts at an endpoint in the end, if none was answered though a node answered the same; empty if one was. `None`:
    /// nobody tried, or nobody could have answered.
    fn refused_in_the_end(&self, endpoint: &PlannedEndpoint) -> Option<Vec<u64>> {
        let times = (self.until_us.saturating_sub(LAST_US).max(self.steady_us), self.until_us);
        let operation = if endpoint.serves.is_for_reads() { Operation::Read } else { Operation::Write };
        // One that hangs ends after the load does.
        let own = self.evidence.attempts().iter().filter(|tried| tried.is_fresh(&endpoint.name, operation));
        let own: Vec<&Tried<'_>> = own
            .filter(|tried| {
                (times.0..times.1).contains(&tried.started_us())
                    || times.0 <= tried.ended_us && tried.started_us() < times.1
            })
            .collect();
        if own.iter().any(|tried| tried.acknowledged()) {
            return Some(Vec::new());
        }
        let Roles { standbys, primaries, .. } = self.roles(times);
        let could = if operation == Operation::Read { !standbys.is_empty() } else { !primaries.is_empty() };
        (could && !own.is_empty()).then(|| own.iter().map(|tried| tried.seq).collect())
    }
}

/// What the nodes were during some time.
struct Roles<'e> {
    /// They refused every write as a standby does.
    standbys: BTreeSet<&'e str>,
    /// They acknowledged a write.
    primaries: BTreeSet<&'e str>,
    /// Whether each that was tried is one of these: else whether reads should have reached it is not known.
    are_known: bool,
}

/// Whether it is a read of fresh clients or of a session that is held.
fn is_read(tried: &Tried<'_>, endpoint: &str) -> bool {
    let own = tried.attempt.endpoint == endpoint && tried.attempt.operation == Operation::Read;
    own && tried.attempt.client_kind != ClientKind::Writer
}

fn told(spreads: &[&Spread]) -> String {
    let left_out = spreads.iter().filter(|spread| !spread.left_out.is_empty());
    let told = left_out.map(|spread| {
        let names: Vec<&str> = spread.left_out.iter().map(String::as_str).collect();
        format!("{} {}", names.join(" and "), spread.when)
    });
    told.collect::<Vec<_>>().join(", and ")
}
