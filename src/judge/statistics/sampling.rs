//! How many trials are enough: a multiple sampling plan, laid down before the first trial.
//!
//! Trials are counted by their number, from the first. After each trial the misses so far either decide or don't:
//!
//! - at a **confirming look**, after a fixed number of trials, few enough misses confirm that the share is kept;
//! - as soon as there are too many misses for the number of trials, the share is refuted;
//! - after the last look nothing is decided any more.
//!
//! Acceptance sampling knows such plans as multiple sampling plans (ISO 28590 and ISO 2859-1, 10). Both errors are exact
//! sums over all courses of misses, at the miss rate that is just not allowed any more: `1 − share`.
//!
//! - P(confirmed) is at most α = 1 − confidence, and so it is at any greater miss rate. Each look may spend its part of α
//!   ([`CONFIRM_SPENDING`]).
//! - P(refuted) is at most α, and so it is at any smaller miss rate. What refutations by `k` misses and fewer may spend
//!   together is laid down too ([`REFUTE_SPENDING`]), after K. K. G. Lan and D. L. DeMets, Biometrika 70 (1983) 659–663,
//!   by the number of misses in place of time.
//!
//! Neither sum counts on the other decision to end the trials. So the errors stay as they are when a confirmation is
//! withdrawn and the trials go on ([`SamplingPlan::decide`]).

use super::level::Level;

/// The part of α that each confirming look may spend, for no miss, one, and two. Most goes to the first, which is where
/// a system that keeps its promises is decided.
const CONFIRM_SPENDING: [f64; 3] = [0.8, 0.14, 0.06];

/// The part of α that refutations by two misses, three … nine misses may have spent in all. The rest is for the last look.
const REFUTE_SPENDING: [f64; 8] = [0.36, 0.46, 0.56, 0.64, 0.69, 0.735, 0.775, 0.806];

/// The number of misses that the first entry of [`REFUTE_SPENDING`] is for.
const FEWEST_REFUTING: u64 = 2;

/// Looks come after whole rounds of this many trials, so that a cluster's three possible DCS leaders have had their turn
/// equally often by then.
const ROUND: u64 = 3;

/// Misses within a number of trials, counted from the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub misses: u64,
    pub trials: u64,
}

/// When trials confirm or refute that a share keeps a target.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingPlan {
    pub level: Level,
    /// The looks that confirm: at most `misses` after `trials`, in the order of trials.
    confirming: Vec<Look>,
    /// The looks that refute: `misses` within `trials`, in the order of trials. The last one counts at its number of
    /// trials alone.
    refuting: Vec<Look>,
}

/// What trials decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The share is proven, by the trials up to this number.
    Confirmed { trials: u64 },
    /// It is proven that fewer keep the target, by the trials up to this number.
    Refuted { trials: u64 },
    /// Neither, and the plan has more trials.
    Open,
    /// Neither, and the plan has no more trials.
    Undecided,
}

/// What one trial counts for. One that proves nothing is a miss for whoever would confirm, and kept for whoever would refute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    Kept,
    Missed,
    Unproven,
}

impl SamplingPlan {
    /// The plan for a level, with the error of each decision divided by the number of `decisions` that are to hold together;
    /// 1: each by itself.
    pub fn new(level: Level, decisions: u32) -> Self {
        let alpha = (1.0 - level.confidence) / f64::from(decisions.max(1));
        let confirming = confirming(level.share, alpha);
        let last = confirming.last().map_or(0, |look| look.trials);
        Self { level, confirming, refuting: refuting(level.share, alpha, last) }
    }

    /// The most trials that it takes.
    pub fn most_trials(&self) -> u64 {
        self.confirming.last().map_or(0, |look| look.trials)
    }

    /// The numbers of trials after which it can confirm, ascending.
    pub fn confirming_looks(&self) -> impl Iterator<Item = u64> {
        self.confirming.iter().map(|look| look.trials)
    }

    /// What these trials, in the order of their numbers, decide.
    ///
    /// Trials beyond a confirming look have begun before it decided. They count too: a miss among them that the look would
    /// not have allowed withdraws the confirmation, and the next look decides. A refutation stands.
    pub fn decide(&self, trials: &[Count]) -> Decision {
        let allowed = |look: &Look| against(trials) <= look.misses;
        let mut missed = 0;
        for (number, count) in (1u64..).zip(trials) {
            missed += u64::from(*count == Count::Missed);
            if self.refutes(missed, number) {
                return Decision::Refuted { trials: number };
            }
            let prefix = &trials[..number as usize];
            let look = self.confirming.iter().find(|look| look.trials == number && against(prefix) <= look.misses);
            if look.is_some_and(allowed) {
                return Decision::Confirmed { trials: number };
            }
        }
        if trials.len() as u64 >= self.most_trials() { Decision::Undecided } else { Decision::Open }
    }

