//! `When`: faults of disks, and of what is on them.

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the power of {target} fails",
        "the machine loses its power, and its disks what was not synced",
        |words| words.fault("power_loss", 0, &[]),
    ),
    step(When, "the {volume} volume of {target} is full", "every write that needs room fails with ENOSPC", |words| {
        words.fault("disk_full", 1, &[("volume", words.text(0)?)])
    }),
    step(
        When,
        "the {volume} volume of {target} fills up to {size}",
        "it holds no more than this, and the scenario goes on when it is full",
        |words| words.fault("disk_full", 1, &[("volume", words.text(0)?), ("size", words.text(2)?)]),
    ),
    step(When, "the {volume} volume of {target} stalls", "reads, writes and syncs hang", |words| {
        words.fault("disk_stall", 1, &[("volume", words.text(0)?)])
    }),
    step(
        When,
        "the data directory of {target} is wiped",
        "every file of PostgreSQL's data directory is removed while it runs",
        |words| words.fault("data_directory_wiped", 0, &[]),
    ),
    step(
        When,
        "a page of the {word} on {target} is corrupted",
        "a page of the ledger's table or index, or of the WAL, holds other bytes on disk: table, index or WAL",
        |words| words.fault("page_corrupted", 1, &[("of", words.text(0)?)]),
    ),
    step(
        When,
        "a sync on the {volume} volume of {target} takes {duration} longer",
        "a slow disk: every fsync waits",
        |words| words.fault("disk_slow", 1, &[("volume", words.text(0)?), ("delay", words.text(2)?)]),
    ),
];
