//! Which timelines led to that of the final primary, and where each was left.
//!
//! A timeline is more than its number: two nodes that are cut off from each other can begin the same number at different
//! places. It is known by number, parent and the place where it left its parent, as the history file of a node says
//! them ([`Occurrence::TimelineSwitch`]); the first timeline was begun by nobody. Of several clusters that hold the same
//! rows, a lost one and the one that was promoted in its place may have begun one number each: there, what the nodes of a
//! cluster tell counts for its own.

use std::collections::{BTreeMap, BTreeSet};

use super::record::{Tried, runbook};
use crate::{
    history::{Event, Occurrence, event::RunbookStep},
    plan::Plan,
};

/// Where a timeline was begun. `None` where one is expected: it is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Beginning {
    pub parent: u32,
    pub switch_lsn: u64,
}

/// The first timeline of a cluster, which has no history file.
const FIRST: u32 = 1;

/// The timelines of a run, as seen from the final primary.
pub struct Ancestry<'a> {
    plan: &'a Plan,
    primary: &'a str,
    told: Vec<Told<'a>>,
    /// Nodes that acknowledged writes on each timeline number.
    writers: BTreeMap<u32, BTreeSet<&'a str>>,
    /// Clusters whose promotion a runbook ordered.
    promoted: BTreeSet<&'a str>,
    /// The final primary's timeline and its ancestors, the latest first.
    line: Vec<Stretch>,
}

/// What a node's history file told of a timeline.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    at_us: u64,
    node: &'a str,
    timeline: u32,
    beginning: Beginning,
}

/// A part of the final primary's history.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    timeline: u32,
    begun: Begun,
    /// Where the next one begins; `None`: it is the last.
    end_lsn: Option<u64>,
}

/// What is known of the beginning of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Begun {
    /// It is the first.
    First,
    At(Beginning),
    Unknown,
}

/// Where a node's timeline parts from the final primary's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Departure {
    /// It is the final primary's own timeline.
    Never,
    /// At this WAL position: what lies behind it is not in the final primary's history.
    At(u64),
    /// It is no part of the final primary's history, and where it parts from it was not seen.
    Elsewhere,
    /// It is not known whether it does, and why.
    Unknown(String),
}

impl<'a> Ancestry<'a> {
    /// The ancestry of the primary that was on `timeline` in the end; `None`: its timeline is not known.
    pub fn new(
        (plan, events): (&'a Plan, &'a [Event]),
        writes: &[Tried<'a>],
        primary: &'a str,
        timeline: Option<u32>,
    ) -> Self {
        let told = events.iter().filter_map(|event| match &event.what {
            Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn } => Some(Told {
                at_us: event.at_us,
                node,
                timeline: *timeline,
                beginning: Beginning { parent: *parent, switch_lsn: *switch_lsn },
            }),
            _ => None,
        });
        let mut writers: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for (node, timeline) in writes.iter().filter_map(Tried::answered_by) {
            writers.entry(timeline).or_default().insert(node);
        }
        let ordered = runbook(events).filter(|done| done.step == RunbookStep::PromotionOrdered);
        let promoted = ordered.map(|done| done.cluster).collect();
        let mut ancestry = Self { plan, primary, told: told.collect(), writers, promoted, line: Vec::new() };
        ancestry.line = timeline.map(|timeline| ancestry.line_to(timeline)).unwrap_or_default();
        ancestry
    }

