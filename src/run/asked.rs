//! What is asked for before anything starts: by which claims, by which rule, and which part of it.

use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::feature_files::{PlannedScenario, Selection};
use crate::{
    checks,
    claims::{Claims, ClaimsError},
    history::event::{Rule, Shard},
    statistics::{Level, SamplingPlan},
};

/// What is asked for can't be.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum AskedError {
    /// A scenario that nothing can be proven by.
    #[error(
        "{place}: {name:?} bears on no claim that asks for a share of {percent} %, so there is nothing to prove with it"
    )]
    NothingToProve {
        /// File and line.
        place: String,
        /// The scenario's name.
        name: String,
        /// The share in percent.
        percent: f64,
        /// How to give one.
        #[help]
        help: String,
    },
    /// A claim asks for another share than the run sets out to prove.
    #[error("the claim {claim} asks for a share of {asked_percent} %, and the run sets out to prove {percent} %")]
    OtherShare {
        /// The claim's id.
        claim: String,
        /// What it asks for.
        asked_percent: f64,
        /// What the run sets out to prove.
        percent: f64,
        /// What to do.
        #[help]
        help: String,
    },
    /// More shards than trials.
    #[error("shard {} of {} is empty: the selection has {trials} trials in all", shard.index, shard.of)]
    EmptyShard {
        /// Which one.
        shard: Shard,
        /// Trials of the whole selection.
        trials: usize,
    },
}

/// The claims to judge by: those of a file that was named, else of `claims.yaml` beside the features, else the documented
/// ones.
pub(super) fn claims(named: Option<&Path>, features: &[PathBuf]) -> Result<Claims, ClaimsError> {
    let file = match named {
        Some(named) => Some(named.to_owned()),
        None => beside(features)?,
    };
    file.map_or_else(|| Ok(Claims::default()), |file| Claims::read(&file, &checks::measures()))
}

/// The one claims file that lies beside the features.
fn beside(features: &[PathBuf]) -> Result<Option<PathBuf>, ClaimsError> {
    let mut found: Option<PathBuf> = None;
    for path in features {
        let folder = if path.is_dir() { path.clone() } else { path.parent().map_or_else(PathBuf::new, Path::to_owned) };
        let file = folder.join("claims.yaml");
        match &found {
            _ if !file.is_file() => {}
            None => found = Some(file),
            Some(first) if first.canonicalize().ok() == file.canonicalize().ok() => {}
            Some(first) => {
                let help = "name the one that is meant with `--claims FILE`".to_owned();
                return Err(ClaimsError::Several { first: first.clone(), second: file, help });
            }
        }
    }
    Ok(found)
}

/// The rule of a run that sets out to prove: every scenario must bear on a claim that asks for this share. `jointly`: the
/// error is divided by the number of decisions.
pub(super) fn proving(level: Level, jointly: bool, selection: &Selection, claims: &Claims) -> Result<Rule, AskedError> {
    let percent = (level.share * 1e6).round() / 1e4;
    let mut decisions = 0;
    for scenario in selection.scenarios.iter().filter(|scenario| scenario.started.trial == 1) {
        let shares =
            scenario.started.claims.iter().filter_map(|id| Some((id, claims.find(id)?.target.as_ref()?.share?)));
        let shares: Vec<(&String, f64)> = shares.collect();
        if let Some((claim, asked)) = shares.iter().find(|(_, share)| (share - level.share).abs() > 1e-9) {
            let asked_percent = (asked * 1e6).round() / 1e4;
            let help =
                format!("a run proves one level: try `--prove {asked_percent}/95` with the scenarios of this claim");
            return Err(AskedError::OtherShare { claim: (*claim).clone(), asked_percent, percent, help });
        }
        if shares.is_empty() {
            let started = &scenario.started;
            let share = level.share;
            let help = format!(
                "give the target of one of its claims `share: {share}` in a claims.yaml beside the features; a promise \
                 without exception, as the documents make them, is refuted by one miss and proven by no number of trials"
            );
            let (place, name) = (format!("{}:{}", started.file, started.line), started.name.clone());
            return Err(AskedError::NothingToProve { place, name, percent, help });
        }
        decisions += u32::try_from(shares.len()).unwrap_or(u32::MAX);
    }
    Ok(Rule::Prove { level, decisions: if jointly { decisions } else { 1 } })
}

/// How often a scenario can be repeated by this rule.
pub(super) fn most_trials(rule: Rule) -> u32 {
    match rule {
        Rule::Trials(trials) => trials,
        Rule::Prove { level, decisions } => {
            u32::try_from(SamplingPlan::new(level, decisions).most_trials()).unwrap_or(u32::MAX)
        }
    }
}

/// After how many trials of a scenario something may be decided by them: until then each way to meet the lease must have had
/// its turn.
pub(super) fn cells_whole_after(rule: Rule) -> Vec<u32> {
    match rule {
        Rule::Trials(trials) => vec![trials],
        Rule::Prove { level, decisions } => {
            let plan = SamplingPlan::new(level, decisions);
            plan.confirming_looks().map(|trials| u32::try_from(trials).unwrap_or(u32::MAX)).collect()
        }
    }
}

/// The scenarios of one shard: those whose place in the whole selection leaves this remainder, so that every shard has
/// trials of every scenario.
pub(super) fn part(scenarios: &[PlannedScenario], shard: Option<Shard>) -> Result<Vec<PlannedScenario>, AskedError> {
    let Some(shard) = shard else { return Ok(scenarios.to_vec()) };
    let (first, of) = (shard.index.saturating_sub(1) as usize, shard.of.max(1) as usize);
    let own: Vec<PlannedScenario> = scenarios.iter().skip(first).step_by(of).cloned().collect();
    if own.is_empty() { Err(AskedError::EmptyShard { shard, trials: scenarios.len() }) } else { Ok(own) }
}

/// Numbers as spans from first to last.
pub(super) fn spans(numbers: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut spans: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match spans.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => spans.push((number, number)),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_as_spans() {
        assert_eq!(spans([3, 4, 5, 9, 11, 12].into_iter()), [(3, 5), (9, 9), (11, 12)]);
        assert_eq!(spans([].into_iter()), []);
    }

    #[test]
    fn claims_lie_beside_the_features_or_are_the_documented_ones() {
        let folder = tempfile::tempdir().unwrap();
        let own = |name: &str| folder.path().join(name);
        std::fs::create_dir(own("one")).unwrap();
        std::fs::create_dir(own("two")).unwrap();
        let features = [own("one"), own("one/a.feature:12"), own("two/b.feature")];
        assert_eq!(claims(None, &features).unwrap(), Claims::default());
        let text = "- { id: OURS, claim: it works }\n";
        std::fs::write(own("one/claims.yaml"), text).unwrap();
        assert_eq!(claims(None, &features).unwrap().text(), text);
        std::fs::write(own("two/claims.yaml"), text).unwrap();
        assert!(matches!(claims(None, &features), Err(ClaimsError::Several { .. })));
        assert_eq!(claims(Some(&own("two/claims.yaml")), &features).unwrap().text(), text);
        assert!(matches!(claims(Some(&own("none.yaml")), &features), Err(ClaimsError::Unreadable { .. })));
    }
}
