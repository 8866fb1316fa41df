//! Reads which writes each node holds, after all nodes have rejoined.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::{
    cluster::{
        Access, NODE, NODE_TIMELINE, Session,
        access::LEDGER_TABLE,
        session::{SessionError, explain},
    },
    history::{Occurrence, Recorder, event::SequenceRange},
    plan::{Plan, PlannedEndpoint},
};

/// How long reading one node's ledger may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
enum LedgerError {
    #[error("port {port} of {host} is not published")]
    Unpublished { host: String, port: u16 },
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("failed to read {LEDGER_TABLE}: {}", explain(.0))]
    Query(#[from] tokio_postgres::Error),
    #[error("no answer within {} s", READ_TIMEOUT.as_secs())]
    Timeout,
    #[error("the answer is not the ranges that were asked for")]
    Answer,
}

/// Reads the ledger of every node, side by side, and records what each holds, or that it could not be read.
///
/// Call it when every node has rejoined and replayed: a row that is not there yet is not a lost one.
pub async fn read_ledgers(plan: &Plan, access: &Access, recorder: &Recorder) {
    let nodes = plan.endpoints.iter().filter(|endpoint| plan.nodes.contains(&endpoint.name));
    join_all(nodes.map(|node| async {
        let read = timeout(READ_TIMEOUT, read(node, access)).await.unwrap_or(Err(LedgerError::Timeout));
        recorder.record(match read {
            Ok((timeline, found)) => Occurrence::LedgerRead { node: node.name.clone(), timeline, found, counts: None },
            Err(error) => Occurrence::LedgerUnread { node: node.name.clone(), reason: error.to_string() },
        });
    }))
    .await;
}

async fn read(node: &PlannedEndpoint, access: &Access) -> Result<(u32, Vec<SequenceRange>), LedgerError> {
    let address = access
        .address(&node.at.host, node.at.port)
        .ok_or_else(|| LedgerError::Unpublished { host: node.at.host.clone(), port: node.at.port })?;
    let session = Session::open(address, &access.credentials.client_password, "pgquake-ledger").await?;
    // One statement, so that timeline and rows are of one moment. Rows of one client whose sequence minus position
    // is equal follow each other without a gap.
    let answer = session
        .simple_query(&format!(
            "SELECT NULL, {NODE_TIMELINE}, NULL FROM {NODE} \
             UNION ALL \
             (SELECT client::text, min(sequence)::text, max(sequence)::text FROM \
               (SELECT client, sequence, \
                       sequence - row_number() OVER (PARTITION BY client ORDER BY sequence) AS island \
                FROM {LEDGER_TABLE}) AS rows \
              GROUP BY client, island ORDER BY client, min(sequence))"
        ))
        .await?;
    session.close().await;
    parse(&answer).ok_or(LedgerError::Answer)
}

fn parse(answer: &[SimpleQueryMessage]) -> Option<(u32, Vec<SequenceRange>)> {
    let mut timeline = None;
    let mut found = Vec::new();
    for message in answer {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let cell = |index| row.try_get(index).ok().flatten();
        match cell(0) {
            None => timeline = Some(cell(1)?.parse().ok()?),
            Some(client) => found.push(SequenceRange {
                client: client.parse().ok()?,
                from: cell(1)?.parse().ok()?,
                to: cell(2)?.parse().ok()?,
            }),
        }
    }
    found.sort_by_key(|range| (range.client, range.from));
    Some((timeline?, found))
}
