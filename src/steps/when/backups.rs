//! `When`: what an operator does with backups, and what they are restored for.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{BackupOrder, RestorePoint, RunbookOrder},
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator takes a backup of the cluster {string}",
        "a full one, by the tool of its topology",
        |words| order(BackupOrder::Take(name(words)?)),
    ),
    step(
        When,
        "somebody makes a bad change in the cluster {string}",
        "makes a table that is regretted; the time just before is known from then on",
        |words| order(BackupOrder::BadChange(name(words)?)),
    ),
    step(
        When,
        "an operator restores the cluster {string} to just before the bad change",
        "on the machine that its backups name, to a point in time; whether that holds what it must is recorded",
        |words| order(BackupOrder::Restore(name(words)?, RestorePoint::BeforeTheBadChange)),
    ),
    step(
        When,
        "an operator restores the latest state of the cluster {string}",
        "on the machine that its backups name, to the end of what it has archived",
        |words| order(BackupOrder::Restore(name(words)?, RestorePoint::Latest)),
    ),
];

fn name(words: &Words<'_>) -> Result<String, WordError> {
    Ok(words.text(0)?.to_owned())
}

fn order(order: BackupOrder) -> Result<Intent, WordError> {
    Ok(Intent::Runbook(RunbookOrder::WithBackups(order)))
}
