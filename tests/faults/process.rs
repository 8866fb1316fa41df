//! Processes, services and hosts.

use pgquake::{faults, topology::ServiceKind};

use super::bench::Bench;

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;
const STATS: u16 = 8404;

#[tokio::test(flavor = "multi_thread")]
async fn they_bite_leave_others_alone_and_heal() {
    let mut bench = Bench::new("process").await;

    // A service: its processes die, its host and its neighbours live.
    bench.inject("service_kill", "node3", &[("service", "etcd")]).await;
    assert!(!bench.answers("node3", ETCD).await);
    assert!(bench.answers("node3", PATRONI).await, "the neighbour on the host died too");
    assert!(bench.answers("node2", ETCD).await, "another host's etcd died too");
    bench.heal().await;
    bench.wait_for_answer("node3", ETCD, true).await;

    // The proxy.
    bench.inject("process_kill", "the proxy", &[("process", "HAProxy")]).await;
    bench.wait_for_answer("proxy", STATS, false).await;
    bench.heal().await;
    bench.wait_for_answer("proxy", STATS, true).await;

    // The agent alone: PostgreSQL under it lives, with the same postmaster.
    let pod = bench.cluster.pod("node2").unwrap();
    let before = faults::Process::Postmaster.pids(pod).await.unwrap();
    bench.inject("process_kill", "node2", &[("process", "the Patroni agent")]).await;
    bench.wait_for_answer("node2", PATRONI, false).await;
    let pod = bench.cluster.pod("node2").unwrap();
    assert_eq!(faults::Process::Postmaster.pids(pod).await.unwrap(), before, "PostgreSQL died with its agent");
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;

    // Frozen, not dead: the same process runs on after it.
    let frozen = faults::Process::Agent.pids(bench.cluster.pod("node3").unwrap()).await.unwrap();
    bench.inject("process_freeze", "node3", &[("process", "the Patroni agent")]).await;
    assert!(!bench.answers("node3", PATRONI).await);
    assert!(bench.answers("node2", PATRONI).await);
    bench.heal().await;
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(faults::Process::Agent.pids(bench.cluster.pod("node3").unwrap()).await.unwrap(), frozen);

    // One of PostgreSQL's own processes: the postmaster lives and starts another.
    let postmaster = "pgrep --oldest --full '^/usr/lib/postgresql/'";
    let before = bench.output("node2", postmaster).await;
    bench.inject("process_kill", "node2", &[("process", "the WAL receiver")]).await;
    bench.heal().await;
    assert_eq!(bench.output("node2", postmaster).await, before, "PostgreSQL died with its WAL receiver");

    // A host: silence, not resets; its peers hear one another; its address stays.
    let address = bench.cluster.pod("node3").unwrap().address.clone();
    bench.inject("host_crash", "node3", &[]).await;
    assert!(bench.is_silent("node2", "node3", 9).await, "a dead host answered");
    let living = "timeout 0.3 bash -c '</dev/tcp/node1/9' 2>/dev/null";
    assert_eq!(bench.status("node2", living).await, 1, "a living host must reset");
    bench.heal().await;
    for kind in [ServiceKind::Etcd, ServiceKind::Patroni] {
        let service = bench.cluster.service("node3", kind).unwrap();
        assert!(bench.engine.service_runs(service).await.unwrap(), "{} does not run", kind.name());
    }
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(bench.cluster.pod("node3").unwrap().address, address);

    // Refused: a target that the fault can't apply to, with the reason; and nothing was recorded of it.
    let refused = bench.refused("service_kill", "node1", &[("service", "haproxy")]).await;
    assert!(refused.contains("node1 does not run haproxy"), "{refused}");
    let refused = bench.refused("process_kill", "node1 and node2", &[("process", "etcd")]).await;
    assert!(refused.contains("it takes one host"), "{refused}");
    let refused = bench.refused("process_kill", "node1", &[("proces", "etcd")]).await;
    assert!(refused.contains("did you mean `process`"), "{refused}");
    let refused = bench.refused("host_crash", "the clients", &[]).await;
    assert!(refused.contains("clients are no host"), "{refused}");
    let unknown = bench.refused("host_crush", "the primary", &[]).await;
    assert!(unknown.contains("host_crash"), "{unknown}");

    bench.finish(6, false).await;
}
