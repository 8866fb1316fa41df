//! Checks: pure functions from plan and history to findings.
//!
//! Architecture invariant: no clock, no network, no Docker, no randomness. A check that runs on a saved history
//! gives the same findings.

pub mod applications;
pub mod archive;
pub mod archive_fallback;
pub mod cascade;
pub mod commands;
pub mod commit_wait;
pub mod cost;
pub mod course;
pub mod data_loss;
pub mod databases;
pub mod dcs_failover;
pub mod dcs_isolation;
pub mod dcs_repair;
pub mod encryption;
mod evidence;
pub mod faults_took_effect;
pub mod finding;
pub mod firewall;
pub mod harness_was_sound;
pub mod load_was_real;
pub mod logical;
pub mod name_convergence;
pub mod name_shares;
pub mod operator_steps;
pub mod pool;
pub mod pools_split;
pub mod promotion;
pub mod ran_to_the_end;
pub mod recovery_time;
pub mod rejoin;
pub mod replica_reads;
pub mod replication_lag;
pub mod restore;
pub mod rotation;
pub mod routing;
pub mod single_writer;
pub mod slot;
pub mod timelines;
pub mod virtual_address;
pub mod watchdog;
pub mod write_blocked;

pub use evidence::Evidence;
pub use finding::{Finding, Measure, Outcome};

/// One row of the table of checks.
pub struct Check {
    /// Its name in histories, tags and reports.
    pub name: &'static str,
    /// What it asks, in a sentence.
    pub question: &'static str,
    /// Names of its measures, with units.
    pub measures: &'static [&'static str],
    /// What it is run for, once for each.
    pub over: Over,
    pub judge: fn(&Evidence<'_>) -> Vec<Finding>,
}

/// What a check is about. It runs for every scenario, whether the text asks or not, and sees nothing of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The scenario with all that runs in it.
    Scenario,
    /// A cluster with those that follow it: what holds the same rows.
    Lineage,
    /// A cluster by itself.
    Cluster,
}

/// A finding names at most this many events of a kind: more of them show nothing new.
const SHOWN_EVENTS: usize = 20;

/// Every check by its name, with its measures: what the target of a claim may name.
pub fn measures() -> Vec<(&'static str, &'static [&'static str])> {
    ALL.iter().map(|check| (check.name, check.measures)).collect()
}

/// Every check, in the order in which reports show their findings: what the scenario is about, then whether it can be
/// believed.
pub const ALL: &[Check] = &[
    recovery_time::CHECK,
    promotion::CHECK,
    data_loss::CHECK,
    databases::CHECK,
    single_writer::CHECK,
    watchdog::CHECK,
    timelines::CHECK,
    rejoin::CHECK,
    routing::CHECK,
    rotation::CHECK,
    pool::CHECK,
    applications::CHECK,
    pools_split::CHECK,
    virtual_address::CHECK,
    replication_lag::CHECK,
    replica_reads::CHECK,
    slot::CHECK,
    logical::CHECK,
    archive::CHECK,
    restore::CHECK,
    write_blocked::CHECK,
    cascade::CHECK,
    archive_fallback::CHECK,
    commit_wait::CHECK,
    cost::CHECK,
    dcs_failover::CHECK,
    dcs_isolation::CHECK,
    dcs_repair::CHECK,
    name_convergence::CHECK,
    name_shares::CHECK,
    commands::CHECK,
    operator_steps::CHECK,
    firewall::CHECK,
    encryption::CHECK,
    faults_took_effect::CHECK,
    load_was_real::CHECK,
    harness_was_sound::CHECK,
    ran_to_the_end::CHECK,
];

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Check> {
    ALL.iter().find(|check| check.name == name)
}
