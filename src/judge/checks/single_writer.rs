//! Did two nodes acknowledge writes at the same time?
//!
//! All acknowledged writes of all clients count, also those of sessions that were opened before the fault and of the
//! probers at every node's own port; the node is the one that answered, by its own word.
//!
//! # What is proof
//!
//! - **Overlapping reigns**: one node acknowledged a write, then another node did, and then the first did again in the
//!   same unbroken reign ([`crate::checks::reigns`]). Only inner spans count, so an attempt that waited in a proxy, or
//!   an acknowledgement that came late, proves nothing. An ordinary switchover leaves a gap between the reigns, however
//!   short; its inner spans never overlap.
//! - **A write on a superseded timeline**: a node acknowledged a write that started when another node had already
//!   acknowledged one on a higher timeline. This holds also if the two took turns.
//!
//! Both are judged as exactly 0, whether the scenario asks or not. When neither is proven but the outer spans overlap
//! by more than [`POSSIBLE_US`] the check is inconclusive: an acknowledgement hung across the takeover, and the write
//! may belong to either side of it. Refusals at the nodes' own ports keep outer spans within the probers' schedule, so
//! this does not happen when a host dies, PostgreSQL is restarted, or an operator switches over.
//!
//! A node that nobody probed directly for longer than [`UNWATCHED_US`] could have been a hidden second writer: then the
//! absence of an overlap is inconclusive too.

use super::{
    Check, Evidence, Finding, Measure, Outcome,
    phases::milliseconds,
    record::{KeyChange, Tried, attempts, leader_key, watched_span},
    reigns::{Reign, reigns},
};
use crate::history::event::{Bound, ClientKind};

const NAME: &str = "single_writer";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did two nodes ever acknowledge writes at the same time?",
    measures: &["overlap_ms", "superseded_writes", "possible_overlap_ms", "writes_without_key"],
    safety: true,
    judge,
};

/// A possible overlap up to this is what attempts in flight always have.
pub const POSSIBLE_US: u64 = 25_000;

/// The longest time between two direct attempts at a node.
pub const UNWATCHED_US: u64 = 1_000_000;

/// An acknowledgement and the watch of the leader key may tell of a takeover this far apart.
const KEY_SLACK_US: u64 = 1_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let all = attempts(evidence.events);
    let reigns = reigns(&all);
    if reigns.is_empty() {
        let summary = "no node acknowledged a write, so there was no writer to judge";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    }
    let seen = Seen::new(&all, &reigns, &leader_key(evidence.events));
    let unwatched = unwatched(evidence, &all);
    let (outcome, what) = seen.outcome(&unwatched);
    let finding = Finding::new(NAME, outcome, format!("{what}{}", seen.other_sources()))
        .with_measure(Measure::new("overlap_ms", seen.overlap_ms))
        .with_details(vec![
            Measure::new("superseded_writes", seen.superseded.len() as f64),
            Measure::new("possible_overlap_ms", seen.possible_ms),
            Measure::new("writes_without_key", seen.without_key.len() as f64),
        ])
        .with_evidence(seen.evidence());
    let finding = Finding { target: Some(Bound::Exactly(0.0)), ..finding };
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    expectations.iter().map(|expectation| finding.clone().held_against(expectation)).collect()
}

/// What the sources say.
struct Seen<'s, 'e> {
    reigns: &'s [Reign],
    /// Pairs of reigns that surely overlap.
    overlaps: Vec<(&'s Reign, &'s Reign)>,
    overlap_ms: f64,
    possible_ms: f64,
    /// Writes on a timeline that another node had already left behind.
    superseded: Vec<&'s Tried<'e>>,
    /// Writes acknowledged by a node that did not hold the leader key around that time.
    without_key: Vec<&'s Tried<'e>>,
    key_watched: bool,
}

