//! Who leads: asked when a fault is aimed, from outside, at the moment. A node's agent says what it is, and where there is
//! none the node itself, in SQL.

use std::{sync::PoisonError, time::Duration};

use futures::future::join_all;

use super::{NODE, NODE_TIMELINE, RunningCluster, System};

/// How long a member may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The standbys that a commit on a node waits for, the first one first.
const SYNCHRONOUS_STANDBYS: &str = "SELECT application_name FROM pg_stat_replication \
     WHERE sync_state IN ('sync', 'quorum') ORDER BY sync_priority, application_name";

/// What a node can be, in the words of its agent's REST API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Primary,
    /// A primary, or the one that leads a cluster that follows another one.
    Leader,
    StandbyLeader,
    Replica,
    Synchronous,
}

impl Part {
    fn path(self) -> &'static str {
        match self {
            Part::Primary => "primary",
            Part::Leader => "leader",
            Part::StandbyLeader => "standby-leader",
            Part::Replica => "replica",
            Part::Synchronous => "synchronous",
        }
    }
}

/// The node that leads, and how it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Its name.
    pub node: String,
    /// How it was found.
    pub found: Found,
}

/// How the leader was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It says that it leads, itself or by its agent.
    Answered,
    /// No node says so; the leader key in the DCS has its name.
    HoldsLeaderKey,
    /// Nor does the DCS know one; it led when the harness last saw a leader.
    LedLast,
}

impl System {
    /// The node that leads the system: that says it is the primary of a cluster that follows no other. If
    /// several do (one of them was frozen, and says what it knew; a region came back after another was promoted), it is
    /// the holder of a leader key, or else the one on the highest timeline.
    pub async fn leader(&self) -> Option<String> {
        let mut leaders = self.who_is(&self.plan().nodes, Part::Primary).await;
        let leader = if leaders.len() < 2 { leaders.pop() } else { self.rightful(leaders).await };
        if let Some(leader) = &leader {
            self.note_leader(leader);
        }
        leader
    }

    /// The primary of a cluster, also while no node says that it leads: one that is starved or frozen does not answer.
    /// Then it is the holder of the leader key, or else the node that led last. A cluster that follows another one has
    /// none.
    pub async fn primary_of(&self, cluster: RunningCluster<'_>) -> Option<Leader> {
        let (nodes, follows) = (&cluster.plan().nodes, cluster.plan().follows.is_some());
        let mut primaries = self.who_is(nodes, Part::Primary).await;
        let primary = if primaries.len() < 2 { primaries.pop() } else { self.rightful(primaries).await };
        if let Some(node) = primary {
            self.note_leader(&node);
            return Some(Leader { node, found: Found::Answered });
        }
        // Until it is promoted, the holder of its key is a standby leader.
        if let Some(node) = cluster.leader_key_holder().await.filter(|_| !follows) {
            return Some(Leader { node, found: Found::HoldsLeaderKey });
        }
        let last = self.inner.led_last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|last| nodes.contains(last)).map(|node| Leader { node, found: Found::LedLast })
    }

    fn note_leader(&self, leader: &str) {
        *self.inner.led_last.lock().unwrap_or_else(PoisonError::into_inner) = Some(leader.to_owned());
    }

    /// Which of several nodes that say they lead does.
    async fn rightful(&self, leaders: Vec<String>) -> Option<String> {
        let written = format!("SELECT {NODE_TIMELINE} FROM {NODE} WHERE NOT standby");
        let holders = join_all(self.clusters().map(|cluster| async move { cluster.leader_key_holder().await })).await;
        let held: Vec<String> =
            leaders.iter().filter(|leader| holders.iter().flatten().any(|holder| holder == *leader)).cloned().collect();
        match held.as_slice() {
            [holder] => return Some(holder.clone()),
            _ if held.is_empty() => {}
            // Each holds the key of a cluster of its own.
            _ => return self.on_the_highest_timeline(held, &written).await,
        }
        self.on_the_highest_timeline(leaders, &written).await
    }

    async fn on_the_highest_timeline(&self, nodes: Vec<String>, written: &str) -> Option<String> {
        let timelines = join_all(nodes.iter().map(|node| self.sql_value(node, written))).await;
        highest_timeline(nodes.into_iter().zip(timelines.into_iter().map(Result::ok)))
    }

    /// The nodes that are standbys, as they say, of every cluster.
    pub async fn standbys(&self) -> Vec<String> {
        self.who_is(&self.plan().nodes, Part::Replica).await
    }

    /// The nodes that say they are this.
    async fn who_is(&self, nodes: &[String], part: Part) -> Vec<String> {
        let answers = join_all(nodes.iter().map(|node| self.is(node, part))).await;
        nodes.iter().zip(answers).filter(|(_, says)| *says).map(|(node, _)| node.clone()).collect()
    }

    /// Whether a node says that it is this: its agent, or in SQL where nobody keeps it.
    async fn is(&self, node: &str, part: Part) -> bool {
        if self.plan().agent_of(node).is_some() {
            return self.rest_status(node, part.path()).await == Some(200);
        }
        let in_recovery = match part {
            Part::Primary | Part::Leader => "f",
            Part::Replica => "t",
            // No node without an agent leads as a standby, and none knows whether its primary waits for it.
            Part::StandbyLeader | Part::Synchronous => return false,
        };
        self.sql_value(node, "SELECT pg_is_in_recovery()").await.is_ok_and(|told| told == in_recovery)
    }

    /// The status with which a node's Patroni answers, if it does.
    pub async fn rest_status(&self, node: &str, path: &str) -> Option<u16> {
        Some(self.patroni_answer(node, path).await.ok()?.status().as_u16())
    }
}

