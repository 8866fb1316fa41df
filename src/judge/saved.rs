//! A saved run: judged and rendered again, offline, from its history, its plans and the claims that it kept. Several
//! folders that are shards of one run are judged as one.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use sha2::{Digest, Sha256};

use crate::{
    checks,
    claims::{Claims, ClaimsError},
    history::{
        HistoryError, HistoryReader,
        event::{RunStarted, SCHEMA},
        history_in, without_place,
    },
    plan::Plan,
    report::{self, ReportError, ReportInput, ScenarioRecord},
    verdict::{Judge, JudgedRun, RunVerdict, combine},
};

/// The folder of a run in which the inputs lie as they were.
pub const INPUTS: &str = "inputs";

/// The claims that a run is judged by, in its folder of inputs.
pub const CLAIMS_FILE: &str = "claims.yaml";

/// A saved run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("failed to find a run at {}: it holds no history.jsonl and no history.jsonl.gz", .0.display())]
    NoRun(PathBuf),
    #[error("failed to judge: no run was named")]
    NoFolder,
    #[error("failed to read the run {}: it holds history.jsonl and history.jsonl.gz, which may differ: leave one", .0.display())]
    TwoHistories(PathBuf),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("failed to read the claims that the run kept: {0}")]
    Claims(#[from] ClaimsError),
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

/// What a run left, and what it is worth; or several runs that are judged as one.
pub struct SavedRun {
    /// The folder of each run.
    pub folders: Vec<PathBuf>,
    /// The first event of each run; without its words where that can't be read.
    pub runs: Vec<RunStarted>,
    /// The plan of each scenario.
    pub plans: BTreeMap<u32, Plan>,
    /// What reports show of each scenario's events.
    pub records: BTreeMap<u32, ScenarioRecord>,
    pub verdict: RunVerdict,
    /// The claims that it was judged by.
    pub claims: Claims,
}

/// Stands for the first run where there is none, which no reader lets happen.
static UNKNOWN: LazyLock<RunStarted> = LazyLock::new(RunStarted::unknown);

impl SavedRun {
    /// The first event of the run; of several that are judged as one that of the first.
    pub fn first(&self) -> &RunStarted {
        self.runs.first().unwrap_or(&UNKNOWN)
    }

    /// The id of the run; of several that are judged as one their ids.
    pub fn id(&self) -> String {
        self.runs.iter().map(|run| run.run.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Reads a run's folder and judges it. The result depends on nothing but its files. Of the history no more is in
    /// memory than the scenario that is being read.
    pub fn read(folder: &Path) -> Result<Self, SavedError> {
        Self::read_all(&[folder.to_owned()])
    }

    /// Reads the folders of several runs and judges them as one, by the claims that the first of them kept.
    pub fn read_all(folders: &[PathBuf]) -> Result<Self, SavedError> {
        let claims = kept_claims(folders.first().ok_or(SavedError::NoFolder)?)?;
        let claims = claims.as_ref().unwrap_or_else(|| Claims::documented());
        let mut kept: Vec<Kept> = Vec::new();
        let mut judged = Vec::new();
        for folder in folders {
            let (own, verdict) = Kept::read(folder, claims)?;
            kept.push(own);
            judged.push(verdict);
        }
        let verdict = combine(judged, claims);
        let (mut plans, mut records) = (BTreeMap::new(), BTreeMap::new());
        for scenario in &verdict.scenarios {
            let is_of = |own: &&mut Kept| scenario.run.is_empty() || own.run.run == scenario.run;
            if let Some(own) = kept.iter_mut().find(is_of) {
                plans.extend(own.plans.remove(&scenario.number).map(|plan| (scenario.number, plan)));
                records.extend(own.records.remove(&scenario.number).map(|record| (scenario.number, record)));
            }
        }
        let runs = kept.into_iter().map(|own| own.run).collect();
        Ok(Self { folders: folders.to_vec(), runs, plans, records, verdict, claims: claims.clone() })
    }

    /// Writes the report in every format into the run's folder; of several runs that of the first.
    pub fn write_report(&self) -> Result<Vec<PathBuf>, ReportError> {
        let own = self.folders.first().map_or(Path::new("."), PathBuf::as_path);
        self.write_report_to(own)
    }

    /// Writes the report in every format into a folder.
    pub fn write_report_to(&self, folder: &Path) -> Result<Vec<PathBuf>, ReportError> {
        report::write_all(folder, &self.input())
    }

    /// The verdict as a terminal shows it, with the place of the HTML report if it was written.
    pub fn summary(&self, written: &[PathBuf], plain: bool) -> String {
        let html = written.iter().find(|file| file.ends_with(report::html::FORMAT.file));
        report::terminal::summary(&self.input(), html.map(PathBuf::as_path), plain)
    }

    /// What the formats render.
    pub fn input(&self) -> ReportInput<'_> {
        ReportInput { verdict: &self.verdict, plans: &self.plans, records: &self.records, runs: &self.runs }
    }
}

/// What one folder holds beside the verdict on it.
struct Kept {
    run: RunStarted,
    plans: BTreeMap<u32, Plan>,
    records: BTreeMap<u32, ScenarioRecord>,
}

impl Kept {
    fn read(folder: &Path, claims: &Claims) -> Result<(Self, JudgedRun), SavedError> {
        let history = history_in(folder).ok_or_else(|| SavedError::NoRun(folder.to_owned()))?;
        if folder.join("history.jsonl").is_file() && folder.join("history.jsonl.gz").is_file() {
            return Err(SavedError::TwoHistories(folder.to_owned()));
        }
        let plans = read_plans(&folder.join("plan.json"))?;
        let mut reader = HistoryReader::open(&history)?;
        let mut records = BTreeMap::new();
        let mut judge = Judge::new(&plans, |verdict, events| {
            records.insert(verdict.number, ScenarioRecord::new(plans.get(&verdict.number), verdict, events));
        })
        .by_claims(claims);
        let mut is_empty = true;
        while let Some(event) = reader.next_event()? {
            is_empty = false;
            judge.take(event);
        }
        if is_empty {
            return Err(SavedError::NoEvent(history));
        }
        let mut judged = judge.close(reader.broken_lines());
        let run = judged.run.clone().unwrap_or_else(RunStarted::unknown);
        judged.doubts.extend(changed_inputs(folder, &run));
        Ok((Self { run, plans, records }, judged))
    }
}

/// The claims that a run kept; `None`: it is of a version that kept none, and judged by the documented ones.
fn kept_claims(folder: &Path) -> Result<Option<Claims>, SavedError> {
    let path = folder.join(INPUTS).join(CLAIMS_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(Claims::read(&path, &checks::measures())?))
}

/// Inputs that are not as the run recorded them. Without the claims a run can't be judged by what was asked of it, nor by
/// claims that it did not record; features and topologies are there to be read.
fn changed_inputs(folder: &Path, run: &RunStarted) -> Vec<String> {
    let mut doubts = Vec::new();
    if !run.inputs.contains_key(CLAIMS_FILE) && folder.join(INPUTS).join(CLAIMS_FILE).is_file() {
        doubts.push(format!("{INPUTS}/{CLAIMS_FILE} is there, and the run recorded none: it was put there afterwards"));
    }
    for (name, digest) in &run.inputs {
        match std::fs::read(folder.join(INPUTS).join(name)) {
            Ok(bytes) if digest_of(&bytes) == *digest => {}
            Ok(_) => doubts.push(format!("{INPUTS}/{name} is not what the run recorded: it was changed afterwards")),
            Err(_) if name == CLAIMS_FILE => {
                doubts.push(format!("{INPUTS}/{name} is gone, so that the run can't be judged by its own claims"));
            }
            Err(_) => {}
        }
    }
    doubts
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
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
