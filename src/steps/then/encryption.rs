//! `Then`: what is encrypted, and who stays out.

use cucumber::gherkin::StepType::Then;

use super::{Measured, measured};
use crate::{
    checks::encryption,
    history::event::Bound,
    steps::{StepDefinition, words::step},
};

const PLAIN: Measured = measured(&encryption::CHECK, encryption::PLAIN_SESSIONS);
const PLAIN_REPLICATION: Measured = measured(&encryption::CHECK, encryption::PLAIN_REPLICATION_SESSIONS);
const ADMITTED: Measured = measured(&encryption::CHECK, encryption::ENTRIES_ADMITTED);

pub(super) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "every session with PostgreSQL is encrypted",
        "those with other machines, of clients and of standbys, as each node itself shows them",
        |words| PLAIN.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "replication is encrypted",
        "every session of a standby, in a region and across, as each node itself shows them",
        |words| PLAIN_REPLICATION.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "connections that must fail do",
        "each that was tried is refused, for the reason that is meant",
        |words| ADMITTED.bounded(words, Bound::Exactly(0.0)),
    ),
];
