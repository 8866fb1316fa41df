//! `When`: any fault by its name, and waiting for what must come after it.

use std::time::Duration;

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{Condition, Repetition},
    steps::{Intent, StepDefinition, WordError, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the fault {string} hits {target}",
        "any fault of `pgquake list faults`; its parameters are the rows of the step's table",
        |words| words.fault(words.text(0)?, 1, &[]),
    ),
    step(
        When,
        "the fault {string} hits {target} {int} times, each for {duration} to {duration}",
        "injects and heals it that many times; the seed draws how long it is on, and each pause, from the two times",
        |words| {
            let order = words.order(words.text(0)?, words.target(1)?, &[])?;
            let (times, least, most) = (words.number(2)?, words.duration(3)?, words.duration(4)?);
            Ok(Intent::Repeat(order, Repetition { times, least, most }))
        },
    ),
    step(
        When,
        "the fault {string} is changed",
        "gives the fault of this name that is on other parameters: the rows of the step's table",
        |words| Ok(Intent::Change { fault: words.text(0)?.to_owned(), parameters: words.table()? }),
    ),
    step(When, "the leader key is gone", "waits until the leader key has expired or was given up", |_| {
        wait(Condition::LeaderKeyGone, None)
    }),
    step(
        When,
        "the leader key is gone, within {duration}",
        "the same with a deadline of its own; without one it is the plan's for recovery",
        |words| wait(Condition::LeaderKeyGone, Some(words.duration(0)?)),
    ),
    step(When, "a node has taken the leader key", "waits until a node is elected; it may not be promoted yet", |_| {
        wait(Condition::LeaderElected, None)
    }),
    step(When, "a node has taken the leader key, within {duration}", "the same with a deadline of its own", |words| {
        wait(Condition::LeaderElected, Some(words.duration(0)?))
    }),
    step(When, "a standby is promoted", "waits until another node than before is a primary", |_| {
        wait(Condition::Promoted, None)
    }),
    step(When, "a standby is promoted, within {duration}", "the same with a deadline of its own", |words| {
        wait(Condition::Promoted, Some(words.duration(0)?))
    }),
    step(
        When,
        "a standby is {size} behind",
        "waits until a standby has replayed this much less than the primary has written",
        |words| wait(Condition::StandbyBehind { lag_bytes: words.bytes(0)? }, None),
    ),
    step(
        When,
        "a standby is {size} behind, within {duration}",
        "the same with a deadline of its own: at the load's rate WAL may grow slowly",
        |words| wait(Condition::StandbyBehind { lag_bytes: words.bytes(0)? }, Some(words.duration(1)?)),
    ),
    step(
        When,
        "{duration} to {duration} have passed",
        "pauses for a time between these that the seed draws",
        |words| Ok(Intent::Pause { least: words.duration(0)?, most: words.duration(1)? }),
    ),
    step(When, "another node has taken over", "waits until another node leads than before the fault", |_| {
        Ok(Intent::TakeOver)
    }),
    step(When, "clients can write again", "waits until writes succeed without a break for 2 s", |_| {
        Ok(Intent::Recover)
    }),
    step(When, "the fault is healed", "undoes every fault that is on: hosts come back, processes run again", |_| {
        Ok(Intent::HealAll)
    }),
    step(
        When,
        "the fault {string} is healed",
        "undoes the faults of this name that are on, and leaves the others",
        |words| Ok(Intent::HealNamed(words.text(0)?.to_owned())),
    ),
    step(
        When,
        "every node waits for a restart",
        "waits until each agent says that a changed setting needs a restart of its PostgreSQL",
        |_| wait(Condition::PendingRestart { everywhere: true }, None),
    ),
    step(
        When,
        "no node waits for a restart",
        "waits until no agent says so any more: PostgreSQL runs with what was set everywhere",
        |_| wait(Condition::PendingRestart { everywhere: false }, None),
    ),
    step(When, "every node has rejoined", "waits until one node leads and all others stream from it", |_| {
        Ok(Intent::Rejoin)
    }),
];

fn wait(condition: Condition, within: Option<Duration>) -> Result<Intent, WordError> {
    Ok(Intent::Wait { condition, within })
}
