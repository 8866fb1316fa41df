//! Exit codes, documented here and in the README.

use std::process::ExitCode;

use crate::{checks::Outcome, run::RunError};

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: everything was proven to hold.
    Pass,
    /// 1: an expectation was missed, a safety check failed, or what was to be proven was refuted.
    Fail,
    /// 2: the command line, a feature, a topology or a claim is wrong; nothing was started.
    Usage,
    /// 3: inconclusive, undecided, interrupted, or the harness itself failed.
    Inconclusive,
}

/// The end of `pgquake --help`.
pub(super) const HELP: &str = "\
Exit codes:
  0  pass: everything was proven to hold
  1  fail: an expectation was missed, a safety check failed, or what was to be proven was refuted
  2  usage: the command line, a feature, a topology or a claim is wrong; nothing was started
  3  inconclusive, undecided, interrupted, or the harness itself failed";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Pass => 0,
            Exit::Fail => 1,
            Exit::Usage => 2,
            Exit::Inconclusive => 3,
        })
    }
}

impl From<Outcome> for Exit {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Exit::Pass,
            Outcome::Fail => Exit::Fail,
            Outcome::Inconclusive => Exit::Inconclusive,
        }
    }
}

/// An error, with the exit code that it asks for.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    report: miette::Report,
}

impl Failure {
    /// The user's input is wrong.
    pub(super) fn usage(error: impl miette::Diagnostic + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Usage, report: miette::Report::new(error) }
    }

    /// The user named something that is not there.
    pub(super) fn wrong(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Usage, report: miette::miette!("{error}") }
    }

    /// The harness could not do its work.
    pub(super) fn harness(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Inconclusive, report: miette::miette!("{error}") }
    }

    /// Prints the error and returns its exit code.
    pub(super) fn tell(&self) -> Exit {
        eprintln!("{:?}", self.report);
        self.exit
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let exit = match &error {
            RunError::Feature(_) | RunError::Topology(_) | RunError::Claims(_) | RunError::Asked(_) => Exit::Usage,
            RunError::Folder(error) if error.is_of_the_name() => Exit::Usage,
            _ => Exit::Inconclusive,
        };
        Self { exit, report: miette::Report::new(error) }
    }
}
