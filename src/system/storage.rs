//! Buckets of a running system, and the archives that clusters keep in them.

mod breaking;

use std::time::Duration;

use super::{Access, RunningCluster, System};
use crate::{
    credentials::BucketAccess,
    engine::EngineError,
    plan::Plan,
    s3::{At, S3, S3Error, Server},
    secrets::SecretsError,
    services::{archive::Archive, minio::CERTIFICATES},
    topology::{Bucket, ServiceKind},
    waiting::{NotReady, wait_until},
};

/// Buckets, or an archive in one, could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// An S3 server did not do what it was asked for.
    #[error(transparent)]
    S3(#[from] S3Error),
    /// The port of a bucket's server is not published.
    #[error("port {port} of {host} is not published")]
    Unpublished {
        /// The server's host.
        host: String,
        /// Where it serves S3.
        port: u16,
    },
    /// The tool did not make the archive.
    #[error(
        "failed to make the archive of the cluster {cluster} on {node}: `{command}` ended with status {status}: {output}"
    )]
    Prepare {
        /// The cluster.
        cluster: String,
        /// The node that ran the command.
        node: String,
        /// What was run.
        command: String,
        /// How it ended.
        status: i32,
        /// What it printed.
        output: String,
    },
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] SecretsError),
    /// The node could not be asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A condition did not come in time.
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

/// A client of the server of a bucket.
#[doc(hidden)]
pub fn bucket_client(access: &Access, bucket: &Bucket) -> Result<S3, StorageError> {
    let keys = access.credentials.of_bucket(&bucket.name);
    let at = match bucket.server {
        Some(_) => At::Name(bucket.port),
        None => {
            let unpublished = || StorageError::Unpublished { host: bucket.host.clone(), port: bucket.port };
            At::Address(access.address(&bucket.host, bucket.port).ok_or_else(unpublished)?)
        }
    };
    let BucketAccess { key_id, secret, authority } = &keys;
    Ok(S3::new(&Server { host: &bucket.host, at, region: &bucket.region, key_id, secret, authority })?)
}

/// Whether the buckets of servers that are none of the topology's are there and can be read. Asked before anything starts.
pub(super) async fn other_servers_answer(plan: &Plan, access: &Access) -> Result<(), StorageError> {
    for bucket in plan.topology.buckets.iter().filter(|bucket| bucket.server.is_some()) {
        bucket_client(access, bucket)?.list(&bucket.name, "archive/").await?;
    }
    Ok(())
}

impl System {
    /// Makes every bucket, as soon as its server answers.
    pub(super) async fn make_buckets(&self) -> Result<(), StorageError> {
        for bucket in self.plan().topology.buckets.iter().filter(|bucket| bucket.server.is_none()) {
            let server = bucket_client(self.access(), bucket)?;
            let deadline = Duration::from_secs(self.plan().deadlines.cluster_ready_s);
            let look = || async { server.answers().await.map_err(|error| error.to_string()) };
            let waited = wait_until(&format!("an S3 server on {}", bucket.host), deadline, look).await;
            waited.map_err(|missed| self.with_logs(missed, &[ServiceKind::Minio]))?;
            server.make_bucket(&bucket.name, bucket.versioned).await?;
            self.note_reached(format!("the bucket {} is there", bucket.name));
        }
        Ok(())
    }

    /// Has each bucket with a copy elsewhere replicate to it, also what it holds already.
    pub(super) async fn replicate_buckets(&self) -> Result<(), StorageError> {
        let topology = &self.plan().topology;
        let pairs =
            topology.buckets.iter().filter_map(|from| Some((from, topology.bucket(from.replicates_to.as_ref()?)?)));
        for (from, to) in pairs {
            let keys = self.bucket_keys();
            let (host, port, copy) = (&to.host, to.port, &to.name);
            let ask = format!(
                "replicate add own/{} --remote-bucket https://{keys}@{host}:{port}/{copy} \
                 --replicate existing-objects,delete,delete-marker",
                from.name
            );
            self.ask_minio(from, &ask).await?;
            self.note_reached(format!("{} is copied to {}", from.name, to.name));
        }
        Ok(())
    }

