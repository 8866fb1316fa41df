//! Conditions over the attempts as they are recorded: the steady state before a fault, recovery after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::broadcast::error::RecvError, time::Instant};

use crate::{
    history::{
        Event, Occurrence, Recorder,
        event::{Attempt, AttemptOutcome, ClientKind},
    },
    waiting::NotReady,
};

/// A second of steady load shows at least this many attempts of the prober on `write`: most of those that are due.
const PROBES_IN_STEADY_SECOND: u32 = 8;
/// Writes that each writer must have acknowledged.
const WRITES_OF_EACH_WRITER: u32 = 5;
const STEADY_FOR_US: u64 = 1_000_000;

/// Something that attempts make come true.
trait Condition {
    const AWAITED: &'static str;
    /// Takes one more attempt in and says whether the condition holds.
    fn holds_after(&mut self, attempt: &Attempt, at_us: u64) -> bool;
    /// Events were missed: nothing seen so far counts.
    fn start_over(&mut self);
    /// What did not come, with counts.
    fn missing(&self) -> String;
}

pub(super) async fn steady_state(
    recorder: &Recorder,
    (writers, application_clients): (u32, u32),
    endpoints: &[String],
    deadline: Duration,
) -> Result<(), NotReady> {
    let steady = Steady { application_clients, ..Steady::new(recorder.now_us(), writers, endpoints) };
    wait_for(steady, recorder, deadline).await
}

pub(super) async fn recovery(
    recorder: &Recorder,
    after_us: u64,
    settle: Duration,
    deadline: Duration,
) -> Result<(), NotReady> {
    let settle_us = u64::try_from(settle.as_micros()).unwrap_or(u64::MAX);
    wait_for(Recovery { after_us, settle_us, seen: BTreeMap::new() }, recorder, deadline).await
}

async fn wait_for<C: Condition>(mut condition: C, recorder: &Recorder, deadline: Duration) -> Result<(), NotReady> {
    let mut events = recorder.listen();
    let until = Instant::now() + deadline;
    let mut last_failure = None;
    loop {
        let event: Arc<Event> = match tokio::time::timeout_at(until, events.recv()).await {
            Ok(Ok(event)) => event,
            Ok(Err(RecvError::Lagged(_))) => {
                condition.start_over();
                continue;
            }
            // The recorder outlives this borrow of it, so its channel cannot be closed.
            Ok(Err(RecvError::Closed)) | Err(_) => {
                let last = last_failure
                    .map_or("no attempt failed".to_owned(), |failure| format!("the last failure was {failure}"));
                let reason = format!("{}; {last}", condition.missing());
                return Err(NotReady::new(C::AWAITED, deadline, reason));
            }
        };
        let attempt = match &event.what {
            Occurrence::Attempt(attempt) => attempt,
            Occurrence::DatabaseWrite(into) => &into.write,
            _ => continue,
        };
        if event.scenario != recorder.scenario() {
            continue;
        }
        if matters(attempt)
            && let AttemptOutcome::Refused { message, .. } | AttemptOutcome::Unknown { message } = &attempt.outcome
        {
            last_failure = Some(format!("at {}: {message}", attempt.endpoint));
        }
        if condition.holds_after(attempt, event.at_us) {
            return Ok(());
        }
    }
}

/// Attempts on the endpoints that applications use. A standby that refuses a write is as it should be.
fn matters(attempt: &Attempt) -> bool {
    attempt.client_kind == ClientKind::Writer || matches!(attempt.endpoint.as_str(), "write" | "read")
}

fn acknowledged(attempt: &Attempt) -> bool {
    matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. })
}

/// At least a second without a failure at `write` and `read`, and enough attempts in it to mean something.
struct Steady {
    since_us: u64,
    writers: u32,
    /// How many clients applications have.
    application_clients: u32,
    expects_reads: bool,
    probes: u32,
    reads: u32,
    acknowledged_of: BTreeMap<u32, u32>,
    /// Clients of applications with an acknowledged write.
    served: BTreeSet<u32>,
    /// Endpoints without a held session so far.
    unheld: BTreeSet<String>,
}

