//! Did two nodes acknowledge writes at the same time?
//!
//! All acknowledged writes of all clients count, also those of sessions that were opened before the fault and of the
//! probers at every node's own port; the node is the one that the answer itself names.
//!
//! # What is proof
//!
//! - **Overlapping reigns**: one node acknowledged a write, then another node did, and then the first did again on the
//!   same timeline ([`super::course::reigns`]), however long it was silent in between. Only inner spans count, so an
//!   attempt that waited in a proxy, or an acknowledgement that came late, proves nothing. An ordinary switchover
//!   leaves a gap between the reigns, however short; its inner spans never overlap.
//! - **A write on a superseded timeline**: a node acknowledged a write that started when another node was already
//!   primary on a higher timeline, by a write or by its own answer. This holds also if the two took turns. Of two clusters that
//!   hold the same rows, it is not the higher number that supersedes the other, but what was begun later: a region that was
//!   promoted does not know how many timelines the lost one had begun.
//!
//! Both are judged as exactly 0, whether the scenario asks or not. Any two nodes of clusters that hold the same rows count,
//! also one in each region; clusters of which none follows the other may both write.
//!
//! # What leaves it open
//!
//! - The outer spans overlap by more than [`POSSIBLE_US`]: an acknowledgement hung across the takeover, and the write
//!   may belong to either side of it. Refusals as a standby and refused connections at the nodes' own ports keep outer
//!   spans short, so this does not happen when a host dies, PostgreSQL is restarted, or an operator switches over.
//! - Two primaries were seen, by their own word to the observer ([`super::course::primaries`]), and no write of a client
//!   shows that both accepted some; or a node's WAL grew as a primary's while another node held the leader key.
//! - A node was not watched ([`super::course::watched`]): it could have been a hidden second writer.
//! - A node answers that the plan does not know.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        phases::milliseconds,
        primaries::{Sign, Tenure, tenures},
        record::{KeyChange, Tried, outsiders},
        reigns::{Reign, joined},
        watched::unwatched,
    },
};
use crate::{history::event::Bound, plan::Plan};

const NAME: &str = "single_writer";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did two nodes ever acknowledge writes at the same time?",
    measures: &["overlap_ms", "superseded_writes", "possible_overlap_ms", "two_primaries_ms", "writes_without_key"],
    over: Over::Lineage,
    judge,
};

/// A possible overlap up to this is what attempts in flight always have.
pub const POSSIBLE_US: u64 = 25_000;

