//! What mistakes in subscriptions get: a message and the place.

use pgquake_judge::{
    plan::Plan,
    services::patroni,
    topology::{load, parse},
};

use super::{broken, is_the_one, marked};

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
      - { name: warehouse, services: [subscriber] }
endpoints:
  write: { host: proxy, port: 5432 }
  read: { host: proxy, port: 5433 }
subscriptions:
  - { name: reports, host: warehouse, slot_kept: failover }
settings:
  postgresql:
    major_version: 17
    parameters:
      wal_level: logical
      hot_standby_feedback: on
      sync_replication_slots: on
";

/// Breaks it, and holds the one mistake to its place, which `by` marks with a `^`, or else at how the slot is kept.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    let marked = marked(SOUND, replace, by);
    let marked = if marked.contains('^') { marked } else { marked.replacen("slot_kept: ", "slot_kept: ^", 1) };
    let (error, at) = broken(&marked);
    is_the_one(&error, at, message, help);
}

#[test]
fn the_unbroken_topology_is_sound() {
    parse("broken.yaml", SOUND).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_subscriber_that_is_not_there_or_not_said() {
    // Both places are named.
    for (host, message) in
        [("nowhere", "no host is called `nowhere`"), ("proxy", "the host `proxy` runs no subscriber")]
    {
        let text = SOUND.replace("host: warehouse, slot", &format!("host: {host}, slot"));
        let error = parse("broken.yaml", &text).expect_err("no subscriber");
        let told: Vec<(&str, usize, usize)> =
            error.mistakes().iter().map(|own| (own.message.as_str(), own.line, own.column)).collect();
        assert!(told.contains(&(message, 14, 28)), "{told:?}");
        let unused = ("the subscriber on `warehouse` subscribes to nothing", 9, 28);
        assert!(told.contains(&unused) && told.len() == 2, "{told:?}");
    }
    check("name: reports", "name: ^Reports", "`Reports` can't be the name of a subscription", "lower-case letters");
    check("name: reports,", "name: reports, slot: ^node1,", "a standby has the slot `node1`", "each node's own slot");
}

#[test]
fn a_publisher_that_is_not_there_or_can_not_publish() {
    check("name: reports,", "name: reports, of: ^west,", "no cluster is called `west`", "known: main");
    check(
        "name: reports,",
        "name: reports, through: ^wrote,",
        "no endpoint is called `wrote`",
        "did you mean `write`?",
    );
    let by_read = "a subscription can't connect by the endpoint `read`";
    check("name: reports,", "name: reports, through: ^read,", by_read, "no standby, and no pooler");
    let text = SOUND.replace("wal_level: logical", "wal_level: replica").replace("name: reports", "name: ^reports");
    let error = parse("broken.yaml", &text.replace('^', "")).expect_err("too little WAL");
    let [mistake] = error.mistakes() else { panic!("not one mistake: {error}") };
    assert_eq!(mistake.message, "the cluster `main` writes too little WAL to be subscribed to");
    assert_eq!((mistake.line, mistake.column), (14, 13));
}

#[test]
fn slots_that_nobody_keeps() {
    let off = |name: &str| format!("standbys copy no failover slot: `{name}` is off");
    check("sync_replication_slots: on", "sync_replication_slots: off", &off("sync_replication_slots"), "set `sync");
    check("hot_standby_feedback: on", "hot_standby_feedback: no", &off("hot_standby_feedback"), "set `hot");
    let old = SOUND.replace("major_version: 17", "major_version: 16").replace("      sync_replication_slots: on\n", "");
    let error = parse("broken.yaml", &old).expect_err("no failover slots");
    assert_eq!(error.mistakes()[0].message, "PostgreSQL 16 has no failover slots");
    let unkept = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [postgresql] }
      - { name: warehouse, services: [subscriber] }
endpoints:
  write: { host: node1, port: 5432 }
subscriptions:
  - { name: reports, host: warehouse, slot_kept: permanent }
settings: { postgresql: { parameters: { wal_level: logical } } }
";
    let error = parse("broken.yaml", unkept).expect_err("no agent");
    assert_eq!(error.mistakes()[0].message, "no agent keeps a permanent slot");
}

#[test]
fn a_scenario_chooses_who_keeps_a_slot_and_patroni_learns_of_its_own() {
    let mut topology = load("logical", &[]).expect("a built-in topology");
    let slot = |plan: &Plan| patroni::dynamic(&plan.site("node1"))["slots"]["reports"].clone();
    assert!(slot(&Plan::new(topology.clone())).is_null());
    topology.set_slot_kept("reports", "permanent").expect("Patroni keeps it");
    let made = slot(&Plan::new(topology.clone()));
    assert_eq!((made["type"].as_str(), made["plugin"].as_str()), (Some("logical"), Some("pgoutput")));
    let wrong = topology.set_slot_kept("reports", "permanant").expect_err("no such way");
    assert!(wrong.to_string().contains("did you mean `permanent`?"), "{wrong}");
    let wrong = topology.set_slot_kept("report", "plain").expect_err("no such subscription");
    assert!(wrong.to_string().contains("did you mean `reports`?"), "{wrong}");
}
