//! `When`: faults of shaped links.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "a round trip from {target} to {target} takes {duration} longer",
        "all data of these links is delayed, half of the round trip each way",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("to", 1), ("round_trip", 2)])?;
                Ok(drill.inject("link_latency", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the links from {target} to {target} carry {size} a second",
        "each connection of these links gets no more, each way",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("to", 1), ("rate", 2)])?;
                Ok(drill.inject("link_bandwidth", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the links from {target} to {target} swallow all data",
        "connections are accepted and stay open, and no byte passes",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("to", 1)])?;
                Ok(drill.inject("link_timeout", &words.target(0)?, parameters).await?)
            })
        },
    ),
];
