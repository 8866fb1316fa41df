//! `When`: faults, and waiting for what must come after them. One file a plane.

mod clock;
mod container;
mod course;
mod disk;
mod host;
mod link;
mod network;
mod operator;
mod process;
mod runbook;
mod starvation;

use super::StepDefinition;

/// Every plane's table.
pub(super) const TABLES: &[&[StepDefinition]] = &[
    clock::ALL,
    container::ALL,
    disk::ALL,
    host::ALL,
    link::ALL,
    network::ALL,
    operator::ALL,
    process::ALL,
    runbook::ALL,
    starvation::ALL,
    course::ALL,
];
