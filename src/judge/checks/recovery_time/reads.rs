//! Reads through the endpoint `read`: their own outages, by the rules for writes, and whether they are stale.
//!
//! - `read_outage_ms` is the longest outage of fresh reads after the first fault. One that is open when the load ends fails a
//!   bound that it has outlasted, and proves nothing otherwise; a noticeable one before the first fault proves nothing.
//! - `read_outages` counts them all, those that are open among them. `longest_read_gap_ms` is the longest time for which the
//!   client that holds a session at the endpoint got no answer, until its next session's first one or the end of the load.
//! - A read is **stale** if a timeline answers it that was superseded before it began: a client had been acknowledged a write
//!   on a later one. (A standby whose WAL receiver is away names no timeline; such a read is not counted.) `stale_read_ms` is
//!   the time from the first write on a later timeline to the last read that the superseded one answered. Standbys need a
//!   moment to follow. But stale reads after every node had rejoined, or to the end, show that what the cluster is taken for
//!   is not what clients get: that is inconclusive, and a bound on the time can be stated.

use std::{
    collections::BTreeMap,
    ops::Bound::{Excluded, Unbounded},
};

use super::{
    LONGEST_READ_GAP_MS, NAME, READ_OUTAGE_MS, READ_OUTAGES, READS_NOT_RECOVERED_FOR_MS, STALE_READ_MS,
    doubt::{HarnessError, doubted, edges},
    words::against,
};
use crate::{
    checks::{
        Evidence, Finding, Measure, Outcome,
        course::{
            grouping::Watched,
            outage::{Outage, SETTLE_US, Window, outages},
            phases::milliseconds,
            record::Tried,
        },
        load_was_real::END_US,
    },
    history::{
        Occurrence,
        event::{ClientKind, Expectation, Milestone, Operation},
    },
    topology::READ,
};

/// What is measured of reads.
pub(super) const MEASURES: &[&str] = &[READ_OUTAGE_MS, READ_OUTAGES, LONGEST_READ_GAP_MS, STALE_READ_MS];

/// What became of reads after the first fault.
pub(super) struct Reads {
    /// The length of the longest outage, and whether all of them had settled when the load ended.
    outage_ms: f64,
    settled: bool,
    /// The length of each.
    lengths_ms: Vec<f64>,
    /// The longest wait of the client that holds sessions.
    longest_gap_ms: Option<f64>,
    /// For how long clients had not been able to read when the load ended.
    open_ms: Option<f64>,
    evidence: Vec<u64>,
    /// Before the first fault, long enough to be noticed.
    before_ms: Option<f64>,
    /// How long superseded timelines answered, and whether they did so to the end.
    stale_ms: f64,
    stale_to_the_end: bool,
}

