//! Shaped links: each toxic is felt on its link and port and nowhere else, and leaves with its fault.

use std::time::{Duration, Instant};

use pgquake::{
    links::{Stream, Toxic, listener_name},
    topology,
    waiting::wait_until,
};

use super::bench::Bench;

pub const PATRONI: u16 = 8008;
const ETCD: u16 = 2379;
/// What is not held to 250 ms: proofs by a slow link take as long as it makes them.
const SLOW: &[&str] = &[
    "host_crash",
    "link_bandwidth",
    "link_latency",
    "link_limit_data",
    "link_reset_peer",
    "link_slicer",
    "link_slow_close",
    "link_timeout",
];

/// Milliseconds from a request to the first byte of its answer, over a fresh connection from one host to another: the
/// quickest of three, as the machine can only add to it; `None` if nothing came.
pub async fn round_trip_ms(bench: &Bench, from: &str, to: &str, port: u16) -> Option<f64> {
    let mut best = ask_once(bench, from, to, port).await?;
    for _ in 0..2 {
        best = ask_once(bench, from, to, port).await?.min(best);
    }
    Some(best)
}

async fn ask_once(bench: &Bench, from: &str, to: &str, port: u16) -> Option<f64> {
    let script = format!(
        "bash -c 'exec 3<>/dev/tcp/{to}/{port} || exit 1; began=$EPOCHREALTIME; \
         printf \"GET /liveness HTTP/1.0\\r\\n\\r\\n\" >&3; read -r -t 1 -N 1 <&3 || exit 1; \
         echo $began $EPOCHREALTIME'"
    );
    let told = bench.system.pod(from).unwrap().shell.run(&script).await.unwrap();
    let times: Vec<f64> = told.text.split_whitespace().filter_map(|time| time.parse().ok()).collect();
    match (told.status, times.as_slice()) {
        (0, [began, ended]) => Some((ended - began) * 1000.0),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn toxics_are_felt_on_their_link_alone() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    let nodes = topology.nodes();
    topology.shape_links_between(&nodes);
    let mut bench = Bench::timed("links", topology).await;
    the_primary_sends_its_wal_slowly(&mut bench).await;
    a_round_trip_takes_longer(&mut bench).await;
    each_toxic_hits_one_way(&mut bench).await;
    let to_node2 = [("to", "node2"), ("ports", "8008")];

    // Two at once on one link: one heals, the other stays.
    bench.inject("link_latency", "node1", &[&to_node2[..], &[("round_trip", "40 ms")]].concat()).await;
    bench.inject("link_bandwidth", "node1", &[&to_node2[..], &[("rate", "1 MB")]].concat()).await;
    bench.injector.heal_named("link_bandwidth").await.unwrap();
    assert!(round_trip_ms(&bench, "node1", "node2", PATRONI).await.unwrap() > 36.0);
    bench.heal().await;

    shaped_links_are_cut_too(&mut bench).await;

    // A crashed host comes back with its listeners, and without toxics.
    bench.inject("host_crash", "node3", &[]).await;
    bench.heal().await;
    let back = Instant::now();
    while round_trip_ms(&bench, "node3", "node2", PATRONI).await.is_none() {
        assert!(back.elapsed() < Duration::from_secs(10), "the links of node3 did not come back");
    }

    let not_on = bench.injector.change("link_latency", Default::default()).await.unwrap_err();
    assert!(not_on.to_string().contains("no fault `link_latency` is on"), "{not_on}");
    let refused = bench.refused("link_latency", "node1", &[("to", "proxy"), ("round_trip", "80 ms")]).await;
    assert!(refused.contains("not shaped; write `Given every link is shaped`"), "{refused}");
    let refused = bench.refused("link_latency", "node1", &[("to", "node2"), ("round_trip", "1 ms")]).await;
    assert!(refused.contains("at least 2 ms"), "{refused}");

    bench.finish_but(17, SLOW).await;
}

/// The standbys open the connections over which they get WAL; what the primary sends is slow all the same.
async fn the_primary_sends_its_wal_slowly(bench: &mut Bench) {
    let rate = [("to", "the standbys"), ("rate", "2 kB")];
    bench.inject("link_bandwidth", "the primary", &rate).await;
    let session = bench.session("node1").await;
    let fill = "CREATE TABLE pgquake.filler AS SELECT repeat('x', 1000) AS text FROM generate_series(1, 500)";
    session.simple_query(fill).await.unwrap();
    // Nothing to wait for: at 2 kB a second next to nothing arrives.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let lag = "SELECT min(pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn))::bigint FROM pg_stat_replication";
    let lag_bytes: u64 = bench.system.sql_value("node1", lag).await.unwrap().parse().unwrap();
    assert!(lag_bytes > 400_000, "the standbys are {lag_bytes} B behind");
    bench.heal().await;
    let look = || bench.system.all_replayed();
    wait_until("the standbys to catch up", Duration::from_secs(30), look).await.unwrap();
}

/// A round trip, within the promised tenth, whoever asks; the other port and the other host are as quick as before.
async fn a_round_trip_takes_longer(bench: &mut Bench) {
    let to_node2 = [("to", "node2"), ("ports", "8008")];
    let before = round_trip_ms(bench, "node1", "node2", PATRONI).await.unwrap();
    bench.inject("link_latency", "node1", &[&to_node2[..], &[("round_trip", "80 ms")]].concat()).await;
    for (from, to) in [("node1", "node2"), ("node2", "node1")] {
        let slow = round_trip_ms(bench, from, to, PATRONI).await.unwrap();
        assert!((72.0..98.0).contains(&(slow - before)), "{from} to {to}: {before} ms became {slow} ms");
    }
    for (from, to) in [("node1", "node3"), ("node3", "node2"), ("node2", "node3")] {
        let other = round_trip_ms(bench, from, to, PATRONI).await.unwrap();
        assert!(other < 40.0, "{from} to {to} took {other} ms");
    }
    let etcd = round_trip_ms(bench, "node1", "node2", ETCD).await.unwrap();
    assert!(etcd < 40.0, "the other port took {etcd} ms");
    // The same fault with another figure, without a moment in which it is not on.
    let slower = [("round_trip".to_owned(), "160 ms".to_owned())];
    bench.injector.change("link_latency", slower.into()).await.unwrap();
    let slower = round_trip_ms(bench, "node1", "node2", PATRONI).await.unwrap();
    assert!((144.0..186.0).contains(&(slower - before)), "{before} ms became {slower} ms");
    bench.heal().await;
    let after = round_trip_ms(bench, "node1", "node2", PATRONI).await.unwrap();
    assert!(after < 40.0, "after healing it took {after} ms");
    // A proof may take longer than the usual deadline.
    bench
        .inject("link_latency", "node1", &[&to_node2[..], &[("round_trip", "4 s"), ("direction", "in")]].concat())
        .await;
    bench.heal().await;
}

/// Every toxic that can hit one way alone is proven on a connection that either host opens: its own proof holds it to the
/// data that it is for, and to none of the other way.
async fn each_toxic_hits_one_way(bench: &mut Bench) {
    let to_node2 = |more: &[(&'static str, &'static str)]| [&[("to", "node2"), ("ports", "8008")], more].concat();
    bench.inject("link_timeout", "node1", &to_node2(&[])).await;
    for (from, to) in [("node1", "node2"), ("node2", "node1")] {
        assert_eq!(round_trip_ms(bench, from, to, PATRONI).await, None, "{from} to {to}");
    }
    assert!(round_trip_ms(bench, "node3", "node2", PATRONI).await.is_some());
    assert_eq!(streams(bench, "node1", "node2").await, ["upstream"]);
    assert_eq!(streams(bench, "node2", "node1").await, ["downstream"]);
    assert!(streams(bench, "node3", "node2").await.is_empty() && streams(bench, "node2", "node3").await.is_empty());
    bench.heal().await;
    bench.inject("link_timeout", "node1", &to_node2(&[("after", "300 ms"), ("direction", "in")])).await;
    assert_eq!(streams(bench, "node1", "node2").await, ["downstream"]);
    assert_eq!(streams(bench, "node2", "node1").await, ["upstream"]);
    bench.heal().await;
    bench.inject("link_reset_peer", "node1", &to_node2(&[])).await;
    for (from, to) in [("node1", "node2"), ("node2", "node1")] {
        assert_eq!(round_trip_ms(bench, from, to, PATRONI).await, None, "{from} to {to}");
    }
    bench.heal().await;
    bench.inject("link_limit_data", "node1", &to_node2(&[("bytes", "10 B")])).await;
    assert!(round_trip_ms(bench, "node1", "node3", PATRONI).await.is_some());
    bench.heal().await;
    bench.inject("link_bandwidth", "node1", &[("to", "node2"), ("ports", "2379"), ("rate", "64 kB")]).await;
    bench.heal().await;
    bench
        .inject("link_slicer", "node1", &to_node2(&[("size", "100 B"), ("delay", "1 ms"), ("direction", "both")]))
        .await;
    bench.heal().await;
    bench.inject("link_slow_close", "node1", &to_node2(&[("delay", "150 ms")])).await;
    bench.heal().await;
    assert!(streams(bench, "node1", "node2").await.is_empty() && streams(bench, "node2", "node1").await.is_empty());
}

/// The streams of the toxics that hit connections from one host to the REST API of another.
async fn streams(bench: &Bench, opener: &str, far: &str) -> Vec<&'static str> {
    let toxics = bench.system.toxiproxy(opener).unwrap().toxics(&listener_name(far, PATRONI)).await.unwrap();
    let word = |toxic: &Toxic| if toxic.stream == Stream::Upstream { "upstream" } else { "downstream" };
    toxics.iter().map(word).collect()
}

