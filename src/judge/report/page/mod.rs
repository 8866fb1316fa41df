//! What a report says, in words and figures ready to be set: the formats for people differ only in how they set it.

mod matrix;
mod overview;
mod prose;
mod scenario;

use std::collections::BTreeSet;

pub use matrix::{Cell, MatrixTable};
pub use overview::OverviewLine;
pub use prose::Prose;
pub use scenario::{NOT_MEASURED, ScenarioBlock, TrialBlock};

use super::{ReportInput, figures};
use crate::{
    checks::Outcome,
    history::event::{Rule, RunStarted},
    plan::Plan,
    statistics::{SamplingPlan, bounds},
    topology::OverriddenKey,
    verdict::{ClaimState, ClaimVerdict, Proof, RunVerdict, ScenarioGroup, ScenarioVerdict},
};

/// Names of evidence that a finding lists before it says how many more there are.
const EVIDENCE_SHOWN: usize = 8;

/// The whole report.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub run: String,
    pub version: String,
    pub outcome: &'static str,
    pub outcome_word: String,
    /// Why, in a sentence or two.
    pub headline: String,
    pub subline: String,
    /// Why the run itself proves less than its scenarios say.
    pub doubts: Vec<Prose>,
    /// Each scenario in one line.
    pub overview: Vec<OverviewLine>,
    /// Each scenario that ran in several combinations of versions.
    pub matrices: Vec<MatrixTable>,
    pub unproven: Vec<Unproven>,
    pub facts: Vec<Fact>,
    /// What of the team's own configuration the harness set, with the topology.
    pub overridden: Vec<(String, OverriddenKey)>,
    pub claims: Vec<ClaimLine>,
    pub scenarios: Vec<ScenarioBlock>,
}

/// Something that the run could not prove, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Unproven {
    pub scenario: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    pub name: &'static str,
    pub value: String,
    /// Set in a fixed-width font.
    pub code: bool,
    /// Takes a whole line.
    pub wide: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ClaimLine {
    pub id: String,
    pub documents: String,
    pub wording: String,
    pub target: String,
    /// Median, then minimum and maximum; or the one value.
    pub measured: String,
    pub why: String,
    /// How many trials kept it, of those that decided.
    pub trials: String,
    pub verdict: &'static str,
}

impl Page {
    /// Words the verdict. Drawings are made only `with_drawings`: they cost most of the time.
    pub fn new(input: &ReportInput<'_>, with_drawings: bool) -> Self {
        let verdict = input.verdict;
        let scenarios = scenario::blocks(input, with_drawings);
        Self {
            run: input.run().run.clone(),
            version: input.run().version.clone(),
            outcome: outcome_word(verdict.outcome),
            outcome_word: outcome_word(verdict.outcome).to_uppercase(),
            headline: headline(verdict),
            subline: subline(input),
            doubts: verdict.doubts.iter().map(|doubt| Prose::of(doubt)).collect(),
            matrices: matrix::tables(&scenarios),
            overview: scenarios.iter().map(overview::line).collect(),
            unproven: unproven(verdict),
            facts: facts(input),
            overridden: overridden(input),
            claims: verdict.claims.iter().map(|claim| claim_line(claim, verdict)).collect(),
            scenarios,
        }
    }
}

/// The outcome in one lower-case word, which is also its CSS class.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Inconclusive => "inconclusive",
        Outcome::Fail => "fail",
    }
}

/// `1 trial`, `2 trials`.
pub fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// A scenario's name, with the trial where there are several.
fn called(scenario: &ScenarioVerdict) -> String {
    match &scenario.scenario {
        Some(started) if started.trials > 1 => format!("{}, trial {}", started.name, started.trial),
        Some(started) => started.name.clone(),
        None => format!("scenario {}", scenario.number),
    }
}

/// Why a scenario has this outcome: what the control says, or the first finding that is as bad.
pub fn reason(scenario: &ScenarioVerdict) -> String {
    if let Some(control) = &scenario.control {
        return control.reason.clone();
    }
    let worst = scenario.findings.iter().find(|finding| finding.outcome == scenario.outcome);
    match worst {
        Some(finding) if scenario.outcome != Outcome::Pass => finding.summary.clone(),
        _ if scenario.outcome == Outcome::Inconclusive => "nothing was proven".to_owned(),
        _ => String::new(),
    }
}

