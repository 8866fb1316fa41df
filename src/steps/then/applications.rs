//! `Then`: how the clients of an application fare.

use cucumber::gherkin::StepType::Then;

use crate::{
    checks::applications::{CHECK, CLIENTS_LEFT, CONNECTS_IN_DENSEST_S, WAIT_MS},
    history::event::Bound,
    steps::{StepDefinition, words::step},
};

pub(in crate::steps) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "no client of the application {string} waits longer than {duration} for a write",
        "the longest time between two acknowledged writes of any one of its clients",
        |words| {
            let most = Bound::AtMost(words.milliseconds(1)?);
            words.expect_of(Some(words.text(0)?), CHECK.name, WAIT_MS, most)
        },
    ),
    step(
        Then,
        "every client of the application {string} writes again",
        "none is left without a write in the end, though new connections are served",
        |words| words.expect_of(Some(words.text(0)?), CHECK.name, CLIENTS_LEFT, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the application {string} opens at most {int} connections in a second",
        "from the first fault on, with those that are refused: a storm of reconnections",
        |words| {
            let most = Bound::AtMost(f64::from(words.number(1)?));
            words.expect_of(Some(words.text(0)?), CHECK.name, CONNECTS_IN_DENSEST_S, most)
        },
    ),
];
