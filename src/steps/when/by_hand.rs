//! `When`: what an operator does where no agent keeps the nodes.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{NodeOrder, PromotionWay, RunbookOrder},
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator promotes {string} by pg_ctl promote",
        "document 001 and 004's first way; waits up to 20 s until the node accepts writes, and records whether it does",
        |words| promote(words, PromotionWay::PgCtl),
    ),
    step(When, r"an operator promotes {string} by pg_promote\(\)", "004's third way, an SQL function", |words| {
        promote(words, PromotionWay::Function)
    }),
    step(
        When,
        "an operator promotes {string} by a trigger file",
        "004's second way, as written: PostgreSQL 16 removed the parameter that names the file",
        |words| promote(words, PromotionWay::TriggerFile),
    ),
    step(
        When,
        "an operator promotes {string} by touching standby.signal",
        "001's second way, as written: the file tells a server that starts to be a standby",
        |words| promote(words, PromotionWay::StandbySignal),
    ),
    step(When, "clients are pointed at {string}", "`write` leads to this node from the next connection on", |words| {
        order(NodeOrder::PointClients(node(words, 0)?))
    }),
    step(
        When,
        "the standby {string} is pointed at {string}",
        "makes a slot on the second node, changes `primary_conninfo` on the first, and waits until that streams",
        |words| order(NodeOrder::PointStandby { standby: node(words, 0)?, primary: node(words, 1)? }),
    ),
    step(
        When,
        "an operator rewinds {string} from {string}",
        "stops the first node if it runs, and has pg_rewind make it a standby of the second; waits until it streams",
        |words| order(NodeOrder::Rewind { node: node(words, 0)?, source: node(words, 1)? }),
    ),
    step(
        When,
        "an operator rebuilds {string} from {string}",
        "stops the first node if it runs, throws its data away, and has pg_basebackup make it a standby of the second",
        |words| order(NodeOrder::Rebuild { node: node(words, 0)?, source: node(words, 1)? }),
    ),
    step(
        When,
        "an operator keeps PostgreSQL on {string} from starting",
        "the machine does not start it when it boots; without this an old primary comes back as one",
        |words| order(NodeOrder::KeepFromStarting(node(words, 0)?)),
    ),
    step(
        When,
        "an operator sets the parameter {string} to {string} on {string}",
        "ALTER SYSTEM on this node, and a reload",
        |words| order(NodeOrder::SetParameter { node: node(words, 2)?, name: node(words, 0)?, value: node(words, 1)? }),
    ),
    step(
        When,
        "an operator runs {string} on {string}",
        "a command in the container of this node, as the user `postgres`; how it ends is recorded, and no failure of the step",
        |words| order(NodeOrder::Run { node: node(words, 1)?, command: node(words, 0)? }),
    ),
];

fn promote(words: &Words<'_>, way: PromotionWay) -> Result<Intent, WordError> {
    order(NodeOrder::Promote { node: node(words, 0)?, way })
}

fn node(words: &Words<'_>, place: usize) -> Result<String, WordError> {
    Ok(words.text(place)?.to_owned())
}

fn order(order: NodeOrder) -> Result<Intent, WordError> {
    Ok(Intent::Runbook(RunbookOrder::OnNode(order)))
}
