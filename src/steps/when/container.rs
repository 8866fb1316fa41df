//! `When`: what Docker does to services and hosts. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "Docker stops {string} on {target}", "`docker stop` of a service, until it is healed", |words| {
        words.fault("container_stop", 1, &[("service", words.text(0)?)])
    }),
    step(When, "Docker pauses {string} on {target}", "`docker pause` of a service, until it is healed", |words| {
        words.fault("container_pause", 1, &[("service", words.text(0)?)])
    }),
    step(When, "Docker restarts {string} on {target}", "`docker restart` of a service", |words| {
        words.fault("container_restart", 1, &[("service", words.text(0)?)])
    }),
    step(
        When,
        "the host of {target} is disconnected from the network",
        "its cable is pulled: no address, no names, no published ports, until it is healed",
        |words| words.fault("network_disconnect", 0, &[]),
    ),
];
