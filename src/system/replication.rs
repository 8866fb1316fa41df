//! Who streams from whom: asked in SQL, from outside, of both ends.

use futures::future::try_join_all;

use super::{NODE, NODE_TIMELINE, System};
use crate::services::patroni::POSTGRESQL_PORT;

/// The timeline that a standby receives.
const RECEIVED_TIMELINE: &str = "SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'";
/// The standbys that a node sends WAL to, up to its end.
const STANDBYS: &str = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'";
/// Those of them that have replayed all that the node has written.
const REPLAYED: &str = "SELECT application_name FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()";

impl System {
    /// Whether at least this many standbys stream from a node, as it reports.
    pub async fn streaming_from(&self, primary: &str, wanted: usize) -> Result<(), String> {
        let standbys = self.query(primary, POSTGRESQL_PORT, STANDBYS).await?;
        if standbys.len() >= wanted {
            return Ok(());
        }
        Err(format!("{} of {wanted} stream from {primary} ({})", standbys.len(), standbys.join(", ")))
    }

    /// Whether exactly one node leads, and every other streams from it on the timeline that it writes, as both
    /// report. The primary's report alone would not do: a node that comes back with rows of its own asks for WAL of the
    /// timeline that was left, gets what there is of it, and counts as streaming for an instant, before its agent rewinds
    /// it.
    pub async fn all_follow(&self) -> Result<(), String> {
        let primary = self.only_leader().await?;
        let written = format!("SELECT {NODE_TIMELINE} FROM {NODE} WHERE NOT standby");
        let timeline = self.timeline(&primary, &written).await?;
        let timeline = timeline.ok_or_else(|| format!("{primary} leads and is in recovery"))?;
        let sent = self.query(&primary, POSTGRESQL_PORT, STANDBYS).await?;
        let others: Vec<&String> = self.others(&primary).collect();
        if let Some(node) = others.iter().find(|node| !sent.contains(node)) {
            return Err(format!("{primary} does not stream to {node}"));
        }
        let received = try_join_all(others.iter().map(|node| self.timeline(node, RECEIVED_TIMELINE))).await?;
        for (node, own) in others.into_iter().zip(received) {
            let own = own.ok_or_else(|| format!("{node} does not stream"))?;
            if own != timeline {
                return Err(format!("{node} streams timeline {own}, and {primary} writes timeline {timeline}"));
            }
        }
        Ok(())
    }

    /// Whether every standby has replayed all WAL that the primary has written so far.
    pub async fn all_replayed(&self) -> Result<(), String> {
        let primary = self.only_leader().await?;
        let replayed = self.query(&primary, POSTGRESQL_PORT, REPLAYED).await?;
        let behind = self.others(&primary).filter(|node| !replayed.contains(node));
        let behind: Vec<&str> = behind.map(String::as_str).collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{} behind {primary}", behind.join(", "))) }
    }

    fn others(&self, primary: &str) -> impl Iterator<Item = &String> {
        self.plan().nodes.iter().filter(move |node| *node != primary)
    }

    /// The node that leads, as its Patroni reports, if no other says so too.
    async fn only_leader(&self) -> Result<String, String> {
        let mut leaders = self.leaders().await;
        match leaders.len() {
            0 => Err("no node leads".to_owned()),
            1 => Ok(leaders.remove(0)),
            _ => Err(format!("{} all say that they lead", leaders.join(", "))),
        }
    }

    async fn timeline(&self, node: &str, sql: &str) -> Result<Option<u32>, String> {
        let rows = self.query(node, POSTGRESQL_PORT, sql).await?;
        let Some(value) = rows.first() else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{node} gave '{value}' for its timeline"))
    }
}
