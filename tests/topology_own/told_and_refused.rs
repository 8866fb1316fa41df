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

/// The keys of the example's `patroni.yml` that are told to be set, after a change of it and of the topology.
fn told_of_patroni(replace: &str, by: &str, configuration: &str) -> Vec<String> {
    let stack = Stack::new();
    stack.change("patroni.yml", replace, by);
    stack.change("topologies/own-stack.yaml", "      postgresql.conf: ../postgresql.conf\n", configuration);
    let topology = stack.load().unwrap_or_else(|error| panic!("{by:?}: {error:?}"));
    topology.overridden().into_iter().map(|own| own.key).collect()
}

#[test]
fn nothing_of_patronis_file_is_left_out_or_added_to_without_a_word() {
    let named = "      postgresql.conf: ../postgresql.conf\n";
    let custom = "custom_conf: /etc/shop.conf\n  pgpass:";
    assert!(told_of_patroni("pgpass:", custom, named).contains(&"postgresql.custom_conf".to_owned()));
    // Where the topology names no file, that of `files` or of the image runs.
    assert!(!told_of_patroni("pgpass:", custom, "").contains(&"postgresql.custom_conf".to_owned()));
    for key in ["create_replica_methods", "create_replica_method"] {
        let told = told_of_patroni("pgpass:", &format!("{key}: [walg, basebackup]\n  pgpass:"), named);
        assert!(told.contains(&format!("postgresql.{key}")), "{told:?}");
        let stack = Stack::new();
        stack.change("patroni.yml", "pgpass:", &format!("{key}: [walg, basebackup]\n  pgpass:"));
        let node = rendered(&stack.load().unwrap(), "db2", ServiceKind::Patroni);
        let runs: Value = serde_saphyr::from_str(file(&node, "/etc/patroni/patroni.yml")).unwrap();
        assert_eq!(runs["postgresql"]["create_replica_methods"], json!(["prepared", "walg", "basebackup"]));
    }
    let bootstrap = "  method: walg\n  walg: { command: /restore }\n  post_init: /x\n  users: { app: {} }\n  initdb:";
    let told = told_of_patroni("  initdb:", bootstrap, named);
    let of_bootstrap: Vec<&str> = told.iter().filter_map(|key| key.strip_prefix("bootstrap.")).collect();
    assert_eq!(of_bootstrap[1..], ["method", "walg", "post_init", "users", "initdb"], "{told:?}");
    // Pools that agents point elsewhere take the place of the callbacks.
    let stack = Stack::new();
    stack.change("patroni.yml", "pgpass:", "callbacks: { on_stop: /x }\n  pgpass:");
    let pools =
        "services: [{ pgbouncer: { name: pool, settings: { leads_to: primary, port: 6433, repointed: true } } }]";
    let t = "topologies/own-stack.yaml";
    stack.change(t, "      - { name: lb,", &format!("      - {{ name: pools, {pools} }}\n      - {{ name: lb,"));
    stack.change(t, "    configuration: { pgbouncer.ini: ../pgbouncer.ini }", "    environment: { TZ: UTC }");
    let told = stack.load().unwrap_or_else(|error| panic!("{error:?}")).overridden();
    assert!(told.iter().any(|own| own.key == "postgresql.callbacks"), "{told:?}");
}

#[test]
fn a_section_of_another_form_is_no_section_that_is_passed_over() {
    let p = "patroni.yml";
    check(p, "dcs:\n", "dcs: shop\n  other:\n", 13, "`bootstrap.dcs` takes a block of keys", "");
    check(p, "pg_hba:\n    - ", "pg_hba: |\n    - ", 42, "`postgresql.pg_hba` takes a list", "");
    check(p, "restapi:\n", "restapi: 0.0.0.0\nother:\n", 5, "`restapi` takes a block of keys", "");
    let section = "PgBouncer has no section `pgbouncr`, in which this stands";
    let stack = Stack::new();
    stack.change("pgbouncer.ini", "[pgbouncer]", "[pgbouncr]");
    let error = stack.load().unwrap_err();
    let first = &error.mistakes()[0];
    assert_eq!((first.message.as_str(), first.line), (section, 5), "{first}");
    check("pgbouncer.ini", "[databases]", "x = y\n[databases]", 1, "`x` stands in no section", "databases");
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

#[test]
fn pgbouncer_reaches_every_database_of_the_run() {
    let (g, all) = ("pgbouncer.ini", "* = host=127.0.0.1 port=5432");
    let socket = "it leads to a socket, and PostgreSQL's is not in the container of PgBouncer";
    for line in ["* =", "* = port=5432", "* = host=/var/run/postgresql port=5432"] {
        check(g, all, line, 2, socket, "host=127.0.0.1");
    }
    check(g, all, "* = host=127.0.0.1 port=abc", 2, "`abc` is no port", "");
    let other = "by `user` clients of the run would log in as somebody else";
    check(g, all, "* = host=127.0.0.1 connect_query='SELECT ''a'' b' user=app", 2, other, "leave it out");
    let t = "topologies/own-stack.yaml";
    let load = |lines: &str, databases: &str| {
        let stack = Stack::new();
        stack.change(g, all, lines);
        stack.change(t, "claims:", &format!("settings: {{ postgresql: {{ databases: {{ {databases} }} }} }}\nclaims:"));
        stack.load()
    };
    // What comes to no database of the run may come as anybody.
    let named = "\"postgres\" = host=127.0.0.1\n* = host=127.0.0.1 auth_user=app";
    load(named, "").unwrap_or_else(|error| panic!("{error:?}"));
    let error = load(named, "shop: {}").unwrap_err();
    assert_eq!((error.mistakes().len(), error.mistakes()[0].line), (1, 3), "{error:?}");
    let error = load("postgres = host=127.0.0.1", "shop: {}").unwrap_err();
    assert!(error.mistakes()[0].message.starts_with("it leads to no database `shop`"), "{error:?}");
}

#[test]
fn no_file_takes_the_place_of_another() {
    let t = "topologies/own-stack.yaml";
    for folder in ["/etc", "/etc/patroni", "/usr/local"] {
        let message = format!("`{folder}` is a folder, and no place for a file");
        check(t, "/etc/motd:", &format!("{folder}:"), 27, &message, "");
    }
    let engines = "`/etc/hosts` is written by the engine whenever the container starts";
    check(t, "/etc/motd:", "/etc/hosts:", 27, engines, "");
    let message = "`/etc/motd` is a folder of another file";
    check(t, "/etc/motd:", "/etc/motd/x: ../motd, /etc/motd:", 27, message, "");
    // Whatever pgquake renders for any service of any topology.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
    let topologies = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths = BTreeSet::new();
    for path in topologies.filter(|path| path.extension().is_some_and(|ending| ending == "yaml")) {
        let plan = Plan::new(load(&path.display().to_string(), &[]).unwrap_or_else(|error| panic!("{error:?}")));
        for planned in &plan.services {
            let made = (service(planned.kind).render)(&plan.site_of(planned), &Credentials::default());
            paths.extend(made.files.into_iter().map(|(path, _)| path));
        }
    }
    paths.retain(|path| {
        let stack = Stack::new();
        stack.change(t, "/etc/motd:", &format!("{path}:"));
        stack.load().is_ok()
    });
    assert_eq!(paths, BTreeSet::new(), "files of the team's would take their places");
}
