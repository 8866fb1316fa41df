//! Scenarios and their trials, worded.

use std::collections::BTreeMap;

use super::{Prose, claim_word, evidence, outcome_word, prose, reason, sentence};
use crate::{
    checks::{
        Finding, Measure, Outcome,
        course::phases::{Course, Failover, PHASES, Phase},
    },
    history::event::{Bound, Expectation},
    plan::Span,
    report::{
        ReportInput, ScenarioRecord,
        drawing::{Timeline, draw},
        figures,
        strip::{self, Dot},
    },
    verdict::{Proof, ScenarioGroup, ScenarioVerdict, Statistics},
};

/// What stands in place of a value that no finding has.
pub const NOT_MEASURED: &str = "not measured";

/// What stands behind an expectation or a finding that does not count in one trial alone.
const OVER_TRIALS: &str = " (judged over the trials)";

/// A scenario with all of its trials.
#[derive(Debug, Clone, PartialEq)]
pub struct ScenarioBlock {
    pub id: String,
    pub feature: String,
    pub name: String,
    /// `file:line`.
    pub place: String,
    pub topology: String,
    /// The versions that the run's matrix had it run in, by program.
    pub versions: BTreeMap<String, String>,
    pub outcome: &'static str,
    /// It is a negative control, and caught in every trial.
    pub caught: bool,
    /// Shown unfolded: it asks to be looked at, or there is nothing else.
    pub open: bool,
    /// What the control is and did, in a sentence; empty if it is none.
    pub control: String,
    pub steps: Vec<String>,
    pub trial_count: usize,
    /// What the trials decide of claims with a share, with the outcome of each.
    pub proofs: Vec<ProofLine>,
    /// Distributions of measures that have a target, as SVG.
    pub strips: Vec<String>,
    /// The phases, and what has a target; the same as in `trial_columns`.
    pub main_statistics: Vec<StatisticsLine>,
    pub other_statistics: Vec<StatisticsLine>,
    pub trial_columns: Vec<String>,
    pub trials: Vec<TrialBlock>,
}

