//! What a number of trials proves of all failovers: exact bounds from the binomial distribution.
//!
//! Each trial is one draw: it keeps a target or misses it. Of `n` trials with `k` misses the bounds of Clopper and
//! Pearson say how large the share of misses can be, and how large it must be:
//!
//! - at most the `p` for which `k` or fewer misses in `n` would come with probability 1 − confidence;
//! - at least the `p` for which `k` or more would.
//!
//! Each bound holds by itself with the stated confidence, whatever the distribution of what was measured. Where trials
//! differ in their chance to miss (the phase of the lease, the node that leads the DCS), the upper bound stays valid for
//! their mean as long as `k` ≤ `n p` − 1 (Hoeffding 1956).
//!
//! Bounds of a quantile are values of the sorted trials (order statistics): `r − 1` or fewer of `n` trials lie below the
//! quantile `q` with probability P(Bin(n, q) ≤ r − 1).
//!
//! Sources: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404–413; G. J. Hahn, W. Q. Meeker, Statistical Intervals
//! (1991), 5.2 and 6.2. Sums are taken in logarithms, so that they neither overflow nor underflow.

/// The confidence of every bound that a verdict states, unless another one is asked for.
pub const CONFIDENCE: f64 = 0.95;

/// So much may a sum of rounded terms differ from the exact probability.
const ROUNDING: f64 = 1e-12;

/// The probability of at most `k` misses in `n` trials of which each misses with probability `p`.
pub fn probability_of_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    let (log_p, log_q) = (p.ln(), (-p).ln_1p());
    let mut log_choices = 0.0;
    let mut sum = 0.0;
    for misses in 0..=k {
        sum += (log_choices + misses as f64 * log_p + (n - misses) as f64 * log_q).exp();
        log_choices += ((n - misses) as f64 / (misses + 1) as f64).ln();
    }
    sum.min(1.0)
}

/// The largest share of misses that `k` misses in `n` trials leave possible: with this confidence the share is at most
/// this. 1 without a trial.
pub fn share_at_most(k: u64, n: u64, confidence: f64) -> f64 {
    if k >= n {
        return 1.0;
    }
    crossing(|p| probability_of_at_most(k, n, p) > 1.0 - confidence)
}

/// The smallest share of misses that explains `k` misses in `n` trials: with this confidence the share is at least this.
/// 0 without a miss.
pub fn share_at_least(k: u64, n: u64, confidence: f64) -> f64 {
    let Some(fewer) = k.min(n).checked_sub(1) else { return 0.0 };
    crossing(|p| 1.0 - probability_of_at_most(fewer, n, p) < 1.0 - confidence)
}

/// The share of trials that is proven to keep a target of which `k` of `n` trials did not, as words: rounded down, so that
/// no more is said than is proven.
pub fn kept_at_least_in_words(k: u64, n: u64) -> String {
    at_least_in_words(1.0 - share_at_most(k, n, CONFIDENCE))
}

/// A share that is proven at least, as words.
pub fn at_least_in_words(share: f64) -> String {
    let percent = share * 100.0 + 1e-9;
    if percent < 99.0 { format!("{:.0} %", percent.floor()) } else { format!("{} %", (percent * 10.0).floor() / 10.0) }
}

/// A share that is proven at most, as words: rounded up.
pub fn at_most_in_words(share: f64) -> String {
    format!("{:.0} %", (share * 100.0 - 1e-9).ceil())
}

/// Where a condition that holds at 0 and not at 1 ceases to hold, by bisection to the last bit that counts.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut below, mut above) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (below + above) / 2.0;
        *(if holds(middle) { &mut below } else { &mut above }) = middle;
    }
    (below + above) / 2.0
}

/// Which of `n` sorted values, counted from 1, is an upper bound of the quantile `q` with this confidence: the smallest
/// that is. `None`: so few trials bound it not at all.
pub fn rank_at_most(n: u64, q: f64, confidence: f64) -> Option<u64> {
    (1..=n).find(|rank| probability_of_at_most(rank - 1, n, q) >= confidence - ROUNDING)
}