/// An acknowledgement and the watch of the leader key may tell of a takeover this far apart.
const KEY_SLACK_US: u64 = 1_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (all, reigns) = (evidence.attempts(), evidence.reigns());
    if reigns.is_empty() {
        let summary = "no node acknowledged a write, so there was no writer to judge";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    }
    let tenures = tenures(evidence.signs());
    let seen = Seen::new(evidence, &tenures);
    let (outcome, what) = seen.outcome(&elsewhere(evidence, all, reigns));
    let finding = Finding::new(NAME, outcome, format!("{what}{}", seen.other_sources()))
        .with_measure(Measure::new("overlap_ms", seen.overlap_ms))
        .with_details(vec![
            Measure::new("superseded_writes", seen.superseded.len() as f64),
            Measure::new("possible_overlap_ms", seen.possible_ms),
            Measure::new("two_primaries_ms", seen.two_primaries_ms),
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

/// Doubts of what was not watched, or does not belong to the plan.
fn elsewhere(evidence: &Evidence<'_>, all: &[Tried<'_>], reigns: &[Reign]) -> Vec<String> {
    let outsiders = outsiders(&evidence.whole.nodes, evidence.events);
    let outsiders = outsiders.keys().map(|node| format!("{node} answers and is not in the plan"));
    let unwatched = unwatched(evidence, all, reigns).into_iter().map(|gap| {
        let length_s = milliseconds(gap.to_us.saturating_sub(gap.from_us)) / 1000.0;
        format!("{} showed nothing for {length_s:.1} s and could have been a second writer", gap.node)
    });
    outsiders.chain(unwatched).collect()
}

/// What the sources say.
struct Seen<'s, 'e> {
    reigns: &'s [Reign],
    /// Pairs of reigns that surely overlap.
    overlaps: Vec<(&'s Reign, &'s Reign)>,
    overlap_ms: f64,
    possible_ms: f64,
    /// Pairs of nodes that surely were primaries at the same time.
    together: Vec<(&'s Tenure<'e>, &'s Tenure<'e>)>,
    two_primaries_ms: f64,
    /// The first and the last sign of a primary whose WAL grew while another node held the leader key.
    keyless: Vec<(Sign<'e>, Sign<'e>)>,
    /// Writes on a timeline that another node had already left behind.
    superseded: Vec<&'s Tried<'e>>,
    /// Writes acknowledged by a node that did not hold the leader key around that time.
    without_key: Vec<&'s Tried<'e>>,
    key_watched: bool,
}

impl<'s, 'e> Seen<'s, 'e> {
    fn new(evidence: &'s Evidence<'e>, tenures: &'s [Tenure<'e>]) -> Self {
        let (all, reigns) = (evidence.attempts(), evidence.reigns());
        let writers = || pairs(reigns).filter(|(one, other)| one.node != other.node);
        let overlaps: Vec<_> = writers().filter(|(one, other)| one.overlap_us(other).is_some()).collect();
        let spans = overlaps.iter().filter_map(|(one, other)| one.overlap_us(other)).collect();
        let superseded: Vec<_> = all.iter().filter(|tried| is_superseded(tried, tenures, evidence.whole)).collect();
        let mut overlap_us = union_us(spans);
        if overlap_us == 0 {
            // Taking turns: each such write shows a moment with two writers, which lasted no longer than the write.
            overlap_us = superseded
                .iter()
                .map(|tried| tried.ended_us.saturating_sub(tried.started_us()).max(1))
                .min()
                .unwrap_or(0);
        }
        let possible_us = writers().map(|(one, other)| one.possible_overlap_us(other)).max().unwrap_or(0);
        let primaries = pairs(tenures).filter(|(one, other)| one.node != other.node);
        let together: Vec<_> = primaries.filter(|(one, other)| one.overlap_us(other).is_some()).collect();
        let spans = together.iter().filter_map(|(one, other)| one.overlap_us(other)).collect();
        Self {
            reigns,
            overlaps,
            overlap_ms: milliseconds(overlap_us),
            possible_ms: milliseconds(possible_us),
            together,
            two_primaries_ms: milliseconds(union_us(spans)),
            keyless: keyless(evidence),
            superseded,
            without_key: all.iter().filter(|tried| lacks_key(tried, evidence)).collect(),
            key_watched: evidence.plan.clusters.iter().any(|own| !evidence.leader_key_of(&own.name).is_empty()),
        }
    }

    fn outcome(&self, elsewhere: &[String]) -> (Outcome, String) {
        if self.overlap_ms > 0.0 {
            return (Outcome::Fail, self.two_writers());
        }
        let mut doubts = self.doubts();
        doubts.extend_from_slice(elsewhere);
        if doubts.is_empty() {
            let nodes = nodes_of(self.reigns);
            return (
                Outcome::Pass,
                format!("never did two nodes acknowledge writes at the same time; writers were {nodes}"),
            );
        }
        (Outcome::Inconclusive, format!("no two writers are proven, but {}", doubts.join("; ")))
    }

    /// What was seen that two writers would explain.
    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.possible_ms > milliseconds(POSSIBLE_US) {
            doubts.push(format!(
                "two nodes may have acknowledged writes at the same time, for up to {:.0} ms: acknowledgements hung \
                 across the takeover and could belong to either side of it",
                self.possible_ms
            ));
        }
        if let Some((one, other)) = self.together.first() {
            doubts.push(format!(
                "two primaries were seen for {:.1} s, by their own word: {} on timeline {} and {} on timeline {}",
                self.two_primaries_ms / 1000.0,
                one.node,
                one.timeline,
                other.node,
                other.timeline
            ));
        }
        doubts.extend(self.keyless.first().map(|(first, last)| {
            let length_s = milliseconds(last.to_us.saturating_sub(first.from_us)) / 1000.0;
            format!(
                "{} was primary on timeline {} and its WAL grew, for up to {length_s:.1} s, while another node held the \
                 leader key",
                first.node, first.timeline
            )
        }));
        doubts
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
        for tenure in self.together.iter().flat_map(|(one, other)| [one, other]) {
            evidence.extend([tenure.evidence.0, tenure.evidence.1]);
        }
        evidence.extend(self.keyless.iter().flat_map(|(first, last)| [first.seq, last.seq]));
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

/// Every pair of a list.
fn pairs<T>(all: &[T]) -> impl Iterator<Item = (&T, &T)> {
    let after = |index: usize| all[index + 1..].iter();
    all.iter().enumerate().flat_map(move |(index, one)| after(index).map(move |other| (one, other)))
}

/// Whether another node was primary on a later timeline before this write started. Within a cluster that is the higher
/// number; of two clusters it is the one on which a primary was seen first after the other. There, the word of a primary on
/// no higher number shows no promotion.
fn is_superseded(tried: &Tried<'_>, tenures: &[Tenure<'_>], plan: &Plan) -> bool {
    let Some((node, timeline)) = tried.answered_by().filter(|_| tried.is_write()) else { return false };
    let cluster = |node: &str| plan.cluster_of(node).map(|cluster| cluster.name.as_str());
    let own = tenures.iter().find(|tenure| tenure.node == node && tenure.timeline == timeline);
    let is_later = |other: &&Tenure<'_>| match cluster(other.node) == cluster(node) {
        true => other.timeline > timeline,
        false => {
            let is_begun = other.written || other.timeline > timeline;
            is_begun && own.is_some_and(|own| other.first_us > own.first_us)
        }
    };
    let later = tenures.iter().filter(|tenure| tenure.node != node).filter(is_later);
    later.map(|tenure| tenure.first_us).any(|first_us| first_us < tried.started_us())
}

