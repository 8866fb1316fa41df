//! The open-loop prober: attempts start on a schedule and do not wait for each other, each on a fresh connection. What
//! it measures as an outage does not depend on how long a single request hangs.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

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
/// An endpoint at which a client of any kind failed within this time is measured closely: as long as a recovery takes to
/// settle, so that the attempts that prove it are dense.
const CLOSE_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// With this many attempts in flight no more than usual are started: where all time out, they are not to multiply.
const DENSE_UP_TO: usize = 64;

/// How often attempts start on an endpoint.
///
/// Each fresh connection costs its server a process: measured on a small virtual machine 7 ms of CPU, against 0.3 ms
/// for a write on a held session. So attempts are dense only where they measure: on the endpoint that clients write
/// to, from a fault until writes have recovered, whenever a client of any kind fails there, and denser while it fails and
/// they cost a server little. Denser still would be worse: attempts pile up behind an endpoint that hangs, are all served
/// together when it wakes, and delay the recovery that they are to measure.
///
/// The error of a measured outage is at most one close period at its begin, and one failing period and the time of one
/// attempt at its end; the two have opposite signs. An outage that nobody expected begins in a calm period: held
/// sessions and writers show its begin, and where these go on (new connections alone are refused) the calm period is
/// the error.
pub(super) struct Schedule {
    calm: Duration,
    close: Duration,
    failing: Duration,
}

impl Schedule {
    /// Held sessions watch nodes and the read endpoint every 20 ms; fresh connections show there what new clients
    /// get, not when to the millisecond.
    pub(super) fn of(endpoint: &str) -> Self {
        let (calm_ms, close_ms, failing_ms) = match endpoint {
            "write" => (100, 20, 10),
            "read" => (200, 200, 200),
            _ => (500, 500, 500),
        };
        let [calm, close, failing] = [calm_ms, close_ms, failing_ms].map(Duration::from_millis);
        Self { calm, close, failing }
    }

    pub(super) fn calm(&self) -> Duration {
        self.calm
    }

    /// The time from an attempt to the next one, as things stand.
    fn period(&self, client: &Client, in_flight: usize) -> Duration {
        let now_us = client.load.recorder.now_us();
        let failing = client.target.unserved(now_us) > FAILING_AFTER;
        let closely = client.load.closely.load(Ordering::Relaxed)
            || failing
            || client.target.failed_within(CLOSE_AFTER_FAILURE, now_us);
        match (closely, failing) {
            (_, true) if in_flight < DENSE_UP_TO => self.failing,
            (true, _) => self.close,
            (false, _) => self.calm,
        }
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
    let mut last = first;
    for sequence in 1.. {
        loop {
            tokio::select! {
                biased;
                () = client.load.stop.cancelled() => return drain(in_flight).await,
                Some(ended) = in_flight.join_next() => if let Err(failure) = ended {
                    return drain(in_flight).await.and(Err(failure));
                },
                () = sleep_until(due) => break,
                // What fails now is not left to a calm period that has just begun.
                () = client.target.attention.notified() => {
                    due = due.min(Instant::now().max(last + schedule.period(&client, in_flight.len())));
                }
            }
        }
        in_flight.spawn(probe(client.clone(), sequence, client.load.recorder.at_us(due.into_std())));
        last = due;
        due += schedule.period(&client, in_flight.len());
    }
    drain(in_flight).await
}

async fn probe(client: Arc<Client>, sequence: u64, due_us: u64) {
    if let Some(session) = client.attempt(None, sequence, due_us, ATTEMPT_TIMEOUT).await {
        session.close().await;
    }
}

/// Waits for every attempt in flight, also after one of them failed: what was sent must be recorded.
async fn drain(mut in_flight: JoinSet<()>) -> Result<(), JoinError> {
    let mut first_failure = Ok(());
    while let Some(ended) = in_flight.join_next().await {
        first_failure = first_failure.and(ended);
    }
    first_failure
}