impl Steady {
    fn new(now_us: u64, writers: u32, endpoints: &[String]) -> Self {
        Self {
            since_us: now_us,
            writers,
            application_clients: 0,
            expects_reads: endpoints.iter().any(|endpoint| endpoint == "read"),
            probes: 0,
            reads: 0,
            acknowledged_of: BTreeMap::new(),
            served: BTreeSet::new(),
            unheld: endpoints.iter().cloned().collect(),
        }
    }

    fn busy_writers(&self) -> usize {
        self.acknowledged_of.values().filter(|count| **count >= WRITES_OF_EACH_WRITER).count()
    }
}

impl Condition for Steady {
    const AWAITED: &'static str = "the steady state";

    fn holds_after(&mut self, attempt: &Attempt, at_us: u64) -> bool {
        if attempt.client_kind == ClientKind::Held {
            self.unheld.remove(&attempt.endpoint);
        }
        if matters(attempt) && !acknowledged(attempt) {
            self.start_over();
            self.since_us = at_us;
            return false;
        }
        match (attempt.client_kind, attempt.endpoint.as_str()) {
            (ClientKind::Writer, _) => *self.acknowledged_of.entry(attempt.client).or_default() += 1,
            (ClientKind::Application, _) if acknowledged(attempt) => _ = self.served.insert(attempt.client),
            (ClientKind::Fresh, "write") => self.probes += 1,
            (ClientKind::Fresh, "read") => self.reads += 1,
            _ => {}
        }
        at_us.saturating_sub(self.since_us) >= STEADY_FOR_US
            && self.probes >= PROBES_IN_STEADY_SECOND
            && (self.reads > 0 || !self.expects_reads)
            && self.busy_writers() >= self.writers as usize
            && self.unheld.is_empty()
            && self.served.len() >= self.application_clients as usize
    }

    fn start_over(&mut self) {
        (self.probes, self.reads) = (0, 0);
        self.acknowledged_of.clear();
    }

    fn missing(&self) -> String {
        let mut missing = format!(
            "since the last failure {} of {PROBES_IN_STEADY_SECOND} fresh writes succeeded and {} of {} writers had \
             {WRITES_OF_EACH_WRITER} writes acknowledged",
            self.probes,
            self.busy_writers(),
            self.writers
        );
        if self.expects_reads {
            missing += &format!(", {} fresh reads succeeded", self.reads);
        }
        if self.served.len() < self.application_clients as usize {
            missing += &format!(
                ", {} of {} clients of applications had a write acknowledged",
                self.served.len(),
                self.application_clients
            );
        }
        if !self.unheld.is_empty() {
            let unheld = self.unheld.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            missing += &format!(", and no held session on {unheld}");
        }
        missing
    }
}

/// An unbroken run of successes on fresh connections to `write` that spans the settling time. A run is unbroken
/// when no attempt in it failed or is still in flight, which the sequence shows.
struct Recovery {
    after_us: u64,
    settle_us: u64,
    /// By sequence: when it was due, and whether it succeeded. The oldest are forgotten when one after them fails.
    seen: BTreeMap<u64, (u64, bool)>,
}

impl Recovery {
    /// The longest run that no later failure breaks, in microseconds from due time to due time.
    fn longest_run_us(&self) -> u64 {
        let mut longest = 0;
        let mut run: Option<(u64, u64)> = None;
        for (&sequence, &(started_us, succeeded)) in &self.seen {
            if !succeeded {
                (longest, run) = (0, None);
                continue;
            }
            let began_us = match run {
                Some((last, began_us)) if last + 1 == sequence => began_us,
                _ => started_us,
            };
            run = Some((sequence, began_us));
            longest = longest.max(started_us - began_us);
        }
        longest
    }
}

impl Condition for Recovery {
    const AWAITED: &'static str = "recovery of writes";

