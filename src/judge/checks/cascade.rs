//! Did the standbys of a cluster that follows another one stream from their own leader, and did another node take its place
//! when it was lost?
//!
//! By the looks at the cluster's nodes while it follows ([`super::course::following`]): the node that streams from outside the
//! cluster is its standby leader, the others are to stream from a node of the cluster. Where the plan has the cluster take its
//! WAL from an archive alone, its leader is the node that streams from nobody.
//!
//! - At the end, which is the last answer of each node before the load ends, a node that streams from nobody is **detached**,
//!   and so is each of several that stream from outside, and each that streams from itself by way of others. One of
//!   them is a failure: a cascade is there to cross the link once. A node that did not answer in the last
//!   [`LAST_LOOK_US`] is in doubt here; the check `rejoin` asks for it.
//! - `standby_leader_gap_ms`: the longest time between two looks that showed a standby leader. It is at most the real one
//!   plus two looks.
//! - `standby_leader_changes`: how often another node than before was seen as one.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        following::{Following, gets_wal_from_outside, spans},
        grouping::Watched,
        phases::milliseconds,
    },
};
use crate::{
    history::{
        Occurrence,
        event::{NodeState, Role},
    },
    quantity::written::value,
};

const NAME: &str = "cascade";
pub const DETACHED_STANDBYS: &str = "detached_standbys";
pub const STANDBY_LEADER_GAP_MS: &str = "standby_leader_gap_ms";
const STANDBY_LEADER_CHANGES: &str = "standby_leader_changes";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did standbys of a cluster that follows another one stream from their own leader, also after it was lost?",
    measures: &[DETACHED_STANDBYS, STANDBY_LEADER_GAP_MS, STANDBY_LEADER_CHANGES],
    over: Over::Lineage,
    judge,
};

/// Nodes are looked at once a second at least. What was seen longer before the end says nothing of the end.
const LAST_LOOK_US: u64 = 5_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let findings: Vec<Finding> = courses(evidence).iter().map(|own| own.finding(evidence)).collect();
    evidence.held(NAME, findings, "no cluster followed another one to the end, so nobody had to cascade")
}

/// Whether another node became standby leader while its cluster followed.
pub fn leader_changed(evidence: &Evidence<'_>) -> bool {
    courses(evidence).iter().any(|own| own.changes > 0)
}

/// Where a node streams from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source<'a> {
    Outside,
    /// This node of its own cluster.
    Inside(&'a str),
    Nobody,
}

/// What a look at a node showed that it answered.
#[derive(Debug, Clone, Copy)]
struct Answer<'a> {
    at_us: u64,
    seq: u64,
    source: Source<'a>,
}

/// How a cluster cascaded while it followed.
struct Course<'a> {
    span: Following<'a>,
    until_us: u64,
    /// The last answer of each node.
    last: BTreeMap<&'a str, Answer<'a>>,
    gap_us: u64,
    changes: u64,
}

/// Of the clusters that follow until the load ends.
fn courses<'a>(evidence: &Evidence<'a>) -> Vec<Course<'a>> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let last_us = evidence.events.last().map_or(0, |event| event.at_us);
    let until_us = watched.until_us.min(last_us);
    let to_the_end = spans(evidence.plan, evidence.events).into_iter().filter(|span| span.until_us.is_none());
    to_the_end.map(|span| Course::of(evidence, span, steady_us, until_us)).collect()
}

impl<'a> Course<'a> {
    fn of(evidence: &Evidence<'a>, span: Following<'a>, steady_us: u64, until_us: u64) -> Self {
        let mut course = Self { span, until_us, last: BTreeMap::new(), gap_us: 0, changes: 0 };
        let from_us = span.from_us.max(steady_us);
        let (mut leader, mut led_us): (Option<&str>, u64) = (None, from_us);
        for event in evidence.events.iter().filter(|event| (from_us..until_us).contains(&event.at_us)) {
            let Occurrence::NodeState(state) = &event.what else { continue };
            let Some(node) = span.cluster.nodes.iter().find(|node| **node == state.node) else { continue };
            if !state.reachable {
                continue;
            }
            let source = course.source(state);
            course.last.insert(node, Answer { at_us: event.at_us, seq: event.seq, source });
            if source == Source::Outside {
                course.gap_us = course.gap_us.max(event.at_us.saturating_sub(led_us));
                course.changes += u64::from(leader.is_some_and(|before| before != node.as_str()));
                (leader, led_us) = (Some(node.as_str()), event.at_us);
            }
        }
        course.gap_us = course.gap_us.max(until_us.saturating_sub(led_us));
        course
    }

