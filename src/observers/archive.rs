//! Archives: what their buckets hold, read as any other client reads it.

use std::{collections::HashSet, time::Duration};

use super::{Observer, ObserverError, Pulse, Scene, Watch, every};
use crate::{
    history::{
        Occurrence, Recorder,
        event::{ArchiveListed, ArchiveObject},
    },
    s3::{S3, Stored},
    system::bucket_client,
};

pub(super) const OBSERVER: Observer = Observer {
    name: "archive",
    watches: "what the bucket of each archive lists of its WAL, with every version, every second",
    watch,
};

const PERIOD: Duration = Duration::from_secs(1);

fn watch(scene: &Scene<'_>) -> Result<Vec<Watch>, ObserverError> {
    let watch_archive = |(cluster, archive): (&str, crate::services::archive::Archive<'_>)| {
        let bucket = scene.plan.topology.bucket(archive.bucket.name)?;
        let prefix = (archive.tool.row().prefix)(&archive);
        let client = bucket_client(scene.access, bucket);
        let client =
            client.map_err(|error| ObserverError::NoClient { observer: OBSERVER.name, reason: error.to_string() });
        Some(client.map(|client| {
            let (cluster, bucket) = (cluster.to_owned(), bucket.name.clone());
            let eye = Eye { cluster, bucket, prefix, client, known: HashSet::new() };
            Watch::new(&eye.cluster.clone(), eye.watch(scene.recorder.clone()))
        }))
    };
    scene.plan.archives().filter_map(watch_archive).collect()
}

struct Eye {
    cluster: String,
    bucket: String,
    prefix: String,
    client: S3,
    /// What was recorded: key, version and tag.
    known: HashSet<(String, String, String)>,
}

impl Eye {
    async fn watch(mut self, recorder: Recorder) -> String {
        let mut pulse = Pulse::new(OBSERVER.name, &self.cluster, &recorder);
        let mut due = every(PERIOD);
        loop {
            due.tick().await;
            let asked_us = recorder.now_us();
            let listed = self.client.list(&self.bucket, &self.prefix).await;
            let (versions, problem) = match listed {
                Ok(stored) => {
                    let versions = stored.len() as u64;
                    self.new_among(stored).into_iter().for_each(|object| {
                        recorder.record(Occurrence::ArchiveObject(object));
                    });
                    (Some(versions), None)
                }
                Err(error) => (None, Some(error.to_string())),
            };
            let cluster = self.cluster.clone();
            recorder.record(Occurrence::ArchiveListed(ArchiveListed { cluster, asked_us, versions, problem }));
            pulse.beat();
        }
    }

    /// What was not seen before. Of a bucket that keeps no versions, another tag under the same key is news.
    fn new_among(&mut self, stored: Vec<Stored>) -> Vec<ArchiveObject> {
        let mut new = Vec::new();
        for Stored { key, version, tag, bytes, is_deletion } in stored {
            if self.known.insert((key.clone(), version.clone(), tag.clone())) {
                new.push(ArchiveObject { cluster: self.cluster.clone(), key, version, tag, bytes, is_deletion });
            }
        }
        new
    }
}
