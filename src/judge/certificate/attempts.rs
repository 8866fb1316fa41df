//! Every run of the same plan: what was certified, and what was not, with the reason. So nobody runs until it is green.
//!
//! A run is of the same plan if it tried one of the certified scenarios on the same topology, however often. One that ended
//! before its first system was planned is, if its recipe or its command line was the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, Certified, evidence};
use crate::{
    checks::Outcome,
    history::{event::RunStarted, history_in},
    saved::{SavedError, SavedRun},
};

/// A run of the same plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    pub run: String,
    pub started_at: String,
    /// How many trials it was to have, and how many began; of an old history the first is 0.
    pub planned: u32,
    pub begun: u64,
    /// `None`: its history can't be read.
    pub outcome: Option<Outcome>,
    /// What makes the run as a whole prove less: an interruption, a gap.
    pub doubts: Vec<String>,
    /// SHA-256 of its history.
    pub history: String,
    /// Whether the certificate rests on it.
    pub is_certified: bool,
    /// Why it was left out, in the words of whoever certified; empty if it was not.
    pub left_out_because: String,
}

/// What makes two runs ones of the same plan.
type Tried = BTreeSet<(String, String, String)>;

fn tried(saved: &SavedRun) -> Tried {
    let topology = |number: &u32| saved.plans.get(number).map(|plan| &plan.topology);
    let of = |verdict: &crate::verdict::ScenarioVerdict| {
        let (started, topology) = (verdict.scenario.as_ref()?, topology(&verdict.number)?);
        let digest = evidence::digest_of(&serde_json::to_vec(topology).unwrap_or_default());
        Some((started.feature.clone(), started.name.clone(), digest))
    };
    saved.verdict.scenarios.iter().filter_map(of).collect()
}

/// The runs of the same plan in these folders of reports, in the order of their ids. `reasons` has why a run is left out, by
/// its id; `*` is for all others.
pub(super) fn find(
    folders: &BTreeSet<std::path::PathBuf>,
    certified: &[SavedRun],
    reasons: &BTreeMap<String, String>,
) -> io::Result<Vec<Attempt>> {
    let wanted: Tried = certified.iter().flat_map(tried).collect();
    let mut attempts: BTreeMap<String, Attempt> = BTreeMap::new();
    for saved in certified {
        for (run, folder) in saved.runs.iter().zip(&saved.folders) {
            attempts.insert(run.run.clone(), attempt(saved, run, folder, String::new())?);
        }
    }
    for folder in folders {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if history_in(&path).is_none() || attempts.contains_key(&name) {
                continue;
            }
            let reason = |run: &str| reasons.get(run).or_else(|| reasons.get("*")).cloned().unwrap_or_default();
            match SavedRun::read(&path) {
                Ok(saved) if attempts.contains_key(&saved.first().run) => {}
                Ok(saved) if is_same_plan(&saved, certified, &wanted) => {
                    let run = saved.first();
                    let own = Attempt { is_certified: false, ..attempt(&saved, run, &path, reason(&run.run))? };
                    attempts.insert(run.run.clone(), own);
                }
                Ok(_) => {}
                // What it tried is not known, so it may be one.
                Err(error) => drop(attempts.insert(name.clone(), unreadable(&path, &name, &error, reason(&name))?)),
            }
        }
    }
    Ok(attempts.into_values().collect())
}

fn is_same_plan(saved: &SavedRun, certified: &[SavedRun], wanted: &Tried) -> bool {
    let own = tried(saved);
    let same_command = |other: &SavedRun| {
        let words = |run: &SavedRun| {
            run.first().arguments.iter().filter(|word| !word.starts_with("--out")).cloned().collect::<Vec<_>>()
        };
        words(saved) == words(other)
    };
    let recipe = &saved.first().recipe;
    if !recipe.is_empty() && certified.iter().any(|other| other.first().recipe == *recipe) {
        return true;
    }
    if own.is_empty() { certified.iter().any(same_command) } else { !own.is_disjoint(wanted) }
}

/// In what the list of attempts contradicts the runs of a certificate: each of them is there as its evidence shows it, no
/// other is called certified, and none was left out without a reason.
pub(super) fn contradictions(certified: &Certified) -> Vec<String> {
    let mut own: BTreeMap<String, Attempt> = BTreeMap::new();
    for saved in &certified.runs {
        for (run, folder) in saved.runs.iter().zip(&saved.folders) {
            own.extend(attempt(saved, run, folder, String::new()).ok().map(|own| (run.run.clone(), own)));
        }
    }
    let listed: BTreeMap<&String, &Attempt> =
        certified.attempts.iter().filter(|listed| listed.is_certified).map(|listed| (&listed.run, listed)).collect();
    let names: BTreeSet<&String> = own.keys().chain(listed.keys().copied()).collect();
    let other = names.into_iter().filter(|name| own.get(*name) != listed.get(name).copied());
    let mut found: Vec<String> =
        other.map(|name| format!("{ATTEMPTS} describes the run {name} otherwise than its evidence")).collect();
    let is_unexplained = |own: &&Attempt| !own.is_certified && own.left_out_because.trim().is_empty();
    let unexplained = certified.attempts.iter().filter(is_unexplained);
    found.extend(unexplained.map(|own| format!("{ATTEMPTS} leaves the run {} out without a reason", own.run)));
    found
}

fn attempt(saved: &SavedRun, run: &RunStarted, folder: &Path, left_out_because: String) -> io::Result<Attempt> {
    let own = saved.verdict.scenarios.iter().filter(|scenario| scenario.run.is_empty() || scenario.run == run.run);
    let begun = own.filter(|scenario| scenario.scenario.is_some()).count();
    Ok(Attempt {
        run: run.run.clone(),
        started_at: run.started_at.clone(),
        planned: run.scenarios,
        begun: begun as u64,
        outcome: Some(saved.verdict.outcome),
        doubts: saved.verdict.doubts.clone(),
        history: digest(folder)?,
        is_certified: true,
        left_out_because,
    })
}

fn unreadable(folder: &Path, name: &str, error: &SavedError, left_out_because: String) -> io::Result<Attempt> {
    // The error names the folder, which is of this machine.
    let why = error.to_string().replace(&format!("{}/", folder.display()), "");
    Ok(Attempt {
        run: name.to_owned(),
        started_at: String::new(),
        planned: 0,
        begun: 0,
        outcome: None,
        doubts: vec![why],
        history: digest(folder)?,
        is_certified: false,
        left_out_because,
    })
}

fn digest(folder: &Path) -> io::Result<String> {
    let history = history_in(folder).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    Ok(evidence::facts(&history)?.digest)
}
