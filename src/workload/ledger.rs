//! Reads which writes each node holds, after all nodes have rejoined.
//!
//! The rows are read from the table itself: an index can answer for rows that the table has lost. Then the index is asked
//! in the same snapshot, so that what one of them lacks is found. Every row holds what can be worked out from its client
//! and sequence, so that one that changed, or was replaced as a whole, is found too.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use futures::future::join_all;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_postgres::{SimpleQueryMessage, SimpleQueryRow};

use super::databases::Database;
use crate::{
    history::{
        Occurrence, Recorder,
        event::{DatabaseContents, DatabaseFound, DatabaseRead, LedgerCounts, Role, SequenceRange, Vectors},
        rows::Rows,
    },
    plan::{Plan, PlannedEndpoint},
    system::{
        Access, NODE, NODE_TIMELINE, Session,
        access::{DATABASE, LEDGER_INDEX, LEDGER_TABLE},
        rows,
        session::{SessionError, explain},
    },
};

/// How long one look at one node's ledger may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for a node that nobody waits for any more.
const LOOK_AT_LOST_TIMEOUT: Duration = Duration::from_secs(3);
/// A look that got no answer, or lost its session, is taken again within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);
/// Nodes that differ, or can't be reached, are looked at again for this long: what differs then is no lag of a moment.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
/// The time between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A scan of the table itself, by one process.
const SCAN_TABLE: &str = "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; \
    SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
    SET LOCAL max_parallel_workers_per_gather = 0";
/// A scan of the index, and of the table only where the index can't show whether a row is visible.
const SCAN_INDEX: &str =
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on";

/// What the client of a write puts into its row, in SQL.
pub(super) const CONTENT: &str = "'write ' || sequence || ' of client ' || client";
/// The hash over a row, in SQL; see [`ledger_row`].
const PAYLOAD: &str = "sha256(convert_to(client || '/' || sequence || '/' || content, 'UTF8'))";

/// The row of a write, as an SQL list of the ledger's columns.
pub(super) fn ledger_row(client: u32, sequence: u64) -> String {
    let (content, payload) = (content(client, sequence), hash(client, sequence));
    format!("({client}, {sequence}, '{content}', '\\x{payload:x}')")
}

fn content(client: u32, sequence: u64) -> String {
    format!("write {sequence} of client {client}")
}

/// The hash over the row of a write.
pub(super) fn hash(client: u32, sequence: u64) -> impl std::ops::Deref<Target = [u8]> + std::fmt::LowerHex {
    Sha256::digest(format!("{client}/{sequence}/{}", content(client, sequence)))
}

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum LedgerError {
    #[error("port {port} of {host} is not published")]
    Unpublished { host: String, port: u16 },
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("failed to read {LEDGER_TABLE}: {}", explain(.0))]
    Query(#[from] tokio_postgres::Error),
    #[error("no answer within {0} s")]
    Timeout(u64),
    #[error("the node changed its role or timeline while it was read")]
    Changed,
    #[error("the answer is not what was asked for")]
    Answer,
    #[error("the table would not be read, but its index: {plan}")]
    NotTheTable { plan: String },
    #[error("the index would not be asked: {plan}")]
    NotTheIndex { plan: String },
}

impl LedgerError {
    /// For how long it is worth to look again.
    fn look_again_within(&self) -> Duration {
        match self {
            LedgerError::Timeout(_) | LedgerError::Changed => ANSWERED_WITHIN,
            // What PostgreSQL finds damaged (class XX) stays so, and what it can't do (0A), as read an unlogged table on a
            // standby.
            LedgerError::Query(error) if error.code().is_some_and(|code| ["XX", "0A"].contains(&&code.code()[..2])) => {
                Duration::ZERO
            }
            LedgerError::Query(_) => ANSWERED_WITHIN,
            LedgerError::Session(_) => SETTLED_WITHIN,
            LedgerError::Unpublished { .. }
            | LedgerError::Answer
            | LedgerError::NotTheTable { .. }
            | LedgerError::NotTheIndex { .. } => Duration::ZERO,
        }
    }
}