fn headline(verdict: &RunVerdict) -> String {
    let total = verdict.groups.len();
    let bad = verdict.groups.iter().filter(|group| group.outcome == verdict.outcome).count();
    let first = verdict.scenarios.iter().find(|scenario| scenario.outcome == verdict.outcome);
    let why = first
        .map(|scenario| format!("{}: {}", called(scenario), sentence(&prose::line(&reason(scenario)))))
        .or_else(|| verdict.groups.iter().find_map(|group| undecided_or_refuted(group, verdict.outcome)))
        .unwrap_or_default();
    let of = if total == 1 { "The scenario".to_owned() } else { format!("{bad} of {total} scenarios") };
    match verdict.outcome {
        Outcome::Pass => passed(verdict),
        Outcome::Fail => format!("{of} failed. {why}").trim_end().to_owned(),
        Outcome::Inconclusive => match verdict.doubts.first() {
            Some(doubt) => format!("Nothing failed, but not everything was proven: {}", sentence(&prose::line(doubt))),
            None if total == 0 => "No scenario ran.".to_owned(),
            None => format!("Nothing failed, but not everything was proven. {why}"),
        },
    }
}

/// What the trials of a scenario proved that made its outcome.
fn undecided_or_refuted(group: &ScenarioGroup, outcome: Outcome) -> Option<String> {
    let proof = group.proofs.iter().find(|proof| proof.outcome() == outcome)?;
    Some(format!("{}: {} {}", group.name, proof.claim, sentence(&proof.in_words())))
}

fn passed(verdict: &RunVerdict) -> String {
    let is_control = |numbers: &[u32]| is_control(verdict, numbers);
    let controls = verdict.groups.iter().filter(|group| is_control(&group.scenarios)).count();
    let caught = match controls {
        1 => "1 negative control was caught".to_owned(),
        more => format!("{more} negative controls were caught"),
    };
    let kept = format!("{} kept every expectation", count(verdict.groups.len() - controls, "scenario"));
    match controls {
        0 => format!("{kept}."),
        all if all == verdict.groups.len() => format!("{caught}: the harness sees what it must see."),
        _ => format!("{kept}, and {caught}."),
    }
}

fn is_control(verdict: &RunVerdict, numbers: &[u32]) -> bool {
    verdict.scenarios.iter().any(|scenario| numbers.contains(&scenario.number) && scenario.control.is_some())
}

/// The text with a full stop at its end. It may begin with a node's name, so its first letter stays as it is.
pub fn sentence(text: &str) -> String {
    let text = text.trim();
    let ends = text.is_empty() || text.ends_with(['.', '!', '?']);
    format!("{text}{}", if ends { "" } else { "." })
}

fn subline(input: &ReportInput<'_>) -> String {
    let (verdict, run) = (input.verdict, input.run());
    let shard = match (run.shard, input.runs.len()) {
        (Some(shard), 1) => Some(format!("shard {} of {} alone", shard.index, shard.of)),
        (_, several) if several > 1 => Some(format!("{several} runs as one")),
        _ => None,
    };
    let told = [
        format!("pgquake {}", run.version),
        day_and_time(&run.started_at),
        count(verdict.groups.len(), "scenario"),
        count(verdict.scenarios.len(), "trial"),
    ];
    told.into_iter().chain(shard).collect::<Vec<_>>().join(" · ")
}

/// `2026-03-01 10:15 UTC` from RFC 3339; anything else as it is.
pub fn day_and_time(started_at: &str) -> String {
    match started_at.parse::<jiff::Timestamp>() {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => started_at.to_owned(),
    }
}

/// What was not proven and why, the same reason of several trials once.
fn unproven(verdict: &RunVerdict) -> Vec<Unproven> {
    let run = verdict.doubts.iter().map(|doubt| ("the run".to_owned(), None, doubt.clone()));
    let scenarios = verdict.scenarios.iter().flat_map(|scenario| {
        let findings = scenario.findings.iter().filter(|finding| finding.outcome == Outcome::Inconclusive);
        let mut reasons: Vec<_> = findings.map(|finding| finding.summary.clone()).collect();
        if reasons.is_empty() && scenario.outcome == Outcome::Inconclusive {
            reasons.push(reason(scenario));
        }
        let name = scenario.scenario.as_ref().map_or_else(|| called(scenario), |started| started.name.clone());
        let trial = scenario.scenario.as_ref().filter(|started| started.trials > 1).map(|started| started.trial);
        reasons.into_iter().map(move |reason| (name.clone(), trial, reason))
    });
    let mut rows: Vec<(String, Vec<u32>, String)> = Vec::new();
    for (name, trial, reason) in run.chain(scenarios) {
        match rows.iter_mut().find(|(other, _, same)| *other == name && *same == reason) {
            Some((_, trials, _)) => trials.extend(trial),
            None => rows.push((name, trial.into_iter().collect(), reason)),
        }
    }
    rows.into_iter()
        .map(|(name, mut trials, reason)| {
            trials.dedup();
            let numbers: Vec<_> = trials.iter().map(u32::to_string).collect();
            let scenario = match numbers.as_slice() {
                [] => name,
                [one] => format!("{name}, trial {one}"),
                several => format!("{name}, trials {}", several.join(", ")),
            };
            Unproven { scenario, reason: Prose::of(&reason).text }
        })
        .collect()
}

