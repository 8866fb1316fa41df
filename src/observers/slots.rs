//! Replication slots: who uses them, and how much WAL a node keeps for each.

use std::time::Duration;

use tokio_postgres::SimpleQueryRow;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every, kept_session::KeptSession};
use crate::{
    history::{Occurrence, Recorder},
    services::patroni::POSTGRESQL_PORT,
    system::rows,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "slots",
    watches: "each node's replication slots, and the WAL that it keeps for them, every second",
    watch,
};

const PERIOD: Duration = Duration::from_secs(1);

/// What a look asks: a row for each slot. A standby keeps permanent slots too; its WAL ends where it has received it.
const STATEMENT: &str = "SELECT slot_name, active, wal_status, \
     CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) \
     ELSE pg_current_wal_lsn() END - restart_lsn FROM pg_replication_slots";

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_node = |node: &String| {
        let address = scene.address(OBSERVER.name, node, POSTGRESQL_PORT)?;
        let eye = Eye {
            node: node.clone(),
            followers: followers_slots(scene, node),
            session: KeptSession::new(address, scene.access.login()),
        };
        Ok(Watch::new(node, eye.watch(scene.recorder.clone())))
    };
    scene.plan.nodes.iter().map(watch_node).collect()
}

/// The slots that the followers of a node's cluster use.
fn followers_slots(scene: &Scene<'_>, node: &str) -> Vec<String> {
    let Some(cluster) = scene.plan.cluster_of(node) else { return Vec::new() };
    let follows = scene.plan.followers(&cluster.name).filter_map(|follower| follower.follows.as_ref());
    follows.filter_map(|follows| follows.slot.clone()).collect()
}

struct Eye {
    node: String,
    /// Slots whose absence from the node is recorded, too.
    followers: Vec<String>,
    session: KeptSession,
}

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.node, &recorder);
        let mut due = every(PERIOD);
        loop {
            due.tick().await;
            // A node that does not answer says nothing of its slots.
            if let Some(rows) = self.look().await {
                seen(&self.node, &self.followers, rows).into_iter().for_each(|what| {
                    recorder.record(what);
                });
            }
            pulse.beat();
        }
    }

    /// The slots of the node, if it answered.
    async fn look(&mut self) -> Option<Vec<Slot>> {
        rows(self.session.ask(&[STATEMENT]).await?.first()?).map(slot).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    name: String,
    active: bool,
    wal_status: Option<String>,
    held_bytes: Option<u64>,
}

fn slot(row: &SimpleQueryRow) -> Option<Slot> {
    let cell = |index| row.try_get(index).ok().flatten();
    Some(Slot {
        name: cell(0)?.to_owned(),
        active: cell(1)? == "t",
        wal_status: cell(2).map(str::to_owned),
        // What is asked for later may lie a little behind the end of the WAL that was looked at before.
        held_bytes: cell(3).and_then(|bytes| bytes.parse::<i64>().ok()).map(|bytes| bytes.max(0).unsigned_abs()),
    })
}

/// What a look shows: each slot that the node has, and each of the followers' that it has not.
fn seen(node: &str, followers: &[String], slots: Vec<Slot>) -> Vec<Occurrence> {
    let node = || node.to_owned();
    let absent = followers.iter().filter(|name| !slots.iter().any(|slot| slot.name == **name));
    let absent: Vec<Occurrence> =
        absent.map(|slot| Occurrence::SlotAbsent { node: node(), slot: slot.clone() }).collect();
    let present = slots.into_iter().map(|Slot { name, active, wal_status, held_bytes }| Occurrence::SlotState {
        node: node(),
        slot: name,
        active,
        held_bytes,
        wal_status,
    });
    present.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_a_follower_that_is_not_there_is_told() {
        let own = Slot {
            name: "east2".to_owned(),
            active: true,
            wal_status: Some("reserved".to_owned()),
            held_bytes: Some(96),
        };
        let told = seen("east1", &["standby_cluster".to_owned()], vec![own.clone()]);
        let state = Occurrence::SlotState {
            node: "east1".to_owned(),
            slot: own.name,
            active: true,
            held_bytes: Some(96),
            wal_status: own.wal_status,
        };
        let absent = Occurrence::SlotAbsent { node: "east1".to_owned(), slot: "standby_cluster".to_owned() };
        assert_eq!(told, [state, absent]);
        assert_eq!(seen("west1", &[], Vec::new()), []);
    }
}
