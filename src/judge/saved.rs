//! A saved run: judged and rendered again, offline, from its history and plans alone.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    history::{Event, HistoryError, Occurrence, event::RunStarted, read_history},
    plan::Plan,
    report::{self, ReportError, ReportInput},
    verdict::{self, RunVerdict},
};

/// A saved run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("failed to find a run at {}: it holds no history.jsonl", .0.display())]
    NoRun(PathBuf),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("failed to read the plans of the run, {}: {source}", path.display())]
    Plan { path: PathBuf, source: std::io::Error },
    #[error("failed to understand the plans of the run, {}: {source}", path.display())]
    PlanSyntax { path: PathBuf, source: serde_json::Error },
    #[error("the history does not begin with a run: it was written by something else, or its beginning is gone")]
    NoBeginning,
}

/// What a run left, and what it is worth.
pub struct SavedRun {
    pub folder: PathBuf,
    pub run: RunStarted,
    /// The plan of each scenario.
    pub plans: BTreeMap<u32, Plan>,
    pub events: Vec<Event>,
    pub verdict: RunVerdict,
}

impl SavedRun {
    /// Reads a run's folder and judges it. The result depends on nothing but its files.
    pub fn read(folder: &Path) -> Result<Self, SavedError> {
        let history = folder.join("history.jsonl");
        if !history.is_file() {
            return Err(SavedError::NoRun(folder.to_owned()));
        }
        let events = read_history(&history)?;
        let mut run = events
            .iter()
            .find_map(|event| match &event.what {
                Occurrence::RunStarted(run) => Some(run.clone()),
                _ => None,
            })
            .ok_or(SavedError::NoBeginning)?;
        for event in &events {
            if let Occurrence::ImagesReady { versions } = &event.what {
                run.versions.extend(versions.clone());
            }
        }
        let plans = read_plans(&folder.join("plan.json"))?;
        let verdict = verdict::judge(&plans, &events);
        Ok(Self { folder: folder.to_owned(), run, plans, events, verdict })
    }

    /// Writes the report in every format into the run's folder.
    pub fn write_report(&self) -> Result<Vec<PathBuf>, ReportError> {
        report::write_all(&self.folder, &self.input())
    }

    /// The verdict as a terminal shows it.
    pub fn summary(&self, plain: bool) -> String {
        report::terminal::summary(&self.input(), &self.folder.join(report::html::FORMAT.file), plain)
    }

    /// What the formats render.
    pub fn input(&self) -> ReportInput<'_> {
        ReportInput { verdict: &self.verdict, plans: &self.plans, events: &self.events, run: &self.run }
    }
}

/// The plans; none if the run ended before its first cluster was planned.
fn read_plans(path: &Path) -> Result<BTreeMap<u32, Plan>, SavedError> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).map_err(|source| SavedError::PlanSyntax { path: path.to_owned(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(SavedError::Plan { path: path.to_owned(), source }),
    }
}
