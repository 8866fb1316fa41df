//! `When`: what an operator does. A table below a step gives the fault's other parameters.

use cucumber::gherkin::StepType::When;

use crate::{
    faults::Target,
    steps::{StepDefinition, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator switches over",
        "the primary hands over in order, to whom Patroni chooses",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("switchover", &Target::primary(), parameters).await?)
            })
        },
    ),
    step(
        When,
        "an operator switches over to {string}",
        "the primary hands over in order, to this node",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("to", words.text(0)?)])?;
                Ok(drill.inject("switchover", &Target::primary(), parameters).await?)
            })
        },
    ),
    step(
        When,
        "an operator fails over to {target}",
        "this node is made the primary, whether there is one or not",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("failover", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "an operator pauses Patroni",
        "maintenance mode: no automatic failover, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("pause", &Target::primary(), parameters).await?)
            })
        },
    ),
    step(When, "an operator resumes Patroni", "ends the maintenance mode", |drill, _| {
        Box::pin(async move { Ok(drill.heal_named("pause").await?) })
    }),
    step(
        When,
        "an operator reinitialises {target}",
        "Patroni rebuilds this standby from the primary",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("reinitialize", &words.target(0)?, parameters).await?)
            })
        },
    ),
    step(When, "an operator restarts PostgreSQL on {target}", "through Patroni, in order, in place", |drill, words| {
        Box::pin(async move {
            let parameters = words.parameters(&[])?;
            Ok(drill.inject("postgresql_restart", &words.target(0)?, parameters).await?)
        })
    }),
    step(
        When,
        "an operator sets {string} to {string}",
        "a key of Patroni's dynamic configuration, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[("key", words.text(0)?), ("value", words.text(1)?)])?;
                Ok(drill.inject("configuration_change", &Target::primary(), parameters).await?)
            })
        },
    ),
    step(
        When,
        "an operator removes {target} from the cluster",
        "its Patroni and PostgreSQL are shut down, until it is healed",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.parameters(&[])?;
                Ok(drill.inject("member_removed", &words.target(0)?, parameters).await?)
            })
        },
    ),
];
