//! Certificates: what runs proved, for people and for machines, with everything that is needed to check it again.
//!
//! A certificate is a folder. `certificate.json` is an in-toto Statement (v1) with the predicate test-result (v0.1) and one
//! extension object, `pgquake`. Its page and summary are `certificate.html` and `certificate.md`. `evidence/` has the runs,
//! `inputs/` what else it was made from, `SHA256SUMS` the digest of every file but itself and the signatures.
//!
//! Architecture invariant: statement, page and summary are a pure function of `inputs/` and `evidence/`, so whoever has the
//! folder can build them again and compare them byte for byte. Nothing of the clock or of the machine is in them.

pub mod attempts;
mod canonical;
pub mod drill;
mod evidence;
pub mod frameworks;
pub mod html;
mod issue;
pub mod markdown;
mod page;
mod statement;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    checks::Outcome,
    history::{HistoryReader, Occurrence, event::RunStarted, history_in},
    saved::{SavedError, SavedRun},
    verdict::{ClaimState, ClaimVerdict},
};
use attempts::Attempt;
use drill::{Drill, DrillError};

pub use issue::{Request, issue};
pub use statement::statement;
pub use verify::{Doubt, DoubtKind, Examined, NotACertificate, Present, examine, signature_file, void};

/// The statement.
pub const STATEMENT: &str = "certificate.json";
/// The page for people.
pub const PAGE: &str = "certificate.html";
/// The summary for a ticket or a pull request.
pub const SUMMARY: &str = "certificate.md";
/// The digests of all files, as `sha256sum -c` reads them.
pub const SUMS: &str = "SHA256SUMS";
/// What people supplied.
const DRILL: &str = "inputs/drill.yaml";
/// Every run of the same plan.
const ATTEMPTS: &str = "inputs/attempts.json";
/// What the last certificate was, and what changed since.
const PREVIOUS: &str = "inputs/previous.json";
/// The runs.
const EVIDENCE: &str = "evidence";

/// Who can sign. The owner of the system need not.
pub const ROLES: &[&str] = &["operator", "reviewer", "owner"];

/// A certificate could not be made, or its folder could not be read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CertificateError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Drill(#[from] DrillError),
    #[error(transparent)]
    Saved(#[from] SavedError),
    #[error("the run {0} is there twice: two runs under one id are not two runs")]
    Twice(String),
    #[error("failed to certify: the run {0} has no id or no time in its history")]
    Nameless(String),
    #[error("failed to certify: {} of the same plan left out without a reason: {}", runs_are(.0), .0.join(", "))]
    #[diagnostic(help(
        "certify them too, or say why not: --without 'RUN=reason', or --without '*=reason' for all of them"
    ))]
    LeftOut(Vec<String>),
    #[error("failed to certify: --without names the run {0}, which is none of the same plan that was left out")]
    #[diagnostic(help("the folders beside the certified runs have the others of the same plan, by their names"))]
    NotLeftOut(String),
    #[error("failed to certify: {} exists and is not empty", .0.display())]
    #[diagnostic(help("choose another folder with --out, or remove it"))]
    Exists(PathBuf),
    #[error("failed to certify: {file} would name a path of this machine, {path}")]
    #[diagnostic(help("a certificate is for others: write the path from the folder of the features, and run again"))]
    MachinePath { file: String, path: String },
    #[error("failed to read the last certificate, {}: {reason}", path.display())]
    Previous { path: PathBuf, reason: String },
    #[error("failed to understand {file}: {source}")]
    Json { file: &'static str, source: serde_json::Error },
    #[error("failed to fill the page: {0}")]
    Page(#[from] askama::Error),
    #[error("failed to use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
}

fn runs_are(runs: &[String]) -> String {
    if runs.len() == 1 { "1 run is".to_owned() } else { format!("{} runs are", runs.len()) }
}

impl CertificateError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }
}

/// The last certificate, and what changed since. It is written when the certificate is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// SHA-256 of its statement: so certificates make a chain, in which a missing one shows.
    pub sha256: String,
    pub title: String,
    pub issued_at: String,
    pub verdict: String,
    /// The comparison of each certified run with one of the last certificate's, in words.
    pub comparison: Vec<String>,
}

/// What all runs of a certificate come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// Every run passed, no claim was refuted, at least one was confirmed, and every one with a share was.
    Confirmed,
    /// A run failed, or a claim was refuted.
    Refuted,
    /// Neither.
    Undecided,
}

impl Conclusion {
    /// The word on the certificate.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Confirmed => "confirmed",
            Conclusion::Refuted => "refuted",
            Conclusion::Undecided => "undecided",
        }
    }
}

/// What a certificate is made from: the contents of `inputs/` and `evidence/`, judged.
pub struct Certified {
    pub drill: Drill,
    /// The runs, in the order of their ids.
    pub runs: Vec<SavedRun>,
    /// When the last event of the last run was recorded: the certificate's own date.
    pub issued_at: Timestamp,
    /// When the first run began.
    pub began_at: Timestamp,
    pub attempts: Vec<Attempt>,
    pub previous: Option<Previous>,
    /// SHA-256 of every file of inputs and evidence, by its path; of histories that of their events.
    pub files: BTreeMap<String, String>,
}

