//! `When`: faults of whole machines.

use std::collections::BTreeMap;

use cucumber::gherkin::StepType::When;

use crate::steps::{StepDefinition, words::step};

pub(super) const ALL: &[StepDefinition] = &[step(
    When,
    "the host of {target} dies",
    "the machine loses its power: silence, and every process gone",
    |drill, words| Box::pin(async move { Ok(drill.inject("host_crash", &words.target(0)?, BTreeMap::new()).await?) }),
)];
