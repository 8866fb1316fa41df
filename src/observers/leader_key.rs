//! Patroni's leader key, as each member of the DCS shows it.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};

use super::{DcsMember, Observer, ObserverError, Pulse, Scene, Watch};
use crate::{
    dcs::Seen,
    history::{Occurrence, Recorder},
};

pub(super) const OBSERVER: Observer =
    Observer { name: "leader_key", watches: "the leader key's changes, on each member of the DCS by itself", watch };

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
