//! The verdict: what the checks say of each scenario, of the run, and of claims.
//!
//! Architecture invariant: pure. The same history gives the same verdict, today or from a saved run.
//!
//! # Rules
//!
//! - Outcomes combine as the worst: fail over inconclusive over pass. Nothing unproven is a pass: a scenario
//!   without findings, a check that panics, an expectation that nobody judged, a history that breaks off, all are
//!   inconclusive.
//! - A scenario with a `@control:CHECK` tag runs a system that is known to be bad. It passes only if exactly that
//!   check fails, with evidence ([`ControlVerdict::caught`]). Failures that are the direct consequence of the
//!   defect (see `control.rs`) are listed and don't count against it; any other failure does, for then
//!   the system is bad in a way that the control does not mean.
//! - A claim is decided only by trials in which what it is about happened, and whose load, faults and harness were sound.
//!   Without a share it is universal: one such trial that missed it refutes it, and no number of trials confirms it; the
//!   summary says which share of failovers is proven to keep it. With a share it is confirmed or refuted when the exact
//!   bounds ([`crate::statistics::bounds`]) at 95 % confidence say so. A trial that proves nothing counts as a miss against a confirmation,
//!   and as kept against a refutation.
//! - A run that set out to prove (`--prove`) decides claims with a share by its sampling plan alone, for each scenario by
//!   itself ([`proofs`]). A `Then` that is such a claim is judged over the trials; everything else stays per trial.
//! - A trial that was starved before its fault and begun again counts for nothing, and is listed.
//! - Several runs are one together only if they are shards of one recipe; what is missing, twice or foreign is named.
//! - Where the ground of the harness was lost, what came after is no evidence ([`ground`]).

mod again;
mod claims;
mod control;
mod doubts;
mod figures;
mod ground;
mod happened;
mod judge;
mod merge;
mod parts;
mod planned;
mod proof;
mod sound;

pub use again::BegunAgain;
pub use happened::{DISK_FULL, MEMBER_REMOVED, PAGE_CORRUPTED, REINITIALIZE};
pub use judge::{Judge, JudgedRun, combine, judge, judge_by};
pub use proof::{Proof, need_more, proofs};

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Deserialize, Serialize};

use crate::{
    checks::{
        Check, Evidence, Finding, Outcome, Over,
        course::{
            lease::beside_its_cell,
            phases::Failover,
            reigns::{Reign, overlaps},
        },
    },
    claims::{Claim, Claims, Subject},
    history::{
        Event, Occurrence,
        event::{Cell, RunStarted, ScenarioStarted},
    },
    plan::Plan,
};
use parts::{Parts, Views};

/// What a whole run showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// The worst of all scenarios and of the run itself.
    pub outcome: Outcome,
    /// Why the run itself is inconclusive (it was interrupted, its history has a gap), if it is.
    pub doubts: Vec<String>,
    /// Each trial of each scenario, by its number.
    pub scenarios: Vec<ScenarioVerdict>,
    /// Figures over the trials of each scenario.
    pub groups: Vec<ScenarioGroup>,
    /// The claims that scenarios bear on, in the order of their ids.
    pub claims: Vec<ClaimVerdict>,
    /// Trials that were begun again; they count for nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub begun_again: Vec<BegunAgain>,
}

/// What one trial of one scenario showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioVerdict {
    /// Its number in the history, counted from 1.
    pub number: u32,
    /// The run that it is of, where several are judged as one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// What it is; `None` if the history holds nothing of it.
    pub scenario: Option<ScenarioStarted>,
    /// The topology's name; empty if its plan is not known.
    pub topology: String,
    /// Whether it did what it should: for a control, that it was caught. What is judged over the trials does not count here.
    pub outcome: Outcome,
    /// The worst of the findings, before a control turns it round.
    pub worst_finding: Outcome,
    pub control: Option<ControlVerdict>,
    pub findings: Vec<Finding>,
    /// What happened in it that claims are about.
    #[serde(default)]
    pub happened: BTreeSet<Subject>,
    /// The outage after each fault with its phases, for drawing; of several lineages one after the other.
    pub failovers: Vec<Failover>,
    /// When each node acknowledged writes.
    #[serde(default)]
    pub reigns: Vec<Reign>,
    /// Times in which two nodes that hold the same rows surely were writers both.
    #[serde(default)]
    pub two_writers_us: Vec<(u64, u64)>,
    /// How its first fault was to meet the lease; `None`: no agent keeps one, or an older version recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Cell>,
    /// Where the fault came instead, if it missed its cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside_its_cell: Option<String>,
    /// How late the harness's timers fired, in microseconds, if the scenario was ended for that before any fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starved_before_fault_us: Option<u64>,
}

