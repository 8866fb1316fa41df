//! What a scenario expects of what is measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A target that a scenario states for a measure of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expectation {
    /// The check that judges it, for example `recovery_time`.
    pub check: String,
    /// The measure of that check, with its unit, for example `write_outage_ms`.
    pub measure: String,
    /// The one that the step names where a check judges several: an application. Left out: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub bound: Bound,
    /// The step's text, for the report.
    pub text: String,
    pub line: usize,
}

/// What a measured value is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
    Exactly(f64),
}

impl Bound {
    /// Whether the value keeps the bound.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
            Bound::Between(least, most) => (least..=most).contains(&value),
            Bound::Exactly(exact) => value == exact,
        }
    }
}
