//! `When`: faults of whole machines. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the host of {target} dies",
        "the machine loses its power: silence, and every process gone",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("host_crash", &words.target(0)?, words.parameters(&[])?).await?) })
        },
    ),
    step(
        When,
        "{target} lose(s) power",
        "machines die at once, and come back together when it is healed",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("host_crash", &words.target(0)?, words.parameters(&[])?).await?) })
        },
    ),
    step(
        When,
        "{target} lose(s) power, to come back in the order {string}",
        "machines die at once, and come back one after the other when it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("order", words.text(1)?)])?;
                Ok(drill.inject("host_crash", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the host of {target} shuts down",
        "the machine's services end in order (proxy, Patroni, etcd), then it falls silent",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("host_shutdown", &words.target(0)?, words.parameters(&[])?).await?) })
        },
    ),
    step(
        When,
        "the host of {target} reboots",
        "the machine dies, or shuts down (`how`), and comes back by itself (`down_for`)",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("host_reboot", &words.target(0)?, words.parameters(&[])?).await?) })
        },
    ),
    step(
        When,
        "the host of {target} freezes",
        "the machine stands still, as a stalled virtual machine, until it is healed",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("host_freeze", &words.target(0)?, words.parameters(&[])?).await?) })
        },
    ),
];
