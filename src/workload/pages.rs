//! A table of many pages, whose rows writers change beside their own row.
//!
//! A row of the ledger adds to one page after the other, and WAL that nobody reads is passed over in recovery. A busy database
//! changes pages all over: its recovery after a crash has to read each of them, and its checkpoints to write them.

use super::{
    WorkloadError,
    attempt::{self, Limit},
};
use crate::{
    plan::Plan,
    system::{Access, Entry, Login, access::DATABASE},
    waiting::{NotReady, wait_until},
};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const TABLE: &str = "pgquake.pages";
/// Its rows: about 40 MB in 5,000 pages.
const ROWS: u64 = 400_000;
/// A prime: rows that are changed one after the other lie far apart.
const STRIDE: u64 = 99_991;
const MADE_WITHIN: Duration = Duration::from_secs(60);

/// Makes the table through the endpoint that writers use.
///
/// # Errors
/// There is no such endpoint, or the table could not be made in time.
pub(super) async fn make(plan: &Plan, access: &Access, endpoint: &str) -> Result<(), WorkloadError> {
    let known = || plan.endpoints.iter().map(|own| own.name.as_str()).collect::<Vec<_>>().join(", ");
    let planned = plan.endpoint(endpoint);
    let planned =
        planned.ok_or_else(|| WorkloadError::NoSuchEndpoint { endpoint: endpoint.to_owned(), known: known() })?;
    let entry = Entry::of(plan, access, planned)?;
    let login = access.login();
    let made = || make_at(&entry, &login);
    let made: Result<(), NotReady> = wait_until(&format!("the table {TABLE}"), MADE_WITHIN, made).await;
    Ok(made?)
}

async fn make_at(entry: &Entry, login: &Login) -> Result<(), String> {
    let limit = Limit::new(MADE_WITHIN, &CancellationToken::new());
    let opened = attempt::open(entry, DATABASE, login, "pgquake-pages", &limit).await;
    let session = opened.session.map_err(|refusal| refusal.message)?;
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {TABLE} AS \
         SELECT id, 0 AS changes, repeat('.', 60) AS filler FROM generate_series(0, {}) AS id; \
         CREATE UNIQUE INDEX IF NOT EXISTS pages_id ON {TABLE} (id)",
        ROWS - 1
    );
    let made = limit.within(session.simple_query(&statement)).await.ok_or("it was not made in time")?;
    made.map_err(|error| crate::system::session::explain(&error))?;
    session.close().await;
    Ok(())
}

/// Changes this many rows of the table, as the first part of a statement. Each writer changes rows of its own, so that none waits
/// for another.
pub(super) fn change(count: u32, (client, sequence): (u32, u64), writers: u32) -> String {
    let writers = u64::from(writers.max(1));
    let own = ROWS / writers;
    let (client, count) = (u64::from(client) % writers, u64::from(count));
    format!(
        "WITH changed AS (UPDATE {TABLE} SET changes = changes + 1 WHERE id IN \
         (SELECT {client} + {writers} * (({sequence}::bigint * {count} + place) * {STRIDE} % {own}) FROM generate_series(1, {count}) AS place)) "
    )
}
