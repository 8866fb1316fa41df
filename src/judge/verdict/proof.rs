//! Under the rule `--prove`: what the trials of a scenario decide of a claim with a share, and which findings are
//! therefore judged over the trials and not in each of them.

use serde::{Deserialize, Serialize};

use super::{ClaimState, ScenarioVerdict, VERDICT, claims::try_one, sound};
use crate::{
    checks::{Finding, Outcome},
    claims::{Claim, ClaimTarget, Claims},
    history::event::{Rule, RunStarted, ScenarioStarted},
    statistics::{Decision, Level, SamplingPlan, sampling::Count},
};

/// What the trials of one scenario say of one claim with a share, by the sampling plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    /// The claim's id.
    pub claim: String,
    /// The claim's share, and the confidence of the rule.
    pub level: Level,
    pub state: ClaimState,
    /// Neither decided nor at the end of the plan: more trials would have followed.
    pub is_open: bool,
    /// How many trials were counted, without a gap from the first.
    pub trials: u64,
    pub missed: u64,
    /// They prove nothing: a miss against a confirmation, and kept against a refutation.
    pub unproven: u64,
    /// The trial with which it was decided, if it was.
    pub decided_with: Option<u64>,
    /// The plan in words.
    pub plan: String,
}

/// A claim that is decided by a share of failovers.
struct Asked<'c> {
    claim: &'c Claim,
    target: &'c ClaimTarget,
    share: f64,
}

/// The claims with a share that a scenario bears on.
fn asked<'c>(scenario: &'c ScenarioStarted, claims: &'c Claims) -> impl Iterator<Item = Asked<'c>> {
    scenario.claims.iter().filter_map(|id| {
        let claim = claims.find(id)?;
        let target = claim.target.as_ref()?;
        Some(Asked { claim, target, share: target.share? })
    })
}

/// What the trials of one scenario decide, for each claim with a share that it bears on. Nothing where the run did not set
/// out to prove.
pub fn proofs(rule: Option<Rule>, claims: &Claims, trials: &[&ScenarioVerdict]) -> Vec<Proof> {
    let Some(Rule::Prove { level, decisions }) = rule else { return Vec::new() };
    let Some(scenario) = trials.iter().find_map(|trial| trial.scenario.as_ref()) else { return Vec::new() };
    asked(scenario, claims)
        .map(|asked| {
            let level = Level { share: asked.share, ..level };
            prove(&asked, &SamplingPlan::new(level, decisions), trials)
        })
        .collect()
}

/// Whether the plans of a scenario need more trials than have begun, if all that have not ended keep their targets: so that
/// none begins beyond a look that those under way may decide.
pub fn need_more(
    rule: Option<Rule>,
    claims: &Claims,
    scenario: &ScenarioStarted,
    begun: u32,
    ended: &[&ScenarioVerdict],
) -> bool {
    let Some(Rule::Prove { level, decisions }) = rule else { return false };
    asked(scenario, claims).any(|asked| {
        let plan = SamplingPlan::new(Level { share: asked.share, ..level }, decisions);
        let mut counts = counts(asked.target, ended);
        let under_way = (begun as usize).saturating_sub(ended.len());
        counts.extend(std::iter::repeat_n(Count::Kept, under_way));
        plan.decide(&counts) == Decision::Open
    })
}

fn prove(asked: &Asked<'_>, plan: &SamplingPlan, trials: &[&ScenarioVerdict]) -> Proof {
    let counts = counts(asked.target, trials);
    let decision = plan.decide(&counts);
    let of = |kind: Count| counts.iter().filter(|count| **count == kind).count() as u64;
    let (state, decided_with) = match decision {
        Decision::Confirmed { trials } => (ClaimState::Confirmed, Some(trials)),
        Decision::Refuted { trials } => (ClaimState::Refuted, Some(trials)),
        Decision::Open | Decision::Undecided => (ClaimState::Undecided, None),
    };
    Proof {
        claim: asked.claim.id.clone(),
        level: plan.level,
        state,
        is_open: decision == Decision::Open,
        trials: counts.len() as u64,
        missed: of(Count::Missed),
        unproven: of(Count::Unproven),
        decided_with,
        plan: plan.in_words(),
    }
}