    /// Has MinIO's own client ask the server of a bucket, in its container, for what the API of S3 has no word for. The
    /// server is called `own` there.
    async fn ask_minio(&self, bucket: &Bucket, ask: &str) -> Result<(), StorageError> {
        // The client's configuration is thrown away: it would hold the keys.
        let script = format!(
            "d=$(mktemp -d) && mkdir -p $d/certs/CAs && cp {CERTIFICATES}/CAs/ca.crt $d/certs/CAs/ && \
             MC_HOST_own=https://{}@{}:{} mc --config-dir $d --quiet {ask}; status=$?; rm -rf $d; exit $status",
            self.bucket_keys(),
            bucket.host,
            bucket.port,
        );
        self.in_minio(&bucket.host, &script, &format!("mc {ask}")).await
    }

    /// Runs a script, which must succeed, in the container of the S3 server of a host. An error shows it as `shown`, without
    /// the system's secrets.
    async fn in_minio(&self, host: &str, script: &str, shown: &str) -> Result<(), StorageError> {
        let Some(service) = self.service(host, ServiceKind::Minio) else { return Ok(()) };
        let done = self.engine().run_in_service(service, script).await?;
        if done.status == 0 {
            return Ok(());
        }
        let credentials = &self.access().credentials;
        let (command, output) = (credentials.hide_in(shown), credentials.hide_in(&done.text));
        Err(EngineError::Command { host: host.to_owned(), command, status: done.status, output }.into())
    }

    /// Name and secret of the key to the system's own buckets, as they stand in an address.
    fn bucket_keys(&self) -> String {
        let credentials = &self.access().credentials;
        format!("{}:{}", credentials.bucket_key_id, credentials.bucket_secret)
    }

    /// Makes the archive of every cluster that leads, and waits until a file of its WAL has arrived there.
    pub(super) async fn start_archiving(&self, within: Duration) -> Result<(), StorageError> {
        for (name, archive) in self.plan().archives() {
            let Some(cluster) = self.cluster(name).filter(|cluster| cluster.plan().follows.is_none()) else { continue };
            self.make_archive(cluster, &archive, within).await?;
            let look = || async { cluster.archives_a_file().await };
            let waited = wait_until(&format!("the first file in the archive of {name}"), within, look).await;
            waited.map_err(|missed| self.with_logs(missed, &self.plan().node_kinds()))?;
            self.note_reached(format!("{name} archives its WAL"));
        }
        Ok(())
    }

    async fn make_archive(
        &self,
        cluster: RunningCluster<'_>,
        archive: &Archive<'_>,
        within: Duration,
    ) -> Result<(), StorageError> {
        let Some(prepare) = archive.tool.row().prepare else { return Ok(()) };
        let name = &cluster.plan().name;
        let accepts = || async {
            let leader = cluster.leader().await.ok_or("no node leads yet")?;
            match cluster.sql_value(&leader, "SELECT pg_is_in_recovery()").await?.as_str() {
                "f" => Ok(leader),
                _ => Err(format!("{leader} is in recovery")),
            }
        };
        let node = wait_until(&format!("a primary of {name} to archive"), within, accepts).await?;
        let command = prepare(archive);
        let made = self.as_postgres(&node, &command).await?;
        if made.status == 0 {
            return Ok(());
        }
        let output = self.access().credentials.hide_in(&made.text);
        let (cluster, status) = (name.clone(), made.status);
        Err(StorageError::Prepare { cluster, node, command, status, output })
    }
}

impl RunningCluster<'_> {
    /// Whether the primary has archived a file. If not, it is given one that is complete, which also wakes an archiver
    /// that has given up for a minute.
    async fn archives_a_file(self) -> Result<(), String> {
        let leader = self.leader().await.ok_or("no node leads")?;
        let told = "SELECT archived_count || ' ' || coalesce(last_failed_wal, '') FROM pg_stat_archiver";
        let told = self.sql_value(&leader, told).await?;
        match told.split_once(' ') {
            Some((count, _)) if count != "0" => Ok(()),
            told => {
                self.sql_value(&leader, "SELECT pg_switch_wal()").await?;
                let failed = told.map(|(_, failed)| failed).filter(|failed| !failed.is_empty());
                let failed = failed.map_or_else(String::new, |file| format!("; it failed with {file}"));
                Err(format!("{leader} has archived nothing yet{failed}"))
            }
        }
    }
}
