//! Patroni's leader key, as each member of the DCS shows it, and the refreshes of its lease.

use std::time::Duration;

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
/// change. The cluster has a name where there are several.
async fn record(
    member: String,
    cluster: Option<String>,
    mut changes: BoxStream<'static, Seen>,
    recorder: Recorder,
) -> String {
    let mut recorded = None;
    while let Some(Seen { value: holder, version: revision, is_initial: initial }) = changes.next().await {
        if recorded.as_ref() != Some(&holder) {
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
    let shown = select_all(members.into_iter().map(|(_, client)| client.watch(&key)));
    Ok(Watch::new(&key, record_refreshes(name, shown.boxed(), scene.recorder.clone())))
}

/// Records each change once, by its revision. What was there before the watch began is no refresh that was seen.
async fn record_refreshes(cluster: Option<String>, mut shown: BoxStream<'static, Seen>, recorder: Recorder) -> String {
    let mut newest = i64::MIN;
    while let Some(Seen { value, version: revision, is_initial }) = shown.next().await {
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

    #[tokio::test]
    async fn a_refresh_that_several_members_show_is_recorded_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        let seen = |version, is_initial| Seen { value: Some("{}".to_owned()), version, is_initial };
        let gone = Seen { value: None, version: 13, is_initial: false };
        let shown =
            [seen(7, true), seen(7, true), seen(9, false), seen(9, false), seen(12, false), seen(9, false), gone];
        record_refreshes(None, stream::iter(shown).boxed(), recorder).await;
        let recorded: Vec<i64> = read_history(&path)
            .unwrap()
            .into_iter()
            .filter_map(|event| match event.what {
                Occurrence::LeaseRefreshed { revision, .. } => Some(revision),
                _ => None,
            })
            .collect();
        assert_eq!(recorded, [9, 12]);
    }
}
