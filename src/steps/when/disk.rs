//! `When`: faults of disks, where they are prepared.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the power of {target} fails",
        "the machine loses its power, and its disks what was not synced",
        |drill, words| {
            Box::pin(async move { Ok(drill.inject("power_loss", &words.target(0)?, Default::default()).await?) })
        },
    ),
    step(
        When,
        "the {volume} volume of {target} is full",
        "every write that needs room fails with ENOSPC",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("volume", 0)])?;
                Ok(drill.inject("disk_full", &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(When, "the {volume} volume of {target} stalls", "reads, writes and syncs hang", |drill, words| {
        Box::pin(async move {
            let parameters = words.named(&[("volume", 0)])?;
            Ok(drill.inject("disk_stall", &words.target(1)?, parameters).await?)
        })
    }),
    step(
        When,
        "a sync on the {volume} volume of {target} takes {duration} longer",
        "a slow disk: every fsync waits",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("volume", 0), ("delay", 2)])?;
                Ok(drill.inject("disk_slow", &words.target(1)?, parameters).await?)
            })
        },
    ),
];
