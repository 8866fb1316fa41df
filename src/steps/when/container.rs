//! `When`: what Docker does to services and hosts. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "Docker stops {string} on {target}",
        "`docker stop` of a service, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("service", words.text(0)?)])?;
                Ok(drill.inject("container_stop", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "Docker pauses {string} on {target}",
        "`docker pause` of a service, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("service", words.text(0)?)])?;
                Ok(drill.inject("container_pause", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(When, "Docker restarts {string} on {target}", "`docker restart` of a service", |drill, words| {
        Box::pin(async move {
            let parameters = words.parameters(&[("service", words.text(0)?)])?;
            Ok(drill.inject("container_restart", &words.target(1)?, parameters).await?)
        })
    }),
    step(
        When,
        "the host of {target} is disconnected from the network",
        "its cable is pulled: no address, no names, no published ports, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("network_disconnect", &words.target(0)?, parameters).await?)
            })
        },
    ),
];
