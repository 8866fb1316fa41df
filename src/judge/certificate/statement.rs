//! `certificate.json`: an in-toto Statement (v1) with the predicate test-result (v0.1) and the extension object `pgquake`.
//!
//! <https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md>. What is inconclusive is FAILED: WARNED
//! would let it through as passed with warnings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Certified, Conclusion, canonical, evidence, frameworks};
use crate::{
    checks::Outcome,
    claims,
    history::event::RunStarted,
    saved::SavedRun,
    topology::Topology,
    verdict::{ClaimState, ClaimVerdict, ScenarioGroup, ScenarioVerdict},
};

/// The version of the extension object.
const SCHEMA_VERSION: u32 = 1;

/// How it is decided what trials prove, in a sentence.
pub(super) const METHOD: &str = "each run recorded its rule before its first trial: exact bounds of Clopper and Pearson at the \
                                 stated number of trials, or the sampling plan of --prove, at 95 % confidence; a trial that \
                                 proves nothing counts as a miss against a confirmation, and as kept against a refutation; \
                                 a claim without a share is universal, so one miss refutes it and no number of trials confirms it";

/// What the figures stand on, in a sentence.
pub(super) fn assumptions(certified: &Certified) -> String {
    let trials = || certified.runs.iter().flat_map(|saved| &saved.verdict.scenarios);
    let is_shared = |trial: &ScenarioVerdict| trial.cell.is_some() && trial.beside_its_cell.is_none();
    let phases = match (trials().any(is_shared), trials().all(is_shared)) {
        (false, _) => "the phases of the lease come up by chance",
        (true, true) => "the trials of a scenario share the phases of the lease out evenly",
        (true, false) => {
            "the trials of a scenario share the phases of the lease out evenly where each fault came in its part, and elsewhere \
             the phases come up by chance"
        }
    };
    format!(
        "trials are independent, and {phases}; the system was built in containers on one machine, so the figures are of these \
         versions, settings and cores, and not of the reader's production"
    )
}

/// The statement's text: the same for the same folder, byte for byte.
pub fn statement(certified: &Certified) -> String {
    let (passed, failed) = tests(certified);
    let digest = |name: &String, digest: &String| json!({ "name": name, "digest": { "sha256": digest } });
    canonical::text(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects(certified),
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": if certified.conclusion() == Conclusion::Confirmed { "PASSED" } else { "FAILED" },
            "configuration": certified.files.iter().map(|(name, of)| digest(name, of)).collect::<Vec<_>>(),
            "passedTests": passed,
            "warnedTests": [],
            "failedTests": failed,
            "pgquake": extension(certified),
        },
    }))
}

/// The digest of a topology, as it was tried.
pub(super) fn digest_of_topology(topology: &Topology) -> String {
    let value = serde_json::to_value(topology).unwrap_or_default();
    evidence::digest_of(canonical::text(&value).as_bytes())
}

/// Every topology that was tried, with its digest. One that scenarios changed is there in each form.
pub(super) fn topologies(certified: &Certified) -> BTreeSet<(String, String)> {
    let plans = certified.runs.iter().flat_map(|saved| saved.plans.values());
    plans.map(|plan| (plan.topology.name.clone(), digest_of_topology(&plan.topology))).collect()
}

fn subjects(certified: &Certified) -> Vec<Value> {
    let subject = |(name, digest): (String, String)| json!({ "name": format!("topology {name}"), "digest": { "sha256": digest } });
    topologies(certified).into_iter().map(subject).collect()
}

/// The tests that passed, and those that did not. A universal claim that every trial kept is neither: it can't be proven.
fn tests(certified: &Certified) -> (Vec<String>, Vec<String>) {
    let (mut passed, mut failed) = (Vec::new(), Vec::new());
    for (_, claim) in certified.claims() {
        let name = format!("CLAIM {}", claim.claim.id);
        match claim.state {
            ClaimState::Confirmed => passed.push(name),
            ClaimState::Refuted => failed.push(name),
            ClaimState::Undecided if share(claim).is_some() => failed.push(name),
            ClaimState::Undecided => {}
        }
    }
    for group in certified.runs.iter().flat_map(|saved| &saved.verdict.groups) {
        let name = format!("SCENARIO {}:{} {}", group.file, group.line, group.topology);
        if group.outcome == Outcome::Pass { passed.push(name) } else { failed.push(name) }
    }
    // What failed in one run did not pass.
    passed.retain(|name| !failed.contains(name));
    for names in [&mut passed, &mut failed] {
        names.sort();
        names.dedup();
    }
    (passed, failed)
}

