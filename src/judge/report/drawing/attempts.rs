//! What clients tried, aggregated to what a pixel can hold.

use std::collections::BTreeMap;

use super::timeline::{Content, Lane};
use crate::{
    history::{
        Event,
        event::{AttemptOutcome, ClientKind, Occurrence, Operation},
    },
    plan::{Plan, PlannedEndpoint},
    topology::Serves,
};

/// Buckets of client attempts across the window.
pub const BUCKETS: u64 = 330;

/// What one kind of client tried at an endpoint, across the window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempts {
    pub buckets: Vec<Bucket>,
    /// How many buckets lie from one attempt to the next when all goes well, at least 1. A client that tries less often
    /// than buckets come has empty ones in between, which are no gaps.
    pub stride: usize,
}

impl Attempts {
    /// What to show in each bucket: its own attempts, or else the last before it that still stand for this time.
    pub fn shown(&self) -> Vec<Bucket> {
        let standing = |place: usize| {
            let first = place.saturating_sub(self.stride - 1);
            self.buckets[first..=place].iter().rev().find(|bucket| bucket.total() > 0).copied().unwrap_or_default()
        };
        (0..self.buckets.len()).map(standing).collect()
    }
}

/// Attempts of a client that began in one stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    pub acknowledged: u32,
    pub refused: u32,
    pub unknown: u32,
}

impl Bucket {
    pub fn total(self) -> u32 {
        self.acknowledged + self.refused + self.unknown
    }
}

/// A lane for each way in which clients used an endpoint that is no node's own.
pub fn attempt_lanes(plan: &Plan, events: &[&Event], from_us: u64, to_us: u64) -> Vec<Lane> {
    let kinds = [
        (ClientKind::Fresh, "new connections"),
        (ClientKind::Held, "held session"),
        (ClientKind::Writer, "load"),
        (ClientKind::Application, "applications"),
    ];
    let endpoints = plan.endpoints.iter().filter(|endpoint| endpoint.serves != Serves::Node);
    let lanes = endpoints.flat_map(|endpoint| kinds.map(|(kind, detail)| (endpoint, kind, detail)));
    let lane = |(endpoint, kind, detail): (&PlannedEndpoint, ClientKind, &str)| {
        let operation = if endpoint.serves.is_for_reads() { Operation::Read } else { Operation::Write };
        let tried = attempts(events, &endpoint.name, operation, kind, (from_us, to_us));
        let label = format!("{} endpoint", endpoint.name);
        let is_any = tried.buckets.iter().any(|bucket| bucket.total() > 0);
        is_any.then(|| Lane { label, detail: detail.to_owned(), content: Content::Attempts(tried) })
    };
    lanes.filter_map(lane).collect()
}

/// Counts the attempts that began in each of [`BUCKETS`] equal stretches of the window.
fn attempts(
    events: &[&Event],
    endpoint: &str,
    operation: Operation,
    kind: ClientKind,
    (from_us, to_us): (u64, u64),
) -> Attempts {
    let mut buckets = vec![Bucket::default(); BUCKETS as usize];
    let mut started_us = Vec::new();
    for event in events {
        let Occurrence::Attempt(attempt) = &event.what else { continue };
        if attempt.endpoint != endpoint || attempt.operation != operation || attempt.client_kind != kind {
            continue;
        }
        if !(from_us..to_us).contains(&attempt.started_us) {
            continue;
        }
        started_us.push(attempt.started_us);
        let place = (attempt.started_us - from_us) * BUCKETS / (to_us - from_us);
        let bucket = &mut buckets[place as usize];
        match attempt.outcome {
            AttemptOutcome::Acknowledged { .. } => bucket.acknowledged += 1,
            AttemptOutcome::Refused { .. } => bucket.refused += 1,
            AttemptOutcome::Unknown { .. } => bucket.unknown += 1,
        }
    }
    let stride = usual_gap_us(started_us).saturating_mul(BUCKETS).div_ceil(to_us - from_us).max(1);
    Attempts { buckets, stride: stride as usize }
}

/// The median time between two attempts.
fn usual_gap_us(mut started_us: Vec<u64>) -> u64 {
    started_us.sort_unstable();
    let mut gaps_us: Vec<u64> = started_us.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    gaps_us.sort_unstable();
    gaps_us.get(gaps_us.len() / 2).copied().unwrap_or_default()
}

/// When each node acknowledged writes, as the answers name it, through whatever endpoint.
pub fn acknowledged_writes<'a>(events: &[&'a Event]) -> BTreeMap<&'a str, Vec<u64>> {
    let mut times: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for event in events {
        let Occurrence::Attempt(attempt) = &event.what else { continue };
        if let (Operation::Write, AttemptOutcome::Acknowledged { node, .. }) = (attempt.operation, &attempt.outcome) {
            times.entry(node).or_default().push(event.at_us);
        }
    }
    for times in times.values_mut() {
        times.sort_unstable();
    }
    times
}

/// Joins instants that are at most `gap_us` apart.
pub fn runs(sorted_us: &[u64], gap_us: u64) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for at_us in sorted_us.iter().copied() {
        match runs.last_mut() {
            Some((_, last_us)) if at_us.saturating_sub(*last_us) <= gap_us => *last_us = at_us,
            _ => runs.push((at_us, at_us)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_tries_less_often_than_buckets_come_shows_no_gaps_but_real_ones() {
        let tried = Bucket { acknowledged: 1, ..Bucket::default() };
        let none = Bucket::default();
        let buckets = vec![tried, none, tried, tried, none, none, none, tried];
        let shown = |stride| Attempts { buckets: buckets.clone(), stride }.shown();
        assert_eq!(shown(1), buckets);
        assert_eq!(shown(2), [tried, tried, tried, tried, tried, none, none, tried]);
        assert_eq!(usual_gap_us(vec![900, 0, 200, 400]), 200);
        assert_eq!(usual_gap_us(vec![7]), 0);
    }
}
