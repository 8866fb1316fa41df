//! `When`: faults of processes and services.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "{process} on {target} is killed", "SIGKILL to this process alone", |drill, words| {
        Box::pin(async move {
            let parameters = words.parameters(&[("process", words.text(0)?)])?;
            Ok(drill.inject("process_kill", &words.target(1)?, parameters).await?)
        })
    }),
    step(When, "{process} on {target} is told to end", "SIGTERM to this process alone", |drill, words| {
        Box::pin(async move {
            let parameters = words.parameters(&[("process", words.text(0)?)])?;
            Ok(drill.inject("process_terminate", &words.target(1)?, parameters).await?)
        })
    }),
    step(
        When,
        "{process} on {target} crashes again and again",
        "SIGKILL each time it has come up, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("process", words.text(0)?)])?;
                Ok(drill.inject("process_crash_loop", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(When, "{process} on {target} freezes", "SIGSTOP to this process alone, until it is healed", |drill, words| {
        Box::pin(async move {
            let parameters = words.parameters(&[("process", words.text(0)?)])?;
            Ok(drill.inject("process_freeze", &words.target(1)?, parameters).await?)
        })
    }),
    step(
        When,
        "the service {string} on {target} dies",
        "SIGKILL to every process of the service, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("service", words.text(0)?)])?;
                Ok(drill.inject("service_kill", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the service {string} on {target} freezes",
        "SIGSTOP to every process of the service, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("service", words.text(0)?)])?;
                Ok(drill.inject("service_freeze", &words.target(1)?, parameters).await?)
            })
        },
    ),
];
