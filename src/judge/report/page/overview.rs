//! The table of scenarios that a report begins with: each in one line, with the figure that decides it.

use super::{
    count, prose,
    scenario::{ExpectationLine, NOT_MEASURED, ScenarioBlock, TrialBlock},
};

/// One scenario in one line.
#[derive(Debug, Clone, PartialEq)]
pub struct OverviewLine {
    /// Where its section is.
    pub id: String,
    pub outcome: &'static str,
    /// It is a negative control, and caught in every trial.
    pub caught: bool,
    pub name: String,
    pub topology: String,
    /// `3 trials`; empty for one.
    pub trials: String,
    /// What was measured and decides, with its name; of several trials the median and the span.
    pub figure: String,
    pub target: String,
    /// What failed or could not be proven; empty if nothing did.
    pub why: String,
}

/// The line of a scenario.
pub(super) fn line(block: &ScenarioBlock) -> OverviewLine {
    let shown = block.trials.iter().find(|trial| trial.shown);
    let decisive = shown.and_then(decisive);
    OverviewLine {
        id: block.id.clone(),
        outcome: block.outcome,
        caught: block.caught,
        name: block.name.clone(),
        topology: block.topology.clone(),
        trials: if block.trial_count > 1 { count(block.trial_count, "trial") } else { String::new() },
        figure: decisive.map(|row| figure(block, row)).unwrap_or_default(),
        target: decisive.map(|row| row.target.clone()).unwrap_or_default(),
        why: match block.proofs.iter().find(|proof| proof.outcome == block.outcome && proof.outcome != "pass") {
            Some(proof) => format!("{}: {}", proof.claim, proof.told),
            None => shown.filter(|_| block.outcome != "pass").map(why).unwrap_or_default(),
        },
    }
}

/// The expectation that decided: the first that was missed, else the first that was not proven, else the first.
fn decisive(trial: &TrialBlock) -> Option<&ExpectationLine> {
    let of = |outcome: &str| trial.expectations.iter().find(|row| row.outcome == outcome);
    of("fail").or_else(|| of("inconclusive")).or(trial.expectations.first())
}

fn figure(block: &ScenarioBlock, row: &ExpectationLine) -> String {
    match block.main_statistics.iter().find(|line| line.name == row.measure) {
        Some(line) if block.trial_count > 1 => {
            format!("{} {} ({} to {})", row.measure, line.median, line.least, line.most)
        }
        _ if row.measured == NOT_MEASURED => format!("{}: {NOT_MEASURED}", row.measure),
        _ => format!("{} {}", row.measure, row.measured),
    }
}

fn why(trial: &TrialBlock) -> String {
    let bad = trial.findings.iter().find(|row| row.outcome == trial.outcome && !row.intended);
    prose::line(bad.map_or(trial.gist.as_str(), |row| row.summary.text.as_str()))
}