    fn source<'s>(&self, state: &'s NodeState) -> Source<'s> {
        if gets_wal_from_outside(state, self.span.cluster, self.span.by_plan) {
            return Source::Outside;
        }
        match state.streaming_from.as_deref().filter(|_| state.role == Some(Role::Standby)) {
            Some(source) if self.span.cluster.nodes.iter().any(|own| own == source) => Source::Inside(source),
            _ => Source::Nobody,
        }
    }

    /// Whether what a node streams comes from itself: each streams from the next, and the last from the first.
    fn is_in_a_circle(&self, node: &str) -> bool {
        let mut from = node;
        for _ in &self.last {
            match self.last.get(from).map(|answer| answer.source) {
                Some(Source::Inside(source)) if source == node => return true,
                Some(Source::Inside(source)) => from = source,
                _ => return false,
            }
        }
        false
    }

    fn finding(&self, evidence: &Evidence<'_>) -> Finding {
        let name = &self.span.cluster.name;
        let asked: Vec<&str> =
            evidence.asked().into_iter().filter(|node| self.span.cluster.nodes.iter().any(|own| own == node)).collect();
        let is_recent = |at_us: u64| at_us.saturating_add(LAST_LOOK_US) >= self.until_us;
        let seen = |is_so: fn(Source<'_>) -> bool| {
            let own = |node: &&&str| {
                self.last.get(**node).is_some_and(|answer| is_so(answer.source) && is_recent(answer.at_us))
            };
            asked.iter().filter(own).copied().collect::<Vec<&str>>()
        };
        let (outside, nobody) = (seen(|own| own == Source::Outside), seen(|own| own == Source::Nobody));
        let inside = seen(|own| matches!(own, Source::Inside(_)));
        let circle: Vec<&str> = inside.iter().copied().filter(|node| self.is_in_a_circle(node)).collect();
        let unseen = asked.len() - outside.len() - nobody.len() - inside.len();
        let surplus = outside.len().saturating_sub(1);
        let detached = nobody.len() + surplus + circle.len();
        let (outcome, summary) = if asked.is_empty() {
            (Outcome::Inconclusive, format!("no node of {name} had to be there in the end"))
        } else if !nobody.is_empty() {
            (Outcome::Fail, format!("in the end {} of {name} streamed from nobody", nobody.join(", ")))
        } else if surplus > 0 {
            let nodes = outside.join(", ");
            (Outcome::Fail, format!("in the end {nodes} of {name} each got their WAL from outside of it"))
        } else if !circle.is_empty() {
            let nodes = circle.join(", ");
            (Outcome::Fail, format!("in the end {nodes} of {name} streamed from themselves, in a circle"))
        } else if unseen > 0 || outside.is_empty() {
            (Outcome::Inconclusive, format!("it was not seen from whom every node of {name} streamed in the end"))
        } else {
            let (leader, gap) = (outside.join(", "), value(STANDBY_LEADER_GAP_MS, milliseconds(self.gap_us)));
            let changes = self.changes;
            let followers = inside.join(", ");
            let summary = format!(
                "in the end {leader} of {name} got its WAL from outside and {followers} from a node of it; the standby leader changed {changes} times, and none was seen for at most {gap}"
            );
            (Outcome::Pass, summary)
        };
        Finding::new(NAME, outcome, summary)
            .with_measure(Measure::new(DETACHED_STANDBYS, detached as f64))
            .with_details(vec![
                Measure::new(STANDBY_LEADER_GAP_MS, milliseconds(self.gap_us)),
                Measure::new(STANDBY_LEADER_CHANGES, self.changes as f64),
            ])
            .with_evidence(self.last.values().map(|answer| answer.seq))
    }
}
