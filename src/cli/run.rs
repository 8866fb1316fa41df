//! `run`, `check` and `report`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, exit::Failure, print};
use crate::{
    checks::Outcome,
    run::{Harness, SavedError, SavedRun},
};

/// The scenario that runs when the command line names none.
const DEFAULT_TAGS: &str = "@default";

#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// Feature files, folders of them, or one scenario as FILE:LINE [default: features, tagged @default]
    features: Vec<PathBuf>,
    /// This topology for every scenario, whatever its text names
    #[arg(long, value_name = "NAME|FILE")]
    topology: Option<String>,
    /// Only scenarios whose tags satisfy this, for example '@quick and not @sync'
    #[arg(long, value_name = "EXPRESSION")]
    tags: Option<String>,
    /// How many scenarios run side by side; more than the machine bears distorts timings
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=32))]
    jobs: u16,
    /// How often each scenario is repeated, with the fault at a random phase of the lease
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: u32,
    /// The seed of every random choice, to repeat a run; drawn and printed without this
    #[arg(long)]
    seed: Option<u64>,
    /// Where the run's folder is made
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
    /// Show the scenarios that would run, and run nothing
    #[arg(long)]
    list: bool,
}

pub(super) async fn run(arguments: RunArguments) -> Result<Exit, Failure> {
    let all = arguments.features.is_empty();
    let mut harness = Harness::new()
        .topology(arguments.topology)
        .trials(arguments.trials)
        .jobs(usize::from(arguments.jobs))
        .seed(arguments.seed)
        .out(arguments.out)
        .arguments(std::env::args().skip(1).collect());
    if !all {
        harness = harness.features(arguments.features);
    }
    match arguments.tags {
        Some(tags) => harness = harness.tags(tags),
        None if all && !arguments.list => harness = harness.tags(DEFAULT_TAGS),
        None => {}
    }
    if arguments.list {
        for scenario in harness.list()? {
            let started = &scenario.started;
            print(&format!("{}:{}  {}  [{}]", started.file, started.line, started.name, started.tags.join(" ")));
        }
        return Ok(Exit::Pass);
    }
    let result = harness.run().await?;
    print(&result.saved.summary(&result.files, super::plain()));
    if let Some(error) = &result.report_error {
        eprintln!("{error}");
    }
    Ok(exit(result.outcome(), result.report_error.is_none()))
}

/// Judges a saved run again, and writes its report anew if that is wanted.
pub(super) fn check(folder: &Path, write_report: bool) -> Result<Exit, Failure> {
    let saved = SavedRun::read(folder).map_err(|error| match error {
        SavedError::NoRun(_) => Failure::wrong(error),
        _ => Failure::harness(error),
    })?;
    let written = if write_report { saved.write_report() } else { Ok(Vec::new()) };
    let files = written.as_ref().map_or_else(|error| error.written.as_slice(), Vec::as_slice);
    print(&saved.summary(files, super::plain()));
    if let Err(error) = &written {
        eprintln!("{error}");
    }
    Ok(exit(saved.verdict.outcome, written.is_ok()))
}

/// The exit code of a verdict, the same for `run`, `check` and `report`: an interruption is in the verdict already, as
/// a doubt. Where the report could not be written, a pass is none.
fn exit(outcome: Outcome, report_is_written: bool) -> Exit {
    if report_is_written { outcome.into() } else { outcome.max(Outcome::Inconclusive).into() }
}