/// What trials decide of one claim.
#[derive(Debug, Clone, PartialEq)]
pub struct ProofLine {
    pub claim: String,
    pub told: String,
    pub verdict: &'static str,
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsLine {
    pub name: String,
    pub least: String,
    pub median: String,
    pub p95: String,
    pub most: String,
    pub target: String,
    pub predicted: String,
    /// How many trials kept the target; empty without one.
    pub kept: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TrialBlock {
    pub id: String,
    pub trial: u32,
    pub outcome: &'static str,
    /// The outage, or else why it has its outcome.
    pub gist: String,
    /// How the first fault was to meet the lease; empty where that is not known.
    pub cell: String,
    /// Shown unfolded: the worst of the trials.
    pub shown: bool,
    /// Values under the scenario's `trial_columns`.
    pub cells: Vec<String>,
    pub failed_steps: Vec<FailedStep>,
    pub expectations: Vec<ExpectationLine>,
    pub findings: Vec<FindingLine>,
    pub failovers: Vec<FailoverRows>,
    pub drawing: Option<Drawing>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FailedStep {
    pub place: String,
    pub text: String,
    pub message: Prose,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExpectationLine {
    pub text: String,
    pub check: String,
    /// The measure in words.
    pub measure: String,
    pub target: String,
    pub measured: String,
    pub outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub struct FindingLine {
    pub check: String,
    pub summary: Prose,
    pub figures: Vec<String>,
    pub evidence: String,
    pub outcome: &'static str,
    /// It fails because the scenario is a control that must make it fail.
    pub intended: bool,
}

/// The phases of one outage.
#[derive(Debug, Clone, PartialEq)]
pub struct FailoverRows {
    pub summary: String,
    pub rows: Vec<PhaseLine>,
    /// The whole outage, in seconds.
    pub measured: String,
    pub predicted: String,
    /// `detect 24.1 s + elect 310 ms + … = 28.8 s`.
    pub sum: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct PhaseLine {
    pub name: &'static str,
    /// What it lasts from and to.
    pub meaning: String,
    /// Seconds, with two decimals so that the column lines up.
    pub measured: String,
    pub predicted: String,
    /// `within`, `sooner` or `later` than predicted.
    pub judged: &'static str,
    pub offset_percent: String,
    pub share_percent: String,
    /// Where the predicted span begins and how wide it is, on the same scale; empty without a prediction.
    pub predicted_offset_percent: String,
    pub predicted_share_percent: String,
    pub parity: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    pub svg: String,
    pub notes: Vec<String>,
}

pub fn blocks(input: &ReportInput<'_>, with_drawings: bool) -> Vec<ScenarioBlock> {
    input.verdict.groups.iter().enumerate().map(|(place, group)| block(input, group, place, with_drawings)).collect()
}

fn block(input: &ReportInput<'_>, group: &ScenarioGroup, place: usize, with_drawings: bool) -> ScenarioBlock {
    let trials: Vec<_> =
        input.verdict.scenarios.iter().filter(|scenario| group.scenarios.contains(&scenario.number)).collect();
    let none = ScenarioRecord::default();
    let record_of = |scenario: &ScenarioVerdict| input.records.get(&scenario.number).unwrap_or(&none);
    let (columns, others): (Vec<_>, Vec<_>) = group.statistics.iter().partition(|one| is_column(one, &trials));
    let shown = trials.iter().max_by(|a, b| severity(a).partial_cmp(&severity(b)).unwrap_or(std::cmp::Ordering::Equal));
    let shown = shown.map(|scenario| scenario.number);
    let blocks = trials.iter().map(|scenario| TrialBlock {
        shown: shown == Some(scenario.number),
        cells: columns.iter().map(|column| cell(column, scenario.number)).collect(),
        ..trial(scenario, record_of(scenario), with_drawings)
    });
    let started = trials.first().and_then(|scenario| scenario.scenario.as_ref());
    ScenarioBlock {
        id: format!("scenario-{}", place + 1),
        feature: group.feature.clone(),
        name: group.name.clone(),
        place: format!("{}:{}", group.file, group.line),
        topology: group.topology.clone(),
        versions: started.map(|started| started.versions.clone()).unwrap_or_default(),
        outcome: outcome_word(group.outcome),
        caught: !trials.is_empty()
            && trials.iter().all(|scenario| scenario.control.as_ref().is_some_and(|control| control.caught)),
        open: group.outcome != Outcome::Pass || input.verdict.groups.len() == 1,
        control: control(&trials),
        steps: trials.first().map(|scenario| record_of(scenario).steps.clone()).unwrap_or_default(),
        trial_count: trials.len(),
        proofs: group.proofs.iter().map(proof_line).collect(),
        strips: strips(group, &trials, place),
        main_statistics: columns.iter().map(|statistics| statistics_line(statistics, &trials)).collect(),
        other_statistics: others.iter().map(|statistics| statistics_line(statistics, &trials)).collect(),
        trial_columns: columns.iter().map(|column| figures::name(&column.measure)).collect(),
        trials: blocks.collect(),
    }
}

fn proof_line(proof: &Proof) -> ProofLine {
    ProofLine {
        claim: proof.claim.clone(),
        told: proof.in_words(),
        verdict: claim_word(proof.state),
        outcome: outcome_word(proof.outcome()),
    }
}

/// Orders trials by how much they ask to be looked at.
fn severity(scenario: &ScenarioVerdict) -> (Outcome, f64) {
    let outage_ms = scenario.failovers.iter().filter_map(Failover::outage_ms).fold(0.0, f64::max);
    (scenario.outcome, outage_ms)
}

fn control(trials: &[&ScenarioVerdict]) -> String {
    let Some(control) = trials.iter().find_map(|scenario| scenario.control.as_ref()) else { return String::new() };
    let caught = trials.iter().filter(|trial| trial.control.as_ref().is_some_and(|control| control.caught)).count();
    let told = match trials.len() {
        1 => sentence(&control.reason),
        several => format!("Caught in {caught} of {several} trials; the first: {}", sentence(&control.reason)),
    };
    let check = control.check.replace('_', " ");
    format!(
        "Negative control: this system is known to be bad, and the scenario passes only if {check} fails with evidence. \
         Outcome: {told}"
    )
}

/// The target that findings of the trials hold this measure against.
fn target(measure: &str, trials: &[&ScenarioVerdict]) -> Option<Bound> {
    let mut findings = trials.iter().flat_map(|scenario| &scenario.findings);
    findings
        .find(|finding| finding.measure.as_ref().is_some_and(|one| one.name == measure) && finding.target.is_some())?
        .target
}

/// Phases, and what a target is set for, stand in the table of trials.
fn is_column(statistics: &Statistics, trials: &[&ScenarioVerdict]) -> bool {
    PHASES.iter().any(|phase| phase.measure == statistics.measure) || target(&statistics.measure, trials).is_some()
}

fn cell(column: &Statistics, scenario: u32) -> String {
    let value = column.trials.iter().find(|trial| trial.scenario == scenario);
    value.map(|trial| column.worded(trial.value, trial.at_least)).unwrap_or_default()
}

fn statistics_line(statistics: &Statistics, trials: &[&ScenarioVerdict]) -> StatisticsLine {
    let bound = target(&statistics.measure, trials);
    let kept = bound.map(|bound| {
        let kept = statistics.trials.iter().filter(|trial| trial.keeps(bound) == Some(true)).count();
        format!("{kept} of {}", statistics.trials.len())
    });
    StatisticsLine {
        name: figures::name(&statistics.measure),
        least: statistics.least(),
        median: statistics.middle(),
        p95: statistics.p95(),
        most: statistics.most(),
        target: bound.map(|bound| figures::bound(&statistics.measure, bound)).unwrap_or_default(),
        predicted: statistics.predicted.map(|span| figures::range(&statistics.measure, span)).unwrap_or_default(),
        kept: kept.unwrap_or_default(),
    }
}

/// One strip for each measure with a target that differs between trials.
fn strips(group: &ScenarioGroup, trials: &[&ScenarioVerdict], place: usize) -> Vec<String> {
    let several = group.statistics.iter().filter(|one| one.trials.len() > 1 && one.minimum < one.maximum);
    several
        .filter_map(|statistics| {
            let bound = target(&statistics.measure, trials)?;
            let dots = statistics.trials.iter().map(|trial| Dot { trial: trial.trial, value: trial.value });
            let id = format!("strip-{}-{}", place + 1, statistics.measure);
            Some(strip::draw(&statistics.measure, &dots.collect::<Vec<_>>(), bound, statistics.predicted, &id))
        })
        .collect()
}

fn trial(scenario: &ScenarioVerdict, record: &ScenarioRecord, with_drawings: bool) -> TrialBlock {
    let failovers: Vec<_> = scenario.failovers.iter().map(failover_rows).collect();
    let sums: Vec<_> = failovers.iter().map(|failover| failover.sum.as_str()).filter(|sum| !sum.is_empty()).collect();
    let name = scenario.scenario.as_ref().map_or("", |started| started.name.as_str());
    let drawn = record.timeline.as_ref().filter(|_| with_drawings);
    TrialBlock {
        id: format!("trial-{}", scenario.number),
        trial: scenario.scenario.as_ref().map_or(scenario.number, |started| started.trial),
        outcome: outcome_word(scenario.outcome),
        gist: if sums.is_empty() { prose::line(&reason(scenario)) } else { sums.join("; ") },
        cell: drawn_cell(scenario),
        shown: false,
        cells: Vec::new(),
        failed_steps: failed_steps(scenario, record),
        expectations: expectations(scenario, record),
        findings: scenario.findings.iter().map(|finding| finding_line(scenario, finding)).collect(),
        failovers,
        drawing: drawn.map(|timeline| drawing(timeline, scenario.number, name)),
    }
}

/// What was drawn for a trial's first fault, and where it came instead; empty if nothing was drawn.
fn drawn_cell(scenario: &ScenarioVerdict) -> String {
    let Some(cell) = &scenario.cell else { return String::new() };
    let instead = scenario.beside_its_cell.as_ref().map(|instead| format!("; {instead}"));
    sentence(&format!("{}{}", cell.in_words(), instead.unwrap_or_default()))
}

fn failed_steps(scenario: &ScenarioVerdict, record: &ScenarioRecord) -> Vec<FailedStep> {
    let file = scenario.scenario.as_ref().map_or("", |started| started.file.as_str());
    let failed = record.failed_steps.iter().map(|step| FailedStep {
        place: format!("{file}:{}", step.line),
        text: step.text.clone(),
        message: Prose::of(&step.message),
    });
    failed.collect()
}

/// Every expectation that the scenario stated, with the finding that judged it.
fn expectations(scenario: &ScenarioVerdict, record: &ScenarioRecord) -> Vec<ExpectationLine> {
    record
        .expectations
        .iter()
        .map(|expectation| {
            // Of several faults each has a finding; the worst of them decides.
            let own = scenario.findings.iter().filter(|finding| judges(finding, expectation));
            let finding = own.rev().max_by_key(|finding| finding.outcome);
            let measured = finding.and_then(|finding| finding.measure.as_ref()).map(figures::measure);
            let over_trials = finding.is_some_and(|finding| finding.over_trials);
            ExpectationLine {
                text: format!("{}{}", expectation.text, if over_trials { OVER_TRIALS } else { "" }),
                check: expectation.check.clone(),
                measure: figures::name(&expectation.measure),
                target: figures::bound(&expectation.measure, expectation.bound),
                measured: measured.unwrap_or_else(|| NOT_MEASURED.to_owned()),
                outcome: outcome_word(finding.map_or(Outcome::Inconclusive, |finding| finding.outcome)),
            }
        })
        .collect()
}

fn judges(finding: &Finding, expectation: &Expectation) -> bool {
    let same_measure = finding.measure.as_ref().is_none_or(|measure| measure.name == expectation.measure);
    finding.check == expectation.check && finding.target == Some(expectation.bound) && same_measure
}

fn finding_line(scenario: &ScenarioVerdict, finding: &Finding) -> FindingLine {
    let target = finding.measure.as_ref().zip(finding.target);
    let head = target.map(|(measure, bound)| {
        let held = figures::bound(&measure.name, bound);
        format!("{} {}, target {held}", figures::name(&measure.name), figures::measure(measure))
    });
    let bare = finding.measure.as_ref().filter(|_| finding.target.is_none()).map(figure);
    let main = finding.measure.as_ref().map(|measure| measure.name.as_str());
    let details = finding.details.iter().filter(|detail| Some(detail.name.as_str()) != main);
    let intended = scenario.control.as_ref().is_some_and(|control| {
        control.caught && (control.check == finding.check || control.consequences.contains(&finding.check))
    });
    FindingLine {
        check: finding.check.replace('_', " "),
        summary: Prose::of(&format!("{}{}", finding.summary, if finding.over_trials { OVER_TRIALS } else { "" })),
        figures: head.into_iter().chain(bare).chain(details.map(figure)).collect(),
        evidence: evidence(&finding.evidence),
        outcome: outcome_word(finding.outcome),
        intended: intended && finding.outcome == Outcome::Fail,
    }
}

fn figure(measure: &Measure) -> String {
    let predicted = measure.predicted.map(|span| format!(" (predicted {})", figures::range(&measure.name, span)));
    format!("{} {}{}", figures::name(&measure.name), figures::measure(measure), predicted.unwrap_or_default())
}

fn failover_rows(failover: &Failover) -> FailoverRows {
    let outage_ms = failover.outage_ms();
    let scale_ms = scale_ms(failover);
    let rows = failover.phases.iter().enumerate().map(|(place, phase)| phase_line(failover, phase, place, scale_ms));
    let parts =
        failover.phases.iter().map(|phase| format!("{} {}", phase.name.name(), figures::seconds(phase.duration_ms())));
    let parts: Vec<_> = parts.collect();
    let sum =
        outage_ms.filter(|_| !parts.is_empty()).map(|ms| format!("{} = {}", parts.join(" + "), figures::seconds(ms)));
    FailoverRows {
        summary: summary(failover),
        rows: rows.collect(),
        measured: outage_ms.map(fixed_seconds).unwrap_or_default(),
        predicted: failover.predicted.map(fixed_range).unwrap_or_default(),
        sum: sum.unwrap_or_default(),
    }
}

fn summary(failover: &Failover) -> String {
    let outage = failover.outage_ms().map(figures::seconds).unwrap_or_default();
    let named = |node: &Option<String>| node.clone().unwrap_or_else(|| "an unknown node".to_owned());
    let with_dcs = if failover.dcs_leader_lost { " The fault took the leader of the DCS too." } else { "" };
    let told = match failover.course {
        Course::NoOutage => "Clients saw no outage.".to_owned(),
        Course::Failover | Course::ClusterPromoted => format!(
            "Clients could not write for {outage}; {} took over from {}.{with_dcs}",
            named(&failover.new_primary),
            named(&failover.old_primary)
        ),
        Course::RestartInPlace => {
            format!(
                "Clients could not write for {outage}; {} kept the leader key.{with_dcs}",
                named(&failover.old_primary)
            )
        }
        Course::NotRecovered => format!("Writes did not come back while clients tried.{with_dcs}"),
    };
    failover.of.as_ref().map_or(told.clone(), |of| format!("{of}: {told}"))
}

/// The time that the full width of the bars stands for: the outage, or where predicted spans reach beyond it.
fn scale_ms(failover: &Failover) -> f64 {
    let ends = failover.phases.iter().map(|phase| {
        let from_ms = phase.from_us.saturating_sub(failover.outage_from_us) as f64 / 1e3;
        from_ms + phase.predicted.map_or(0.0, |span| span.most_ms as f64).max(phase.duration_ms())
    });
    ends.fold(1.0, f64::max)
}

fn phase_line(failover: &Failover, phase: &Phase, place: usize, scale_ms: f64) -> PhaseLine {
    let percent = |ms: f64| format!("{:.2}", ms / scale_ms * 100.0);
    let from_ms = phase.from_us.saturating_sub(failover.outage_from_us) as f64 / 1e3;
    let measured_ms = phase.duration_ms();
    PhaseLine {
        name: phase.name.name(),
        meaning: format!("{} \u{2192} {}", phase.name.row().from, phase.name.row().to),
        measured: if phase.seen { fixed_seconds(measured_ms) } else { "not seen".to_owned() },
        predicted: phase.predicted.map(fixed_range).unwrap_or_default(),
        judged: match phase.predicted {
            Some(_) if !phase.seen => "",
            Some(span) if measured_ms < span.least_ms as f64 => "sooner",
            Some(span) if measured_ms > span.most_ms as f64 => "later",
            Some(_) => "within",
            None => "",
        },
        offset_percent: percent(from_ms),
        share_percent: percent(measured_ms),
        predicted_offset_percent: phase
            .predicted
            .map(|span| percent(from_ms + span.least_ms as f64))
            .unwrap_or_default(),
        predicted_share_percent: phase
            .predicted
            .map(|span| percent(span.most_ms.saturating_sub(span.least_ms) as f64))
            .unwrap_or_default(),
        parity: if place.is_multiple_of(2) { "even" } else { "odd" },
    }
}

/// Seconds with two decimals and no unit, for columns.
fn fixed_seconds(ms: f64) -> String {
    format!("{:.2}", ms / 1e3)
}

fn fixed_range(span: Span) -> String {
    format!("{}\u{2013}{}", fixed_seconds(span.least_ms as f64), fixed_seconds(span.most_ms as f64))
}

fn drawing(timeline: &Timeline, number: u32, name: &str) -> Drawing {
    let svg = draw(timeline, &format!("drawing-{number}"), &format!("Timeline of: {name}"));
    Drawing { svg, notes: timeline.notes.clone() }
}
