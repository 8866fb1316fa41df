//! Did the slot of a cluster that follows another one hold the WAL that it had yet to fetch?
//!
//! Judged while it follows as the plan says ([`super::course::following`]), from the steady state to the end of the load or to
//! the order of its promotion, on whichever node leads the followed cluster then, also after a failover (its primary, or its
//! standby leader if it follows another one itself):
//!
//! - A slot that the primary does not have is a failure: WAL that is not held may be gone. So is one whose `wal_status` is
//!   `lost`. A node counts as primary from [`LOOK_US`] after its observer saw it as one, as long as it does not see it
//!   otherwise.
//! - It passes if each primary was seen with the slot, without a pause of more than [`UNSEEN_US`] for as long as it was one and
//!   answered. Whatever was not looked at is in doubt.
//!
//! `slot_held_max_bytes` is the most WAL that a primary kept for it. How much that may be is the disk's matter: with no bound
//! stated, none is held against it.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS,
    course::{
        following::{Following, spans, streams_from_outside},
        grouping::Watched,
        phases::milliseconds,
        primaries::LOOK_US,
    },
};
use crate::{
    history::{Event, Occurrence, event::NodeState},
    quantity::written::value,
    topology::Cluster,
};

const NAME: &str = "slot";
pub const SLOTS_LOST: &str = "slots_lost";
pub const SLOT_HELD_MAX_BYTES: &str = "slot_held_max_bytes";
const SLOT_UNUSED_MS: &str = "slot_unused_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did the primary, after a failover too, keep the WAL that a cluster which follows had yet to fetch?",
    measures: &[SLOTS_LOST, SLOT_HELD_MAX_BYTES, SLOT_UNUSED_MS],
    over: Over::Lineage,
    judge,
};

/// The longest time for which a primary's slots may not be seen. They are asked for once a second.
const UNSEEN_US: u64 = 5_000_000;
/// A primary's slots are asked for within this time.
const ASKED_WITHIN_US: u64 = 2_000_000;
/// A slot that nobody used for this long was put to the test: WAL had to be kept.
const UNUSED_US: u64 = 2_000_000;
/// PostgreSQL's word for a slot whose WAL is gone.
const LOST: &str = "lost";

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    // What was recorded before slots were watched says nothing of them.
    let is_recorded = evidence.events.iter().any(|event| {
        matches!(event.what, Occurrence::SlotState { .. } | Occurrence::SlotAbsent { .. })
            || matches!(&event.what, Occurrence::ObserverAlive { observer, .. } if observer == "slots")
    });
    let courses = if is_recorded { courses(evidence) } else { Vec::new() };
    let findings: Vec<Finding> = courses.iter().map(SlotCourse::finding).collect();
    evidence.held(NAME, findings, "no slot of a cluster that follows another one was watched")
}

/// Whether a follower's slot was put to the test: nobody used it for a while, or another node became primary.
pub fn was_tested(evidence: &Evidence<'_>) -> bool {
    let is_tested = |course: &SlotCourse| course.unused_us >= UNUSED_US || course.reigns.len() > 1;
    courses(evidence).iter().any(is_tested)
}

/// A node of the followed cluster as its primary, from one instant to another.
#[derive(Debug, Clone)]
struct Primary {
    node: String,
    from_us: u64,
    until_us: u64,
    /// The longest time for which the slot was neither seen nor missed.
    unseen_us: u64,
    seen: bool,
}

/// What became of the slot of one follower.
#[derive(Debug)]
struct SlotCourse {
    follower: String,
    slot: String,
    reigns: Vec<Primary>,
    /// Looks at a primary at which the slot was not there or lost, with the node.
    failed: Vec<(u64, String, &'static str)>,
    held_bytes: Option<(u64, u64)>,
    /// The longest time for which nobody used it.
    unused_us: u64,
}

fn courses(evidence: &Evidence<'_>) -> Vec<SlotCourse> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let last_us = evidence.events.last().map_or(0, |event| event.at_us).min(watched.until_us);
    let spans = spans(evidence.plan, evidence.events).into_iter().filter(|span| span.by_plan);
    let course = |span: Following<'_>| {
        let follows = span.cluster.follows.as_ref()?;
        let slot = follows.slot.as_deref()?;
        let followed = evidence.plan.cluster(&follows.cluster)?;
        let until_us = span.until_us.unwrap_or(u64::MAX).min(last_us);
        let reigns = leaders(evidence.events, followed, span.from_us.max(steady_us), until_us);
        Some(SlotCourse::new(&span.cluster.name, slot, reigns, evidence.events))
    };
    spans.filter_map(course).collect()
}

/// Which node of a cluster led it when, by what its observer saw: the primary, or in a cluster that follows another one the
/// standby leader, which streams from outside.
fn leaders(events: &[Event], cluster: &Cluster, from_us: u64, until_us: u64) -> Vec<Primary> {
    let follows = cluster.follows.is_some();
    let is_leader = |state: &NodeState| state.is_primary() || (follows && streams_from_outside(state, cluster));
    let mut found: Vec<Primary> = Vec::new();
    for node in &cluster.nodes {
        let mut open: Option<(u64, u64)> = None;
        let mut close = |span: Option<(u64, u64)>| {
            let Some((first_us, last_us)) = span else { return };
            let (from_us, until_us) = (first_us.saturating_add(LOOK_US).max(from_us), last_us.min(until_us));
            if from_us < until_us {
                found.push(Primary { node: node.clone(), from_us, until_us, unseen_us: 0, seen: false });
            }
        };
        for event in events {
            let Occurrence::NodeState(state) = &event.what else { continue };
            if state.node != *node {
                continue;
            }
            match is_leader(state) {
                true => open = Some((open.map_or(event.at_us, |(first_us, _)| first_us), event.at_us)),
                false => close(open.take()),
            }
        }
        close(open.take());
    }
    found.sort_by_key(|primary| primary.from_us);
    found
}

