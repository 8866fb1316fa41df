//! Claims, over all trials that bear on them.

use super::{
    ClaimState, ClaimTrial, ClaimVerdict, Proof, ScenarioGroup, ScenarioVerdict, Statistics, TrialValue,
    figures::{longest, measured, values},
    planned::Trials,
    sound,
};
use crate::{
    checks::{Finding, Outcome, data_loss, harness_was_sound, ran_to_the_end, recovery_time, single_writer},
    claims::{Claim, ClaimTarget, Claims},
    history::event::{Bound, Rule, ScenarioStarted},
    statistics::bounds::{self, CONFIDENCE, at_least_in_words as percent},
};

/// Names on each finding the scenario's claims that it bears on.
pub(super) fn bind(claims: &Claims, scenario: &ScenarioStarted, findings: &mut [Finding]) {
    for claim in scenario.claims.iter().filter_map(|id| claims.find(id)) {
        let Some(target) = &claim.target else { continue };
        for finding in findings.iter_mut().filter(|finding| finding.check == target.check) {
            finding.claims.push(claim.id.clone());
        }
    }
}

/// Claims that scenarios name and that don't exist, as doubts.
pub(super) fn unknown(claims: &Claims, scenarios: &[ScenarioVerdict]) -> Vec<String> {
    let named = scenarios.iter().filter_map(|verdict| verdict.scenario.as_ref()).flat_map(|scenario| &scenario.claims);
    let mut unknown: Vec<&String> = named.filter(|id| claims.find(id).is_none()).collect();
    unknown.sort();
    unknown.dedup();
    unknown.into_iter().map(|id| format!("there is no claim {id}")).collect()
}

/// Each claim that a scenario names, in the order of the certificate.
pub(super) fn judge(
    claims: &Claims,
    scenarios: &[ScenarioVerdict],
    groups: &[ScenarioGroup],
    rule: Option<Rule>,
    planned: Trials,
) -> Vec<ClaimVerdict> {
    let bears = |verdict: &&ScenarioVerdict, claim: &Claim| {
        verdict.scenario.as_ref().is_some_and(|scenario| scenario.claims.contains(&claim.id))
    };
    let mut judged = Vec::new();
    for claim in claims.all() {
        let trials: Vec<&ScenarioVerdict> = scenarios.iter().filter(|verdict| bears(verdict, claim)).collect();
        if !trials.is_empty() {
            let proofs: Vec<&Proof> =
                groups.iter().flat_map(|group| &group.proofs).filter(|proof| proof.claim == claim.id).collect();
            let judged_one = judge_one(claim, &trials, planned);
            judged.push(match rule {
                Some(Rule::Prove { decisions, .. }) if !proofs.is_empty() => by_plan(judged_one, &proofs, decisions),
                _ => judged_one,
            });
        }
    }
    judged
}

/// The claim as the plan decides it: refuted where one scenario refutes it, and confirmed where every scenario confirms it.
fn by_plan(judged: ClaimVerdict, proofs: &[&Proof], decisions: u32) -> ClaimVerdict {
    let is = |state: ClaimState| move |proof: &&&Proof| proof.state == state;
    let state = match proofs {
        _ if proofs.iter().any(|proof| is(ClaimState::Refuted)(&proof)) => ClaimState::Refuted,
        _ if proofs.iter().all(|proof| is(ClaimState::Confirmed)(&proof)) => ClaimState::Confirmed,
        _ => ClaimState::Undecided,
    };
    let told: Vec<String> = proofs.iter().map(|proof| proof.in_words()).collect();
    let held = if decisions > 1 { format!("with {decisions} decisions jointly") } else { "per claim".to_owned() };
    let figures = judged.statistics.as_ref().and_then(figures_in_words).unwrap_or_default();
    ClaimVerdict { state, summary: format!("{} ({held}){figures}", told.join("; ")), ..judged }
}

fn judge_one(claim: &Claim, scenarios: &[&ScenarioVerdict], planned: Trials) -> ClaimVerdict {
    let Some(target) = &claim.target else {
        let summary = "undecided: no check measures it yet".to_owned();
        let state = ClaimState::Undecided;
        return ClaimVerdict { claim: claim.clone(), state, summary, trials: Vec::new(), absent: 0, statistics: None };
    };
    let tried: Vec<(ClaimTrial, Option<TrialValue>)> =
        scenarios.iter().map(|verdict| try_one(target, verdict)).collect();
    let (trials, values): (Vec<_>, Vec<_>) = tried.into_iter().unzip();
    let never_began = planned.never_began(scenarios);
    let tally = Tally::of(&trials).without_proof(never_began).doubting(planned.surplus(scenarios));
    let state = tally.state(target.share);
    let statistics = Statistics::of(&target.measure, None, values.into_iter().flatten().collect());
    let absent = absent_in_words(never_began, planned);
    let summary = summary(target, &tally, never_began, &absent, statistics.as_ref());
    ClaimVerdict { claim: claim.clone(), state, summary, trials, absent: never_began, statistics }
}

