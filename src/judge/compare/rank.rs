//! Whether new values are larger than old ones, and by how much: the exact rank-sum test of Mann and Whitney within strata,
//! and the shift of Hodges and Lehmann with its interval.
//!
//! - Within a stratum the statistic is `U`: how many pairs of an old and a new value have the larger one on the new side, a
//!   tie counting a half. Its distribution under "no difference" is exact: every choice of which values are the new ones is
//!   equally likely. With ties the ranks are midranks, and the distribution is that of the values at hand.
//! - Strata are combined by the weights of van Elteren, 1 / (old + new + 1), which are the most powerful ones for one shift in
//!   all strata.
//! - The shift is the median of all differences new − old within strata. Its interval has those shifts that the test does not
//!   reject; for one stratum these are the `k`-th smallest and the `k`-th largest difference.
//!
//! Above [`EXACT_UP_TO`] values in a stratum the distribution of `U` is the normal one with the correction for ties, which is
//! off by less than a thousandth there.
//!
//! Sources: H. B. Mann, D. R. Whitney, Annals of Mathematical Statistics 18 (1947) 50–60; J. L. Hodges, E. L. Lehmann,
//! ibid. 34 (1963) 598–611; P. van Elteren, Bulletin of the International Statistical Institute 37 (1960) 351–361;
//! M. Hollander, D. A. Wolfe, Nonparametric Statistical Methods (1999), 4.1 to 4.3.

/// Up to this number of values in a stratum every order is counted.
pub const EXACT_UP_TO: usize = 130;

/// Differences of sums that are no more than this are rounding.
const ROUNDING: f64 = 1e-9;

/// Values that are comparable with each other, from either side. A value that is only known from below is infinite: it is
/// larger than every other, and equal to those of its kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stratum {
    pub old: Vec<f64>,
    pub new: Vec<f64>,
}

/// What the ranks of two sides say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankTest {
    /// The probability of a difference as large as this, in either direction, if there is none.
    pub p: f64,
    /// By how much the new values are larger (Hodges and Lehmann); negative: smaller. Infinite where values have no end.
    pub shift: f64,
    /// The 95 % interval of the shift; `None`: so few values exclude no shift.
    pub interval: Option<(f64, f64)>,
}

/// Compares the new values with the old ones. Strata of which one side is empty say nothing.
///
/// `None` if no stratum has values of both sides.
pub fn compare(strata: &[Stratum], confidence: f64) -> Option<RankTest> {
    let strata: Vec<&Stratum> =
        strata.iter().filter(|stratum| !stratum.old.is_empty() && !stratum.new.is_empty()).collect();
    if strata.is_empty() {
        return None;
    }
    let weights: Vec<f64> = strata.iter().map(|stratum| 1.0 / (stratum.len() + 1) as f64).collect();
    let observed: f64 = strata.iter().zip(&weights).map(|(stratum, weight)| weight * stratum.u()).sum();
    let given: Vec<Scores> =
        strata.iter().zip(&weights).map(|(stratum, weight)| Scores::of_values(stratum).times(*weight)).collect();
    let p = (2.0 * at_most(&given, observed).min(at_least(&given, observed))).min(1.0);
    let untied: Vec<Scores> = strata
        .iter()
        .zip(&weights)
        .map(|(stratum, weight)| Scores::of_counts(stratum.old.len(), stratum.new.len()).times(*weight))
        .collect();
    let mut differences: Vec<(f64, f64)> = strata
        .iter()
        .zip(&weights)
        .flat_map(|(stratum, weight)| stratum.differences().map(move |difference| (difference, *weight)))
        .collect();
    differences.sort_by(|one, other| one.0.total_cmp(&other.0));
    let interval = interval(&differences, &untied, 1.0 - confidence);
    Some(RankTest { p, shift: middle(&differences), interval })
}

impl Stratum {
    fn len(&self) -> usize {
        self.old.len() + self.new.len()
    }

    /// The number of pairs in which the new value is larger, a tie counting a half.
    fn u(&self) -> f64 {
        self.differences()
            .map(|difference| match difference {
                larger if larger > 0.0 => 1.0,
                0.0 => 0.5,
                _ => 0.0,
            })
            .sum()
    }