impl SlotCourse {
    fn new(follower: &str, slot: &str, reigns: Vec<Primary>, events: &[Event]) -> Self {
        let (follower, slot) = (follower.to_owned(), slot.to_owned());
        let mut course = Self { follower, slot, reigns, failed: Vec::new(), held_bytes: None, unused_us: 0 };
        for index in 0..course.reigns.len() {
            course.follow(index, events);
        }
        course
    }

    /// Takes in what the looks at a primary showed.
    fn follow(&mut self, index: usize, events: &[Event]) {
        let Primary { node, from_us, until_us, .. } = self.reigns[index].clone();
        let (mut last_us, mut unused_since_us) = (from_us, None);
        for event in events.iter().filter(|event| (from_us..=until_us).contains(&event.at_us)) {
            match &event.what {
                Occurrence::SlotState { node: of, slot, active, held_bytes, wal_status }
                    if *of == node && *slot == self.slot =>
                {
                    if wal_status.as_deref() == Some(LOST) {
                        self.failed.push((event.seq, node.clone(), "had lost"));
                    }
                    let most = self.held_bytes.map_or(0, |(most, _)| most);
                    if let Some(bytes) = held_bytes.filter(|bytes| *bytes > most || self.held_bytes.is_none()) {
                        self.held_bytes = Some((bytes, event.seq));
                    }
                    let since_us = *unused_since_us.get_or_insert(event.at_us);
                    match active {
                        true => unused_since_us = None,
                        false => self.unused_us = self.unused_us.max(event.at_us.saturating_sub(since_us)),
                    }
                    self.reigns[index].seen = true;
                }
                Occurrence::SlotAbsent { node: of, slot } if *of == node && *slot == self.slot => {
                    self.failed.push((event.seq, node.clone(), "did not have"));
                }
                _ => continue,
            }
            let own = &mut self.reigns[index];
            own.unseen_us = own.unseen_us.max(event.at_us.saturating_sub(last_us));
            last_us = event.at_us;
        }
        let own = &mut self.reigns[index];
        own.unseen_us = own.unseen_us.max(until_us.saturating_sub(last_us));
    }

    /// The failures, each once for a primary.
    fn lost(&self) -> Vec<&(u64, String, &'static str)> {
        let mut lost: Vec<&(u64, String, &'static str)> = Vec::new();
        for failure in &self.failed {
            if !lost.iter().any(|(_, node, how)| *node == failure.1 && *how == failure.2) {
                lost.push(failure);
            }
        }
        lost
    }

    fn finding(&self) -> Finding {
        let (slot, follower) = (&self.slot, &self.follower);
        let lost = self.lost();
        let (outcome, summary) = if !lost.is_empty() {
            let told: Vec<_> = lost.iter().map(|(_, node, how)| format!("{node} {how} it")).collect();
            let told = told.join("; ");
            (Outcome::Fail, format!("the slot {slot}, by which {follower} follows, did not hold: as primary, {told}"))
        } else if let Some(doubt) = self.doubt() {
            (
                Outcome::Inconclusive,
                format!("the slot {slot}, by which {follower} follows, is not known to be lost, but {doubt}"),
            )
        } else {
            let names: Vec<&str> = self.reigns.iter().map(|primary| primary.node.as_str()).collect();
            let held =
                self.held_bytes.map(|(bytes, _)| format!(", {} at most", value(SLOT_HELD_MAX_BYTES, bytes as f64)));
            let (names, held) = (names.join(", then "), held.unwrap_or_default());
            (Outcome::Pass, format!("the slot {slot} held the WAL that {follower} had yet to fetch{held}, on {names}"))
        };
        let mut details: Vec<Measure> = Vec::new();
        details.extend(self.held_bytes.map(|(bytes, _)| Measure::new(SLOT_HELD_MAX_BYTES, bytes as f64)));
        details.push(Measure::new(SLOT_UNUSED_MS, milliseconds(self.unused_us)));
        let most = self.held_bytes.map(|(_, seq)| seq);
        Finding::new(NAME, outcome, summary)
            .with_measure(Measure::new(SLOTS_LOST, lost.len() as f64))
            .with_details(details)
            .with_evidence(self.failed.iter().map(|(seq, ..)| *seq).take(SHOWN_EVENTS).chain(most))
    }

    /// What nobody looked at.
    fn doubt(&self) -> Option<String> {
        if self.reigns.is_empty() {
            return Some("no primary that should have it was seen for long enough".to_owned());
        }
        // Slots are asked for once a second: one that led for less may not have been asked.
        let none_seen = !self.reigns.iter().any(|primary| primary.seen);
        let is_unseen = |primary: &&Primary| {
            let led_us = primary.until_us.saturating_sub(primary.from_us);
            (!primary.seen && (none_seen || led_us > ASKED_WITHIN_US)) || primary.unseen_us > UNSEEN_US
        };
        let unseen = self.reigns.iter().find(is_unseen)?;
        let (node, unseen_s) = (&unseen.node, milliseconds(unseen.unseen_us) / 1000.0);
        Some(format!("it was not looked for on {node} for {unseen_s:.1} s while that was primary"))
    }
}