impl Reads {
    /// `None` without fresh clients of the endpoint.
    pub(super) fn of(evidence: &Evidence<'_>, all: &[Tried<'_>], watched: Watched, fault_us: u64) -> Option<Self> {
        let fresh: Vec<_> = all.iter().copied().filter(|tried| tried.is_fresh(READ, Operation::Read)).collect();
        let last_start_us = fresh.last()?.started_us();
        let window = Window { from_us: fault_us, until_us: watched.until_us, ended_by_fault: watched.ground_lost };
        let watched_until_us = watched.until_us.min(last_start_us);
        let tried_until_us = all.last().map_or(0, Tried::started_us).min(watched.until_us);
        let length_us = |outage: &Outage| outage.length_us(watched_until_us);
        let found = outages(&fresh, window);
        let open = found.iter().find(|outage| outage.to_us.is_none());
        let longest = found.iter().max_by_key(|outage| length_us(outage));
        let shown = longest.iter().chain(&open).flat_map(|outage| outage.first_seq.into_iter().chain(outage.last_seq));
        let before = watched.before_first_fault(&fresh, Some(fault_us));
        let before_us = before.iter().map(|outage| outage.length_us(fault_us)).max();
        let (stale_us, stale_to_the_end) = stale(evidence, all, watched);
        Some(Self {
            outage_ms: longest.map_or(0.0, |outage| milliseconds(length_us(outage))),
            settled: found.iter().all(|outage| outage.settled)
                && last_start_us.saturating_add(END_US) >= tried_until_us,
            lengths_ms: found.iter().map(|outage| milliseconds(length_us(outage))).collect(),
            longest_gap_ms: longest_gap_us(all, window, watched_until_us).map(milliseconds),
            open_ms: open.map(|outage| milliseconds(length_us(outage))),
            evidence: shown.collect(),
            before_ms: before_us.map(milliseconds),
            stale_ms: milliseconds(stale_us),
            stale_to_the_end,
        })
    }

    /// The figures that are known: an outage that did not end has no length.
    pub(super) fn measures(&self) -> Vec<Measure> {
        let outage = self.open_ms.is_none().then(|| Measure::new(READ_OUTAGE_MS, self.outage_ms));
        let outages = Measure::new(READ_OUTAGES, self.lengths_ms.len() as f64);
        let gap = self.longest_gap_ms.map(|gap_ms| Measure::new(LONGEST_READ_GAP_MS, gap_ms));
        let stale = (self.stale_ms > 0.0).then(|| Measure::new(STALE_READ_MS, self.stale_ms));
        outage.into_iter().chain([outages]).chain(gap).chain(stale).collect()
    }

    /// What is not as it should be, whether anyone asked or not. An expectation has its own answer.
    pub(super) fn doubts(&self, expectations: &[&Expectation]) -> Vec<Finding> {
        let asked = |measure| expectations.iter().any(|expectation| expectation.measure == measure);
        let mut doubts = Vec::new();
        if let Some(open_ms) = self.open_ms.filter(|_| !asked(READ_OUTAGE_MS)) {
            let seconds = open_ms / 1000.0;
            let summary = format!("when the load ended, clients had not been able to read for {seconds:.1} s");
            let open = Measure::new(READS_NOT_RECOVERED_FOR_MS, open_ms);
            doubts.push(Finding::new(NAME, Outcome::Inconclusive, summary).with_measure(open));
        }
        if let Some(before_ms) = self.before_ms {
            let seconds = before_ms / 1000.0;
            let summary =
                format!("an outage of reads of {seconds:.1} s began before the first fault: no fault explains it");
            doubts.push(Finding::new(NAME, Outcome::Inconclusive, summary));
        }
        if self.stale_to_the_end {
            let summary = format!(
                "reads were answered from a superseded timeline to the end, {:.1} s after the first write on a later one",
                self.stale_ms / 1000.0
            );
            let finding = Finding::new(NAME, Outcome::Inconclusive, summary);
            doubts.push(finding.with_measure(Measure::new(STALE_READ_MS, self.stale_ms)));
        }
        doubts.into_iter().map(|doubt| doubt.with_evidence(self.evidence.iter().copied())).collect()
    }

    /// The measure that an expectation is about, and what it says; `None`: it was not measured.
    fn told(&self, measure: &str) -> (Option<f64>, String) {
        let outage_s = self.outage_ms / 1000.0;
        match measure {
            STALE_READ_MS => {
                let seconds = self.stale_ms / 1000.0;
                (Some(self.stale_ms), format!("a superseded timeline answered reads for {seconds:.1} s"))
            }
            READ_OUTAGES => {
                let count = self.lengths_ms.len();
                let spans = if count == 1 { "outage" } else { "outages" };
                (Some(count as f64), format!("clients had {count} {spans} of reads, of {outage_s:.1} s at most"))
            }
            LONGEST_READ_GAP_MS => match self.longest_gap_ms {
                Some(gap_ms) => (Some(gap_ms), format!("one client waited {:.1} s for a read", gap_ms / 1000.0)),
                None => (None, "no client held a session to read".to_owned()),
            },
            _ => (Some(self.outage_ms), format!("clients could not read for {outage_s:.1} s at a time")),
        }
    }

    /// An expectation of reads, held against what was measured.
    pub(super) fn held(&self, expectation: &Expectation, error: &HarnessError) -> Finding {
        let (value, summary) = self.told(&expectation.measure);
        let measure = value.map(|value| Measure::new(&expectation.measure, value));
        let verdict = measure.as_ref().map(|measure| against(measure, expectation)).unwrap_or_default();
        let open = self.open_ms.map(|open_ms| Measure::new(READS_NOT_RECOVERED_FOR_MS, open_ms));
        let finding =
            Finding::new(NAME, Outcome::Pass, format!("{summary}{verdict}")).with_details(open.into_iter().collect());
        let finding = Finding { measure, ..finding }.held_against(expectation);
        let finding = error.applied_to(finding).with_evidence(self.evidence.iter().copied());
        let missed = edges(expectation.bound).1.is_some_and(|most| value.is_some_and(|value| value > most));
        let sure = self.lengths_ms.iter().filter(|ms| **ms > error.late_ms).count();
        match finding.outcome {
            Outcome::Fail if expectation.measure == READ_OUTAGES && expectation.bound.holds(sure as f64) => {
                doubted(finding, &format!("only {sure} were longer than the harness's timers were late"))
            }
            _ if expectation.measure == STALE_READ_MS || missed => finding,
            _ if self.open_ms.is_some() => doubted(finding, "clients could not read any more when the load ended"),
            Outcome::Pass if !self.settled => doubted(finding, "the load ended before the recovery had settled"),
            _ => finding,
        }
    }
}