    /// New − old of every pair; of two without an end it is 0.
    fn differences(&self) -> impl Iterator<Item = f64> + '_ {
        let difference = |old: f64, new: f64| if old == new { 0.0 } else { new - old };
        self.old.iter().flat_map(move |old| self.new.iter().map(move |new| difference(*old, *new)))
    }

    /// How often each value is there, both sides together, in ascending order.
    fn ties(&self) -> Vec<usize> {
        let mut all: Vec<f64> = self.old.iter().chain(&self.new).copied().collect();
        all.sort_by(f64::total_cmp);
        all.chunk_by(|one, other| one == other).map(<[f64]>::len).collect()
    }
}

/// The distribution of a statistic: its values in ascending order, each with its probability.
#[derive(Debug, Clone, PartialEq)]
struct Scores {
    values: Vec<f64>,
    probabilities: Vec<f64>,
    /// The probability of less than each value, and of any value at the end.
    below: Vec<f64>,
}

impl Scores {
    fn new(values: Vec<f64>, probabilities: Vec<f64>) -> Self {
        let mut sum = 0.0;
        let sums = probabilities.iter().map(|probability| {
            sum += probability;
            sum
        });
        let below = std::iter::once(0.0).chain(sums).collect();
        Self { values, probabilities, below }
    }

    /// Of `U` without ties.
    fn of_counts(old: usize, new: usize) -> Self {
        if old + new > EXACT_UP_TO {
            return Self::normal(old, new, &[]);
        }
        let probabilities = untied(old, new);
        Self::new((0..probabilities.len()).map(|u| u as f64).collect(), probabilities)
    }

    /// Of `U` given the ties among the values.
    fn of_values(stratum: &Stratum) -> Self {
        let ties = stratum.ties();
        if ties.iter().all(|count| *count == 1) {
            return Self::of_counts(stratum.old.len(), stratum.new.len());
        }
        match stratum.len() {
            all if all > EXACT_UP_TO => Self::normal(stratum.old.len(), stratum.new.len(), &ties),
            _ => Self::tied(stratum.old.len(), stratum.new.len(), &ties),
        }
    }

    /// By counting the choices of the new values whose midranks have each sum. Ranks are doubled to be whole.
    fn tied(old: usize, new: usize, ties: &[usize]) -> Self {
        let largest = (old + new) * (old + new + 1);
        let mut choices = vec![vec![0.0; largest + 1]; new + 1];
        choices[0][0] = 1.0;
        let (mut before, mut seen) = (0, 0);
        for count in ties {
            let doubled_rank = 2 * before + count + 1;
            for _ in 0..*count {
                seen += 1;
                for chosen in (1..=new.min(seen)).rev() {
                    for sum in (doubled_rank..=largest).rev() {
                        let more = choices[chosen - 1][sum - doubled_rank];
                        choices[chosen][sum] += more;
                    }
                }
            }
            before += count;
        }
        let all: f64 = choices[new].iter().sum();
        let least = (new * (new + 1)) as f64;
        let held = choices[new].iter().enumerate().filter(|(_, count)| **count > 0.0);
        let (values, probabilities) = held.map(|(sum, count)| ((sum as f64 - least) / 2.0, count / all)).unzip();
        Self::new(values, probabilities)
    }

    /// The normal distribution with the mean and variance of `U`, in steps of one.
    fn normal(old: usize, new: usize, ties: &[usize]) -> Self {
        let (old, new) = (old as f64, new as f64);
        let all = old + new;
        let lost: f64 = ties.iter().map(|count| (*count as f64).powi(3) - *count as f64).sum();
        let variance = old * new / 12.0 * (all + 1.0 - lost / (all * (all - 1.0)));
        let mean = old * new / 2.0;
        let values: Vec<f64> = (0..=(old * new) as usize).map(|u| u as f64).collect();
        let density = |u: &f64| {
            if variance > 0.0 {
                (-(u - mean).powi(2) / (2.0 * variance)).exp()
            } else {
                f64::from(u8::from(*u == mean))
            }
        };
        let weights: Vec<f64> = values.iter().map(density).collect();
        let sum: f64 = weights.iter().sum();
        Self::new(values, weights.into_iter().map(|weight| weight / sum.max(f64::MIN_POSITIVE)).collect())
    }

