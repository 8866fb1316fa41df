//! Which trial begins next: every one in its turn, or as many as a sampling plan needs; and again those that were starved
//! before their fault.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use super::feature_files::PlannedScenario;
use crate::{
    claims::Claims,
    history::event::Rule,
    verdict::{ScenarioVerdict, need_more},
};

/// How often a trial is begun at most. One that is starved even then goes on, and proves nothing.
const MOST_ATTEMPTS: u32 = 3;

/// The tag of a scenario beside which no other one may run, whatever `--jobs` says.
const SERIAL: &str = "serial";

/// One trial that is to begin.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub planned: PlannedScenario,
    /// Its number in the history.
    pub number: u32,
    /// The number that it had when it was begun before.
    pub begins_again: Option<u32>,
    attempt: u32,
}

impl Trial {
    fn first(planned: PlannedScenario) -> Self {
        Self { number: planned.number, planned, begins_again: None, attempt: 1 }
    }

    /// Whether it is begun again if it is starved.
    pub(super) fn may_begin_again(&self) -> bool {
        self.attempt < MOST_ATTEMPTS
    }
}

impl Trial {
    /// Whether no other one may run beside it: its scenario has the tag `@serial`.
    pub(super) fn runs_alone(&self) -> bool {
        self.planned.started.tags.iter().any(|tag| tag == SERIAL)
    }
}

/// The verdicts on the trials that have ended.
pub(super) type Verdicts = Arc<Mutex<BTreeMap<u32, ScenarioVerdict>>>;

/// The trials that are to come.
pub(super) struct Schedule {
    scenarios: Vec<OfScenario>,
    /// By what a plan decides; `None`: every trial is made.
    plan: Option<(Rule, Arc<Claims>, Verdicts)>,
    /// More than every number that a trial has at first: a repeat has its own number and some of these.
    beyond: u32,
}

/// The trials of one scenario.
struct OfScenario {
    waiting: VecDeque<Trial>,
    /// The numbers of those that have begun, and were not begun again.
    begun: Vec<u32>,
}

impl Schedule {
    /// Every one of these, in their order.
    pub(super) fn of_all(planned: Vec<PlannedScenario>, beyond: u32) -> Self {
        let waiting = planned.into_iter().map(Trial::first).collect();
        Self { scenarios: vec![OfScenario { waiting, begun: Vec::new() }], plan: None, beyond }
    }

    /// Of each scenario as many as its claims need, by the verdicts that `verdicts` gathers.
    pub(super) fn by_plan(
        planned: Vec<PlannedScenario>,
        beyond: u32,
        rule: Rule,
        claims: Arc<Claims>,
        verdicts: Verdicts,
    ) -> Self {
        let mut scenarios: Vec<OfScenario> = Vec::new();
        for planned in planned {
            let trial = planned.started.trial;
            match scenarios.last_mut() {
                Some(own) if trial > 1 => own.waiting.push_back(Trial::first(planned)),
                _ => scenarios.push(OfScenario { waiting: [Trial::first(planned)].into(), begun: Vec::new() }),
            }
        }
        Self { scenarios, plan: Some((rule, claims, verdicts)), beyond }
    }

    /// The next trial, if it may begin now; `None`: nothing is to begin before one that is under way has ended, if one is.
    pub(super) fn next(&mut self, may_begin: impl FnOnce(&Trial) -> bool) -> Option<Trial> {
        let plan = &self.plan;
        let own = self.scenarios.iter_mut().find(|own| own.needs_more(plan.as_ref()))?;
        own.waiting.front().filter(|next| may_begin(next))?;
        let next = own.waiting.pop_front()?;
        own.begun.push(next.number);
        Some(next)
    }

    /// Puts a trial that was starved before its fault back: it comes next, with the same random choices, under a number of
    /// its own.
    pub(super) fn again(&mut self, trial: Trial) {
        let Some(own) = self.scenarios.iter_mut().find(|own| own.begun.contains(&trial.number)) else { return };
        own.begun.retain(|number| *number != trial.number);
        let number = trial.planned.number.saturating_add(self.beyond.saturating_mul(trial.attempt));
        own.waiting.push_front(Trial {
            number,
            begins_again: Some(trial.number),
            attempt: trial.attempt + 1,
            planned: trial.planned,
        });
    }
}

impl OfScenario {
    fn needs_more(&self, plan: Option<&(Rule, Arc<Claims>, Verdicts)>) -> bool {
        let (Some(next), Some((rule, claims, verdicts))) = (self.waiting.front(), plan) else {
            return !self.waiting.is_empty();
        };
        // One that is begun again has been counted on already.
        if next.begins_again.is_some() {
            return true;
        }
        let verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<&ScenarioVerdict> = self.begun.iter().filter_map(|number| verdicts.get(number)).collect();
        let begun = u32::try_from(self.begun.len()).unwrap_or(u32::MAX);
        need_more(Some(*rule), claims, &next.planned.started, begun, &ended)
    }
}
