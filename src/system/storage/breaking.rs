//! What goes wrong with an S3 server: its certificate expires, its buckets are full, its drive is gone.

use super::{StorageError, bucket_client};
use crate::{
    credentials::Certificate,
    secrets,
    services::minio::{CERTIFICATES, DATA},
    system::System,
    topology::Bucket,
};

/// What has MinIO read its certificate again.
const RELOAD: &str = "pkill -HUP --full '^/usr/local/bin/minio server '";
/// Where the drive's files are while it is gone.
const GONE: &str = "/var/lib/minio/gone";

impl System {
    fn buckets_at(&self, host: &str) -> impl Iterator<Item = &Bucket> {
        self.plan().topology.buckets.iter().filter(move |bucket| bucket.host == host)
    }

    /// Gives the S3 server of a host a certificate that is no longer good, and has it read that.
    #[doc(hidden)]
    pub async fn expire_certificate(&self, host: &str) -> Result<(), StorageError> {
        let names = self.plan().speak_tls().find(|(name, _)| *name == host).map(|(_, names)| names);
        let names = names.unwrap_or_else(|| vec![host]);
        let expired = secrets::expired(&self.access().credentials.authority, &names)?;
        self.give_certificate(host, &expired).await
    }

    /// Gives it back the one that it began with.
    #[doc(hidden)]
    pub async fn renew_certificate(&self, host: &str) -> Result<(), StorageError> {
        let own = self.access().credentials.certificates.get(host).cloned().unwrap_or_default();
        self.give_certificate(host, &own).await
    }

    async fn give_certificate(&self, host: &str, new: &Certificate) -> Result<(), StorageError> {
        // MinIO takes no key with anything behind it, be it an empty line.
        let [certificate, key] = [&new.certificate, &new.key].map(|text| text.trim_end());
        let script = format!(
            "cat > {CERTIFICATES}/private.key <<'end'\n{key}\nend\ncat > {CERTIFICATES}/public.crt <<'end'\n{certificate}\nend"
        );
        // The script holds a key, which no error shows.
        self.in_minio(host, &script, &format!("write {CERTIFICATES}/public.crt, and have MinIO read it")).await?;
        if let Some(pod) = self.pod(host) {
            pod.shell.must(RELOAD).await?;
        }
        Ok(())
    }

    /// Whether the S3 server of a host answers a new connection.
    #[doc(hidden)]
    pub async fn s3_answers(&self, host: &str) -> Result<(), StorageError> {
        for bucket in self.buckets_at(host) {
            bucket_client(self.access(), bucket)?.answers().await?;
        }
        Ok(())
    }

    /// Lets no bucket of a host hold more than this; `None`: as much as there is room for.
    #[doc(hidden)]
    pub async fn limit_buckets(&self, host: &str, bytes: Option<u64>) -> Result<(), StorageError> {
        for bucket in self.buckets_at(host) {
            let ask = match bytes {
                Some(bytes) => format!("quota set own/{} --size {bytes}B", bucket.name),
                None => format!("quota clear own/{}", bucket.name),
            };
            self.ask_minio(bucket, &ask).await?;
        }
        Ok(())
    }

    /// Takes the drive away from the S3 server of a host, as one that is no longer mounted.
    #[doc(hidden)]
    pub async fn take_drive(&self, host: &str) -> Result<(), StorageError> {
        let script = format!("test -e {GONE} || mv {DATA} {GONE}");
        self.in_minio(host, &script, &script).await
    }

    /// Gives it back with all that it held. What the server has made in its place goes.
    #[doc(hidden)]
    pub async fn give_drive_back(&self, host: &str) -> Result<(), StorageError> {
        let script = format!("! test -e {GONE} || {{ rm -rf {DATA} && mv {GONE} {DATA}; }}");
        self.in_minio(host, &script, &script).await
    }

    /// Whether every bucket of a host takes a small object.
    #[doc(hidden)]
    pub async fn s3_stores(&self, host: &str) -> Result<(), StorageError> {
        for bucket in self.buckets_at(host) {
            bucket_client(self.access(), bucket)?.try_to_store(&bucket.name).await?;
        }
        Ok(())
    }
}