/// Which of `n` sorted values, counted from 1, is a lower bound of the quantile `q` with this confidence: the largest
/// that is. `None`: so few trials bound it not at all.
pub fn rank_at_least(n: u64, q: f64, confidence: f64) -> Option<u64> {
    (1..=n).rev().find(|rank| probability_of_at_most(rank - 1, n, q) <= 1.0 - confidence + ROUNDING)
}

/// How many trials the largest of them needs to be an upper bound of the quantile `q` with this confidence, which is
/// also how many must keep a target without a miss to prove that the share `q` keeps it: the first `n` with
/// `1 − qⁿ` ≥ confidence.
pub fn trials_needed(q: f64, confidence: f64) -> u64 {
    if !(q > 0.0 && q < 1.0) {
        return u64::MAX;
    }
    ((1.0 - confidence).ln() / q.ln() - ROUNDING).ceil().max(1.0) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(found: f64, known: f64, error: f64) -> bool {
        (found - known).abs() <= error
    }

    /// The distribution function of Beta(a, b) by Simpson's rule, which shares nothing with the sums above.
    fn beta(x: f64, a: f64, b: f64) -> f64 {
        let density = |t: f64| t.powf(a - 1.0) * (1.0 - t).powf(b - 1.0);
        let area = |to: f64| {
            let steps = 20_000;
            let width = to / f64::from(steps);
            let inner: f64 =
                (1..steps).map(|step| density(f64::from(step) * width) * f64::from(2 + 2 * (step % 2))).sum();
            (density(0.0) + inner + density(to)) * width / 3.0
        };
        area(x) / area(1.0)
    }

    #[test]
    fn what_trials_without_a_miss_prove_is_the_root_of_what_they_leave_to_chance() {
        for (n, share) in
            [(1, 0.05), (3, 0.368), (5, 0.549), (10, 0.741), (20, 0.861), (29, 0.902), (59, 0.950), (299, 0.990)]
        {
            let kept = 1.0 - share_at_most(0, n, 0.95);
            assert!(close(kept, 0.05f64.powf(1.0 / n as f64), 1e-12), "{n}: {kept}");
            assert!(close(kept, share, 0.0005), "{n}: {kept}");
        }
    }

    /// statrs works by the incomplete beta function, with nothing of these sums.
    #[test]
    fn an_independent_library_finds_the_same() {
        use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};
        for n in [1u64, 2, 10, 63, 168, 846] {
            for k in [0, 1, 2, n / 3, n - 1].into_iter().filter(|k| *k <= n) {
                for p in [0.001, 0.05, 0.5, 0.95] {
                    let binomial = Binomial::new(p, n).unwrap();
                    assert!(close(probability_of_at_most(k, n, p), binomial.cdf(k), 1e-9), "{k} of {n} at {p}");
                }
                let quantile = |a: u64, b: u64, at: f64| Beta::new(a as f64, b as f64).unwrap().inverse_cdf(at);
                if k < n {
                    let most = share_at_most(k, n, 0.95);
                    assert!(close(most, quantile(k + 1, n - k, 0.95), 1e-6), "{k} of {n}: {most}");
                }
                if k > 0 {
                    let least = share_at_least(k, n, 0.95);
                    assert!(close(least, quantile(k, n - k + 1, 0.05), 1e-6), "{k} of {n}: {least}");
                }
            }
        }
    }

    /// Two-sided intervals of 95 % (each bound at 97.5 %) as R's `binom.test` prints them.
    #[test]
    fn published_intervals_are_found() {
        for (k, n, least, most) in [
            (0, 10, 0.0, 0.308_497_1),
            (1, 10, 0.002_528_579, 0.445_016_1),
            (5, 10, 0.187_086, 0.812_914),
            (4, 20, 0.057_334, 0.436_614),
            (10, 10, 0.691_502_9, 1.0),
        ] {
            assert!(close(share_at_least(k, n, 0.975), least, 1e-6), "{k} of {n}: {}", share_at_least(k, n, 0.975));
            assert!(close(share_at_most(k, n, 0.975), most, 1e-6), "{k} of {n}: {}", share_at_most(k, n, 0.975));
        }
    }

    /// Trials for a share at 95 % confidence with 0 to 5 misses: tables of acceptance sampling (for 95 %: 59, 93, 124 …).
    #[test]
    fn published_sizes_of_samples_are_found() {
        for (share, sizes) in [
            (0.90, [29, 46, 61, 76, 89, 103]),
            (0.95, [59, 93, 124, 153, 181, 208]),
            (0.99, [299, 473, 628, 773, 913, 1049]),
        ] {
            for (misses, size) in (0u64..).zip(sizes) {
                assert!(share_at_most(misses, size, 0.95) <= 1.0 - share + 1e-12, "{misses} of {size}");
                assert!(share_at_most(misses, size - 1, 0.95) > 1.0 - share, "{misses} of {}", size - 1);
                // The same sizes make the largest, the second largest … an upper bound of the quantile.
                assert_eq!(rank_at_most(size, share, 0.95), Some(size - misses));
            }
            assert_eq!(trials_needed(share, 0.95), sizes[0]);
            assert_eq!(rank_at_most(sizes[0] - 1, share, 0.95), None);
        }
    }

    #[test]
    fn ten_trials_bound_the_95th_percentile_from_below_alone() {
        assert_eq!((rank_at_least(10, 0.95, 0.95), rank_at_most(10, 0.95, 0.95)), (Some(8), None));
        assert_eq!(rank_at_least(1, 0.95, 0.95), Some(1));
        assert_eq!(rank_at_least(0, 0.95, 0.95), None);
        // The median of ten lies between the second and the ninth, each with 95 %.
        assert_eq!((rank_at_least(10, 0.5, 0.95), rank_at_most(10, 0.5, 0.95)), (Some(2), Some(9)));
    }

    #[test]
    fn no_trial_proves_nothing() {
        assert_eq!((share_at_least(0, 0, 0.95), share_at_most(0, 0, 0.95)), (0.0, 1.0));
        assert_eq!((share_at_least(5, 5, 0.95) > 0.5, share_at_most(5, 5, 0.95)), (true, 1.0));
    }

    #[test]
    fn shares_are_rounded_to_the_side_that_is_proven() {
        assert_eq!([1, 3, 10, 59].map(|n| kept_at_least_in_words(0, n)), ["5 %", "36 %", "74 %", "95 %"]);
        assert_eq!((at_least_in_words(0.9974), at_most_in_words(0.8496)), ("99.7 %".to_owned(), "85 %".to_owned()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// P(Bin(n, p) ≤ k) is 1 − I_p(k + 1, n − k), so the bounds are quantiles of beta distributions.
        #[test]
        fn bounds_are_quantiles_of_the_beta_distribution(n in 2..80u64, part in 0.0..1.0f64, confidence in 0.8..0.99f64) {
            let k = ((n - 1) as f64 * part) as u64;
            let most = share_at_most(k, n, confidence);
            prop_assert!(close(beta(most, (k + 1) as f64, (n - k) as f64), confidence, 1e-6), "{} of {}: {}", k, n, most);
            if k > 0 {
                let least = share_at_least(k, n, confidence);
                prop_assert!(close(beta(least, k as f64, (n - k + 1) as f64), 1.0 - confidence, 1e-6));
                prop_assert!(least < k as f64 / n as f64 && (k as f64 / n as f64) < most);
            }
        }

        /// However often a share misses, the bound is below it in at most 5 % of all samples: summed exactly.
        #[test]
        fn bounds_hold_as_often_as_they_say(n in 1..60u64, share in 0.0..1.0f64) {
            let probability = |k: u64| {
                probability_of_at_most(k, n, share) - if k == 0 { 0.0 } else { probability_of_at_most(k - 1, n, share) }
            };
            let wrong: f64 = (0..=n).filter(|k| share_at_most(*k, n, 0.95) < share).map(probability).sum();
            prop_assert!(wrong <= 0.05 + 1e-9, "{}", wrong);
            let wrong: f64 = (0..=n).filter(|k| share_at_least(*k, n, 0.95) > share).map(probability).sum();
            prop_assert!(wrong <= 0.05 + 1e-9, "{}", wrong);
        }
    }
}
