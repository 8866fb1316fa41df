//! The outage and its phases of one scenario, before and now.

use std::{cmp::Reverse, collections::BTreeMap};

use serde::Serialize;

use super::{
    CONFIDENCE, Conclusion,
    rank::{self, RankTest, Stratum},
};
use crate::{
    checks::course::phases::PHASES,
    verdict::{RunVerdict, ScenarioGroup, Statistics, TrialValue},
};

/// The measure of the whole outage, which comes before its phases.
const OUTAGE: &str = "write_outage_ms";

/// With fewer trials on either side no difference, however large, is unlikely enough.
pub(super) const FEWEST_TRIALS: usize = 4;

/// A shift up to this share of the old median is no difference that matters.
const MARGIN_SHARE: f64 = 0.05;

/// No more trials than these are asked for: nobody would run them.
const MOST_TRIALS_ASKED_FOR: f64 = 1_000.0;

/// One scenario on one topology in both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScenarioChange {
    pub name: String,
    pub topology: String,
    /// How many trials each run has of it.
    pub old_trials: usize,
    pub new_trials: usize,
    /// The outage and its phases: what is worse first.
    pub timings: Vec<TimingChange>,
}

/// A measure of time over the trials of both runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimingChange {
    /// Its name with the unit.
    pub measure: String,
    pub old_trials: usize,
    pub new_trials: usize,
    /// The medians. `None`: half of the trials have no end.
    pub old_median_ms: Option<f64>,
    pub new_median_ms: Option<f64>,
    /// By how much the new values are larger, in milliseconds. `None`: it has no end, or no stratum has values of both.
    pub shift_ms: Option<f64>,
    /// The 95 % interval of the shift; an end that is `None` has no bound.
    pub interval_ms: Option<(Option<f64>, Option<f64>)>,
    /// The probability of such a difference if there is none, corrected for the number of phases.
    pub p: Option<f64>,
    /// A shift up to this does not matter.
    pub margin_ms: f64,
    pub change: Change,
}

/// What the trials say of a measure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Larger than before, by more than the margin.
    Regressed,
    /// Smaller than before, by more than the margin.
    Improved,
    /// If it is larger at all, then by less than the margin.
    NoWorse,
    /// About how many more trials on each side would show a difference; `None`: more than anybody runs.
    CannotTell { more_trials: Option<usize> },
}

impl Change {
    pub(super) fn conclusion(self) -> Conclusion {
        match self {
            Change::Regressed => Conclusion::Regressed,
            Change::Improved | Change::NoWorse => Conclusion::NoWorse,
            Change::CannotTell { .. } => Conclusion::CannotTell,
        }
    }

    fn order(self) -> u8 {
        match self {
            Change::Regressed => 0,
            Change::CannotTell { .. } => 1,
            Change::Improved => 2,
            Change::NoWorse => 3,
        }
    }
}

/// Scenarios of both, and the names of those of one alone.
pub(super) fn compare(
    old: &RunVerdict,
    new: &RunVerdict,
    margin_ms: f64,
) -> (Vec<ScenarioChange>, Vec<String>, Vec<String>) {
    let is_same = |one: &ScenarioGroup, other: &ScenarioGroup| {
        (&one.feature, &one.name, &one.topology) == (&other.feature, &other.name, &other.topology)
    };
    let only = |own: &[ScenarioGroup], others: &[ScenarioGroup]| -> Vec<String> {
        let alone = own.iter().filter(|group| !others.iter().any(|other| is_same(group, other)));
        alone.map(|group| format!("{} [{}]", group.name, group.topology)).collect()
    };
    let both = old.groups.iter().filter_map(|before| {
        let now = new.groups.iter().find(|group| is_same(before, group))?;
        Some(scenario((old, before), (new, now), margin_ms))
    });
    let mut scenarios: Vec<ScenarioChange> = both.collect();
    let worst = |scenario: &ScenarioChange| scenario.timings.iter().map(|timing| timing.change.conclusion()).max();
    scenarios.sort_by_key(|scenario| Reverse(worst(scenario)));
    (scenarios, only(&old.groups, &new.groups), only(&new.groups, &old.groups))
}

fn scenario(old: (&RunVerdict, &ScenarioGroup), new: (&RunVerdict, &ScenarioGroup), margin_ms: f64) -> ScenarioChange {
    let measures = [OUTAGE].into_iter().chain(PHASES.iter().map(|row| row.measure));
    let pairs: Vec<(&Statistics, &Statistics)> = measures
        .filter_map(|measure| {
            let of = |group: &'_ ScenarioGroup| group.statistics.iter().position(|own| own.measure == measure);
            Some((&old.1.statistics[of(old.1)?], &new.1.statistics[of(new.1)?]))
        })
        .collect();
    let tests: Vec<Option<RankTest>> =
        pairs.iter().map(|(before, now)| rank::compare(&strata((old.0, before), (new.0, now)), CONFIDENCE)).collect();
    let corrected = holm(&tests);
    let mut timings: Vec<TimingChange> = pairs
        .iter()
        .zip(tests.iter().zip(corrected))
        .map(|((before, now), (test, p))| timing(before, now, test.as_ref(), p, margin_ms))
        .collect();
    timings.sort_by_key(|timing| timing.change.order());
    ScenarioChange {
        name: old.1.name.clone(),
        topology: old.1.topology.clone(),
        old_trials: old.1.scenarios.len(),
        new_trials: new.1.scenarios.len(),
        timings,
    }
}

