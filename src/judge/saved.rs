//! A saved run: judged and rendered again, offline, from its history and plans alone.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};

use crate::{
    history::{
        HistoryError, HistoryReader, Occurrence,
        event::{RunStarted, SCHEMA},
        without_place,
    },
    plan::Plan,
    report::{self, ReportError, ReportInput, ScenarioRecord},
    verdict::{Judge, RunVerdict},
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
    #[error("failed to understand the plans of the run, {}:{line}:{column}: {reason}", path.display())]
    PlanSyntax { path: PathBuf, line: usize, column: usize, reason: String },
    #[error(
        "failed to understand the plans of the run, {}: that of scenario {scenario} has schema {schema}; this pgquake \
         reads up to {SCHEMA}: use a newer one",
        path.display()
    )]
    NewerPlan { path: PathBuf, scenario: u32, schema: u64 },
    #[error("the history {} holds no event that can be read: it was written by something else, or is gone", .0.display())]
    NoEvent(PathBuf),
}

/// What a run left, and what it is worth.
pub struct SavedRun {
    pub folder: PathBuf,
    /// The first event of the run; without its words where that can't be read.
    pub run: RunStarted,
    /// The plan of each scenario.
    pub plans: BTreeMap<u32, Plan>,
    /// What reports show of each scenario's events.
    pub records: BTreeMap<u32, ScenarioRecord>,
    pub verdict: RunVerdict,
}

impl SavedRun {
    /// Reads a run's folder and judges it. The result depends on nothing but its files. Of the history no more is in
    /// memory than the scenario that is being read.
    pub fn read(folder: &Path) -> Result<Self, SavedError> {
        let history = folder.join("history.jsonl");
        if !history.is_file() {
            return Err(SavedError::NoRun(folder.to_owned()));
        }
        let plans = read_plans(&folder.join("plan.json"))?;
        let mut reader = HistoryReader::open(&history)?;
        let (mut run, mut versions, mut records) = (None, BTreeMap::new(), BTreeMap::new());
        let mut judge = Judge::new(&plans, |verdict, events| {
            records.insert(verdict.number, ScenarioRecord::new(plans.get(&verdict.number), verdict, events));
        });
        let mut is_empty = true;
        while let Some(event) = reader.next_event()? {
            match &event.what {
                Occurrence::RunStarted(started) if run.is_none() => run = Some(started.clone()),
                Occurrence::ImagesReady { versions: of_images } => versions.extend(of_images.clone()),
                _ => {}
            }
            is_empty = false;
            judge.take(event);
        }
        if is_empty {
            return Err(SavedError::NoEvent(history));
        }
        let verdict = judge.finish(reader.broken_lines());
        let mut run = run.unwrap_or_else(RunStarted::unknown);
        run.versions.extend(versions);
        Ok(Self { folder: folder.to_owned(), run, plans, records, verdict })
    }

    /// Writes the report in every format into the run's folder.
    pub fn write_report(&self) -> Result<Vec<PathBuf>, ReportError> {
        report::write_all(&self.folder, &self.input())
    }

    /// The verdict as a terminal shows it, with the place of the HTML report if it was written.
    pub fn summary(&self, written: &[PathBuf], plain: bool) -> String {
        let html = self.folder.join(report::html::FORMAT.file);
        report::terminal::summary(&self.input(), written.contains(&html).then_some(html.as_path()), plain)
    }

    /// What the formats render.
    pub fn input(&self) -> ReportInput<'_> {
        ReportInput { verdict: &self.verdict, plans: &self.plans, records: &self.records, run: &self.run }
    }
}

/// The plans; none if the run ended before its first system was planned.
fn read_plans(path: &Path) -> Result<BTreeMap<u32, Plan>, SavedError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(SavedError::Plan { path: path.to_owned(), source }),
    };
    let plans = serde_json::from_slice::<Plans>(&text).map(|plans| plans.0).map_err(|error| {
        // A newer plan may have fields that are not known either.
        newer_plan(path, &text).unwrap_or_else(|| SavedError::PlanSyntax {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
            reason: without_place(&error),
        })
    })?;
    newer_plan(path, &text).map_or(Ok(plans), Err)
}

/// Plans by their scenario's number, each once: of two under one number nobody knows which one ran.
struct Plans(BTreeMap<u32, Plan>);

impl<'de> Deserialize<'de> for Plans {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Plans;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of plans")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Plans, M::Error> {
                let mut plans = BTreeMap::new();
                while let Some((number, mut plan)) = map.next_entry::<u32, Plan>()? {
                    plan.complete();
                    if plans.insert(number, plan).is_some() {
                        return Err(M::Error::custom(format_args!("scenario {number} has two plans")));
                    }
                }
                Ok(Plans(plans))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

/// The refusal of plans of which one has a newer schema.
fn newer_plan(path: &Path, text: &[u8]) -> Option<SavedError> {
    #[derive(Deserialize)]
    struct Numbered {
        #[serde(default)]
        schema: u64,
    }
    let plans: BTreeMap<u32, Numbered> = serde_json::from_slice(text).ok()?;
    let (scenario, plan) = plans.into_iter().find(|(_, plan)| plan.schema > SCHEMA.into())?;
    Some(SavedError::NewerPlan { path: path.to_owned(), scenario, schema: plan.schema })
}
