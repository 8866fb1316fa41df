//! `When`: faults of disks, and of what is on them.

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
        "the data directory of {target} is wiped",
        "every file of PostgreSQL's data directory is removed while it runs",
        |drill, words| {
            Box::pin(
                async move { Ok(drill.inject("data_directory_wiped", &words.target(0)?, Default::default()).await?) },
            )
        },
    ),
    step(
        When,
        "a page of the {word} on {target} is corrupted",
        "a page of the ledger's table or index, or of the WAL, holds other bytes on disk: table, index or WAL",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.named(&[("of", 0)])?;
                Ok(drill.inject("page_corrupted", &words.target(1)?, parameters).await?)
            })
        },
    ),
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
