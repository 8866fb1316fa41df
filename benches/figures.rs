//! The figures that the project promises, measured on this machine: start-up, removal, the prober's error, and what a
//! shaped link costs.
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
const REGION_ROUNDS: u32 = 3;

/// pgbench's rounds over the shaped and the direct link, by turns.
const LINK_ROUNDS: u32 = 3;
const LINK_ROUND_S: u32 = 5;

#[tokio::main]
async fn main() {
    // `cargo bench -- links` measures the links alone, `-- regions` what two regions cost.
    let only = |part: &str| std::env::args().any(|argument| argument == part);
    if only("regions") {
        regions().await;
    } else if only("links") {
        links().await;
    } else {
        systems_and_prober().await;
        links().await;
        regions().await;
    }
}

/// Two regions: from the first container until both stream and clients write, by step; memory, removal, and what a client
/// feels of the round trip between them.
async fn regions() {
    let engine = Engine::connect().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = format!("bench-regions-{}", std::process::id());
    let ownership = Ownership::of(&run).unwrap();
    let plan = Plan::new(topology::load("two-region", &[]).unwrap());
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine.clone(), recorder, &run, ownership.label(), folder.path());
    let (mut startups, mut removals) = (Vec::new(), Vec::new());
    for scenario in 1..=REGION_ROUNDS {
        let (system, took) = context.start(&plan, scenario).await.unwrap();
        if scenario == 1 {
            print_steps(&system);
            println!(
                "round trip of SELECT 1 between the regions: {:.1} ms of 60",
                region_round_trip_ms(&engine, &system).await
            );
        }
        startups.push(took);
        removals.push(system.remove().await.unwrap());
    }
    println!("start-up of two-region, both regions streaming: {}", spread(startups));
    println!("removal of two-region: {}", spread(removals));
}

/// Where the time of a start goes.
fn print_steps(system: &pgquake::system::System) {
    for (what, after) in system.startup_steps() {
        println!("  {:6.2} s  {what}", after.as_secs_f64());
    }
}

/// What a session from the second region to a node of the first one waits for an answer: pgbench's average.
async fn region_round_trip_ms(engine: &Engine, system: &pgquake::system::System) -> f64 {
    let primary = system.leader().await.expect("a primary");
    let shell = engine.shell_in(system.service("west1", topology::ServiceKind::Patroni).unwrap());
    let password = &system.access().credentials.superuser_password;
    shell.must("echo 'SELECT 1;' > /tmp/one.sql; chmod 644 /tmp/one.sql").await.unwrap();
    let script = format!(
        "cd /tmp && setpriv --reuid=postgres --clear-groups env PGPASSWORD={password} \
         pgbench -h {primary} -U postgres -T {LINK_ROUND_S} -n -c 1 -f /tmp/one.sql postgres 2>&1"
    );
    figures(&shell.run_within(&script, Duration::from_secs(60)).await.unwrap().text).1
}

async fn systems_and_prober() {
    let (startups, removals) = systems().await;
    println!("start-up of single-region, writable with two streaming standbys: {}", spread(startups));
    println!("removal: {}", spread(removals));
    println!("prober's error, with the load of a drill beside it:");
    for (passage, length_ms, error_ms) in prober::errors_ms().await {
        println!("  {passage:?} for {length_ms} ms: {error_ms:+.1} ms");
    }
}

async fn systems() -> (Vec<Duration>, Vec<Duration>) {
    let engine = Engine::connect().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = format!("bench-{}", std::process::id());
    let ownership = Ownership::of(&run).unwrap();
    let plan = Plan::new(topology::load("single-region", &[]).unwrap());
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine, recorder, &run, ownership.label(), folder.path());
    let (mut startups, mut removals) = (Vec::new(), Vec::new());
    for scenario in 1..=ROUNDS {
        let (system, took) = context.start(&plan, scenario).await.unwrap();
        if scenario == 1 {
            print_steps(&system);
        }
        startups.push(took);
        removals.push(system.remove().await.unwrap());
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

/// pgbench from one node to another, over the shaped link and over the direct one by turns: Toxiproxy's own user is
/// spared by the rule that leads connections to it, so that as this user the same program goes directly.
async fn links() {
    let engine = Engine::connect().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let run = format!("bench-links-{}", std::process::id());
    let ownership = Ownership::of(&run).unwrap();
    let mut topology = topology::load("single-region-fast", &[]).unwrap();
    let nodes = topology.nodes();
    topology.shape_links_between(&nodes);
    let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap();
    let context = DrillContext::new(engine.clone(), recorder, &run, ownership.label(), folder.path());
    let (system, _) = context.start(&Plan::new(topology), 1).await.unwrap();
    let primary = system.leader().await.expect("a primary");
    let from = nodes.iter().find(|node| **node != primary).expect("a standby");
    let shell = engine.shell_in(system.service(from, topology::ServiceKind::Patroni).unwrap());
    let password = &system.access().credentials.superuser_password;
    let pgbench = |user: &str, arguments: String| {
        let script = format!(
            "cd /tmp && setpriv --reuid={user} --clear-groups env PGPASSWORD={password} \
             pgbench -h {primary} -U postgres {arguments} postgres 2>&1"
        );
        let shell = &shell;
        async move { shell.run_within(&script, Duration::from_secs(60)).await.unwrap().text }
    };
    pgbench("postgres", "-i -s 5 -q".to_owned()).await;
    for (what, arguments) in [("TPC-B, 4 clients", "-c 4"), ("round trip of SELECT 1", "-n -c 1 -f /tmp/one.sql")] {
        shell.must("echo 'SELECT 1;' > /tmp/one.sql; chmod 644 /tmp/one.sql").await.unwrap();
        let (mut direct, mut shaped) = (Vec::new(), Vec::new());
        for _ in 0..LINK_ROUNDS {
            let arguments = format!("-T {LINK_ROUND_S} {arguments}");
            direct.push(figures(&pgbench("7474", arguments.clone()).await));
            shaped.push(figures(&pgbench("postgres", arguments).await));
        }
        let (direct, shaped) = (median(direct), median(shaped));
        println!(
            "shaped link, {what}: {:.0} tps direct, {:.0} tps shaped ({:+.1} %); {:.3} ms direct, {:.3} ms shaped ({:+.3} ms)",
            direct.0,
            shaped.0,
            (shaped.0 / direct.0 - 1.0) * 100.0,
            direct.1,
            shaped.1,
            shaped.1 - direct.1,
        );
    }
    system.remove().await.unwrap();
}

/// Transactions per second and average latency in ms, from pgbench's report.
fn figures(report: &str) -> (f64, f64) {
    let after = |mark: &str| {
        let rest = &report[report.find(mark).unwrap_or_else(|| panic!("no `{mark}` in {report}")) + mark.len()..];
        rest.split_whitespace().next().and_then(|figure| figure.parse().ok()).expect("a figure")
    };
    (after("tps = "), after("latency average = "))
}

/// The round with the median throughput.
fn median(mut rounds: Vec<(f64, f64)>) -> (f64, f64) {
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds[rounds.len() / 2]
}
