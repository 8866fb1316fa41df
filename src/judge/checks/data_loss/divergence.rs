//! Do the standbys hold the rows of the primary?
//!
//! A standby that is behind lacks rows without being wrong, so what it lacks counts only where it can't be lag:
//!
//! - it had replayed, before its ledger was read, all that the primary had written;
//! - or every node had rejoined after the last fault was healed, and the replay of all WAL was waited for;
//! - or it had replayed a write that started after the missing one was acknowledged, for WAL is replayed in its order: one
//!   of the same client that it holds, or one of any client whose position it had passed.
//!
//! What a standby holds and the primary lacks is no lag, with one exception: a write that was given up just before the end
//! of the load may wait on the primary for its synchronous standby, which shows it already.
//!
//! A node that is not on the primary's timeline has not followed it yet: the check `rejoin` says so, and here it proves
//! nothing.

use std::collections::BTreeMap;

use super::NAME;
use crate::{
    checks::{
        Evidence, Finding, Measure, Outcome,
        course::{
            ancestry::{Ancestry, Departure},
            ledgers::{Ledger, Ledgers},
            record::{Tried, faults, reached_us},
        },
    },
    history::{
        Occurrence,
        event::{AttemptOutcome, Bound, Milestone},
    },
};

/// The measure of what differs.
pub(super) const ROWS: &str = "diverged_rows";

/// A write that was given up no longer than this before the load ended may still be under way.
const UNDER_WAY_US: u64 = 5_000_000;

/// The standbys whose rows are not those of the primary.
pub struct Divergence<'a> {
    nodes: Vec<Differing<'a>>,
}

/// A standby that holds other rows than the primary.
struct Differing<'a> {
    node: &'a str,
    rows: u64,
    /// Those that can't be lag.
    proven_rows: u64,
    /// Those that the standby itself acknowledged, on a timeline that was left: it was not rewound as it should have been.
    superseded_rows: u64,
    follows: bool,
}

impl<'a> Divergence<'a> {
    pub fn new(
        evidence: &Evidence<'_>,
        writes: &[Tried<'_>],
        ledgers: &Ledgers<'a>,
        primary: &Ledger,
        ancestry: &Ancestry<'_>,
    ) -> Self {
        let scene = Scene {
            writes,
            primary,
            ancestry,
            waited: waited_for_replay(evidence),
            stopped_us: reached_us(evidence.events, Milestone::LoadStopped).unwrap_or(u64::MAX),
        };
        let nodes = ledgers.others().filter_map(|(node, ledger)| scene.differing(node, ledger));
        Self { nodes: nodes.collect() }
    }

    /// How many rows differ, of all standbys.
    pub fn rows(&self) -> u64 {
        self.nodes.iter().fold(0, |sum, own| sum.saturating_add(own.rows))
    }

    /// A failure if a difference is proven, a doubt if all may be lag.
    pub fn finding(&self, primary: &str, ledgers: &Ledgers<'_>) -> Option<Finding> {
        if self.nodes.is_empty() {
            return None;
        }
        let words: Vec<_> = self.nodes.iter().map(Differing::words).collect();
        let summary = format!("ledgers differ from that of the primary {primary}: {}", words.join(", "));
        let superseded = self.nodes.iter().fold(0_u64, |sum, own| sum.saturating_add(own.superseded_rows));
        let finding = Finding::new(NAME, Outcome::Pass, summary)
            .with_measure(Measure::new(ROWS, self.rows() as f64))
            .with_details(vec![Measure::new("superseded_rows", superseded as f64)])
            .with_evidence(ledgers.evidence())
            .held_to(ROWS, Bound::Exactly(0.0));
        let proven = self.nodes.iter().any(|own| own.proven_rows > 0);
        Some(if proven { finding } else { Finding { outcome: Outcome::Inconclusive, ..finding } })
    }
}

impl Differing<'_> {
    fn words(&self) -> String {
        let tail = match (self.follows, self.proven_rows) {
            (false, _) => " (it was not on the primary's timeline)".to_owned(),
            (true, 0) => " (it may have been lag: it was not seen to have replayed everything)".to_owned(),
            (true, proven) if proven < self.rows => format!(" ({proven} of them can't be lag)"),
            (true, _) => String::new(),
        };
        format!("{} by {} rows{tail}", self.node, self.rows)
    }
}

/// What the standbys are compared with.
struct Scene<'s, 'e> {
    writes: &'s [Tried<'e>],
    primary: &'s Ledger,
    ancestry: &'s Ancestry<'e>,
    /// Whether the drill saw every standby replay everything.
    waited: bool,
    stopped_us: u64,
}

