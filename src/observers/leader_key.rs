//! Patroni's leader key, as each member of the DCS shows it.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt};

use super::{DcsMember, Observer, ObserverError, Pulse, Scene, Watch};
use crate::{
    dcs::Seen,
    history::{Occurrence, Recorder},
    services::patroni::SCOPE,
};

pub(super) const OBSERVER: Observer =
    Observer { name: "leader_key", watches: "the leader key's changes, on each member of the DCS by itself", watch };

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(1);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let key = format!("/service/{SCOPE}/leader");
    let watch_member = |(member, client): DcsMember| {
        let pulse = Pulse::new(OBSERVER.name, &member, scene.recorder);
        let changes = client.watch(&key);
        let recorder = scene.recorder.clone();
        Watch::new(&member.clone(), async move {
            tokio::select! {
                reason = record(member, changes, recorder) => reason,
                reason = pulse.beat_on() => reason,
            }
        })
    };
    Ok(scene.dcs_members(OBSERVER.name, TIMEOUT)?.into_iter().map(watch_member).collect())
}

/// Records each holder but the one that was recorded last: Patroni may write the key again without a change.
async fn record(member: String, mut changes: BoxStream<'static, Seen>, recorder: Recorder) -> String {
    let mut recorded = None;
    while let Some(Seen { value: holder, version: revision, is_initial: initial }) = changes.next().await {
        if recorded.as_ref() != Some(&holder) {
            let (member, holder) = (member.clone(), holder.clone());
            recorder.record(Occurrence::LeaderKey { member, holder, revision, initial, cluster: None });
        }
        recorded = Some(holder);
    }
    "the watch of the key ended".to_owned()
}
