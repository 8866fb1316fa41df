//! How often trials missed a claim, before and now.

use std::cmp::Reverse;

use serde::Serialize;

use super::{CONFIDENCE, Conclusion, rank::more_misses};
use crate::verdict::{ClaimVerdict, RunVerdict};

/// A claim that trials of either run missed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClaimChange {
    pub id: String,
    /// Missed trials, of those that decided.
    pub old_missed: u64,
    pub old_decided: u64,
    pub new_missed: u64,
    pub new_decided: u64,
    /// The probability of this number of misses among the new trials, or more, if old and new ones miss alike.
    pub p: f64,
}

impl ClaimChange {
    /// More misses than chance explains are a regression. More misses that chance may explain are in doubt.
    pub fn conclusion(&self) -> Conclusion {
        let more = self.new_missed * self.old_decided > self.old_missed * self.new_decided;
        match more {
            true if self.p <= 1.0 - CONFIDENCE => Conclusion::Regressed,
            true => Conclusion::CannotTell,
            false => Conclusion::NoWorse,
        }
    }
}

pub(super) fn compare(old: &RunVerdict, new: &RunVerdict) -> Vec<ClaimChange> {
    let mut changes: Vec<ClaimChange> = old
        .claims
        .iter()
        .filter_map(|before| {
            let now = new.claims.iter().find(|now| now.claim.id == before.claim.id)?;
            let ((old_missed, old_decided), (new_missed, new_decided)) = (misses(before), misses(now));
            let p = more_misses((old_missed, old_decided), (new_missed, new_decided));
            let id = before.claim.id.clone();
            let change = ClaimChange { id, old_missed, old_decided, new_missed, new_decided, p };
            (old_missed + new_missed > 0 && old_decided > 0 && new_decided > 0).then_some(change)
        })
        .collect();
    changes.sort_by_key(|change| Reverse(change.conclusion()));
    changes
}

/// How many trials missed the claim, of those that decided.
fn misses(verdict: &ClaimVerdict) -> (u64, u64) {
    let decided = || verdict.trials.iter().filter(|trial| trial.about).filter_map(|trial| trial.kept);
    (decided().filter(|kept| !kept).count() as u64, decided().count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_misses_are_a_regression_only_where_chance_does_not_explain_them() {
        let change = |old_missed, new_missed| {
            let p = more_misses((old_missed, 10), (new_missed, 10));
            ClaimChange { id: String::new(), old_missed, old_decided: 10, new_missed, new_decided: 10, p }.conclusion()
        };
        assert_eq!(change(1, 8), Conclusion::Regressed);
        assert_eq!(change(1, 2), Conclusion::CannotTell);
        assert_eq!(change(2, 2), Conclusion::NoWorse);
        assert_eq!(change(8, 1), Conclusion::NoWorse);
    }
}
