//! The hops that WAL takes, the names of their measures, and the looks at the standbys of each.

use std::collections::BTreeMap;

use super::{LAG_RESOLUTION_MS, asked_at_the_earliest_us};
use crate::{
    checks::{
        Evidence,
        course::following::{follows, spans},
    },
    history::{Event, Occurrence, event::Role},
};

/// A hop of replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    /// From a primary to a standby of its own cluster.
    Standby,
    /// From there to the leader of a cluster that follows.
    Region,
    /// From that leader to a standby of its own cluster.
    Cascade,
    /// From the primary's archive to the leader of a cluster that follows, to which nobody streams.
    Shipping,
}

impl Hop {
    pub(super) const ALL: [Hop; 4] = [Hop::Standby, Hop::Region, Hop::Cascade, Hop::Shipping];

    pub(super) fn words(self) -> &'static str {
        match self {
            Hop::Standby => "standbys of the primary",
            Hop::Region => "leaders of clusters that follow",
            Hop::Cascade => "standbys of clusters that follow",
            Hop::Shipping => "leaders of clusters that follow by their archive",
        }
    }
}

/// The names of the measures of one hop.
#[derive(Debug, Clone, Copy)]
pub struct Names {
    pub median_ms: &'static str,
    pub p95_ms: &'static str,
    pub max_ms: &'static str,
    pub median_bytes: &'static str,
    pub p95_bytes: &'static str,
    pub max_bytes: &'static str,
    pub before_fault_median_ms: &'static str,
    pub before_fault_p95_ms: &'static str,
    /// By how much the one above may be more.
    pub before_fault_p95_resolution_ms: &'static str,
    pub before_fault_max_ms: &'static str,
    pub before_fault_max_bytes: &'static str,
    pub at_fault_ms: &'static str,
    pub at_fault_bytes: &'static str,
}

/// How many names a hop has.
const OF_A_HOP: usize = 13;

macro_rules! names {
    ($hop:literal) => {
        Names {
            median_ms: concat!($hop, "_lag_median_ms"),
            p95_ms: concat!($hop, "_lag_p95_ms"),
            max_ms: concat!($hop, "_lag_max_ms"),
            median_bytes: concat!($hop, "_lag_median_bytes"),
            p95_bytes: concat!($hop, "_lag_p95_bytes"),
            max_bytes: concat!($hop, "_lag_max_bytes"),
            before_fault_median_ms: concat!($hop, "_lag_before_fault_median_ms"),
            before_fault_p95_ms: concat!($hop, "_lag_before_fault_p95_ms"),
            before_fault_p95_resolution_ms: concat!($hop, "_lag_before_fault_p95_resolution_ms"),
            before_fault_max_ms: concat!($hop, "_lag_before_fault_max_ms"),
            before_fault_max_bytes: concat!($hop, "_lag_before_fault_max_bytes"),
            at_fault_ms: concat!($hop, "_lag_at_fault_ms"),
            at_fault_bytes: concat!($hop, "_lag_at_fault_bytes"),
        }
    };
}

/// The names of each hop, in the order of [`Hop::ALL`].
pub(super) const HOPS: [Names; 4] = [names!("standby"), names!("region"), names!("cascade"), names!("shipping")];

/// Every measure of the check.
pub(super) const MEASURES: [&str; HOPS.len() * OF_A_HOP + 1] = {
    let mut all = [LAG_RESOLUTION_MS; HOPS.len() * OF_A_HOP + 1];
    let mut index = 0;
    while index < HOPS.len() * OF_A_HOP {
        all[index] = HOPS[index / OF_A_HOP].list()[index % OF_A_HOP];
        index += 1;
    }
    all
};

