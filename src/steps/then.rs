//! `Then`: expectations. A step states one; the checks judge it when the scenario is closed, so that a missed one
//! does not keep the others from being judged.

use cucumber::gherkin::StepType::Then;

use super::{StepDefinition, words::step};
use crate::history::event::Bound;

pub(super) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "clients can't write for at most {duration}",
        "the clients' write outage, from the fault to the first write of an unbroken run",
        |words| words.expect("recovery_time", "write_outage_ms", Bound::AtMost(words.milliseconds(0)?)),
    ),
    step(
        Then,
        "clients can't write for between {duration} and {duration}",
        "the clients' write outage, with a lower bound: less would mean that the fault did not bite",
        |words| {
            words.expect(
                "recovery_time",
                "write_outage_ms",
                Bound::Between(words.milliseconds(0)?, words.milliseconds(1)?),
            )
        },
    ),
    step(Then, "the {phase} phase takes at most {duration}", "one phase of the outage", |words| {
        let measure = format!("{}_ms", words.text(0)?.replace(' ', "_"));
        words.expect("recovery_time", &measure, Bound::AtMost(words.milliseconds(1)?))
    }),
    step(
        Then,
        "the old primary acknowledges no write after {duration}",
        "from the fault to the last write that the node which another one replaced acknowledged to anyone",
        |words| words.expect("recovery_time", "old_primary_writes_ms", Bound::AtMost(words.milliseconds(0)?)),
    ),
    step(Then, "no acknowledged write is lost", "every acknowledged write is found on every node", |words| {
        words.expect("data_loss", "lost_rows", Bound::Exactly(0.0))
    }),
    step(
        Then,
        "at most {duration} of acknowledged writes are lost",
        "the span of the acknowledged writes that are on no node any more",
        |words| words.expect("data_loss", "lost_ms", Bound::AtMost(words.milliseconds(0)?)),
    ),
    step(
        Then,
        "no node that is more than {size} behind is promoted",
        "how much of the old primary's WAL a node lacked when it was elected",
        |words| words.expect("promotion", "promoted_behind_bytes", Bound::AtMost(words.bytes(0)? as f64)),
    ),
    step(Then, "never do two nodes accept writes", "no overlap of the times in which two nodes acknowledge", |words| {
        words.expect("single_writer", "overlap_ms", Bound::Exactly(0.0))
    }),
    step(
        Then,
        "the node that was lost follows the new primary within {duration}",
        "from the healing of the fault until it streams on the new timeline",
        |words| words.expect("rejoin", "rejoin_ms", Bound::AtMost(words.milliseconds(0)?)),
    ),
];
