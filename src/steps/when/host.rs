//! `When`: faults of whole machines. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "the host of {target} dies", "the machine loses its power: silence, and every process gone", |words| {
        words.fault("host_crash", 0, &[])
    }),
    step(When, "{target} lose(s) power", "machines die at once, and come back together when it is healed", |words| {
        words.fault("host_crash", 0, &[])
    }),
    step(
        When,
        "{target} lose(s) power, to come back in the order {string}",
        "machines die at once, and come back one after the other when it is healed",
        |words| words.fault("host_crash", 0, &[("order", words.text(1)?)]),
    ),
    step(
        When,
        "the host of {target} shuts down",
        "the machine's services end in order (proxy, Patroni, etcd), then it falls silent",
        |words| words.fault("host_shutdown", 0, &[]),
    ),
    step(
        When,
        "the host of {target} reboots",
        "the machine dies, or shuts down (`how`), and comes back by itself (`down_for`)",
        |words| words.fault("host_reboot", 0, &[]),
    ),
    step(
        When,
        "the host of {target} freezes",
        "the machine stands still, as a stalled virtual machine, until it is healed",
        |words| words.fault("host_freeze", 0, &[]),
    ),
];
