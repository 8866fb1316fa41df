//! What reports show of a scenario's events.

use super::drawing::{Measured, PhaseMark, Timeline};
use crate::{
    history::{Event, Occurrence, event::Expectation},
    plan::Plan,
    verdict::ScenarioVerdict,
};

/// What reports show of a scenario's events, taken when it is judged, so that the events need not be kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ScenarioRecord {
    /// The texts of its steps, in their order.
    pub(super) steps: Vec<String>,
    pub(super) failed_steps: Vec<FailedStep>,
    pub(super) expectations: Vec<Expectation>,
    /// How long its systems took to be ready.
    pub(super) startups_ms: Vec<u64>,
    /// From its first event to its last.
    pub(super) duration_us: u64,
    /// `None` without a plan or events.
    pub(super) timeline: Option<Timeline>,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FailedStep {
    pub text: String,
    /// In the scenario's file.
    pub line: usize,
    pub message: String,
}

impl ScenarioRecord {
    /// Takes what reports show, from the events of this scenario alone.
    pub fn new(plan: Option<&Plan>, verdict: &ScenarioVerdict, events: &[Event]) -> Self {
        let mut record = Self { timeline: plan.and_then(|plan| timeline(plan, verdict, events)), ..Self::default() };
        for event in events {
            match &event.what {
                Occurrence::StepStarted { text, .. } => record.steps.push(text.clone()),
                Occurrence::StepFailed { text, line, message } => {
                    record.failed_steps.push(FailedStep { text: text.clone(), line: *line, message: message.clone() });
                }
                Occurrence::Expected(expectation) => record.expectations.push(expectation.clone()),
                Occurrence::ClusterReady { startup_ms } => record.startups_ms.push(*startup_ms),
                _ => {}
            }
        }
        let last_us = events.iter().map(|event| event.at_us).max().unwrap_or_default();
        record.duration_us = events.first().map_or(0, |first| last_us.saturating_sub(first.at_us));
        record
    }
}

fn timeline(plan: &Plan, verdict: &ScenarioVerdict, events: &[Event]) -> Option<Timeline> {
    let phases = verdict.failovers.iter().flat_map(|failover| &failover.phases).map(|phase| PhaseMark {
        name: phase.name.name().to_owned(),
        from_us: phase.from_us,
        to_us: phase.to_us,
    });
    let origin_us = verdict.failovers.first().map(|failover| failover.effect_from_us);
    let two_writers_us = verdict.two_writers_us.clone();
    let measured = Measured { origin_us, phases: phases.collect(), two_writers_us };
    let mut timeline = Timeline::new(plan, &events.iter().collect::<Vec<_>>(), measured)?;
    timeline.overlap_ms = overlap_ms(verdict);
    Some(timeline)
}

/// What the check measured as the overlap of two writers.
fn overlap_ms(verdict: &ScenarioVerdict) -> Option<f64> {
    let mut own = verdict.findings.iter().filter(|finding| finding.check == "single_writer");
    own.find_map(|finding| finding.value_of("overlap_ms"))
}
