//! Other versions of what runs, one host after the other.

use std::time::Duration;

use pgquake::{topology, waiting::wait_until};

use super::bench::Bench;

const STARTED: &str = "SELECT pg_postmaster_start_time()";

async fn sql(bench: &Bench, node: &str, sql: &str) -> String {
    bench.system.sql_value(node, sql).await.unwrap()
}

async fn patroni(bench: &Bench, node: &str) -> String {
    let said = bench.system.patroni_says(node).await.unwrap();
    said["patroni"]["version"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the images of versions come from PyPI and the Go module proxy, which not every machine reaches; .ci/nightly runs this"]
async fn an_upgrade_changes_the_version_of_one_host_and_one_that_is_refused_is_taken_back() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    for (program, version) in [("patroni", "4.0"), ("postgresql", "16.11"), ("etcd", "3.5")] {
        topology.set_version(program, version).unwrap();
    }
    let mut bench = Bench::of("upgrades", topology).await;

    // The agent takes its PostgreSQL down with it, or leaves it alone when it is killed; the other nodes notice nothing.
    let started = [sql(&bench, "node3", STARTED).await, sql(&bench, "node2", STARTED).await];
    bench.inject("patroni_upgrade", "node3", &[("to", "4.1")]).await;
    assert_ne!(sql(&bench, "node3", STARTED).await, started[0]);
    bench.inject("patroni_upgrade", "node2", &[("to", "4.1.0"), ("signal", "KILL")]).await;
    assert_eq!(sql(&bench, "node2", STARTED).await, started[1]);
    let versions = [patroni(&bench, "node1").await, patroni(&bench, "node2").await, patroni(&bench, "node3").await];
    assert_eq!(versions, ["4.0.11", "4.1.0", "4.1.5"]);
    bench.heal().await;
    assert_eq!(patroni(&bench, "node3").await, "4.1.5", "healing does not go back");
    let refused = bench.refused("patroni_upgrade", "node3", &[("to", "4.1")]).await;
    assert!(refused.contains("Patroni there is 4.1.5 already"), "{refused}");
    bench.inject("patroni_upgrade", "node3", &[("to", "4.0.7")]).await;
    assert_eq!(patroni(&bench, "node3").await, "4.0.7");
    // A machine that restarts runs what was put there last.
    bench.inject("service_kill", "node3", &[("service", "patroni")]).await;
    bench.heal().await;
    bench.session("node3").await;
    assert_eq!(patroni(&bench, "node3").await, "4.0.7");

    let version = "SHOW server_version";
    bench.inject("postgresql_upgrade", "node2", &[("to", "16.14")]).await;
    assert_eq!([sql(&bench, "node2", version).await, sql(&bench, "node1", version).await], ["16.14", "16.11"]);
    bench.inject("postgresql_upgrade", "node2", &[("to", "16.11")]).await;
    bench.heal().await;
    assert_eq!(sql(&bench, "node2", version).await, "16.11");

    for member in ["node1", "node2", "node3"] {
        bench.inject("etcd_upgrade", member, &[("to", "3.6")]).await;
    }
    bench.heal().await;
    let what = "the version of the cluster to rise";
    wait_until(what, Duration::from_secs(30), || async {
        let told = bench.system.etcd_versions("node1").await?;
        if told.cluster == "3.6.0" { Ok(()) } else { Err(format!("it is {}", told.cluster)) }
    })
    .await
    .unwrap();
    // etcd ends a member that is older than its cluster, so the newer version is put back.
    let refused = bench.refused("etcd_upgrade", "node1", &[("to", "3.5")]).await;
    assert!(
        refused.contains("invalid downgrade; server version is lower than determined cluster version"),
        "{refused}"
    );
    bench.heal().await;
    assert!(bench.system.etcd_versions("node1").await.unwrap().server.starts_with("3.6."));
    bench.remove().await;
}
