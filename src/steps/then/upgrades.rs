//! `Then`: what each step of an upgrade may cost.

use cucumber::gherkin::StepType::Then;

use super::{Measured, measured};
use crate::{
    checks::operator_steps,
    history::event::Bound,
    steps::{StepDefinition, words::step},
};

const STEP_OUTAGE: Measured = measured(&operator_steps::CHECK, operator_steps::STEP_OUTAGE_MS);
const STEP_LOST: Measured = measured(&operator_steps::CHECK, operator_steps::STEP_LOST_ROWS);
const STREAMING_LEAST: Measured = measured(&operator_steps::CHECK, operator_steps::STREAMING_LEAST_NODES);
const WITHOUT_STANDBY: Measured = measured(&operator_steps::CHECK, operator_steps::WITHOUT_STANDBY_MS);

pub(in crate::steps) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "no step of the operator keeps clients from writing for more than {duration}",
        "the write outages within each step of an upgrade, which lasts until the next one begins",
        |words| STEP_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "no step of the operator loses a write",
        "of the writes that were acknowledged in each step of an upgrade, all are there in the end",
        |words| STEP_LOST.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "in every step of the operator at least {int} nodes stream as standbys",
        "the fewest that did so at once; in a switchover none does for a moment",
        |words| STREAMING_LEAST.bounded(words, Bound::AtLeast(f64::from(words.number(0)?))),
    ),
    step(
        Then,
        "no step of the operator leaves the primary without a standby for more than {duration}",
        "how long no node streamed as a standby in each step of an upgrade",
        |words| WITHOUT_STANDBY.at_most_duration(words),
    ),
];