/// A Toxiproxy accepts connections on its own host, whether the peer can be reached or not.
async fn shaped_links_are_cut_too(bench: &mut Bench) {
    for direction in ["both", "out", "in"] {
        assert!(!bench.is_silent("node3", "node2", PATRONI).await);
        bench.inject("partition", "node3", &[("from", "node2"), ("direction", direction)]).await;
        assert!(bench.is_silent("node3", "node2", PATRONI).await, "{direction}: the proxy's listener answers");
        assert!(bench.is_silent("node2", "node3", PATRONI).await, "{direction}: the proxy's listener answers");
        assert!(!bench.is_silent("node3", "node1", PATRONI).await, "{direction}");
        bench.heal().await;
    }
    bench.inject("partition", "node3", &[("from", "node2"), ("ports", "8008")]).await;
    assert!(bench.is_silent("node3", "node2", PATRONI).await && !bench.is_silent("node3", "node2", ETCD).await);
    bench.heal().await;
    assert!(!bench.is_silent("node3", "node2", PATRONI).await);
}

/// Hosts of different regions have no network in common but the one that joins regions, and every link between them
/// is shaped without being named.
#[tokio::test(flavor = "multi_thread")]
async fn regions_are_joined_by_shaped_links() {
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    let mut far = topology.regions[0].clone();
    far.name = "far".to_owned();
    far.hosts = vec![topology.regions[0].hosts.remove(2)];
    topology.regions.push(far);
    // The standby of the far region streams: that is part of being ready.
    let mut bench = Bench::of("regions", topology).await;
    bench.inject("link_latency", "node1", &[("to", "region far"), ("ports", "8008"), ("round_trip", "60 ms")]).await;
    let across = round_trip_ms(&bench, "node1", "node3", PATRONI).await.unwrap();
    assert!((54.0..100.0).contains(&across), "{across} ms");
    let within = round_trip_ms(&bench, "node1", "node2", PATRONI).await.unwrap();
    assert!(within < 40.0, "{within} ms");
    bench.heal().await;
    let shaped = bench.output("node1", "nft list table ip pgquake_links").await;
    let streaming = "dport 8008 counter packets 0";
    assert!(shaped.contains("dnat to 127.0.1.") && !shaped.contains(streaming), "{shaped}");
    bench.finish(1, false).await;
}