impl<'s, 'e> Seen<'s, 'e> {
    fn new(all: &'s [Tried<'e>], reigns: &'s [Reign], keys: &[KeyChange<'_>]) -> Self {
        let pairs = || {
            let after = |index: usize| reigns[index + 1..].iter();
            let of = move |(index, one): (usize, &'s Reign)| after(index).map(move |other| (one, other));
            reigns.iter().enumerate().flat_map(of).filter(|(one, other)| one.node != other.node)
        };
        let overlaps: Vec<_> = pairs().filter(|(one, other)| one.overlap_us(other).is_some()).collect();
        let spans = overlaps.iter().filter_map(|(one, other)| one.overlap_us(other)).collect();
        let superseded: Vec<_> = all.iter().filter(|tried| is_superseded(tried, reigns)).collect();
        let mut overlap_us = union_us(spans);
        if overlap_us == 0 {
            // Taking turns: each such write shows a moment with two writers, which lasted no longer than the write.
            overlap_us = superseded.iter().map(|tried| (tried.ended_us - tried.started_us()).max(1)).min().unwrap_or(0);
        }
        let possible_us = pairs().map(|(one, other)| one.possible_overlap_us(other)).max().unwrap_or(0);
        Self {
            reigns,
            overlaps,
            overlap_ms: milliseconds(overlap_us),
            possible_ms: milliseconds(possible_us),
            superseded,
            without_key: all.iter().filter(|tried| lacks_key(tried, keys)).collect(),
            key_watched: !keys.is_empty(),
        }
    }

    fn outcome(&self, unwatched: &[String]) -> (Outcome, String) {
        let nodes = nodes_of(self.reigns);
        if self.overlap_ms > 0.0 {
            return (Outcome::Fail, self.two_writers());
        }
        if self.possible_ms > milliseconds(POSSIBLE_US) {
            let summary = format!(
                "two nodes may have acknowledged writes at the same time, for up to {:.0} ms: acknowledgements hung \
                 across the takeover and could belong to either side of it",
                self.possible_ms
            );
            return (Outcome::Inconclusive, summary);
        }
        if !unwatched.is_empty() {
            let summary = format!(
                "no overlap was seen, but {} was not probed directly all the time and could have been a second writer",
                unwatched.join(" and ")
            );
            return (Outcome::Inconclusive, summary);
        }
        (Outcome::Pass, format!("never did two nodes acknowledge writes at the same time; writers were {nodes}"))
    }

    fn two_writers(&self) -> String {
        let involved: Vec<Reign> =
            self.overlaps.iter().flat_map(|(one, other)| [(*one).clone(), (*other).clone()]).collect();
        let superseded = match self.superseded.len() {
            0 => String::new(),
            count => {
                format!("; {count} writes were acknowledged on a timeline that another node had already left behind")
            }
        };
        if involved.is_empty() {
            return format!("nodes took turns in acknowledging writes ({}){superseded}", nodes_of(self.reigns));
        }
        format!(
            "two nodes acknowledged writes at the same time for {:.0} ms: {}{superseded}",
            self.overlap_ms,
            nodes_of(&involved)
        )
    }

    /// What the timelines and the leader key say, where it adds to the acknowledgements or contradicts them.
    fn other_sources(&self) -> String {
        let mut told = String::new();
        if let Some((one, other)) = self.overlaps.iter().find(|(one, other)| one.timeline == other.timeline) {
            told +=
                &format!("; timelines disagree: {} and {} both named timeline {}", one.node, other.node, one.timeline);
        }
        if !self.key_watched {
            told += "; the leader key was not seen, so its history could not be compared";
        } else if let (Some(first), Some(last)) = (self.without_key.first(), self.without_key.last()) {
            told += &format!(
                "; {} writes, over {:.1} s, were acknowledged by a node that did not hold the leader key",
                self.without_key.len(),
                milliseconds(last.ended_us.saturating_sub(first.ended_us)) / 1000.0
            );
        } else if self.overlap_ms > 0.0 {
            told += "; the leader key's history does not show it: each writer held the key around its writes";
        }
        told
    }

    fn evidence(&self) -> Vec<u64> {
        let pairs = self.overlaps.iter().flat_map(|(one, other)| [one.evidence, other.evidence]);
        let mut evidence: Vec<u64> = pairs.flat_map(|(first, last)| [first, last]).collect();
        for writes in [&self.superseded, &self.without_key] {
            evidence.extend(writes.first().map(|tried| tried.seq));
            evidence.extend(writes.last().map(|tried| tried.seq));
        }
        if evidence.is_empty() {
            evidence.extend(self.reigns.iter().flat_map(|reign| [reign.evidence.0, reign.evidence.1]));
        }
        evidence
    }
}

