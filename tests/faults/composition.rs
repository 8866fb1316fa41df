//! Several faults at once: one that loses what it stands on to a later one is suspended, put back and proven anew; and
//! what takes one host takes several.

use std::time::Duration;

use pgquake::{
    history::Occurrence,
    topology::{self, ServiceKind},
    waiting::wait_until,
};

use super::{
    bench::Bench,
    disk::{DATA, writes},
    links::{PATRONI, round_trip_ms},
};

const ETCD: u16 = 2379;
const AGENT: &str = "pgrep --oldest --full 'python3 /usr/bin/patroni '";

/// What became of a fault, in the order of its events.
fn course(bench: &Bench, fault: u32) -> Vec<&'static str> {
    let events = bench.events();
    let word = |what: &Occurrence| match what {
        Occurrence::FaultConfirmed { fault, .. } => Some((*fault, "confirmed")),
        Occurrence::FaultUnconfirmed { fault, .. } => Some((*fault, "unconfirmed")),
        Occurrence::FaultSuspended { fault, .. } => Some((*fault, "suspended")),
        Occurrence::FaultResumed { fault, .. } => Some((*fault, "resumed")),
        Occurrence::FaultHealed { fault, .. } => Some((*fault, "healed")),
        _ => None,
    };
    events.iter().filter_map(|event| word(&event.what)).filter(|(of, _)| *of == fault).map(|(_, word)| word).collect()
}

/// Waits until a fault was put back by itself.
async fn wait_for_return(bench: &Bench, fault: u32) {
    wait_until("the return of the fault", Duration::from_secs(40), || async {
        let course = course(bench, fault);
        if course.last() == Some(&"resumed") { Ok(()) } else { Err(format!("{course:?}")) }
    })
    .await
    .unwrap();
}

