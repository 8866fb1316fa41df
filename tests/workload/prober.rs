//! The prober is right: it measures an outage of known length, with the load of a drill running beside it.

use std::time::Duration;

use crate::{
    gate::{Gate, Passage},
    postgres::{Postgres, access, plan},
};
use pgquake::{
    checks::course::{
        outage::{Window, outages},
        record::attempts,
    },
    history::{Event, Recorder, event::Operation, read_history},
    workload::{LoadSpec, Workload},
};

/// The error that is allowed, as the project promises it.
const TOLERANCE_MS: f64 = 25.0;
/// A machine is quiet while nine of ten healthy attempts end within this time.
const QUIET_MS: f64 = 12.0;
/// How often a cut is made on a machine that is not quiet: one right measurement is enough there.
const TRIES: usize = 6;
/// On a quiet machine a wrong measurement must be outvoted: two right ones before three wrong ones.
const WRONG_WHEN_QUIET: usize = 3;

/// How the endpoint is cut, and for how long, in milliseconds.
const CUTS: &[(Passage, u64)] = &[
    (Passage::Reset, 200),
    (Passage::Silent, 200),
    (Passage::Reset, 500),
    (Passage::Silent, 500),
    (Passage::Reset, 1_000),
    (Passage::Silent, 1_000),
    (Passage::Silent, 3_000),
    (Passage::Reset, 10_000),
];

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_measured_to_25_ms() {
    let rig = Rig::start().await;
    for (passage, length_ms) in CUTS {
        rig.cut(*passage, *length_ms).is_measured_right().await;
    }
    rig.load.stop().await.unwrap();
}

/// Makes each cut once and gives the error of its measurement, in milliseconds, for the benchmark to print.
#[allow(dead_code, reason = "the benchmark uses it, the test does not")]
pub async fn errors_ms() -> Vec<(Passage, u64, f64)> {
    let rig = Rig::start().await;
    let mut errors = Vec::new();
    for (passage, length_ms) in CUTS {
        let (error_ms, _) = rig.cut(*passage, *length_ms).error_and_latency_ms().await;
        errors.push((*passage, *length_ms, error_ms));
    }
    rig.load.stop().await.unwrap();
    errors
}

/// A PostgreSQL behind a gate, under the load of a drill.
struct Rig {
    gate: Gate,
    load: Workload,
    recorder: Recorder,
    _postgres: Postgres,
    _folder: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let postgres = Postgres::start(true).await;
        let gate = Gate::to(postgres.port).await;
        let plan = plan(&["node1", "node2"]);
        let access = access(gate.port, &[("node1", postgres.port), ("node2", postgres.standby_port.unwrap())]);
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap().for_scenario(1);
        let spec = LoadSpec::of(4, 25);
        let load = Workload::start(&plan, &access, &recorder, spec).unwrap();
        load.wait_for_steady_state(Duration::from_secs(20)).await.unwrap();
        // As from a fault on.
        load.measure_closely(true);
        Self { gate, load, recorder, _postgres: postgres, _folder: folder }
    }

    fn cut(&self, passage: Passage, length_ms: u64) -> Cut<'_> {
        let length = Duration::from_millis(length_ms);
        Cut { gate: &self.gate, load: &self.load, recorder: &self.recorder, passage, length }
    }
}

struct Cut<'a> {
    gate: &'a Gate,
    load: &'a Workload,
    recorder: &'a Recorder,
    passage: Passage,
    length: Duration,
}

impl Cut<'_> {
    /// Cuts and measures. Where something else keeps the machine busy an attempt may take longer than the tolerance,
    /// and on a quiet one the phase of the schedule and one slow attempt may add up to more than it; so a single
    /// measurement may fail. A prober that is wrong fails always.
    async fn is_measured_right(&self) {
        let (mut errors_ms, mut right, mut wrong_when_quiet) = (Vec::new(), 0, 0);
        while errors_ms.len() < TRIES && wrong_when_quiet < WRONG_WHEN_QUIET {
            let (error_ms, healthy_ms) = self.error_and_latency_ms().await;
            println!(
                "{:?} {:?}: error {error_ms:+.1} ms, a healthy attempt {healthy_ms:.1} ms",
                self.passage, self.length
            );
            errors_ms.push(error_ms);
            right += usize::from(error_ms.abs() <= TOLERANCE_MS);
            wrong_when_quiet += usize::from(error_ms.abs() > TOLERANCE_MS && healthy_ms <= QUIET_MS);
            if right > wrong_when_quiet.min(1) {
                return;
            }
        }
        panic!("a cut of {:?} ({:?}) was measured with errors of {errors_ms:.1?} ms", self.length, self.passage);
    }

    /// The error of the measured outage, and the time in which nine of ten healthy attempts around it ended.
    async fn error_and_latency_ms(&self) -> (f64, f64) {
        let second = Duration::from_secs(1);
        self.load.wait_for_steady_state(30 * second).await.unwrap();
        let (from, length_ms) = self.gate.cut(self.passage, self.length).await;
        let over_us = self.recorder.now_us();
        self.load.wait_for_recovery(over_us, 2 * second, 20 * second).await.unwrap();
        let window = Window { from_us: self.recorder.at_us(from), until_us: over_us + 2_000_000, ended_by_fault: true };
        let path = self.recorder.path().to_owned();
        // Not on a thread that the load needs.
        let judged = tokio::task::spawn_blocking(move || judge(&read_history(&path).unwrap(), window, over_us));
        let (measured_ms, healthy_ms) = judged.await.unwrap();
        (measured_ms - length_ms, healthy_ms)
    }
}

fn judge(events: &[Event], window: Window, over_us: u64) -> (f64, f64) {
    let fresh = attempts(events).into_iter().filter(|tried| tried.is_fresh("write", Operation::Write));
    let tried: Vec<_> = fresh.filter(|tried| tried.ended_us > window.from_us - 1_000_000).collect();
    let found = outages(&tried, window);
    let made = found.first().expect("an outage");
    let measured_ms = made.length_us(window.until_us) as f64 / 1000.0;
    if found.len() > 1 {
        // The machine stood still once more.
        return (measured_ms, f64::INFINITY);
    }
    let settled_us = over_us + 300_000;
    let mut healthy: Vec<_> = tried
        .iter()
        .filter(|tried| tried.ended_us < window.from_us || tried.started_us() > settled_us)
        .map(|tried| tried.ended_us - tried.started_us())
        .collect();
    healthy.sort_unstable();
    (measured_ms, healthy[healthy.len() * 9 / 10] as f64 / 1000.0)
}
