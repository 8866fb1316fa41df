//! `Then`: what becomes of further databases.

use cucumber::gherkin::StepType::Then;

use super::{Measured, measured};
use crate::{
    checks::databases,
    history::event::Bound,
    steps::{StepDefinition, words::step},
};

const NOT_WHOLE: Measured = measured(&databases::CHECK, databases::NOT_WHOLE);
const UNLIKE: Measured = measured(&databases::CHECK, databases::UNLIKE);

pub(in crate::steps) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "every database is the same on every node, with every acknowledged write",
        "further databases of the topology: their rows, and what their indexes over vectors answer",
        |words| NOT_WHOLE.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "every database is the same on every node",
        "the same, whatever the failover lost of the writes that were acknowledged",
        |words| UNLIKE.bounded(words, Bound::Exactly(0.0)),
    ),
];
