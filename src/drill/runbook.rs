//! What an operator does by a runbook when a region is lost, or handed over: each step an event with its time, so that a
//! report can split an outage by them.
//!
//! Steps are those of document 000: the loss is confirmed, the lag read, `standby_cluster` removed, the promotion awaited,
//! and clients are pointed at the other region.

mod backups;
mod members;
mod nodes;

use std::{fmt, time::Duration};

use serde_json::{Value, json};

use super::{Drill, DrillError, Running, SubscriberOrder};
use crate::{
    history::{
        Occurrence,
        event::{ConnectionAnswer, ConnectionTried, RunbookStep},
    },
    services::Serves,
    system::{Connection, Heard, NamingError, RunningCluster, SystemError},
    topology::{READ, ServiceKind, WRITE},
    waiting::wait_until,
    workload::{sessions_at, try_entries},
};

pub use backups::{BackupOrder, RestorePoint};
pub(super) use backups::{Before, due, sent};
pub use members::MemberOrder;
pub use nodes::{NodeOrder, PromotionWay};

/// How long the loss of a cluster may take to be seen: its hosts answer nothing, so each question waits for its limit.
const LOST_WITHIN: Duration = Duration::from_secs(60);
/// How long what follows may take to replay what is left, once nothing is written any more.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// A promotion waits for the agent's next loop at most, and for PostgreSQL.
const PROMOTED_WITHIN: Duration = Duration::from_secs(60);
/// A step of a runbook, as a scenario orders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunbookOrder {
    /// Make sure that no node of the cluster answers, and read how far those that follow it are.
    ConfirmLoss(String),
    /// Let the cluster follow no more, and wait for its primary.
    Promote(String),
    /// Point the applications' clients at the cluster.
    PointClients(String),
    /// Wait until the cluster has replayed all that the one has written that it follows.
    CatchUp(String),
    /// Make the first cluster follow the second one.
    Follow(String, String),
    /// Leave the cluster as it is: its region is rebuilt later.
    GiveUp(String),
    /// What is done on one node.
    OnNode(NodeOrder),
    /// What is done with backups.
    WithBackups(BackupOrder),
    /// What is done at a member of a DCS.
    AtMember(MemberOrder),
    /// What is done where somebody subscribes to a cluster.
    AtSubscriber(SubscriberOrder),
}

impl Drill {
    /// Has every host try the ports that the rules of the firewall name, and records what answered.
    pub async fn try_connections(&mut self) -> Result<(), DrillError> {
        self.begin_load().await?;
        let (ground, recorder) = (self.ground.clone(), self.recorder.clone());
        let running = self.running().await?;
        let tried = async { Ok::<_, DrillError>(running.system.try_connections().await?) };
        let tried = ground.hold(tried).await?.into_iter().map(recorded).collect();
        recorder.record(Occurrence::ConnectionsTried { tried });
        Ok(())
    }

    /// Tries every way in that must fail, and has each node show its sessions; records both.
    pub async fn try_entries(&mut self) -> Result<(), DrillError> {
        self.begin_load().await?;
        let (ground, recorder) = (self.ground.clone(), self.recorder.clone());
        let running = self.running().await?;
        let (plan, access) = (&running.plan, running.system.access());
        let tried = async { Ok::<_, DrillError>(try_entries(plan, access).await.map_err(SystemError::from)?) };
        recorder.record(Occurrence::EntriesTried { tried: ground.hold(tried).await? });
        for node in &plan.nodes {
            if let Some(sessions) = sessions_at(node, access).await {
                recorder.record(Occurrence::Sessions { node: node.clone(), sessions });
            }
        }
        Ok(())
    }
}

/// An attempt as the history has it.
fn recorded(Connection { from, to, port, answer }: Connection) -> ConnectionTried {
    let answer = match answer {
        Heard::Accepted => ConnectionAnswer::Accepted,
        Heard::Refused => ConnectionAnswer::Refused,
        Heard::Silence => ConnectionAnswer::Silence,
    };
    ConnectionTried { from, to, port, answer }
}