fn share(claim: &ClaimVerdict) -> Option<f64> {
    claim.claim.target.as_ref().and_then(|target| target.share)
}

fn extension(certified: &Certified) -> Value {
    let runs = || certified.runs.iter();
    let per_run = |of: fn(&SavedRun) -> Vec<Value>| runs().flat_map(of).collect::<Vec<_>>();
    json!({
        "schema_version": SCHEMA_VERSION,
        "verdict": certified.conclusion().word(),
        "judged_by": { "name": "pgquake", "version": env!("CARGO_PKG_VERSION") },
        "drill": drill(certified),
        "period": { "from": certified.began_at.to_string(), "to": certified.issued_at.to_string() },
        "issued_at": certified.issued_at.to_string(),
        "valid_until": certified.valid_until().to_string(),
        "environment": "built in containers",
        "statistics": { "method": METHOD, "assumptions": assumptions(certified) },
        "runs": per_run(|saved| saved.runs.iter().map(|own| run(saved, own)).collect()),
        "claims": certified.claims().map(|(saved, verdict)| claim(saved, verdict)).collect::<Vec<_>>(),
        "scenarios": per_run(|saved| saved.verdict.groups.iter().map(|group| scenario(saved, group)).collect()),
        "findings": per_run(findings),
        "attempts": certified.attempts,
        "void_if_changed": void_if_changed(certified),
        "not_covered": not_covered(certified),
        "supports": supports(certified),
        "previous": certified.previous,
    })
}

fn drill(certified: &Certified) -> Value {
    let drill = &certified.drill;
    let actions = drill.actions.iter().map(|action| {
        json!({
            "finding": action.finding, "what": action.what, "owner": action.owner, "due": action.due(),
            "ticket": action.ticket,
        })
    });
    json!({
        "title": drill.title(),
        "kind": drill.kind,
        "system": drill.system,
        "objectives": drill.objectives,
        "scope": drill.scope,
        "people": {
            "owner": drill.people.owner(), "operator": drill.people.operator(), "reviewer": drill.people.reviewer(),
            "observers": drill.people.observers,
        },
        "approvals": drill.approvals,
        "actions": actions.collect::<Vec<_>>(),
    })
}

fn run(saved: &SavedRun, run: &RunStarted) -> Value {
    json!({
        "run": run.run,
        "version": run.version,
        "seed": run.seed.to_string(),
        "started_at": run.started_at,
        "machine": run.machine,
        "versions": run.versions,
        "arguments": run.arguments,
        "planned": run.scenarios,
        "rule": run.rule,
        "shard": run.shard,
        "recipe": run.recipe,
        "inputs": run.inputs,
        "binary": run.binary,
        "earlier": run.earlier,
        "outcome": saved.verdict.outcome,
        "doubts": saved.verdict.doubts,
    })
}

fn claim(saved: &SavedRun, verdict: &ClaimVerdict) -> Value {
    let about = || verdict.trials.iter().filter(|trial| trial.about);
    let count = |kept: Option<bool>| about().filter(|trial| trial.kept == kept).count();
    let clauses = frameworks::all().iter().filter(|clause| clause.is_supported_by(&verdict.claim));
    let mut trials = json!({
        "about": about().count(), "kept": count(Some(true)), "missed": count(Some(false)), "unproven": count(None),
    });
    if verdict.absent > 0 {
        trials["absent"] = json!(verdict.absent);
    }
    json!({
        "run": saved.id(),
        "id": verdict.claim.id,
        "claim": verdict.claim.claim,
        "documents": verdict.claim.documents,
        "target": verdict.claim.target,
        "state": verdict.state,
        "summary": verdict.summary,
        "trials": trials,
        "statistics": verdict.statistics,
        "supports": clauses.map(frameworks::Clause::cited).collect::<Vec<_>>(),
    })
}

