//! What Docker does to services and hosts.

use pgquake::topology::ServiceKind;

use super::bench::Bench;

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;

#[tokio::test(flavor = "multi_thread")]
async fn docker_stops_pauses_restarts_and_disconnects_one_and_leaves_the_others() {
    let mut bench = Bench::new("container").await;

    bench.inject("container_stop", "node3", &[("service", "etcd")]).await;
    assert!(!bench.answers("node3", ETCD).await);
    assert!(bench.answers("node3", PATRONI).await, "the neighbour on the host stopped too");
    bench.heal().await;
    bench.wait_for_answer("node3", ETCD, true).await;

    // Paused: the same processes go on after it.
    let postmaster = "pgrep --oldest --full '^/usr/lib/postgresql/'";
    let before = bench.output("node2", postmaster).await;
    bench.inject("container_pause", "node2", &[("service", "patroni")]).await;
    assert!(!bench.answers("node2", PATRONI).await);
    assert!(bench.answers("node2", ETCD).await, "the neighbour on the host was paused too");
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;
    assert_eq!(bench.output("node2", postmaster).await, before);

    // Restarted: PostgreSQL is another process, and the etcd beside it is not.
    let etcd = bench.output("node2", "pgrep etcd").await;
    bench.inject("container_restart", "node2", &[("service", "patroni")]).await;
    bench.heal().await;
    bench.session("node2").await;
    assert_ne!(bench.output("node2", postmaster).await, before);
    assert_eq!(bench.output("node2", "pgrep etcd").await, etcd);

    // Disconnected: nobody reaches it, and it knows no names; then all is as it was, for its peers and from outside.
    let (address, names) = (bench.system.pod("node3").unwrap().address.clone(), "getent hosts node1");
    let published = bench.system.access().address("node3", PATRONI);
    assert_eq!(bench.status("node3", names).await, 0);
    bench.inject("network_disconnect", "node3", &[]).await;
    assert!(bench.is_silent("node2", "node3", 9).await, "a disconnected host answered");
    assert!(!bench.answers("node3", PATRONI).await);
    assert!(bench.answers("node2", PATRONI).await && !bench.is_silent("node1", "node2", 9).await);
    bench.heal().await;
    assert_eq!(bench.output("node1", "getent hosts node3 | cut -d' ' -f1").await, address);
    assert_eq!(bench.status("node3", names).await, 0);
    assert_eq!(bench.system.access().address("node3", PATRONI), published);
    bench.wait_for_answer("node3", PATRONI, true).await;
    bench.wait_for_answer("node3", ETCD, true).await;

    let refused = bench.refused("container_stop", "the proxy", &[("service", "etcd")]).await;
    assert!(refused.contains("does not run etcd"), "{refused}");
    let refused = bench.refused("clock_offset", "node1", &[("by", "60 s")]).await;
    assert!(refused.contains("Given the clocks of the nodes can be set"), "{refused}");

    // A run that dies with a service paused leaves processes that can't die: the sweep thaws them first.
    let service = bench.system.service("node1", ServiceKind::Patroni).unwrap();
    bench.engine.pause_service(service).await.unwrap();
    bench.finish(4, false).await;
}
