//! How the trials of a scenario share out the ways in which a fault can meet the lease.
//!
//! The outage that the loss of a primary brings depends on two things that chance decides: whether the leader of the DCS is
//! lost with it, and how far the agent's loop is since the lease was refreshed. Of `N` trials each takes one cell of
//! (DCS leader) × (part of the loop), all cells equally likely, in an order that the seed draws, and a point in it that the
//! seed draws. So the distribution of the trials is that of all faults, and repeats hardly differ in it.
//!
//! The misses of a target are then independent, with probabilities that differ. For so few misses as a confirmation allows
//! their sum is no more likely to be small than a binomial one (W. Hoeffding, Annals of Mathematical Statistics 27 (1956)
//! 713–721, theorem 4), so the bounds of the binomial distribution stay valid.

use rand::{Rng, rngs::StdRng, seq::SliceRandom};

use crate::history::event::Cell;

/// A trial's place among those that share the cells out between them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sharing {
    /// The number of the first of them, by which the order of their cells is drawn.
    pub first: u32,
    /// How many come before it.
    pub before: u32,
    /// How many they are.
    pub trials: u32,
}

impl Sharing {
    /// The place of a trial, counted from 1, of the scenario whose first trial has this number. Cells are whole after each of
    /// these numbers of trials, which ascend: the looks of a sampling plan, or the number of trials.
    pub fn of(trial: u32, first_number: u32, whole_after: &[u32]) -> Self {
        let before = trial.saturating_sub(1);
        let begin = whole_after.iter().copied().take_while(|end| *end <= before).last().unwrap_or(0);
        let end = whole_after.iter().copied().find(|end| *end > before).unwrap_or(trial);
        Self { first: first_number.saturating_add(begin), before: before - begin, trials: end - begin }
    }

    /// The cell of this trial. `order` draws the order, the same for all who share, and `own` the point in the cell. Trials
    /// that are too few for one more round of the members take whatever chance gives.
    pub(super) fn cell(&self, members: &[String], order: &mut StdRng, own: &mut StdRng) -> Cell {
        let leaders = u32::try_from(members.len()).unwrap_or(u32::MAX).max(1);
        let phases = self.trials / leaders;
        let mut cells: Vec<u32> = (0..self.trials).collect();
        cells.shuffle(order);
        let cell = cells.get(self.before as usize).copied().filter(|cell| *cell < phases * leaders);
        let led_by = cell.map_or_else(|| own.random_range(0..leaders), |cell| cell % leaders);
        let part = |of: u32| f64::from(of) / f64::from(phases.max(1));
        let (phase_from, phase_to) = cell.map_or((0.0, 1.0), |cell| (part(cell / leaders), part(cell / leaders + 1)));
        let dcs_leader = members.get(led_by as usize).filter(|_| members.len() > 1).cloned();
        Cell { dcs_leader, phase_from, phase_to, phase: own.random_range(phase_from..phase_to) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::drill::random;

    fn members() -> Vec<String> {
        ["node1", "node2", "node3"].map(str::to_owned).into()
    }

    fn cells(trials: std::ops::RangeInclusive<u32>, whole_after: &[u32], seed: u64) -> Vec<Cell> {
        let cell = |trial: u32| {
            let sharing = Sharing::of(trial, 10, whole_after);
            sharing.cell(&members(), &mut random(seed, "cells", sharing.first), &mut random(seed, "", 9 + trial))
        };
        trials.map(cell).collect()
    }

    fn kinds(cells: &[Cell]) -> BTreeSet<(String, u64)> {
        cells.iter().map(|cell| (cell.dcs_leader.clone().unwrap(), (cell.phase_from * 1e6) as u64)).collect()
    }

    #[test]
    fn each_cell_is_taken_once_by_the_looks_of_a_plan() {
        let plan = [63, 123, 168];
        for (block, trials) in [(1..=63, 63), (64..=123, 60), (124..=168, 45)] {
            let cells = cells(block, &plan, 7);
            assert_eq!(kinds(&cells).len(), trials, "one trial each");
            assert!(cells.iter().all(|cell| (cell.phase_from..cell.phase_to).contains(&cell.phase)));
            let width = 3.0 / trials as f64;
            assert!(cells.iter().all(|cell| (cell.phase_to - cell.phase_from - width).abs() < 1e-9));
        }
    }

    #[test]
    fn trials_that_are_left_over_are_left_to_chance() {
        let cells = cells(1..=8, &[8], 7);
        let (whole, chance): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(|cell| cell.phase_to < 1.0 || cell.phase_from > 0.0);
        assert_eq!((kinds(&whole).len(), chance.len()), (6, 2));
        let alone = Sharing::of(1, 1, &[1]);
        let cell = alone.cell(&members(), &mut random(7, "cells", 1), &mut random(7, "", 1));
        assert_eq!((cell.phase_from, cell.phase_to), (0.0, 1.0));
    }

    #[test]
    fn the_seed_draws_the_order_and_a_repeat_is_the_same_trial() {
        assert_eq!(cells(1..=63, &[63], 7), cells(1..=63, &[63], 7));
        assert_ne!(cells(1..=63, &[63], 7), cells(1..=63, &[63], 8));
    }

    #[test]
    fn without_a_choice_of_leaders_the_loop_alone_is_shared_out() {
        let cell = Sharing::of(2, 1, &[4]).cell(&[], &mut random(1, "cells", 1), &mut random(1, "", 2));
        assert_eq!((cell.dcs_leader, cell.phase_to - cell.phase_from), (None, 0.25));
    }
}
