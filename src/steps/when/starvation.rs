//! `When`: too little CPU time, memory or connections. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "{string} on {target} gets only {string} of a core",
        "the service is stopped in each 100 ms when it has used its share up, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("service", words.text(0)?), ("share", words.text(2)?)])?;
                Ok(drill.inject("cpu_quota", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "PostgreSQL on {target} runs out of memory",
        "a session asks for more than a limit; the kernel kills",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("memory_limit", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the connections of {target} are exhausted",
        "sessions are opened until PostgreSQL refuses more, and kept until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("connections_exhausted", &words.target(0)?, parameters).await?)
            })
        },
    ),
];
