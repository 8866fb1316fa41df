//! One attempt on a session, and what its end proves.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{
    SimpleQueryMessage, SimpleQueryRow,
    error::{DbError, Severity},
};
use tokio_util::sync::CancellationToken;

use super::{ledger::ledger_row, pages};
use crate::{
    history::event::{AttemptOutcome, Contact, Operation},
    system::{
        Entry, Login,
        access::{LEDGER_TABLE, NODE_SETTING},
        session::{Session, SessionError, SessionOptions, explain, rows},
    },
};

/// A read returns what it saw of this many writers of the load. Each costs it one descent of the ledger's index.
const WRITERS_WATCHED: u32 = 4;

/// What a write does beside its row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Beside {
    /// So much WAL that nobody reads: a message of no decoder's.
    pub more_wal_bytes: u64,
    /// So many rows of pages all over a table are changed.
    pub updated_rows: u32,
}

/// The statement of an attempt. It answers with one row: node, WAL position, timeline; a read also with a row of the
/// ledger as the table itself has it, and with the newest row of each of the first writers.
///
/// The positions are asked for in the same round trip. On a standby the INSERT is refused before they are looked
/// at; a read asks a standby's WAL receiver for the timeline, and says 0 while there is none.
///
pub(super) fn statement(operation: Operation, (client, sequence): (u32, u64), writers: u32, beside: Beside) -> String {
    match operation {
        Operation::Write => {
            let more = match beside.more_wal_bytes {
                0 => String::new(),
                bytes => format!(", pg_logical_emit_message(true, 'pgquake', repeat('.', {bytes}))"),
            };
            let changed = match beside.updated_rows {
                0 => String::new(),
                count => pages::change(count, (client, sequence), writers),
            };
            format!(
                "{changed}INSERT INTO {LEDGER_TABLE} (client, sequence, content, payload) VALUES {} RETURNING {}{more}",
                ledger_row(client, sequence),
                position()
            )
        }
        Operation::Read => format!(
            "SELECT current_setting('{NODE_SETTING}'), 0, CASE WHEN pg_is_in_recovery() \
             THEN (SELECT to_hex(received_tli) FROM pg_stat_wal_receiver) \
             ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END, \
             (SELECT sequence FROM {LEDGER_TABLE} LIMIT 1), {}",
            newest_rows(writers.min(WRITERS_WATCHED))
        ),
    }
}

/// What an acknowledgement says of the primary, as SQL: its name, its WAL position and its timeline.
fn position() -> String {
    format!(
        "current_setting('{NODE_SETTING}'), pg_current_wal_insert_lsn() - '0/0'::pg_lsn, \
         substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"
    )
}

/// Ends a transaction that holds the row of an attempt, and answers as that attempt does.
///
/// Where the primary stands is asked behind the commit: it may have written much since the row.
pub(super) fn commit() -> String {
    format!("COMMIT; SELECT {}", position())
}

/// The newest row of each of the writers, which have the first numbers of the load, as SQL that gives a JSON object.
fn newest_rows(writers: u32) -> String {
    let newest = |writer: u32| {
        format!("'{writer}', (SELECT coalesce(max(sequence), 0) FROM {LEDGER_TABLE} WHERE client = {writer})")
    };
    format!("json_build_object({})", (1..=writers).map(newest).collect::<Vec<_>>().join(", "))
}

/// How long an attempt may take.
pub(super) struct Limit {
    deadline: Instant,
    stop: CancellationToken,
}

/// Attempts that run when the load ends may take this much longer; then they are given up like timed-out ones.
const GRACE: Duration = Duration::from_secs(1);

impl Limit {
    pub(super) fn new(timeout: Duration, stop: &CancellationToken) -> Self {
        Self { deadline: Instant::now() + timeout, stop: stop.clone() }
    }

    /// Runs the future, or returns `None` when the limit is reached first.
    pub(super) async fn within<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        let stopped = async {
            self.stop.cancelled().await;
            sleep(GRACE).await;
        };
        tokio::select! {
            biased;
            value = future => Some(value),
            () = sleep_until(self.deadline) => None,
            () = stopped => None,
        }
    }
}

/// Why no session came: nothing was sent that could have an effect.
pub(super) struct Refusal {
    pub sqlstate: Option<String>,
    pub message: String,
    pub contact: Contact,
    /// This machine ran out of something: the attempt says nothing about the system.
    pub exhausted: bool,
}

/// How the opening of a session ended.
pub(super) struct Opened {
    pub session: Result<Session, Refusal>,
    /// The host that a global name led to, if one did.
    pub led_to: Option<String>,
}

/// Opens a session within the limit, where the entry leads at the moment.
pub(super) async fn open(
    entry: &Entry,
    database: &str,
    login: &Login,
    application_name: &str,
    limit: &Limit,
) -> Opened {
    let late = || silence("no session came in time".to_owned(), false);
    let way = match limit.within(entry.way()).await {
        Some(Ok(way)) => way,
        // A name that can't be resolved is silence: nobody was reached who could have refused.
        Some(Err(error)) => {
            let refusal = silence(error.to_string(), error.is_exhaustion_here());
            return Opened { session: Err(refusal), led_to: None };
        }
        None => return Opened { session: Err(late()), led_to: None },
    };
    let session = open_at(way.address, database, login, application_name, &SessionOptions::default(), limit).await;
    Opened { session, led_to: way.led_to }
}

