//! `run`, `check` and `report`.

use std::path::PathBuf;

use clap::Args;
use miette::MietteDiagnostic;

use super::{Exit, exit::Failure, print};
use crate::{
    checks::Outcome,
    history::event::Shard,
    run::{Axis, Harness, Jobs, SavedError, SavedRun, program_twice},
    statistics::Level,
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
    /// How many scenarios may run side by side, or `auto`: as many as keep the harness's own timers on time
    #[arg(long, default_value = "1", value_parser = jobs)]
    jobs: Jobs,
    /// How often each scenario is repeated, with the fault at a random phase of the lease
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    trials: u32,
    /// Run each scenario once for every combination of versions, as postgresql=16,17 patroni=4.0,4.1; the report has a table
    #[arg(long, value_name = "PROGRAM=VERSIONS", num_args = 1..)]
    matrix: Vec<Axis>,
    /// Repeat each scenario until its claims with a share are decided at this level (share and confidence in percent, as
    /// 95/95), by a sampling plan in place of a number of trials
    #[arg(long, value_name = "LEVEL", conflicts_with_all = ["trials", "shard"])]
    prove: Option<Level>,
    /// Divide the error among all decisions, so that they hold together and not each by itself
    #[arg(long, requires = "prove")]
    jointly: bool,
    /// Run only this part of the trials, as 3/8; `check` and `report` judge all parts as one
    #[arg(long, value_name = "INDEX/OF", requires = "seed")]
    shard: Option<Shard>,
    /// Judge by the claims of this file [default: claims.yaml beside the features, else the documented claims]
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
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

/// More trials than anybody's machine bears.
const MOST_JOBS: usize = 32;

fn jobs(text: &str) -> Result<Jobs, String> {
    match text.parse() {
        Ok(jobs @ 1..=MOST_JOBS) => Ok(Jobs::AtMost(jobs)),
        _ if text == "auto" => Ok(Jobs::Auto),
        _ => Err(format!("it takes a number from 1 to {MOST_JOBS}, or `auto`")),
    }
}

pub(super) async fn run(arguments: RunArguments) -> Result<Exit, Failure> {
    let all = arguments.features.is_empty();
    if let Some(twice) = program_twice(&arguments.matrix) {
        let message = format!("the matrix names `{twice}` twice: write its versions one after the other, with commas");
        return Err(Failure::usage(MietteDiagnostic::new(message)));
    }
    let mut harness = Harness::new()
        .topology(arguments.topology)
        .trials(arguments.trials)
        .matrix(arguments.matrix)
        .jobs(arguments.jobs)
        .seed(arguments.seed)
        .prove(arguments.prove)
        .jointly(arguments.jointly)
        .shard(arguments.shard)
        .claims(arguments.claims)
        .out(arguments.out)
        // Wherever the program lies: a report says how to repeat the run.
        .arguments(std::iter::once("pgquake".to_owned()).chain(std::env::args().skip(1)).collect());
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

/// Where the report of saved runs goes.
pub(super) enum Rendered {
    /// Nowhere.
    No,
    /// Into the folder of the run; of several there is none.
    Beside,
    /// Into this folder, which is made.
    To(PathBuf),
}

/// Judges saved runs again, several as one, and writes their report anew if that is wanted.
pub(super) fn check(folders: &[PathBuf], report: Rendered) -> Result<Exit, Failure> {
    if folders.len() > 1 && matches!(report, Rendered::Beside) {
        let message = "the report of several runs needs a folder of its own: name it with `--out DIR`";
        return Err(Failure::usage(MietteDiagnostic::new(message)));
    }
    let saved = SavedRun::read_all(folders).map_err(|error| match error {
        SavedError::NoRun(_) | SavedError::NoFolder => Failure::wrong(error),
        _ => Failure::harness(error),
    })?;
    let written = match &report {
        Rendered::No => Ok(Vec::new()),
        Rendered::Beside => saved.write_report(),
        Rendered::To(folder) => {
            std::fs::create_dir_all(folder).map_err(Failure::harness)?;
            saved.write_report_to(folder)
        }
    };
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