/// Whether a negative control did its work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ControlVerdict {
    /// The check that must fail.
    pub check: String,
    /// It failed, with evidence, and nothing else did but its consequences.
    pub caught: bool,
    /// One sentence why or why not.
    pub reason: String,
    /// Other checks that failed as a consequence.
    pub consequences: Vec<String>,
}

/// All trials of one scenario on one topology.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScenarioGroup {
    pub feature: String,
    pub name: String,
    pub file: String,
    pub line: usize,
    pub topology: String,
    /// The worst of its trials, and of what they prove over all of them.
    pub outcome: Outcome,
    /// What its trials decide of claims with a share, where the run set out to prove them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Proof>,
    /// Numbers of its trials in [`RunVerdict::scenarios`].
    pub scenarios: Vec<u32>,
    /// Of every measure that at least one trial has.
    pub statistics: Vec<Statistics>,
}

/// A measure over trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    /// The measure with its unit.
    pub measure: String,
    /// What the settings predict, least and most, the same for all trials or else the widest of them.
    pub predicted: Option<(f64, f64)>,
    pub minimum: f64,
    /// It is only known to be at least that: of a trial that never recovered. So for the others.
    pub minimum_at_least: bool,
    /// The middle value; of an even count the mean of the two in the middle.
    pub median: f64,
    pub median_at_least: bool,
    /// With 95 % confidence the 95th percentile is at least this, by order statistics ([`crate::statistics::bounds`]).
    pub p95_at_least: Option<f64>,
    /// With 95 % confidence the 95th percentile is at most this. There is none below 59 trials.
    pub p95_at_most: Option<f64>,
    pub maximum: f64,
    pub maximum_at_least: bool,
    pub trials: Vec<TrialValue>,
}

/// What one trial measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialValue {
    /// Number of the scenario in the history.
    pub scenario: u32,
    pub trial: u32,
    pub value: f64,
    /// The value is only known to be at least this: what was measured had not come to an end.
    #[serde(default)]
    pub at_least: bool,
}

/// What the run says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    Confirmed,
    Refuted,
    Undecided,
}

/// A claim over all trials that bear on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimVerdict {
    pub claim: Claim,
    pub state: ClaimState,
    /// One sentence with the figures.
    pub summary: String,
    /// Each trial that bears on it.
    pub trials: Vec<ClaimTrial>,
    /// How many more there were to be that are not there: they never began, or are of other shards. They prove nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub absent: u64,
    /// Over the trials that were about it and sound.
    pub statistics: Option<Statistics>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What one trial says of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClaimTrial {
    /// Number of the scenario in the history.
    pub scenario: u32,
    pub trial: u32,
    pub value: Option<f64>,
    /// The value is only known to be at least this.
    #[serde(default)]
    pub at_least: bool,
    /// What the claim is about happened in it, or nobody knows: it broke off, or proves nothing. If not, it is no trial of
    /// the claim.
    pub about: bool,
    /// `None`: it proves nothing.
    pub kept: Option<bool>,
    /// `seq` of the events that show it.
    pub evidence: Vec<u64>,
}

/// The check name of findings that the verdict itself makes.
const VERDICT: &str = "verdict";

