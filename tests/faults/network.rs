//! The network: partitions, lost packets, and the name service.

use std::time::Duration;

use pgquake::{system::Session, topology, waiting::wait_until};
use tokio::time::timeout;

use super::bench::Bench;

const ETCD: u16 = 2379;
const PATRONI: u16 = 8008;
const POSTGRESQL: u16 = 5432;
const STATS: u16 = 8404;

#[tokio::test(flavor = "multi_thread")]
async fn they_bite_leave_others_alone_and_heal() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    for host in &mut topology.regions[0].hosts {
        host.zone = Some(if host.name == "node3" { "b" } else { "a" }.to_owned());
    }
    let mut bench = Bench::timed("network", topology).await;
    everything_between_two_sides(&mut bench).await;
    one_way(&mut bench).await;
    chosen_ports(&mut bench).await;
    established_connections(&mut bench).await;
    rejected_packets(&mut bench).await;
    overlapping_cuts(&mut bench).await;
    names(&mut bench).await;
    lost_packets(&mut bench).await;
    clients(&mut bench).await;
    refusals(&mut bench).await;
    bench.finish(16, true).await;
}

async fn everything_between_two_sides(bench: &mut Bench) {
    // The only host of its zone.
    bench.inject("partition", "zone b", &[]).await;
    assert!(bench.is_silent("node3", "node2", 9).await && bench.is_silent("node2", "node3", 9).await);
    assert!(bench.is_silent("proxy", "node3", ETCD).await);
    assert!(!bench.is_silent("node2", "node1", 9).await, "who was not cut off is silent");
    assert!(bench.answers("node3", PATRONI).await, "the harness must go on watching a host that is cut off");
    assert_eq!(bench.status("node3", "timeout 1 getent hosts node1").await, 0, "the name service was to stay");
    bench.heal().await;
    assert!(!bench.is_silent("node3", "node2", 9).await && !bench.is_silent("node2", "node3", 9).await);
    assert_eq!(bench.output("node3", "nft list tables inet").await, "", "something was left behind");
}

/// Counts datagrams that arrive from a host, behind every rule of a fault.
async fn witness(bench: &Bench, at: &str, from: &str) {
    let address = &bench.system.pod(from).unwrap().address;
    let chain = "add chain inet witness in { type filter hook input priority 0; }";
    let count = format!("add rule inet witness in ip saddr {address} udp dport 9 counter");
    bench.output(at, &format!("nft 'add table inet witness; {chain}; {count}'")).await;
}

/// Sends datagrams, and returns how many the destination's witness has seen of them.
async fn arrived(bench: &Bench, from: &str, to: &str, sent: u32) -> u32 {
    witness(bench, to, from).await;
    let address = &bench.system.pod(to).unwrap().address;
    let send = format!("for ((sent = 0; sent < {sent}; sent++)); do echo >/dev/udp/{address}/9; done");
    bench.output(from, &format!("bash -c '{send}' 2>/dev/null || true")).await;
    let count =
        "nft list table inet witness | sed -n 's/.*packets \\([0-9]*\\).*/\\1/p'; nft delete table inet witness";
    bench.output(to, count).await.parse().unwrap()
}

async fn one_way(bench: &mut Bench) {
    bench.inject("partition", "node3", &[("from", "node2"), ("direction", "in")]).await;
    assert_eq!(arrived(bench, "node2", "node3", 10).await, 0, "packets still arrive");
    assert_eq!(arrived(bench, "node3", "node2", 10).await, 10, "the other direction is cut too");
    assert_eq!(arrived(bench, "node1", "node3", 10).await, 10, "another host is cut off too");
    bench.heal().await;
    assert_eq!(arrived(bench, "node2", "node3", 10).await, 10);

    bench.inject("partition", "node3", &[("from", "node2"), ("direction", "out")]).await;
    assert_eq!(arrived(bench, "node3", "node2", 10).await, 0, "packets still arrive");
    assert_eq!(arrived(bench, "node2", "node3", 10).await, 10, "the other direction is cut too");
    bench.heal().await;
}

