use proptest::prelude::*;

use super::*;

fn plan(level: &str) -> SamplingPlan {
    SamplingPlan::new(level.parse().unwrap(), 1)
}

fn looks(looks: &[Look]) -> Vec<(u64, u64)> {
    looks.iter().map(|look| (look.misses, look.trials)).collect()
}

/// The probabilities of being confirmed and refuted and the mean number of trials, where each trial misses with this
/// probability: by all courses of misses, trial by trial, and by nothing that the plan was made with.
fn characteristics(plan: &SamplingPlan, miss_rate: f64) -> (f64, f64, f64) {
    let mut open = std::collections::BTreeMap::from([(0u64, 1.0)]);
    let (mut confirmed, mut refuted, mut mean) = (0.0, 0.0, 0.0);
    for trial in 1..=plan.most_trials() {
        mean += open.values().sum::<f64>();
        let mut after = std::collections::BTreeMap::new();
        for (misses, probability) in open {
            *after.entry(misses).or_insert(0.0) += probability * (1.0 - miss_rate);
            *after.entry(misses + 1).or_insert(0.0) += probability * miss_rate;
        }
        let confirms = |misses: &u64| plan.confirming.iter().any(|look| look.trials == trial && *misses <= look.misses);
        refuted += after.iter().filter(|(misses, _)| plan.refutes(**misses, trial)).map(|(_, p)| p).sum::<f64>();
        after.retain(|misses, _| !plan.refutes(*misses, trial));
        confirmed += after.iter().filter(|(misses, _)| confirms(misses)).map(|(_, p)| p).sum::<f64>();
        after.retain(|misses, _| !confirms(misses));
        open = after;
    }
    (confirmed, refuted, mean)
}

#[test]
fn the_plan_of_95_95_is_the_documented_one() {
    let plan = plan("95/95");
    assert_eq!(looks(&plan.confirming), [(0, 63), (1, 123), (2, 168)]);
    let refuting = [(2, 4), (3, 10), (4, 18), (5, 27), (6, 36), (7, 46), (8, 57), (9, 68), (16, 168)];
    assert_eq!(looks(&plan.refuting), refuting);
    assert_eq!(
        plan.in_words(),
        "confirmed by no miss in 63 trials, one in 123, or two in 168; refuted by 2 misses within 4 trials, 3 within 10, \
         4 within 18, 5 within 27, 6 within 36, 7 within 46, 8 within 57, 9 within 68, or 16 by 168; else undecided"
    );
}

#[test]
fn other_shares_have_looks_of_their_own() {
    for (level, trials) in [("90/95", [33, 60, 84]), ("75/95", [12, 24, 33]), ("99/95", [321, 612, 846])] {
        let plan = plan(level);
        assert_eq!(plan.confirming.iter().map(|look| look.trials).collect::<Vec<_>>(), trials, "{level}");
    }
}

/// At a miss rate of 5 % each error is about 4.8 %; the table of what the plan does at others.
#[test]
fn the_errors_of_95_95_are_what_they_are_said_to_be() {
    let plan = plan("95/95");
    for (miss_rate, confirmed, refuted, mean) in [
        (0.0, 1.0, 0.0, 63.0),
        (0.005, 0.962, 0.000, 84.0),
        (0.01, 0.824, 0.001, 104.0),
        (0.02, 0.467, 0.003, 133.0),
        (0.05, 0.048, 0.047, 158.0),
        (0.10, 0.001, 0.671, 119.0),
        (0.20, 0.000, 1.000, 26.0),
        (0.60, 0.000, 1.000, 3.7),
    ] {
        let found = characteristics(&plan, miss_rate);
        assert!((found.0 - confirmed).abs() < 6e-4, "{miss_rate}: confirmed {}", found.0);
        assert!((found.1 - refuted).abs() < 6e-4, "{miss_rate}: refuted {}", found.1);
        assert!((found.2 - mean).abs() < 1.0, "{miss_rate}: {} trials", found.2);
    }
}

