//! `When`: what an operator does by a runbook when a region is lost, or handed over.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::RunbookOrder,
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator confirms the loss of the cluster {string}",
        "makes sure that none of its nodes answers, reads how far the other region is, and decides",
        |words| order(RunbookOrder::ConfirmLoss(name(words, 0)?)),
    ),
    step(
        When,
        "an operator promotes the cluster {string}",
        "removes `standby_cluster` from its configuration, and waits until a node of it accepts writes",
        |words| order(RunbookOrder::Promote(name(words, 0)?)),
    ),
    step(
        When,
        "clients are pointed at the cluster {string}",
        "the endpoints `write` and `read` lead to that cluster's from the next connection on",
        |words| order(RunbookOrder::PointClients(name(words, 0)?)),
    ),
    step(
        When,
        "the cluster {string} has caught up",
        "waits until its leader has replayed every byte that the primary has written",
        |words| order(RunbookOrder::CatchUp(name(words, 0)?)),
    ),
    step(
        When,
        "an operator makes the cluster {string} follow the cluster {string}",
        "writes `standby_cluster` into its DCS, and a permanent slot into the configuration of the other one",
        |words| order(RunbookOrder::Follow(name(words, 0)?, name(words, 1)?)),
    ),
    step(
        When,
        "the cluster {string} is given up",
        "what hit it is not healed when the scenario ends: its region is rebuilt later",
        |words| order(RunbookOrder::GiveUp(name(words, 0)?)),
    ),
];

fn name(words: &Words<'_>, place: usize) -> Result<String, WordError> {
    Ok(words.text(place)?.to_owned())
}

fn order(order: RunbookOrder) -> Result<Intent, WordError> {
    Ok(Intent::Runbook(order))
}
