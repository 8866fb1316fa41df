//! Checks: pure functions from plan and history to findings.
//!
//! Architecture invariant: no clock, no network, no Docker, no randomness. A check that runs on a saved history
//! gives the same findings.

pub mod course;
pub mod data_loss;
pub mod faults_took_effect;
pub mod finding;
pub mod harness_was_sound;
pub mod load_was_real;
pub mod promotion;
pub mod ran_to_the_end;
pub mod recovery_time;
pub mod rejoin;
pub mod replica_reads;
pub mod replication_lag;
pub mod single_writer;
pub mod slot;
pub mod timelines;
pub mod write_blocked;

pub use finding::{Finding, Measure, Outcome};

use std::cell::OnceCell;

use self::course::{
    phases::{self, Failover},
    primaries::{self, Sign},
    record::{self, FaultRecord, KeyChange, Tried},
};
use crate::{
    history::{
        Event,
        event::{Expectation, Occurrence, RunStarted, ScenarioStarted},
    },
    plan::Plan,
};

/// What a check may look at: the plan and the events of one scenario, in the order of the clock.
///
/// What several checks need is worked out once, by the first that asks.
pub struct Evidence<'a> {
    pub plan: &'a Plan,
    /// What the run says of itself; `None` if the history's beginning is missing.
    pub run: Option<&'a RunStarted>,
    pub events: &'a [Event],
    attempts: OnceCell<Vec<Tried<'a>>>,
    faults: OnceCell<Vec<FaultRecord<'a>>>,
    leader_key: OnceCell<Vec<KeyChange<'a>>>,
    signs: OnceCell<Vec<Sign<'a>>>,
    failovers: OnceCell<Vec<Failover>>,
}

/// One row of the table of checks.
pub struct Check {
    /// Its name in histories, tags and reports.
    pub name: &'static str,
    /// What it asks, in a sentence.
    pub question: &'static str,
    /// Names of its measures, with units.
    pub measures: &'static [&'static str],
    /// Whether it runs for every scenario, whether the text asks or not.
    pub safety: bool,
    pub judge: fn(&Evidence<'_>) -> Vec<Finding>,
}

/// Every check, in the order in which reports show their findings: what the scenario is about, then whether it can be
/// believed.
pub const ALL: &[Check] = &[
    recovery_time::CHECK,
    promotion::CHECK,
    data_loss::CHECK,
    single_writer::CHECK,
    timelines::CHECK,
    rejoin::CHECK,
    replication_lag::CHECK,
    replica_reads::CHECK,
    slot::CHECK,
    write_blocked::CHECK,
    faults_took_effect::CHECK,
    load_was_real::CHECK,
    harness_was_sound::CHECK,
    ran_to_the_end::CHECK,
];

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Check> {
    ALL.iter().find(|check| check.name == name)
}

impl<'a> Evidence<'a> {
    pub fn new(plan: &'a Plan, run: Option<&'a RunStarted>, events: &'a [Event]) -> Self {
        let (attempts, faults, leader_key) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        let (signs, failovers) = (OnceCell::new(), OnceCell::new());
        Self { plan, run, events, attempts, faults, leader_key, signs, failovers }
    }

    /// Every attempt, in the order in which they started.
    pub fn attempts(&self) -> &[Tried<'a>] {
        self.attempts.get_or_init(|| record::attempts(self.events))
    }

    /// Every fault, in the order of injection.
    pub fn faults(&self) -> &[FaultRecord<'a>] {
        self.faults.get_or_init(|| record::faults(self.events))
    }

    /// The name of the cluster that accepts writes when the scenario begins.
    pub fn leading(&self) -> Option<&'a str> {
        self.plan.leading().next().map(|cluster| cluster.name.as_str())
    }

    /// The history of that cluster's leader key.
    pub fn leader_key(&self) -> &[KeyChange<'a>] {
        self.leader_key.get_or_init(|| record::leader_key(self.events, self.leading()))
    }

    /// What shows that a node was primary, in the order of time.
    pub fn signs(&self) -> &[Sign<'a>] {
        self.signs.get_or_init(|| primaries::signs(self.events, self.attempts()))
    }

    /// The outage after each fault, with its phases.
    pub fn failovers(&self) -> &[Failover] {
        self.failovers.get_or_init(|| phases::failovers(self))
    }

    /// The scenario's own description, if it was recorded.
    pub fn scenario(&self) -> Option<&'a ScenarioStarted> {
        self.events.iter().find_map(|event| match &event.what {
            Occurrence::ScenarioStarted(started) => Some(started),
            _ => None,
        })
    }

    /// The expectations that the scenario states for a check.
    pub fn expectations(&self, check: &str) -> impl Iterator<Item = &'a Expectation> {
        self.events.iter().filter_map(move |event| match &event.what {
            Occurrence::Expected(expectation) if expectation.check == check => Some(expectation),
            _ => None,
        })
    }
}
