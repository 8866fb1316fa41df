//! The harness's own timers: on a starved machine a slow harness looks like a slow database.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{Observer, ObserverError, Pulse, Scene, Watch};
use crate::history::{Occurrence, Recorder};

pub(super) const OBSERVER: Observer = Observer {
    name: "timers",
    watches: "how late a timer of the harness fires that is due every 10 ms; the worst of each second",
    watch,
};

const TICK: Duration = Duration::from_millis(10);
const SUMMARY: Duration = Duration::from_secs(1);
/// Lateness below this is a timer's resolution and not worth an event …
const WORTH_TELLING: Duration = Duration::from_millis(2);
/// … unless this long has passed, so that a reader knows that timers were watched.
const TELL_AT_LEAST: Duration = Duration::from_secs(5);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    Ok(vec![Watch::new("harness", watch_timers(scene.recorder.clone()))])
}

async fn watch_timers(recorder: Recorder) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, "harness", &recorder);
    let mut last_told: Option<Instant> = None;
    loop {
        let worst = worst_lateness(SUMMARY).await;
        if worst > WORTH_TELLING || last_told.is_none_or(|told| told.elapsed() >= TELL_AT_LEAST) {
            last_told = Some(Instant::now());
            let late_us = u64::try_from(worst.as_micros()).unwrap_or(u64::MAX);
            recorder.record(Occurrence::TimerLate { late_us });
        }
        pulse.beat();
    }
}

/// The worst lateness of the ticks of this span. A tick that was missed because another came late is not counted
/// twice.
async fn worst_lateness(span: Duration) -> Duration {
    let end = Instant::now() + span;
    let mut worst = Duration::ZERO;
    while Instant::now() < end {
        let due = Instant::now() + TICK;
        sleep_until(due).await;
        worst = worst.max(due.elapsed());
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocked_runtime_is_seen() {
        // One thread: whoever blocks it makes every timer late.
        let measured = tokio::spawn(worst_lateness(Duration::from_millis(200)));
        tokio::task::yield_now().await;
        std::thread::sleep(Duration::from_millis(80));
        assert!(measured.await.unwrap() >= Duration::from_millis(60));
    }
}