impl Certified {
    /// Reads the folder of a certificate, and judges its runs.
    ///
    /// # Errors
    ///
    /// A file is missing or is not understood, or two runs have one id.
    pub fn read(folder: &Path) -> Result<Self, CertificateError> {
        let drill = Drill::read(&folder.join(DRILL))?;
        let attempts = json(folder, ATTEMPTS)?;
        let previous = if folder.join(PREVIOUS).is_file() { Some(json(folder, PREVIOUS)?) } else { None };
        let (mut runs, mut began_at, mut issued_at) = (Vec::new(), Timestamp::MAX, Timestamp::MIN);
        for saved in judge(folder)? {
            for (place, run) in saved.folders.iter().zip(&saved.runs) {
                let nameless = || CertificateError::Nameless(run.run.clone());
                let started: Timestamp = run.started_at.parse().map_err(|_| nameless())?;
                let history = place.join(evidence::COMPRESSED);
                let facts = evidence::facts(&history).map_err(CertificateError::io(&history))?;
                let ran = SignedDuration::from_micros(i64::try_from(facts.ended_us).unwrap_or(0));
                began_at = began_at.min(started);
                issued_at = issued_at.max(started.saturating_add(ran).unwrap_or(started));
            }
            runs.push(saved);
        }
        let mut files = BTreeMap::new();
        for top in ["inputs", EVIDENCE] {
            let below = folder.join(top);
            let names = evidence::files_below(&below).map_err(CertificateError::io(&below))?;
            let digests = evidence::digests(&below, &names).map_err(CertificateError::io(&below))?;
            files.extend(digests.into_iter().map(|(name, digest)| (format!("{top}/{name}"), digest)));
        }
        Ok(Self { drill, runs, issued_at, began_at, attempts, previous, files })
    }

    /// Until when it holds.
    pub fn valid_until(&self) -> Timestamp {
        self.issued_at.saturating_add(self.drill.valid_for()).unwrap_or(Timestamp::MAX)
    }

    /// Each claim with the run that it was judged by.
    pub fn claims(&self) -> impl Iterator<Item = (&SavedRun, &ClaimVerdict)> {
        self.runs.iter().flat_map(|saved| saved.verdict.claims.iter().map(move |claim| (saved, claim)))
    }

    /// What it all comes to.
    pub fn conclusion(&self) -> Conclusion {
        let worst = self.runs.iter().map(|saved| saved.verdict.outcome).max().unwrap_or(Outcome::Inconclusive);
        let any = |state: ClaimState| self.claims().any(|(_, claim)| claim.state == state);
        let is_open = |claim: &ClaimVerdict| {
            let share = claim.claim.target.as_ref().and_then(|target| target.share);
            share.is_some() && claim.state == ClaimState::Undecided
        };
        match worst {
            Outcome::Fail => Conclusion::Refuted,
            _ if any(ClaimState::Refuted) => Conclusion::Refuted,
            Outcome::Inconclusive => Conclusion::Undecided,
            Outcome::Pass if !any(ClaimState::Confirmed) => Conclusion::Undecided,
            Outcome::Pass if self.claims().any(|(_, claim)| is_open(claim)) => Conclusion::Undecided,
            Outcome::Pass => Conclusion::Confirmed,
        }
    }
}

fn json<T: serde::de::DeserializeOwned>(folder: &Path, file: &'static str) -> Result<T, CertificateError> {
    let path = folder.join(file);
    let bytes = std::fs::read(&path).map_err(CertificateError::io(&path))?;
    serde_json::from_slice(&bytes).map_err(|source| CertificateError::Json { file, source })
}

/// The folder of each run of a certificate, in order.
pub fn run_folders(folder: &Path) -> Result<Vec<PathBuf>, CertificateError> {
    let evidence = folder.join(EVIDENCE);
    let entries = std::fs::read_dir(&evidence).map_err(CertificateError::io(&evidence))?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// How a run began.
fn beginning(run: &Path) -> Result<RunStarted, CertificateError> {
    let history = history_in(run).ok_or_else(|| SavedError::NoRun(run.to_owned()))?;
    let first = HistoryReader::open(&history).and_then(|mut reader| reader.next_event()).map_err(SavedError::from)?;
    match first.map(|event| event.what) {
        Some(Occurrence::RunStarted(started)) => Ok(started),
        _ => Err(CertificateError::Nameless(run.file_name().unwrap_or_default().to_string_lossy().into_owned())),
    }
}

/// The runs of a certificate, judged, in the order of their ids. Shards of one recipe are judged as one.
///
/// Two runs under one id are refused: nobody knows which of them was meant.
fn judge(folder: &Path) -> Result<Vec<SavedRun>, CertificateError> {
    let mut ids = BTreeSet::new();
    let mut together: BTreeMap<(String, String), Vec<PathBuf>> = BTreeMap::new();
    for place in run_folders(folder)? {
        let started = beginning(&place)?;
        if !ids.insert(started.run.clone()) {
            return Err(CertificateError::Twice(started.run));
        }
        let key = match started.shard {
            Some(_) if !started.recipe.is_empty() => (started.recipe, String::new()),
            _ => (String::new(), started.run),
        };
        together.entry(key).or_default().push(place);
    }
    together.into_values().map(|folders| SavedRun::read_all(&folders).map_err(CertificateError::from)).collect()
}
