//! Who streams from whom: asked in SQL, from outside, of both ends.

use std::sync::LazyLock;

use futures::future::try_join_all;

use super::{NODE, NODE_TIMELINE, RunningCluster, STREAMING_RECEIVER, System};
use crate::{
    services::{patroni::POSTGRESQL_PORT, postgresql::position},
    topology::Cluster,
};

/// The timeline that a standby receives.
static RECEIVED_TIMELINE: LazyLock<String> = LazyLock::new(|| format!("SELECT received_tli FROM {STREAMING_RECEIVER}"));
/// The standbys that a node sends WAL to, up to its end.
const STANDBYS: &str = "SELECT application_name FROM pg_stat_replication WHERE state = 'streaming'";

impl System {
    /// Whether at least this many standbys stream from a node, as it reports.
    pub async fn streaming_from(&self, primary: &str, wanted: usize) -> Result<(), String> {
        let standbys = self.query(primary, POSTGRESQL_PORT, STANDBYS).await?;
        if standbys.len() >= wanted {
            return Ok(());
        }
        Err(format!("{} of {wanted} stream from {primary} ({})", standbys.len(), standbys.join(", ")))
    }

    /// Whether a standby streams what a node writes, on its timeline, as both report.
    pub async fn streams_from(&self, standby: &str, primary: &str) -> Result<(), String> {
        let sent = self.query(primary, POSTGRESQL_PORT, STANDBYS).await?;
        if !sent.iter().any(|name| name == standby) {
            return Err(format!("{primary} does not stream to {standby}"));
        }
        let written = self.timeline(primary, &format!("SELECT {NODE_TIMELINE} FROM {NODE}")).await?;
        match self.timeline(standby, &RECEIVED_TIMELINE).await? {
            received if received == written && received.is_some() => Ok(()),
            _ => Err(format!("{standby} does not stream the timeline that {primary} writes")),
        }
    }

    /// Whether in every cluster exactly one node leads and every other streams from it, and of the clusters of a lineage
    /// exactly one accepts writes, while the leaders of the others stream from it, on its timeline.
    pub async fn all_follow(&self) -> Result<(), String> {
        let awaited = || self.clusters().filter(|cluster| !cluster.is_given_up());
        try_join_all(awaited().map(|cluster| async move { cluster.all_follow().await })).await?;
        let plan = self.plan();
        for origin in plan.leading() {
            let own = |cluster: &RunningCluster<'_>| plan.lineage_of(cluster.plan()).name == origin.name;
            let lineage: Vec<RunningCluster<'_>> = awaited().filter(own).collect();
            if lineage.len() > 1 {
                self.one_leads(&lineage).await?;
            }
        }
        Ok(())
    }

    /// Whether of these clusters one accepts writes, and the leaders of those to which somebody streams receive WAL of its
    /// timeline.
    async fn one_leads(&self, lineage: &[RunningCluster<'_>]) -> Result<(), String> {
        let plan = self.plan();
        let written = format!("SELECT {NODE_TIMELINE} FROM {NODE} WHERE NOT standby");
        let (mut primaries, mut followers) = (Vec::new(), Vec::new());
        for cluster in lineage {
            let leader = cluster.only_leader().await?;
            match self.timeline(&leader, &written).await? {
                Some(timeline) => primaries.push((leader, timeline)),
                None => followers.push(leader),
            }
        }
        let (primary, timeline) = match primaries.as_slice() {
            [one] => one,
            [] => return Err("no cluster accepts writes".to_owned()),
            several => {
                let names: Vec<&str> = several.iter().map(|(node, _)| node.as_str()).collect();
                return Err(format!("{} accept writes, each in a cluster of its own", names.join(" and ")));
            }
        };
        for leader in followers {
            // One that takes its WAL from an archive receives nothing. What it lacks is known only when a file has ended.
            if plan.cluster_of(&leader).is_some_and(Cluster::is_shipped) {
                continue;
            }
            let received = self.timeline(&leader, &RECEIVED_TIMELINE).await?;
            let received = received.ok_or_else(|| format!("{leader} leads a standby cluster and does not stream"))?;
            if received != *timeline {
                return Err(format!("{leader} streams timeline {received}, and {primary} writes timeline {timeline}"));
            }
        }
        Ok(())
    }

    /// Whether every standby of every cluster has replayed all WAL that its leader has so far.
    pub async fn all_replayed(&self) -> Result<(), String> {
        let written = match self.leader().await {
            Some(primary) => Some(self.sql_value(&primary, "SELECT pg_current_wal_lsn()").await?),
            None => None,
        };
        // What an archive has not got yet is waited for apart.
        let streams = |cluster: &RunningCluster<'_>| !cluster.is_given_up() && !cluster.plan().is_shipped();
        for cluster in self.clusters().filter(streams) {
            cluster.all_replayed(written.as_deref()).await?;
        }
        Ok(())
    }

    /// Whether every cluster that takes its WAL from an archive alone has replayed up to a place that another one wrote and
    /// archived, in bytes.
    pub async fn all_shipped(&self, of: &str, lsn: u64) -> Result<(), String> {
        let Some(origin) = self.plan().cluster(of) else { return Ok(()) };
        let place = position(lsn);
        let shipped = |cluster: &RunningCluster<'_>| {
            cluster.plan().is_shipped()
                && !cluster.is_given_up()
                && self.plan().lineage_of(cluster.plan()).name == origin.name
        };
        for cluster in self.clusters().filter(shipped) {
            cluster.all_replayed(Some(&place)).await?;
        }
        Ok(())
    }