impl Names {
    const fn list(&self) -> [&'static str; OF_A_HOP] {
        [
            self.median_ms,
            self.p95_ms,
            self.max_ms,
            self.median_bytes,
            self.p95_bytes,
            self.max_bytes,
            self.before_fault_median_ms,
            self.before_fault_p95_ms,
            self.before_fault_p95_resolution_ms,
            self.before_fault_max_ms,
            self.before_fault_max_bytes,
            self.at_fault_ms,
            self.at_fault_bytes,
        ]
    }

    /// Whether a measure is of all looks, and not of those before the first fault alone.
    pub(super) fn is_of_the_whole_course(&self, measure: &str) -> bool {
        let whole = [self.median_ms, self.p95_ms, self.max_ms, self.median_bytes, self.p95_bytes, self.max_bytes];
        whole.contains(&measure)
    }

    pub(super) fn has(&self, measure: &str) -> bool {
        self.list().contains(&measure)
    }
}

/// A look at a standby.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub seq: u64,
    pub node: &'a str,
    pub hop: Hop,
    /// What the look says was so at some instant between these two.
    pub asked_us: u64,
    pub at_us: u64,
    pub timeline: u32,
    pub lsn: u64,
}

/// What was last known of a standby: it reports neither while it receives nothing.
#[derive(Default)]
struct Known<'a> {
    source: Option<&'a str>,
    timeline: Option<u32>,
    /// What it had replayed when it was first seen to receive nothing.
    stopped_at: Option<u64>,
}

/// The timeline that everything was written on, if no other was ever begun.
fn only_timeline(evidence: &Evidence<'_>) -> Option<u32> {
    let of_primary = |event: &Event| match &event.what {
        Occurrence::NodeState(state) if state.is_primary() && evidence.plan.cluster_of(&state.node).is_some() => {
            state.timeline
        }
        _ => None,
    };
    let mut timelines = evidence.events.iter().filter_map(of_primary);
    let first = timelines.next()?;
    timelines.all(|timeline| timeline == first).then_some(first)
}

/// Every look at a standby that has a position, with the hop that the standby is on.
pub(super) fn looks<'a>(evidence: &Evidence<'a>) -> Vec<Look<'a>> {
    let spans = spans(evidence.plan, evidence.events);
    let only_timeline = only_timeline(evidence);
    let mut known: BTreeMap<&str, Known<'a>> = BTreeMap::new();
    let mut found = Vec::new();
    for event in evidence.events {
        let Occurrence::NodeState(state) = &event.what else { continue };
        let node = state.node.as_str();
        if !state.reachable || state.role != Some(Role::Standby) {
            // What comes back may be another standby.
            known.remove(node);
            continue;
        }
        let own = known.entry(node).or_default();
        own.source = state.streaming_from.as_deref().or(own.source);
        own.timeline = state.timeline.or(own.timeline);
        own.stopped_at = state.lsn.filter(|_| state.streaming_from.is_none()).map(|lsn| own.stopped_at.unwrap_or(lsn));
        // What it replays from then on came from its archive.
        let is_shipped = own.stopped_at.is_some_and(|stopped_at| state.lsn.is_some_and(|lsn| lsn > stopped_at));
        let Some(cluster) = evidence.plan.cluster_of(node) else { continue };
        let within = own.source.map(|source| cluster.nodes.iter().any(|other| other == source));
        let hop = match (follows(&spans, &cluster.name, event.at_us), within) {
            (true, None) if cluster.is_shipped() => Hop::Shipping,
            (_, None) => continue,
            (false, _) => Hop::Standby,
            (true, Some(false)) if is_shipped => Hop::Shipping,
            (true, Some(false)) => Hop::Region,
            (true, Some(true)) => Hop::Cascade,
        };
        let (Some(timeline), Some(lsn)) = (own.timeline.or(only_timeline), state.lsn) else { continue };
        let asked_us = state.asked_us.unwrap_or_else(|| asked_at_the_earliest_us(event.at_us));
        found.push(Look { seq: event.seq, node, hop, asked_us, at_us: event.at_us, timeline, lsn });
    }
    found
}
