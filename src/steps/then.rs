//! `Then`: expectations. A step states one; the checks judge it when the scenario is closed, so that a missed one
//! does not keep the others from being judged.

use cucumber::gherkin::StepType::Then;

use super::{Intent, StepDefinition, WordError, Words, words::step};
use crate::{
    checks::{Check, course::phases::PHASES, data_loss, promotion, recovery_time, rejoin, single_writer},
    history::event::Bound,
};

/// A measure of a check.
struct Measured {
    check: &'static str,
    measure: &'static str,
}

const WRITE_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::WRITE_OUTAGE_MS);
const TOTAL_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::TOTAL_OUTAGE_MS);
const OUTAGES: Measured = measured(&recovery_time::CHECK, recovery_time::OUTAGES);
const CLIENT_GAP: Measured = measured(&recovery_time::CHECK, recovery_time::LONGEST_CLIENT_GAP_MS);
const READ_OUTAGE: Measured = measured(&recovery_time::CHECK, recovery_time::READ_OUTAGE_MS);
const STALE_READ: Measured = measured(&recovery_time::CHECK, recovery_time::STALE_READ_MS);
const OLD_PRIMARY_WRITES: Measured = measured(&recovery_time::CHECK, recovery_time::OLD_PRIMARY_WRITES_MS);
const LOST_ROWS: Measured = measured(&data_loss::CHECK, "lost_rows");
const LOST: Measured = measured(&data_loss::CHECK, "lost_ms");
const PROMOTED_BEHIND: Measured = measured(&promotion::CHECK, "promoted_behind_bytes");
const PROMOTIONS: Measured = measured(&promotion::CHECK, "promotions");
const PRIMARY_CHANGES: Measured = measured(&promotion::CHECK, "primary_changes");
const OVERLAP: Measured = measured(&single_writer::CHECK, "overlap_ms");
const REJOIN: Measured = measured(&rejoin::CHECK, "rejoin_ms");

/// The measure of this name. One that the check does not have does not compile.
const fn measured(check: &Check, measure: &'static str) -> Measured {
    let mut index = 0;
    while index < check.measures.len() {
        if equal(check.measures[index].as_bytes(), measure.as_bytes()) {
            return Measured { check: check.name, measure };
        }
        index += 1;
    }
    panic!("the check has no measure of this name")
}

/// What `==` is for text, where constants are made.
const fn equal(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut index = 0;
    while index < one.len() {
        if one[index] != other[index] {
            return false;
        }
        index += 1;
    }
    true
}

impl Measured {
    /// The measure is to be at most the duration that stands first in the step.
    fn at_most_duration(self, words: &Words<'_>) -> Result<Intent, WordError> {
        let bound = Bound::AtMost(words.milliseconds(0)?);
        self.bounded(words, bound)
    }

    fn bounded(self, words: &Words<'_>, bound: Bound) -> Result<Intent, WordError> {
        words.expect(self.check, self.measure, bound)
    }
}

pub(super) const ALL: &[StepDefinition] = &[
    step(
        Then,
        "clients can't write for at most {duration}",
        "each write outage, from the fault to the first write of an unbroken run",
        |words| WRITE_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "clients can't write for between {duration} and {duration}",
        "the same, and the longest with a lower bound: less would mean that the fault did not bite",
        |words| WRITE_OUTAGE.bounded(words, Bound::Between(words.milliseconds(0)?, words.milliseconds(1)?)),
    ),
    step(
        Then,
        "clients can't write for at most {duration} in total",
        "all write outages together, from the first fault to the end of the load",
        |words| TOTAL_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "there is at most one outage",
        "how often clients lost service, from the first fault to the end of the load; 100 ms without a write are an outage",
        |words| OUTAGES.bounded(words, Bound::AtMost(1.0)),
    ),
    step(Then, "there are at most {int} outages", "the same for a larger number", |words| {
        OUTAGES.bounded(words, Bound::AtMost(f64::from(words.number(0)?)))
    }),
    step(
        Then,
        "no client waits longer than {duration} for a write",
        "the longest time between two acknowledged writes of any one writer of the load",
        |words| CLIENT_GAP.at_most_duration(words),
    ),
    step(
        Then,
        "clients can't read for at most {duration}",
        "the longest outage of the endpoint for reads, after the first fault",
        |words| READ_OUTAGE.at_most_duration(words),
    ),
    step(
        Then,
        "clients read from a superseded timeline for at most {duration}",
        "from the first write on a later timeline to the last read that an earlier one answered",
        |words| STALE_READ.at_most_duration(words),
    ),
    step(Then, "the {phase} phase takes at most {duration}", "one phase of each outage that has it", |words| {
        let name = words.text(0)?;
        let phase = PHASES.iter().find(|phase| phase.name == name).ok_or(WordError::Missing(0))?;
        words.expect(recovery_time::CHECK.name, phase.measure, Bound::AtMost(words.milliseconds(1)?))
    }),
    step(
        Then,
        "the old primary acknowledges no write after {duration}",
        "from the fault to the last write that the node which another one replaced acknowledged to anyone",
        |words| OLD_PRIMARY_WRITES.at_most_duration(words),
    ),
    step(Then, "no acknowledged write is lost", "every acknowledged write is found on every node", |words| {
        LOST_ROWS.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "at most {duration} of acknowledged writes are lost",
        "the span of the acknowledged writes that are on no node any more",
        |words| LOST.at_most_duration(words),
    ),
    step(Then, "no node is promoted", "no node begins a timeline of its own after the first fault", |words| {
        PROMOTIONS.bounded(words, Bound::Exactly(0.0))
    }),
    step(Then, "the primary stays", "no other node than before becomes primary after the first fault", |words| {
        PRIMARY_CHANGES.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "at most {int} writes of unknown fate are missing",
        "writes whose answer never came, and that are not there in the end; a client must ask for each of them",
        |words| words.expect("data_loss", "unknown_missing_rows", Bound::AtMost(words.number(0)?.into())),
    ),
    step(
        Then,
        "no node that is more than {size} behind is promoted",
        "how much of the old primary's WAL a node lacked when it was elected",
        |words| PROMOTED_BEHIND.bounded(words, Bound::AtMost(words.bytes(0)? as f64)),
    ),
    step(Then, "never do two nodes accept writes", "no overlap of the times in which two nodes acknowledge", |words| {
        OVERLAP.bounded(words, Bound::Exactly(0.0))
    }),
    step(
        Then,
        "the node that was lost follows the new primary within {duration}",
        "from the healing of the fault until it streams on the new timeline",
        |words| REJOIN.at_most_duration(words),
    ),
];