    fn holds_after(&mut self, attempt: &Attempt, _at_us: u64) -> bool {
        let probe = attempt.client_kind == ClientKind::Fresh && attempt.endpoint == "write";
        if !probe || attempt.started_us < self.after_us {
            return false;
        }
        self.seen.insert(attempt.sequence, (attempt.started_us, acknowledged(attempt)));
        if !acknowledged(attempt) {
            self.seen = self.seen.split_off(&attempt.sequence);
            return false;
        }
        self.longest_run_us() >= self.settle_us
    }

    fn start_over(&mut self) {
        self.seen.clear();
    }

    fn missing(&self) -> String {
        format!(
            "the longest run of successful fresh writes lasted {} ms of {} ms",
            self.longest_run_us() / 1000,
            self.settle_us / 1000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::event::Operation;

    fn probe(sequence: u64, succeeded: bool) -> Attempt {
        let outcome = if succeeded {
            AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 }
        } else {
            AttemptOutcome::Refused { sqlstate: None, message: "no".to_owned(), contact: None }
        };
        Attempt {
            client_kind: ClientKind::Fresh,
            endpoint: "write".to_owned(),
            operation: Operation::Write,
            client: 1,
            sequence,
            started_us: sequence * 10_000,
            outcome,
            saw: None,
            led_to: None,
        }
    }

    fn recovered_at(attempts: impl IntoIterator<Item = Attempt>) -> Option<u64> {
        let mut recovery = Recovery { after_us: 500_000, settle_us: 100_000, seen: BTreeMap::new() };
        attempts.into_iter().find(|attempt| recovery.holds_after(attempt, 0)).map(|attempt| attempt.sequence)
    }

    #[test]
    fn recovery_needs_a_whole_settling_time_after_the_instant() {
        assert_eq!(recovered_at((1..100).map(|sequence| probe(sequence, true))), Some(60));
    }

    #[test]
    fn a_lucky_hit_is_no_recovery() {
        assert_eq!(recovered_at((50..200).map(|sequence| probe(sequence, sequence % 8 == 0))), None);
        assert_eq!(recovered_at((50..100).map(|sequence| probe(sequence, sequence > 70))), Some(81));
    }

    #[test]
    fn an_attempt_in_flight_is_no_success_and_its_late_failure_breaks_the_run() {
        let hanging = (50..65).filter(|sequence| *sequence != 55).map(|sequence| probe(sequence, true));
        assert_eq!(recovered_at(hanging.clone()), None);
        assert_eq!(recovered_at(hanging.chain([probe(55, false), probe(65, true)])), None);
        let late = (50..65).filter(|sequence| *sequence != 55).map(|sequence| probe(sequence, true));
        assert_eq!(recovered_at(late.chain([probe(55, true)])), Some(55));
    }

    fn steady(attempts: &[(Attempt, u64)]) -> bool {
        let mut steady = Steady::new(0, 1, &["write".to_owned()]);
        attempts.iter().any(|(attempt, at_us)| steady.holds_after(attempt, *at_us))
    }

    fn of_kind(kind: ClientKind, attempt: Attempt) -> Attempt {
        Attempt { client_kind: kind, client: 9, ..attempt }
    }

    #[test]
    fn steady_state_needs_a_second_without_failure_of_every_kind_of_client() {
        let all = |broken_at: Option<u64>| -> Vec<_> {
            (1..=150)
                .flat_map(|sequence| {
                    let at_us = sequence * 10_000;
                    [
                        (probe(sequence, Some(sequence) != broken_at), at_us),
                        (of_kind(ClientKind::Writer, probe(sequence, true)), at_us),
                        (of_kind(ClientKind::Held, probe(sequence, true)), at_us),
                    ]
                })
                .collect()
        };
        assert!(steady(&all(None)));
        assert!(steady(&all(Some(20))));
        assert!(!steady(&all(Some(80))));
        for kind in [ClientKind::Fresh, ClientKind::Writer, ClientKind::Held] {
            let without: Vec<_> = all(None).into_iter().filter(|(attempt, _)| attempt.client_kind != kind).collect();
            assert!(!steady(&without), "{kind:?} was not missed");
        }
    }
}
