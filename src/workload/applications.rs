//! Applications: clients whose timeouts are the application's own, and not the harness's.
//!
//! The load's writers give up a silent server after seconds, as a patient application does that somebody has tuned. Most have
//! libpq's defaults, and wait. What TCP does for them is the kernel's: its options are set on real sockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, MissedTickBehavior, interval, interval_at, sleep};

use super::{
    attempt::{self, Beside, Limit, Refusal, Sent, silence},
    client::{Client, Load, Made, Target},
};
use crate::{
    history::{
        Occurrence,
        event::{ApplicationState, AttemptOutcome, ClientKind, Contact, Operation},
    },
    system::{
        access::DATABASE,
        session::{Session, SessionOptions, TcpOptions, explain, rows},
    },
    topology::{AfterReadOnly, Application},
};

/// How often it is recorded how many sessions were opened, where that has changed.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// A wait without a timeout of the application's own: longer than any drill.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// PostgreSQL's SQLSTATE for a write on a standby.
const READ_ONLY: &str = "25006";

/// Where the clients of an application connect.
pub(super) enum Hosts {
    /// An endpoint.
    Endpoint,
    /// Each of these in turn, until one accepts writes.
    Nodes(Vec<SocketAddr>),
}

/// What the clients of one application share.
pub(super) struct Shared {
    own: Application,
    hosts: Hosts,
    opened: AtomicU64,
    refused: AtomicU64,
}