/// The longest time between two answers in a row to the client that holds a session at the endpoint, one session after the
/// other, of those that end in the window. One that got no answer any more waited until fresh clients tried last.
fn longest_gap_us(all: &[Tried<'_>], window: Window, tried_until_us: u64) -> Option<u64> {
    let held = all.iter().filter(|tried| {
        tried.attempt.client_kind == ClientKind::Held && tried.attempt.endpoint == READ && !tried.is_write()
    });
    let own = held.filter(|tried| tried.acknowledged() && tried.started_us() < window.until_us);
    let mut answers: Vec<u64> = own.map(|tried| tried.ended_us).collect();
    answers.sort_unstable();
    answers.push(tried_until_us.max(*answers.last()?));
    answers.windows(2).filter(|pair| pair[1] >= window.from_us).map(|pair| pair[1].saturating_sub(pair[0])).max()
}

/// For how long superseded timelines answered reads, and whether they did so after every node had rejoined or to the end.
fn stale(evidence: &Evidence<'_>, all: &[Tried<'_>], watched: Watched) -> (u64, bool) {
    let mut begun_us: BTreeMap<u32, u64> = BTreeMap::new();
    for tried in all.iter().filter(|tried| tried.is_write()) {
        let Some((_, timeline)) = tried.answered_by() else { continue };
        let first_us = begun_us.entry(timeline).or_insert(tried.ended_us);
        *first_us = tried.ended_us.min(*first_us);
    }
    let superseded_us = |timeline: u32| begun_us.range((Excluded(timeline), Unbounded)).map(|(_, at_us)| *at_us).min();
    // A cluster that follows another one is behind by nature.
    let follows = |endpoint: &str| {
        let of = evidence.plan.endpoint(endpoint).and_then(|own| evidence.plan.cluster(own.of.as_deref()?));
        of.is_some_and(|cluster| cluster.follows.is_some())
    };
    let counts = |tried: &&Tried<'_>| !tried.is_write() && !follows(&tried.attempt.endpoint);
    let reads = || all.iter().filter(counts).filter(|tried| tried.started_us() < watched.until_us);
    let stale = reads().filter_map(|tried| {
        let (_, timeline) = tried.answered_by().filter(|(_, timeline)| *timeline > 0)?;
        let since_us = superseded_us(timeline).filter(|since_us| *since_us < tried.started_us())?;
        Some((tried.ended_us.saturating_sub(since_us), tried.started_us()))
    });
    let stale: Vec<(u64, u64)> = stale.collect();
    let longest_us = stale.iter().map(|(us, _)| *us).max().unwrap_or(0);
    let last_us = stale.iter().map(|(_, started_us)| *started_us).max();
    let rejoined_us = evidence.events.iter().rev().find_map(|event| match event.what {
        Occurrence::Reached { milestone: Milestone::Rejoined } => Some(event.at_us),
        _ => None,
    });
    let ended_us = reads().map(Tried::started_us).max().unwrap_or(0);
    let late = |at_us: u64| rejoined_us.is_some_and(|us| at_us > us) || at_us.saturating_add(SETTLE_US) > ended_us;
    // A switch in the very last moments is no reason: standbys need theirs.
    (longest_us, last_us.is_some_and(late) && longest_us > SETTLE_US)
}
