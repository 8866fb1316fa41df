//! The figures that the project promises, measured on this machine: start-up, removal, and the prober's error.
//!
//! `cargo bench --profile dev` builds nothing anew. Run it on a quiet machine.

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/workload/gate.rs"]
mod gate;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/workload/postgres.rs"]
mod postgres;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/workload/prober.rs"]
mod prober;

use std::time::Duration;

use pgquake::{
    drill::DrillContext,
    engine::{Engine, leftovers::Ownership},
    history::Recorder,
    plan::Plan,
    topology,
};

const ROUNDS: u32 = 5;

#[tokio::main]
async fn main() {
    let (startups, removals) = clusters().await;
    println!("start-up of single-region, writable with two streaming standbys: {}", spread(startups));
    println!("removal: {}", spread(removals));
    println!("prober's error, with the load of a drill beside it:");
    for (passage, length_ms, error_ms) in prober::errors_ms().await {
        println!("  {passage:?} for {length_ms} ms: {error_ms:+.1} ms");
    }
}

async fn clusters() -> (Vec<Duration>, Vec<Duration>) {
    let engine = Engine::connect().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = format!("bench-{}", std::process::id());
    let ownership = Ownership::of(&run).unwrap();
    let plan = Plan::new(topology::load("single-region", &[]).unwrap());
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine, recorder, &run, ownership.label(), folder.path());
    let (mut startups, mut removals) = (Vec::new(), Vec::new());
    for scenario in 1..=ROUNDS {
        let (cluster, took) = context.start(&plan, scenario).await.unwrap();
        startups.push(took);
        removals.push(cluster.remove().await.unwrap());
    }
    (startups, removals)
}

/// Least, median and most, in seconds.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |index: usize| times[index].as_secs_f64();
    format!(
        "min {:.2} s, median {:.2} s, max {:.2} s of {}",
        at(0),
        at(times.len() / 2),
        at(times.len() - 1),
        times.len()
    )
}
