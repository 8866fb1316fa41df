//! `When`: too little CPU time, memory or connections. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "{string} on {target} gets only {string} of a core",
        "the service is stopped in each 100 ms when it has used its share up, until it is healed",
        |words| words.fault("cpu_quota", 1, &[("service", words.text(0)?), ("share", words.text(2)?)]),
    ),
    step(
        When,
        "PostgreSQL on {target} runs out of memory",
        "a session asks for more than a limit; the kernel kills",
        |words| words.fault("memory_limit", 0, &[]),
    ),
    step(
        When,
        "the connections of {target} are exhausted",
        "sessions are opened until PostgreSQL refuses more, and kept until it is healed",
        |words| words.fault("connections_exhausted", 0, &[]),
    ),
];
