//! Reports: what a run showed, in one file a format, and on the terminal.
//!
//! Architecture invariant: a report only words and sets what verdict, plans and history say. It measures nothing
//! and decides nothing, so a saved run can be rendered again at any time.

mod drawing;
pub(crate) mod figures;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod page;
mod record;
#[cfg(test)]
mod sample;
mod strip;
pub mod terminal;

pub use figures::{bound as bound_in_words, escape};
pub use record::ScenarioRecord;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use crate::{history::event::RunStarted, plan::Plan, verdict::RunVerdict};

/// What a report is made from.
#[derive(Debug, Clone, Copy)]
pub struct ReportInput<'a> {
    pub verdict: &'a RunVerdict,
    /// The plan of each scenario, by its number, as [`crate::verdict::judge`] takes them.
    pub plans: &'a BTreeMap<u32, Plan>,
    /// What is shown of each scenario's events, by its number.
    pub records: &'a BTreeMap<u32, ScenarioRecord>,
    /// How the run began; of several that are one, each.
    pub runs: &'a [RunStarted],
}

impl ReportInput<'_> {
    /// How the run began, of several the first.
    fn run(&self) -> &RunStarted {
        static UNKNOWN: LazyLock<RunStarted> = LazyLock::new(RunStarted::unknown);
        self.runs.first().unwrap_or(&UNKNOWN)
    }

    /// One plan of each topology that the run used, in the order of their names.
    fn topologies(&self) -> Vec<&Plan> {
        let by_name: BTreeMap<_, _> = self.plans.values().map(|plan| (plan.topology.name.as_str(), plan)).collect();
        by_name.into_values().collect()
    }
}

/// One row of the table of formats.
pub struct Format {
    /// Its name in lists and errors.
    pub name: &'static str,
    /// The file in the run's folder.
    pub file: &'static str,
    pub render: fn(&ReportInput<'_>) -> Result<String, RenderError>,
}

/// Every format that is written to a run's folder.
pub const ALL: &[Format] = &[html::FORMAT, json::FORMAT, junit::FORMAT, markdown::FORMAT];

/// A format could not be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("failed to fill the template: {0}")]
    Template(#[from] askama::Error),
    #[error("failed to serialize: {0}")]
    Json(#[from] serde_json::Error),
    #[error("failed to serialize: {0}")]
    Junit(#[from] quick_junit::SerializeError),
}

/// Why one format was not written.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    #[error("failed to render {format}: {source}")]
    Render { format: &'static str, source: RenderError },
    #[error("failed to write {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
}

/// Formats that were not written. The others were.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {} of {} reports: {}", failures.len(), ALL.len(), listed(failures))]
pub struct ReportError {
    /// The files that were written all the same.
    pub written: Vec<PathBuf>,
    pub failures: Vec<FormatError>,
}

fn listed(failures: &[FormatError]) -> String {
    failures.iter().map(FormatError::to_string).collect::<Vec<_>>().join("; ")
}

/// Writes every format into the folder and returns the files, in the order of [`ALL`].
///
/// Each file appears whole or not at all: a reader never meets half a report, and an older one stays until the new
/// one is complete.
///
/// # Errors
///
/// [`ReportError`] when formats failed. A format that fails does not keep the others from being written.
pub fn write_all(folder: &Path, input: &ReportInput<'_>) -> Result<Vec<PathBuf>, ReportError> {
    write_formats(ALL, folder, input)
}

fn write_formats(formats: &[Format], folder: &Path, input: &ReportInput<'_>) -> Result<Vec<PathBuf>, ReportError> {
    let (mut written, mut failures) = (Vec::new(), Vec::new());
    for format in formats {
        let path = folder.join(format.file);
        let done =
            (format.render)(input).map_err(|source| FormatError::Render { format: format.name, source }).and_then(
                |text| write_whole(&path, &text).map_err(|source| FormatError::Write { path: path.clone(), source }),
            );
        match done {
            Ok(()) => written.push(path),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(written) } else { Err(ReportError { written, failures }) }
}

/// Writes beside the file, then renames: that replaces it in one step.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    let done = fs::File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if done.is_err() {
        // What could not be written is of no use to anyone; the error that matters is already in hand.
        let _ = fs::remove_file(&part);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(_: &ReportInput<'_>) -> Result<String, RenderError> {
        Err(RenderError::Json(serde_json::from_str::<u8>("no").unwrap_err()))
    }

    #[test]
    fn every_format_is_written_whole() {
        let sample = sample::Run::host_kill();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("report.html"), "older").unwrap();
        let written = write_all(folder.path(), &sample.input()).unwrap();
        let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["report.html", "report.json", "junit.xml", "report.md"]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), ALL.len(), "no part is left behind");
        assert_ne!(fs::read_to_string(&written[0]).unwrap(), "older");
    }

    #[test]
    fn a_format_that_fails_does_not_stop_the_others() {
        let sample = sample::Run::host_kill();
        let folder = tempfile::tempdir().unwrap();
        let formats = [Format { name: "broken", file: "broken.txt", render: fails }, markdown::FORMAT];
        let error = write_formats(&formats, folder.path(), &sample.input()).unwrap_err();
        assert_eq!(error.written, [folder.path().join("report.md")]);
        assert!(error.to_string().contains("failed to render broken"), "{error}");
        assert!(!folder.path().join("broken.txt").exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let sample = sample::Run::host_kill();
        let error = write_all(Path::new("/nowhere/at/all"), &sample.input()).unwrap_err();
        assert_eq!(error.failures.len(), ALL.len());
        assert!(error.to_string().contains("/nowhere/at/all/report.html"), "{error}");
    }

    /// Writes reports of made-up runs to look at: `PGQUAKE_REPORT_SAMPLES=folder cargo test samples_to_look_at`.
    #[test]
    fn samples_to_look_at() {
        let Some(folder) = std::env::var_os("PGQUAKE_REPORT_SAMPLES") else { return };
        let more = [("sixteen", sample::Run::many(16)), ("sixty", sample::Run::many(60))];
        for (name, sample) in sample::Run::every().into_iter().chain(more) {
            let folder = Path::new(&folder).join(name);
            fs::create_dir_all(&folder).unwrap();
            write_all(&folder, &sample.input()).unwrap();
            let html = folder.join("report.html");
            for (file, plain) in [("terminal.txt", true), ("terminal.ansi", false)] {
                fs::write(folder.join(file), terminal::summary(&sample.input(), Some(&html), plain)).unwrap();
            }
        }
    }
}
