//! Who leads: asked when a fault is aimed, from outside, at the moment.

use std::{sync::PoisonError, time::Duration};

use futures::future::join_all;

use super::{NODE, NODE_TIMELINE, System};
use crate::{
    dcs::{self, Client, DcsError},
    services::{patroni::SCOPE, service},
    waiting::{NotReady, wait_until},
};

/// How long a member may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long the DCS may take to change its leader when it is asked to: an election, at most.
const LEADER_MOVED_WITHIN: Duration = Duration::from_secs(10);

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
    /// The node whose Patroni says that it leads. If several do (one of them was frozen, and says what it knew), it is the
    /// holder of the leader key, or else the one on the highest timeline.
    pub async fn leader(&self) -> Option<String> {
        let mut leaders = self.leaders().await;
        let leader = if leaders.len() < 2 { leaders.pop() } else { self.rightful(leaders).await };
        if let Some(leader) = &leader {
            *self.inner.led_last.lock().unwrap_or_else(PoisonError::into_inner) = Some(leader.clone());
        }
        leader
    }

    /// The leader, also while no Patroni says that it leads: one that is starved or frozen does not answer. Then it is the
    /// holder of the leader key, or else the node that led last.
    pub async fn leader_or_last(&self) -> Option<Leader> {
        if let Some(node) = self.leader().await {
            return Some(Leader { node, found: Found::Answered });
        }
        if let Some(node) = self.leader_key_holder().await {
            return Some(Leader { node, found: Found::HoldsLeaderKey });
        }
        let last = self.inner.led_last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.map(|node| Leader { node, found: Found::LedLast })
    }

    /// Which of several nodes that say they lead does.
    async fn rightful(&self, leaders: Vec<String>) -> Option<String> {
        let holder = self.leader_key_holder().await;
        if let Some(holder) = holder.filter(|holder| leaders.contains(holder)) {
            return Some(holder);
        }
        let written = format!("SELECT {NODE_TIMELINE} FROM {NODE} WHERE NOT standby");
        let timelines = join_all(leaders.iter().map(|node| self.sql_value(node, &written))).await;
        highest_timeline(leaders.into_iter().zip(timelines.into_iter().map(Result::ok)))
    }

    /// The node whose name the leader key has, as the first member of the DCS that answers says.
    async fn leader_key_holder(&self) -> Option<String> {
        let key = format!("/service/{SCOPE}/leader");
        let members: Vec<&str> = self.plan().dcs_members().collect();
        let asked = members.iter().map(|member| async {
            let mut client = self.dcs_client(&[member], ANSWER_WITHIN).ok()?;
            client.read(&key).await.ok()?
        });
        let holder = join_all(asked).await.into_iter().flatten().next();
        holder.filter(|holder| self.plan().nodes.contains(holder))
    }

    /// The nodes whose Patroni says that it leads: more than one if one was frozen, and says what it knew.
    pub(super) async fn leaders(&self) -> Vec<String> {
        self.who_says("leader").await
    }

    /// The nodes that stream as standbys, as their Patroni reports.
    pub async fn standbys(&self) -> Vec<String> {
        self.who_says("replica").await
    }

    /// The node that is the synchronous standby, if there is one.
    pub async fn synchronous_standby(&self) -> Option<String> {
        self.who_says("synchronous").await.into_iter().next()
    }

    /// The nodes whose Patroni says yes at this path of its REST API.
    async fn who_says(&self, path: &str) -> Vec<String> {
        let nodes = &self.plan().nodes;
        let answers = join_all(nodes.iter().map(|node| self.rest_status(node, path))).await;
        nodes.iter().zip(answers).filter(|(_, status)| *status == Some(200)).map(|(node, _)| node.clone()).collect()
    }

    /// The member that leads the DCS, as it reports itself.
    pub async fn dcs_leader(&self) -> Option<String> {
        let members: Vec<&str> = self.plan().dcs_members().collect();
        let asked = members.iter().map(|member| async move {
            let mut client = self.dcs_client(&[member], ANSWER_WITHIN).ok()?;
            client.status().await.ok()?.leads().then(|| (*member).to_owned())
        });
        join_all(asked).await.into_iter().flatten().next()
    }

    /// Makes a member the leader of the DCS, and waits until it is.
    pub async fn move_dcs_leader(&self, to: &str) -> Result<(), NotReady> {
        let dcs = self.plan().dcs_at(to).map_or("the DCS", |dcs| dcs.kind.name());
        wait_until(&format!("{dcs} to be led by {to}"), LEADER_MOVED_WITHIN, || async move {
            let leader = self.dcs_leader().await.ok_or_else(|| format!("{dcs} has no leader"))?;
            if leader == to {
                return Ok(());
            }
            let failed = |error: DcsError| error.to_string();
            let target = self.dcs_client(&[to], ANSWER_WITHIN)?.status().await.map_err(failed)?;
            let mut leading = self.dcs_client(&[&leader], ANSWER_WITHIN)?;
            leading.hand_over(&target.own_id).await.map_err(failed)?;
            Err(format!("{leader} was asked to hand over"))
        })
        .await
    }

    /// A client of these members of one DCS. Each request may take `answer_within`.
    pub(super) fn dcs_client(&self, members: &[&str], answer_within: Duration) -> Result<Box<dyn Client>, String> {
        let dcs = members.first().and_then(|member| self.plan().dcs_at(member)).ok_or("there is no DCS")?;
        let kind = dcs.kind;
        let no_dcs = || format!("{} is no DCS", kind.name());
        let port = service(kind).dcs().ok_or_else(no_dcs)?.client_port;
        let published =
            |member: &&str| self.access().address(member, port).ok_or_else(|| format!("{member} is not published"));
        let addresses = members.iter().map(published).collect::<Result<Vec<_>, _>>()?;
        dcs::client(kind, &addresses, answer_within).ok_or_else(no_dcs)
    }

    /// The status with which a node's Patroni answers, if it does.
    pub async fn rest_status(&self, node: &str, path: &str) -> Option<u16> {
        Some(self.patroni_answer(node, path).await.ok()?.status().as_u16())
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
