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
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::AtMost(words.milliseconds(0)?);
                drill.expect(words.expectation("recovery_time", "write_outage_ms", bound));
                Ok(())
            })
        },
    ),
    step(
        Then,
        "clients can't write for between {duration} and {duration}",
        "the clients' write outage, with a lower bound: less would mean that the fault did not bite",
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::Between(words.milliseconds(0)?, words.milliseconds(1)?);
                drill.expect(words.expectation("recovery_time", "write_outage_ms", bound));
                Ok(())
            })
        },
    ),
    step(Then, "the {phase} phase takes at most {duration}", "one phase of the outage", |drill, words| {
        Box::pin(async move {
            let measure = format!("{}_ms", words.text(0)?.replace(' ', "_"));
            let bound = Bound::AtMost(words.milliseconds(1)?);
            drill.expect(words.expectation("recovery_time", &measure, bound));
            Ok(())
        })
    }),
    step(
        Then,
        "the old primary acknowledges no write after {duration}",
        "from the fault to the last write that the node which another one replaced acknowledged to anyone",
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::AtMost(words.milliseconds(0)?);
                drill.expect(words.expectation("recovery_time", "old_primary_writes_ms", bound));
                Ok(())
            })
        },
    ),
    step(Then, "no acknowledged write is lost", "every acknowledged write is found on every node", |drill, words| {
        Box::pin(async move {
            drill.expect(words.expectation("data_loss", "lost_rows", Bound::Exactly(0.0)));
            Ok(())
        })
    }),
    step(
        Then,
        "at most {duration} of acknowledged writes are lost",
        "the span of the acknowledged writes that are on no node any more",
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::AtMost(words.milliseconds(0)?);
                drill.expect(words.expectation("data_loss", "lost_ms", bound));
                Ok(())
            })
        },
    ),
    step(
        Then,
        "no node that is more than {size} behind is promoted",
        "how much of the old primary's WAL a node lacked when it was elected",
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::AtMost(words.bytes(0)? as f64);
                drill.expect(words.expectation("promotion", "promoted_behind_bytes", bound));
                Ok(())
            })
        },
    ),
    step(
        Then,
        "never do two nodes accept writes",
        "no overlap of the times in which two nodes acknowledge",
        |drill, words| {
            Box::pin(async move {
                drill.expect(words.expectation("single_writer", "overlap_ms", Bound::Exactly(0.0)));
                Ok(())
            })
        },
    ),
    step(
        Then,
        "the node that was lost follows the new primary within {duration}",
        "from the healing of the fault until it streams on the new timeline",
        |drill, words| {
            Box::pin(async move {
                let bound = Bound::AtMost(words.milliseconds(0)?);
                drill.expect(words.expectation("rejoin", "rejoin_ms", bound));
                Ok(())
            })
        },
    ),
];
