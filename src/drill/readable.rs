//! Whether new clients can read: what a drill waits for in the end, so that the end of the load cuts off no outage of reads.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::condition::Watch;
use crate::{
    history::{
        Event, Recorder,
        event::{Attempt, AttemptOutcome, ClientKind, Operation},
    },
    topology::READ,
    waiting::NotReady,
};

/// Nobody was served a read yet, or the last one was refused.
const NOT_NOW: u64 = u64::MAX;

/// Since when no new client was refused a read, in microseconds of the run.
pub(super) struct Readable(AtomicU64);

impl Default for Readable {
    fn default() -> Self {
        Self(AtomicU64::new(NOT_NOW))
    }
}

impl Readable {
    /// Takes one more attempt in.
    pub(super) fn note(&self, attempt: &Attempt) {
        let is_new_reader = attempt.client_kind == ClientKind::Fresh && attempt.operation == Operation::Read;
        if !is_new_reader || attempt.endpoint != READ {
            return;
        }
        let since_us = match attempt.outcome {
            AttemptOutcome::Acknowledged { .. } => self.since_us().min(attempt.started_us),
            _ => NOT_NOW,
        };
        self.0.store(since_us, Ordering::Relaxed);
    }

    fn since_us(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Waits until new clients have been served every read for a time.
    pub(super) async fn wait_for_reads(
        &self,
        recorder: &Recorder,
        settle: Duration,
        deadline: Duration,
    ) -> Result<(), NotReady> {
        let settle_us = u64::try_from(settle.as_micros()).unwrap_or(u64::MAX);
        let served = |_: &[Event]| {
            let since_us = self.readable.since_us();
            (since_us.saturating_add(settle_us) <= recorder.now_us()).then_some(())
        };
        self.find("reads that succeed", deadline, served).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Occurrence;

    #[tokio::test]
    async fn reads_have_come_back_when_none_was_refused_for_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap().for_scenario(1);
        let watch = Watch::start(&recorder, Vec::new());
        let read = |served: bool| {
            let outcome = match served {
                true => AttemptOutcome::Acknowledged { node: "node2".to_owned(), timeline: 1, lsn: 1 },
                false => AttemptOutcome::Refused { sqlstate: None, message: "no".to_owned(), contact: None },
            };
            recorder.record(Occurrence::Attempt(Attempt {
                client_kind: ClientKind::Fresh,
                endpoint: READ.to_owned(),
                operation: Operation::Read,
                client: 1,
                sequence: 1,
                started_us: recorder.now_us(),
                outcome,
                saw: None,
                led_to: None,
            }));
            recorder.record(Occurrence::LeaseRefreshed { revision: 1, cluster: None });
        };
        let wait =
            |deadline_ms| watch.wait_for_reads(&recorder, Duration::from_millis(5), Duration::from_millis(deadline_ms));
        assert!(wait(20).await.is_err(), "nobody read");
        read(true);
        read(false);
        let missed = wait(20).await.unwrap_err().to_string();
        assert!(missed.starts_with("reads that succeed did not come within"), "{missed}");
        let reading = async {
            let mut pace = tokio::time::interval(Duration::from_millis(2));
            loop {
                pace.tick().await;
                read(true);
            }
        };
        tokio::select! {
            waited = wait(5_000) => waited.unwrap(),
            () = reading => unreachable!("it goes on"),
        }
    }
}