/// The trials that are about a claim, counted by what they say of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    kept: u64,
    missed: u64,
    /// They prove nothing: a miss for whoever would confirm the claim, and kept for whoever would refute it.
    unproven: u64,
}

impl Tally {
    fn of(trials: &[ClaimTrial]) -> Self {
        let mut tally = Self::default();
        for trial in trials.iter().filter(|trial| trial.about) {
            match trial.kept {
                Some(true) => tally.kept += 1,
                Some(false) => tally.missed += 1,
                None => tally.unproven += 1,
            }
        }
        tally
    }

    /// With trials that never began: had they, they might have missed.
    fn without_proof(self, trials: u64) -> Self {
        Self { unproven: self.unproven + trials, ..self }
    }

    /// With as many of those that kept the target proving nothing: a trial that is there twice was made once.
    fn doubting(self, trials: u64) -> Self {
        let trials = trials.min(self.kept);
        Self { kept: self.kept - trials, unproven: self.unproven + trials, ..self }
    }

    fn all(self) -> u64 {
        self.kept + self.missed + self.unproven
    }

    /// The share of failovers that is proven to keep the target.
    fn kept_at_least(self) -> f64 {
        1.0 - bounds::share_at_most(self.missed + self.unproven, self.all(), CONFIDENCE)
    }

    /// The share of failovers that is proven to miss the target.
    fn missed_at_least(self) -> f64 {
        bounds::share_at_least(self.missed, self.all(), CONFIDENCE)
    }

    /// By the share that was asked for; without one the claim is universal.
    fn state(self, share: Option<f64>) -> ClaimState {
        match share {
            None if self.missed > 0 => ClaimState::Refuted,
            None => ClaimState::Undecided,
            Some(share) if self.kept_at_least() >= share => ClaimState::Confirmed,
            Some(share) if self.missed_at_least() > 1.0 - share => ClaimState::Refuted,
            Some(_) => ClaimState::Undecided,
        }
    }
}

/// What one trial says of a claim, and its value for the figures: of trials that were about it and sound.
pub(super) fn try_one(target: &ClaimTarget, verdict: &ScenarioVerdict) -> (ClaimTrial, Option<TrialValue>) {
    let happened = target.about.iter().any(|subject| verdict.happened.contains(subject));
    let values = values(verdict, &target.check, &target.measure);
    let doubted = |check: &str| {
        verdict.findings.iter().any(|finding| finding.check == check && finding.outcome == Outcome::Inconclusive)
    };
    let is_unsound = verdict
        .findings
        .iter()
        .any(|finding| sound::decides(&finding.check) && finding.outcome == Outcome::Inconclusive);
    let is_cut_off = [ran_to_the_end::CHECK.name, super::VERDICT].into_iter().any(doubted);
    // Of one that broke off, or whose fault, load or harness is in doubt, nobody knows what would have happened.
    let about = happened || is_unsound || is_cut_off;
    let sound = happened && !is_unsound;
    let whole = !is_cut_off && !doubted(&target.check);
    let error_ms = error_ms(target, verdict);
    let said: Vec<Option<bool>> = values.iter().map(|value| keeps(value, target.bound, error_ms)).collect();
    // Of several values one that misses the bound for sure is a miss, whatever the others are.
    let missing = said.iter().position(|kept| *kept == Some(false));
    // What no failover explains is no measure of what failovers lose.
    let unexcused = target.check == data_loss::CHECK.name
        && measured(verdict, &target.check, "unexcused_rows").any(|measure| measure.value > 0.0);
    // Of writes that nobody would have seen it is not proven that there were none.
    let unseen = target.measure == recovery_time::OLD_PRIMARY_WRITES_MS && doubted(single_writer::CHECK.name);
    let whole = whole && !unexcused && !unseen;
    let kept = match missing {
        _ if !sound => None,
        Some(_) => Some(false),
        None if whole && !said.is_empty() && said.iter().all(|kept| *kept == Some(true)) => Some(true),
        None => None,
    };
    let value = missing.map(|index| values[index].clone()).or_else(|| longest(values));
    let own = verdict.findings.iter().filter(|finding| finding.check == target.check);
    let mut evidence: Vec<u64> = own.flat_map(|finding| finding.evidence.iter().copied()).collect();
    evidence.sort_unstable();
    evidence.dedup();
    let trial = ClaimTrial {
        scenario: verdict.number,
        trial: verdict.scenario.as_ref().map_or(1, |scenario| scenario.trial),
        value: value.as_ref().map(|value| value.value),
        at_least: value.as_ref().is_some_and(|value| value.at_least),
        about,
        kept,
        evidence,
    };
    (trial, value.filter(|_| sound))
}

/// Whether a value keeps a bound; `None` where it lies no further from it than the harness's own error, or is open.
fn keeps(value: &TrialValue, bound: Bound, error_ms: f64) -> Option<bool> {
    let edges = match bound {
        Bound::AtMost(edge) | Bound::AtLeast(edge) | Bound::Exactly(edge) => [edge, edge],
        Bound::Between(least, most) => [least, most],
    };
    // An outage of nothing is no measurement of time.
    let near = value.value > 0.0 && edges.iter().any(|edge| (value.value - edge).abs() <= error_ms);
    value.keeps(bound).filter(|_| !near)
}

