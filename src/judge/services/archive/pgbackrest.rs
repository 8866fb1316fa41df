//! pgBackRest: each file of WAL has a checksum in its name, and one of another content is refused.

use std::fmt::Write;

use super::{
    AUTHORITY_FILE, Archive, ArchivedName, BackupOn, BucketStyle, CERTIFICATE_FILE, KEY_FILE, Serve, Tool, ToolRow,
    is_wal_name,
};
use crate::{credentials::Credentials, services::patroni::DATA_DIRECTORY};

const CONFIGURATION_FILE: &str = "/etc/pgbackrest/pgbackrest.conf";
/// Where a node has the key that only it may read: pgBackRest takes no other.
const OWN_KEY_FILE: &str = "/tmp/pgbackrest-node.key";
const STOP_SERVING: &str = "pkill --full '^pgbackrest .*--tls-server-auth=.* server$'";
/// How many files are sent at the same time in the background.
const PROCESSES_IN_BACKGROUND: &str = "2";

pub(super) const TOOL: ToolRow = ToolRow {
    tool: Tool::Pgbackrest,
    archive_command: |archive| format!("pgbackrest --stanza={} archive-push %p", archive.stanza),
    restore_command: |archive| format!("pgbackrest --stanza={} archive-get %f \"%p\"", archive.stanza),
    files,
    prefix: |archive| format!("archive/{}/", archive.stanza),
    backs_up_on: BackupOn::ThePrimary,
    backup,
    serve: Some(Serve { begin: serve, end: STOP_SERVING }),
    restore,
    prepare: Some(|archive| format!("pgbackrest --stanza={} stanza-create", archive.stanza)),
    archived,
};

/// Gives the node a copy of its key that only it may read.
fn copy_key() -> String {
    format!("install -m 600 {KEY_FILE} {OWN_KEY_FILE}")
}

fn backup(archive: &Archive<'_>, standby: &str) -> String {
    let pgbackrest = format!("pgbackrest --stanza={}", archive.stanza);
    // The primary says where the backup begins and ends, and the standby's files are copied.
    let (before, copied) = match archive.from_standby {
        false => (String::new(), String::new()),
        true => (
            format!("{} && ", copy_key()),
            format!(
                " --backup-standby=y --pg2-host={standby} --pg2-host-type=tls --pg2-host-ca-file={AUTHORITY_FILE} \
                 --pg2-host-cert-file={CERTIFICATE_FILE} --pg2-host-key-file={OWN_KEY_FILE} --pg2-path={DATA_DIRECTORY} \
                 --pg2-socket-path=/var/run/postgresql"
            ),
        ),
    };
    format!("{before}{pgbackrest} --type=full{copied} backup && {pgbackrest} info | grep 'full backup:' | tail -n 1")
}

/// pgBackRest's own server, which lets nobody in but the node with this name in its certificate.
fn serve(archive: &Archive<'_>, node: &str) -> String {
    format!(
        "{} && {{ setsid pgbackrest --tls-server-address='*' --tls-server-ca-file={AUTHORITY_FILE} \
         --tls-server-cert-file={CERTIFICATE_FILE} --tls-server-key-file={OWN_KEY_FILE} \
         --tls-server-auth={node}={} server > /tmp/pgbackrest-server.log 2>&1 < /dev/null & }}",
        copy_key(),
        archive.stanza
    )
}

/// What is restored archives nothing: it would write under the names that its source uses. Unless nobody has thought of that.
fn restore(archive: &Archive<'_>, to: Option<&str>) -> String {
    let archives = if archive.restored_archives { "" } else { " --archive-mode=off" };
    let to = to.map_or_else(String::new, |time| format!(" --type=time --target='{time}' --target-action=promote"));
    format!(
        "rm -rf {DATA_DIRECTORY} && mkdir -m 700 {DATA_DIRECTORY} && \
         pgbackrest --stanza={}{archives}{to} restore",
        archive.stanza
    )
}

