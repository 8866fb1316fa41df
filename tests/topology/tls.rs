//! TLS as a topology's switch: what it makes of every service's configuration, and what gets a message and a place.

use pgquake_judge::{
    credentials::{Certificate, Credentials},
    plan::Plan,
    services::service,
    topology::{ServiceKind, load, parse},
};

use super::{broken, marked};

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
    check_in(SOUND, replace, by, message, help);
}

fn check_in(sound: &str, replace: &str, by: &str, message: &str, help: &str) {
    let (error, at) = broken(&marked(sound, replace, by));
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

/// Patroni would put the run's own over what is written, without a word.
#[test]
fn parameters_that_the_run_sets_are_refused_at_their_names() {
    for name in ["ssl", "ssl_ca_file", "ssl_cert_file", "SSL_key_file", "ssl_crl_file"] {
        let by = format!("major_version: 17, parameters: {{ ^{name}: \"off\" }}");
        let message = format!("`{name}` is the run's own where PostgreSQL speaks TLS");
        check("major_version: 17", &by, &message, "remove it");
    }
    let allowed = SOUND.replace("major_version: 17", "major_version: 17, parameters: { ssl_ciphers: HIGH }");
    parse("broken.yaml", &allowed).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn ssl_without_certificates_is_refused_as_postgresql_would_not_start() {
    let plain = SOUND.replace("tls: { postgresql: true, ", "tls: { ");
    let message = "`ssl` needs a certificate, and the topology has none for PostgreSQL";
    let by = "major_version: 17, parameters: { ^ssl: \"on\" }";
    check_in(&plain, "major_version: 17", by, message, "write `tls: { postgresql: true }`");
    let off = plain.replace("major_version: 17", "major_version: 17, parameters: { ssl: \"off\" }");
    parse("broken.yaml", &off).unwrap_or_else(|error| panic!("{error}"));
}

/// HAProxy asks PostgreSQL without TLS then, whose rules refuse it.
#[test]
fn a_check_of_haproxys_that_nobody_could_pass_is_refused() {
    let message = "`pgsql_check` asks PostgreSQL without TLS, and is refused: no server would ever be UP";
    check("settings:\n", "settings:\n  haproxy: { check: ^pgsql_check }\n", message, "`role` asks Patroni");
    let own = "{ name: spare, services: [haproxy: { settings: { check: ^pgsql_check } }] }";
    check("{ name: spare, services: [haproxy] }", own, message, "`role` asks Patroni");
    let plain = SOUND.replace("postgresql: true, ", "");
    let plain = plain.replace("settings:\n", "settings:\n  haproxy: { check: pgsql_check }\n");
    parse("broken.yaml", &plain).unwrap_or_else(|error| panic!("{error}"));
}

/// Two clusters, of which the second follows the first.
fn two_clusters() -> String {
    let hosts = "      - { name: node2, services: [etcd, patroni] }\n      - { name: proxy,";
    let clusters = "\
clusters:
  - { name: east, nodes: [node1], dcs: [node1], settings: { postgresql: { major_version: 17 } } }
  - name: west
    nodes: [node2]
    dcs: [node2]
    follows: { cluster: east, host: node1 }
tls: {";
    let endpoints = "\
endpoints:
  - { name: write, serves: primary, of: east, host: proxy, port: 5432 }
  - { name: read, serves: standbys, of: east, host: proxy, port: 5433 }
settings:";
    let sound = SOUND.replace("      - { name: proxy,", hosts).replace("tls: {", clusters);
    let (before, after) = sound.split_once("endpoints:").expect("endpoints");
    format!("{before}{endpoints}{}", after.split_once("settings:").expect("settings").1)
}

#[test]
fn rules_of_one_cluster_alone_need_tls_too_and_let_in_no_other_cluster() {
    let sound = two_clusters();
    parse("broken.yaml", &sound).unwrap_or_else(|error| panic!("{error}"));
    let own = "settings: { postgresql: { access: ^document_002, major_version: 17 } }";
    let written = "settings: { postgresql: { major_version: 17 } }";
    let message = "document 002's rules let the nodes of one cluster replicate, and `west` streams from `east`";
    check_in(&sound, written, own, message, "leave `access` out");
    let plain = sound.replace("tls: { postgresql: true, ", "tls: { ");
    let message = "document 002's rules let in who comes with TLS, and PostgreSQL does not speak it";
    check_in(&plain, written, own, message, "write `tls: { postgresql: true }`");
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
