//! `When`: faults of shaped links.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "a round trip from {target} to {target} takes {duration} longer",
        "all data of these links is delayed, half of the round trip each way",
        |words| words.fault("link_latency", 0, &[("to", words.text(1)?), ("round_trip", words.text(2)?)]),
    ),
    step(
        When,
        "the links from {target} to {target} carry {size} a second",
        "each connection of these links gets no more, each way",
        |words| words.fault("link_bandwidth", 0, &[("to", words.text(1)?), ("rate", words.text(2)?)]),
    ),
    step(
        When,
        "the links from {target} to {target} swallow all data",
        "connections are accepted and stay open, and no byte passes",
        |words| words.fault("link_timeout", 0, &[("to", words.text(1)?)]),
    ),
];
