//! What a certificate says to people, in words ready to be set: page and summary differ only in how they set it.

use super::{
    Certified, Conclusion,
    attempts::Attempt,
    drill::{Kind, principal},
    evidence, frameworks,
    statement::{self, METHOD, assumptions},
};
use crate::{
    checks::Outcome,
    report::page::{ClaimLine, Page, ScenarioBlock, count, day_and_time, outcome_word, sentence},
    saved::SavedRun,
    verdict::ClaimState,
};

/// What stands where people stated nothing.
pub const NOT_STATED: &str = "not stated";

/// The length of a certificate's id: the first letters of the statement's digest.
const ID_LENGTH: usize = 12;

/// The whole certificate.
pub struct Sheet {
    pub title: String,
    /// The beginning of the statement's SHA-256.
    pub id: String,
    pub sha256: String,
    pub verdict: &'static str,
    pub headline: String,
    /// What it is, of what, and until when.
    pub facts: Vec<(&'static str, String)>,
    pub people: Vec<(&'static str, String)>,
    pub claims: Vec<ClaimRow>,
    /// Refuted claims and failed scenarios, each with what is done about it.
    pub deviations: Vec<Deviation>,
    /// What the certificate rests on, in sentences.
    pub rests_on: Vec<String>,
    pub attempts: Vec<AttemptRow>,
    pub not_covered: Vec<(&'static str, String)>,
    pub versions: String,
    /// The last certificate, and the comparison with it.
    pub previous: Option<(String, Vec<String>)>,
    pub clauses: Vec<ClauseRow>,
    pub runs: Vec<RunRecord>,
    pub version: &'static str,
}

/// A claim that a check decides.
pub struct ClaimRow {
    pub line: ClaimLine,
    /// The run, where there are several.
    pub run: String,
    /// What is done about it, if it was refuted.
    pub action: String,
}

/// Something that does not hold.
pub struct Deviation {
    pub name: String,
    pub why: String,
    /// What is done about it; empty: nothing is stated.
    pub action: String,
}

/// A run of the same plan.
pub struct AttemptRow {
    pub run: String,
    pub started: String,
    pub trials: String,
    pub outcome: &'static str,
    pub why: String,
}

/// A clause that the certificate supports.
pub struct ClauseRow {
    pub cited: String,
    pub asks: String,
    pub shows: String,
    pub claims: String,
}

/// The record of a run.
pub struct RunRecord {
    pub page: Page,
    /// The settings of each topology, as text.
    pub topologies: Vec<(String, String)>,
}

impl Sheet {
    /// Words a certificate with this statement.
    pub fn new(certified: &Certified, statement: &str, with_drawings: bool) -> Self {
        let sha256 = evidence::digest_of(statement.as_bytes());
        let runs: Vec<RunRecord> = certified
            .runs
            .iter()
            .enumerate()
            .map(|(place, saved)| record(saved, place, certified.runs.len(), with_drawings))
            .collect();
        let claims = claims(certified, &runs);
        Self {
            title: certified.drill.title().to_owned(),
            id: sha256[..ID_LENGTH].to_owned(),
            sha256,
            verdict: certified.conclusion().word(),
            headline: headline(certified),
            facts: facts(certified),
            people: people(certified),
            deviations: deviations(certified, &claims, &runs),
            rests_on: rests_on(certified),
            attempts: certified.attempts.iter().map(attempt).collect(),
            not_covered: not_covered(certified),
            versions: versions(certified),
            previous: certified.previous.as_ref().map(|previous| {
                let id = &previous.sha256[..ID_LENGTH.min(previous.sha256.len())];
                let issued = day_and_time(&previous.issued_at);
                (
                    format!("{} ({id}), issued {issued}: {}", previous.title, previous.verdict),
                    previous.comparison.clone(),
                )
            }),
            clauses: clauses(certified),
            claims,
            runs,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn stated(text: &str) -> String {
    if text.trim().is_empty() { NOT_STATED.to_owned() } else { text.to_owned() }
}

fn headline(certified: &Certified) -> String {
    let of = |state: ClaimState| {
        let own = certified.claims().filter(|(_, claim)| claim.state == state);
        own.map(|(_, claim)| claim.claim.id.as_str()).collect::<Vec<_>>()
    };
    let (confirmed, refuted) = (of(ClaimState::Confirmed), of(ClaimState::Refuted));
    match certified.conclusion() {
        Conclusion::Refuted if refuted.is_empty() => "An expectation was missed, or a safety check failed.".to_owned(),
        Conclusion::Refuted => format!("{} refuted: {}.", count(refuted.len(), "claim"), refuted.join(", ")),
        Conclusion::Confirmed => format!("{} confirmed: {}.", count(confirmed.len(), "claim"), confirmed.join(", ")),
        Conclusion::Undecided if confirmed.is_empty() => "Nothing was refuted, and no claim was confirmed.".to_owned(),
        Conclusion::Undecided => {
            format!("{} confirmed: {}; others are undecided.", count(confirmed.len(), "claim"), confirmed.join(", "))
        }
    }
}

fn kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Quarterly) => "quarterly drill",
        Some(Kind::Yearly) => "yearly drill",
        Some(Kind::PreRelease) => "before a release",
        Some(Kind::AfterChange) => "after a change",
        None => NOT_STATED,
    }
}

fn facts(certified: &Certified) -> Vec<(&'static str, String)> {
    let drill = &certified.drill;
    let system = [&drill.system.name, &drill.system.environment, &drill.system.tier];
    let system: Vec<&str> = system.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    let cores: Vec<&str> =
        certified.runs.iter().filter_map(|saved| saved.first().machine.get("cores")).map(String::as_str).collect();
    let cores = cores.first().map_or(String::new(), |cores| format!(", {cores} cores"));
    let time = |instant: jiff::Timestamp| day_and_time(&instant.to_string());
    let topologies: Vec<String> = statement::topologies(certified)
        .into_iter()
        .map(|(name, digest)| format!("{name} ({})", &digest[..ID_LENGTH]))
        .collect();
    let references = [("impact analysis", &drill.system.bia), ("continuity plan", &drill.system.plan)];
    let references: Vec<String> = references
        .into_iter()
        .filter(|(_, reference)| !reference.is_empty())
        .map(|(what, reference)| format!("{what} {reference}"))
        .collect();
    let mut facts = vec![
        ("occasion", kind(drill.kind).to_owned()),
        ("system", stated(&system.join(", "))),
        ("environment", format!("built in containers{cores}; not the production system")),
        ("period", format!("{} to {}", time(certified.began_at), time(certified.issued_at))),
        ("valid until", time(certified.valid_until())),
        ("topology", topologies.join(", ")),
        ("objectives", stated(&drill.objectives.join(", "))),
        ("in scope", stated(&drill.scope.covered.join(", "))),
        ("references", references.join("; ")),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    facts
}

fn people(certified: &Certified) -> Vec<(&'static str, String)> {
    let drill = &certified.drill;
    let signs = |person: &str| format!("{person}, signs as {}", principal(person));
    let approvals = drill.approvals.iter().map(|approval| {
        let more: Vec<&str> = [&approval.at, &approval.reference]
            .into_iter()
            .map(String::as_str)
            .filter(|part| !part.is_empty())
            .collect();
        if more.is_empty() { approval.by.clone() } else { format!("{} ({})", approval.by, more.join(", ")) }
    });
    vec![
        ("operator", signs(drill.people.operator())),
        ("reviewer", drill.people.reviewer().map_or_else(|| NOT_STATED.to_owned(), signs)),
        ("owner", drill.people.owner().to_owned()),
        ("observers", stated(&drill.people.observers.join(", "))),
        ("approved by", stated(&approvals.collect::<Vec<_>>().join("; "))),
    ]
}

/// What is done about a finding of this name, in a sentence; empty if nothing is stated.
fn action(certified: &Certified, name: &str) -> String {
    let own = certified.drill.actions.iter().filter(|action| action.finding.eq_ignore_ascii_case(name));
    let told = own.map(|action| {
        let owner = if action.owner.is_empty() { String::new() } else { format!(", {}", action.owner) };
        let due = action.due().map(|due| format!(", by {due}")).unwrap_or_default();
        let ticket = if action.ticket.is_empty() { String::new() } else { format!(" ({})", action.ticket) };
        format!("{}{owner}{due}{ticket}", action.what)
    });
    told.collect::<Vec<_>>().join("; ")
}

fn claims(certified: &Certified, runs: &[RunRecord]) -> Vec<ClaimRow> {
    let several = runs.len() > 1;
    let mut rows = Vec::new();
    for (saved, record) in certified.runs.iter().zip(runs) {
        let measured = saved.verdict.claims.iter().zip(&record.page.claims);
        for (_, line) in measured.filter(|(claim, _)| claim.claim.target.is_some()) {
            let run = if several { saved.id() } else { String::new() };
            let action = if line.verdict == "refuted" { action(certified, &line.id) } else { String::new() };
            rows.push(ClaimRow { line: line.clone(), run, action });
        }
    }
    // What does not hold comes first.
    let order = ["refuted", "undecided", "confirmed"];
    rows.sort_by_key(|row| order.iter().position(|state| *state == row.line.verdict));
    rows
}

fn deviations(certified: &Certified, claims: &[ClaimRow], runs: &[RunRecord]) -> Vec<Deviation> {
    let refuted = claims.iter().filter(|row| row.line.verdict == "refuted").map(|row| Deviation {
        name: row.line.id.clone(),
        why: row.line.why.clone(),
        action: row.action.clone(),
    });
    let scenarios = runs.iter().flat_map(|run| &run.page.overview).filter(|line| line.outcome == "fail");
    // A scenario that failed because its claims were refuted is answered by their actions.
    let bears_on_refuted = claims.iter().any(|row| row.line.verdict == "refuted");
    let scenarios = scenarios.map(|line| {
        let own = action(certified, &line.name);
        let action = if own.is_empty() && bears_on_refuted { "see the claims that it refuted".to_owned() } else { own };
        Deviation { name: format!("{} [{}]", line.name, line.topology), why: line.why.clone(), action }
    });
    refuted.chain(scenarios).collect()
}

fn rests_on(certified: &Certified) -> Vec<String> {
    let runs: Vec<&str> = certified.runs.iter().flat_map(|saved| &saved.runs).map(|run| run.run.as_str()).collect();
    let trials: usize = certified.runs.iter().map(|saved| saved.verdict.scenarios.len()).sum();
    let left_out = certified.attempts.iter().filter(|attempt| !attempt.is_certified).count();
    let mut told = vec![format!(
        "{} of {} ({}). {}",
        count(trials, "trial"),
        count(runs.len(), "run"),
        runs.join(", "),
        match left_out {
            0 => "No other run of the same plan was found.".to_owned(),
            1 => "One more run of the same plan is not counted; it is listed with the reason.".to_owned(),
            more => format!("{more} more runs of the same plan are not counted; they are listed with the reasons."),
        }
    )];
    let alone = certified.runs.iter().filter(|saved| saved.runs.len() == 1).map(SavedRun::first);
    told.extend(alone.filter_map(|run| {
        let shard = run.shard?;
        Some(format!(
            "{} is shard {} of {}, without the others: the trials of those prove nothing here.",
            run.run, shard.index, shard.of
        ))
    }));
    let controls: Vec<bool> = certified
        .runs
        .iter()
        .flat_map(|saved| &saved.verdict.scenarios)
        .filter_map(|scenario| scenario.control.as_ref())
        .map(|control| control.caught)
        .collect();
    told.push(match (controls.len(), controls.iter().filter(|caught| **caught).count()) {
        (0, _) => "No negative control was run: that the checks can fail was not shown here.".to_owned(),
        (all, caught) => format!("Negative controls, which are systems known to be bad: {caught} of {all} caught."),
    });
    let doubts: Vec<&String> = certified.runs.iter().flat_map(|saved| &saved.verdict.doubts).collect();
    let unproven = certified.runs.iter().flat_map(|saved| &saved.verdict.scenarios);
    let unproven = unproven.filter(|scenario| scenario.outcome == Outcome::Inconclusive).count();
    told.push(match (doubts.first(), unproven) {
        (Some(doubt), _) => format!("The run itself is in doubt: {}", sentence(doubt)),
        (None, 0) => {
            "The harness had no doubt of itself: its timers were on time, its load was real, its faults were proven."
                .to_owned()
        }
        (None, some) => format!(
            "{} inconclusive: see the record.",
            if some == 1 { "1 trial is".to_owned() } else { format!("{some} trials are") }
        ),
    });
    told.push(format!("Method: {METHOD}."));
    told.push(format!("Assumptions: {}.", assumptions(certified)));
    told
}

fn attempt(attempt: &Attempt) -> AttemptRow {
    let planned = if attempt.planned == 0 { String::new() } else { format!(" of {}", attempt.planned) };
    let mut why = match attempt.is_certified {
        true => "certified here".to_owned(),
        false => format!("left out: {}", attempt.left_out_because),
    };
    if let Some(doubt) = attempt.doubts.first() {
        why = format!("{why}; {doubt}");
    }
    AttemptRow {
        run: attempt.run.clone(),
        started: day_and_time(&attempt.started_at),
        trials: format!("{}{planned}", attempt.begun),
        outcome: attempt.outcome.map_or("inconclusive", outcome_word),
        why,
    }
}

fn not_covered(certified: &Certified) -> Vec<(&'static str, String)> {
    let (unmeasured, untried) = statement::claims_not_covered(certified);
    let mut rows = vec![
        ("out of scope", stated(&certified.drill.scope.not_covered.join(", "))),
        ("claims that no scenario here tried", untried.join(", ")),
        ("claims that no check measures yet", unmeasured.join(", ")),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

fn versions(certified: &Certified) -> String {
    let packages = statement::versions(certified).into_iter();
    let harness: std::collections::BTreeSet<String> =
        certified.runs.iter().map(|saved| format!("pgquake {}", saved.first().version)).collect();
    harness
        .into_iter()
        .chain(packages.map(|(name, version)| format!("{name} {version}")))
        .collect::<Vec<_>>()
        .join(", ")
}

fn clauses(certified: &Certified) -> Vec<ClauseRow> {
    let row = |clause: &frameworks::Clause| {
        let mut claims: Vec<&str> = certified
            .claims()
            .filter(|(_, verdict)| clause.is_supported_by(&verdict.claim))
            .map(|(_, verdict)| verdict.claim.id.as_str())
            .collect();
        claims.dedup();
        ClauseRow {
            cited: clause.cited(),
            asks: clause.asks.clone(),
            shows: clause.shows.clone(),
            claims: claims.join(", "),
        }
    };
    frameworks::all().iter().map(row).filter(|row| !row.claims.is_empty()).collect()
}

fn record(saved: &SavedRun, place: usize, all: usize, with_drawings: bool) -> RunRecord {
    let mut page = Page::new(&saved.input(), with_drawings);
    if all > 1 {
        page.scenarios.iter_mut().for_each(|block| own_names(block, place + 1));
    }
    let mut topologies: Vec<(String, String)> = Vec::new();
    for plan in saved.plans.values() {
        let settings = serde_json::to_string_pretty(&plan.topology.settings).unwrap_or_default();
        let row = (plan.topology.name.clone(), settings);
        if !topologies.contains(&row) {
            topologies.push(row);
        }
    }
    RunRecord { page, topologies }
}

/// Drawings name their parts; two runs on one page must not share the names.
fn own_names(block: &mut ScenarioBlock, run: usize) {
    let own = |svg: &mut String| {
        for form in ["id=\"", "url(#", "href=\"#", "aria-labelledby=\""] {
            *svg = svg.replace(form, &format!("{form}run{run}-"));
        }
    };
    block.strips.iter_mut().for_each(own);
    block.trials.iter_mut().filter_map(|trial| trial.drawing.as_mut()).for_each(|drawing| own(&mut drawing.svg));
}
