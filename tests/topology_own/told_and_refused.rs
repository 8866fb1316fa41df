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

#[test]
fn where_haproxy_listens_and_leads_is_in_its_file() {
    let h = "haproxy.cfg";
    let template = "server-template pg 3 db1:6432 check\n    server pg-a db1";
    check(h, "server pg-a db1", template, 28, "which servers it makes is not in the file", "each node");
    check(
        h,
        "db1:6432 check",
        "db1:\"${PORT}\" check",
        28,
        "what `db1:\"${PORT}` stands for is not in the file",
        "host",
    );
    let message = "no host of the topology is called `10.0.0.9`";
    check(h, "db1:6432 check", "db1:6432 check addr 10.0.0.9", 28, message, "db1");
    let message = "no host of the topology has the address `10.0.0.100`";
    check(h, "bind *:5000", "bind 10.0.0.100:5000", 21, message, "bind *:5000");
    check(h, "default_backend primary", "default_backend primry", 22, "no backend is called `primry`", "`primary`");
    let message = "`.if` decides what of the file counts";
    check(h, "listen reads", ".if defined(X)\nlisten reads", 32, message, "rules");
    let message = "`primary` is asked for `/replica`, and the endpoint `write` serves the primary";
    check(h, "OPTIONS /primary", "OPTIONS /replica", 24, message, "serves");
    let message = "`reads` is asked for `/`, and the endpoint `read` serves standbys";
    check(h, "OPTIONS /replica", "", 32, message, "serves");
    let stack = Stack::new();
    stack.change(h, "    default_backend primary\n", "");
    stack.change(h, "    timeout check 5s", "    timeout check 5s\n    default_backend primary");
    stack.change(h, "bind *:5001", "bind ipv4@0.0.0.0:5001,lb:5002,[::1]:5003,unix@/run/x.sock");
    stack.load().unwrap_or_else(|error| panic!("{error:?}"));
}
