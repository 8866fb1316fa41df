//! What of a team's files is told to be set, what the software would not take, and what would take another file's place.

use std::{collections::BTreeSet, fs, path::Path};

use pgquake_judge::{
    credentials::Credentials,
    plan::Plan,
    services::{ServiceKind, service},
    topology::load,
};
use serde_json::{Value, json};

use super::{Stack, check, file, rendered};

/// A parameter that is told to be set elsewhere counts nowhere, also where Patroni says nothing of it.
#[test]
fn a_line_of_postgresql_conf_that_is_told_not_to_count_does_not() {
    let stack = Stack::new();
    stack.change(
        "postgresql.conf",
        "log_checkpoints",
        "recovery_target_time = '2026-01-01'\nMax_Connections = 9\nlog_checkpoints",
    );
    let topology = stack.load().unwrap_or_else(|error| panic!("{error:?}"));
    let told = topology.overridden();
    let keys: Vec<&str> =
        told.iter().filter(|own| own.place.contains("postgresql.conf")).map(|own| own.key.as_str()).collect();
    assert_eq!(keys, ["listen_addresses", "recovery_target_time", "max_connections"]);
    let node = rendered(&topology, "db1", ServiceKind::Patroni);
    let runs = file(&node, "/etc/patroni/postgresql.conf");
    assert!(!runs.contains("recovery_target") && !runs.contains("Max_") && runs.contains("log_checkpoints"), "{runs}");
}
