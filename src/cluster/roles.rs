//! Who leads: asked when a fault is aimed, from outside, at the moment.

use std::time::Duration;

use futures::future::join_all;

use super::{Cluster, NotReady, wait_until};
use crate::topology::ServiceKind;

/// How long a member may take to say what it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How long etcd may take to change its leader when it is asked to: an election, at most.
const LEADER_MOVED_WITHIN: Duration = Duration::from_secs(10);

impl Cluster {
    /// The node whose Patroni says that it leads; the first, if several do.
    pub async fn primary(&self) -> Option<String> {
        self.leaders().await.into_iter().next()
    }

    /// The nodes whose Patroni says that it leads: more than one if one was frozen, and says what it knew.
    pub(super) async fn leaders(&self) -> Vec<String> {
        self.who_says("leader").await
    }

    /// The nodes that stream as standbys by their Patroni's word.
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

    /// The etcd member that is raft leader, by the word of a member.
    pub async fn dcs_leader(&self) -> Option<String> {
        let members: Vec<&str> = self.plan().hosts_with(ServiceKind::Etcd).collect();
        let asked = members.iter().map(|member| async move {
            let mut client = self.etcd(member).await.ok()?;
            let status = tokio::time::timeout(ANSWER_WITHIN, client.status()).await.ok()?.ok()?;
            let own = status.header()?.member_id();
            (own == status.leader()).then(|| (*member).to_owned())
        });
        join_all(asked).await.into_iter().flatten().next()
    }

    /// Makes an etcd member the raft leader, and waits until it is.
    pub async fn move_dcs_leader(&self, to: &str) -> Result<(), NotReady> {
        wait_until(&format!("etcd to be led by {to}"), LEADER_MOVED_WITHIN, || async {
            let leader = self.dcs_leader().await.ok_or("etcd has no leader")?;
            if leader == to {
                return Ok(());
            }
            let failed = |error: etcd_client::Error| error.to_string();
            let target = self.etcd(to).await?.status().await.map_err(failed)?;
            let id = target.header().ok_or("etcd gave no header")?.member_id();
            self.etcd(&leader).await?.move_leader(id).await.map_err(failed)?;
            Err(format!("{leader} was asked to hand over"))
        })
        .await
    }

    /// A client of one etcd member.
    async fn etcd(&self, member: &str) -> Result<etcd_client::Client, String> {
        let port = crate::services::ETCD_CLIENT_PORT;
        let address = self.access().address(member, port).ok_or_else(|| format!("{member} is not published"))?;
        let connected = etcd_client::Client::connect([format!("http://{address}")], None);
        let client = tokio::time::timeout(ANSWER_WITHIN, connected).await.map_err(|_| "no answer".to_owned())?;
        client.map_err(|error| error.to_string())
    }

    /// The status with which a node's Patroni answers, if it does.
    pub async fn rest_status(&self, node: &str, path: &str) -> Option<u16> {
        Some(self.patroni_answer(node, path).await.ok()?.status().as_u16())
    }
}
