//! What mistakes in applications get: a message and the place.

use std::collections::BTreeMap;

use pgquake_judge::topology::{AfterReadOnly, load, parse};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni] }
      - { name: proxy, services: [haproxy] }
endpoints:
  write: { host: proxy, port: 5432 }
  read: { host: proxy, port: 5433 }
applications:
  - { name: web, clients: 100, rows_per_s: 2, tcp_user_timeout: 10000, after_read_only: keep }
";

/// Breaks it, and holds the one mistake to its place, which `by` marks with a `^`.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    super::check(SOUND, replace, by, message, help);
}

#[test]
fn what_is_left_out_is_as_libpq_has_it() {
    let topology = parse("broken.yaml", SOUND).unwrap_or_else(|error| panic!("{error}"));
    let own = topology.application("web").expect("the application");
    assert_eq!((own.clients, own.rows_per_s, own.endpoint.as_str()), (100, 2, "write"));
    assert_eq!((own.connect_timeout(), own.answer_timeout(), own.keepalives), (None, None, 1));
    assert_eq!((own.tcp_user_timeout, own.after_read_only), (10_000, AfterReadOnly::Keep));
    assert_eq!(own.patience(), "tcp_user_timeout 10000 ms");
}

#[test]
fn an_application_has_a_name_of_its_own_and_an_endpoint_that_takes_writes() {
    check("name: web", "name: ^Web", "`Web` can't be the name of an application", "lower-case letters");
    let second = "name: web }\n  - { name: ^web, clients: 100, rows_per_s: 2";
    check("name: web, clients: 100, rows_per_s: 2", second, "two applications are called `web`", "");
    check("clients: 100", "endpoint: ^wriet, clients: 100", "no endpoint is called `wriet`", "did you mean `write`");
    let message = "an application can't write at the endpoint `read`, which is for reads";
    check("clients: 100", "endpoint: ^read, clients: 100", message, "`nodes`");
    let nodes = SOUND.replacen("clients: 100", "endpoint: nodes, clients: 100", 1);
    parse("broken.yaml", &nodes).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn numbers_are_those_that_a_kernel_and_this_machine_take() {
    let can_not = |what: &str| format!("the application `web` can't have `{what}`");
    check("rows_per_s: 2", "rows_per_s: ^0", &can_not("rows_per_s: 0"), "between 1 and 100");
    check("rows_per_s: 2", "rows_per_s: ^101", &can_not("rows_per_s: 101"), "between 1 and 100");
    check("rows_per_s: 2", "keepalives: ^2", &can_not("keepalives: 2"), "between 0 and 1");
    check("rows_per_s: 2", "keepalives_count: ^128", &can_not("keepalives_count: 128"), "127");
    check("rows_per_s: 2", "keepalives_idle: ^40000", &can_not("keepalives_idle: 40000"), "32767");
    let message = "`applications[0].rows_per_s` must be a whole number, not `99999999999`";
    check("rows_per_s: 2", "rows_per_s: ^99999999999", message, "");
    let message = "`applications[0].clients` must be a whole number, not `-1`";
    check("clients: 100", "clients: ^-1", message, "");
    let message = "100 clients that try again after 50 ms are more than 500 attempts to connect in a second";
    check("rows_per_s: 2", "reconnect_pause_ms: ^50", message, "at least 200 ms");
    let message = "unknown field `conect_timeout`";
    let error = parse("broken.yaml", &SOUND.replacen("rows_per_s", "conect_timeout", 1)).expect_err("no such key");
    assert!(error.mistakes()[0].message.contains("conect_timeout"), "{message}: {error:?}");
}

#[test]
fn a_scenario_adds_an_application_or_changes_one() {
    let before = load("single-region", &[]).expect("a topology");
    let mut topology = before.clone();
    let settings = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    };
    for (pairs, told) in [
        (&[("conect_timeout", "2")], "has no setting `conect_timeout` here: did you mean `connect_timeout`"),
        (
            &[("connect_timeout", "2 s")],
            "`2 s` can't be the application `web` setting `connect_timeout`: it takes a whole number",
        ),
        (&[("after_read_only", "leave")], "expected `reconnect` or `keep`"),
        (&[("endpoint", "nowhere")], "no endpoint is called `nowhere`"),
        (&[("name", "other")], "has no setting `name` here"),
        (&[("clients", "0")], "can't have `clients: 0`"),
    ] {
        let refused = topology.set_application("web", &settings(pairs)).expect_err(told).to_string();
        assert!(refused.contains(told), "{refused}");
        assert_eq!(topology, before);
    }
    topology.set_application("web", &settings(&[("clients", "3"), ("connect_timeout", "2")])).expect("settings");
    topology.set_application("web", &settings(&[("rows_per_s", "7")])).expect("settings");
    let own = topology.application("web").expect("the application");
    assert_eq!((own.clients, own.rows_per_s, own.connect_timeout), (3, 7, 2));
    assert_eq!(topology.applications.len(), 1);
}
