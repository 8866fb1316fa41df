//! Which member leads the DCS: it grants leases, so its loss lengthens a failover. And which version each member is.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;

use super::{DcsMember, Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    dcs::{Leader, MemberId, Status},
    history::{Occurrence, Recorder},
    plan::PlannedDcs,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "dcs_leader",
    watches: "which member leads the DCS, by each member's status, every 200 ms",
    watch,
};

const PERIOD: Duration = Duration::from_millis(200);
/// Shorter than the period: a dead member must not slow the look at the others.
const TIMEOUT: Duration = Duration::from_millis(180);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_one = |dcs: &PlannedDcs| {
        let members = scene.dcs_members(OBSERVER.name, dcs, TIMEOUT)?;
        let target = scene.plan.words_for(dcs);
        let name = (scene.plan.dcs.len() > 1).then(|| dcs.name.clone());
        Ok(Watch::new(&target.clone(), watch_leader(target, name, members, scene.recorder.clone())))
    };
    scene.plan.dcs.iter().map(watch_one).collect()
}

/// Watches the members of one DCS, which has a name where there are several.
async fn watch_leader(target: String, dcs: Option<String>, mut members: Vec<DcsMember>, recorder: Recorder) -> String {
    let mut pulse = Pulse::new(OBSERVER.name, &target, &recorder);
    let mut due = every(PERIOD);
    let mut names = BTreeMap::new();
    let mut recorded: Option<Option<String>> = None;
    let mut before_us = None;
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    loop {
        due.tick().await;
        let asked_us = recorder.now_us();
        let looks = members.iter_mut().map(async |(_, client)| client.status().await.ok());
        let statuses = join_all(looks).await;
        for ((name, _), status) in members.iter().zip(&statuses) {
            names.extend(status.as_ref().map(|status| (status.own_id.clone(), name.clone())));
            if let Some(version) = status.as_ref().and_then(|status| status.version.clone())
                && versions.insert(name.clone(), version.clone()).as_ref() != Some(&version)
            {
                let (host, program) = (name.clone(), "etcd".to_owned());
                recorder.record(Occurrence::VersionTold { host, program, version });
            }
        }
        // A look that nobody answered shows nothing.
        if let Some(leader) = leader(statuses.into_iter().flatten(), &names) {
            if recorded.as_ref() != Some(&leader) {
                recorder.record(Occurrence::DcsLeader { member: leader.clone(), dcs: dcs.clone(), before_us });
                recorded = Some(leader);
            }
            before_us = Some(asked_us);
        }
        pulse.beat();
    }
}

/// The leader as the members in the newest term know it; `None`: no member answered, or one leads that never did or that did
/// not now, and nobody else says which it is.
fn leader(statuses: impl Iterator<Item = Status>, names: &BTreeMap<MemberId, String>) -> Option<Option<String>> {
    // Of those in one term some may not know the leader yet.
    let newest = statuses.max_by_key(|status| (status.term, status.leader.clone()))?;
    match newest.leader {
        Leader::Nobody => Some(None),
        Leader::Unnamed => None,
        Leader::Member(id) => names.get(&id).cloned().map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> MemberId {
        MemberId(number.to_string())
    }

    fn says(own_id: u32, leader_id: u32, term: u64) -> Status {
        let leader = if leader_id == 0 { Leader::Nobody } else { Leader::Member(id(leader_id)) };
        Status { own_id: id(own_id), leader, term, version: None }
    }

    #[test]
    fn a_follower_that_does_not_say_whom_it_follows_keeps_no_leader_from_being_known_or_doubted() {
        let names = BTreeMap::from([(id(1), "node1".to_owned()), (id(2), "node2".to_owned())]);
        let follows = Status { leader: Leader::Unnamed, ..says(2, 0, 5) };
        let searches = says(3, 0, 0);
        assert_eq!(leader([follows.clone(), says(1, 1, 5)].into_iter(), &names), Some(Some("node1".to_owned())));
        assert_eq!(leader([follows, searches.clone()].into_iter(), &names), None, "the leader did not answer");
        assert_eq!(leader([searches].into_iter(), &names), Some(None));
    }

    #[test]
    fn the_newest_term_decides() {
        let names = BTreeMap::from([(id(1), "node1".to_owned()), (id(2), "node2".to_owned())]);
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
