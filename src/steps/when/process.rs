//! `When`: faults of processes and services.

use std::collections::BTreeMap;

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[
    step(When, "{process} on {target} is killed", "SIGKILL to this process alone", |drill, words| {
        Box::pin(async move {
            let parameters = BTreeMap::from([("process".to_owned(), words.text(0)?.to_owned())]);
            Ok(drill.inject("process_kill", &words.target(1)?, parameters).await?)
        })
    }),
    step(When, "{process} on {target} freezes", "SIGSTOP to this process alone, until it is healed", |drill, words| {
        Box::pin(async move {
            let parameters = BTreeMap::from([("process".to_owned(), words.text(0)?.to_owned())]);
            Ok(drill.inject("process_freeze", &words.target(1)?, parameters).await?)
        })
    }),
];