/// By how much a time may be off, in milliseconds: as late as the harness's timers were, where it is measured by them, or
/// what a check says of its own figures. Else a negative number, for then no value is near.
fn error_ms(target: &ClaimTarget, verdict: &ScenarioVerdict) -> f64 {
    // A check that knows its resolution gives it beside the figure.
    let own = target.measure.strip_suffix("_ms").map(|name| format!("{name}_resolution_ms")).unwrap_or_default();
    if let Some(resolution) = measured(verdict, &target.check, &own).map(|measure| measure.value).reduce(f64::max) {
        return resolution;
    }
    let is_time = target.check == recovery_time::CHECK.name && target.measure.ends_with("_ms");
    let late = measured(verdict, harness_was_sound::CHECK.name, "timer_late_ms").map(|measure| measure.value);
    if is_time { late.fold(0.0, f64::max) } else { -1.0 }
}

fn summary(
    target: &ClaimTarget,
    tally: &Tally,
    never_began: u64,
    absent: &str,
    statistics: Option<&Statistics>,
) -> String {
    let Tally { kept, missed, unproven } = *tally;
    let all = tally.all();
    if all == never_began {
        let subjects: Vec<&str> = target.about.iter().map(|subject| subject.words()).collect();
        return format!("no trial was about it: in none there was {}", subjects.join(" or ")) + absent;
    }
    let confidence = percent(CONFIDENCE);
    let kept_at_least = percent(tally.kept_at_least());
    let nothing = match unproven {
        0 => String::new(),
        1 => ", and one proves nothing".to_owned(),
        more => format!(", and {more} prove nothing"),
    } + absent;
    let told = if missed > 0 {
        let least = percent(tally.missed_at_least());
        let most = bounds::at_most_in_words(1.0 - tally.kept_at_least());
        format!(
            "missed in {missed} of {all}{nothing}: at least {least} and at most {most} miss it, each at {confidence} confidence"
        )
    } else {
        format!("kept in {kept} of {all}{nothing}: at least {kept_at_least} at {confidence} confidence")
    };
    let asked = target.share.map(|share| format!("; {} is asked for", percent(share))).unwrap_or_default();
    told + &asked + &statistics.and_then(figures_in_words).unwrap_or_default()
}

/// The figures of several trials.
fn figures_in_words(figures: &Statistics) -> Option<String> {
    let [least, middle, most, p95] = [figures.least(), figures.middle(), figures.most(), figures.p95()];
    let told = format!("; minimum {least}, median {middle}, maximum {most}; 95th percentile {p95}");
    (figures.trials.len() > 1).then_some(told)
}

fn absent_in_words(never_began: u64, planned: Trials) -> String {
    match never_began {
        0 => String::new(),
        more if planned == Trials::OfOneShard => format!(" ({more} are of other shards, or never began)"),
        1 => " (one trial never began)".to_owned(),
        more => format!(" ({more} trials never began)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(kept: u64, missed: u64, unproven: u64) -> Tally {
        Tally { kept, missed, unproven }
    }

    #[test]
    fn a_universal_claim_is_refuted_by_one_miss_and_never_confirmed() {
        assert_eq!(tally(1, 0, 0).state(None), ClaimState::Undecided);
        assert_eq!(tally(100_000, 0, 0).state(None), ClaimState::Undecided);
        assert_eq!(tally(0, 0, 1).state(None), ClaimState::Undecided);
        assert_eq!(tally(1000, 1, 5).state(None), ClaimState::Refuted);
        assert_eq!(Tally::default().state(None), ClaimState::Undecided);
    }

    #[test]
    fn a_share_is_confirmed_or_refuted_at_its_confidence() {
        assert_eq!(tally(10, 0, 0).state(Some(0.70)), ClaimState::Confirmed);
        assert_eq!(tally(10, 0, 0).state(Some(0.75)), ClaimState::Undecided);
        assert_eq!(tally(58, 0, 0).state(Some(0.95)), ClaimState::Undecided);
        assert_eq!(tally(59, 0, 0).state(Some(0.95)), ClaimState::Confirmed);
        assert_eq!(tally(92, 1, 0).state(Some(0.95)), ClaimState::Confirmed);
        // 6 misses of 10: at least 30 % miss.
        assert_eq!(tally(4, 6, 0).state(Some(0.70)), ClaimState::Refuted);
        assert_eq!(tally(4, 6, 0).state(Some(0.60)), ClaimState::Undecided);
        assert_eq!(Tally::default().state(Some(0.01)), ClaimState::Undecided);
    }

    #[test]
    fn a_trial_that_proves_nothing_counts_against_either() {
        assert_eq!(tally(92, 0, 1).state(Some(0.95)), ClaimState::Confirmed);
        assert_eq!(tally(91, 0, 1).state(Some(0.95)), ClaimState::Undecided);
        assert_eq!(tally(0, 2, 2).state(Some(0.95)), ClaimState::Refuted);
        assert_eq!(tally(0, 2, 12).state(Some(0.95)), ClaimState::Undecided);
    }
}
