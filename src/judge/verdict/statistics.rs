//! Figures over the trials of a scenario.

use std::collections::BTreeMap;

use super::{ScenarioGroup, ScenarioVerdict, Statistics, TrialValue};
use crate::checks::{Check, Measure, Outcome};

impl Statistics {
    /// The figures of a measure; `None` without a trial.
    pub fn of(measure: &str, predicted: Option<(f64, f64)>, trials: Vec<TrialValue>) -> Option<Self> {
        let mut sorted: Vec<f64> = trials.iter().map(|trial| trial.value).collect();
        sorted.sort_by(f64::total_cmp);
        let (minimum, maximum) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted[sorted.len() / 2];
        let lower = sorted[(sorted.len() - 1) / 2];
        let rank = (sorted.len() * 95).div_ceil(100).max(1);
        let measure = measure.to_owned();
        Some(Self {
            measure,
            predicted,
            minimum,
            median: (lower + upper) / 2.0,
            p95: sorted[rank - 1],
            maximum,
            trials,
        })
    }
}

/// What identifies a scenario, whatever the trial: file, line, name and topology.
type Key<'s> = (&'s str, usize, &'s str, &'s str);

/// The scenarios with all their trials, in the order of their first one.
pub(super) fn groups(scenarios: &[ScenarioVerdict], table: &[Check]) -> Vec<ScenarioGroup> {
    let mut grouped: BTreeMap<Key<'_>, Vec<&ScenarioVerdict>> = BTreeMap::new();
    for verdict in scenarios {
        if let Some(scenario) = &verdict.scenario {
            let key: Key<'_> = (&scenario.file, scenario.line, &scenario.name, &verdict.topology);
            grouped.entry(key).or_default().push(verdict);
        }
    }
    let mut groups: Vec<ScenarioGroup> = grouped.into_values().filter_map(|trials| group(&trials, table)).collect();
    groups.sort_by_key(|group| group.scenarios.first().copied());
    groups
}

fn group(trials: &[&ScenarioVerdict], table: &[Check]) -> Option<ScenarioGroup> {
    let scenario = trials.first()?.scenario.as_ref()?;
    Some(ScenarioGroup {
        feature: scenario.feature.clone(),
        name: scenario.name.clone(),
        file: scenario.file.clone(),
        line: scenario.line,
        topology: trials.first()?.topology.clone(),
        outcome: trials.iter().map(|trial| trial.outcome).max()?,
        scenarios: trials.iter().map(|trial| trial.number).collect(),
        statistics: table
            .iter()
            .flat_map(|check| check.measures.iter().map(move |measure| (check.name, *measure)))
            .filter_map(|(check, measure)| over_trials(trials, check, measure))
            .collect(),
    })
}

fn over_trials(trials: &[&ScenarioVerdict], check: &str, measure: &str) -> Option<Statistics> {
    let mut predicted: Option<(f64, f64)> = None;
    let mut values = Vec::new();
    for trial in trials {
        let own: Vec<&Measure> = measured(trial, check, measure).collect();
        for (least, most) in own.iter().filter_map(|own| own.predicted) {
            let (low, high) = predicted.unwrap_or((least, most));
            predicted = Some((low.min(least), high.max(most)));
        }
        // A scenario with several faults has a value for each; the worst stands for it.
        if let Some(value) = own.iter().map(|own| own.value).max_by(f64::total_cmp) {
            let number = trial.scenario.as_ref().map_or(1, |scenario| scenario.trial);
            values.push(TrialValue { scenario: trial.number, trial: number, value });
        }
    }
    Statistics::of(measure, predicted, values)
}

/// The values of a measure that the check's findings stand by.
pub(super) fn measured<'v>(
    trial: &'v ScenarioVerdict,
    check: &str,
    measure: &str,
) -> impl Iterator<Item = &'v Measure> {
    let decided = trial.findings.iter().filter(move |finding| finding.outcome != Outcome::Inconclusive);
    let own: Vec<_> = decided
        .filter(|finding| finding.check == check)
        .filter_map(|finding| finding.measure.iter().chain(&finding.details).find(|own| own.name == measure))
        .collect();
    own.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn statistics(values: &[f64]) -> Statistics {
        let trial = |(index, value): (usize, &f64)| TrialValue {
            scenario: index as u32 + 1,
            trial: index as u32 + 1,
            value: *value,
        };
        Statistics::of("write_outage_ms", None, values.iter().enumerate().map(trial).collect()).unwrap()
    }

    #[test]
    fn the_nearest_rank_of_known_values() {
        // The fourteen outages measured by hand, in seconds.
        let by_hand = [24.0, 25.1, 25.1, 27.4, 27.4, 27.7, 28.8, 28.8, 28.8, 30.4, 30.5, 31.7, 31.7, 31.8];
        let found = statistics(&by_hand);
        assert_eq!((found.minimum, found.median, found.p95, found.maximum), (24.0, 28.8, 31.8, 31.8));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((statistics(&hundred).median, statistics(&hundred).p95), (50.5, 95.0));
        assert_eq!(statistics(&[7.0]).p95, 7.0);
    }

    proptest! {
        #[test]
        fn figures_are_in_order(values in prop::collection::vec(0.0..1e6f64, 1..50)) {
            let found = statistics(&values);
            prop_assert!(found.minimum <= found.median && found.median <= found.p95.max(found.median));
            prop_assert!(found.p95 <= found.maximum && found.minimum <= found.p95);
            let within = values.iter().filter(|value| **value <= found.p95).count();
            prop_assert!(within * 100 >= values.len() * 95);
        }
    }
}