/// What a node holds.
struct Ledger {
    state: State,
    found: Vec<SequenceRange>,
    counts: LedgerCounts,
    vectors: Option<Vectors>,
}

/// What a node was when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    role: Role,
    timeline: u32,
    /// The position that a standby has replayed, or that a primary's next record will have.
    lsn: u64,
}

/// Reads the ledger of every node, side by side, and records what each holds, or that it could not be read; then the same of
/// every further database. While nodes differ or don't answer, they are read again within a deadline; the last look is
/// recorded. Nodes of clusters that were `given_up` are looked at once, for a short time: nobody waits for them.
///
/// Call it when every node has rejoined and replayed: a row that is not there yet is not a lost one.
pub async fn read_ledgers(plan: &Plan, access: &Access, recorder: &Recorder, given_up: &BTreeSet<String>) {
    read_database(plan, access, recorder, (given_up, None)).await;
    for database in Database::all(plan) {
        read_database(plan, access, recorder, (given_up, Some(&database))).await;
    }
}

async fn read_database(
    plan: &Plan,
    access: &Access,
    recorder: &Recorder,
    (given_up, database): (&BTreeSet<String>, Option<&Database>),
) {
    let nodes = plan.endpoints.iter().filter(|endpoint| plan.nodes.contains(&endpoint.name));
    let is_awaited =
        |node: &&PlannedEndpoint| plan.cluster_of(&node.name).is_none_or(|cluster| !given_up.contains(&cluster.name));
    let (awaited, lost): (Vec<&PlannedEndpoint>, Vec<&PlannedEndpoint>) = nodes.partition(is_awaited);
    let (read_awaited, read_lost) = tokio::join!(
        read_until_settled(&awaited, access, database),
        look_at(&lost, access, database, LOOK_AT_LOST_TIMEOUT)
    );
    for (node, read) in awaited.into_iter().zip(read_awaited).chain(lost.into_iter().zip(read_lost)) {
        let node = node.name.clone();
        recorder.record(match database {
            Some(database) => read_in(database, node, read),
            None => read_of_all(node, read),
        });
    }
}

/// What was read of the ledger of all clients.
fn read_of_all(node: String, read: Result<Ledger, LedgerError>) -> Occurrence {
    match read {
        Ok(Ledger { state: State { role, timeline, lsn }, found, counts, vectors: _ }) => {
            let (counts, role, lsn) = (Some(counts), Some(role), Some(lsn));
            Occurrence::LedgerRead { node, timeline, found, counts, role, lsn }
        }
        Err(error) => Occurrence::LedgerUnread { node, reason: error.to_string() },
    }
}

/// What was read of a further database.
fn read_in(database: &Database, node: String, read: Result<Ledger, LedgerError>) -> Occurrence {
    let found = match read {
        Ok(Ledger { state: State { role, timeline, lsn }, found: ledger, counts, vectors }) => {
            DatabaseFound::Read(DatabaseContents { timeline, role, lsn, ledger, counts, vectors })
        }
        Err(error) => DatabaseFound::Unread(error.to_string()),
    };
    Occurrence::DatabaseRead(DatabaseRead { database: database.name.clone(), node, found })
}

/// Reads these ledgers until they agree, or their time is over.
async fn read_until_settled(
    nodes: &[&PlannedEndpoint],
    access: &Access,
    database: Option<&Database>,
) -> Vec<Result<Ledger, LedgerError>> {
    let begun = Instant::now();
    let mut looks = interval(LOOK_AGAIN);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let read = look_at(nodes, access, database, LOOK_TIMEOUT).await;
        if begun.elapsed() >= look_again_within(&read) {
            return read;
        }
    }
}

async fn look_at(
    nodes: &[&PlannedEndpoint],
    access: &Access,
    database: Option<&Database>,
    within: Duration,
) -> Vec<Result<Ledger, LedgerError>> {
    join_all(nodes.iter().map(|node| async {
        timeout(within, read(node, access, database)).await.unwrap_or(Err(LedgerError::Timeout(within.as_secs())))
    }))
    .await
}

