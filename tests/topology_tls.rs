//! TLS as a topology's switch: what it makes of every service's configuration, and what gets a message and a place.

use pgquake_judge::{
    credentials::{Certificate, Credentials},
    plan::Plan,
    services::service,
    topology::{ServiceKind, load, parse},
};

/// A sound topology, which each case breaks.
const SOUND: &str = "\
name: broken
description: a topology to break
follows: nothing
regions:
  - name: main
    hosts:
      - { name: node1, services: [etcd, patroni, pgbouncer] }
      - { name: proxy, services: [haproxy] }
      - { name: spare, services: [haproxy] }
tls: { postgresql: true, dcs: true, patroni: true }
endpoints:
  write: { host: proxy, port: 5432 }
  read: { host: proxy, port: 5433 }
settings:
  postgresql: { major_version: 17 }
";

/// Breaks it, and holds the one mistake to its message, a part of its help, and its place: where `by` has a `^`, which does
/// not stand in the file.
fn check(replace: &str, by: &str, message: &str, help: &str) {
    assert!(SOUND.contains(replace), "the sound topology has no {replace:?}");
    let marked = SOUND.replacen(replace, by, 1);
    let (before, _) = marked.split_once('^').expect("a place");
    let at = (before.lines().count(), before.lines().last().map_or(0, str::len) + 1);
    let error = parse("broken.yaml", &marked.replacen('^', "", 1)).expect_err(by);
    let told: Vec<_> = error.mistakes().iter().map(|own| (own.message.clone(), own.line, own.column)).collect();
    let own = error.mistakes().iter().find(|own| own.message == message);
    let own = own.unwrap_or_else(|| panic!("{by:?}: {told:?}"));
    assert_eq!((own.line, own.column), at, "{by:?}");
    assert!(own.help.as_deref().unwrap_or_default().contains(help), "{by:?}: {:?}", own.help);
}

#[test]
fn the_unbroken_topology_is_sound() {
    parse("broken.yaml", SOUND).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_does_not_speak_tls_is_refused_where_it_stands() {
    for kind in ["envoy", "powerdns", "minio", "subscriber", "restore", "zookeeper", "consul"] {
        let services = format!("{{ name: spare, services: [^{kind}] }}");
        let message = format!("`{kind}` on `spare` does not speak TLS here, and the topology does");
        check("{ name: spare, services: [haproxy] }", &services, &message, "`etcd`, `patroni`, `haproxy`");
    }
    let own = "own:\n  ^haproxy:\n    environment: { A: b }\ntls: {";
    check("tls: {", own, "files of your own have no TLS of the run's", "leave `tls` out");
}

#[test]
fn a_postgresql_without_openssl_is_refused_by_name() {
    for major in [16, 18] {
        let message =
            format!("PostgreSQL {major} comes from a wheel that was built without OpenSSL, and speaks no TLS");
        check("major_version: 17", &format!("major_version: ^{major}"), &message, "15 and 17 speak it");
    }
    // What does not concern it does not keep it from running.
    let without = SOUND.replace("postgresql: true, ", "").replace("major_version: 17", "major_version: 16");
    parse("broken.yaml", &without).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_word_that_it_does_not_know_is_told_with_its_place() {
    let error = parse("broken.yaml", &SOUND.replace("dcs: true", "etcd: true")).expect_err("no such switch");
    let [mistake] = error.mistakes() else { panic!("{error}") };
    assert_eq!((mistake.line, mistake.message.contains("etcd")), (10, true), "{}", mistake.message);
}

fn rendered(topology: &str, host: &str, kind: ServiceKind) -> String {
    let plan = Plan::new(load(topology, &[]).expect("a built-in topology"));
    let own = Certificate { certificate: "CERTIFICATE".to_owned(), key: "KEY".to_owned() };
    let certificates = [(host.to_owned(), own)].into();
    let credentials = Credentials { certificates, ..Credentials::default() };
    let planned = plan.services.iter().find(|planned| planned.host == host && planned.kind == kind).expect("a service");
    let rendered = (service(kind).render)(&plan.site_of(planned), &credentials);
    let files = rendered.files.iter().map(|(path, text)| format!("== {path}\n{text}\n"));
    format!("{}\n{}", rendered.command.join("\n"), files.collect::<String>())
}

#[test]
fn every_service_of_it_speaks_tls_alone() {
    let patroni = rendered("tls", "node1", ServiceKind::Patroni);
    for part in [
        "hostssl all all all scram-sha-256",
        "hostssl replication replicator all scram-sha-256",
        "sslmode: verify-full",
        "protocol: https",
        "verify_client: optional",
        "== /etc/pgquake/tls/server.key\nKEY",
    ] {
        assert!(patroni.contains(part), "{part}: {patroni}");
    }
    assert!(!patroni.lines().any(|line| line.contains("- host ")), "{patroni}");
    let etcd = rendered("tls", "node1", ServiceKind::Etcd);
    for part in
        ["--client-cert-auth", "--peer-client-cert-auth", "--listen-peer-urls=https://", "node2=https://node2:2380"]
    {
        assert!(etcd.contains(part), "{part}: {etcd}");
    }
    assert!(!etcd.contains("http://"), "{etcd}");
    let haproxy = rendered("tls", "proxy", ServiceKind::Haproxy);
    assert!(haproxy.contains("check-ssl verify required verifyhost node1 ca-file"), "{haproxy}");
}

#[test]
fn without_the_switch_nothing_is_as_with_it() {
    for (host, kind) in [("node1", ServiceKind::Patroni), ("node1", ServiceKind::Etcd), ("proxy", ServiceKind::Haproxy)]
    {
        let plain = rendered("single-region", host, kind);
        assert!(!plain.contains("ssl") && !plain.contains("/tls/"), "{plain}");
    }
}

#[test]
fn a_node_is_certified_under_every_name_that_clients_call_it_by() {
    let plan = Plan::new(load("tls", &[]).expect("a built-in topology"));
    let certified: Vec<_> = plan.speak_tls().collect();
    let names = |host: &str| certified.iter().find(|(own, _)| *own == host).map(|(_, names)| names.join(" "));
    assert_eq!(names("node2").as_deref(), Some("node2 proxy localhost 127.0.0.1"));
    assert_eq!(names("proxy"), None);
}