async fn chosen_ports(bench: &mut Bench) {
    bench.inject("partition", "node2", &[("from", "the etcd members"), ("ports", "2379")]).await;
    for other in ["node1", "node3"] {
        assert!(bench.is_silent("node2", other, ETCD).await && bench.is_silent(other, "node2", ETCD).await, "{other}");
        assert!(!bench.is_silent("node2", other, POSTGRESQL).await, "another port is cut too");
        assert!(!bench.is_silent("node2", other, 2380).await, "another port is cut too");
    }
    assert!(bench.is_silent("node2", "node2", ETCD).await, "its own member still answers it");
    let inward = format!("timeout 0.3 bash -c '</dev/tcp/127.0.0.1/{ETCD}'");
    assert_eq!(bench.status("node2", &inward).await, 0, "a service can't talk with itself");
    assert!(!bench.is_silent("node1", "node3", ETCD).await, "others lost the port too");
    bench.heal().await;
    assert!(!bench.is_silent("node2", "node2", ETCD).await);
}

/// Lines that a connection, opened once, has brought so far.
async fn lines(bench: &Bench) -> u32 {
    bench.output("node2", "cat /tmp/lines 2>/dev/null | wc -l").await.parse().unwrap()
}

async fn established_connections(bench: &mut Bench) {
    let address = bench.system.pod("node3").unwrap().address.clone();
    let talk = "printf \"GET /health HTTP/1.1\\r\\nHost: etcd\\r\\n\\r\\n\" >&3; \
                while read -r -t 0.02 line <&3; do echo line; done";
    let open = format!("exec 3<>/dev/tcp/{address}/{ETCD}; while sleep 0.02; do {talk}; done");
    let id = bench.output("node2", &format!("bash -c '{open}' >/tmp/lines 2>&1 & echo $!")).await;
    let grows = async |bench: &Bench, what: &str| {
        let before = lines(bench).await;
        let look = || async { (lines(bench).await > before).then_some(()).ok_or("no line came".to_owned()) };
        wait_until(what, Duration::from_secs(10), look).await.unwrap();
    };
    grows(bench, "lines over a connection").await;
    bench.inject("partition", "node2", &[("from", "node3")]).await;
    let before = lines(bench).await;
    // Nothing to wait for: nothing must come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(lines(bench).await, before, "an established connection was not cut");
    bench.heal().await;
    grows(bench, "lines over the same connection").await;
    bench.output("node2", &format!("kill {id}")).await;
}

async fn rejected_packets(bench: &mut Bench) {
    let address = bench.system.pod("node3").unwrap().address.clone();
    let connect = format!("timeout 0.3 bash -c '</dev/tcp/{address}/{ETCD}'");
    assert_eq!(bench.status("node2", &connect).await, 0);
    bench.inject("partition", "node3", &[("from", "node2"), ("by", "reject")]).await;
    assert_eq!(bench.status("node2", &connect).await, 1, "it must be reset at once");
    assert_eq!(bench.status("node1", &connect).await, 0);
    bench.heal().await;
    assert_eq!(bench.status("node2", &connect).await, 0);
}

async fn overlapping_cuts(bench: &mut Bench) {
    bench.inject("partition", "node3", &[("from", "node2")]).await;
    let shape = [("shape", "majorities_ring"), ("pivot", "node3")];
    bench.inject("partition_shape", "the nodes", &shape).await;
    assert!(!bench.is_silent("node3", "node1", 9).await && !bench.is_silent("node1", "node2", 9).await);
    bench.injector.heal_named("partition").await.unwrap();
    assert!(bench.is_silent("node3", "node2", 9).await, "healing one has undone the other");
    bench.heal().await;
    assert!(!bench.is_silent("node3", "node2", 9).await);

    bench.inject("partition_shape", "the nodes", &[("shape", "isolate"), ("pivot", "node3")]).await;
    assert!(bench.is_silent("node3", "node1", 9).await && bench.is_silent("node2", "node3", 9).await);
    assert!(!bench.is_silent("node1", "node2", 9).await);
    assert!(!bench.is_silent("proxy", "node3", 9).await, "it is not one of the hosts");
    bench.heal().await;
}

