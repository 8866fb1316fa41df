//! Patroni's leader key, as each member of the DCS shows it, and the refreshes of its lease.

use std::{collections::BTreeMap, time::Duration};

use futures::stream::{BoxStream, StreamExt, select_all};

use super::{DcsMember, Observer, ObserverError, Pulse, Scene, Watch};
use crate::{
    dcs::Seen,
    history::{Occurrence, Recorder},
    plan::PlannedDcs,
    topology::Cluster,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "leader_key",
    watches: "the leader key's changes, on each member of the DCS by itself, and when the leader refreshes its lease",
    watch,
};

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(1);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let mut watches = Vec::new();
    for dcs in &scene.plan.dcs {
        for cluster in scene.plan.clusters_in(dcs) {
            let key = cluster.key("leader");
            let name = (scene.plan.clusters.len() > 1).then(|| cluster.name.clone());
            let watch_member = |(member, client): DcsMember| {
                let pulse = Pulse::new(OBSERVER.name, &member, scene.recorder);
                let changes = client.watch(&key);
                let (recorder, name) = (scene.recorder.clone(), name.clone());
                Watch::new(&member.clone(), async move {
                    tokio::select! {
                        reason = record(member, name, changes, recorder) => reason,
                        reason = pulse.beat_on() => reason,
                    }
                })
            };
            watches.extend(scene.dcs_members(OBSERVER.name, dcs, TIMEOUT)?.into_iter().map(watch_member));
            watches.push(watch_refreshes(scene, dcs, cluster, name.clone())?);
        }
    }
    Ok(watches)
}

/// Records each holder of a cluster's key but the one that was recorded last: Patroni may write the key again without a
/// change. A state that is shown again is recorded, too: the member may have lost its data. The cluster has a name where
/// there are several.
async fn record(
    member: String,
    cluster: Option<String>,
    mut changes: BoxStream<'static, Seen>,
    recorder: Recorder,
) -> String {
    let mut recorded = None;
    while let Some(Seen { value: holder, version: revision, is_initial: initial }) = changes.next().await {
        if initial || recorded.as_ref() != Some(&holder) {
            let (member, holder, cluster) = (member.clone(), holder.clone(), cluster.clone());
            recorder.record(Occurrence::LeaderKey { member, holder, revision, initial, cluster });
        }
        recorded = Some(holder);
    }
    "the watch of the key ended".to_owned()
}

/// Watches what the leader of a cluster writes right after each refresh of its lease, at every member of the DCS: the first
/// to show it is the one to go by. The lease itself can't be watched: etcd answers in whole seconds only, and ZooKeeper tells
/// nobody when it hears of a session, of which the agent's pings are a part, too.
fn watch_refreshes(
    scene: &Scene<'_>,
    dcs: &PlannedDcs,
    cluster: &Cluster,
    name: Option<String>,
) -> Result<Watch, ObserverError> {
    let key = cluster.key("status");
    let members = scene.dcs_members(OBSERVER.name, dcs, TIMEOUT)?;
    let shown =
        members.into_iter().map(|(member, client)| client.watch(&key).map(move |seen| (member.clone(), seen)).boxed());
    let shown = select_all(shown);
    Ok(Watch::new(&key, record_refreshes(name, shown.boxed(), scene.recorder.clone())))
}

/// Records each change once, by its revision. What was there before the watch began is no refresh that was seen. A member
/// that shows its state at an older revision than it had shown before has lost its data: revisions are counted from there.
async fn record_refreshes(
    cluster: Option<String>,
    mut shown: BoxStream<'static, (String, Seen)>,
    recorder: Recorder,
) -> String {
    let mut newest = i64::MIN;
    let mut last = BTreeMap::new();
    while let Some((member, Seen { value, version: revision, is_initial })) = shown.next().await {
        let before = last.insert(member, revision);
        if is_initial && before.is_some_and(|before| revision < before) {
            newest = revision;
        }
        let is_new = revision > newest;
        newest = newest.max(revision);
        if is_new && !is_initial && value.is_some() {
            recorder.record(Occurrence::LeaseRefreshed { revision, cluster: cluster.clone() });
        }
    }
    "the watch of the refreshes ended".to_owned()
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;
    use crate::history::read_history;

    /// The revisions that are recorded of what members show.
    async fn refreshes(shown: Vec<(&str, Seen)>) -> Vec<i64> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        let shown = shown.into_iter().map(|(member, seen)| (member.to_owned(), seen)).collect::<Vec<_>>();
        record_refreshes(None, stream::iter(shown).boxed(), recorder).await;
        let recorded = read_history(&path).unwrap().into_iter().filter_map(|event| match event.what {
            Occurrence::LeaseRefreshed { revision, .. } => Some(revision),
            _ => None,
        });
        recorded.collect()
    }

    fn seen(version: i64, is_initial: bool) -> Seen {
        Seen { value: Some("{}".to_owned()), version, is_initial }
    }

    #[tokio::test]
    async fn a_refresh_that_several_members_show_is_recorded_once() {
        let gone = Seen { value: None, version: 13, is_initial: false };
        let shown = vec![
            ("node1", seen(7, true)),
            ("node2", seen(7, true)),
            ("node1", seen(9, false)),
            ("node2", seen(9, false)),
            ("node1", seen(12, false)),
            ("node3", seen(9, true)),
            ("node3", seen(12, false)),
            ("node1", gone),
        ];
        assert_eq!(refreshes(shown).await, [9, 12]);
    }

    #[tokio::test]
    async fn members_that_lost_their_data_count_revisions_from_where_they_are() {
        let shown = vec![
            ("node1", seen(7, true)),
            ("node2", seen(7, true)),
            ("node1", seen(12, false)),
            ("node2", seen(12, false)),
            ("node1", seen(2, true)),
            ("node2", seen(2, true)),
            ("node1", seen(6, false)),
            ("node2", seen(6, false)),
        ];
        assert_eq!(refreshes(shown).await, [12, 6]);
    }
}
