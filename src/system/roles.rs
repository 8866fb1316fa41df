//! Who leads: asked when a fault is aimed, from outside, at the moment.

use std::{sync::PoisonError, time::Duration};

use futures::future::join_all;

use super::{NODE, NODE_TIMELINE, RunningCluster, System};

/// How long a member may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
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
    /// Its Patroni says that it leads.
    Answered,
    /// No Patroni says so; the leader key in the DCS has its name.
    HoldsLeaderKey,
    /// Nor does the DCS know one; it led when the harness last saw a leader.
    LedLast,
}

impl System {
    /// The node that leads the system: whose Patroni says that it is the primary of a cluster that follows no other. If
    /// several do (one of them was frozen, and says what it knew; a region came back after another was promoted), it is
    /// the holder of a leader key, or else the one on the highest timeline.
    pub async fn leader(&self) -> Option<String> {
        let mut leaders = self.who_says(&self.plan().nodes, "primary").await;
        let leader = if leaders.len() < 2 { leaders.pop() } else { self.rightful(leaders).await };
        if let Some(leader) = &leader {
            self.note_leader(leader);
        }
        leader
    }

    /// The primary of a cluster, also while no Patroni says that it leads: one that is starved or frozen does not answer.
    /// Then it is the holder of the leader key, or else the node that led last. A cluster that follows another one has
    /// none.
    pub async fn primary_of(&self, cluster: RunningCluster<'_>) -> Option<Leader> {
        let (nodes, follows) = (&cluster.plan().nodes, cluster.plan().follows.is_some());
        let mut primaries = self.who_says(nodes, "primary").await;
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

    /// The nodes that stream as standbys, as their Patroni reports, of every cluster.
    pub async fn standbys(&self) -> Vec<String> {
        self.who_says(&self.plan().nodes, "replica").await
    }

    /// The nodes whose Patroni says yes at this path of its REST API.
    async fn who_says(&self, nodes: &[String], path: &str) -> Vec<String> {
        let answers = join_all(nodes.iter().map(|node| self.rest_status(node, path))).await;
        nodes.iter().zip(answers).filter(|(_, status)| *status == Some(200)).map(|(node, _)| node.clone()).collect()
    }

    /// The status with which a node's Patroni answers, if it does.
    pub async fn rest_status(&self, node: &str, path: &str) -> Option<u16> {
        Some(self.patroni_answer(node, path).await.ok()?.status().as_u16())
    }
}

impl RunningCluster<'_> {
    /// The node that leads this cluster, a primary or a standby leader, as its Patroni reports; if several say so, the one
    /// that holds the leader key, or else the one on the highest timeline.
    pub async fn leader(&self) -> Option<String> {
        let mut leaders = self.leaders().await;
        if leaders.len() < 2 { leaders.pop() } else { self.system.rightful(leaders).await }
    }

    /// The nodes whose Patroni says that it leads: more than one if one was frozen, and says what it knew.
    pub async fn leaders(&self) -> Vec<String> {
        self.system.who_says(&self.cluster.nodes, "leader").await
    }

    /// The node that leads while the cluster follows another one, if it does.
    pub async fn standby_leader(&self) -> Option<String> {
        self.system.who_says(&self.cluster.nodes, "standby-leader").await.pop()
    }

    /// The nodes that stream as standbys, as their Patroni reports; not a standby leader.
    pub async fn standbys(&self) -> Vec<String> {
        self.system.who_says(&self.cluster.nodes, "replica").await
    }

    /// The node that is the synchronous standby, if there is one.
    pub async fn synchronous_standby(&self) -> Option<String> {
        self.system.who_says(&self.cluster.nodes, "synchronous").await.into_iter().next()
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