async fn names(bench: &mut Bench) {
    let look_up = "timeout 1 getent hosts node1";
    bench.inject("name_service_loss", "node3", &[]).await;
    assert_eq!(bench.status("node3", look_up).await, 124, "a look-up must hang, and neither fail at once nor succeed");
    assert_eq!(bench.status("node2", look_up).await, 0, "another host lost its names too");
    assert!(!bench.is_silent("node3", "node1", ETCD).await, "packets must pass");
    bench.heal().await;
    assert_eq!(bench.status("node3", look_up).await, 0);

    bench.inject("partition", "node3", &[("from", "node2"), ("names", "lose")]).await;
    assert_eq!(bench.status("node3", look_up).await, 124);
    assert!(bench.is_silent("node3", "node2", 9).await && !bench.is_silent("node3", "node1", 9).await);
    bench.heal().await;
    assert_eq!(bench.status("node3", look_up).await, 0);
}

async fn lost_packets(bench: &mut Bench) {
    bench.inject("packet_loss", "node3", &[("from", "node2"), ("share", "30 %")]).await;
    let of_a_thousand = arrived(bench, "node2", "node3", 1000).await;
    assert!((640..=760).contains(&of_a_thousand), "{of_a_thousand} of 1000 arrived");
    assert_eq!(arrived(bench, "node3", "node2", 200).await, 200, "the other direction loses some too");
    assert_eq!(arrived(bench, "node1", "node3", 200).await, 200, "another host's packets are lost too");
    bench.heal().await;
    assert_eq!(arrived(bench, "node2", "node3", 200).await, 200);

    let out = [("from", "node2"), ("share", "100 %"), ("direction", "out")];
    bench.inject("packet_loss", "node3", &out).await;
    assert_eq!(arrived(bench, "node3", "node2", 20).await, 0, "packets still arrive");
    assert_eq!(arrived(bench, "node2", "node3", 20).await, 20, "the other direction loses some too");
    bench.heal().await;
}

/// Whether a client gets a session with PostgreSQL through the proxy.
async fn a_client_gets_through(bench: &Bench) -> bool {
    let access = bench.system.access();
    let address = access.address("proxy", POSTGRESQL).unwrap();
    let login = access.login();
    let open = Session::open(address, &login, "test");
    matches!(timeout(Duration::from_secs(1), open).await, Ok(Ok(_)))
}

async fn clients(bench: &mut Bench) {
    assert!(a_client_gets_through(bench).await);
    for direction in ["both", "in", "out"] {
        bench.inject("partition", "the clients", &[("from", "the proxy"), ("direction", direction)]).await;
        assert!(!a_client_gets_through(bench).await, "{direction}");
        assert!(bench.answers("proxy", STATS).await, "the harness must go on watching");
        assert!(!bench.is_silent("node1", "proxy", POSTGRESQL).await, "hosts are no clients");
        bench.heal().await;
        assert!(a_client_gets_through(bench).await, "{direction}");
    }
}

async fn refusals(bench: &mut Bench) {
    let refused = bench.refused("partition", "node1", &[("from", "node1")]).await;
    assert!(refused.contains("nothing between it and the other side"), "{refused}");
    let refused = bench.refused("partition", "the clients", &[("from", "node1"), ("ports", "2380")]).await;
    assert!(refused.contains("port 2380 of node1: it is not published"), "{refused}");
    let refused = bench.refused("partition_shape", "node1 and node2", &[("shape", "bridge")]).await;
    assert!(refused.contains("3 hosts at least"), "{refused}");
    let refused = bench.refused("packet_loss", "node1", &[("from", "the clients"), ("share", "5 %")]).await;
    assert!(refused.contains("the engine's own proxy"), "{refused}");
    let refused = bench.refused("packet_loss", "node1", &[("share", "0 %")]).await;
    assert!(refused.contains("loses nothing"), "{refused}");
}
