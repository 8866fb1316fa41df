//! `When`: faults, and waiting for what must come after them. One file a plane.

mod container;
mod course;
mod disk;
mod host;
mod link;
mod network;
mod operator;
mod process;

use super::StepDefinition;

/// Every plane's table.
pub(super) const TABLES: &[&[StepDefinition]] =
    &[container::ALL, disk::ALL, host::ALL, link::ALL, network::ALL, operator::ALL, process::ALL, course::ALL];
