//! `When`: what an operator does at members of etcd.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{MemberOrder, RunbookOrder},
    steps::{Intent, StepDefinition, WordError, Words, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "an operator runs {string} beside etcd on {string}",
        "a command with the data of this member and the volume `/backup`, as the user `etcd`, whether the member runs or not; how it \
         ends is recorded, and no failure of the step",
        |words| order(MemberOrder::Run { member: text(words, 1)?, command: text(words, 0)? }),
    ),
    step(
        When,
        "an operator copies {string} from etcd on {string} to etcd on {string}",
        "a file of one member, as a snapshot, to the same place at another one; how that ends is recorded",
        |words| order(MemberOrder::CopyFile { path: text(words, 0)?, from: text(words, 1)?, to: text(words, 2)? }),
    ),
];

fn text(words: &Words<'_>, place: usize) -> Result<String, WordError> {
    Ok(words.text(place)?.to_owned())
}

fn order(order: MemberOrder) -> Result<Intent, WordError> {
    Ok(Intent::Runbook(RunbookOrder::AtMember(order)))
}