/// What each trial counts for, in the order of their numbers, from the first to the one before the first that has not
/// ended. A trial without what the claim is about is none of it, unless nothing was proven in it; one that is there twice
/// was made once, and proves nothing.
fn counts(target: &ClaimTarget, trials: &[&ScenarioVerdict]) -> Vec<Count> {
    let numbered = |verdict: &ScenarioVerdict| verdict.scenario.as_ref().map(|scenario| scenario.trial);
    let mut counts = Vec::new();
    for number in 1u32.. {
        let mut own = trials.iter().filter(|verdict| numbered(verdict) == Some(number));
        let Some(verdict) = own.next() else { break };
        let (trial, _) = try_one(target, verdict);
        counts.extend(match trial.kept {
            _ if own.next().is_some() => Some(Count::Unproven),
            _ if !trial.about => (verdict.worst_finding == Outcome::Inconclusive).then_some(Count::Unproven),
            Some(true) => Some(Count::Kept),
            Some(false) => Some(Count::Missed),
            None => Some(Count::Unproven),
        });
    }
    counts
}

impl Proof {
    /// What it comes to for the run.
    pub fn outcome(&self) -> Outcome {
        match self.state {
            ClaimState::Confirmed => Outcome::Pass,
            ClaimState::Refuted => Outcome::Fail,
            ClaimState::Undecided => Outcome::Inconclusive,
        }
    }

    /// One sentence with the figures.
    pub fn in_words(&self) -> String {
        let unproven = match self.unproven {
            0 => String::new(),
            1 => ", and one proves nothing".to_owned(),
            more => format!(", and {more} prove nothing"),
        };
        let told = format!("missed in {} of {}{unproven}", self.missed, self.trials);
        let level = self.level;
        match (self.state, self.decided_with) {
            (ClaimState::Confirmed, Some(with)) => format!("{told}: {level} was confirmed with trial {with}"),
            (ClaimState::Refuted, Some(with)) => format!("{told}: {level} was refuted with trial {with}"),
            _ if self.is_open => format!("{told}: {level} is not decided, and the trials broke off"),
            _ => format!("{told}: {level} is not decided, and the plan has no more trials"),
        }
    }
}

/// Marks the findings that are judged over the trials: the `Then`s that are a claim with a share, and what a trial could not
/// prove, for which the plan has its allowance. A safety check stays per trial.
pub(super) fn mark(run: Option<&RunStarted>, scenario: &ScenarioStarted, claims: &Claims, findings: &mut [Finding]) {
    if !matches!(run.and_then(|run| run.rule), Some(Rule::Prove { .. })) {
        return;
    }
    let asked: Vec<Asked<'_>> = asked(scenario, claims).collect();
    if asked.is_empty() {
        return;
    }
    for finding in findings.iter_mut().filter(|finding| finding.check != VERDICT) {
        let is_then = asked.iter().any(|asked| is_of(asked.target, finding));
        let is_counted = finding.outcome == Outcome::Inconclusive && !sound::is_of_safety(&finding.check);
        finding.over_trials = is_then || is_counted;
    }
}

/// Whether the finding is what the target asks for: its check, its measure and its bound. Of what never ended, the measure
/// is missing.
fn is_of(target: &ClaimTarget, finding: &Finding) -> bool {
    let same = finding.measure.as_ref().is_some_and(|measure| measure.name == target.measure);
    let missing = finding.outcome != Outcome::Pass && finding.value_of(&target.measure).is_none();
    finding.check == target.check && finding.target == Some(target.bound) && (same || missing)
}