/// Judges a scenario by its events, of which some are missing where there is a gap.
fn judge_scenario(
    number: u32,
    plan: Option<&Plan>,
    run: Option<&RunStarted>,
    events: &[Event],
    table: &[Check],
    has_gap: bool,
    claims: &Claims,
) -> ScenarioVerdict {
    let scenario = events.iter().find_map(|event| match &event.what {
        Occurrence::ScenarioStarted(started) => Some(started.clone()),
        _ => None,
    });
    let inconclusive = |why: &str| Judged::only(Finding::new(VERDICT, Outcome::Inconclusive, why));
    let Judged { mut findings, happened, failovers, reigns, two_writers_us, cell, beside_its_cell } = match plan {
        _ if events.is_empty() => inconclusive("nothing was recorded of this scenario"),
        None => inconclusive("the scenario's plan is missing, so nothing can be judged"),
        Some(plan) => match planned::mixed(events) {
            Some(mixed) => Judged::only(mixed),
            None => Judged::of(plan, run, &ground::evidence(events), table),
        },
    };
    if has_gap {
        doubts::without_gaps(&mut findings);
    }
    if let Some(scenario) = &scenario {
        claims::bind(claims, scenario, &mut findings);
        proof::mark(run, scenario, claims, &mut findings);
    }
    let worst_of = |findings: &mut dyn Iterator<Item = &Finding>| findings.map(|finding| finding.outcome).max();
    let worst_finding = worst_of(&mut findings.iter()).unwrap_or(Outcome::Inconclusive);
    let of_trial = worst_of(&mut findings.iter().filter(|finding| !finding.over_trials));
    let of_trial = of_trial.unwrap_or(if findings.is_empty() { Outcome::Inconclusive } else { Outcome::Pass });
    let control = scenario.as_ref().and_then(|scenario| scenario.control.as_deref());
    let control = control.map(|check| control::judge(check, &findings, table));
    ScenarioVerdict {
        number,
        run: String::new(),
        cell,
        beside_its_cell,
        starved_before_fault_us: again::starved_before_fault(events),
        topology: plan.map(|plan| plan.topology.name.clone()).unwrap_or_default(),
        outcome: control.as_ref().map_or(of_trial, |(_, outcome)| *outcome),
        worst_finding,
        control: control.map(|(control, _)| control),
        scenario,
        findings,
        happened,
        failovers,
        reigns,
        two_writers_us,
    }
}

/// What a scenario's evidence shows.
#[derive(Default)]
struct Judged {
    findings: Vec<Finding>,
    happened: BTreeSet<Subject>,
    failovers: Vec<Failover>,
    reigns: Vec<Reign>,
    two_writers_us: Vec<(u64, u64)>,
    cell: Option<Cell>,
    beside_its_cell: Option<String>,
}

impl Judged {
    fn only(finding: Finding) -> Self {
        Self { findings: vec![finding], ..Self::default() }
    }

    fn of(plan: &Plan, run: Option<&RunStarted>, events: &[Event], table: &[Check]) -> Self {
        let parts = Parts::of(plan);
        let views = Views::new(&parts, Evidence::new(plan, run, events));
        let mut findings = run_checks(&views, table);
        let lineages = || views.of_lineages();
        let of = |(name, evidence): (Option<&str>, &Evidence<'_>)| {
            let named = |failover: &Failover| Failover { of: name.map(str::to_owned), ..failover.clone() };
            evidence.failovers().iter().map(named).collect::<Vec<_>>()
        };
        let outages = || views.over(Over::Lineage).flat_map(of).collect::<Vec<_>>();
        let failovers = guarded("the outages", &mut findings, outages);
        let writers = || {
            let reigns: Vec<Reign> = lineages().flat_map(|evidence| evidence.reigns().to_vec()).collect();
            (reigns, lineages().flat_map(|evidence| overlaps(evidence.reigns())).collect())
        };
        let (reigns, two_writers_us) = guarded("the writers", &mut findings, writers);
        let shown = findings.clone();
        let of_claims = || happened::happened(views.whole(), &failovers, &shown);
        let happened = guarded("what claims are about", &mut findings, of_claims);
        let cell = events.iter().find_map(|event| match &event.what {
            Occurrence::CellDrawn(cell) => Some(cell.clone()),
            _ => None,
        });
        let of_cell = || cell.as_ref().and_then(|cell| beside_its_cell(views.whole(), cell));
        let beside_its_cell = guarded("the cell", &mut findings, of_cell);
        Self { findings, happened, failovers, reigns, two_writers_us, cell, beside_its_cell }
    }
}

/// Runs every check, once for each of what it is about, and sees to it that every expectation was judged.
fn run_checks(views: &Views<'_>, table: &[Check]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for check in table {
        findings.extend(views.over(check.over).flat_map(|(name, evidence)| run_check(check, name, evidence)));
    }
    if findings.is_empty() {
        findings.push(Finding::new(VERDICT, Outcome::Inconclusive, "no check had anything to say"));
    }
    let evidence = views.whole();
    let unjudged = unjudged_expectations(evidence, &findings);
    findings.extend(unjudged);
    findings.extend(doubts::contradictions(evidence));
    findings.extend(doubts::unnamed_versions(evidence));
    doubts::without_ground(evidence, &mut findings);
    findings
}