    fn times(mut self, weight: f64) -> Self {
        self.values.iter_mut().for_each(|value| *value *= weight);
        self
    }

    /// The probability of at most this.
    fn at_most(&self, bound: f64) -> f64 {
        self.below[self.values.partition_point(|value| *value <= bound + ROUNDING)]
    }

    /// The probability of at least this.
    fn at_least(&self, bound: f64) -> f64 {
        let fewer = self.below[self.values.partition_point(|value| *value < bound - ROUNDING)];
        (self.below.last().copied().unwrap_or(1.0) - fewer).max(0.0)
    }
}

/// The distribution of `U` without ties, from 0 to old × new. The largest value is a new one with probability new / (old +
/// new), and then larger than every old one; else it changes nothing.
fn untied(old: usize, new: usize) -> Vec<f64> {
    // `row[n]` is the distribution for the old values so far and n new ones.
    let mut row: Vec<Vec<f64>> = vec![vec![1.0]; new + 1];
    for olds in 1..=old {
        row[0] = vec![1.0];
        for news in 1..=new {
            let mut next = vec![0.0; olds * news + 1];
            let share = news as f64 / (olds + news) as f64;
            for (u, probability) in row[news - 1].iter().enumerate() {
                next[u + olds] += share * probability;
            }
            for (u, probability) in row[news].iter().enumerate() {
                next[u] += (1.0 - share) * probability;
            }
            row[news] = next;
        }
    }
    row.pop().unwrap_or_default()
}

/// The probability that the sum over strata is at most this.
fn at_most(strata: &[Scores], bound: f64) -> f64 {
    match strata {
        [] => f64::from(u8::from(bound >= -ROUNDING)),
        [last] => last.at_most(bound),
        [first, others @ ..] => over(first, |value| at_most(others, bound - value)),
    }
}

/// The probability that the sum over strata is at least this.
fn at_least(strata: &[Scores], bound: f64) -> f64 {
    match strata {
        [] => f64::from(u8::from(bound <= ROUNDING)),
        [last] => last.at_least(bound),
        [first, others @ ..] => over(first, |value| at_least(others, bound - value)),
    }
}

fn over(first: &Scores, rest: impl Fn(f64) -> f64) -> f64 {
    first.values.iter().zip(&first.probabilities).map(|(value, probability)| probability * rest(*value)).sum()
}

/// The median of the differences.
fn middle(sorted: &[(f64, f64)]) -> f64 {
    let at = |place: usize| sorted.get(place).map_or(0.0, |(difference, _)| *difference);
    let (low, high) = (at((sorted.len().max(1) - 1) / 2), at(sorted.len() / 2));
    if low == high { low } else { (low + high) / 2.0 }
}

/// The shifts that the test does not reject, each end with half the error. Above a shift `d` lie the differences that are
/// larger; their weights, summed, are distributed as the statistic if `d` is the true shift.
fn interval(sorted: &[(f64, f64)], untied: &[Scores], error: f64) -> Option<(f64, f64)> {
    let mut above: f64 = sorted.iter().map(|(_, weight)| weight).sum();
    if at_least(untied, above) > error / 2.0 {
        return None;
    }
    let sums: Vec<f64> = sorted
        .iter()
        .map(|(_, weight)| {
            above -= weight;
            above
        })
        .collect();
    let low = sums.partition_point(|above| at_least(untied, *above) <= error / 2.0);
    let high = sums.partition_point(|above| at_most(untied, *above) > error / 2.0);
    Some((sorted.get(low)?.0, sorted.get(high)?.0))
}

