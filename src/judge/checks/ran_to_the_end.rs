//! Did the scenario run to its end, with every step carried out?
//!
//! What a killed run left behind proves failures, but no pass: what would have come after is unknown. So does a step
//! that the harness could not carry out, and the loss of the ground on which the harness itself stands. A step of the user's own that fails is a failure: it asserts something.

use super::{Check, Evidence, Finding, Outcome, Over};
use crate::history::Occurrence;

const NAME: &str = "ran_to_the_end";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did the scenario run to its end, with every step carried out?",
    measures: &[],
    over: Over::Scenario,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for event in evidence.events {
        if let Occurrence::StepFailed { text, message, line } = &event.what {
            let summary = format!("the step `{text}` (line {line}) could not be carried out: {message}");
            findings.push(Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence([event.seq]));
        }
    }
    for event in evidence.events {
        if let Occurrence::AssertionFailed { message } = &event.what {
            let summary = format!("a step of the scenario's own failed: {message}");
            findings.push(Finding::new(NAME, Outcome::Fail, summary).with_evidence([event.seq]));
        }
    }
    let lost = evidence.events.iter().find_map(|event| match &event.what {
        Occurrence::GroundLost { reason } => Some((reason, event.seq)),
        _ => None,
    });
    if let Some((reason, seq)) = lost {
        let summary = format!("the harness lost its own ground, so what came after proves nothing: {reason}");
        findings.push(Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence([seq]));
    }
    if evidence.scenario().is_none() {
        findings.push(Finding::new(NAME, Outcome::Inconclusive, "the history does not hold the scenario's beginning"));
    }
    let ended = evidence.events.iter().find(|event| matches!(event.what, Occurrence::ScenarioEnded));
    match ended {
        None if lost.is_some() => {}
        None => {
            let summary = "the history breaks off before the scenario's end: the run was killed or its disk failed";
            findings.push(Finding::new(NAME, Outcome::Inconclusive, summary));
        }
        Some(ended) if findings.is_empty() => {
            let summary = "every step was carried out, to the scenario's end";
            findings.push(Finding::new(NAME, Outcome::Pass, summary).with_evidence([ended.seq]));
        }
        Some(_) => {}
    }
    findings
}
