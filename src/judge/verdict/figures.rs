//! Figures over the trials of a scenario.

use std::collections::BTreeMap;

use super::{ScenarioGroup, ScenarioVerdict, Statistics, TrialValue, proofs};
use crate::{
    checks::{Check, Measure, Outcome},
    claims::Claims,
    history::event::{Bound, Rule},
    quantity::written,
    statistics::bounds::{self, CONFIDENCE},
};

/// The quantile whose bounds stand beside the figures.
const QUANTILE: f64 = 0.95;

/// Measures that have no value where their end never came, and the measure of the same check that says how long it had
/// not come by then.
const OPEN_ENDED: &[(&str, &str)] = &[
    ("write_outage_ms", "not_recovered_for_ms"),
    ("total_outage_ms", "not_recovered_for_ms"),
    ("read_outage_ms", "reads_not_recovered_for_ms"),
];

impl TrialValue {
    /// Whether it keeps a bound; `None`: it is known only that the value is at least this, which decides nothing here.
    pub fn keeps(&self, bound: Bound) -> Option<bool> {
        match bound {
            _ if !self.at_least => Some(bound.holds(self.value)),
            Bound::AtMost(most) | Bound::Between(_, most) | Bound::Exactly(most) if self.value > most => Some(false),
            Bound::AtLeast(least) if self.value >= least => Some(true),
            _ => None,
        }
    }
}

impl Statistics {
    /// The figures of a measure; `None` without a trial.
    pub fn of(measure: &str, predicted: Option<(f64, f64)>, trials: Vec<TrialValue>) -> Option<Self> {
        let sorted = Sorted::new(&trials);
        let count = trials.len();
        let (minimum, minimum_at_least) = sorted.figure(0)?;
        let (maximum, maximum_at_least) = sorted.figure(count - 1)?;
        let (lower, upper) = (sorted.figure((count - 1) / 2)?, sorted.figure(count / 2)?);
        let bounded = |rank: Option<u64>| sorted.figure(usize::try_from(rank?.checked_sub(1)?).ok()?);
        let most = bounded(bounds::rank_at_most(count as u64, QUANTILE, CONFIDENCE));
        Some(Self {
            measure: measure.to_owned(),
            predicted,
            minimum,
            minimum_at_least,
            median: (lower.0 + upper.0) / 2.0,
            median_at_least: lower.1 || upper.1,
            p95_at_least: bounded(bounds::rank_at_least(count as u64, QUANTILE, CONFIDENCE)).map(|(value, _)| value),
            p95_at_most: most.filter(|(_, at_least)| !at_least).map(|(value, _)| value),
            maximum,
            maximum_at_least,
            trials,
        })
    }

    /// What the trials say of the 95th percentile, for people.
    pub fn p95(&self) -> String {
        let worded = |figure: f64| written::value(&self.measure, figure);
        let told = match (self.p95_at_least, self.p95_at_most) {
            (Some(least), Some(most)) => format!("{} to {}", worded(least), worded(most)),
            (Some(least), None) => format!("at least {}", worded(least)),
            (None, Some(most)) => format!("at most {}", worded(most)),
            (None, None) => "unknown".to_owned(),
        };
        format!("{told} (n = {})", self.trials.len())
    }

    /// The smallest value, for people.
    pub fn least(&self) -> String {
        self.worded(self.minimum, self.minimum_at_least)
    }

    /// The middle value, for people.
    pub fn middle(&self) -> String {
        self.worded(self.median, self.median_at_least)
    }

    /// The largest value, for people.
    pub fn most(&self) -> String {
        self.worded(self.maximum, self.maximum_at_least)
    }

    /// A value of this measure in words, also one of which only the least is known.
    pub fn worded(&self, value: f64, at_least: bool) -> String {
        format!("{}{}", if at_least { "more than " } else { "" }, written::value(&self.measure, value))
    }
}

/// The values of trials in order, twice: each as small and as large as it can be.
struct Sorted {
    least: Vec<f64>,
    most: Vec<f64>,
}