/// Opens a session at an address within the limit.
pub(super) async fn open_at(
    address: SocketAddr,
    database: &str,
    login: &Login,
    application_name: &str,
    options: &SessionOptions,
    limit: &Limit,
) -> Result<Session, Refusal> {
    match limit.within(Session::open_with(database, address, login, application_name, options)).await {
        Some(Ok(session)) => Ok(session),
        Some(Err(error)) => Err(Refusal {
            sqlstate: error.sqlstate().map(str::to_owned),
            contact: contact(&error),
            exhausted: error.is_exhaustion_here(),
            message: error.to_string(),
        }),
        None => Err(silence("no session came in time".to_owned(), false)),
    }
}

pub(super) fn silence(message: String, exhausted: bool) -> Refusal {
    Refusal { sqlstate: None, message, contact: Contact::Silence, exhausted }
}

/// What an attempt met that got no session.
fn contact(error: &SessionError) -> Contact {
    let broke = |kind: io::ErrorKind| {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
        matches!(kind, ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
    };
    match error {
        // `is_closed`: the stream ended where the server's first word was to come.
        SessionError::Open { source, .. } if source.as_db_error().is_some() => Contact::Answer,
        SessionError::Open { source, .. } if source.is_closed() => Contact::Reset,
        _ if error.io_kind().is_some_and(broke) => Contact::Reset,
        _ => Contact::Silence,
    }
}

/// How an attempt on a session ended.
pub(super) struct Sent {
    pub outcome: AttemptOutcome,
    /// What a read saw of the writers (see [`crate::history::event::Attempt`]).
    pub saw: Option<BTreeMap<u32, u64>>,
    /// The session, unless it broke in this attempt or still waits for an answer that nobody will read.
    pub session: Option<Session>,
}

/// Sends the statement on an open session and waits for its end, within the limit.
pub(super) async fn send(session: Session, statement: &str, limit: &Limit) -> Sent {
    if let Some(reason) = session.ended() {
        let message = format!("the session had ended before the statement was sent: {reason}");
        let outcome = AttemptOutcome::Refused { sqlstate: None, message, contact: Some(Contact::Silence) };
        return Sent { outcome, saw: None, session: None };
    }
    // Warnings of an earlier statement are not this one's.
    session.take_warnings();
    let Some(answer) = limit.within(session.simple_query(statement)).await else {
        // In the background: the outcome is known, and the schedule must not wait.
        tokio::spawn(session.cancel());
        let outcome = AttemptOutcome::Unknown { message: "no answer came in time".to_owned() };
        return Sent { outcome, saw: None, session: None };
    };
    // A session that answered is kept even if it has ended since: the next attempt finds that out, and records it.
    let usable = answer.is_ok() || session.ended().is_none();
    let saw = answer.as_deref().ok().and_then(saw);
    let outcome = judge(answer, &session.take_warnings());
    Sent { outcome, saw, session: usable.then_some(session) }
}

/// What a read's answer says of the writers.
fn saw(messages: &[SimpleQueryMessage]) -> Option<BTreeMap<u32, u64>> {
    serde_json::from_str(rows(messages).next()?.try_get(4).ok()??).ok()
}

/// What the end of a statement that was sent proves.
fn judge(answer: Result<Vec<SimpleQueryMessage>, tokio_postgres::Error>, warnings: &[DbError]) -> AttemptOutcome {
    match answer {
        Ok(messages) => confirmed(&messages, warnings),
        Err(error) => match error.as_db_error() {
            Some(told) if proves_rollback(told) => AttemptOutcome::Refused {
                sqlstate: Some(told.code().code().to_owned()),
                message: told.message().to_owned(),
                contact: Some(Contact::Answer),
            },
            _ => AttemptOutcome::Unknown { message: explain(&error) },
        },
    }
}

/// Whether a server's error proves that the statement had no effect.
///
/// An ERROR rolls the transaction back, whatever its code. A FATAL or PANIC ends the backend (57P01 and 57P02: an
/// administrator or a crash ended it), and that can happen after the commit and before its answer. Class 08 is a
/// proxy's or the server's word that the connection broke; 40003 says that the completion is not known.
fn proves_rollback(error: &DbError) -> bool {
    let code = error.code().code();
    error.parsed_severity() == Some(Severity::Error) && !code.starts_with("08") && code != "40003"
}

/// The server answered ReadyForQuery without an error. It counts only with one row that says who answered, and
/// without a warning: a WARNING beside a commit says that the commit may not be replicated.
fn confirmed(messages: &[SimpleQueryMessage], warnings: &[DbError]) -> AttemptOutcome {
    if let Some(warning) = warnings.first() {
        let detail = warning.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
        return AttemptOutcome::Unknown { message: format!("{}{detail}", warning.message()) };
    }
    let rows: Vec<_> = rows(messages).collect();
    let complete = messages.iter().any(|message| matches!(message, SimpleQueryMessage::CommandComplete(1)));
    match rows.as_slice() {
        [row] if complete => acknowledged(row),
        _ => None,
    }
    .unwrap_or_else(|| AttemptOutcome::Unknown {
        message: "the server's answer is not the one row that was asked for".to_owned(),
    })
}

fn acknowledged(row: &SimpleQueryRow) -> Option<AttemptOutcome> {
    let node = row.try_get(0).ok()??.to_owned();
    let lsn = row.try_get(1).ok()??.parse().ok()?;
    let timeline = match row.try_get(2).ok()? {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => 0,
    };
    (!node.is_empty()).then_some(AttemptOutcome::Acknowledged { node, timeline, lsn })
}
