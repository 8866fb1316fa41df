//! Was each timeline begun by one node, at one position?
//!
//! A timeline's number is not its identity. A node that is promoted takes the next number that it does not know as taken:
//! one that missed a promotion takes the same number for another history. Such nodes can't follow each other, though
//! their numbers say that they could, and an archive holds one of the two alone. What identifies a timeline is its number
//! with its parent and the WAL position where it left it, as its history file says; whoever follows has the same file.
//!
//! # What is proof
//!
//! - Two history files give one number different parents or positions.
//! - Two nodes were primaries on one number, by the writes that they acknowledged or by their own word. A node becomes
//!   primary by a promotion, which begins a timeline, or stays one through a restart, on the timeline that it had. No
//!   handover leads to a number that another node led on: not even a switchover in order.
//!
//! It is a failure also if the first of the two died before any node followed it: its writes were acknowledged, and its
//! return, or its WAL in an archive, meets a timeline of the same number.
//!
//! A timeline that was led and whose history nobody read is inconclusive, but for the one that was there in the
//! beginning: where it left its parent can't be compared. So is one on which a primary was seen at a position before the
//! place where it began: one of the two is not true.
//!
//! # Several clusters that hold the same rows
//!
//! A cluster that is promoted takes the next number that it knows of, and the lost one may have begun that number before:
//! both are there, and histories tell them apart by the places where they began. That is no failure as long as one of them
//! is left when the other begins: two clusters each led on the number, one after the other, from two places that nodes of
//! each read. Where they led at the same time, or from one place, nothing shows which came first.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        ancestry::Beginning,
        primaries::{Sign, Tenure, tenures},
    },
};
use crate::{
    history::{Event, Occurrence, event::Bound},
    plan::Plan,
    services::postgresql::position,
};

const NAME: &str = "timelines";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Was each timeline begun by one node, at one position?",
    measures: &["ambiguous_timelines", "timelines"],
    over: Over::Lineage,
    judge,
};

/// One switch to a timeline, as history files tell it.
#[derive(Debug, Clone)]
pub struct Switch<'a> {
    pub timeline: u32,
    pub origin: Beginning,
    /// The nodes that told it.
    pub told_by: BTreeSet<&'a str>,
    /// When the first of them did, and the event that shows it.
    pub at_us: u64,
    pub seq: u64,
}

/// Every switch, each once, in the order in which they were recorded.
pub fn switches(events: &[Event]) -> Vec<Switch<'_>> {
    let mut switches: Vec<Switch<'_>> = Vec::new();
    for event in events {
        let Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn } = &event.what else { continue };
        let origin = Beginning { parent: *parent, switch_lsn: *switch_lsn };
        match switches.iter_mut().find(|known| known.timeline == *timeline && known.origin == origin) {
            Some(known) => drop(known.told_by.insert(node)),
            None => switches.push(Switch {
                timeline: *timeline,
                origin,
                told_by: BTreeSet::from([node.as_str()]),
                at_us: event.at_us,
                seq: event.seq,
            }),
        }
    }
    switches
}

/// Where the timeline began on which a node led. Of one cluster whoever follows has the same history. Of several, nodes of
/// another one may have followed another timeline of that number: it is as the node told first itself, or another node of
/// its cluster did.
pub fn switch_of<'s, 'a>(switches: &'s [Switch<'a>], plan: &Plan, node: &str, timeline: u32) -> Option<&'s Switch<'a>> {
    let mut own = switches.iter().filter(|switch| switch.timeline == timeline);
    if plan.clusters.len() < 2 {
        return own.next();
    }
    let mates = plan.cluster_of(node).map(|cluster| cluster.nodes.as_slice()).unwrap_or_default();
    let by_mate = |switch: &&Switch<'_>| mates.iter().any(|mate| switch.told_by.contains(mate.as_str()));
    own.clone().find(|switch| switch.told_by.contains(node)).or_else(|| own.find(by_mate))
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let signs = evidence.signs();
    let tenures = tenures(signs);
    let switches = switches(evidence.events);
    let Some(first) = signs.first() else {
        let summary = "no node was seen as a primary, so no timeline could be looked at";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    };
    let known = Known { first, tenures: &tenures, switches: &switches, plan: evidence.whole };
    let ambiguous = known.ambiguous();
    let unread = known.unread();
    let (outcome, summary, shown) = if !ambiguous.is_empty() {
        let words: Vec<String> = ambiguous.values().map(|(words, _)| words.clone()).collect();
        (Outcome::Fail, words.join("; "), ambiguous.values().flat_map(|(_, seqs)| seqs.clone()).collect())
    } else if let Some(tenure) = unread.first() {
        let Tenure { node, timeline, .. } = tenure;
        let summary = format!(
            "{node} was primary on timeline {timeline}, and nobody read where that left its parent: whether another node \
             began one of the same number is unknown"
        );
        (Outcome::Inconclusive, summary, vec![tenure.evidence.0])
    } else if let Some((sign, switch)) = known.misplaced(signs) {
        let summary = format!(
            "{} was primary on timeline {} at {}, and its history says that it began at {}",
            sign.node,
            sign.timeline,
            position(sign.lsn.unwrap_or(0)),
            position(switch.origin.switch_lsn)
        );
        (Outcome::Inconclusive, summary, vec![sign.seq, switch.seq])
    } else {
        let led = tenures.iter().map(|tenure| format!("{} by {}", tenure.timeline, tenure.node)).collect::<Vec<_>>();
        let shown = switches.iter().map(|switch| switch.seq).chain([first.seq]).collect();
        (Outcome::Pass, format!("each timeline was begun by one node, at one position: {}", led.join(", ")), shown)
    };
    let finding = Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new("ambiguous_timelines", ambiguous.len() as f64))
        .with_details(vec![Measure::new("timelines", known.numbers().len() as f64)])
        .with_evidence(shown);
    let finding = Finding { target: Some(Bound::Exactly(0.0)), ..finding };
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    expectations.iter().map(|expectation| finding.clone().held_against(expectation)).collect()
}