/// For how long it is worth to look again at all nodes.
fn look_again_within(read: &[Result<Ledger, LedgerError>]) -> Duration {
    let unread = read.iter().filter_map(|read| read.as_ref().err()).map(LedgerError::look_again_within).max();
    let mut found = read.iter().filter_map(|read| read.as_ref().ok()).map(|ledger| (&ledger.found, &ledger.vectors));
    let first = found.next();
    let differ = found.any(|other| Some(other) != first);
    unread.unwrap_or_default().max(if differ { SETTLED_WITHIN } else { Duration::ZERO })
}

/// What a restored server holds.
pub struct RestoredLedger {
    pub timeline: u32,
    pub found: Vec<SequenceRange>,
    pub counts: LedgerCounts,
}

/// Reads the ledger of a server that was restored on a host, and is no node of a cluster; the error is the reason in words.
pub async fn read_restored(host: &str, port: u16, access: &Access) -> Result<RestoredLedger, String> {
    let read = timeout(LOOK_TIMEOUT, read_at(host, port, access, None))
        .await
        .unwrap_or(Err(LedgerError::Timeout(LOOK_TIMEOUT.as_secs())));
    let Ledger { state, found, counts, .. } = read.map_err(|error| error.to_string())?;
    Ok(RestoredLedger { timeline: state.timeline, found, counts })
}

async fn read(node: &PlannedEndpoint, access: &Access, database: Option<&Database>) -> Result<Ledger, LedgerError> {
    read_at(&node.at.host, node.at.port, access, database).await
}

async fn read_at(host: &str, port: u16, access: &Access, database: Option<&Database>) -> Result<Ledger, LedgerError> {
    let address: SocketAddr =
        access.address(host, port).ok_or_else(|| LedgerError::Unpublished { host: host.to_owned(), port })?;
    let name = database.map_or(DATABASE, |database| database.name.as_str());
    let session = Session::open_in(name, address, &access.login(), "pgquake-ledger").await?;
    // A standby has replayed at least what it had before its rows were read, and a primary has written at most what it had
    // after: so a standby that is not behind lacks nothing by lag.
    let before = state(&session).await?;
    session.simple_query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let (found, mut counts) = table(&session).await?;
    let indexed = index(&session).await?;
    session.simple_query("COMMIT").await?;
    let vectors = match database {
        Some(database) => database.vectors(&session).await?,
        None => None,
    };
    let after = state(&session).await?;
    session.close().await;
    if (before.role, before.timeline) != (after.role, after.timeline) {
        return Err(LedgerError::Changed);
    }
    let (table, index) = (Rows::new(&found), Rows::new(&indexed));
    counts.missing_in_index = table.missing_in(&index);
    counts.missing_in_table = index.missing_in(&table);
    // Reading makes WAL on a primary, also when nobody writes any more. What clients wrote into a further database had ended before
    // it is read, so there the position before it is what a standby must have replayed.
    let state = if before.role == Role::Standby || database.is_some() { before } else { after };
    Ok(Ledger { state, found, counts, vectors })
}

async fn state(session: &Session) -> Result<State, LedgerError> {
    let answer = session
        .simple_query(&format!(
            "SELECT {NODE_TIMELINE}, standby, CASE WHEN standby THEN pg_last_wal_replay_lsn() \
             ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn FROM {NODE}"
        ))
        .await?;
    let state = |row: &SimpleQueryRow| {
        let role = if cell::<String>(row, 1)? == "t" { Role::Standby } else { Role::Primary };
        Some(State { role, timeline: cell(row, 0)?, lsn: cell(row, 2)? })
    };
    rows(&answer).next().and_then(state).ok_or(LedgerError::Answer)
}