impl Scene<'_, '_> {
    fn differing<'a>(&self, node: &'a str, ledger: &Ledger) -> Option<Differing<'a>> {
        let lacking = self.primary.rows.missing_in(&ledger.rows);
        let extra = ledger.rows.missing_in(&self.primary.rows);
        let rows = lacking.saturating_add(extra);
        if rows == 0 {
            return None;
        }
        let mut own = Differing { node, rows, proven_rows: 0, superseded_rows: 0, follows: self.follows(ledger) };
        let replayed = self.waited || ledger.had_replayed(self.primary);
        let (mut under_way, mut lag) = (0, 0);
        let (of_client, of_all) = self.replayed_until(ledger);
        let precedes_replayed = |tried: &Tried<'_>| {
            let until_us = of_client.get(&tried.attempt.client).map_or(of_all, |until_us| of_all.max(*until_us));
            tried.acknowledged() && tried.ended_us <= until_us
        };
        for tried in self.writes {
            let id = (tried.attempt.client, tried.attempt.sequence);
            match (self.primary.rows.contains(id.0, id.1), ledger.rows.contains(id.0, id.1)) {
                (true, false) if !replayed && !precedes_replayed(tried) => lag += 1,
                (false, true) => {
                    under_way += u64::from(self.is_under_way(tried));
                    own.superseded_rows += u64::from(self.is_superseded(node, tried));
                }
                _ => {}
            }
        }
        if own.follows {
            // Rows of which no attempt is known: more of them are no lag, less may be.
            let lacking = if replayed { lacking } else { lacking.min(self.recorded_lacking(ledger)) };
            own.proven_rows = lacking.saturating_sub(lag).saturating_add(extra.saturating_sub(under_way));
        }
        Some(own)
    }

    fn follows(&self, ledger: &Ledger) -> bool {
        ledger.timeline == self.primary.timeline
    }

    /// How many of the rows that a standby lacks were written by an attempt that is known.
    fn recorded_lacking(&self, ledger: &Ledger) -> u64 {
        let lacks = |tried: &&Tried<'_>| {
            let (client, sequence) = (tried.attempt.client, tried.attempt.sequence);
            self.primary.rows.contains(client, sequence) && !ledger.rows.contains(client, sequence)
        };
        self.writes.iter().filter(lacks).count() as u64
    }

    /// Until when acknowledged writes are surely in what a standby has replayed: those of each client, and those of all.
    fn replayed_until(&self, ledger: &Ledger) -> (BTreeMap<u32, u64>, u64) {
        let (mut of_client, mut of_all) = (BTreeMap::new(), 0);
        for tried in self.writes {
            let (client, sequence) = (tried.attempt.client, tried.attempt.sequence);
            if self.primary.rows.contains(client, sequence) && ledger.rows.contains(client, sequence) {
                let until_us = of_client.entry(client).or_insert(0);
                *until_us = tried.started_us().max(*until_us);
            }
            if ledger.had_replayed_to(tried.attempt) {
                of_all = tried.started_us().max(of_all);
            }
        }
        (of_client, of_all)
    }

    fn is_under_way(&self, tried: &Tried<'_>) -> bool {
        let unknown = matches!(tried.attempt.outcome, AttemptOutcome::Unknown { .. });
        unknown && tried.ended_us.saturating_add(UNDER_WAY_US) >= self.stopped_us
    }

    /// Whether the node itself acknowledged it, on a timeline that was left.
    fn is_superseded(&self, node: &str, tried: &Tried<'_>) -> bool {
        let Some((writer, timeline)) = tried.answered_by() else { return false };
        let departure =
            self.ancestry.departure(writer, timeline, self.ancestry.begun(writer, timeline, tried.ended_us));
        writer == node && matches!(departure, Departure::At(_) | Departure::Elsewhere)
    }
}

/// Whether every node had rejoined after the last fault was healed, and the replay of all WAL was waited for.
fn waited_for_replay(evidence: &Evidence<'_>) -> bool {
    let events = evidence.events;
    let faults = faults(events);
    let healed = faults.iter().all(|fault| fault.healed_us.is_some());
    let last_us = faults.iter().filter_map(|fault| fault.healed_us.max(Some(fault.injecting_us))).max().unwrap_or(0);
    let rejoined = events.iter().any(|event| {
        event.at_us >= last_us && matches!(event.what, Occurrence::Reached { milestone: Milestone::Rejoined })
    });
    // The drill notes a wait that came to nothing as a step that failed.
    let stopped_us = reached_us(events, Milestone::LoadStopped).unwrap_or(u64::MAX);
    let mut late = events.iter().filter(|event| event.at_us >= stopped_us);
    healed && rejoined && !late.any(|event| matches!(event.what, Occurrence::StepFailed { .. }))
}