/// The probability that this many of the new trials miss, or more, if old and new ones miss alike: Fisher's exact test, one-sided.
pub fn more_misses(old: (u64, u64), new: (u64, u64)) -> f64 {
    let ((old_missed, old_all), (new_missed, new_all)) = (old, new);
    let missed = old_missed + new_missed;
    let log_choices = |all: u64, chosen: u64| -> f64 {
        if chosen > all {
            return f64::NEG_INFINITY;
        }
        (1..=chosen).map(|place| ((all - chosen + place) as f64 / place as f64).ln()).sum()
    };
    let all = log_choices(old_all + new_all, missed);
    let term = |news: u64| (log_choices(new_all, news) + log_choices(old_all, missed - news) - all).exp();
    (new_missed..=missed.min(new_all)).map(term).sum::<f64>().min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(found: f64, known: f64, error: f64) -> bool {
        (found - known).abs() <= error
    }

    fn one(old: &[f64], new: &[f64]) -> RankTest {
        compare(&[Stratum { old: old.to_vec(), new: new.to_vec() }], 0.95).expect("both sides have values")
    }

    /// Every choice of the new values, counted out.
    fn by_hand(stratum: &Stratum) -> f64 {
        let all: Vec<f64> = stratum.old.iter().chain(&stratum.new).copied().collect();
        let observed = stratum.u();
        let (mut below, mut above, mut choices) = (0, 0, 0);
        for chosen in 0..1u32 << all.len() {
            if chosen.count_ones() as usize != stratum.new.len() {
                continue;
            }
            let side = |is_new: bool| {
                let own = all.iter().enumerate().filter(move |(place, _)| (chosen >> place & 1 == 1) == is_new);
                own.map(|(_, value)| *value).collect::<Vec<_>>()
            };
            let u = Stratum { old: side(false), new: side(true) }.u();
            choices += 1;
            below += u32::from(u <= observed + ROUNDING);
            above += u32::from(u >= observed - ROUNDING);
        }
        (2.0 * f64::from(below.min(above)) / f64::from(choices)).min(1.0)
    }

    #[test]
    fn the_distribution_is_that_of_mann_and_whitney_s_tables() {
        // Their table of P(U ≤ u), 1947: n = 3 and m = 1 … 3, n = 4 and m = 4, n = 5 and m = 5, n = 8 and m = 8.
        let below = |old, new, u: usize| untied(old, new)[..=u].iter().sum::<f64>();
        for (old, new, u, probability) in [
            (1, 3, 0, 0.250),
            (2, 3, 0, 0.100),
            (2, 3, 2, 0.400),
            (3, 3, 0, 0.050),
            (3, 3, 4, 0.500),
            (4, 4, 0, 0.014),
            (4, 4, 3, 0.100),
            (4, 4, 5, 0.243),
            (5, 5, 2, 0.016),
            (5, 5, 4, 0.048),
            (8, 8, 15, 0.041),
            (8, 8, 13, 0.025),
        ] {
            let found = below(old, new, u);
            assert!(close(found, probability, 0.0006), "{old} {new} {u}: {found}");
        }
    }

    #[test]
    fn critical_values_are_those_of_the_published_table() {
        // Two-sided 5 %: the largest U that is significant (Milton 1964, as in most textbooks).
        for (old, new, critical) in [
            (4, 4, 0),
            (5, 5, 2),
            (6, 6, 5),
            (7, 7, 8),
            (8, 8, 13),
            (10, 10, 23),
            (12, 12, 37),
            (20, 20, 127),
            (10, 20, 55),
        ] {
            let distribution = untied(old, new);
            let below = |u: usize| distribution[..=u].iter().sum::<f64>();
            assert!(below(critical) <= 0.025 && below(critical + 1) > 0.025, "{old} {new}");
        }
    }

    #[test]
    fn the_least_p_is_that_of_all_new_ones_above_all_old_ones() {
        for (n, p) in [(3, 0.10), (4, 0.0286), (5, 0.0079)] {
            let old: Vec<f64> = (0..n).map(f64::from).collect();
            let new: Vec<f64> = old.iter().map(|value| value + 100.0).collect();
            assert!(close(one(&old, &new).p, p, 0.0001), "{n}");
        }
    }

    #[test]
    fn shift_and_interval_are_those_of_hollander_and_wolfe() {
        // Their example 4.1, permeability of the human chorioamnion: at term and at 12 to 26 weeks. U = 35 of 50, one-sided
        // p = 0.1272; the shift is 0.305, and D(9), D(42) are the ends at 96 %, D(10), D(41) those at less than 95 %.
        let term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46];
        let weeks = [1.15, 0.88, 0.90, 0.74, 1.21];
        let found = one(&weeks, &term);
        assert!(close(found.p, 2.0 * 0.1272, 0.0001), "{found:?}");
        assert!(close(found.shift, 0.305, 1e-9), "{found:?}");
        let (low, high) = found.interval.expect("fifteen values exclude some shifts");
        assert!(close(low, -0.15, 1e-9) && close(high, 0.76, 1e-9), "{low} {high}");
    }

    #[test]
    fn the_test_for_misses_is_fisher_s_tea() {
        // The lady who tasted tea: 3 of 4 cups right by chance.
        assert!(close(more_misses((1, 4), (3, 4)), 17.0 / 70.0, 1e-12));
        assert!(close(more_misses((0, 4), (4, 4)), 1.0 / 70.0, 1e-12));
        assert_eq!(more_misses((0, 10), (0, 10)), 1.0);
    }

    #[test]
    fn strata_are_compared_only_within() {
        // The side that has more trials of the slow kind is no slower.
        let fast = |count: usize| (0..count).map(|place| 25.0 + place as f64 * 0.1).collect::<Vec<f64>>();
        let slow = |count: usize| (0..count).map(|place| 38.0 + place as f64 * 0.1).collect::<Vec<f64>>();
        let strata = [Stratum { old: fast(8), new: fast(3) }, Stratum { old: slow(3), new: slow(8) }];
        let apart = compare(&strata, 0.95).expect("both sides have values");
        assert!(apart.p > 0.5 && apart.shift.abs() < 0.5, "{apart:?}");
        let together = one(&[fast(8), slow(3)].concat(), &[fast(3), slow(8)].concat());
        assert!(together.shift > 5.0, "{together:?}");
    }

    #[test]
    fn what_never_ended_is_larger_than_everything_else() {
        let endless = f64::INFINITY;
        let found = one(&[1.0, 2.0, 3.0, 4.0], &[endless, endless, endless, endless]);
        assert!(close(found.p, 2.0 / 70.0, 1e-9) && found.shift == endless, "{found:?}");
        assert_eq!(one(&[endless; 4], &[endless; 4]).p, 1.0);
        assert!(compare(&[Stratum { old: vec![1.0], new: Vec::new() }], 0.95).is_none());
    }

    #[test]
    fn the_normal_distribution_takes_over_without_a_step() {
        let exact = untied(65, 65);
        let normal = Scores::normal(65, 65, &[]);
        for u in [1500, 1700, 1900, 2112] {
            let (exact, normal) = (exact[..=u].iter().sum::<f64>(), normal.at_most(u as f64));
            assert!(close(exact, normal, 0.001), "{u}: {exact} {normal}");
        }
    }

    proptest! {
        #[test]
        fn the_test_counts_every_choice(
            old in prop::collection::vec(0u8..6, 1..6), new in prop::collection::vec(0u8..6, 1..6)
        ) {
            let side = |values: &[u8]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
            let stratum = Stratum { old: side(&old), new: side(&new) };
            let found = compare(std::slice::from_ref(&stratum), 0.95).expect("both sides have values");
            prop_assert!(close(found.p, by_hand(&stratum), 1e-9), "{} {}", found.p, by_hand(&stratum));
        }

        #[test]
        fn sides_are_alike_but_for_the_sign(
            old in prop::collection::vec(0.0..9.0f64, 5..12), new in prop::collection::vec(0.0..9.0f64, 5..12)
        ) {
            let (there, back) = (one(&old, &new), one(&new, &old));
            prop_assert!(close(there.p, back.p, 1e-9) && close(there.shift, -back.shift, 1e-9));
            let ((low, high), (other_low, other_high)) = (there.interval.unwrap(), back.interval.unwrap());
            prop_assert!(close(low, -other_high, 1e-9) && close(high, -other_low, 1e-9));
            prop_assert!(low <= there.shift && there.shift <= high);
        }
    }
}