impl Sorted {
    fn new(trials: &[TrialValue]) -> Self {
        let sorted = |value: fn(&TrialValue) -> f64| {
            let mut values: Vec<f64> = trials.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let most = |trial: &TrialValue| if trial.at_least { f64::INFINITY } else { trial.value };
        Self { least: sorted(|trial| trial.value), most: sorted(most) }
    }

    /// The value at this place, and whether it is only known to be at least that.
    fn figure(&self, place: usize) -> Option<(f64, bool)> {
        let (least, most) = (*self.least.get(place)?, *self.most.get(place)?);
        Some((least, most > least))
    }
}

/// What identifies a scenario, whatever the trial: file, line, name and topology.
type Key<'s> = (&'s str, usize, &'s str, &'s str);

/// The scenarios with all their trials, in the order of their first one.
pub(super) fn groups(
    scenarios: &[ScenarioVerdict],
    table: &[Check],
    rule: Option<Rule>,
    claims: &Claims,
) -> Vec<ScenarioGroup> {
    let mut grouped: BTreeMap<Key<'_>, Vec<&ScenarioVerdict>> = BTreeMap::new();
    for verdict in scenarios {
        if let Some(scenario) = &verdict.scenario {
            let key: Key<'_> = (&scenario.file, scenario.line, &scenario.name, &verdict.topology);
            grouped.entry(key).or_default().push(verdict);
        }
    }
    let mut groups: Vec<ScenarioGroup> =
        grouped.into_values().filter_map(|trials| group(&trials, table, rule, claims)).collect();
    groups.sort_by_key(|group| group.scenarios.first().copied());
    groups
}

