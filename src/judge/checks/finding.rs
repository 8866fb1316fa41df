//! What a check says.

use serde::{Deserialize, Serialize};

use crate::history::event::{Bound, Expectation};

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
    /// The lineage or cluster that it concerns, where the scenario has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub outcome: Outcome,
    /// One sentence that a reliability engineer can act on, with the figures.
    pub summary: String,
    /// The measure that was held against `target`.
    pub measure: Option<Measure>,
    pub target: Option<Bound>,
    /// Further measures: phases, rows, bytes.
    pub details: Vec<Measure>,
    /// Ids of the claims that it bears on.
    pub claims: Vec<String>,
    /// `seq` of the events that show it.
    pub evidence: Vec<u64>,
    /// It is judged over the trials of its scenario and not in this one alone. Filled in by the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_trials: bool,
}

impl Measure {
    /// A measured value for which nothing is predicted.
    pub fn new(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), value, predicted: None }
    }
}

impl Finding {
    /// A finding that holds no measure against a target. Its claims are filled in by the verdict.
    pub fn new(check: &str, outcome: Outcome, summary: impl Into<String>) -> Self {
        Self {
            check: check.to_owned(),
            of: None,
            outcome,
            summary: summary.into(),
            measure: None,
            target: None,
            details: Vec::new(),
            claims: Vec::new(),
            evidence: Vec::new(),
            over_trials: false,
        }
    }

    /// The same of one lineage or cluster among several, which its sentence names first.
    pub fn concerning(self, name: &str) -> Self {
        Self { of: Some(name.to_owned()), summary: format!("{name}: {}", self.summary), ..self }
    }

    /// The same with this measure as the one that matters.
    pub fn with_measure(self, measure: Measure) -> Self {
        Self { measure: Some(measure), ..self }
    }

    /// The same with further measures.
    pub fn with_details(self, details: Vec<Measure>) -> Self {
        Self { details, ..self }
    }

    /// The same with the events that show it, each once and in their order.
    pub fn with_evidence(self, evidence: impl IntoIterator<Item = u64>) -> Self {
        let mut evidence: Vec<u64> = evidence.into_iter().collect();
        evidence.sort_unstable();
        evidence.dedup();
        Self { evidence, ..self }
    }

    /// The value of a measure, wherever the finding has it.
    pub fn value_of(&self, measure: &str) -> Option<f64> {
        self.measure.iter().chain(&self.details).find(|own| own.name == measure).map(|own| own.value)
    }

    /// The same finding with one of its measures held against a bound: a value that misses it fails, and a measure
    /// that the finding does not have leaves it unproven. The worse of the outcome so far and this one counts.
    pub fn held_to(mut self, measure: &str, bound: Bound) -> Self {
        self.target = Some(bound);
        self.details.splice(0..0, self.measure.take());
        let Some(index) = self.details.iter().position(|own| own.name == measure) else {
            self.outcome = self.outcome.max(Outcome::Inconclusive);
            self.summary = format!("{measure} was not measured; {}", self.summary);
            return self;
        };
        let found = self.details.remove(index);
        if !bound.holds(found.value) {
            self.outcome = Outcome::Fail;
        }
        self.measure = Some(found);
        self
    }

    /// The same finding held to what the scenario expects.
    pub fn held_against(self, expectation: &Expectation) -> Self {
        self.held_to(&expectation.measure, expectation.bound)
    }

    /// The same, but one that is in doubt stays so, whatever it measured.
    pub fn held_where_known(self, expectation: &Expectation) -> Self {
        let before = self.outcome;
        let held = self.held_against(expectation);
        if before == Outcome::Inconclusive { Self { outcome: before, ..held } } else { held }
    }
}

impl std::fmt::Display for Bound {
    /// As words, for example `at most 30000`; the unit is the measure's.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::AtMost(most) => write!(formatter, "at most {most}"),
            Bound::AtLeast(least) => write!(formatter, "at least {least}"),
            Bound::Between(least, most) => write!(formatter, "between {least} and {most}"),
            Bound::Exactly(exact) => write!(formatter, "exactly {exact}"),
        }
    }
}