fn scenario(saved: &SavedRun, group: &ScenarioGroup) -> Value {
    let own = saved.verdict.scenarios.iter().filter(|scenario| group.scenarios.contains(&scenario.number));
    let controls: Vec<_> = own.filter_map(|scenario| scenario.control.as_ref()).collect();
    let control = controls
        .first()
        .map(|first| json!({ "check": first.check, "caught": controls.iter().all(|control| control.caught) }));
    json!({
        "run": saved.id(),
        "feature": group.feature,
        "name": group.name,
        "file": group.file,
        "line": group.line,
        "topology": group.topology,
        "outcome": group.outcome,
        "trials": group.scenarios.len(),
        "proofs": group.proofs,
        "control": control,
    })
}

/// Every finding that is no pass, with the events that show it. A failure that a control must show is none.
fn findings(saved: &SavedRun) -> Vec<Value> {
    let of = |scenario: &crate::verdict::ScenarioVerdict| {
        let caught = scenario.control.as_ref().is_some_and(|control| control.caught);
        let found = scenario.findings.iter().filter(move |finding| finding.outcome != Outcome::Pass && !caught);
        let (run, number) = (saved.id(), scenario.number);
        found
            .map(move |finding| {
                json!({
                    "run": run, "scenario": number, "check": finding.check, "outcome": finding.outcome,
                    "summary": finding.summary, "claims": finding.claims, "evidence": finding.evidence,
                })
            })
            .collect::<Vec<_>>()
    };
    saved.verdict.scenarios.iter().flat_map(of).collect()
}

/// By what the certificate is void when it changes.
fn void_if_changed(certified: &Certified) -> Vec<Value> {
    let topologies = topologies(certified).into_iter();
    let topologies = topologies.map(|(name, sha256)| json!({ "kind": "topology", "name": name, "sha256": sha256 }));
    let packages = versions(certified).into_iter();
    let packages = packages.map(|(name, version)| json!({ "kind": "package", "name": name, "version": version }));
    let claims = certified.claims().map(
        |(_, verdict)| json!({ "kind": "claim", "name": verdict.claim.id, "sha256": digest_of_claim(&verdict.claim) }),
    );
    let mut all: Vec<Value> = Vec::new();
    for entry in topologies.chain(packages).chain(claims) {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    all
}

/// The digest of a claim's target; its words are no part of it.
pub(super) fn digest_of_claim(claim: &claims::Claim) -> String {
    let value = json!({ "id": claim.id, "target": claim.target });
    evidence::digest_of(canonical::text(&value).as_bytes())
}

/// The packages that ran, each with its version. One that was another version in another run is there in each.
pub(super) fn versions(certified: &Certified) -> BTreeSet<(String, String)> {
    certified.runs.iter().flat_map(|saved| &saved.runs).flat_map(|run| run.versions.clone()).collect()
}

/// What the certificate says nothing of.
fn not_covered(certified: &Certified) -> Value {
    let (unmeasured, untried) = claims_not_covered(certified);
    json!({
        "scope": certified.drill.scope.not_covered,
        "claims_that_no_check_measures": unmeasured,
        "claims_that_no_scenario_tried": untried,
    })
}

/// Claims of the runs that no check measures, and others that no scenario of these runs bears on.
pub(super) fn claims_not_covered(certified: &Certified) -> (Vec<&str>, Vec<&str>) {
    let tried: BTreeSet<&str> = certified.claims().map(|(_, verdict)| verdict.claim.id.as_str()).collect();
    let ids = |has_target: bool| {
        let all = certified.runs.iter().flat_map(|saved| saved.claims.all());
        let own: BTreeMap<&str, ()> =
            all.filter(|claim| claim.target.is_some() == has_target).map(|claim| (claim.id.as_str(), ())).collect();
        own.into_keys()
    };
    (ids(false).collect(), ids(true).filter(|id| !tried.contains(id)).collect())
}

fn supports(certified: &Certified) -> Vec<Value> {
    let row = |clause: &frameworks::Clause| {
        let own = certified.claims().filter(|(_, verdict)| clause.is_supported_by(&verdict.claim));
        let claims: BTreeSet<&str> = own.map(|(_, verdict)| verdict.claim.id.as_str()).collect();
        json!({ "framework": clause.framework, "clause": clause.clause, "asks": clause.asks, "claims": claims })
    };
    frameworks::all().iter().map(row).collect()
}
