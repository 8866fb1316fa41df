//! Writers: the load itself. Each holds one connection and writes on a schedule, one write at a time.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::client::Client;

/// A write without an answer after this time is unknown, and its connection is given up.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// The least time between two attempts to connect: an application's pause before it tries again.
const RECONNECT_INTERVAL: Duration = Duration::from_millis(200);

/// Writes until the load ends. Every attempt is recorded, also one that found no connection. Writes that fell due
/// while one waited for its answer are left out: a writer is a closed loop, the prober is the open one.
pub(super) async fn run(client: Client, rate_per_s: u32, phase: Duration) {
    let period = Duration::from_secs(1) / rate_per_s;
    let mut due = ticks(period, phase);
    let mut session = None;
    for sequence in 1.. {
        tokio::select! {
            biased;
            () = client.load.stop.cancelled() => break,
            _ = due.tick() => {}
        }
        let started_us = client.load.recorder.now_us();
        session = client.attempt(session, sequence, started_us, ATTEMPT_TIMEOUT).await;
        let pace = if session.is_some() { period } else { period.max(RECONNECT_INTERVAL) };
        if due.period() != pace {
            due = ticks(pace, pace);
        }
    }
    if let Some(session) = session {
        session.close().await;
    }
}

fn ticks(period: Duration, first_in: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + first_in, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}
