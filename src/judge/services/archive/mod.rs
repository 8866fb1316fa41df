//! Archives: what a node sends its WAL to, and takes it back from. One file a tool, one row in the table below.
//!
//! A tool runs in the node's own container: PostgreSQL calls it for each file of the WAL.

pub mod pgbackrest;
pub mod s3cmd;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::credentials::Credentials;

/// What archives WAL and takes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Tool {
    /// pgBackRest: backups, WAL, and checks of both.
    Pgbackrest,
    /// `s3cmd put` and `s3cmd get`, and backups by pg_basebackup.
    S3cmd,
}

/// A tool: what PostgreSQL calls, and what that needs.
pub struct ToolRow {
    pub tool: Tool,
    /// What PostgreSQL calls with a file that is to be archived (`%p`, `%f`).
    pub archive_command: fn(&Archive<'_>) -> String,
    /// What PostgreSQL calls for a file that it wants back.
    pub restore_command: fn(&Archive<'_>) -> String,
    /// What stands on a host that uses it: path and content. It holds the bucket's keys.
    pub files: fn(&Archive<'_>, &Credentials, &str) -> Vec<(String, String)>,
    /// The prefix under which the bucket holds the WAL.
    pub prefix: fn(&Archive<'_>) -> String,
    /// Where backups are taken.
    pub backs_up_on: BackupOn,
    /// What takes a full backup, of a cluster with this standby; the last word that it prints names the backup.
    pub backup: fn(&Archive<'_>, &str) -> String,
    /// What lets a standby be copied by the node of this name, for as long as a backup takes, where that is asked for.
    pub serve: Option<Serve>,
    /// What makes a data directory of the last backup, to be recovered to a time (or to the end) when a server starts there.
    pub restore: fn(&Archive<'_>, Option<&str>) -> String,
    /// What is run once, on the primary, before anything can be archived.
    pub prepare: Option<fn(&Archive<'_>) -> String>,
    /// What of an object's name is the file of WAL, and what says which content it has; `None`: it is no file of WAL.
    pub archived: fn(&str) -> Option<ArchivedName>,
}

/// What a standby runs while another node copies it.
#[derive(Clone, Copy)]
pub struct Serve {
    /// Begins it, for a node of this name.
    pub begin: fn(&Archive<'_>, &str) -> String,
    /// Ends it.
    pub end: &'static str,
}

/// Where a tool takes backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupOn {
    /// On the primary, whose files it reads.
    ThePrimary,
    /// On the machine that restores them, which copies a standby.
    TheRestoringHost,
}

/// A file of WAL, as the name of an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedName {
    /// The name that PostgreSQL gave it.
    pub file: String,
    /// A checksum of its content, where the object's name has one.
    pub checksum: Option<String>,
}

/// Every tool.
pub const TOOLS: &[ToolRow] = &[pgbackrest::TOOL, s3cmd::TOOL];

impl Tool {
    /// Its row.
    pub fn row(self) -> &'static ToolRow {
        match self {
            Tool::Pgbackrest => const { &pgbackrest::TOOL },
            Tool::S3cmd => const { &s3cmd::TOOL },
        }
    }

    /// The name in topology files.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Pgbackrest => "pgbackrest",
            Tool::S3cmd => "s3cmd",
        }
    }
}

/// Where a cluster's WAL goes, as the services of a host know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Archive<'a> {
    pub tool: Tool,
    pub bucket: BucketAt<'a>,
    /// The name of the cluster's archive in its bucket.
    pub stanza: &'a str,
    /// Whether files are sent in the background, several at a time.
    pub is_asynchronous: bool,
    /// Whether backups copy a standby.
    pub from_standby: bool,
    /// Whether what is restored goes on to archive under the names of its source.
    pub restored_archives: bool,
    /// Whether nodes take WAL back from it that nobody streams to them any more.
    pub is_read: bool,
    /// The machine on which backups are restored.
    pub restored_on: Option<&'a str>,
}

/// A bucket, as clients reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketAt<'a> {
    pub name: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub region: &'a str,
    pub style: BucketStyle,
}

/// How a bucket stands in a URL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BucketStyle {
    /// `https://host/bucket/key`.
    #[default]
    Path,
    /// `https://bucket.host/key`.
    Host,
}

/// Where every machine has the certificate of the authority that the bucket's server is certified by.
pub const AUTHORITY_FILE: &str = "/etc/pgquake/authority.crt";

/// Where a node that is copied by another one, or copies one, has its own certificate and the key to it.
const CERTIFICATE_FILE: &str = "/etc/pgquake/node.crt";
const KEY_FILE: &str = "/etc/pgquake/node.key";

/// Where a tool that copies a server finds its password; the entry point gives it to the server's own user alone.
const PASSWORD_FILE: &str = "/etc/pgquake/pgpass";

/// A name that PostgreSQL gives to a file of WAL: a segment (also one that ends early, `.partial`), a timeline's history,
/// or the note of a backup.
fn is_wal_name(name: &str) -> bool {
    let (stem, suffix) = name.split_once('.').map_or((name, ""), |(stem, suffix)| (stem, suffix));
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
    match suffix {
        "" | "partial" => stem.len() == 24 && is_hex(stem),
        "history" => stem.len() == 8 && is_hex(stem),
        note => stem.len() == 24 && is_hex(stem) && note.ends_with("backup"),
    }
}
