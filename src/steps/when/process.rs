//! `When`: faults of processes and services.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "{process} on {target} is killed", "SIGKILL to this process alone", |words| {
        words.fault("process_kill", 1, &[("process", words.text(0)?)])
    }),
    step(When, "{process} on {target} is told to end", "SIGTERM to this process alone", |words| {
        words.fault("process_terminate", 1, &[("process", words.text(0)?)])
    }),
    step(
        When,
        "{process} on {target} crashes again and again",
        "SIGKILL each time it has come up, until it is healed",
        |words| words.fault("process_crash_loop", 1, &[("process", words.text(0)?)]),
    ),
    step(When, "{process} on {target} freezes", "SIGSTOP to this process alone, until it is healed", |words| {
        words.fault("process_freeze", 1, &[("process", words.text(0)?)])
    }),
    step(
        When,
        "the service {string} on {target} dies",
        "SIGKILL to every process of the service, until it is healed",
        |words| words.fault("service_kill", 1, &[("service", words.text(0)?)]),
    ),
    step(
        When,
        "the service {string} on {target} freezes",
        "SIGSTOP to every process of the service, until it is healed",
        |words| words.fault("service_freeze", 1, &[("service", words.text(0)?)]),
    ),
];
