//! `When`: any fault by its name, and waiting for what must come after it.

use cucumber::gherkin::StepType::When;

use crate::{
    drill::{Condition, Repetition},
    steps::{StepDefinition, words::step},
};

pub(super) const ALL: &[StepDefinition] = &[
    step(
        When,
        "the fault {string} hits {target}",
        "any fault of `pgquake list faults`; its parameters are the rows of the step's table",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.table()?;
                Ok(drill.inject(words.text(0)?, &words.target(1)?, parameters).await?)
            })
        },
    ),
    step(
        When,
        "the fault {string} hits {target} {int} times, each for {duration} to {duration}",
        "injects and heals it so often; the seed draws how long it is on, and the pauses between, from the two times",
        |drill, words| {
            Box::pin(async move {
                let parameters = words.table()?;
                let (times, least, most) = (words.number(2)?, words.duration(3)?, words.duration(4)?);
                let repetition = Repetition { times, least, most };
                Ok(drill.repeat(words.text(0)?, &words.target(1)?, &parameters, &repetition).await?)
            })
        },
    ),
    step(
        When,
        "the fault {string} is changed",
        "gives the fault of this name that is on other parameters: the rows of the step's table",
        |drill, words| Box::pin(async move { Ok(drill.change(words.text(0)?, words.table()?).await?) }),
    ),
    step(When, "the leader key is gone", "waits until the leader key has expired or was given up", |drill, _| {
        Box::pin(async move { Ok(drill.wait_for(Condition::LeaderKeyGone).await?) })
    }),
    step(
        When,
        "a node has taken the leader key",
        "waits until a node is elected; it may not be promoted yet",
        |drill, _| Box::pin(async move { Ok(drill.wait_for(Condition::LeaderElected).await?) }),
    ),
    step(When, "a standby is promoted", "waits until another node than before is a primary", |drill, _| {
        Box::pin(async move { Ok(drill.wait_for(Condition::Promoted).await?) })
    }),
    step(
        When,
        "a standby is {size} behind",
        "waits until a standby has replayed so much less than the primary has written",
        |drill, words| {
            Box::pin(async move {
                let lag_bytes = words.bytes(0)?;
                Ok(drill.wait_for(Condition::StandbyBehind { lag_bytes }).await?)
            })
        },
    ),
    step(
        When,
        "{duration} to {duration} have passed",
        "pauses for a time between these that the seed draws",
        |drill, words| Box::pin(async move { Ok(drill.pause(words.duration(0)?, words.duration(1)?).await?) }),
    ),
    step(When, "another node has taken over", "waits until another node leads than before the fault", |drill, _| {
        Box::pin(async move { Ok(drill.take_over().await?) })
    }),
    step(When, "clients can write again", "waits until writes succeed without a break for 2 s", |drill, _| {
        Box::pin(async move { Ok(drill.recover().await?) })
    }),
    step(
        When,
        "the fault is healed",
        "undoes every fault that is on: hosts come back, processes run again",
        |drill, _| Box::pin(async move { Ok(drill.heal().await?) }),
    ),
    step(
        When,
        "the fault {string} is healed",
        "undoes the faults of this name that are on, and leaves the others",
        |drill, words| Box::pin(async move { Ok(drill.heal_named(words.text(0)?).await?) }),
    ),
    step(When, "every node has rejoined", "waits until one node leads and all others stream from it", |drill, _| {
        Box::pin(async move { Ok(drill.rejoin().await?) })
    }),
];
