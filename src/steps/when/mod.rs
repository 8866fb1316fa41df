//! `When`: faults, and waiting for what must come after them. One file a plane.

mod course;
mod host;
mod link;
mod network;
mod process;

use super::StepDefinition;

/// Every plane's table.
pub(super) const TABLES: &[&[StepDefinition]] = &[host::ALL, link::ALL, network::ALL, process::ALL, course::ALL];
