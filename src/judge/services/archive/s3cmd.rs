//! s3cmd, as document 002 archives with it: a file of WAL is an object of its name, and the next of that name takes its
//! place.

use super::{AUTHORITY_FILE, Archive, ArchivedName, BackupOn, BucketStyle, PASSWORD_FILE, Tool, ToolRow, is_wal_name};
use crate::{
    credentials::Credentials,
    services::postgresql::server::{DATA_DIRECTORY, REPLICATION_ROLE},
};

/// Where s3cmd looks for its configuration: in the home of the user who runs PostgreSQL.
const CONFIGURATION_FILE: &str = "/var/lib/postgresql/.s3cfg";
/// Where the machine that restores keeps the backup. The document leaves it on the standby that was copied.
const BACKUP: &str = "/var/lib/postgresql/backup";
/// The prefix that the document gives the WAL.
const PREFIX: &str = "wal/";

pub(super) const TOOL: ToolRow = ToolRow {
    tool: Tool::S3cmd,
    archive_command: |archive| format!("s3cmd put %p s3://{}/{PREFIX}%f", archive.bucket.name),
    restore_command: |archive| format!("s3cmd get s3://{}/{PREFIX}%f %p", archive.bucket.name),
    files,
    prefix: |_| PREFIX.to_owned(),
    backs_up_on: BackupOn::TheRestoringHost,
    backup: |_, standby| {
        format!(
            "rm -rf {BACKUP} && pg_basebackup -h {standby} -U {REPLICATION_ROLE} -D {BACKUP} -F tar -z -X stream && \
             echo {BACKUP}"
        )
    },
    serve: None,
    restore,
    prepare: None,
    archived: |key| {
        let file = key.strip_prefix(PREFIX).filter(|file| is_wal_name(file))?;
        Some(ArchivedName { file: file.to_owned(), checksum: None })
    },
};

/// As the document writes it. It says nothing of what comes when the target is reached, nor of who else archives under the
/// same names.
fn restore(archive: &Archive<'_>, to: Option<&str>) -> String {
    let configuration = format!("{DATA_DIRECTORY}/postgresql.conf");
    let restore_command = (TOOL.restore_command)(archive);
    let to =
        to.map_or_else(String::new, |time| format!(" && echo \"recovery_target_time = '{time}'\" >> {configuration}"));
    format!(
        "rm -rf {DATA_DIRECTORY} && mkdir -m 700 {DATA_DIRECTORY} && tar -xzf {BACKUP}/base.tar.gz -C {DATA_DIRECTORY} && \
         tar -xzf {BACKUP}/pg_wal.tar.gz -C {DATA_DIRECTORY}/pg_wal && touch {DATA_DIRECTORY}/recovery.signal && \
         rm -f {DATA_DIRECTORY}/standby.signal && \
         echo \"restore_command = '{restore_command}'\" >> {configuration}{to}"
    )
}

fn files(archive: &Archive<'_>, credentials: &Credentials, _host: &str) -> Vec<(String, String)> {
    vec![
        (CONFIGURATION_FILE.to_owned(), configuration(archive, credentials)),
        (AUTHORITY_FILE.to_owned(), credentials.of_bucket(archive.bucket.name).authority),
        (PASSWORD_FILE.to_owned(), format!("*:*:*:{REPLICATION_ROLE}:{}\n", credentials.replication_password)),
    ]
}

fn configuration(archive: &Archive<'_>, credentials: &Credentials) -> String {
    let (bucket, access) = (&archive.bucket, credentials.of_bucket(archive.bucket.name));
    let at = format!("{}:{}", bucket.host, bucket.port);
    let with_bucket = match bucket.style {
        BucketStyle::Path => at.clone(),
        BucketStyle::Host => format!("%(bucket)s.{at}"),
    };
    format!(
        "[default]\naccess_key = {}\nsecret_key = {}\nhost_base = {at}\nhost_bucket = {with_bucket}\n\
         bucket_location = {}\nca_certs_file = {AUTHORITY_FILE}\nuse_https = True\nsignature_v2 = False\n",
        access.key_id, access.secret, bucket.region,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_called_as_its_file() {
        let archived = |key: &str| (TOOL.archived)(key).map(|name| name.file);
        assert_eq!(archived("wal/000000010000000000000003").as_deref(), Some("000000010000000000000003"));
        let note = "000000010000000000000003.00000028.backup";
        assert_eq!(archived(&format!("wal/{note}")).as_deref(), Some(note));
        assert_eq!(archived("wal/readme.txt"), None);
        assert_eq!(archived("base/000000010000000000000003"), None);
    }
}