/// Primaries whose WAL grew while another node of their cluster surely held its leader key.
fn keyless<'e>(evidence: &Evidence<'e>) -> Vec<(Sign<'e>, Sign<'e>)> {
    let mut found = Vec::new();
    for cluster in &evidence.plan.clusters {
        let is_own = |node: &str| evidence.whole.cluster_of(node).is_none_or(|own| own.name == cluster.name);
        let signs: Vec<Sign<'e>> = evidence.signs().iter().filter(|sign| is_own(sign.node)).copied().collect();
        found.extend(without_its_key(&signs, evidence.leader_key_of(&cluster.name)));
    }
    found
}

fn without_its_key<'e>(signs: &[Sign<'e>], keys: &[KeyChange<'e>]) -> Vec<(Sign<'e>, Sign<'e>)> {
    let mut found = Vec::new();
    for (index, change) in keys.iter().enumerate() {
        let Some(holder) = change.holder else { continue };
        let until_us = keys.get(index + 1).map_or(u64::MAX, |next| next.at_us.saturating_sub(KEY_SLACK_US));
        let surely =
            |sign: &&Sign<'e>| sign.from_us >= change.at_us.saturating_add(KEY_SLACK_US) && sign.to_us <= until_us;
        let mut spans: BTreeMap<(&str, u32), (Sign<'e>, Sign<'e>)> = BTreeMap::new();
        for sign in signs.iter().filter(|sign| sign.node != holder).filter(surely) {
            spans.entry((sign.node, sign.timeline)).or_insert((*sign, *sign)).1 = *sign;
        }
        let grew = |first: &Sign<'_>, last: &Sign<'_>| first.lsn.zip(last.lsn).is_some_and(|(from, to)| from < to);
        let wrote = |(first, last): &(Sign<'_>, Sign<'_>)| first.written || last.written || grew(first, last);
        found.extend(spans.into_values().filter(wrote));
    }
    found
}

/// Whether the node that acknowledged the write held the key at no time around it. Without any word about the key
/// nothing can be said.
fn lacks_key(tried: &Tried<'_>, evidence: &Evidence<'_>) -> bool {
    let Some((node, _)) = tried.answered_by().filter(|_| tried.is_write()) else { return false };
    let keys = match evidence.whole.cluster_of(node) {
        Some(cluster) => evidence.leader_key_of(&cluster.name),
        None => evidence.leader_key(),
    };
    let (from_us, to_us) =
        (tried.started_us().saturating_sub(KEY_SLACK_US), tried.ended_us.saturating_add(KEY_SLACK_US));
    // Before the watch began the holder is not known, and nothing can be held against the node.
    let Some(before) = keys.iter().rposition(|change| change.at_us <= from_us) else { return false };
    !keys[before..].iter().take_while(|change| change.at_us <= to_us).any(|change| change.holder == Some(node))
}

/// The time that the spans cover together.
fn union_us(spans: Vec<(u64, u64)>) -> u64 {
    joined(spans).into_iter().fold(0, |sum, (from_us, to_us)| to_us.saturating_sub(from_us).saturating_add(sum))
}
