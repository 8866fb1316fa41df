//! `When`: clocks that are wrong. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the clock of {target} is set {duration} ahead",
        "Patroni and PostgreSQL see a time of day that is ahead, until it is healed",
        |words| words.fault("clock_offset", 0, &[("by", words.text(1)?), ("direction", "ahead")]),
    ),
    step(
        When,
        "the clock of {target} is set {duration} behind",
        "Patroni and PostgreSQL see a time of day that is behind, until it is healed",
        |words| words.fault("clock_offset", 0, &[("by", words.text(1)?), ("direction", "behind")]),
    ),
    step(
        When,
        "the clock of {target} jumps {duration} ahead",
        "the time of day jumps, and back by itself (`back_after`)",
        |words| words.fault("clock_jump", 0, &[("by", words.text(1)?), ("direction", "ahead")]),
    ),
    step(
        When,
        "the clock of {target} jumps {duration} behind",
        "the time of day jumps, and back by itself (`back_after`)",
        |words| words.fault("clock_jump", 0, &[("by", words.text(1)?), ("direction", "behind")]),
    ),
    step(
        When,
        "the clock of {target} goes at {string} of its rate",
        "the time of day drifts, until it is healed",
        |words| words.fault("clock_rate", 0, &[("rate", words.text(1)?)]),
    ),
];
