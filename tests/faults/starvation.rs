//! Too little CPU time, memory or connections.

use std::time::Instant;

use pgquake::topology::ServiceKind;

use super::bench::Bench;

/// A fixed piece of work for one core.
const WORK: &str = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done";

#[tokio::test(flavor = "multi_thread")]
async fn one_starves_and_the_others_do_not() {
    let mut bench = Bench::new("starvation").await;

    // CPU time: the same work takes longer, on this service alone.
    let fed_s = work(&bench, "node2").await;
    bench.inject("cpu_quota", "node2", &[("service", "patroni"), ("share", "10 %")]).await;
    let starved_s = work(&bench, "node2").await;
    let neighbour_s = work(&bench, "node3").await;
    assert!(starved_s > 2.0 * neighbour_s, "{starved_s} s, before that {fed_s} s, its neighbour {neighbour_s} s");
    bench.heal().await;

    // Connections: a client is refused, a superuser and the other nodes' clients are not.
    bench.inject("connections_exhausted", "node2", &[]).await;
    let refused = bench.system.sql_value("node2", "SELECT 1").await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(bench.system.refuses_sessions("node3").await, None);
    assert_eq!(bench.system.rest_status("node2", "replica").await, Some(200), "Patroni got no session either");
    bench.heal().await;
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgquake crowd'";
    assert_eq!(bench.system.sql_value("node2", left).await.unwrap(), "0");

    // Memory: the backend that asks for it is killed, and its postmaster restarts all, on this node alone.
    let etcd = bench.output("node3", "pgrep etcd").await;
    let checkpointer = "pgrep --full '^postgres: .*checkpointer'";
    let before = [bench.output("node3", checkpointer).await, bench.output("node2", checkpointer).await];
    bench.inject("memory_limit", "node3", &[("limit", "256 MB")]).await;
    bench.wait_for_other_output("node3", checkpointer, &before[0]).await;
    assert_eq!(bench.output("node2", checkpointer).await, before[1]);
    assert_eq!(bench.output("node3", "pgrep etcd").await, etcd);
    let neighbour = bench.system.service("node2", ServiceKind::Patroni).unwrap();
    assert_eq!(bench.engine.killed_for_memory(neighbour).await.unwrap(), 0);
    bench.heal().await;

    let refused = bench.refused("cpu_quota", "node1", &[("service", "etcd"), ("share", "0.5 %")]).await;
    assert!(refused.contains("below 1 %"), "{refused}");
    let refused = bench.refused("memory_limit", "the proxy", &[]).await;
    assert!(refused.contains("runs no PostgreSQL"), "{refused}");
    let refused = bench.refused("memory_limit", "node1", &[("limit", "1 MB")]).await;
    assert!(refused.contains("below 6 MB"), "{refused}");

    bench.finish(3, false).await;
}

/// How long the work takes in a node's PostgreSQL service.
async fn work(bench: &Bench, node: &str) -> f64 {
    let service = bench.system.service(node, ServiceKind::Patroni).unwrap();
    let begun = Instant::now();
    let done = bench.engine.run_in_service(service, WORK).await.unwrap();
    assert_eq!(done.status, 0, "{}", done.text);
    begun.elapsed().as_secs_f64()
}
