//! A client of the load: its number, where it connects, and how its attempts are recorded.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    LoadSpec,
    attempt::{self, Beside, Limit, Opened, Refusal},
    databases::Database,
};
use crate::{
    history::{
        Occurrence, Recorder,
        event::{Attempt, AttemptOutcome, ClientKind, Contact, DatabaseWrite, Operation},
    },
    system::{Entry, Login, Session, access::DATABASE},
};

/// What all clients of one load share.
pub(super) struct Load {
    pub recorder: Recorder,
    pub login: Login,
    /// How many writers there are. They have the first numbers.
    pub writers: u32,
    /// What each of their writes does beside its row.
    beside: Beside,
    /// Cancelled when the load ends.
    pub stop: CancellationToken,
    /// From a fault until writes have recovered: outages of new connections are measured closely.
    pub closely: AtomicBool,
    next_client: AtomicU32,
}

impl Load {
    pub(super) fn new(recorder: Recorder, login: Login, spec: &LoadSpec) -> Self {
        Self {
            recorder,
            login,
            writers: spec.writers,
            beside: Beside { more_wal_bytes: spec.more_wal_bytes, updated_rows: spec.updated_rows },
            stop: CancellationToken::new(),
            closely: AtomicBool::new(false),
            next_client: AtomicU32::new(1),
        }
    }

    /// Takes numbers for so many clients, which follow each other, and returns the first.
    pub(super) fn take_numbers(&self, count: u32) -> u32 {
        self.next_client.fetch_add(count, Ordering::Relaxed)
    }
}

/// An endpoint, with the port that this machine reaches it at, and what its clients share.
pub(super) struct Target {
    /// The endpoint's name.
    pub name: String,
    entry: Mutex<Entry>,
    /// What probers and held sessions do here.
    pub operation: Operation,
    /// When a client of any kind was last acknowledged here, on the run's clock.
    last_acknowledged_us: AtomicU64,
    /// When a client of any kind last failed here, on the run's clock; 0: none did.
    last_failed_us: AtomicU64,
    /// Tells the prober that its next attempt may be due sooner: a client failed, or a fault is about to come.
    pub attention: Notify,
    /// Whether it was recorded that this machine had nothing left to connect with.
    exhaustion_told: AtomicBool,
}

impl Target {
    /// Where its clients connect at the moment.
    pub(super) fn entry(&self) -> Entry {
        self.entry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has clients connect elsewhere from their next connection on, as after a change of an application's configuration.
    pub(super) fn point_at(&self, address: SocketAddr) {
        *self.entry.lock().unwrap_or_else(PoisonError::into_inner) = Entry::Host(address);
    }

    pub(super) fn new(name: &str, entry: Entry, operation: Operation, now_us: u64) -> Self {
        Self {
            name: name.to_owned(),
            entry: Mutex::new(entry),
            operation,
            last_acknowledged_us: AtomicU64::new(now_us),
            last_failed_us: AtomicU64::new(0),
            attention: Notify::new(),
            exhaustion_told: AtomicBool::new(false),
        }
    }

    /// Records, once, that this machine had nothing left to connect with: an outage that it makes itself must not be taken
    /// for the system's.
    pub(super) fn tell_exhaustion(&self, recorder: &Recorder, refusal: &Refusal) {
        if refusal.exhausted && !self.exhaustion_told.swap(true, Ordering::Relaxed) {
            recorder.record(Occurrence::ObserverLost {
                observer: "workload".to_owned(),
                target: self.name.clone(),
                reason: refusal.message.clone(),
            });
        }
    }

    /// How long no client of any kind was acknowledged here.
    pub(super) fn unserved(&self, now_us: u64) -> Duration {
        Duration::from_micros(now_us.saturating_sub(self.last_acknowledged_us.load(Ordering::Relaxed)))
    }

    /// Whether a client of any kind failed here within this time.
    pub(super) fn failed_within(&self, time: Duration, now_us: u64) -> bool {
        let last_us = self.last_failed_us.load(Ordering::Relaxed);
        last_us > 0 && Duration::from_micros(now_us.saturating_sub(last_us)) < time
    }
}

/// An attempt that was made (see [`Attempt`]).
pub(super) struct Made {
    pub sequence: u64,
    pub started_us: u64,
    pub outcome: AttemptOutcome,
    pub saw: Option<BTreeMap<u32, u64>>,
    pub led_to: Option<String>,
}

/// One client. Its number is unique in the load, so that (client, sequence) is the unique id of a write.
pub(super) struct Client {
    pub load: Arc<Load>,
    pub target: Arc<Target>,
    pub number: u32,
    kind: ClientKind,
    operation: Operation,
    /// The further database that it writes into; `None`: the one with the ledger of all clients.
    database: Option<Arc<Database>>,
}

impl Client {
    pub(super) fn new(load: &Arc<Load>, target: &Arc<Target>, kind: ClientKind, operation: Operation) -> Self {
        Self::numbered(load.take_numbers(1), load, target, kind, operation)
    }

