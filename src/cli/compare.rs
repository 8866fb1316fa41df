//! `compare`: two saved runs beside each other.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use miette::MietteDiagnostic;

use super::{Exit, exit::Failure, print};
use crate::{
    certificate::{STATEMENT, run_folders},
    compare::{self, Conclusion, Side},
    quantity,
    run::{SavedError, SavedRun},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes:
  0  nothing is worse by more than the margin
  1  a phase or a claim is worse
  2  usage: a folder holds no run
  3  can't tell: too few trials, or no scenario in common")]
pub(super) struct CompareArguments {
    /// The folder of the earlier run
    old: PathBuf,
    /// The folder of the later run
    new: PathBuf,
    /// A shift up to this, or up to 5 % of the old median, does not matter
    #[arg(long, value_name = "DURATION", default_value = "1 s", value_parser = duration)]
    margin: Duration,
    /// As JSON
    #[arg(long)]
    json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    quantity::duration(text).ok_or_else(|| "a duration is written as `500 ms`, `1.5 s` or `2 min`".to_owned())
}

/// Compares two saved runs, offline.
pub(super) fn compare(arguments: &CompareArguments) -> Result<Exit, Failure> {
    let (old, new) = (read(&arguments.old)?, read(&arguments.new)?);
    let margin_ms = arguments.margin.as_secs_f64() * 1e3;
    let found = compare::compare(side(&old), side(&new), margin_ms);
    print(&match arguments.json {
        true => serde_json::to_string_pretty(&found).map_err(Failure::harness)?,
        false => compare::text(&found),
    });
    Ok(match found.conclusion() {
        Conclusion::NoWorse => Exit::Pass,
        Conclusion::Regressed => Exit::Fail,
        Conclusion::CannotTell => Exit::Inconclusive,
    })
}

/// Reads a run's folder, or the only run of a certificate.
fn read(folder: &Path) -> Result<SavedRun, Failure> {
    let mut folder = folder.to_owned();
    if folder.join(STATEMENT).is_file() {
        let runs = run_folders(&folder).map_err(Failure::usage)?;
        let [run] = runs.as_slice() else {
            let message = format!("{} has several runs: name one of evidence/", folder.display());
            return Err(Failure::usage(MietteDiagnostic::new(message)));
        };
        folder = run.clone();
    }
    SavedRun::read(&folder).map_err(|error| match error {
        SavedError::NoRun(_) => Failure::wrong(error),
        _ => Failure::harness(error),
    })
}

fn side(saved: &SavedRun) -> Side<'_> {
    Side { run: saved.first(), verdict: &saved.verdict, plans: &saved.plans }
}