    /// Whether this number of misses in the first `trials` refutes.
    fn refutes(&self, misses: u64, trials: u64) -> bool {
        let Some((last, within)) = self.refuting.split_last() else { return false };
        let early = within.iter().find(|look| trials <= look.trials).is_some_and(|look| misses >= look.misses);
        early || (trials == last.trials && misses >= last.misses)
    }

    /// The plan in words: `confirmed by no miss in 63 trials, one in 123, or two in 168; refuted by …`.
    pub fn in_words(&self) -> String {
        let confirming = self.confirming.iter().enumerate().map(|(place, look)| {
            let misses = ["no miss", "one", "two"].get(look.misses as usize).copied().unwrap_or("more");
            format!("{misses} in {}{}", look.trials, if place == 0 { " trials" } else { "" })
        });
        let last = self.refuting.len().saturating_sub(1);
        let refuting = self.refuting.iter().enumerate().map(|(place, look)| {
            let (misses, trials) = (look.misses, look.trials);
            match place {
                _ if place == last => format!("{misses} by {trials}"),
                0 => format!("{misses} misses within {trials} trials"),
                _ => format!("{misses} within {trials}"),
            }
        });
        let [confirmed, refuted] =
            [confirming.collect(), refuting.collect()].map(|parts: Vec<String>| alternatives(&parts));
        format!("confirmed by {confirmed}; refuted by {refuted}; else undecided")
    }
}

/// `a, b, or c`.
fn alternatives(parts: &[String]) -> String {
    match parts.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{}, or {last}", before.join(", ")),
        _ => parts.concat(),
    }
}

/// Trials that count against a confirmation.
fn against(trials: &[Count]) -> u64 {
    trials.iter().filter(|count| **count != Count::Kept).count() as u64
}

/// The probability of each number of misses, as trials are made one after the other; what has been decided is taken out.
struct Misses {
    miss_rate: f64,
    probabilities: Vec<f64>,
}

impl Misses {
    fn new(share: f64) -> Self {
        Self { miss_rate: 1.0 - share, probabilities: vec![1.0] }
    }

    fn one_more_trial(&mut self) {
        let mut after = vec![0.0; self.probabilities.len() + 1];
        for (misses, probability) in self.probabilities.iter().enumerate() {
            after[misses] += probability * (1.0 - self.miss_rate);
            after[misses + 1] += probability * self.miss_rate;
        }
        self.probabilities = after;
    }

    fn at_most(&self, misses: u64) -> f64 {
        self.probabilities.iter().take(misses as usize + 1).sum()
    }

    fn at_least(&self, misses: u64) -> f64 {
        self.probabilities.iter().skip(misses as usize).sum()
    }

    fn without_at_most(&mut self, misses: u64) {
        self.probabilities.iter_mut().take(misses as usize + 1).for_each(|probability| *probability = 0.0);
    }

    fn without_at_least(&mut self, misses: u64) {
        self.probabilities.truncate(misses as usize);
    }
}

fn confirming(share: f64, alpha: f64) -> Vec<Look> {
    let mut open = Misses::new(share);
    let mut looks = Vec::new();
    let mut trials = 0;
    for (misses, spending) in (0..).zip(CONFIRM_SPENDING) {
        loop {
            open.one_more_trial();
            trials += 1;
            if trials % ROUND == 0 && open.at_most(misses) <= spending * alpha {
                break;
            }
        }
        open.without_at_most(misses);
        looks.push(Look { misses, trials });
    }
    looks
}

fn refuting(share: f64, alpha: f64, last: u64) -> Vec<Look> {
    let mut open = Misses::new(share);
    let mut looks: Vec<Look> = Vec::new();
    let mut spent = 0.0;
    let mut rules = (FEWEST_REFUTING..).zip(REFUTE_SPENDING).peekable();
    for trials in 1..=last {
        open.one_more_trial();
        // As soon as a number of misses would spend too much, it takes one more.
        while rules.next_if(|(misses, spending)| spent + open.at_least(*misses) > spending * alpha).is_some() {}
        let Some((misses, _)) = rules.peek() else { continue };
        spent += open.at_least(*misses);
        open.without_at_least(*misses);
        match looks.last_mut().filter(|look| look.misses == *misses) {
            Some(look) => look.trials = trials,
            None => looks.push(Look { misses: *misses, trials }),
        }
    }
    looks.retain(|look| look.misses <= look.trials);
    let misses = (FEWEST_REFUTING..).find(|misses| spent + open.at_least(*misses) <= alpha);
    looks.extend(misses.map(|misses| Look { misses, trials: last }));
    looks
}

#[cfg(test)]
mod tests;