fn facts(input: &ReportInput<'_>) -> Vec<Fact> {
    let run = input.run();
    let plain = |name, value: String| Fact { name, value, code: false, wide: false };
    let topologies = input.topologies().into_iter().map(|plan| {
        let topology = &plan.topology;
        format!("{}: {} (follows {})", topology.name, topology.description.trim_end_matches('.'), topology.follows)
    });
    let pairs = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
        let told: BTreeSet<String> = pairs.map(|(name, value)| format!("{name} {value}")).collect();
        told.into_iter().collect::<Vec<_>>().join(", ")
    };
    let mut facts = vec![
        Fact { wide: true, ..plain("topology", topologies.collect::<Vec<_>>().join("; ")) },
        plain("started", day_and_time(&run.started_at)),
        plain("run", input.runs.iter().map(|run| run.run.as_str()).collect::<Vec<_>>().join(", ")),
        plain("seed", run.seed.to_string()),
        Fact { wide: true, ..plain("rule", rule(run)) },
        Fact { wide: true, ..plain("begun again", begun_again(input.verdict)) },
        Fact { wide: true, ..plain("earlier runs of the same recipe, not counted here", run.earlier.join(", ")) },
        plain("machine", pairs(&mut run.machine.iter())),
        plain("versions", pairs(&mut input.runs.iter().flat_map(|run| &run.versions))),
        plain("system ready after", startup(input)),
        Fact { code: true, wide: true, ..plain("to repeat it", command(run)) },
    ];
    facts.retain(|fact| !fact.value.is_empty());
    facts
}

fn overridden(input: &ReportInput<'_>) -> Vec<(String, OverriddenKey)> {
    let of = |plan: &Plan| {
        let name = plan.topology.name.clone();
        plan.topology.overridden().into_iter().map(move |key| (name.clone(), key)).collect::<Vec<_>>()
    };
    input.topologies().into_iter().flat_map(of).collect()
}

/// By what it is decided what trials prove, as it was stated before the run.
fn rule(run: &RunStarted) -> String {
    match run.rule {
        None => String::new(),
        Some(Rule::Trials(1)) => "one trial of each scenario".to_owned(),
        Some(Rule::Trials(trials)) => format!("{trials} trials of each scenario, and the exact bounds at that number"),
        Some(Rule::Prove { level, decisions }) => {
            let held = match decisions {
                0 | 1 => "each claim by itself".to_owned(),
                more => format!("{more} decisions jointly"),
            };
            format!("prove {level}, {held}: {}", SamplingPlan::new(level, decisions).in_words())
        }
    }
}

/// Trials that count for nothing, because the machine was starved before their fault.
fn begun_again(verdict: &RunVerdict) -> String {
    let told = verdict.begun_again.iter().map(|own| {
        format!(
            "{}, trial {}: the harness's timers were {:.0} ms late before its fault",
            own.name, own.trial, own.late_ms
        )
    });
    told.collect::<Vec<_>>().join("; ")
}

/// How long systems took to be ready: the span over the scenarios.
fn startup(input: &ReportInput<'_>) -> String {
    let times = input.records.values().flat_map(|record| &record.startups_ms).map(|startup_ms| *startup_ms as f64);
    let times: Vec<_> = times.collect();
    let least = times.iter().copied().reduce(f64::min);
    let most = times.iter().copied().reduce(f64::max);
    match (least, most) {
        (Some(least), Some(most)) if least == most => figures::seconds(least),
        (Some(least), Some(most)) => figures::range("startup_ms", (least, most)),
        _ => String::new(),
    }
}