/// The distinct rows of the table, how many there are in all, and how many are not what was written.
async fn table(session: &Session) -> Result<(Vec<SequenceRange>, LedgerCounts), LedgerError> {
    // Rows of one client whose sequence minus position is equal follow each other without a gap.
    let statement = format!(
        "SELECT client, min(sequence), max(sequence), sum(copies), sum(changed) FROM \
           (SELECT *, sequence - row_number() OVER (PARTITION BY client ORDER BY sequence) AS island FROM \
             (SELECT client, sequence, count(*) AS copies, count(*) FILTER (WHERE \
                content IS DISTINCT FROM {CONTENT} OR payload IS DISTINCT FROM {PAYLOAD}) AS changed \
              FROM {LEDGER_TABLE} GROUP BY client, sequence) AS writes) AS islands \
         GROUP BY client, island"
    );
    session.simple_query(SCAN_TABLE).await?;
    let plan = explained(session, &statement).await?;
    if !plan.contains("Seq Scan on") || plan.contains("Index") {
        return Err(LedgerError::NotTheTable { plan });
    }
    let answer = session.simple_query(&statement).await?;
    let mut counts = LedgerCounts::default();
    for row in rows(&answer) {
        counts.rows += cell::<u64>(row, 3).ok_or(LedgerError::Answer)?;
        counts.changed_rows += cell::<u64>(row, 4).ok_or(LedgerError::Answer)?;
    }
    Ok((ranges(&answer)?, counts))
}

/// The distinct rows that the index of the primary key leads to; none if there is no such index.
async fn index(session: &Session) -> Result<Vec<SequenceRange>, LedgerError> {
    let statement = format!(
        "SELECT client, min(sequence), max(sequence) FROM \
           (SELECT client, sequence, sequence - dense_rank() OVER (PARTITION BY client ORDER BY sequence) AS island \
            FROM {LEDGER_TABLE}) AS islands \
         GROUP BY client, island"
    );
    session.simple_query(SCAN_INDEX).await?;
    let name = LEDGER_INDEX.rsplit('.').next().unwrap_or(LEDGER_INDEX);
    if !explained(session, &statement).await?.contains(&format!("using {name}")) {
        return Ok(Vec::new());
    }
    ranges(&session.simple_query(&statement).await?)
}

/// How PostgreSQL means to carry a statement out.
pub(super) async fn explained(session: &Session, statement: &str) -> Result<String, LedgerError> {
    let answer = session.simple_query(&format!("EXPLAIN (COSTS OFF) {statement}")).await?;
    let lines: Vec<_> = rows(&answer).filter_map(|row| row.get(0)).map(str::trim).collect();
    Ok(lines.join("; "))
}

pub(super) fn cell<T: std::str::FromStr>(row: &SimpleQueryRow, index: usize) -> Option<T> {
    row.try_get(index).ok()??.parse().ok()
}

/// The ranges in the first three columns of an answer, sorted.
pub(super) fn ranges(answer: &[SimpleQueryMessage]) -> Result<Vec<SequenceRange>, LedgerError> {
    let range = |row| Some(SequenceRange { client: cell(row, 0)?, from: cell(row, 1)?, to: cell(row, 2)? });
    let mut found: Vec<_> = rows(answer).map(range).collect::<Option<_>>().ok_or(LedgerError::Answer)?;
    found.sort_by_key(|range| (range.client, range.from));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_holds_what_its_client_and_sequence_make_it() {
        let row = ledger_row(7, 12);
        assert!(row.starts_with(r"(7, 12, 'write 12 of client 7', '\x"), "{row}");
        assert_eq!(row.len(), r"(7, 12, 'write 12 of client 7', '\x')".len() + 64);
        assert_ne!(ledger_row(1, 11), ledger_row(11, 1));
    }

    #[test]
    fn damage_is_not_looked_at_again_but_silence_and_differences_are() {
        let ledger = |to| {
            let state = State { role: Role::Standby, timeline: 1, lsn: 1 };
            let found = vec![SequenceRange { client: 1, from: 1, to }];
            Ok(Ledger { state, found, counts: LedgerCounts::default(), vectors: None })
        };
        assert_eq!(look_again_within(&[ledger(5), ledger(5)]), Duration::ZERO);
        assert_eq!(look_again_within(&[ledger(5), ledger(6)]), SETTLED_WITHIN);
        assert_eq!(look_again_within(&[ledger(5), Err(LedgerError::Timeout(15)), ledger(6)]), ANSWERED_WITHIN);
        assert_eq!(look_again_within(&[ledger(5), Err(LedgerError::Answer)]), Duration::ZERO);
    }
}
