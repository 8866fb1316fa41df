//! Held sessions: opened before the fault and used through it. A session that a proxy, a promotion or a partition
//! left behind shows what a new connection cannot: an old primary that still takes writes.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::client::{Client, Load, Target};
use crate::{
    history::event::{ClientKind, Operation},
    system::Session,
};

/// The time between two attempts on one session, when each is answered at once.
const PERIOD: Duration = Duration::from_millis(20);
/// An attempt without an answer after this time is unknown and its session is given up. Long, because a late
/// answer on an old session is just what it is held for.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time between two attempts to open the next session after one broke.
const REOPEN_INTERVAL: Duration = Duration::from_millis(250);
/// How long opening a session may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);

/// Holds one session after the other until the load ends. The attempt that shows a session broken is recorded,
/// and the next session is a new client: a session keeps its number, and a number stands for one session.
pub(super) async fn run(load: Arc<Load>, target: Arc<Target>, operation: Operation) {
    let mut reopen = interval(REOPEN_INTERVAL);
    reopen.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = Client::new(&load, &target, ClientKind::Held, operation);
    loop {
        tokio::select! {
            biased;
            () = load.stop.cancelled() => return,
            _ = reopen.tick() => {}
        }
        // A failed opening is no attempt on a held session; the prober records those of fresh connections.
        if let Ok(session) = client.open(OPEN_TIMEOUT).await {
            hold(&client, session).await;
            client = Client::new(&load, &target, ClientKind::Held, operation);
        }
    }
}

async fn hold(client: &Client, session: Session) {
    let mut due = interval(PERIOD);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut held = Some(session);
    for sequence in 1.. {
        tokio::select! {
            biased;
            () = client.load.stop.cancelled() => break,
            _ = due.tick() => {}
        }
        held = client.attempt(held, sequence, client.load.recorder.now_us(), ATTEMPT_TIMEOUT).await;
        if held.is_none() {
            return;
        }
    }
    if let Some(session) = held {
        session.close().await;
    }
}
