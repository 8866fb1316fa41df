//! Buckets of S3 servers, and the backups that clusters keep in them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Topology;
use crate::services::{
    archive::{BucketStyle, Tool},
    minio::S3_PORT,
};

/// A bucket of an S3 server. It is made when the system starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its name, as S3 has them: lower-case letters, digits and hyphens.
    pub name: String,
    /// The host whose `minio` serves it, or the name of a server that is none of the topology's (`server`).
    pub host: String,
    #[serde(default = "s3_port")]
    pub port: u16,
    /// The region that clients sign their requests for.
    #[serde(default = "usual_region")]
    pub region: String,
    #[serde(default)]
    pub style: BucketStyle,
    /// Whether it keeps what was overwritten or deleted as older versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub versioned: bool,
    /// How a server is reached that is none of the topology's. Its bucket must be there; nothing is made in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<OtherServer>,
    /// The bucket that gets a copy of all that is stored here, as of a moment later. Both keep versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicates_to: Option<String>,
}

/// An S3 server that the topology does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherServer {
    /// The file with the certificate of the authority that it is certified by, as PEM.
    pub authority: String,
    /// What the names of the environment's variables with its key begin with: `NAME_KEY_ID` and `NAME_SECRET`.
    pub keys: String,
}

/// Where a cluster archives its WAL and keeps its backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// The cluster; may be left out where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    pub tool: Tool,
    /// The bucket that holds them.
    pub bucket: String,
    /// The name of the cluster's archive in its bucket, where the tool has one.
    #[serde(default = "usual_stanza")]
    pub stanza: String,
    /// Whether files of WAL are sent in the background, several at a time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub archive_async: bool,
    /// Whether backups copy a standby, so that the primary is spared. `s3cmd` copies one in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_standby: bool,
    /// Whether a server that was restored goes on to archive where its source does, as its configuration says that came with
    /// the backup. What `s3cmd` restores does so in any case.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored_archives: bool,
    /// Whether nodes take WAL back from the archive that nobody streams to them any more (`restore_command`).
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub restore_command: bool,
    /// The host with the service `restore` on which backups are restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_on: Option<String>,
}

fn s3_port() -> u16 {
    S3_PORT
}

fn usual_region() -> String {
    "us-east-1".to_owned()
}

fn usual_stanza() -> String {
    "main".to_owned()
}

fn yes() -> bool {
    true
}

impl Topology {
    /// The bucket of this name.
    pub fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.name == name)
    }

    /// The backups of a cluster.
    pub fn backups_of(&self, cluster: &str) -> Option<&Backups> {
        self.backups.iter().find(|backups| backups.of.as_deref().is_none_or(|of| of == cluster))
    }
}
