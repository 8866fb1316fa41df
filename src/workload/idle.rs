//! Idle clients: sessions that say nothing, as those of an application's many processes do most of the time. They cost a
//! pooler a place each, and when it breaks they all come back at once.
//!
//! What they are served is judged by the clients that write; of these it is recorded how many have a session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    attempt::{self, Limit},
    client::{Load, Target},
};
use crate::{
    history::{Occurrence, event::IdleClients},
    system::access::DATABASE,
    waiting::{NotReady, wait_until},
};

/// The time between two sessions that are opened: at most 200 a second, so that the machine is not measured by it.
const OPEN_EVERY: Duration = Duration::from_millis(5);
/// How long opening a session may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is recorded how many have a session, where that has changed.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// What opening the last of them may take beyond the time that their pace takes.
const OPENED_WITHIN: Duration = Duration::from_secs(30);

/// How they fare.
#[derive(Default)]
pub(super) struct Idle {
    wanted: u32,
    connected: AtomicU32,
    broken: AtomicU64,
    refused: AtomicU64,
}

impl Idle {
    pub(super) fn new(wanted: u32) -> Self {
        Self { wanted, ..Self::default() }
    }

    fn state(&self, endpoint: &str) -> IdleClients {
        IdleClients {
            endpoint: endpoint.to_owned(),
            wanted: self.wanted,
            connected: self.connected.load(Ordering::Relaxed),
            broken: self.broken.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// Waits until each has a session.
    pub(super) async fn wait_until_connected(&self) -> Result<(), NotReady> {
        let deadline = OPEN_EVERY * self.wanted + OPENED_WITHIN;
        let look = || async {
            let (connected, refused) = (self.connected.load(Ordering::Relaxed), self.refused.load(Ordering::Relaxed));
            match connected >= self.wanted {
                true => Ok(()),
                false => Err(format!("{connected} of {} have one, and {refused} were refused", self.wanted)),
            }
        };
        wait_until("a session of every idle client", deadline, look).await
    }
}

/// Holds the sessions until the load ends; whoever loses one asks for another.
pub(super) async fn run(load: Arc<Load>, target: Arc<Target>, idle: Arc<Idle>) {
    let mut clients = JoinSet::new();
    let mut open = interval(OPEN_EVERY);
    open.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tell = interval(TELL_EVERY);
    let mut told = None;
    loop {
        let wants_more = clients.len() < idle.wanted as usize;
        tokio::select! {
            biased;
            () = load.stop.cancelled() => return,
            _ = tell.tick() => {
                let state = idle.state(&target.name);
                if told.as_ref() != Some(&state) {
                    load.recorder.record(Occurrence::IdleClients(state.clone()));
                    told = Some(state);
                }
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            _ = open.tick(), if wants_more => {
                clients.spawn(hold(load.clone(), target.clone(), idle.clone()));
            }
        }
    }
}

/// Opens one session and holds it until it breaks.
async fn hold(load: Arc<Load>, target: Arc<Target>, idle: Arc<Idle>) {
    let limit = Limit::new(OPEN_TIMEOUT, &load.stop);
    match attempt::open(&target.entry(), DATABASE, &load.login, "pgquake-idle", &limit).await.session {
        Ok(session) => {
            idle.connected.fetch_add(1, Ordering::Relaxed);
            session.until_it_ends().await;
            idle.connected.fetch_sub(1, Ordering::Relaxed);
            idle.broken.fetch_add(1, Ordering::Relaxed);
        }
        Err(refusal) => {
            idle.refused.fetch_add(1, Ordering::Relaxed);
            target.tell_exhaustion(&load.recorder, &refusal);
        }
    }
}
