use std::{fs, path::Path};

use pgquake::{compose::compose, plan::Plan, topology::load};

/// `UPDATE=1 cargo test --test compose` writes it anew.
#[test]
fn the_compose_file_at_the_top_is_that_of_the_default_topology() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker-compose.yml");
    let plan = Plan::new(load("single-region", &[]).expect("it is built in"));
    let written = compose(&plan).expect("it can be written");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &written).expect("the file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == written, "docker-compose.yml is stale: UPDATE=1 cargo test --test compose");
}

#[test]
fn two_services_of_one_kind_on_a_host_are_two_with_configurations_of_their_own() {
    let plan = Plan::new(load("two-balancers", &[]).expect("it is built in"));
    let written = compose(&plan).expect("it can be written");
    let file: serde_json::Value = serde_saphyr::from_str(&written).expect("it is YAML");
    for (name, port) in [("writes", "bind :8404"), ("reads", "bind :8405")] {
        let service = &file["services"][format!("proxy.{name}")];
        assert_eq!(service["network_mode"], "service:proxy", "{name}");
        let source = service["configs"][0]["source"].as_str().expect("it has a configuration");
        assert_eq!(source, format!("proxy.{name}.haproxy.cfg"));
        assert!(file["configs"][source]["content"].as_str().is_some_and(|text| text.contains(port)), "{name}");
    }
    assert!(written.contains("proxy haproxy reads: statistics"), "the port of the second one is published");
}

#[test]
fn hosts_of_several_regions_meet_in_one_more_network_and_keep_their_other_names() {
    let plan = Plan::new(load("two-region", &[]).expect("it is built in"));
    let written = compose(&plan).expect("it can be written");
    let file: serde_json::Value = serde_saphyr::from_str(&written).expect("it is YAML");
    assert_eq!(file["services"]["east1"]["networks"], serde_json::json!(["us-east-1", "between.regions"]));
    let proxy = &file["services"]["east-proxy"]["networks"];
    assert_eq!(proxy["between.regions"]["aliases"], serde_json::json!(["primary-leader.us-east-1"]));
    let waits =
        |service: &str| file["services"][service]["depends_on"].as_object().map(|map| map.keys().cloned().collect());
    assert_eq!(waits("west1.patroni"), Some(vec!["east1.patroni".to_owned()]));
    assert_eq!(waits("west2.patroni"), Some(vec!["west1.patroni".to_owned()]));
}

#[test]
fn a_topology_whose_etcd_asks_for_passwords_gets_none() {
    let plan = Plan::new(load("etcd-passwords", &[]).expect("it is built in"));
    let refused = compose(&plan).expect_err("nobody would have it ask for them").to_string();
    assert!(refused.contains("asks for passwords") && refused.contains("pgquake up etcd-passwords"), "{refused}");
}

/// Its image would be built on Debian's alone, which has no PostgreSQL.
#[test]
fn a_topology_with_versions_gets_none() {
    for (program, version) in [("postgresql", "16"), ("patroni", "4.1"), ("etcd", "3.6")] {
        let mut topology = load("single-region", &[]).expect("it is built in");
        topology.set_version(program, version).expect("a version");
        let refused = compose(&Plan::new(topology)).expect_err(program).to_string();
        assert!(
            refused.contains("built on top of another") && refused.contains("pgquake up single-region"),
            "{refused}"
        );
    }
}

#[test]
fn a_topology_with_tls_gets_none_and_says_why() {
    let plan = Plan::new(load("tls", &[]).expect("it is built in"));
    let refused = compose(&plan).expect_err("its certificates belong to a run").to_string();
    assert!(refused.contains("with TLS") && refused.contains("pgquake up tls"), "{refused}");
}

#[test]
fn files_of_the_teams_own_keep_their_names_apart_and_their_dollars() {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/own-stack");
    let folder = tempfile::tempdir().expect("a folder can be made");
    for name in ["patroni.yml", "postgresql.conf", "haproxy.cfg", "pgbouncer.ini", "motd"] {
        fs::copy(stack.join(name), folder.path().join(name)).expect("the file can be copied");
    }
    fs::write(folder.path().join("hook"), "#!/bin/sh\nexit 0\n").expect("the file can be written");
    let text = fs::read_to_string(stack.join("topologies/own-stack.yaml")).expect("it is there");
    let text = text.replace("    image: registry.example.com/team/our-patroni:1.2\n", "").replace("../", "");
    let text = text.replace("/etc/motd: motd", "/etc/motd: motd, /opt/motd: hook").replace("Europe/Berlin", "a$b");
    let path = folder.path().join("own-stack.yaml");
    fs::write(&path, text).expect("the file can be written");
    let plan = Plan::new(load(&path.display().to_string(), &[]).unwrap_or_else(|error| panic!("{error:?}")));
    let written = compose(&plan).expect("it can be written");
    let file: serde_json::Value = serde_saphyr::from_str(&written).expect("it is YAML");
    let service = &file["services"]["db1.patroni"];
    let mounts = service["configs"].as_array().expect("it has files");
    let mount_at = |target: &str| mounts.iter().find(|mount| mount["target"] == target).expect("it is there");
    let source_of = |target: &str| mount_at(target)["source"].as_str().expect("it has a source");
    let content_of = |target: &str| &file["configs"][source_of(target)]["content"];
    assert_eq!(content_of("/etc/motd"), "This host is the shop's.\n");
    assert_eq!(content_of("/opt/motd"), "#!/bin/sh\nexit 0\n");
    assert_eq!((mount_at("/opt/motd")["mode"].as_u64(), mount_at("/etc/motd")["mode"].as_u64()), (Some(0o755), None));
    // Compose would take a lone dollar for a variable of its own.
    assert_eq!(service["environment"]["TZ"], "a$$b");
}