impl RunningCluster<'_> {
    /// The node that leads this cluster, a primary or a standby leader, as it says; if several say so, the one
    /// that holds the leader key, or else the one on the highest timeline.
    pub async fn leader(&self) -> Option<String> {
        let mut leaders = self.leaders().await;
        if leaders.len() < 2 { leaders.pop() } else { self.system.rightful(leaders).await }
    }

    /// The nodes that say they lead: more than one if one was frozen, and says what it knew.
    pub async fn leaders(&self) -> Vec<String> {
        self.system.who_is(&self.cluster.nodes, Part::Leader).await
    }

    /// The node that leads while the cluster follows another one, if it does.
    pub async fn standby_leader(&self) -> Option<String> {
        self.system.who_is(&self.cluster.nodes, Part::StandbyLeader).await.pop()
    }

    /// The nodes that are standbys, as they say; not a standby leader.
    pub async fn standbys(&self) -> Vec<String> {
        self.system.who_is(&self.cluster.nodes, Part::Replica).await
    }

    /// The node that is the synchronous standby, if there is one; of several, the one that comes first for its primary.
    pub async fn synchronous_standby(&self) -> Option<String> {
        let named = self.system.who_is(&self.cluster.nodes, Part::Synchronous).await.into_iter().next();
        if named.is_some() || self.cluster.nodes.iter().any(|node| self.system.plan().agent_of(node).is_some()) {
            return named;
        }
        let primary = self.leader().await?;
        self.system.sql_value(&primary, SYNCHRONOUS_STANDBYS).await.ok()
    }

    /// The node whose name the leader key has, as the first member of the DCS that answers says.
    pub async fn leader_key_holder(&self) -> Option<String> {
        let key = self.cluster.key("leader");
        let dcs = self.system.plan().dcs_of(self.cluster)?;
        let asked = dcs.members.iter().map(|member| async {
            let mut client = self.system.dcs_client(dcs, &[member], ANSWER_WITHIN).ok()?;
            client.read(&key).await.ok()?
        });
        let holder = join_all(asked).await.into_iter().flatten().next();
        holder.filter(|holder| self.cluster.nodes.contains(holder))
    }
}

/// The node with the highest timeline; one whose timeline is unknown comes last, and the first of equals wins.
fn highest_timeline(nodes: impl Iterator<Item = (String, Option<String>)>) -> Option<String> {
    let numbered = nodes.map(|(node, timeline)| (node, timeline.and_then(|text| text.parse::<u32>().ok())));
    let highest = numbered.reduce(|best, next| if next.1 > best.1 { next } else { best });
    highest.map(|(node, _)| node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_say_they_lead_the_one_on_the_higher_timeline_does() {
        let nodes = |timelines: [Option<&str>; 2]| {
            let named = ["node1", "node2"].map(str::to_owned).into_iter();
            named.zip(timelines.map(|timeline| timeline.map(str::to_owned)))
        };
        assert_eq!(highest_timeline(nodes([Some("2"), Some("10")])).as_deref(), Some("node2"));
        assert_eq!(highest_timeline(nodes([Some("3"), None])).as_deref(), Some("node1"));
        assert_eq!(highest_timeline(nodes([None, None])).as_deref(), Some("node1"));
    }
}
