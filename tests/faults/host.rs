//! Whole hosts.

use std::time::{Duration, Instant};

use pgquake::{topology::ServiceKind, waiting::wait_until};

use super::bench::Bench;

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;
const POSTMASTER: &str = "pgrep --oldest --full '^/usr/lib/postgresql/'";

#[tokio::test(flavor = "multi_thread")]
async fn they_go_down_leave_others_alone_and_come_back() {
    let mut bench = Bench::new("host").await;

    // A host: silence, not resets; its peers hear one another; its address stays.
    let address = bench.system.pod("node3").unwrap().address.clone();
    bench.inject("host_crash", "node3", &[]).await;
    assert!(bench.is_silent("node2", "node3", 9).await, "a dead host answered");
    let living = "timeout 0.3 bash -c '</dev/tcp/node1/9' 2>/dev/null";
    assert_eq!(bench.status("node2", living).await, 1, "a living host must reset");
    bench.heal().await;
    for kind in [ServiceKind::Etcd, ServiceKind::Patroni] {
        let service = bench.system.service("node3", kind).unwrap();
        assert!(bench.engine.service_runs(service).await.unwrap(), "{} does not run", kind.name());
    }
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(bench.system.pod("node3").unwrap().address, address);

    // Two at once; they come back in the order that was asked for.
    let order = [("order", "node3, node2"), ("apart", "1 s")];
    bench.inject("host_crash", "node2 and node3", &order).await;
    assert!(bench.is_silent("node1", "node2", 9).await && bench.is_silent("node1", "node3", 9).await);
    bench.heal().await;
    let (first, second) = (started(&bench, "node3").await, started(&bench, "node2").await);
    assert!(first < second, "node3 started at {first}, node2 at {second}");
    bench.wait_for_answer("node2", PATRONI, true).await;
    bench.wait_for_answer("node3", PATRONI, true).await;

    // Frozen: nothing is lost, not even a session that was open.
    let session = bench.session("node2").await;
    let postmaster = bench.output("node2", POSTMASTER).await;
    bench.inject("host_freeze", "node2", &[]).await;
    assert!(bench.is_silent("node1", "node2", 9).await, "a frozen host answered");
    assert_eq!(bench.output("node2", &format!("ps -o state= -p {postmaster}")).await, "T");
    assert!(bench.answers("node3", ETCD).await);
    bench.heal().await;
    session.simple_query("SELECT 1").await.unwrap();
    assert_eq!(bench.output("node2", POSTMASTER).await, postmaster);
    bench.wait_for_answer("node2", PATRONI, true).await;

    // Shut down in order: PostgreSQL says so when it starts again.
    let clean_starts_before = clean_starts(&bench, "node2");
    bench.inject("host_shutdown", "node2", &[]).await;
    assert!(bench.is_silent("node1", "node2", 9).await, "a host that is off answered");
    assert!(bench.answers("node3", PATRONI).await);
    bench.heal().await;
    bench.wait_for_answer("node2", PATRONI, true).await;
    let told = || async {
        let now = clean_starts(&bench, "node2");
        if now == clean_starts_before + 1 { Ok(()) } else { Err(format!("{now} clean starts")) }
    };
    wait_until("a start after a clean shutdown", Duration::from_secs(5), told).await.unwrap();

    // A reboot: back before anybody heals it.
    let begun = Instant::now();
    bench.inject("host_reboot", "node3", &[("down_for", "2 s")]).await;
    assert!(bench.is_silent("node1", "node3", 9).await, "a host that is off answered");
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "it was back after {:?}", begun.elapsed());
    bench.heal().await;

    // Refused.
    let refused = bench.refused("host_crash", "node1", &[("order", "node1, node2")]).await;
    assert!(refused.contains("must name each of its hosts once"), "{refused}");
    let refused = bench.refused("host_reboot", "node1", &[("down_for", "100 ms")]).await;
    assert!(refused.contains("at least 1 s"), "{refused}");
    let refused = bench.refused("host_freeze", "the clients", &[]).await;
    assert!(refused.contains("clients are no host"), "{refused}");
    let unknown = bench.refused("host_crush", "the primary", &[]).await;
    assert!(unknown.contains("host_crash"), "{unknown}");

    // The 250 ms are promised for networks and processes. That a whole host is silent takes a wait to hear nothing,
    // for each host, after its processes were looked for.
    bench.finish(5, false).await;
}

/// How often a node's PostgreSQL has told that it was shut down before it was started.
fn clean_starts(bench: &Bench, node: &str) -> usize {
    let log = std::fs::read_to_string(bench.system.logs().file(node, ServiceKind::Patroni.name())).unwrap();
    log.matches("database system was shut down").count()
}

/// When a host's Patroni was started last, as Docker tells it.
async fn started(bench: &Bench, host: &str) -> String {
    let id = &bench.system.service(host, ServiceKind::Patroni).unwrap().id;
    let inspected = bench.engine.docker().inspect_container(id, None).await.unwrap();
    inspected.state.unwrap().started_at.unwrap()
}