/// What is known of the scenario's timelines.
struct Known<'s, 'a> {
    /// The first sign of a primary.
    first: &'s Sign<'a>,
    tenures: &'s [Tenure<'a>],
    switches: &'s [Switch<'a>],
    plan: &'s Plan,
}

impl<'a> Known<'_, 'a> {
    /// Every number that was led on or told of.
    fn numbers(&self) -> BTreeSet<u32> {
        let led = self.tenures.iter().map(|tenure| tenure.timeline);
        led.chain(self.switches.iter().map(|switch| switch.timeline)).collect()
    }

    /// Numbers that stand for two timelines: in words, and the events that show it.
    fn ambiguous(&self) -> BTreeMap<u32, (String, Vec<u64>)> {
        let mut found = BTreeMap::new();
        for number in self.numbers() {
            let leaders: Vec<&Tenure<'a>> = self.tenures.iter().filter(|own| own.timeline == number).collect();
            let origins: Vec<&Switch<'a>> = self.switches.iter().filter(|own| own.timeline == number).collect();
            if leaders.len() < 2 && origins.len() < 2 || self.took_turns(&leaders, &origins) {
                continue;
            }
            let nodes = leaders.iter().map(|own| own.node).collect::<Vec<_>>().join(" and ");
            let places = origins.iter().map(|own| {
                let tellers = own.told_by.iter().copied().collect::<Vec<_>>().join(", ");
                format!("at {} of timeline {} ({tellers})", position(own.origin.switch_lsn), own.origin.parent)
            });
            let places = places.collect::<Vec<_>>().join(" and ");
            let words = match (leaders.len() < 2, origins.len() < 2) {
                (true, _) => format!("timeline {number} was begun at two places, {places}"),
                (false, true) => format!("{nodes} were both primaries on timeline {number}"),
                (false, false) => format!("{nodes} each began a timeline {number}, {places}"),
            };
            let led = leaders.iter().flat_map(|own| [own.evidence.0, own.evidence.1]);
            found.insert(number, (words, led.chain(origins.iter().map(|own| own.seq)).collect()));
        }
        found
    }

    /// Whether clusters each led on one number, one after the other, and no two from one place. Of one whose history nobody
    /// read this is not known, which [`Known::unread`] says.
    fn took_turns(&self, leaders: &[&Tenure<'a>], origins: &[&Switch<'a>]) -> bool {
        let cluster = |node: &str| self.plan.cluster_of(node).map(|cluster| cluster.name.as_str());
        let clusters: BTreeSet<_> = leaders.iter().map(|own| cluster(own.node)).collect();
        let places: Vec<_> = leaders.iter().filter_map(|own| self.switch_of(own.node, own.timeline)).collect();
        let apart: BTreeSet<_> = places.iter().map(|switch| switch.origin).collect();
        // A place from which nobody was seen to lead may have been led from all the same.
        let all_led = origins.iter().all(|switch| apart.contains(&switch.origin));
        let in_turns = leaders.windows(2).all(|pair| pair[0].last_us <= pair[1].first_us);
        let each_own = clusters.len() == leaders.len() && apart.len() == places.len();
        leaders.len() > 1 && in_turns && each_own && all_led
    }

    /// Where the timeline began on which a node led: as it told first itself, or another node of its cluster did.
    fn switch_of(&self, node: &str, timeline: u32) -> Option<&Switch<'a>> {
        switch_of(self.switches, self.plan, node, timeline)
    }

    /// A primary that was seen before the place where its timeline began.
    fn misplaced<'s>(&'s self, signs: &'s [Sign<'a>]) -> Option<(&'s Sign<'a>, &'s Switch<'a>)> {
        signs.iter().find_map(|sign| {
            let switch = self.switch_of(sign.node, sign.timeline)?;
            sign.lsn.is_some_and(|lsn| lsn < switch.origin.switch_lsn).then_some((sign, switch))
        })
    }

    /// Tenures on timelines whose history nobody read.
    fn unread(&self) -> Vec<&Tenure<'a>> {
        let read = |own: &Tenure<'_>| self.switch_of(own.node, own.timeline).is_some();
        let own = self.tenures.iter();
        own.filter(|tenure| tenure.timeline != self.first.timeline && !read(tenure)).collect()
    }
}
