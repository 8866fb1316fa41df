//! The raft leader of etcd: it grants leases, so its loss lengthens a failover.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use etcd_client::Client;
use futures::future::join_all;
use tokio::time::timeout;

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{Occurrence, Recorder},
    services::etcd,
    topology::ServiceKind,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "dcs_leader", watches: "the raft leader of etcd by each member's status, every 500 ms", watch };

const PERIOD: Duration = Duration::from_millis(500);
/// Shorter than the period: a dead member must not slow the look at the others.
const TIMEOUT: Duration = Duration::from_millis(400);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let members = scene
        .plan
        .hosts_with(ServiceKind::Etcd)
        .map(|member| {
            let address = scene.address(OBSERVER.name, member, etcd::CLIENT_PORT)?;
            Ok(Member { name: member.to_owned(), address, client: None })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![Watch::new("etcd", watch_leader(members, scene.recorder.clone()))])
}

struct Member {
    name: String,
    address: SocketAddr,
    client: Option<Client>,
}

/// What a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Status {
    own_id: u64,
    /// The leader's id; 0: it knows none.
    leader_id: u64,
    term: u64,
}

async fn watch_leader(mut members: Vec<Member>, recorder: Recorder) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, "etcd", &recorder);
    let mut due = every(PERIOD);
    let mut names = BTreeMap::new();
    let mut told: Option<Option<String>> = None;
    loop {
        due.tick().await;
        let statuses = join_all(members.iter_mut().map(Member::status)).await;
        for (member, status) in members.iter().zip(&statuses) {
            names.extend(status.map(|status| (status.own_id, member.name.clone())));
        }
        let leader = leader(statuses.into_iter().flatten(), &names);
        if let Some(leader) = leader.filter(|leader| told.as_ref() != Some(leader)) {
            recorder.record(Occurrence::DcsLeader { member: leader.clone(), dcs: None });
            told = Some(leader);
        }
        pulse.beat();
    }
}

/// The leader by the word of the members in the newest term; `None`: no member answered, or one that never did leads.
fn leader(statuses: impl Iterator<Item = Status>, names: &BTreeMap<u64, String>) -> Option<Option<String>> {
    // Of those in one term some may not know the leader yet.
    let newest = statuses.max_by_key(|status| (status.term, status.leader_id != 0))?;
    match newest.leader_id {
        0 => Some(None),
        id => names.get(&id).cloned().map(Some),
    }
}

impl Member {
    async fn status(&mut self) -> Option<Status> {
        let status = timeout(TIMEOUT, self.ask()).await.ok().flatten();
        if status.is_none() {
            // A connection to a host that died silently is never noticed: the next look begins with a new one.
            self.client = None;
        }
        status
    }

    async fn ask(&mut self) -> Option<Status> {
        let client = match &mut self.client {
            Some(client) => client,
            none => none.insert(Client::connect([format!("http://{}", self.address)], None).await.ok()?),
        };
        let status = client.status().await.ok()?;
        let own_id = status.header()?.member_id();
        Some(Status { own_id, leader_id: status.leader(), term: status.raft_term() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(own_id: u64, leader_id: u64, term: u64) -> Status {
        Status { own_id, leader_id, term }
    }

    #[test]
    fn the_newest_term_decides() {
        let names = BTreeMap::from([(1, "node1".to_owned()), (2, "node2".to_owned())]);
        let old_leader_still_sure = [says(1, 1, 4), says(2, 2, 5)];
        assert_eq!(leader(old_leader_still_sure.into_iter(), &names), Some(Some("node2".to_owned())));
        let one_of_two_knows = [says(2, 2, 5), says(3, 0, 5)];
        assert_eq!(leader(one_of_two_knows.into_iter(), &names), Some(Some("node2".to_owned())));
        assert_eq!(leader([says(2, 0, 6), says(1, 1, 5)].into_iter(), &names), Some(None));
    }

    #[test]
    fn silence_is_not_the_absence_of_a_leader() {
        assert_eq!(leader([].into_iter(), &BTreeMap::new()), None);
    }
}
