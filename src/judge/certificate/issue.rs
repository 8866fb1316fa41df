//! Makes a certificate's folder.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use super::{
    ATTEMPTS, CertificateError, Certified, DRILL, EVIDENCE, PAGE, PREVIOUS, Previous, STATEMENT, SUMMARY, SUMS,
    attempts, beginning, canonical, drill::Drill, evidence, html, judge, markdown, run_folders, statement,
};
use crate::{
    compare::{self, Side},
    saved::SavedRun,
};

/// What a certificate is to be made of.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The folders of the runs.
    pub runs: Vec<PathBuf>,
    /// `drill.yaml`.
    pub drill: PathBuf,
    /// The folder to make; it must not exist, or be empty.
    pub out: PathBuf,
    /// Why runs of the same plan are left out, by their ids; `*` is for all others.
    pub without: BTreeMap<String, String>,
    /// Paths of this machine, which nothing in the certificate may name.
    pub machine_paths: Vec<String>,
}

/// Makes the folder of a certificate, and returns what it was made of. After an error nothing of it is left.
///
/// # Errors
///
/// [`CertificateError`]: what the user gave is wrong, or a file can't be read or written.
pub fn issue(request: &Request) -> Result<Certified, CertificateError> {
    // Before anything is written, so that a mistake costs nothing.
    let drill = Drill::read(&request.drill)?;
    let places = places(&request.runs)?;
    if fs::read_dir(&request.out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CertificateError::Exists(request.out.clone()));
    }
    let made = fill(request, drill, &places);
    if made.is_err() {
        // The error that matters is in hand.
        let _ = fs::remove_dir_all(&request.out);
    }
    made
}

/// The folder of each run by its id. Two under one id are refused.
fn places(runs: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>, CertificateError> {
    let mut places = BTreeMap::new();
    for folder in runs {
        let run = beginning(folder)?;
        let is_name = !run.run.is_empty()
            && run.run.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        if !is_name || run.run.starts_with('.') {
            return Err(CertificateError::Nameless(folder.display().to_string()));
        }
        if places.insert(run.run.clone(), folder.clone()).is_some() {
            return Err(CertificateError::Twice(run.run));
        }
    }
    Ok(places)
}

fn fill(request: &Request, drill: Drill, places: &BTreeMap<String, PathBuf>) -> Result<Certified, CertificateError> {
    let out = &request.out;
    fs::create_dir_all(out.join("inputs")).map_err(CertificateError::io(out))?;
    fs::copy(&request.drill, out.join(DRILL)).map_err(CertificateError::io(&request.drill))?;
    for (run, folder) in places {
        evidence::keep(folder, &out.join(EVIDENCE).join(run)).map_err(CertificateError::io(folder))?;
    }
    let runs = judge(out)?;
    let found =
        attempts::find(&reports(places.values()), &runs, &request.without).map_err(CertificateError::io(out))?;
    let without_reason = found.iter().filter(|attempt| !attempt.is_certified && attempt.left_out_because.is_empty());
    let without_reason: Vec<String> = without_reason.map(|attempt| attempt.run.clone()).collect();
    if !without_reason.is_empty() {
        return Err(CertificateError::LeftOut(without_reason));
    }
    let is_left_out = |name: &&String| found.iter().any(|attempt| !attempt.is_certified && attempt.run == **name);
    if let Some(name) = request.without.keys().find(|name| *name != "*" && !is_left_out(name)) {
        return Err(CertificateError::NotLeftOut(name.clone()));
    }
    write_json(out, ATTEMPTS, &found)?;
    if let Some(folder) = drill.previous() {
        let beside = request.drill.parent().unwrap_or(Path::new(".")).join(folder);
        write_json(out, PREVIOUS, &previous(&beside, &runs)?)?;
    }
    // The record of shards, which are judged as one, stands in the certificate alone.
    for saved in runs.iter().filter(|saved| saved.folders.len() == 1) {
        saved.write_report().map_err(|error| CertificateError::Io {
            path: out.clone(),
            source: std::io::Error::other(error.to_string()),
        })?;
    }
    drop(runs);
    // By the same way as whoever verifies it.
    let certified = Certified::read(out)?;
    let text = statement(&certified);
    write(out, STATEMENT, &text)?;
    write(out, PAGE, &html::render(&certified, &text)?)?;
    write(out, SUMMARY, &markdown::render(&certified, &text))?;
    no_machine_path(out, &request.machine_paths)?;
    write(out, SUMS, &sums(out)?)?;
    Ok(certified)
}

/// The folders that hold the runs: the runs beside them may be of the same plan.
fn reports<'p>(runs: impl Iterator<Item = &'p PathBuf>) -> BTreeSet<PathBuf> {
    // A path without a folder in front of its name is looked up in the current one.
    let parent = |run: &PathBuf| run.canonicalize().ok().and_then(|whole| whole.parent().map(Path::to_owned));
    runs.filter_map(parent).collect()
}

fn write(out: &Path, file: &str, text: &str) -> Result<(), CertificateError> {
    let path = out.join(file);
    fs::write(&path, text).map_err(CertificateError::io(&path))
}

fn write_json(out: &Path, file: &'static str, value: &impl serde::Serialize) -> Result<(), CertificateError> {
    let value = serde_json::to_value(value).map_err(|source| CertificateError::Json { file, source })?;
    write(out, file, &canonical::text(&value))
}

/// What the last certificate was, and what changed since.
fn previous(place: &Path, runs: &[SavedRun]) -> Result<Previous, CertificateError> {
    let folder = if place.is_file() { place.parent().unwrap_or(place) } else { place };
    let failed = |reason: String| CertificateError::Previous { path: folder.to_owned(), reason };
    let text = fs::read(folder.join(STATEMENT)).map_err(|error| failed(error.to_string()))?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    let own = &value["predicate"]["pgquake"];
    let field = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    if own.is_null() {
        return Err(failed(format!("{STATEMENT} is no certificate of pgquake's")));
    }
    let mut comparison = Vec::new();
    for old in run_folders(folder)? {
        let old = SavedRun::read(&old)?;
        for new in runs {
            let found = compare::compare(side(&old), side(new), compare::MARGIN_MS);
            if !found.scenarios.is_empty() {
                comparison.push(compare::text(&found));
            }
        }
    }
    Ok(Previous {
        sha256: evidence::digest_of(&text),
        title: field(&own["drill"]["title"]),
        issued_at: field(&own["issued_at"]),
        verdict: field(&own["verdict"]),
        comparison,
    })
}

fn side(saved: &SavedRun) -> Side<'_> {
    Side { run: saved.first(), verdict: &saved.verdict, plans: &saved.plans }
}

/// Whatever people typed into inputs, and whatever stands in a history: no path of this machine leaves it.
fn no_machine_path(out: &Path, paths: &[String]) -> Result<(), CertificateError> {
    let files = evidence::files_below(out).map_err(CertificateError::io(out))?;
    for file in files {
        let place = out.join(&file);
        if let Some(path) = evidence::first_held(&place, paths).map_err(CertificateError::io(&place))? {
            return Err(CertificateError::MachinePath { file, path: path.clone() });
        }
    }
    Ok(())
}

/// The digest of every file, in the form of sha256sum.
fn sums(out: &Path) -> Result<String, CertificateError> {
    let mut text = String::new();
    for file in evidence::files_below(out).map_err(CertificateError::io(out))? {
        let digest = evidence::digest_of_file(&out.join(&file)).map_err(CertificateError::io(&out.join(&file)))?;
        text.push_str(&format!("{digest}  {file}\n"));
    }
    Ok(text)
}
