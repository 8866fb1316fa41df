//! The open-loop prober: attempts start on a fixed schedule and do not wait for each other, each on a fresh
//! connection. What it measures as an outage does not depend on how long a single request hangs.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use super::client::Client;

/// An attempt without an answer after this time has failed. With the period it bounds the attempts in flight.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Without an acknowledgement to a client of any kind for this long the endpoint fails. Held sessions and writers
/// need little from a server, so one that is merely slow is not taken for one that fails and given more work.
const FAILING_AFTER: Duration = Duration::from_millis(150);
/// With this many attempts in flight no more than usual are started: where all time out, they are not to multiply.
const DENSE_UP_TO: usize = 64;

/// How often attempts start on an endpoint.
///
/// Each fresh connection costs its server a process: measured on a small virtual machine 7 ms of CPU, against 0.3 ms
/// for a write on a held session. So attempts are dense only where they measure: on the endpoint that clients write
/// to, and denser while it fails and they cost a server little. Denser still would be worse: attempts pile up behind
/// an endpoint that hangs, are all served together when it wakes, and delay the recovery that they are to measure.
///
/// The error of a measured outage is at most one healthy period at its begin, and one failing period and the time of
/// one attempt at its end; the two have opposite signs.
pub(super) struct Schedule {
    healthy: Duration,
    failing: Duration,
}

impl Schedule {
    /// Held sessions watch nodes and the read endpoint every 20 ms; fresh connections show there what new clients
    /// get, not when to the millisecond.
    pub(super) fn of(endpoint: &str) -> Self {
        let (healthy_ms, failing_ms) = match endpoint {
            "write" => (20, 10),
            "read" => (200, 200),
            _ => (500, 500),
        };
        Self { healthy: Duration::from_millis(healthy_ms), failing: Duration::from_millis(failing_ms) }
    }

    pub(super) fn healthy(&self) -> Duration {
        self.healthy
    }
}

/// Starts attempts at `first` and then on schedule until the load ends, and waits for those in flight.
///
/// No attempt waits for another, and none is left out: if this task ran late, those that were due start at once, and
/// `started_us` of each is when it was due.
pub(super) async fn run(client: Client, first: Instant, schedule: Schedule) -> Result<(), JoinError> {
    let client = Arc::new(client);
    let mut in_flight = JoinSet::new();
    let mut due = first;
    for sequence in 1.. {
        loop {
            tokio::select! {
                biased;
                () = client.load.stop.cancelled() => return drain(in_flight).await,
                Some(ended) = in_flight.join_next() => ended?,
                () = sleep_until(due) => break,
            }
        }
        let recorder = &client.load.recorder;
        let fails = client.target.unserved(recorder.now_us()) > FAILING_AFTER && in_flight.len() < DENSE_UP_TO;
        in_flight.spawn(probe(client.clone(), sequence, recorder.at_us(due.into_std())));
        due += if fails { schedule.failing } else { schedule.healthy };
    }
    drain(in_flight).await
}

async fn probe(client: Arc<Client>, sequence: u64, due_us: u64) {
    if let Some(session) = client.attempt(None, sequence, due_us, ATTEMPT_TIMEOUT).await {
        session.close().await;
    }
}

async fn drain(mut in_flight: JoinSet<()>) -> Result<(), JoinError> {
    while let Some(ended) = in_flight.join_next().await {
        ended?;
    }
    Ok(())
}