    async fn timeline(&self, node: &str, sql: &str) -> Result<Option<u32>, String> {
        let rows = self.query(node, POSTGRESQL_PORT, sql).await?;
        let Some(value) = rows.first() else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("{node} gave '{value}' for its timeline"))
    }
}

impl RunningCluster<'_> {
    /// Whether exactly one node leads, and every other streams from it on the timeline that it writes (or, in a cluster
    /// that follows another one, receives), as both of them report. The leader's report alone would not do: a node that
    /// comes back with rows of its own asks for WAL of the timeline that was left, gets what there is of it, and counts as
    /// streaming for an instant, before its agent rewinds it.
    pub async fn all_follow(&self) -> Result<(), String> {
        let system = self.system;
        let leader = self.only_leader().await?;
        let own = format!("SELECT {NODE_TIMELINE} FROM {NODE}");
        let timeline = system.timeline(&leader, &own).await?.ok_or_else(|| format!("{leader} gave no timeline"))?;
        let standby = system.sql_value(&leader, "SELECT pg_is_in_recovery()").await? == "t";
        if standby && self.standby_leader().await.as_ref() != Some(&leader) {
            return Err(format!("{leader} leads and is in recovery"));
        }
        let sent = system.query(&leader, POSTGRESQL_PORT, STANDBYS).await?;
        let others: Vec<&String> = self.others(&leader).collect();
        if let Some(node) = others.iter().find(|node| !sent.contains(node)) {
            return Err(format!("{leader} does not stream to {node}"));
        }
        let received = try_join_all(others.iter().map(|node| system.timeline(node, &RECEIVED_TIMELINE))).await?;
        // A leader that takes its WAL from an archive knows the timeline of its last restart point alone.
        let is_known = !(standby && self.cluster.is_shipped());
        for (node, own) in others.into_iter().zip(received) {
            let own = own.ok_or_else(|| format!("{node} does not stream"))?;
            if is_known && own != timeline {
                return Err(format!("{node} streams timeline {own}, and {leader} is on timeline {timeline}"));
            }
        }
        Ok(())
    }

    /// Whether every node has replayed all WAL up to this position, or up to what the leader has written.
    async fn all_replayed(&self, written: Option<&str>) -> Result<(), String> {
        let leader = self.only_leader().await?;
        let written = match written {
            Some(written) => written.to_owned(),
            None => self.system.sql_value(&leader, "SELECT pg_last_wal_replay_lsn()").await?,
        };
        let replayed = format!("SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= '{written}'");
        let asked = self.cluster.nodes.iter().map(|node| self.system.sql_value(node, &replayed));
        let behind: Vec<&str> = try_join_all(asked)
            .await?
            .into_iter()
            .zip(&self.cluster.nodes)
            .filter(|(replayed, _)| replayed != "t")
            .map(|(_, node)| node.as_str())
            .collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{} behind {written}", behind.join(", "))) }
    }

    fn others(&self, leader: &str) -> impl Iterator<Item = &String> {
        self.cluster.nodes.iter().filter(move |node| *node != leader)
    }

    /// The node that leads, as its Patroni reports, if no other says so too.
    async fn only_leader(&self) -> Result<String, String> {
        let mut leaders = self.leaders().await;
        match leaders.len() {
            0 if self.system.plan().clusters.len() == 1 => Err("no node leads".to_owned()),
            0 => Err(format!("no node of {} leads", self.cluster.name)),
            1 => Ok(leaders.remove(0)),
            _ => Err(format!("{} all say that they lead", leaders.join(", "))),
        }
    }
}
