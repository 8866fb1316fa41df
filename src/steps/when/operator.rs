//! `When`: what an operator does. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::{
    faults::Target,
    steps::{Intent, StepDefinition, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "an operator switches over", "the primary hands over in order, to whom Patroni chooses", |words| {
        words.fault_on("switchover", Target::primary(), &[])
    }),
    step(When, "an operator switches over to {string}", "the primary hands over in order, to this node", |words| {
        words.fault_on("switchover", Target::primary(), &[("to", words.text(0)?)])
    }),
    step(
        When,
        "an operator fails over to {target}",
        "this node is made the primary, whether there is one or not",
        |words| words.fault("failover", 0, &[]),
    ),
    step(When, "an operator pauses Patroni", "maintenance mode: no automatic failover, until it is healed", |words| {
        words.fault_on("pause", Target::primary(), &[])
    }),
    step(
        When,
        "writes to {target} are stopped",
        "transactions that begin from then on may only read, until it is healed",
        |words| words.fault("read_only", 0, &[]),
    ),
    step(When, "an operator resumes Patroni", "ends the maintenance mode", |_| {
        Ok(Intent::HealNamed("pause".to_owned()))
    }),
    step(When, "an operator reinitialises {target}", "Patroni rebuilds this standby from the primary", |words| {
        words.fault("reinitialize", 0, &[])
    }),
    step(When, "an operator restarts PostgreSQL on {target}", "through Patroni, in order, in place", |words| {
        words.fault("postgresql_restart", 0, &[])
    }),
    step(
        When,
        "an operator sets {string} to {string}",
        "a key of Patroni's dynamic configuration, until it is healed",
        |words| {
            words.fault_on(
                "configuration_change",
                Target::primary(),
                &[("key", words.text(0)?), ("value", words.text(1)?)],
            )
        },
    ),
    step(
        When,
        "an operator upgrades Patroni on {target} to {string}",
        "the agent is stopped as by a service manager and started in this version, newer or older (4.1.5, or 4.1)",
        |words| words.fault("patroni_upgrade", 0, &[("to", words.text(1)?)]),
    ),
    step(
        When,
        "an operator upgrades PostgreSQL on {target} to {string}",
        "its programs are replaced by those of another minor version, newer or older, and Patroni restarts it (16.14)",
        |words| words.fault("postgresql_upgrade", 0, &[("to", words.text(1)?)]),
    ),
    step(
        When,
        "an operator upgrades etcd on {target} to {string}",
        "the member is stopped and started in this version, newer or older (3.5 or 3.6)",
        |words| words.fault("etcd_upgrade", 0, &[("to", words.text(1)?)]),
    ),
    step(
        When,
        "an operator removes {target} from the cluster",
        "its Patroni and PostgreSQL are shut down, until it is healed",
        |words| words.fault("member_removed", 0, &[]),
    ),
];