/// What is worked out of a history beside the checks; nothing, and a finding that says so, where the verdict itself breaks.
fn guarded<T: Default>(at: &str, findings: &mut Vec<Finding>, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let why = format!("the verdict broke on this history, at {at}: this is an error in pgquake");
        findings.push(Finding::new(VERDICT, Outcome::Inconclusive, why));
        T::default()
    })
}

/// A check that panics proves nothing, least of all a pass. `name` is that of the part, where there are several.
fn run_check(check: &Check, name: Option<&str>, evidence: &Evidence<'_>) -> Vec<Finding> {
    let judged = catch_unwind(AssertUnwindSafe(|| (check.judge)(evidence)));
    let findings = judged.unwrap_or_else(|_| {
        let why = format!("the check {} broke on this history: this is an error in pgquake", check.name);
        vec![Finding::new(check.name, Outcome::Inconclusive, why)]
    });
    findings
        .into_iter()
        .map(|finding| match name {
            Some(name) => finding.concerning(name),
            None => finding,
        })
        .collect()
}

/// An expectation that no finding was held against: its check or measure does not exist, or the check does not hold
/// its findings against expectations.
fn unjudged_expectations(evidence: &Evidence<'_>, findings: &[Finding]) -> Vec<Finding> {
    let mut unjudged = Vec::new();
    for event in evidence.events {
        let Occurrence::Expected(expectation) = &event.what else { continue };
        let mut own = findings.iter().filter(|finding| finding.check == expectation.check);
        let judged = own.any(|finding| {
            let held = finding.measure.as_ref().is_some_and(|measure| measure.name == expectation.measure);
            finding.outcome != Outcome::Pass || (held && finding.target == Some(expectation.bound))
        });
        if !judged {
            let why = format!(
                "nobody judged `{}`: the check {} has no finding on {}",
                expectation.text, expectation.check, expectation.measure
            );
            unjudged.push(Finding::new(VERDICT, Outcome::Inconclusive, why).with_evidence([event.seq]));
        }
    }
    unjudged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(_: &Evidence<'_>) -> Vec<Finding> {
        vec![Finding::new("sound", Outcome::Pass, "fine")]
    }

    fn broken(_: &Evidence<'_>) -> Vec<Finding> {
        panic!("a check that breaks, on purpose")
    }

    fn row(name: &'static str, judge: fn(&Evidence<'_>) -> Vec<Finding>) -> Check {
        Check { name, question: "", measures: &[], over: Over::Lineage, judge }
    }

    #[test]
    fn a_check_that_panics_is_inconclusive_and_the_others_still_count() {
        let regions = Vec::new();
        let endpoint = crate::topology::Endpoint { host: "proxy1".to_owned(), port: 5000, publish: None };
        let plan = Plan::new(crate::topology::Topology {
            name: "empty".to_owned(),
            description: String::new(),
            follows: String::new(),
            regions,
            links: Vec::new(),
            endpoints: crate::topology::Endpoints::write_and_read(endpoint, None),
            clusters: Vec::new(),
            region_links: Vec::new(),
            names: Vec::new(),
            virtual_addresses: Vec::new(),
            networks: Vec::new(),
            firewall: None,
            buckets: Vec::new(),
            backups: Vec::new(),
            subscriptions: Vec::new(),
            applications: Vec::new(),
            tls: Default::default(),
            settings: Default::default(),
            own: Default::default(),
            prepare: Default::default(),
            claims: Vec::new(),
        });
        let parts = Parts::of(&plan);
        let views = Views::new(&parts, Evidence::new(&plan, None, &[]));
        let findings = run_checks(&views, &[row("sound", pass), row("broken", broken)]);
        let outcomes: Vec<_> = findings.iter().map(|finding| (finding.check.as_str(), finding.outcome)).collect();
        assert_eq!(outcomes, [("sound", Outcome::Pass), ("broken", Outcome::Inconclusive)]);
        assert_eq!(run_checks(&views, &[])[0].outcome, Outcome::Inconclusive);
    }
}