/// The values of both sides, apart by whether the DCS had lost its leader too, and by the part of the agent's loop in which
/// the fault came, where every trial of both sides has a cell.
fn strata(old: (&RunVerdict, &Statistics), new: (&RunVerdict, &Statistics)) -> Vec<Stratum> {
    let values: Vec<Value> = [(false, old), (true, new)].into_iter().flat_map(values).collect();
    let mut by_loss: BTreeMap<bool, Vec<Value>> = BTreeMap::new();
    for value in values {
        by_loss.entry(value.dcs_leader_lost).or_default().push(value);
    }
    by_loss.into_values().flat_map(by_phase).collect()
}

/// One trial's value, and what it must be compared within.
struct Value {
    is_new: bool,
    ms: f64,
    dcs_leader_lost: bool,
    /// The share of the agent's loop, from 0 to 1, after which the fault was to come.
    phase: Option<f64>,
}

fn values((is_new, (verdict, statistics)): (bool, (&RunVerdict, &Statistics))) -> Vec<Value> {
    let value = |trial: &TrialValue| {
        let own = verdict.scenarios.iter().find(|scenario| scenario.number == trial.scenario);
        let lost = own.is_some_and(|own| own.failovers.iter().any(|failover| failover.dcs_leader_lost));
        let met = own.filter(|own| own.beside_its_cell.is_none());
        let phase = met.and_then(|own| own.cell.as_ref()).map(|cell| cell.phase);
        let ms = if trial.at_least { f64::INFINITY } else { trial.value };
        Value { is_new, ms, dcs_leader_lost: lost, phase }
    };
    statistics.trials.iter().map(value).collect()
}

/// Splits the loop into as many equal parts as leave each side two trials a part on average, and at most this many: in a
/// quarter of the loop the lease moves the outage by little more than what else does.
const MOST_PARTS_OF_THE_LOOP: usize = 4;

fn by_phase(values: Vec<Value>) -> Vec<Stratum> {
    let new = values.iter().filter(|value| value.is_new).count();
    let fewest = new.min(values.len() - new);
    let knows_phases = values.iter().all(|value| value.phase.is_some());
    let parts = if knows_phases { (fewest / 2).clamp(1, MOST_PARTS_OF_THE_LOOP) } else { 1 };
    let mut strata = vec![Stratum::default(); parts];
    for value in values {
        let part = value.phase.map_or(0, |phase| (phase * parts as f64) as usize).min(parts - 1);
        let side = if value.is_new { &mut strata[part].new } else { &mut strata[part].old };
        side.push(value.ms);
    }
    strata
}