const OVERLAID: [&str; 4] = ["confirmed", "suspended", "resumed", "healed"];

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_fault_takes_away_is_put_back_with_its_host_or_service() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    let nodes = topology.nodes();
    topology.shape_links_between(&nodes);
    topology.prepare.disks = true;
    let mut bench = Bench::of("composition", topology).await;
    let slow = [("to", "node2"), ("ports", "8008"), ("round_trip", "80 ms")];

    // A slow link of a host that dies is slow again when the host is back.
    bench.inject("link_latency", "node3", &slow).await;
    bench.inject("host_crash", "node3", &[]).await;
    bench.injector.heal_named("host_crash").await.unwrap();
    assert!(round_trip_ms(&bench, "node3", "node2", PATRONI).await.unwrap() > 70.0);
    bench.heal().await;
    assert!(round_trip_ms(&bench, "node3", "node2", PATRONI).await.unwrap() < 40.0);
    assert_eq!(course(&bench, 1), OVERLAID);

    // Healed while its host is away: that waits for the host.
    bench.inject("link_latency", "node3", &slow).await;
    bench.inject("host_crash", "node3", &[]).await;
    bench.injector.heal_named("link_latency").await.unwrap();
    assert_eq!(course(&bench, 3), ["confirmed", "suspended"]);
    bench.injector.heal_named("host_crash").await.unwrap();
    assert_eq!(course(&bench, 3), ["confirmed", "suspended", "healed"]);
    assert!(!bench.injector.is_on().await);

    // A full disk under a service that is killed: what the service had written is kept, and the disk is full again.
    bench.inject("disk_full", "node2", &[("volume", "WAL")]).await;
    bench.inject("service_kill", "node2", &[("service", "patroni")]).await;
    bench.injector.heal_named("service_kill").await.unwrap();
    let (status, told) = writes(&bench, "node2", &format!("{DATA}/pg_wal")).await;
    assert!(status != 0 && told.contains("No space left"), "{told}");
    bench.heal().await;
    assert_eq!(writes(&bench, "node2", &format!("{DATA}/pg_wal")).await.0, 0);
    assert_eq!(course(&bench, 5), OVERLAID);

    // A partition under a reboot: it is proven again as soon as the host is back by itself.
    bench.inject("partition", "node3", &[("from", "the rest")]).await;
    bench.inject("host_reboot", "node3", &[("down_for", "2 s")]).await;
    wait_for_return(&bench, 7).await;
    assert!(bench.is_silent("node2", "node3", 9).await && !bench.is_silent("node2", "node1", 9).await);
    bench.heal().await;
    assert!(!bench.is_silent("node2", "node3", 9).await);
    assert_eq!(course(&bench, 7), OVERLAID);

    // Healed while one of its hosts is dead: the others hear each other at once.
    bench.inject("partition", "node2", &[("from", "node1 and node3")]).await;
    bench.inject("host_crash", "node3", &[]).await;
    bench.injector.heal_named("partition").await.unwrap();
    assert_eq!(course(&bench, 9), ["confirmed", "suspended", "healed"]);
    assert!(!bench.is_silent("node2", "node1", 9).await && bench.is_silent("node2", "node3", 9).await);
    bench.heal().await;
    assert!(!bench.is_silent("node2", "node3", 9).await);

    // A paused service under the death of its host: a frozen process would not die.
    bench.inject("container_pause", "node3", &[("service", "etcd")]).await;
    bench.inject("host_crash", "node3", &[]).await;
    bench.injector.heal_named("host_crash").await.unwrap();
    assert!(!bench.answers("node3", ETCD).await);
    bench.heal().await;
    bench.wait_for_answer("node3", ETCD, true).await;
    assert_eq!(course(&bench, 11), OVERLAID);

    // Partitions over one another, and over a slow link.
    bench.inject("link_latency", "node3", &slow).await;
    bench.inject("partition", "node3", &[("from", "node2")]).await;
    bench.inject("partition", "node2 and node3", &[("from", "node1")]).await;
    bench.inject("partition", "node3", &[("from", "the rest")]).await;
    bench.heal().await;
    assert!(!bench.is_silent("node2", "node3", 9).await && !bench.is_silent("node1", "node3", 9).await);
    bench.finish(16, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_one_host_takes_several_and_composes() {
    let mut bench = Bench::new("several").await;

    // All members of etcd stand still at once, and run on.
    let processes = [("process", "etcd")];
    let etcd = "ps -o state= -p $(pgrep --oldest --full '^/usr/bin/etcd ')";
    bench.inject("process_freeze", "the etcd members", &processes).await;
    for node in ["node1", "node2", "node3"] {
        assert_eq!(bench.output(node, etcd).await, "T", "{node}");
    }
    bench.heal().await;
    for node in ["node1", "node2", "node3"] {
        assert_ne!(bench.output(node, etcd).await, "T", "{node}");
    }
    bench.inject("service_kill", "node2 and node3", &[("service", "etcd")]).await;
    assert!(!bench.answers("node2", ETCD).await && !bench.answers("node3", ETCD).await);
    bench.heal().await;
    bench.wait_for_answer("node2", ETCD, true).await;
    bench.inject("cpu_quota", "node2 and node3", &[("service", "etcd"), ("share", "20 %")]).await;

    // Limits of CPU time under a restart; the other host keeps its own.
    bench.inject("container_restart", "node3", &[("service", "etcd")]).await;
    wait_for_return(&bench, 3).await;
    let service = bench.system.service("node3", ServiceKind::Etcd).unwrap();
    assert_eq!(bench.engine.cpu_account(service).await.unwrap().quota_us, Some(20_000));
    bench.heal().await;
    assert_eq!(course(&bench, 3), OVERLAID);

    // A frozen process whose service is started anew: the new one is frozen.
    let before = bench.output("node2", AGENT).await;
    bench.inject("process_freeze", "node2", &[("process", "the Patroni agent")]).await;
    bench.inject("service_kill", "node2", &[("service", "patroni")]).await;
    bench.injector.heal_named("service_kill").await.unwrap();
    let after = bench.output("node2", AGENT).await;
    assert_ne!(before, after);
    assert_eq!(bench.output("node2", &format!("ps -o state= -p {after}")).await, "T");
    bench.heal().await;
    assert_eq!(course(&bench, 5), OVERLAID);
    bench.wait_for_answer("node2", PATRONI, true).await;

    // What stood still in a host that freezes stands still after it.
    bench.inject("process_freeze", "node3", &[("process", "the Patroni agent")]).await;
    bench.inject("host_freeze", "node3", &[]).await;
    bench.injector.heal_named("host_freeze").await.unwrap();
    assert_eq!(bench.output("node3", &format!("ps -o state= -p $({AGENT})")).await, "T");
    assert!(!bench.answers("node3", PATRONI).await);
    bench.heal().await;
    bench.wait_for_answer("node3", PATRONI, true).await;
    assert_eq!(course(&bench, 7), OVERLAID);

    // Too many sessions on a server that restarts; a killed process has nothing to be put back.
    bench.inject("connections_exhausted", "node2", &[]).await;
    bench.inject("process_kill", "node2", &[("process", "PostgreSQL")]).await;
    wait_for_return(&bench, 9).await;
    bench.heal().await;
    assert_eq!(course(&bench, 10), ["confirmed", "healed"]);

    let refused = bench.refused("switchover", "node1 and node2", &[]).await;
    assert!(refused.contains("it takes one host"), "{refused}");
    bench.finish(10, false).await;
}
