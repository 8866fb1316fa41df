//! Clocks of nodes.

use pgquake::topology;

use super::bench::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn one_clock_is_wrong_and_the_others_are_right() {
    let mut prepared = topology::load("single-region-fast", &[]).unwrap();
    prepared.prepare.clocks = true;
    let mut bench = Bench::of("clock", prepared).await;

    bench.inject("clock_offset", "node2", &[("by", "60 s")]).await;
    assert!(ahead_s(&bench, "node2").await > 59.0);
    assert!(ahead_s(&bench, "node1").await.abs() < 0.5);
    // The clock that timeouts go by is right: a pause of 200 ms takes as long.
    let begun = std::time::Instant::now();
    bench.system.sql_value("node2", "SELECT pg_sleep(0.2)").await.unwrap();
    assert!(begun.elapsed().as_secs_f64() < 5.0);
    bench.heal().await;
    assert!(ahead_s(&bench, "node2").await.abs() < 0.5);

    // A jump comes back by itself.
    let jump = [("by", "30 s"), ("direction", "behind"), ("back_after", "4 s")];
    bench.inject("clock_jump", "node2", &jump).await;
    assert!(ahead_s(&bench, "node2").await < -29.0);
    bench.heal().await;

    bench.inject("clock_rate", "node3", &[("rate", "2")]).await;
    let first_s = ahead_s(&bench, "node3").await;
    let slept = bench.system.sql_value("node2", "SELECT pg_sleep(1)").await;
    assert!(slept.is_ok());
    assert!(ahead_s(&bench, "node3").await > first_s + 0.8);
    assert!(ahead_s(&bench, "node2").await.abs() < 0.5);
    bench.heal().await;

    let refused = bench.refused("clock_offset", "node1", &[("by", "60 s"), ("service", "etcd")]).await;
    assert!(refused.contains("etcd is a Go program"), "{refused}");
    let refused = bench.refused("clock_jump", "node1", &[("by", "60 s"), ("back_after", "1 s")]).await;
    assert!(refused.contains("less than 3 s"), "{refused}");
    let refused = bench.refused("clock_rate", "node1", &[("rate", "1.01")]).await;
    assert!(refused.contains("at least 0.1 from 1"), "{refused}");

    bench.finish(3, false).await;
}

async fn ahead_s(bench: &Bench, node: &str) -> f64 {
    bench.system.postgresql_ahead_s(node).await.unwrap()
}
