//! A comparison in words, for the terminal.

use std::fmt::Write as _;

use super::{Change, Comparison, Conclusion, ScenarioChange, TimingChange};
use crate::quantity::written::seconds;

/// The comparison as text: regressions first, then what can't be told, then the rest; last what else differs.
pub fn text(comparison: &Comparison) -> String {
    let mut out = format!("{} -> {}\n", comparison.old, comparison.new);
    for scenario in &comparison.scenarios {
        of_scenario(&mut out, scenario);
    }
    if !comparison.claims.is_empty() {
        out.push_str("\nclaims that trials missed\n");
    }
    for claim in &comparison.claims {
        let word = match claim.conclusion() {
            Conclusion::Regressed => "REGRESSED",
            Conclusion::CannotTell => "can't tell",
            Conclusion::NoWorse => "no worse",
        };
        let _ = writeln!(
            out,
            "  {word:<12}{}: missed in {} of {}, before in {} of {} (p = {})",
            claim.id,
            claim.new_missed,
            claim.new_decided,
            claim.old_missed,
            claim.old_decided,
            probability(claim.p)
        );
    }
    for (only, which) in [(&comparison.only_old, "old"), (&comparison.only_new, "new")] {
        for name in only {
            let _ = writeln!(out, "\nonly in the {which} run: {name}");
        }
    }
    if !comparison.inputs.is_empty() {
        out.push_str("\nwhat else differs\n");
    }
    for change in &comparison.inputs {
        let of = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let _ = writeln!(out, "  {}: {} -> {}", change.name, of(&change.old), of(&change.new));
    }
    let _ = writeln!(out, "\n{}", in_a_sentence(comparison));
    out
}

fn of_scenario(out: &mut String, scenario: &ScenarioChange) {
    let _ = writeln!(
        out,
        "\n{} [{}]: {} against {} trials",
        scenario.name, scenario.topology, scenario.new_trials, scenario.old_trials
    );
    for timing in &scenario.timings {
        let _ = writeln!(out, "  {:<12}{}", word(timing.change), of_timing(timing));
    }
    if scenario.timings.is_empty() {
        out.push_str("  no time was measured in both\n");
    }
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Regressed => "REGRESSED",
        Change::Improved => "improved",
        Change::NoWorse => "no worse",
        Change::CannotTell { .. } => "can't tell",
    }
}

/// One timing in a line, after the word that says what it comes to.
pub fn of_timing(timing: &TimingChange) -> String {
    let name = timing.measure.strip_suffix("_ms").unwrap_or(&timing.measure).replace('_', " ");
    let median = |value: Option<f64>| value.map_or_else(|| "no end".to_owned(), seconds);
    let mut told = format!("{name}: median {} -> {}", median(timing.old_median_ms), median(timing.new_median_ms));
    if let Some(shift_ms) = timing.shift_ms {
        let _ = write!(told, ", shift {}", signed(Some(shift_ms)));
    }
    if let Some((low, high)) = timing.interval_ms {
        let _ = write!(told, " (95 %: {} to {})", signed(low), signed(high));
    }
    if let Some(p) = timing.p {
        let _ = write!(told, ", p = {}", probability(p));
    }
    match timing.change {
        Change::CannotTell { more_trials: Some(1) } => told.push_str("; about 1 more trial each would"),
        Change::CannotTell { more_trials: Some(more) } => {
            let _ = write!(told, "; about {more} more trials each would");
        }
        Change::CannotTell { more_trials: None } => told.push_str("; more than 1,000 more trials each would"),
        _ => {}
    }
    told
}

fn signed(value: Option<f64>) -> String {
    match value {
        None => "no end".to_owned(),
        Some(value) if value > 0.0 => format!("+{}", seconds(value)),
        Some(value) => seconds(value),
    }
}

fn probability(p: f64) -> String {
    if p < 0.001 { "<0.001".to_owned() } else { format!("{p:.3}") }
}

/// What the comparison comes to.
fn in_a_sentence(comparison: &Comparison) -> &'static str {
    match comparison.conclusion() {
        Conclusion::Regressed => "REGRESSED: at least one phase or claim is worse",
        Conclusion::CannotTell if comparison.scenarios.is_empty() => "CAN'T TELL: the runs have no scenario in common",
        Conclusion::CannotTell => "CAN'T TELL: nothing is proven to be worse, and not everything is proven not to be",
        Conclusion::NoWorse => "NO WORSE: nothing is worse by more than the margin",
    }
}
