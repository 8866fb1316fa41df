//! What an operator's actions share: the node that they are aimed at, and who accepts writes after them.

pub(super) mod configuration_change;
pub(super) mod etcd_compaction;
pub(super) mod etcd_defragmentation;
pub(super) mod etcd_member_replaced;
pub(super) mod etcd_no_space;
pub(super) mod etcd_upgrade;
mod etcdctl;
pub(super) mod failover;
pub(super) mod member_removed;
pub(super) mod patroni_upgrade;
pub(super) mod pause;
pub(super) mod postgresql_restart;
pub(super) mod postgresql_upgrade;
mod programs;
pub(super) mod read_only;
pub(super) mod reinitialize;
pub(super) mod switchover;

use super::{Aim, FaultError};
use crate::{
    plan::Plan,
    system::{RunningCluster, System},
};

/// The PostgreSQL node that an action is aimed at, which its agent carries out.
pub(super) fn node(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<String, FaultError> {
    let host = aim.one_host(fault)?;
    match plan.agent_of(host) {
        Some(_) => Ok(host.to_owned()),
        None => Err(aim.refuse(fault, format!("{host} runs no Patroni"))),
    }
}

/// Refuses an action on the whole cluster if none of its hosts has an agent that could be asked.
pub(super) fn asks_an_agent(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<(), FaultError> {
    match aim.hosts.iter().any(|host| plan.agent_of(host).is_some()) {
        true => Ok(()),
        false => Err(aim.refuse(fault, "no Patroni runs there that could be asked")),
    }
}

/// The cluster that an action on a whole cluster is aimed at.
pub(super) fn cluster_of<'s>(system: &'s System, aim: &Aim) -> Result<RunningCluster<'s>, String> {
    let found = aim.hosts.iter().find_map(|host| system.cluster_of(host));
    found.ok_or_else(|| format!("{} is no node of a cluster", aim.described))
}

/// The cluster of a node.
pub(super) fn cluster_of_node<'s>(system: &'s System, node: &str) -> Result<RunningCluster<'s>, String> {
    system.cluster_of(node).ok_or_else(|| format!("{node} is no node of a cluster"))
}

/// What a node is, if it leads or streams from the node that does.
pub(super) async fn place_of(system: &System, node: &str) -> Result<String, String> {
    let leader = cluster_of_node(system, node)?.leader().await.ok_or("no node leads")?;
    if leader == node {
        return Ok("it leads".to_owned());
    }
    system.streams_from(node, &leader).await?;
    Ok(format!("it streams from {leader}"))
}

/// The node that leads the cluster of this one, as its Patroni reports.
pub(super) async fn leader_beside(system: &System, node: &str) -> Option<String> {
    system.cluster_of(node)?.leader().await
}

/// The same, if PostgreSQL there accepts writes, or leads a cluster that follows another one.
pub(super) async fn leading_node(system: &System, node: &str) -> Result<String, String> {
    let cluster = cluster_of_node(system, node)?;
    let leader = cluster.leader().await.ok_or("no node leads")?;
    let in_recovery = system.sql_value(&leader, "SELECT pg_is_in_recovery()").await? == "t";
    if in_recovery && cluster.standby_leader().await.as_ref() != Some(&leader) {
        return Err(format!("PostgreSQL on {leader} is in recovery"));
    }
    Ok(leader)
}