impl RunbookOrder {
    /// The clusters that it names.
    pub fn clusters(&self) -> Vec<&str> {
        match self {
            RunbookOrder::Follow(cluster, upstream) => vec![cluster, upstream],
            RunbookOrder::ConfirmLoss(cluster)
            | RunbookOrder::Promote(cluster)
            | RunbookOrder::PointClients(cluster)
            | RunbookOrder::CatchUp(cluster)
            | RunbookOrder::GiveUp(cluster) => vec![cluster],
            RunbookOrder::WithBackups(order) => vec![order.cluster()],
            RunbookOrder::OnNode(_) | RunbookOrder::AtMember(_) | RunbookOrder::AtSubscriber(_) => Vec::new(),
        }
    }

    /// The one of them that must follow another one by its topology.
    pub fn follower(&self) -> Option<&str> {
        match self {
            RunbookOrder::Promote(cluster) | RunbookOrder::CatchUp(cluster) => Some(cluster),
            _ => None,
        }
    }
}

/// Why a step of a runbook can't be taken.
#[derive(Debug, thiserror::Error)]
pub enum RunbookError {
    /// The topology has no such cluster.
    #[error("no cluster is called `{0}`")]
    NoCluster(String),
    /// Clients have nowhere to go.
    #[error("no endpoint leads to the primary of `{0}`")]
    NoEndpoint(String),
    /// A command on a node did not succeed.
    #[error("failed to run `{command}` on {node}: it ended with status {status}: {output}")]
    Command {
        /// The node.
        node: String,
        /// What was run.
        command: String,
        /// How it ended.
        status: i32,
        /// What it printed.
        output: String,
    },
    /// The topology archives nothing of a cluster.
    #[error("the cluster `{0}` has no backups: name them in its topology, under `backups`")]
    NoBackups(String),
    /// The topology has no such subscription.
    #[error("no subscription is called `{0}`")]
    NoSubscription(String),
    /// A cluster's backups name no machine to restore them on.
    #[error("the backups of `{0}` name no host to restore them on: give them `restore_on`")]
    NoPlaceToRestore(String),
    /// A restore was ordered to just before a change that nobody made.
    #[error("there was no bad change yet to restore to")]
    NoBadChange,
    /// A node's database did not do what it was asked.
    #[error("failed to ask {node}: {reason}")]
    Database {
        /// The node.
        node: String,
        /// What stood in the way.
        reason: String,
    },
    /// Patroni, or the DCS, did not take a change of the configuration.
    #[error("failed to change the configuration of the cluster `{cluster}`: {reason}")]
    Configuration {
        /// The cluster.
        cluster: String,
        /// What stood in the way.
        reason: String,
    },
    /// A global name could not be pointed elsewhere.
    #[error(transparent)]
    Naming(#[from] NamingError),
}

impl Drill {
    /// Takes a step of a runbook, and records it when it is seen to be done.
    pub async fn follow_runbook(&mut self, order: &RunbookOrder) -> Result<(), DrillError> {
        match order {
            RunbookOrder::ConfirmLoss(cluster) => self.confirm_loss(cluster).await,
            RunbookOrder::Promote(cluster) => self.promote(cluster).await,
            RunbookOrder::PointClients(cluster) => self.point_clients(cluster).await,
            RunbookOrder::CatchUp(cluster) => self.catch_up(cluster).await,
            RunbookOrder::Follow(cluster, upstream) => self.make_follow(cluster, upstream).await,
            RunbookOrder::GiveUp(cluster) => self.give_up(cluster).await,
            RunbookOrder::OnNode(order) => self.on_node(order).await,
            RunbookOrder::WithBackups(order) => self.with_backups(order).await,
            RunbookOrder::AtMember(order) => self.at_member(order).await,
            RunbookOrder::AtSubscriber(order) => self.at_subscriber(order).await,
        }
    }

    /// Confirms that a cluster is lost, and reads how far those are that follow it.
    async fn confirm_loss(&mut self, name: &str) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let running = self.running().await?;
        let cluster = cluster(running, name)?;
        let lost = async { wait_until("no answer of any node", LOST_WITHIN, || nobody_answers(cluster)).await };
        ground.hold(lost).await?;
        let mut evidence = format!("no node of {name} answers");
        for follower in running.plan.followers(name) {
            if let Some(follower) = running.system.cluster(&follower.name) {
                evidence += &format!("; {}", how_far(follower).await);
            }
        }
        self.note_step(RunbookStep::Decided, name, evidence);
        Ok(())
    }

