//! Two runs beside each other, phase by phase: what became slower or faster, and what can't be told from so few trials.
//!
//! Trials are compared only with trials of the same scenario on the topology of the same name, and within strata: an outage
//! in which the raft leader of the DCS was lost with the primary is of another kind, for its successor grants the lease its
//! full time again. Of every measure the exact rank test ([`rank`]) gives the shift with its interval; the phases of one
//! scenario are corrected for their number by Holm's method. Claims are compared by how many trials missed them, by Fisher's
//! exact test.
//!
//! Architecture invariant: pure. It compares two verdicts and judges no history.

mod claims;
mod inputs;
pub mod rank;
mod timings;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{history::event::RunStarted, plan::Plan, verdict::RunVerdict};

pub use claims::ClaimChange;
pub use inputs::InputChange;
pub use timings::{Change, ScenarioChange, TimingChange};
pub use words::text;

/// The confidence of intervals, and of what counts as a difference.
pub const CONFIDENCE: f64 = 0.95;

/// A shift up to this, in milliseconds, is no difference that matters, if nobody says otherwise.
pub const MARGIN_MS: f64 = 1_000.0;

/// One side of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub run: &'a RunStarted,
    pub verdict: &'a RunVerdict,
    /// The plan of each scenario, by its number.
    pub plans: &'a BTreeMap<u32, Plan>,
}

/// What differs between two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The ids of the runs.
    pub old: String,
    pub new: String,
    /// Each scenario that both have: regressions first.
    pub scenarios: Vec<ScenarioChange>,
    /// Each claim that both bear on, and that trials of either missed: regressions first.
    pub claims: Vec<ClaimChange>,
    /// Scenarios that only one of them has.
    pub only_old: Vec<String>,
    pub only_new: Vec<String>,
    /// What else differs: packages, settings.
    pub inputs: Vec<InputChange>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Nothing is worse by more than the margin.
    NoWorse,
    /// Something may be worse: there are too few trials to tell, or nothing that both have.
    CannotTell,
    /// Something is worse.
    Regressed,
}

/// Compares a new run with an old one. A shift up to the margin, in milliseconds, or up to 5 % of the old median is no
/// difference that matters.
pub fn compare(old: Side<'_>, new: Side<'_>, margin_ms: f64) -> Comparison {
    let (scenarios, only_old, only_new) = timings::compare(old.verdict, new.verdict, margin_ms);
    Comparison {
        old: old.run.run.clone(),
        new: new.run.run.clone(),
        scenarios,
        claims: claims::compare(old.verdict, new.verdict),
        only_old,
        only_new,
        inputs: inputs::compare(old, new),
    }
}

impl Comparison {
    /// The worst of all that was compared.
    pub fn conclusion(&self) -> Conclusion {
        let timings = self.scenarios.iter().flat_map(|scenario| &scenario.timings);
        let of_timings = timings.map(|timing| timing.change.conclusion());
        let of_claims = self.claims.iter().map(ClaimChange::conclusion);
        let missing = [&self.only_old].into_iter().filter(|only| !only.is_empty()).map(|_| Conclusion::CannotTell);
        let compared = of_timings.chain(of_claims).chain(missing).max();
        if self.scenarios.is_empty() { Conclusion::CannotTell } else { compared.unwrap_or(Conclusion::CannotTell) }
    }
}