impl Shared {
    pub(super) fn new(own: Application, hosts: Hosts) -> Self {
        Self { own, hosts, opened: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    fn state(&self) -> ApplicationState {
        ApplicationState {
            application: self.own.name.clone(),
            opened: self.opened.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn options(&self) -> SessionOptions {
        let seconds = |value: u32| (value > 0).then(|| Duration::from_secs(value.into()));
        let milliseconds = |value: u32| (value > 0).then(|| Duration::from_millis(value.into()));
        SessionOptions {
            tcp: TcpOptions {
                keepalives: self.own.keepalives > 0,
                keepalives_idle: seconds(self.own.keepalives_idle),
                keepalives_interval: seconds(self.own.keepalives_interval),
                keepalives_count: (self.own.keepalives_count > 0).then_some(self.own.keepalives_count),
                user_timeout: milliseconds(self.own.tcp_user_timeout),
            },
            statement_timeout: milliseconds(self.own.statement_timeout),
        }
    }
}

/// Tells how many sessions were opened until the load ends.
pub(super) async fn tell(load: Arc<Load>, shared: Arc<Shared>) {
    let mut due = interval(TELL_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        tokio::select! {
            biased;
            () = load.stop.cancelled() => return,
            _ = due.tick() => {}
        }
        let state = shared.state();
        if told.as_ref() != Some(&state) {
            load.recorder.record(Occurrence::ApplicationState(state.clone()));
            told = Some(state);
        }
    }
}

/// Takes numbers for the clients of an application, which follow each other, and records them.
pub(super) fn clients(load: &Arc<Load>, target: &Arc<Target>, own: &Application) -> Vec<Client> {
    let first_client = load.take_numbers(own.clients);
    let (application, clients) = (own.name.clone(), own.clients);
    load.recorder.record(Occurrence::ApplicationStarted { application, first_client, clients });
    let new = |number| Client::numbered(number, load, target, ClientKind::Application, Operation::Write);
    (first_client..first_client.saturating_add(clients)).map(new).collect()
}

/// Writes until the load ends, on one session after the other.
pub(super) async fn run(client: Client, shared: Arc<Shared>, phase: Duration) {
    let period = Duration::from_secs(1) / shared.own.rows_per_s;
    let mut due = interval_at(Instant::now() + phase, period);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut session = None;
    for sequence in 1.. {
        tokio::select! {
            biased;
            () = client.load.stop.cancelled() => break,
            _ = due.tick() => {}
        }
        let had_one = session.is_some();
        session = write(&client, &shared, session, sequence).await;
        if session.is_none() && !had_one {
            // No session came: a pause, as between two attempts of an application.
            tokio::select! {
                biased;
                () = client.load.stop.cancelled() => break,
                () = sleep(Duration::from_millis(shared.own.reconnect_pause_ms.into())) => {}
            }
        } else if session.is_none() {
            // It broke: the next one is asked for at once.
            due.reset_immediately();
        }
    }
    if let Some(session) = session {
        session.close().await;
    }
}

/// Makes one attempt and records it. Returns the session if the client goes on with it.
async fn write(client: &Client, shared: &Shared, session: Option<Session>, sequence: u64) -> Option<Session> {
    let began_us = client.load.recorder.now_us();
    let session = match session {
        Some(session) => session,
        None => match open(client, shared).await {
            Ok(session) => {
                shared.opened.fetch_add(1, Ordering::Relaxed);
                if client.load.stop.is_cancelled() {
                    // What came with the end of the load would look as if the client had helped itself.
                    session.close().await;
                    let (sqlstate, message, contact) = (None, "the load ended first".to_owned(), None);
                    let outcome = AttemptOutcome::Refused { sqlstate, message, contact };
                    client.record(Made { sequence, started_us: began_us, outcome, saw: None, led_to: None });
                    return None;
                }
                session
            }
            Err(Refusal { sqlstate, message, contact, .. }) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                let outcome = AttemptOutcome::Refused { sqlstate, message, contact: Some(contact) };
                client.record(Made { sequence, started_us: began_us, outcome, saw: None, led_to: None });
                return None;
            }
        },
    };
    let (started_us, sent) = send(client, shared, session, sequence, began_us).await;
    let is_read_only =
        matches!(&sent.outcome, AttemptOutcome::Refused { sqlstate: Some(code), .. } if code == READ_ONLY);
    client.record(Made { sequence, started_us, outcome: sent.outcome, saw: None, led_to: None });
    match (sent.session, shared.own.after_read_only) {
        (Some(session), AfterReadOnly::Reconnect) if is_read_only => {
            session.close().await;
            None
        }
        (session, _) => session,
    }
}

/// Sends a row, and where the transaction stays open its commit later. What can have an effect begins at the instant that is
/// returned: of a transaction, that of its commit.
async fn send(client: &Client, shared: &Shared, session: Session, sequence: u64, began_us: u64) -> (u64, Sent) {
    let limit = || Limit::new(shared.own.answer_timeout().unwrap_or(NO_TIMEOUT), &client.load.stop);
    let row = attempt::statement(Operation::Write, (client.number, sequence), client.load.writers, Beside::default());
    if shared.own.transaction_idle_ms == 0 {
        return (began_us, attempt::send(session, &row, &limit()).await);
    }
    let inserted = attempt::send(session, &format!("BEGIN; {row}"), &limit()).await;
    let session = match (inserted.outcome, inserted.session) {
        (AttemptOutcome::Acknowledged { .. }, Some(session)) => session,
        // No commit was sent, so it has no effect, whatever became of the row.
        (AttemptOutcome::Unknown { message }, _) => {
            let outcome = AttemptOutcome::Refused { sqlstate: None, message, contact: None };
            return (began_us, Sent { outcome, saw: None, session: None });
        }
        (outcome, session) => {
            return (began_us, Sent { outcome, saw: None, session: rolled_back(session, &limit()).await });
        }
    };
    tokio::select! {
        biased;
        () = client.load.stop.cancelled() => {}
        () = sleep(Duration::from_millis(shared.own.transaction_idle_ms.into())) => {}
    }
    let commit_us = client.load.recorder.now_us();
    let sent = attempt::send(session, &attempt::commit(), &limit()).await;
    (commit_us, Sent { outcome: of_commit(sent.outcome), ..sent })
}

/// What the end of a commit proves. It is asked behind it where the primary stands: an error may be the answer to that question
/// alone, when the row is there already.
fn of_commit(outcome: AttemptOutcome) -> AttemptOutcome {
    match outcome {
        AttemptOutcome::Refused { contact: Some(Contact::Answer), message, .. } => AttemptOutcome::Unknown { message },
        outcome => outcome,
    }
}

/// The session after a transaction that failed; `None`: it can't be used any more.
async fn rolled_back(session: Option<Session>, limit: &Limit) -> Option<Session> {
    let session = session?;
    limit.within(session.simple_query("ROLLBACK")).await?.is_ok().then_some(session)
}

async fn open(client: &Client, shared: &Shared) -> Result<Session, Refusal> {
    let limit = || Limit::new(shared.own.connect_timeout().unwrap_or(NO_TIMEOUT), &client.load.stop);
    let Hosts::Nodes(nodes) = &shared.hosts else {
        let (entry, limit) = (client.target.entry(), limit());
        let way = limit.within(entry.way()).await.ok_or_else(|| silence("no name came in time".to_owned(), false))?;
        let way = way.map_err(|error| silence(error.to_string(), error.is_exhaustion_here()))?;
        return open_at(client, shared, way.address, &limit).await;
    };
    let mut last = silence("no node is known".to_owned(), false);
    for node in nodes {
        if client.load.stop.is_cancelled() {
            break;
        }
        let limit = limit();
        match open_at(client, shared, *node, &limit).await {
            Ok(session) => match accepts_writes(&session, &limit).await {
                Ok(true) => return Ok(session),
                Ok(false) => {
                    session.close().await;
                    last = silence(format!("{node} accepts no writes"), false);
                }
                Err(message) => last = silence(message, false),
            },
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

/// Opens a session at one address.
async fn open_at(client: &Client, shared: &Shared, address: SocketAddr, limit: &Limit) -> Result<Session, Refusal> {
    let name = format!("pgquake-{}", shared.own.name);
    let opened = attempt::open_at(address, DATABASE, &client.load.login, &name, &shared.options(), limit).await;
    if let Err(refusal) = &opened {
        client.target.tell_exhaustion(&client.load.recorder, refusal);
    }
    opened
}

/// What libpq asks of each host with `target_session_attrs=read-write`, within the time that it has for that host.
async fn accepts_writes(session: &Session, limit: &Limit) -> Result<bool, String> {
    let asked = limit.within(session.simple_query("SHOW transaction_read_only")).await;
    let answer = asked.ok_or("no answer came in time")?.map_err(|error| explain(&error))?;
    Ok(rows(&answer).next().and_then(|row| row.get(0)) == Some("off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL ends each statement of a message by its own timeout: the commit may be done when the question behind it is ended.
    #[test]
    fn an_error_behind_a_commit_is_no_proof_that_the_row_is_not_there() {
        let refused = |sqlstate: Option<&str>, contact| AttemptOutcome::Refused {
            sqlstate: sqlstate.map(str::to_owned),
            message: "canceling statement due to statement timeout".to_owned(),
            contact: Some(contact),
        };
        let ended = of_commit(refused(Some("57014"), Contact::Answer));
        assert!(matches!(ended, AttemptOutcome::Unknown { .. }), "{ended:?}");
        // A session that had ended before took no commit.
        let unsent = refused(None, Contact::Silence);
        assert_eq!(of_commit(unsent.clone()), unsent);
    }
}