/// The command line, quoted for a shell, with the seed that was drawn if none was given.
///
/// Empty if the history does not know it.
pub fn command(run: &RunStarted) -> String {
    if run.arguments.is_empty() {
        return String::new();
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@+%".contains(letter);
    let mut words: Vec<_> = run
        .arguments
        .iter()
        .enumerate()
        .map(|(place, word)| match word {
            // The program, however it was found.
            word if place == 0 && word.rsplit('/').next() == Some("pgquake") => "./pgquake".to_owned(),
            word if !word.is_empty() && word.chars().all(plain) => word.clone(),
            word => format!("'{}'", word.replace('\'', r"'\''")),
        })
        .collect();
    if !run.arguments.iter().any(|word| word == "--seed" || word.starts_with("--seed=")) {
        words.push(format!("--seed {}", run.seed));
    }
    words.join(" ")
}

pub fn claim_word(state: ClaimState) -> &'static str {
    match state {
        ClaimState::Confirmed => "confirmed",
        ClaimState::Refuted => "refuted",
        ClaimState::Undecided => "undecided",
    }
}

fn claim_line(verdict: &ClaimVerdict, run: &RunVerdict) -> ClaimLine {
    let claim = &verdict.claim;
    let measured = verdict.statistics.as_ref().map(|statistics| match statistics.trials.len() {
        1 => statistics.middle(),
        _ => format!("median {} ({} to {})", statistics.middle(), statistics.least(), statistics.most()),
    });
    ClaimLine {
        id: claim.id.clone(),
        documents: claim.documents.join("; "),
        wording: claim.claim.clone(),
        target: claim.target.as_ref().map_or_else(
            || "not measured yet".to_owned(),
            |target| format!("{} {}", figures::name(&target.measure), figures::bound(&target.measure, target.bound)),
        ),
        measured: measured.unwrap_or_else(|| "nothing".to_owned()),
        why: verdict.summary.clone(),
        trials: proven(verdict, run).unwrap_or_else(|| claim_trials(verdict)),
        verdict: claim_word(verdict.state),
    }
}

/// What the plan of the run says of a claim, for each scenario; `None`: it is not decided by a plan.
fn proven(verdict: &ClaimVerdict, run: &RunVerdict) -> Option<String> {
    let proofs = run.groups.iter().flat_map(|group| &group.proofs).filter(|proof| proof.claim == verdict.claim.id);
    let told: Vec<_> = proofs.map(Proof::in_words).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// How many trials say what of a claim, and what share of failovers that proves to keep it.
fn claim_trials(verdict: &ClaimVerdict) -> String {
    let about: Vec<_> = verdict.trials.iter().filter(|trial| trial.about).map(|trial| trial.kept).collect();
    let count = |kept: Option<bool>| about.iter().filter(|own| **own == kept).count() as u64;
    let (began, kept, missed) = (about.len() as u64, count(Some(true)), count(Some(false)));
    let all = began.saturating_add(verdict.absent);
    if began == 0 {
        return "none was about it".to_owned();
    }
    let told = match missed {
        0 => format!(
            "kept in {kept} of {all}: at least {} at 95 %",
            bounds::kept_at_least_in_words(all.saturating_sub(kept), all)
        ),
        _ => format!("kept in {kept} of {all}, missed in {missed}"),
    };
    let unproven = began - kept - missed;
    let [unproven, absent] = [(unproven, "proved nothing"), (verdict.absent, "not there")]
        .map(|(count, what)| if count > 0 { format!("; {count} {what}") } else { String::new() });
    told + &unproven + &absent
}

/// `seq 12, 15, 98–120`, cut after some.
fn evidence(seqs: &[u64]) -> String {
    let mut sorted = seqs.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for seq in sorted {
        match ranges.last_mut() {
            Some((_, to)) if to.checked_add(1) == Some(seq) => *to = seq,
            _ => ranges.push((seq, seq)),
        }
    }
    let shown: Vec<_> = ranges
        .iter()
        .take(EVIDENCE_SHOWN)
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}\u{2013}{to}") })
        .collect();
    let left: u64 = ranges
        .iter()
        .skip(EVIDENCE_SHOWN)
        .map(|(from, to)| to.saturating_sub(*from))
        .fold(0, |sum, more| sum.saturating_add(more).saturating_add(1));
    match (ranges.len(), left) {
        (0, _) => String::new(),
        (_, 0) => format!("seq {}", shown.join(", ")),
        (_, left) => format!("seq {} and {left} more", shown.join(", ")),
    }
}
