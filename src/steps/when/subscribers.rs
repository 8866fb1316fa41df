//! `When`: what an operator does where a server subscribes to a cluster.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{RunbookOrder, SubscriberOrder},
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator adds a column to the ledger that {string} subscribes to",
        "ALTER TABLE … ADD COLUMN at the publisher, and nothing at the subscriber",
        |words| order(SubscriberOrder::AddColumn(name(words)?)),
    ),
    step(
        When,
        "an operator adds the column at the subscriber of {string}, too",
        "the same at the subscriber, once that has met a row with the column",
        |words| order(SubscriberOrder::AddColumnThere(name(words)?)),
    ),
    step(
        When,
        "an operator draws {int} numbers from the sequence beside {string}",
        "nextval() at the publisher of that subscription; the subscriber has a sequence of the same name",
        |words| {
            let (count, name) = (words.number(0)?, words.text(1)?.to_owned());
            order(SubscriberOrder::DrawNumbers(name, count))
        },
    ),
    step(
        When,
        "an operator makes the slot of the subscription {string} anew",
        "pg_create_logical_replication_slot() on the primary of now: it begins where the WAL ends then",
        |words| order(SubscriberOrder::MakeSlot(name(words)?)),
    ),
];

fn name(words: &Words<'_>) -> Result<String, WordError> {
    Ok(words.text(0)?.to_owned())
}

fn order(order: SubscriberOrder) -> Result<Intent, WordError> {
    Ok(Intent::Runbook(RunbookOrder::AtSubscriber(order)))
}