#[test]
fn no_level_errs_more_often_than_it_says_alone_or_jointly() {
    for level in ["50/95", "75/90", "80/95", "90/95", "95/90", "95/95", "95/99", "99/95"] {
        for decisions in [1, 2, 10] {
            let level: Level = level.parse().unwrap();
            let plan = SamplingPlan::new(level, decisions);
            let alpha = (1.0 - level.confidence) / f64::from(decisions) + 1e-12;
            let (confirmed, refuted, _) = characteristics(&plan, 1.0 - level.share);
            assert!(confirmed <= alpha && refuted <= alpha, "{level} of {decisions}: {confirmed}, {refuted}");
            // Where confirmations are all withdrawn, refutations have the more trials.
            let never_confirmed = SamplingPlan { confirming: Vec::new(), ..plan.clone() };
            let last = plan.most_trials();
            let mut open = Misses::new(level.share);
            let mut spent = 0.0;
            for trial in 1..=last {
                open.one_more_trial();
                if let Some(fewest) = (0..=trial).find(|misses| never_confirmed.refutes(*misses, trial)) {
                    spent += open.at_least(fewest);
                    open.without_at_least(fewest);
                }
            }
            assert!(spent <= alpha, "{level} of {decisions}: {spent}");
        }
    }
}

#[test]
fn jointly_it_takes_more_trials() {
    let level: Level = "95/95".parse().unwrap();
    assert_eq!(SamplingPlan::new(level, 10).confirming[0].trials, 108);
    assert_eq!(SamplingPlan::new(level, 0), SamplingPlan::new(level, 1));
}

/// Trials of which these numbers missed.
fn trials(count: usize, missed: &[usize]) -> Vec<Count> {
    (1..=count).map(|number| if missed.contains(&number) { Count::Missed } else { Count::Kept }).collect()
}

#[test]
fn misses_decide_by_number() {
    let plan = plan("95/95");
    assert_eq!(plan.decide(&[]), Decision::Open);
    assert_eq!(plan.decide(&trials(62, &[])), Decision::Open);
    assert_eq!(plan.decide(&trials(63, &[])), Decision::Confirmed { trials: 63 });
    assert_eq!(plan.decide(&trials(63, &[9])), Decision::Open);
    assert_eq!(plan.decide(&trials(123, &[9])), Decision::Confirmed { trials: 123 });
    assert_eq!(plan.decide(&trials(168, &[9, 80])), Decision::Confirmed { trials: 168 });
    assert_eq!(plan.decide(&trials(168, &[9, 80, 130])), Decision::Undecided);
    assert_eq!(plan.decide(&trials(4, &[1, 4])), Decision::Refuted { trials: 4 });
    assert_eq!(plan.decide(&trials(5, &[1, 5])), Decision::Open);
    assert_eq!(plan.decide(&trials(10, &[1, 5, 10])), Decision::Refuted { trials: 10 });
    // Nine within 68 refute, and nine within 69 don't.
    let spread: Vec<usize> = (0..9).map(|place| 12 + 7 * place).collect();
    assert_eq!(plan.decide(&trials(68, &spread)), Decision::Refuted { trials: 68 });
    let late: Vec<usize> = (0..9).map(|place| 13 + 7 * place).collect();
    assert_eq!(plan.decide(&trials(69, &late)), Decision::Open);
}

#[test]
fn a_miss_beyond_the_look_withdraws_a_confirmation_and_not_a_refutation() {
    let plan = plan("95/95");
    assert_eq!(plan.decide(&trials(65, &[])), Decision::Confirmed { trials: 63 });
    assert_eq!(plan.decide(&trials(65, &[65])), Decision::Open);
    assert_eq!(plan.decide(&trials(123, &[65])), Decision::Confirmed { trials: 123 });
    assert_eq!(plan.decide(&trials(125, &[65, 125])), Decision::Open);
    assert_eq!(plan.decide(&trials(40, &[1, 4])), Decision::Refuted { trials: 4 });
}

#[test]
fn a_trial_that_proves_nothing_counts_against_either_decision() {
    let plan = plan("95/95");
    let mut all = trials(63, &[]);
    all[7] = Count::Unproven;
    assert_eq!(plan.decide(&all), Decision::Open);
    all.extend(trials(60, &[]));
    assert_eq!(plan.decide(&all), Decision::Confirmed { trials: 123 });
    assert_eq!(plan.decide(&[Count::Missed, Count::Unproven, Count::Kept, Count::Unproven]), Decision::Open);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Trial by trial, as a run decides: once refuted always refuted, and confirmed only until a miss beyond the look.
    #[test]
    fn what_is_decided_on_the_way_is_decided_in_the_end(misses in prop::collection::vec(0..8u8, 1..168)) {
        let plan = plan("95/95");
        let all: Vec<Count> = misses.iter().map(|die| if *die == 0 { Count::Missed } else { Count::Kept }).collect();
        let end = plan.decide(&all);
        for length in 1..=all.len() {
            if let Decision::Refuted { trials } = plan.decide(&all[..length]) {
                prop_assert_eq!(end, Decision::Refuted { trials });
            }
        }
    }
}