/// Reigns in words, each node and timeline once: `node1 on timeline 1, node2 on timeline 2`.
fn nodes_of(reigns: &[Reign]) -> String {
    let mut named: Vec<String> = Vec::new();
    for reign in reigns {
        let words = format!("{} on timeline {}", reign.node, reign.timeline);
        if !named.contains(&words) {
            named.push(words);
        }
    }
    named.join(", ")
}

/// Whether another node had acknowledged a write on a higher timeline before this one started.
fn is_superseded(tried: &Tried<'_>, reigns: &[Reign]) -> bool {
    let Some((node, timeline)) = tried.answered_by().filter(|_| tried.is_write()) else { return false };
    reigns.iter().any(|reign| {
        reign.node != node && reign.timeline > timeline && reign.first_acknowledged_us < tried.started_us()
    })
}

/// Whether the node that acknowledged the write held the key at no time around it. Without any word about the key
/// nothing can be said.
fn lacks_key(tried: &Tried<'_>, keys: &[KeyChange<'_>]) -> bool {
    let Some((node, _)) = tried.answered_by().filter(|_| tried.is_write()) else { return false };
    let (from_us, to_us) = (tried.started_us().saturating_sub(KEY_SLACK_US), tried.ended_us + KEY_SLACK_US);
    // Before the watch began the holder is not known, and nothing can be held against the node.
    let Some(before) = keys.iter().rposition(|change| change.at_us <= from_us) else { return false };
    !keys[before..].iter().take_while(|change| change.at_us <= to_us).any(|change| change.holder == Some(node))
}

/// The time that the spans cover together.
fn union_us(mut spans: Vec<(u64, u64)>) -> u64 {
    spans.sort_unstable();
    let mut covered_us = 0;
    let mut end_us = 0;
    for (from_us, to_us) in spans {
        covered_us += to_us.saturating_sub(from_us.max(end_us));
        end_us = end_us.max(to_us);
    }
    covered_us
}

/// Nodes at whose own port nobody tried to write for too long while the prober ran.
fn unwatched(evidence: &Evidence<'_>, all: &[Tried<'_>]) -> Vec<String> {
    let (from_us, until_us) = watched_span(evidence.events);
    let fresh = || all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Fresh);
    // The load takes a moment to end, in which nothing starts any more.
    let until_us = fresh().map(Tried::started_us).max().unwrap_or(until_us).min(until_us);
    let gap = |node: &&String| {
        let direct = fresh().filter(|tried| tried.is_write() && tried.attempt.endpoint == **node);
        let starts = direct.map(Tried::started_us).filter(|at_us| (from_us..until_us).contains(at_us));
        longest_gap_us(from_us, starts, until_us) > UNWATCHED_US
    };
    evidence.plan.nodes.iter().filter(gap).cloned().collect()
}

/// The longest time between two neighbours; the instants come in their order.
fn longest_gap_us(from_us: u64, instants: impl Iterator<Item = u64>, until_us: u64) -> u64 {
    let mut last_us = from_us;
    let mut longest_us = 0;
    for at_us in instants.chain([until_us]) {
        longest_us = longest_us.max(at_us.saturating_sub(last_us));
        last_us = at_us;
    }
    longest_us
}