fn group(trials: &[&ScenarioVerdict], table: &[Check], rule: Option<Rule>, claims: &Claims) -> Option<ScenarioGroup> {
    let scenario = trials.first()?.scenario.as_ref()?;
    let proofs = proofs(rule, claims, trials);
    let of_trials = trials.iter().map(|trial| trial.outcome).max()?;
    Some(ScenarioGroup {
        feature: scenario.feature.clone(),
        name: scenario.name.clone(),
        file: scenario.file.clone(),
        line: scenario.line,
        topology: trials.first()?.topology.clone(),
        outcome: proofs.iter().map(|proof| proof.outcome()).fold(of_trials, |worst, own| worst.max(own)),
        proofs,
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
    for (least, most) in trials.iter().flat_map(|trial| measured(trial, check, measure)).filter_map(|own| own.predicted)
    {
        let (low, high) = predicted.unwrap_or((least, most));
        predicted = Some((low.min(least), high.max(most)));
    }
    Statistics::of(
        measure,
        predicted,
        trials.iter().filter_map(|trial| longest(values(trial, check, measure))).collect(),
    )
}

/// The one value that stands for a trial with several faults: the largest. Where one of them is open it may be larger
/// still.
pub(super) fn longest(values: Vec<TrialValue>) -> Option<TrialValue> {
    let at_least = values.iter().any(|value| value.at_least);
    let largest = values.into_iter().max_by(|one, other| one.value.total_cmp(&other.value))?;
    Some(TrialValue { at_least, ..largest })
}

/// Every value of a measure in a trial, with those of which only the least is known.
pub(super) fn values(trial: &ScenarioVerdict, check: &str, measure: &str) -> Vec<TrialValue> {
    let number = trial.scenario.as_ref().map_or(1, |scenario| scenario.trial);
    let value = |value: f64, at_least: bool| TrialValue { scenario: trial.number, trial: number, value, at_least };
    let mut found: Vec<TrialValue> =
        measured(trial, check, measure).map(|measure| value(measure.value, false)).collect();
    let open = OPEN_ENDED.iter().find(|(ended, _)| *ended == measure);
    if let Some((_, not_yet)) = open {
        let own = trial.findings.iter().filter(|finding| finding.check == check);
        found.extend(own.filter_map(|finding| finding.value_of(not_yet)).map(|least| value(least, true)));
    }
    found
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
        let exact: Vec<_> = values.iter().map(|value| (*value, false)).collect();
        of(&exact)
    }

    fn of(values: &[(f64, bool)]) -> Statistics {
        let trial = |(number, (value, at_least)): (u32, &(f64, bool))| TrialValue {
            scenario: number,
            trial: number,
            value: *value,
            at_least: *at_least,
        };
        Statistics::of("write_outage_ms", None, (1..).zip(values).map(trial).collect()).unwrap()
    }

    #[test]
    fn the_95th_percentile_is_told_as_what_it_is() {
        // The fourteen outages measured by hand, in milliseconds.
        let by_hand = [24.0, 25.1, 25.1, 27.4, 27.4, 27.7, 28.8, 28.8, 28.8, 30.4, 30.5, 31.7, 31.7, 31.8];
        let found = statistics(&by_hand);
        assert_eq!((found.minimum, found.median, found.maximum), (24.0, 28.8, 31.8));
        // P(Bin(14, 0.95) ≤ 10) = 0.4 %, P(… ≤ 11) = 3.0 %, P(… ≤ 12) = 15 %.
        assert_eq!((found.p95_at_least, found.p95_at_most), (Some(31.7), None));
        let of_count = |count: u32| statistics(&(1..=count).map(f64::from).collect::<Vec<_>>());
        assert_eq!((of_count(58).p95_at_most, of_count(59).p95_at_most), (None, Some(59.0)));
        assert_eq!(of_count(93).p95_at_most, Some(92.0));
        assert_eq!(of_count(10).p95(), "at least 8 ms (n = 10)");
        assert_eq!(of_count(93).p95(), "85 ms to 92 ms (n = 93)");
    }

    #[test]
    fn a_trial_that_never_ended_is_in_every_figure() {
        let found = of(&[(27.0, false), (33.0, true)]);
        assert_eq!((found.minimum, found.minimum_at_least), (27.0, false));
        assert_eq!((found.median, found.median_at_least), (30.0, true));
        assert_eq!((found.maximum, found.maximum_at_least, found.most().as_str()), (33.0, true, "more than 33 ms"));
        // It may be the longest although others were watched for longer.
        let found = of(&[(10.0, true), (20.0, false), (30.0, false)]);
        assert_eq!((found.minimum, found.minimum_at_least), (10.0, true));
        assert_eq!((found.median, found.median_at_least), (20.0, true));
        assert_eq!((found.maximum, found.maximum_at_least), (30.0, true));
        let mut sixty: Vec<_> = (1..60).map(|value| (f64::from(value), false)).collect();
        sixty.push((5.0, true));
        assert_eq!(of(&sixty).p95_at_most, None);
    }

    #[test]
    fn what_is_known_only_from_below_decides_only_what_it_can() {
        let open = TrialValue { scenario: 1, trial: 1, value: 33.0, at_least: true };
        assert_eq!(open.keeps(Bound::AtMost(30.0)), Some(false));
        assert_eq!(open.keeps(Bound::AtMost(40.0)), None);
        assert_eq!(open.keeps(Bound::AtLeast(30.0)), Some(true));
        assert_eq!(open.keeps(Bound::Between(20.0, 30.0)), Some(false));
        assert_eq!(open.keeps(Bound::Between(20.0, 40.0)), None);
        assert_eq!(open.keeps(Bound::Exactly(0.0)), Some(false));
        let known = TrialValue { at_least: false, ..open };
        assert_eq!((known.keeps(Bound::AtMost(40.0)), known.keeps(Bound::AtMost(30.0))), (Some(true), Some(false)));
    }

    proptest! {
        #[test]
        fn figures_are_in_order(values in prop::collection::vec((0.0..1e6f64, any::<bool>()), 1..80)) {
            let found = of(&values);
            prop_assert!(found.minimum <= found.median && found.median <= found.maximum);
            let within = |bound: Option<f64>| bound.is_none_or(|bound| (found.minimum..=found.maximum).contains(&bound));
            prop_assert!(within(found.p95_at_least) && within(found.p95_at_most));
        }
    }
}