    /// Removes `standby_cluster` from a cluster's configuration, and waits for its primary.
    async fn promote(&mut self, name: &str) -> Result<(), DrillError> {
        let (recorder, ground) = (self.recorder.clone(), self.ground.clone());
        let running = self.running().await?;
        let cluster = cluster(running, name)?;
        configure(cluster, &json!({ "standby_cluster": null })).await?;
        let note = |step, evidence| {
            recorder.record(Occurrence::Runbook { step, cluster: name.to_owned(), evidence });
        };
        note(RunbookStep::PromotionOrdered, format!("Patroni of {name} took standby_cluster: null"));
        let system = &running.system;
        let promoted = async {
            let look = || accepts_writes(cluster);
            let waited = wait_until(&format!("a primary of {name}"), PROMOTED_WITHIN, look).await;
            waited.map_err(|missed| system.with_logs(missed, &[ServiceKind::Patroni]))
        };
        let primary = ground.hold(promoted).await?;
        note(RunbookStep::Promoted, format!("{primary} is no longer in recovery"));
        Ok(())
    }

    /// Points the applications' endpoints at those of a cluster.
    async fn point_clients(&mut self, name: &str) -> Result<(), DrillError> {
        let running = self.running().await?;
        let mut moved = Vec::new();
        for (endpoint, serves) in [(WRITE, Serves::Primary), (READ, Serves::Standbys)] {
            let leads =
                running.plan.endpoints.iter().find(|other| {
                    other.name != endpoint && other.serves == serves && other.of.as_deref() == Some(name)
                });
            let Some(at) = leads.map(|leads| &leads.at) else {
                // A region may have no endpoint for reads of its own.
                if endpoint == WRITE {
                    return Err(RunbookError::NoEndpoint(name.to_owned()).into());
                } else {
                    continue;
                };
            };
            let Some(clients) = running.plan.endpoint(endpoint) else { continue };
            if let Some(global) = running.plan.topology.global_name(&clients.at.host) {
                // Clients follow when the answers that they keep have run out.
                running.system.repoint(&global.name, &at.host).await.map_err(RunbookError::from)?;
                moved.push(format!("{} is answered with {}", global.name, at.host));
                continue;
            }
            let Some(address) = running.system.access().address(&at.host, at.port) else { continue };
            if let Some(workload) = &running.workload {
                workload.point_at(endpoint, address)?;
                moved.push(format!("{endpoint} leads to {}:{}", at.host, at.port));
            }
        }
        self.note_step(RunbookStep::Repointed, name, moved.join(", "));
        Ok(())
    }