    /// The final primary.
    pub fn primary(&self) -> &'a str {
        self.primary
    }

    fn line_to(&self, last: u32) -> Vec<Stretch> {
        let mut line = Vec::new();
        let (mut timeline, mut end_lsn) = (last, None);
        loop {
            let begun = if timeline <= FIRST { Begun::First } else { self.begun_in_line(timeline, last) };
            line.push(Stretch { timeline, begun, end_lsn });
            match begun {
                Begun::At(beginning) if beginning.parent < timeline => {
                    (timeline, end_lsn) = (beginning.parent, Some(beginning.switch_lsn));
                }
                _ => return line,
            }
        }
    }

    /// Where a timeline of the final primary's history began: by its own account of its last one. Of an earlier number it may
    /// have followed another branch before, so there every node must say the same.
    fn begun_in_line(&self, timeline: u32, last: u32) -> Begun {
        let own = self.told_of(timeline).filter(|told| told.node == self.primary).last();
        match own {
            Some(told) if timeline == last => Begun::At(told.beginning),
            _ => self.agreed(timeline, self.primary),
        }
    }

    /// Where a timeline of a node's history began, if all nodes of its cluster that tell it agree, or else all nodes.
    fn agreed(&self, timeline: u32, node: &str) -> Begun {
        let mates = self.plan.cluster_of(node).map(|cluster| cluster.nodes.as_slice()).unwrap_or_default();
        let of_mates = |told: &&Told<'a>| mates.iter().any(|mate| mate == told.node);
        let by_mates = self.told_of(timeline).any(|told| of_mates(&told));
        let counts = |told: &&Told<'a>| !by_mates || self.plan.clusters.len() < 2 || of_mates(told);
        let mut places = self.told_of(timeline).filter(counts).map(|told| told.beginning);
        match places.next() {
            Some(first) if places.all(|other| other == first) => Begun::At(first),
            _ => Begun::Unknown,
        }
    }

    fn told_of(&self, timeline: u32) -> impl Iterator<Item = &Told<'a>> {
        self.told.iter().filter(move |told| told.timeline == timeline)
    }

    /// Where the timeline on which a node acknowledged a write at this instant began.
    pub fn begun(&self, node: &str, timeline: u32, at_us: u64) -> Begun {
        if timeline <= FIRST {
            return Begun::First;
        }
        let own: Vec<&Told<'_>> = self.told_of(timeline).filter(|told| told.node == node).collect();
        let before = own.iter().rev().find(|told| told.at_us <= at_us);
        if let Some(told) = before.or(own.first()) {
            return Begun::At(told.beginning);
        }
        let alone = self.wrote(timeline, node).all(|writer| writer == node);
        match self.stretch(timeline) {
            Some(last) if last.end_lsn.is_none() && node == self.primary => last.begun,
            // What others followed was begun by the only node that wrote there.
            _ if alone => self.agreed(timeline, node),
            _ => Begun::Unknown,
        }
    }

    /// The nodes of a node's cluster that wrote on a timeline of this number.
    fn wrote(&self, timeline: u32, node: &str) -> impl Iterator<Item = &'a str> {
        let cluster = self.plan.cluster_of(node).filter(|_| self.plan.clusters.len() > 1);
        let is_mate = move |writer: &&str| cluster.is_none_or(|cluster| cluster.nodes.iter().any(|own| own == writer));
        self.writers.get(&timeline).into_iter().flatten().copied().filter(is_mate)
    }

    /// Whether what a node wrote on a timeline was left behind because another cluster was promoted in the place of its own:
    /// where it departs from the final primary's history, a node of another cluster goes on, which a runbook promoted. One
    /// that comes back by itself takes nobody's place.
    pub fn left_by_its_cluster(&self, node: &str, timeline: u32, begun: Begun) -> bool {
        let Some(own) = self.plan.cluster_of(node) else { return false };
        let at = match begun {
            _ if self.stretch(timeline).is_some_and(|stretch| stretch.begun == begun) => timeline,
            Begun::At(beginning) => beginning.parent,
            _ => timeline,
        };
        // The line goes from the latest to the first.
        let next = self.line.iter().rev().skip_while(|stretch| stretch.timeline != at).nth(1);
        let begun_by = next.and_then(|next| {
            let told = self.told_of(next.timeline).filter(|told| Begun::At(told.beginning) == next.begun);
            told.min_by_key(|told| told.at_us)
        });
        let successor = begun_by.map_or(self.primary, |told| told.node);
        let successor = self.plan.cluster_of(successor).filter(|other| other.name != own.name);
        successor.is_some_and(|other| self.promoted.contains(other.name.as_str()))
    }

    fn stretch(&self, timeline: u32) -> Option<&Stretch> {
        self.line.iter().find(|stretch| stretch.timeline == timeline)
    }

    /// Where a timeline of this number and beginning, on which this node wrote, parts from the final primary's history.
    pub fn departure(&self, node: &str, timeline: u32, begun: Begun) -> Departure {
        let (Some(newest), Some(oldest)) = (self.line.first(), self.line.last()) else {
            return Departure::Unknown("the final primary's timeline is not known".to_owned());
        };
        let Some(stretch) = self.stretch(timeline) else {
            // Numbers rise along a history, so a gap in it is no ancestor.
            return match timeline > oldest.timeline || oldest.begun == Begun::First {
                true => self.departure_of_branch(begun),
                false => Departure::Unknown(format!("it is not known where timeline {} began", oldest.timeline)),
            };
        };
        let own_last = node == self.primary && timeline == newest.timeline;
        let unknown = begun == Begun::Unknown || stretch.begun == Begun::Unknown;
        if unknown && !own_last {
            return Departure::Unknown(format!("it is not known where the timeline {timeline} of {node} began"));
        }
        if unknown || begun == stretch.begun {
            return stretch.end_lsn.map_or(Departure::Never, Departure::At);
        }
        self.departure_of_branch(begun)
    }

    /// Where a branch that is no part of the final primary's history leaves it.
    fn departure_of_branch(&self, begun: Begun) -> Departure {
        let Begun::At(beginning) = begun else { return Departure::Elsewhere };
        match self.stretch(beginning.parent) {
            Some(parent) => Departure::At(beginning.switch_lsn.min(parent.end_lsn.unwrap_or(u64::MAX))),
            None => Departure::Elsewhere,
        }
    }
}
