//! Questions that the harness asks a node in SQL, from outside, each on a fresh connection.

use std::{net::SocketAddr, time::Duration};

use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use super::{Session, System, session::explain};
use crate::{engine::EngineError, services::patroni::POSTGRESQL_PORT, waiting::wait_until};

/// What a statement on a node selects from, to ask once whether it is a standby: `standby`.
pub const NODE: &str = "(SELECT pg_is_in_recovery() AS standby) AS node";

/// The timeline of a [`NODE`], as text: what a primary writes; what a standby receives, or else that of its last restart
/// point.
pub const NODE_TIMELINE: &str = "\
    CASE WHEN standby \
        THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), \
                      (SELECT timeline_id FROM pg_control_checkpoint()))::text \
        ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int::text END";

/// The WAL receiver of a standby, if it streams. It says so as soon as it has connected, also where the sender then refuses
/// it because its slot is in use: it does not stream until a first message came, which the sender stamps. If both are idle,
/// none comes, and one that lives on was not refused.
pub const STREAMING_RECEIVER: &str = "\
    pg_stat_wal_receiver WHERE status = 'streaming' AND (last_msg_send_time IS DISTINCT FROM last_msg_receipt_time \
        OR last_msg_receipt_time < clock_timestamp() - interval '3 s')";

/// The sessions of a node with other machines, alike ones together, as one text of JSON.
pub const SESSIONS: &str = "SELECT coalesce(json_agg(own), '[]') FROM (\
     SELECT CASE WHEN backend_type = 'walsender' THEN 'replication' ELSE 'client' END AS purpose, usename AS role, \
         CASE WHEN backend_type = 'walsender' THEN application_name END AS standby, version AS tls, count(*) AS count \
     FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) \
     WHERE usename IS NOT NULL AND NOT client_addr <<= '127.0.0.0/8' \
     GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4) AS own";

/// How long a session may take to open. A server that is stuck must not keep a condition from being looked at again.
const OPENS_WITHIN: Duration = Duration::from_secs(2);

/// How long a standby may take to replay a checkpoint of the primary.
const REPLAYED_WITHIN: Duration = Duration::from_secs(10);

impl System {
    /// Has a node write every changed page to its disk. A standby does so only for a checkpoint of the primary that it
    /// has replayed.
    pub async fn checkpoint(&self, node: &str) -> Result<(), String> {
        if let Some(primary) = self.leader().await.filter(|primary| primary != node) {
            self.query(&primary, POSTGRESQL_PORT, "CHECKPOINT").await?;
            let checkpoint = self.sql_value(&primary, "SELECT checkpoint_lsn FROM pg_control_checkpoint()").await?;
            let replayed = format!("SELECT pg_last_wal_replay_lsn() > '{checkpoint}'");
            let look = || async {
                match self.sql_value(node, &replayed).await?.as_str() {
                    "t" => Ok(()),
                    _ => Err(format!("{node} has not replayed {checkpoint}")),
                }
            };
            wait_until("the primary's checkpoint to be replayed", REPLAYED_WITHIN, look)
                .await
                .map_err(|missed| missed.to_string())?;
        }
        self.query(node, POSTGRESQL_PORT, "CHECKPOINT").await.map(|_| ())
    }

    /// The first value that a node's PostgreSQL gives for a query.
    pub async fn sql_value(&self, node: &str, sql: &str) -> Result<String, String> {
        let rows = self.query(node, POSTGRESQL_PORT, sql).await?;
        rows.into_iter().next().ok_or_else(|| format!("{node} gave no row"))
    }

    /// Changes a parameter of a node's PostgreSQL as its superuser does on the host: `SET name = value` or `RESET name`. It
    /// holds from the reload on, which this asks for.
    pub async fn alter_system(&self, node: &str, change: &str) -> Result<(), EngineError> {
        let Some(service) = self.postgresql_of(node) else { return Ok(()) };
        // Each statement by itself: ALTER SYSTEM takes no part in a transaction.
        let script = format!(
            "runuser -u postgres -- psql -qX -c 'ALTER SYSTEM {change}' -c 'SELECT pg_reload_conf()' > /dev/null"
        );
        let done = self.engine().run_in_service(service, &script).await?;
        if done.status == 0 {
            return Ok(());
        }
        let (host, command) = (node.to_owned(), script);
        Err(EngineError::Command { host, command, status: done.status, output: done.text })
    }

    /// A session with a node, to keep.
    pub async fn session(&self, node: &str, name: &str) -> Result<Session, String> {
        let address = self.access().address(node, POSTGRESQL_PORT).ok_or_else(|| format!("{node} is not published"))?;
        let login = self.access().login();
        let opened = Session::open(address, &login, name);
        match tokio::time::timeout(Duration::from_secs(5), opened).await {
            Ok(opened) => opened.map_err(|error| error.to_string()),
            Err(_) => Err(format!("{node} opened no session within 5 s")),
        }
    }

    /// The SQLSTATE with which a node refuses a new session; `None` if it takes one or says nothing.
    pub async fn refuses_sessions(&self, node: &str) -> Option<String> {
        let address = self.access().address(node, POSTGRESQL_PORT)?;
        let login = self.access().login();
        let opened = Session::open(address, &login, "pgquake probe");
        match timeout(OPENS_WITHIN, opened).await.ok()? {
            Ok(session) => {
                session.close().await;
                None
            }
            Err(error) => error.sqlstate().map(str::to_owned),
        }
    }

    /// The first column of a query's rows, on a session of its own.
    pub async fn query(&self, host: &str, port: u16, sql: &str) -> Result<Vec<String>, String> {
        let address = self.access().address(host, port).ok_or_else(|| format!("{host}:{port} is not published"))?;
        self.query_at(address, sql).await
    }

    /// The same, where the harness reaches a server.
    pub(super) async fn query_at(&self, address: SocketAddr, sql: &str) -> Result<Vec<String>, String> {
        let login = self.access().login();
        let opened = Session::open(address, &login, "pgquake");
        let session = timeout(OPENS_WITHIN, opened).await;
        let session = session.map_err(|_| format!("no session at {address} within {} s", OPENS_WITHIN.as_secs()))?;
        let session = session.map_err(|error| error.to_string())?;
        let answer = session.simple_query(sql).await.map_err(|error| explain(&error))?;
        session.close().await;
        Ok(first_column(answer))
    }
}

fn first_column(messages: Vec<SimpleQueryMessage>) -> Vec<String> {
    messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect()
}
