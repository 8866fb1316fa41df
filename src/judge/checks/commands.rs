//! Did the commands succeed that a runbook has an operator run?
//!
//! A command fails that ends with another status than 0, or that can't be run at all: in a container that is stopped, say.
//! `commands_failed` counts these. What commands did to the system is for the other checks to say: without an expectation a
//! failed command is reported, and fails nothing. Where no command was run there is nothing to judge.

use super::{Check, Evidence, Finding, Measure, Outcome, Over, SHOWN_EVENTS};
use crate::history::{Occurrence, event::CommandRun};

const NAME: &str = "commands";
pub const COMMANDS_FAILED: &str = "commands_failed";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did the commands succeed that an operator ran?",
    measures: &[COMMANDS_FAILED],
    over: Over::Scenario,
    judge,
};

/// How much of what a command printed is shown.
const SHOWN_CHARACTERS: usize = 200;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let run = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::CommandRun(command) => Some((event.seq, command)),
        _ => None,
    });
    let run: Vec<(u64, &CommandRun)> = run.collect();
    let failed: Vec<&(u64, &CommandRun)> = run.iter().filter(|(_, command)| command.status != Some(0)).collect();
    let findings = match (run.len(), failed.first()) {
        (0, _) => Vec::new(),
        (all, None) => {
            vec![Finding::new(NAME, Outcome::Pass, format!("each of {all} commands of the operator succeeded"))]
        }
        (all, Some((_, first))) => {
            let summary =
                format!("{} of {all} commands of the operator failed, the first: {}", failed.len(), told(first));
            vec![Finding::new(NAME, Outcome::Pass, summary)]
        }
    };
    let shown = || failed.iter().map(|(seq, _)| *seq).take(SHOWN_EVENTS);
    let measured = |finding: Finding| {
        finding.with_measure(Measure::new(COMMANDS_FAILED, failed.len() as f64)).with_evidence(shown())
    };
    evidence.held(NAME, findings.into_iter().map(measured).collect(), "no operator ran a command")
}

/// A command and what came of it, in one line.
fn told(run: &CommandRun) -> String {
    let CommandRun { node, command, status, output } = run;
    let ended = status.map_or("could not be run".to_owned(), |status| format!("ended with status {status}"));
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let printed: String = lines.join(" / ").chars().take(SHOWN_CHARACTERS).collect();
    format!("`{command}` on {node} {ended}: {printed}")
}
