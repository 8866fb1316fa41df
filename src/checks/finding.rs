//! What a check says.

use serde::{Deserialize, Serialize};

use crate::history::event::Bound;

/// The outcome of a finding, a scenario or a run. Ordered from best to worst, so the worst is the maximum:
/// a failure is proven and outweighs what is merely unproven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Inconclusive,
    Fail,
}

/// A value that a check measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Its name with the unit, for example `write_outage_ms`.
    pub name: String,
    pub value: f64,
    /// What the settings predict, least and most, where they predict something.
    pub predicted: Option<(f64, f64)>,
}

/// A measured value against a target, with the events that show it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that says it.
    pub check: String,
    pub outcome: Outcome,
    /// One sentence that a reliability engineer can act on, with the figures.
    pub summary: String,
    /// The measure that was held against `target`.
    pub measure: Option<Measure>,
    pub target: Option<Bound>,
    /// Further measures: phases, rows, bytes.
    pub details: Vec<Measure>,
    /// Ids of the documented claims that it bears on.
    pub claims: Vec<String>,
    /// `seq` of the events that show it.
    pub evidence: Vec<u64>,
}
