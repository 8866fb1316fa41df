//! `When`: any fault by its name, and waiting for what must come after it.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the fault {string} hits {target}",
        "any fault of `pgquake list faults`; its parameters are the rows of the step's table",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.table()?;
                Ok(drill.inject(words.text(0)?, &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(When, "another node has taken over", "waits until another node leads than before the fault", |drill, _| {
        Box::pin(async move { Ok(drill.take_over().await?) })
    }),
    step(When, "clients can write again", "waits until writes succeed without a break for 2 s", |drill, _| {
        Box::pin(async move { Ok(drill.recover().await?) })
    }),
    step(
        When,
        "the fault is healed",
        "undoes every fault that is on: hosts come back, processes run again",
        |drill, _| Box::pin(async move { Ok(drill.heal().await?) }),
    ),
    step(
        When,
        "the fault {string} is healed",
        "undoes the faults of this name that are on, and leaves the others",
        |drill, words| Box::pin(async move { Ok(drill.heal_named(words.text(0)?).await?) }),
    ),
    step(When, "every node has rejoined", "waits until one node leads and all others stream from it", |drill, _| {
        Box::pin(async move { Ok(drill.rejoin().await?) })
    }),
];
