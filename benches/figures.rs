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
    cluster::{Cluster, Startup},
    drill::DrillContext,
    engine::{Engine, labels::RunLabels, leftovers::Ownership},
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
    let context = DrillContext {
        engine: engine.clone(),
        recorder: Recorder::create(&folder.path().join("history.jsonl")).unwrap(),
        run: run.clone(),
        owner: ownership.label(),
        folder: folder.path().to_owned(),
        seed: 0,
        topology_folders: Vec::new(),
        topology_override: None,
        image_progress: Box::new(|_| {}),
        plans: Default::default(),
        versions: Default::default(),
    };
    let images = context.images(&plan).await.unwrap();
    let (mut startups, mut removals) = (Vec::new(), Vec::new());
    for scenario in 1..=ROUNDS {
        let labels = RunLabels { run: run.clone(), scenario, owner: ownership.label() };
        let logs = context.logs(scenario);
        let startup = Startup { engine: &engine, plan: plan.clone(), labels, images: &images, logs };
        let (cluster, took) = Cluster::start(startup).await.unwrap();
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
