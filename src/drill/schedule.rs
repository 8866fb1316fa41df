//! When faults come: after conditions, after pauses that the seed draws, and again and again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rand::{Rng, rngs::StdRng};

use super::{Condition, Drill, DrillError};
use crate::faults::Target;

/// A fault that comes several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repetition {
    /// How many times it comes.
    pub times: u32,
    /// The lower bound of the pause between two of them and, drawn anew, of the time for which each is on.
    pub least: Duration,
    /// The upper bound of both.
    pub most: Duration,
}

impl Drill {
    /// Waits until the history shows, after the beginning of the last fault, that the condition holds: for `within`, or for
    /// the plan's deadline for recovery.
    pub async fn wait_for(&mut self, condition: Condition, within: Option<Duration>) -> Result<(), DrillError> {
        let after_us = self.fault_began_us;
        if after_us.is_none() {
            self.reach_steady_state().await?;
        }
        let ground = self.ground.clone();
        let running = self.running().await?;
        let deadline = within.unwrap_or(Duration::from_secs(running.plan.deadlines.recovered_s));
        ground.hold(running.watch.wait(condition, after_us.unwrap_or_default(), deadline)).await
    }

    /// Pauses, under load, for a time that the seed draws. It is recorded with the next fault.
    pub async fn pause(&mut self, least: Duration, most: Duration) -> Result<(), DrillError> {
        self.begin_load().await?;
        let pause = draw(&mut self.random, least, most);
        self.notes.insert("pause_ms".to_owned(), pause.as_millis().to_string());
        self.sleep(pause).await
    }

    /// Injects a fault and heals it, several times, with pauses that the seed draws.
    pub async fn repeat(
        &mut self,
        fault: &str,
        target: &Target,
        parameters: &BTreeMap<String, String>,
        repetition: &Repetition,
    ) -> Result<(), DrillError> {
        for turn in 1..=repetition.times {
            if turn > 1 {
                self.pause(repetition.least, repetition.most).await?;
            }
            self.notes.insert("turn".to_owned(), format!("{turn} of {}", repetition.times));
            let number = self.inject_numbered(fault, target, parameters.clone(), BTreeSet::new()).await?;
            let on_for = draw(&mut self.random, repetition.least, repetition.most);
            self.sleep(on_for).await?;
            // Another one of this name that is on is not meant.
            let ground = self.ground.clone();
            ground.hold(self.running().await?.injector.heal_one(number)).await?;
        }
        Ok(())
    }
}

/// A time between two bounds, in whole milliseconds. Bounds the wrong way round are taken the right way.
fn draw(random: &mut StdRng, least: Duration, most: Duration) -> Duration {
    let (least, most) = (super::as_ms(least.min(most)), super::as_ms(least.max(most)));
    Duration::from_millis(random.random_range(least..=most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_same_seed_draws_the_same_pauses_and_another_one_others() {
        let bounds = (Duration::from_secs(1), Duration::from_secs(9));
        let pauses = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (0..8).map(|_| draw(&mut random, bounds.0, bounds.1)).collect::<Vec<_>>()
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
        assert!(pauses(7).iter().all(|pause| (bounds.0..=bounds.1).contains(pause)));
    }
}