/// Holm's correction: the smallest p times the number of tests, the next times one less, never falling.
fn holm(tests: &[Option<RankTest>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> =
        tests.iter().enumerate().filter_map(|(place, test)| test.map(|test| (place, test.p))).collect();
    order.sort_by(|one, other| one.1.total_cmp(&other.1));
    let mut corrected = vec![None; tests.len()];
    let mut least: f64 = 0.0;
    for (rank, (place, p)) in order.iter().enumerate() {
        least = least.max((p * (order.len() - rank) as f64).min(1.0));
        corrected[*place] = Some(least);
    }
    corrected
}

fn timing(
    before: &Statistics,
    now: &Statistics,
    test: Option<&RankTest>,
    p: Option<f64>,
    margin_ms: f64,
) -> TimingChange {
    let margin_ms = margin_ms.max(MARGIN_SHARE * before.median);
    let trials = before.trials.len().min(now.trials.len());
    let median = |statistics: &Statistics| (!statistics.median_at_least).then_some(statistics.median);
    let finite = |value: f64| value.is_finite().then_some(value);
    TimingChange {
        measure: before.measure.clone(),
        old_trials: before.trials.len(),
        new_trials: now.trials.len(),
        old_median_ms: median(before),
        new_median_ms: median(now),
        shift_ms: test.and_then(|test| finite(test.shift)),
        interval_ms: test.and_then(|test| test.interval).map(|(low, high)| (finite(low), finite(high))),
        p,
        margin_ms,
        change: change(test, p, margin_ms, trials),
    }
}

fn change(test: Option<&RankTest>, p: Option<f64>, margin_ms: f64, trials: usize) -> Change {
    let too_few = Change::CannotTell { more_trials: Some(FEWEST_TRIALS.saturating_sub(trials).max(1)) };
    let (Some(test), Some(p)) = (test, p) else { return too_few };
    let Some((low, high)) = test.interval.filter(|_| trials >= FEWEST_TRIALS) else { return too_few };
    let differs = p <= 1.0 - CONFIDENCE;
    match () {
        () if differs && low > 0.0 && test.shift > margin_ms => Change::Regressed,
        () if differs && high < 0.0 && test.shift < -margin_ms => Change::Improved,
        () if high < margin_ms => Change::NoWorse,
        () => Change::CannotTell { more_trials: more_trials(test.shift, (low, high), margin_ms, trials) },
    }
}

/// About how many more trials on each side would tell, if the shift stays as it is: the interval shrinks with the root of
/// their number. It has to leave 0 behind if the shift matters, and the margin if it does not.
fn more_trials(shift: f64, (low, high): (f64, f64), margin_ms: f64, trials: usize) -> Option<usize> {
    let (reach, distance) = if shift > margin_ms { (shift - low, shift) } else { (high - shift, margin_ms - shift) };
    let factor = (reach / distance).powi(2);
    let more = (trials as f64 * factor).ceil() - trials as f64;
    (more.is_finite() && more <= MOST_TRIALS_ASKED_FOR).then_some((more as usize).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(is_new: bool, trials: usize, ms: impl Fn(f64) -> f64) -> Vec<Value> {
        let phase = |place: usize| (place as f64 + 0.5) / trials as f64;
        let value = |place| Value { is_new, ms: ms(phase(place)), dcs_leader_lost: false, phase: Some(phase(place)) };
        (0..trials).map(value).collect()
    }

    #[test]
    fn trials_are_compared_within_parts_of_the_loop_where_all_of_them_have_a_cell() {
        // The lease moves an outage by 10 s; what is new costs half a second more.
        let both = || {
            let mut values = side(false, 8, |phase| 30_000.0 - 10_000.0 * phase);
            values.extend(side(true, 8, |phase| 30_500.0 - 10_000.0 * phase));
            values
        };
        let within = by_phase(both());
        assert_eq!(
            within.iter().map(|stratum| (stratum.old.len(), stratum.new.len())).collect::<Vec<_>>(),
            [(2, 2); 4]
        );
        let mut unknown = both();
        unknown[3].phase = None;
        assert_eq!(by_phase(unknown).len(), 1);
        let p = |strata: &[Stratum]| rank::compare(strata, CONFIDENCE).unwrap().p;
        let mut blurred = both();
        blurred.iter_mut().for_each(|value| value.phase = None);
        assert!(p(&within) < 0.2 && p(&by_phase(blurred)) > 0.5, "{}", p(&within));
    }

    #[test]
    fn few_trials_are_not_split() {
        let mut values = side(false, 3, |_| 1.0);
        values.extend(side(true, 9, |_| 2.0));
        assert_eq!(by_phase(values).len(), 1);
    }

    fn test(shift: f64, interval: Option<(f64, f64)>) -> RankTest {
        RankTest { p: 0.01, shift, interval }
    }

    #[test]
    fn a_change_counts_only_if_it_is_proven_and_matters() {
        let of = |test: RankTest, p: f64| change(Some(&test), Some(p), 1_000.0, 10);
        assert_eq!(of(test(2_000.0, Some((500.0, 3_500.0))), 0.01), Change::Regressed);
        assert_eq!(of(test(-2_000.0, Some((-3_000.0, -500.0))), 0.01), Change::Improved);
        assert_eq!(of(test(500.0, Some((300.0, 700.0))), 0.01), Change::NoWorse);
        assert_eq!(of(test(0.0, Some((-900.0, 900.0))), 0.9), Change::NoWorse);
        // Corrected for the number of phases the difference is no longer unlikely.
        assert!(matches!(of(test(2_000.0, Some((500.0, 3_500.0))), 0.2), Change::CannotTell { .. }));
    }

    #[test]
    fn it_says_how_many_trials_would_tell() {
        let of = |shift, interval, trials| change(Some(&test(shift, Some(interval))), Some(0.5), 1_000.0, trials);
        // Half the width is needed, so four times the trials.
        assert_eq!(of(0.0, (-2_000.0, 2_000.0), 10), Change::CannotTell { more_trials: Some(30) });
        assert_eq!(of(2_000.0, (-2_000.0, 6_000.0), 10), Change::CannotTell { more_trials: Some(30) });
        assert_eq!(of(1_000.0, (-2_000.0, 4_000.0), 10), Change::CannotTell { more_trials: None });
        assert_eq!(
            change(Some(&test(9_000.0, None)), Some(0.1), 1_000.0, 3),
            Change::CannotTell { more_trials: Some(1) }
        );
        assert_eq!(change(None, None, 1_000.0, 1), Change::CannotTell { more_trials: Some(3) });
    }

    #[test]
    fn holm_never_falls_and_never_exceeds_one() {
        let tests: Vec<Option<RankTest>> =
            [0.01, 0.04, 0.03, 0.9].map(|p| Some(RankTest { p, shift: 0.0, interval: None })).into();
        let expected = [0.04, 0.09, 0.09, 0.9];
        for (found, expected) in holm(&tests).into_iter().zip(expected) {
            assert!(found.is_some_and(|found| (found - expected).abs() < 1e-12), "{found:?} {expected}");
        }
        assert_eq!(holm(&[None]), [None]);
    }
}
