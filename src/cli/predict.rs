//! `predict`: what settings predict, without a run.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, exit::Failure, print};
use crate::{
    checks,
    claims::Claims,
    plan::Plan,
    predict::{self, Prediction, Rest},
    run::{SavedError, SavedRun},
    topology,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Settings are named as in topology files, for example:
  pgquake predict single-region --set patroni.ttl_s=20 --set patroni.loop_wait_s=5 --set patroni.retry_timeout_s=5")]
pub(super) struct PredictArguments {
    /// A topology's name, or the path of its file
    topology: String,
    /// Another value for a setting; may be given several times
    #[arg(long = "set", value_name = "SECTION.SETTING=VALUE", value_parser = assignment)]
    settings: Vec<(String, String)>,
    /// Take what no setting decides from the failovers of this saved run [default: ten trials of the default drill]
    #[arg(long, value_name = "RUN")]
    measured: Option<PathBuf>,
    /// Take the targets from the claims of this file [default: the documented claims]
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
    /// Write a drawing of the distribution to this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "a setting is written as `patroni.ttl_s=20`".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Predicts the outage when the host of the primary is lost.
pub(super) fn predict(arguments: &PredictArguments) -> Result<Exit, Failure> {
    let claims = match &arguments.claims {
        Some(file) => Claims::read(file, &checks::measures()).map_err(Failure::usage)?,
        None => Claims::default(),
    };
    let folders = super::topology_folders();
    let mut topology = topology::load_with(&arguments.topology, &folders, &claims).map_err(Failure::usage)?;
    for (name, value) in &arguments.settings {
        topology.set(name, value).map_err(Failure::wrong)?;
    }
    topology.settings_go_together().map_err(Failure::wrong)?;
    let rest = arguments.measured.as_deref().map_or_else(|| Ok(Rest::of_the_example()), measured)?;
    let prediction = Prediction::of(&Plan::new(topology), rest, &claims).map_err(Failure::wrong)?;
    print(&predict::text(&prediction));
    if let Some(file) = &arguments.svg {
        std::fs::write(file, predict::svg(&prediction)).map_err(|error| {
            let told = std::io::Error::new(error.kind(), format!("failed to write {}: {error}", file.display()));
            Failure::wrong(told)
        })?;
    }
    Ok(Exit::Pass)
}

/// What no setting decides, from a saved run.
fn measured(run: &Path) -> Result<Rest, Failure> {
    let saved = SavedRun::read(run).map_err(|error| match error {
        SavedError::NoRun(_) => Failure::wrong(error),
        _ => Failure::harness(error),
    })?;
    Rest::of_a_run(&saved.first().run, &saved.verdict).map_err(Failure::wrong)
}