fn files(archive: &Archive<'_>, credentials: &Credentials, host: &str) -> Vec<(String, String)> {
    let mut files = vec![
        (CONFIGURATION_FILE.to_owned(), configuration(archive, credentials)),
        (AUTHORITY_FILE.to_owned(), credentials.of_bucket(archive.bucket.name).authority),
    ];
    if let Some(own) = credentials.certificates.get(host).filter(|_| archive.from_standby) {
        files.push((CERTIFICATE_FILE.to_owned(), own.certificate.clone()));
        files.push((KEY_FILE.to_owned(), own.key.clone()));
    }
    files
}

/// WAL is compressed by lz4, which costs least: nodes share a machine here. A backup asks for a checkpoint at once.
fn configuration(archive: &Archive<'_>, credentials: &Credentials) -> String {
    let (bucket, access) = (&archive.bucket, credentials.of_bucket(archive.bucket.name));
    let style = match bucket.style {
        BucketStyle::Path => "path",
        BucketStyle::Host => "host",
    };
    let yes_or_no = |yes: bool| if yes { "y" } else { "n" };
    let mut text = String::from("[global]\n");
    let mut set = |name: &str, value: &str| {
        // Writing to a String can't fail.
        let _ = writeln!(text, "{name}={value}");
    };
    set("repo1-type", "s3");
    set("repo1-path", "/");
    set("repo1-s3-bucket", bucket.name);
    set("repo1-s3-endpoint", bucket.host);
    set("repo1-storage-port", &bucket.port.to_string());
    set("repo1-s3-region", bucket.region);
    set("repo1-s3-uri-style", style);
    set("repo1-s3-key", &access.key_id);
    set("repo1-s3-key-secret", &access.secret);
    set("repo1-storage-ca-file", AUTHORITY_FILE);
    set("repo1-retention-full", "2");
    set("archive-async", yes_or_no(archive.is_asynchronous));
    if archive.is_asynchronous {
        set("process-max", PROCESSES_IN_BACKGROUND);
    }
    set("spool-path", "/var/spool/pgbackrest");
    set("lock-path", "/tmp/pgbackrest");
    set("log-level-file", "off");
    set("log-level-console", "warn");
    set("log-level-stderr", "off");
    set("compress-type", "lz4");
    set("start-fast", "y");
    let _ = write!(text, "\n[{}]\npg1-path={DATA_DIRECTORY}\npg1-socket-path=/var/run/postgresql\n", archive.stanza);
    text
}

/// `archive/STANZA/17-1/0000000100000000/000000010000000000000003-<SHA-1>.lz4`. A history, a note of a backup and a
/// partial segment stand under their own names, or with a checksum before a suffix of their own.
fn archived(key: &str) -> Option<ArchivedName> {
    let name = key.rsplit('/').next()?;
    let name = ["lz4", "gz", "zst", "bz2"]
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix)?.strip_suffix('.'))
        .unwrap_or(name);
    let (file, checksum) = match name.split_once('-') {
        Some((file, checksum)) => (file, Some(checksum.to_owned())),
        None => (name, None),
    };
    is_wal_name(file).then(|| ArchivedName { file: file.to_owned(), checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(file: &str, checksum: Option<&str>) -> Option<ArchivedName> {
        Some(ArchivedName { file: file.to_owned(), checksum: checksum.map(str::to_owned) })
    }

    #[test]
    fn names_of_objects_say_which_file_and_which_content() {
        let segment = "archive/main/17-1/0000000100000000/000000010000000000000003-9f2f.lz4";
        assert_eq!(archived(segment), name("000000010000000000000003", Some("9f2f")));
        assert_eq!(archived("archive/main/17-1/00000002.history"), name("00000002.history", None));
        let partial = "archive/main/17-1/0000000100000000/000000010000000000000004.partial-77ab.lz4";
        assert_eq!(archived(partial), name("000000010000000000000004.partial", Some("77ab")));
        assert_eq!(archived("archive/main/archive.info"), None);
        assert_eq!(archived("archive/main/archive.info.copy"), None);
    }
}
