//! `When`: faults, and waiting for what must come after them. One file a plane.

mod backups;
mod by_hand;
mod clock;
mod container;
mod course;
mod disk;
mod encryption;
mod host;
mod link;
mod members;
mod network;
mod operator;
mod process;
mod runbook;
mod starvation;
mod storage;
mod subscribers;

use super::StepDefinition;

/// Every plane's table.
pub(super) const TABLES: &[&[StepDefinition]] = &[
    backups::ALL,
    by_hand::ALL,
    clock::ALL,
    container::ALL,
    disk::ALL,
    encryption::ALL,
    host::ALL,
    link::ALL,
    members::ALL,
    network::ALL,
    operator::ALL,
    process::ALL,
    runbook::ALL,
    starvation::ALL,
    storage::ALL,
    subscribers::ALL,
    course::ALL,
];