    /// The same with a number that was taken before.
    pub(super) fn numbered(
        number: u32,
        load: &Arc<Load>,
        target: &Arc<Target>,
        kind: ClientKind,
        operation: Operation,
    ) -> Self {
        Self { load: load.clone(), target: target.clone(), number, kind, operation, database: None }
    }

    /// The same in a further database.
    pub(super) fn in_database(self, database: &Arc<Database>) -> Self {
        Self { database: Some(database.clone()), ..self }
    }

    /// Opens a session, or says why none came.
    pub(super) async fn open(&self, timeout: Duration) -> Result<Session, Refusal> {
        self.open_within(&Limit::new(timeout, &self.load.stop)).await.session
    }

    /// Makes one attempt, on the given session or else on a fresh one, and records it. Returns the session when it
    /// can be used again.
    pub(super) async fn attempt(
        &self,
        session: Option<Session>,
        sequence: u64,
        started_us: u64,
        timeout: Duration,
    ) -> Option<Session> {
        let limit = Limit::new(timeout, &self.load.stop);
        let opened = match session {
            Some(session) => Opened { session: Ok(session), led_to: None },
            None => self.open_within(&limit).await,
        };
        let led_to = opened.led_to;
        let session = match opened.session {
            Ok(session) => session,
            Err(Refusal { sqlstate, message, contact, .. }) => {
                let outcome = AttemptOutcome::Refused { sqlstate, message, contact: Some(contact) };
                self.record(Made { sequence, started_us, outcome, saw: None, led_to });
                return None;
            }
        };
        let beside = if self.kind == ClientKind::Writer { self.load.beside } else { Beside::default() };
        let own = (self.number, sequence);
        let statement = match &self.database {
            Some(database) => database.statement(own),
            None => attempt::statement(self.operation, own, self.load.writers, beside),
        };
        let sent = attempt::send(session, &statement, &limit).await;
        let outcome = match sent.outcome {
            // A read has no effect to be in doubt about: without its answer it failed.
            AttemptOutcome::Unknown { message } if self.operation == Operation::Read => {
                AttemptOutcome::Refused { sqlstate: None, message, contact: Some(Contact::Silence) }
            }
            outcome => outcome,
        };
        self.record(Made { sequence, started_us, outcome, saw: sent.saw, led_to });
        sent.session
    }

    async fn open_within(&self, limit: &Limit) -> Opened {
        let name = match self.kind {
            ClientKind::Writer => "pgquake-writer",
            ClientKind::Fresh => "pgquake-fresh",
            ClientKind::Held => "pgquake-held",
            ClientKind::Application => "pgquake-application",
        };
        let database = self.database.as_ref().map_or(DATABASE, |database| database.name.as_str());
        let opened = attempt::open(&self.target.entry(), database, &self.load.login, name, limit).await;
        if let Err(refusal) = &opened.session {
            self.target.tell_exhaustion(&self.load.recorder, refusal);
        }
        opened
    }

    pub(super) fn record(&self, made: Made) {
        let Made { sequence, started_us, outcome, saw, led_to } = made;
        let is_acknowledged = matches!(outcome, AttemptOutcome::Acknowledged { .. });
        let attempt = Attempt {
            client_kind: self.kind,
            endpoint: self.target.name.clone(),
            operation: self.operation,
            client: self.number,
            sequence,
            started_us,
            outcome,
            saw,
            led_to,
        };
        if let Some(database) = &self.database {
            let write = DatabaseWrite { database: database.name.clone(), write: attempt };
            self.load.recorder.record(Occurrence::DatabaseWrite(write));
            return;
        }
        if is_acknowledged {
            self.target.last_acknowledged_us.store(self.load.recorder.now_us(), Ordering::Relaxed);
        } else {
            self.target.last_failed_us.store(self.load.recorder.now_us(), Ordering::Relaxed);
            self.target.attention.notify_one();
        }
        self.load.recorder.record(Occurrence::Attempt(attempt));
    }
}
