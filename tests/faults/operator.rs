//! What an operator does, through Patroni.

use std::time::Duration;

use pgquake::{topology::ServiceKind, waiting::wait_until};

use super::bench::{Bench, sql_gives};

const STARTED: &str = "SELECT pg_postmaster_start_time()";

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_changes_what_was_asked_and_nothing_else() {
    let mut bench = Bench::new("operator").await;
    assert_eq!(bench.system.leader().await.as_deref(), Some("node1"));

    // A setting: PostgreSQL takes it over, and the old one again.
    let work_mem = "SHOW work_mem";
    let change = [("key", "postgresql.parameters.work_mem"), ("value", "7MB")];
    bench.inject("configuration_change", "the primary", &change).await;
    sql_gives(&bench, "node2", work_mem, "7MB").await;
    bench.heal().await;
    sql_gives(&bench, "node2", work_mem, "4MB").await;

    // Paused: PostgreSQL that dies stays dead until Patroni is resumed.
    bench.inject("pause", "the primary", &[]).await;
    bench.inject("process_kill", "node3", &[("process", "PostgreSQL")]).await;
    // More than one loop of the agent, in which it would have started PostgreSQL.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(bench.system.sql_value("node3", "SELECT 1").await.is_err(), "a paused Patroni started PostgreSQL");
    assert!(bench.system.sql_value("node2", "SELECT 1").await.is_ok());
    not_taken_in_by_a_receiver_of_its_name(&bench, "node3").await;
    // The last fault is healed first, and is gone only when Patroni is back at work.
    bench.injector.heal_named("pause").await.unwrap();
    bench.heal().await;
    bench.session("node3").await;

    // PostgreSQL is restarted on one node.
    let before = [sql(&bench, "node2", STARTED).await, sql(&bench, "node1", STARTED).await];
    bench.inject("postgresql_restart", "node2", &[]).await;
    bench.heal().await;
    assert_ne!(sql(&bench, "node2", STARTED).await, before[0]);
    assert_eq!(sql(&bench, "node1", STARTED).await, before[1]);

    // A standby is rebuilt: it has the primary's system and streams again.
    bench.inject("reinitialize", "node3", &[]).await;
    bench.heal().await;
    sql_gives(&bench, "node1", "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "2").await;

    // Switched over to whom was named, then failed over.
    bench.inject("switchover", "the primary", &[("to", "node2")]).await;
    assert_eq!(sql(&bench, "node2", "SELECT pg_is_in_recovery()").await, "f");
    bench.heal().await;
    sql_gives(&bench, "node1", "SELECT pg_is_in_recovery()", "t").await;
    sql_gives(&bench, "node2", "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'", "2").await;
    bench.inject("failover", "node1", &[]).await;
    assert_eq!(sql(&bench, "node1", "SELECT pg_is_in_recovery()").await, "f");
    bench.heal().await;

    // Removed and added.
    bench.inject("member_removed", "node3", &[]).await;
    assert_eq!(bench.system.cluster_of("node1").unwrap().members().await.unwrap(), ["node1", "node2"]);
    assert!(bench.system.sql_value("node3", "SELECT 1").await.is_err());
    bench.heal().await;
    bench.session("node3").await;

    let refused = bench.refused("switchover", "node2", &[]).await;
    assert!(refused.contains("node1 is the primary"), "{refused}");
    let refused = bench.refused("failover", "the primary", &[]).await;
    assert!(refused.contains("it leads already"), "{refused}");
    let refused = bench.refused("reinitialize", "the primary", &[]).await;
    assert!(refused.contains("it leads"), "{refused}");
    let refused = bench.refused("switchover", "the proxy", &[]).await;
    assert!(refused.contains("runs no Patroni"), "{refused}");
    let refused = bench.refused("configuration_change", "node1", &[("key", "ttl"), ("value", "20")]).await;
    assert!(refused.contains("ttl is 20 already"), "{refused}");

    bench.finish(8, false).await;
}

/// A node that is dead follows nobody, though the primary streams to something of its name: as it does for an instant
/// to a node that comes back on the timeline that was left.
async fn not_taken_in_by_a_receiver_of_its_name(bench: &Bench, node: &str) {
    let password = &bench.system.access().credentials.replication_password;
    let receive = format!(
        "mkdir /tmp/received && PGPASSWORD={password} PGAPPNAME={node} timeout 60 \
         pg_receivewal -h node1 -U replicator -D /tmp/received > /dev/null 2>&1 &"
    );
    let shell = bench.system.shell_in("node2", ServiceKind::Patroni).await.unwrap().unwrap();
    shell.must(&receive).await.unwrap();
    wait_until("two receivers", Duration::from_secs(10), || bench.system.streaming_from("node1", 2)).await.unwrap();
    let why = bench.system.all_follow().await.unwrap_err();
    assert!(!why.contains("does not stream to"), "{why}");
    shell.must("pkill -x pg_receivewal").await.unwrap();
    wait_until("one receiver", Duration::from_secs(10), || async {
        let left = bench.system.all_follow().await.unwrap_err();
        if left == format!("node1 does not stream to {node}") { Ok(()) } else { Err(left) }
    })
    .await
    .unwrap();
}

async fn sql(bench: &Bench, node: &str, query: &str) -> String {
    bench.session(node).await;
    bench.system.sql_value(node, query).await.unwrap()
}
