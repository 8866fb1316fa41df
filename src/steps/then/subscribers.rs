//! `Then`: what a subscriber outside of the cluster has.

use cucumber::gherkin::StepType::Then;

use super::{Measured, measured};
use crate::{
    checks::logical,
    history::event::Bound,
    steps::{StepDefinition, words::step},
};

const MISSING: Measured = measured(&logical::CHECK, logical::MISSING_ROWS);
const AHEAD: Measured = measured(&logical::CHECK, logical::AHEAD_ROWS);
const STOPPED: Measured = measured(&logical::CHECK, logical::STOPPED_MS);
const COLUMNS: Measured = measured(&logical::CHECK, logical::COPIED_COLUMNS);
const SEQUENCES: Measured = measured(&logical::CHECK, logical::COPIED_SEQUENCES);

pub(super) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "the subscriber has every row",
        "every row that the publisher has in the end is at the subscriber, once it had its time to catch up",
        |words| MISSING.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the subscriber has no row that its publisher lost",
        "it is not ahead of the primary that a failover has made",
        |words| AHEAD.bounded(words, Bound::Exactly(0.0)),
    ),
    step(
        Then,
        "the subscription resumes within {duration}",
        "the longest time in which it applied nothing, from the steady state on",
        |words| STOPPED.at_most_duration(words),
    ),
    step(Then, "DDL is not copied", "the subscriber lacks a column that was added at the publisher", |words| {
        COLUMNS.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "a sequence is not copied",
        "the subscriber's sequence does not follow the publisher's, of which numbers were drawn",
        |words| SEQUENCES.bounded(words, Bound::Exactly(0.0)),
    ),
];
