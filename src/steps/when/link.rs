//! `When`: faults of shaped links.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "a round trip from {target} to {target} takes {duration} longer",
        "all data between them is delayed, half of the round trip each way, whoever opened the connection",
        |words| words.fault("link_latency", 0, &[("to", words.text(1)?), ("round_trip", words.text(2)?)]),
    ),
    step(
        When,
        "the links from {target} to {target} carry {size} a second",
        "on each connection, whoever opened it, what the first send to the second; the other way is left alone",
        |words| words.fault("link_bandwidth", 0, &[("to", words.text(1)?), ("rate", words.text(2)?)]),
    ),
    step(
        When,
        "the links from {target} to {target} swallow all data",
        "connections stay open, and no byte that the first send to the second passes; the other way is left alone",
        |words| words.fault("link_timeout", 0, &[("to", words.text(1)?)]),
    ),
];
