//! The documented claims, over all trials that bear on them.

use super::{ClaimState, ClaimTrial, ClaimVerdict, ScenarioVerdict, Statistics, TrialValue, statistics::measured};
use crate::{
    checks::{
        Finding, Outcome, data_loss, faults_took_effect, harness_was_sound, load_was_real, ran_to_the_end,
        recovery_time,
    },
    claims::{self, Claim, ClaimTarget},
    history::event::{Bound, ScenarioStarted},
    quantity::written::value,
};

/// Without these a trial proves nothing, neither for a claim nor against it.
const SOUND: &[&str] = &[faults_took_effect::CHECK.name, harness_was_sound::CHECK.name, load_was_real::CHECK.name];

/// Names on each finding the scenario's claims that it bears on.
pub(super) fn bind(scenario: &ScenarioStarted, findings: &mut [Finding]) {
    for claim in scenario.claims.iter().filter_map(|id| claims::find(id)) {
        let Some(target) = &claim.target else { continue };
        for finding in findings.iter_mut().filter(|finding| finding.check == target.check) {
            finding.claims.push(claim.id.clone());
        }
    }
}

/// Claims that scenarios name and that don't exist, as doubts.
pub(super) fn unknown(scenarios: &[ScenarioVerdict]) -> Vec<String> {
    let named = scenarios.iter().filter_map(|verdict| verdict.scenario.as_ref()).flat_map(|scenario| &scenario.claims);
    let mut unknown: Vec<&String> = named.filter(|id| claims::find(id).is_none()).collect();
    unknown.sort();
    unknown.dedup();
    unknown.into_iter().map(|id| format!("there is no claim {id}")).collect()
}

/// Each claim that a scenario names, in the order of the certificate.
pub(super) fn judge(scenarios: &[ScenarioVerdict]) -> Vec<ClaimVerdict> {
    let bears = |verdict: &&ScenarioVerdict, claim: &Claim| {
        verdict.scenario.as_ref().is_some_and(|scenario| scenario.claims.contains(&claim.id))
    };
    let mut judged = Vec::new();
    for claim in claims::all() {
        let trials: Vec<&ScenarioVerdict> = scenarios.iter().filter(|verdict| bears(verdict, claim)).collect();
        if !trials.is_empty() {
            judged.push(judge_one(claim, &trials));
        }
    }
    judged
}

fn judge_one(claim: &Claim, scenarios: &[&ScenarioVerdict]) -> ClaimVerdict {
    let Some(target) = &claim.target else {
        let summary = "undecided: no check measures it yet".to_owned();
        let state = ClaimState::Undecided;
        return ClaimVerdict { claim: claim.clone(), state, summary, trials: Vec::new(), statistics: None };
    };
    let trials: Vec<ClaimTrial> = scenarios.iter().map(|verdict| try_one(target, verdict)).collect();
    let missed = trials.iter().filter(|trial| trial.kept == Some(false)).count();
    let kept = trials.iter().filter(|trial| trial.kept == Some(true)).count();
    let state = match (missed, kept) {
        (0, kept) if kept == trials.len() => ClaimState::Confirmed,
        (0, _) => ClaimState::Undecided,
        _ => ClaimState::Refuted,
    };
    let values = trials.iter().filter(|trial| trial.kept.is_some()).filter_map(|trial| {
        trial.value.map(|value| TrialValue { scenario: trial.scenario, trial: trial.trial, value })
    });
    let statistics = Statistics::of(&target.measure, None, values.collect());
    let summary = summary(target, state, (missed, kept, trials.len()), statistics.as_ref());
    ClaimVerdict { claim: claim.clone(), state, summary, trials, statistics }
}

fn try_one(target: &ClaimTarget, verdict: &ScenarioVerdict) -> ClaimTrial {
    let values: Vec<f64> = measured(verdict, &target.check, &target.measure).map(|measure| measure.value).collect();
    let missing = values.iter().copied().find(|value| !target.bound.holds(*value));
    let missed = missing.is_some() || never_came(target, verdict);
    let doubted = |check: &str| {
        verdict.findings.iter().any(|finding| finding.check == check && finding.outcome == Outcome::Inconclusive)
    };
    let sound = !SOUND.iter().any(|check| doubted(check));
    let whole = !doubted(ran_to_the_end::CHECK.name) && !doubted(&target.check);
    let exact = !values.iter().any(|value| within_error(*value, target, verdict));
    // What no failover explains is no measure of what failovers lose.
    let unexcused = target.check == data_loss::CHECK.name
        && measured(verdict, &target.check, "unexcused_rows").any(|measure| measure.value > 0.0);
    let kept = match (missed, sound && exact) {
        (true, true) => Some(false),
        (false, true) if whole && !unexcused && !values.is_empty() => Some(true),
        _ => None,
    };
    let own = verdict.findings.iter().filter(|finding| finding.check == target.check);
    let mut evidence: Vec<u64> = own.flat_map(|finding| finding.evidence.iter().copied()).collect();
    evidence.sort_unstable();
    evidence.dedup();
    ClaimTrial {
        scenario: verdict.number,
        trial: verdict.scenario.as_ref().map_or(1, |scenario| scenario.trial),
        value: missing.or_else(|| values.into_iter().max_by(f64::total_cmp)),
        kept,
        evidence,
    }
}

/// Whether a measured time lies no further from the claim's bound than the harness's timers were late: then it decides
/// nothing, as in `recovery_time` for what a scenario expects. An outage of nothing is no measurement of time.
fn within_error(value: f64, target: &ClaimTarget, verdict: &ScenarioVerdict) -> bool {
    let sound = harness_was_sound::CHECK.name;
    let error_ms = measured(verdict, sound, "timer_late_ms").map(|measure| measure.value).fold(0.0, f64::max);
    let edges = match target.bound {
        Bound::AtMost(edge) | Bound::AtLeast(edge) | Bound::Exactly(edge) => [edge, edge],
        Bound::Between(least, most) => [least, most],
    };
    let is_time = target.check == recovery_time::CHECK.name && target.measure.ends_with("_ms");
    is_time && value > 0.0 && edges.iter().any(|edge| (value - edge).abs() <= error_ms)
}

/// An outage that did not end has no length, but it surely was longer than the time for which it was watched.
fn never_came(target: &ClaimTarget, verdict: &ScenarioVerdict) -> bool {
    let most = match target.bound {
        Bound::AtMost(most) | Bound::Between(_, most) | Bound::Exactly(most) => most,
        Bound::AtLeast(_) => return false,
    };
    target.check == recovery_time::CHECK.name
        && target.measure == "write_outage_ms"
        && measured(verdict, &target.check, "not_recovered_for_ms").any(|measure| measure.value > most)
}

fn summary(
    target: &ClaimTarget,
    state: ClaimState,
    (missed, kept, all): (usize, usize, usize),
    statistics: Option<&Statistics>,
) -> String {
    let told = match state {
        ClaimState::Confirmed => format!("confirmed: {kept} of {all} trials kept the target"),
        ClaimState::Refuted => format!("refuted: {missed} of {all} trials missed the target"),
        ClaimState::Undecided => format!("undecided: {kept} of {all} trials kept the target, the others prove nothing"),
    };
    let figures = statistics.filter(|figures| figures.trials.len() > 1).map(|figures| {
        let [minimum, median, p95, maximum] = [figures.minimum, figures.median, figures.p95, figures.maximum]
            .map(|figure| value(&target.measure, figure));
        format!("; minimum {minimum}, median {median}, p95 {p95}, maximum {maximum}")
    });
    told + &figures.unwrap_or_default()
}