    /// Waits until a cluster has replayed all that the primary has written.
    async fn catch_up(&mut self, name: &str) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let running = self.running().await?;
        let cluster = cluster(running, name)?;
        let system = &running.system;
        let caught_up = async {
            let look = || async {
                let primary = system.leader().await.ok_or("no node leads")?;
                let leader = cluster.leader().await.ok_or_else(|| format!("no node of {name} leads"))?;
                let written = system.sql_value(&primary, "SELECT pg_current_wal_lsn()").await?;
                let lag = format!("SELECT pg_wal_lsn_diff('{written}', pg_last_wal_replay_lsn())::bigint");
                match system.sql_value(&leader, &lag).await?.as_str() {
                    "0" => Ok(format!("{leader} has replayed {written}, the end of the WAL of {primary}")),
                    bytes => Err(format!("{leader} is {bytes} bytes behind {primary}")),
                }
            };
            wait_until(&format!("{name} 0 bytes behind"), CAUGHT_UP_WITHIN, look).await
        };
        let evidence = ground.hold(caught_up).await?;
        self.note_step(RunbookStep::CaughtUp, name, evidence);
        Ok(())
    }

    /// Makes a cluster follow another one: by its configuration in the DCS, which holds also while no agent runs. Whether
    /// it does is awaited by the step that every node has rejoined.
    async fn make_follow(&mut self, name: &str, upstream: &str) -> Result<(), DrillError> {
        let running = self.running().await?;
        let (follower, leading) = (cluster(running, name)?, cluster(running, upstream)?);
        let slot = running.plan.clusters.iter().find_map(|known| known.follows.as_ref()?.slot.clone());
        let at = running
            .plan
            .endpoints
            .iter()
            .find(|endpoint| endpoint.serves == Serves::Primary && endpoint.of.as_deref() == Some(upstream));
        let at = &at.ok_or_else(|| RunbookError::NoEndpoint(upstream.to_owned()))?.at;
        let mut change = json!({
            "standby_cluster": { "host": at.host, "port": at.port, "create_replica_methods": ["basebackup"] },
        });
        if let Some(slot) = &slot {
            configure(leading, &json!({ "slots": { slot: { "type": "physical" } } })).await?;
            change["standby_cluster"]["primary_slot_name"] = json!(slot);
            // What follows keeps no slot for whom it follows.
            change["slots"] = Value::Null;
        }
        let failed = |reason| RunbookError::Configuration { cluster: name.to_owned(), reason };
        follower.configure_in_dcs(&change).await.map_err(failed)?;
        let at = format!("{name} gets its WAL at {}:{}", at.host, at.port);
        self.note_step(RunbookStep::FollowOrdered, name, at);
        Ok(())
    }

    /// Leaves a cluster as it is: what hit it is not healed when the scenario ends, and nobody waits for it.
    async fn give_up(&mut self, name: &str) -> Result<(), DrillError> {
        let running = self.running().await?;
        cluster(running, name)?;
        running.system.give_up(name);
        let nodes = &running.plan.cluster(name).map(|cluster| cluster.nodes.clone()).unwrap_or_default();
        running.injector.leave(nodes).await;
        self.note_step(RunbookStep::GivenUp, name, "its region is rebuilt later".to_owned());
        Ok(())
    }

    fn note_step(&self, step: RunbookStep, cluster: &str, evidence: String) {
        self.recorder.record(Occurrence::Runbook { step, cluster: cluster.to_owned(), evidence });
    }
}

fn cluster<'r>(running: &'r Running, name: &str) -> Result<RunningCluster<'r>, RunbookError> {
    running.system.cluster(name).ok_or_else(|| RunbookError::NoCluster(name.to_owned()))
}

async fn configure(cluster: RunningCluster<'_>, change: &Value) -> Result<(), RunbookError> {
    let failed = |error: &dyn fmt::Display| RunbookError::Configuration {
        cluster: cluster.plan().name.clone(),
        reason: error.to_string(),
    };
    cluster.configure(change).await.map(|_| ()).map_err(|error| failed(&error))
}

/// Whether no agent and no server of a cluster answers.
async fn nobody_answers(cluster: RunningCluster<'_>) -> Result<(), String> {
    match cluster.who_answers().await.as_slice() {
        [] => Ok(()),
        [node, ..] => Err(format!("{node} answers")),
    }
}

/// The node of a cluster that accepts writes.
async fn accepts_writes(cluster: RunningCluster<'_>) -> Result<String, String> {
    let leader = cluster.leader().await.ok_or("no node leads")?;
    match cluster.sql_value(&leader, "SELECT pg_is_in_recovery()").await?.as_str() {
        "f" => Ok(leader),
        _ => Err(format!("{leader} is in recovery")),
    }
}

/// How far the leader of a cluster has got, in words.
async fn how_far(cluster: RunningCluster<'_>) -> String {
    let name = &cluster.plan().name;
    let Some(leader) = cluster.leader().await else { return format!("no node of {name} leads") };
    let received = "SELECT pg_last_wal_receive_lsn() || ', replayed ' || pg_last_wal_replay_lsn() || ', and the last \
                    transaction is ' || round(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 1) || ' s old'";
    match cluster.sql_value(&leader, received).await {
        Ok(received) => format!("{leader} has received WAL up to {received}"),
        Err(error) => format!("{leader} does not say how far it is: {error}"),
    }
}
