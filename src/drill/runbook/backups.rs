//! What an operator does with backups: takes one, restores it on a machine of its own, and makes the mistake that it is
//! restored for.

use std::time::{Duration, Instant};

use crate::{
    drill::{Drill, DrillError, Running, as_ms},
    engine::ShellOutput,
    history::{
        Occurrence,
        event::{ArchiveDue, BackupTaken, RestoreOutcome, RestoreTarget, Restored, RunbookStep},
    },
    services::{
        archive::{Archive, BackupOn},
        postgresql::server::{DATA_DIRECTORY, POSTGRESQL_PORT},
        restore::RESTORED_PORT,
    },
    system::{NODE, NODE_TIMELINE, RunningCluster},
    waiting::wait_until,
    workload::{RestoredLedger, read_restored},
};

use super::{RunbookError, accepts_writes, cluster};

/// How long a small database may take to be recovered once its server starts.
const RECOVERED_WITHIN: Duration = Duration::from_secs(90);
/// How long what the primary has may take into the archive.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(60);
/// How long the clock of the primary is given to go on between what shall be kept and what shall not.
const APART: Duration = Duration::from_millis(20);
/// How long a second of the primary's clock may take.
const APART_AT_MOST: Duration = Duration::from_secs(5);
/// The table by which a bad change is known. There may be several of them, each with a number.
const BAD_CHANGE: &str = "pgquake.bad_change";

/// A step of a runbook that concerns backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupOrder {
    /// Take a full backup of a cluster.
    Take(String),
    /// Change something in a cluster's database that is regretted later.
    BadChange(String),
    /// Restore a cluster on the machine that its backups name, up to a point.
    Restore(String, RestorePoint),
}

/// Up to where a cluster is restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestorePoint {
    /// To the end of what it has archived.
    Latest,
    /// To just before the last bad change.
    BeforeTheBadChange,
}

/// The time just before a bad change.
#[derive(Debug, Clone)]
pub(in crate::drill) struct Before {
    /// As the primary's clock showed it.
    time: String,
    /// The instants of the run's clock between which it was read.
    from_us: u64,
    to_us: u64,
}

impl BackupOrder {
    /// The cluster that it names.
    pub fn cluster(&self) -> &str {
        match self {
            BackupOrder::Take(cluster) | BackupOrder::BadChange(cluster) | BackupOrder::Restore(cluster, _) => cluster,
        }
    }
}

impl Drill {
    pub(super) async fn with_backups(&mut self, order: &BackupOrder) -> Result<(), DrillError> {
        match order {
            BackupOrder::Take(cluster) => self.take_backup(cluster).await,
            BackupOrder::BadChange(cluster) => self.make_bad_change(cluster).await,
            BackupOrder::Restore(cluster, point) => self.restore(cluster, *point).await,
        }
    }

    async fn take_backup(&mut self, name: &str) -> Result<(), DrillError> {
        self.begin_load().await?;
        let (recorder, ground) = (self.recorder.clone(), self.ground.clone());
        let began_us = recorder.now_us();
        let running = self.running().await?;
        let archive = archive(running, name)?;
        let leader = leader(running, name).await?;
        let row = archive.tool.row();
        let host = match (row.backs_up_on, archive.restored_on) {
            (BackupOn::ThePrimary, _) => leader.clone(),
            (BackupOn::TheRestoringHost, Some(host)) => host.to_owned(),
            (BackupOn::TheRestoringHost, None) => return Err(no_place(name).into()),
        };
        let nodes = &cluster(running, name)?.plan().nodes;
        let standby = nodes.iter().find(|node| **node != leader).unwrap_or(&leader);
        let done = ground.hold(copied(running, &archive, (&leader, standby), &host)).await?;
        ground.hold(a_second_later(running, &leader)).await?;
        let label = done.text.split_whitespace().last().unwrap_or_default().to_owned();
        recorder.record(Occurrence::BackupTaken(BackupTaken { cluster: name.to_owned(), host, label, began_us }));
        Ok(())
    }

    /// Reads the primary's clock, and lets it go on a little, before the change is made.
    async fn make_bad_change(&mut self, name: &str) -> Result<(), DrillError> {
        self.begin_load().await?;
        let (recorder, ground) = (self.recorder.clone(), self.ground.clone());
        let running = self.running().await?;
        let leader = leader(running, name).await?;
        let system = &running.system;
        let failed = |reason: String| RunbookError::Database { node: leader.clone(), reason };
        let change = async {
            let from_us = recorder.now_us();
            let time = system.sql_value(&leader, "SELECT clock_timestamp()").await.map_err(failed)?;
            let to_us = recorder.now_us();
            tokio::time::sleep(APART).await;
            let made = format!("SELECT count(*) FROM pg_class WHERE oid >= 16384 AND relname LIKE '{}%'", relation());
            let made = system.sql_value(&leader, &made).await.map_err(failed)?;
            let statement = format!("CREATE TABLE {BAD_CHANGE}_{made} AS SELECT now() AS made_at");
            system.query(&leader, POSTGRESQL_PORT, &statement).await.map_err(failed)?;
            Ok::<_, DrillError>((Before { time, from_us, to_us }, statement))
        };
        let (before, statement) = ground.hold(change).await?;
        self.note_step(RunbookStep::BadChange, name, format!("{statement}; just before, it was {}", before.time));
        self.before_bad_change = Some(before);
        Ok(())
    }

    async fn restore(&mut self, name: &str, point: RestorePoint) -> Result<(), DrillError> {
        let (recorder, ground) = (self.recorder.clone(), self.ground.clone());
        let before = self.before_bad_change.clone();
        let running = self.running().await?;
        let archive = archive(running, name)?;
        let host = archive.restored_on.ok_or_else(|| no_place(name))?.to_owned();
        // What is asked back must be in the archive first, and a primary that writes little sends it only on request.
        let archived_us = recorder.now_us();
        if let Some(due) = due(cluster(running, name)?).await {
            recorder.record(Occurrence::ArchiveDue(due));
        }
        let sent = async {
            wait_until("the archive to have what the primary has", ARCHIVED_WITHIN, || sent(running, name)).await
        };
        ground.hold(sent).await?;
        let (target, time) = match (point, before) {
            (RestorePoint::Latest, _) => (RestoreTarget::Latest { archived_us }, None),
            (RestorePoint::BeforeTheBadChange, Some(Before { time, from_us, to_us })) => {
                (RestoreTarget::Time { from_us, to_us }, Some(time))
            }
            (RestorePoint::BeforeTheBadChange, None) => return Err(RunbookError::NoBadChange.into()),
        };
        let began_us = recorder.now_us();
        let outcome = async { Ok::<_, DrillError>(restored(running, &archive, &host, time.as_deref()).await) };
        let outcome = ground.hold(outcome).await?;
        let cluster = name.to_owned();
        recorder.record(Occurrence::Restored(Restored { cluster, host, target, began_us, outcome }));
        Ok(())
    }
}

/// Takes the backup, and lets a standby be copied meanwhile where that is asked for.
async fn copied(
    running: &Running,
    archive: &Archive<'_>,
    (leader, standby): (&str, &str),
    host: &str,
) -> Result<ShellOutput, DrillError> {
    let row = archive.tool.row();
    let serve = row.serve.filter(|_| archive.from_standby);
    if let Some(serve) = serve {
        command(running, standby, &(serve.begin)(archive, leader)).await?;
    }
    let done = command(running, host, &(row.backup)(archive, standby)).await;
    if let Some(serve) = serve {
        command(running, standby, serve.end).await?;
    }
    done
}

/// Waits until the primary's clock shows another second: tools know the end of a backup to the second, and restore none to
/// a time within it.
async fn a_second_later(running: &Running, leader: &str) -> Result<(), DrillError> {
    let ask = |sql: String| async move { running.system.sql_value(leader, &sql).await };
    let failed = |reason: String| RunbookError::Database { node: leader.to_owned(), reason };
    let ended = ask("SELECT date_trunc('second', clock_timestamp())".to_owned()).await.map_err(failed)?;
    let later = || async {
        match ask(format!("SELECT clock_timestamp() >= '{ended}'::timestamptz + interval '1 s'")).await?.as_str() {
            "t" => Ok(()),
            _ => Err("not yet".to_owned()),
        }
    };
    Ok(wait_until("another second on the primary's clock", APART_AT_MOST, later).await?)
}

/// Restores on a host, and reads what the server there holds. Whether it should have come is for the checks to say.
async fn restored(running: &Running, archive: &Archive<'_>, host: &str, time: Option<&str>) -> RestoreOutcome {
    let begun = Instant::now();
    let failed = |error: DrillError| error.to_string();
    let tried = async {
        command(running, host, &(archive.tool.row().restore)(archive, time)).await.map_err(failed)?;
        command(running, host, &start_command()).await.map_err(failed)?;
        let accepts_writes = wait_until("the restored server to reach its target", RECOVERED_WITHIN, || async {
            let sql = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN 'open' ELSE pg_get_wal_replay_pause_state() END";
            match running.system.query(host, RESTORED_PORT, sql).await?.first().map(String::as_str) {
                Some("open") => Ok(true),
                Some("paused") => Ok(false),
                _ => Err("it is in recovery".to_owned()),
            }
        });
        let accepts_writes = accepts_writes.await.map_err(|missed| missed.to_string())?;
        let took_ms = as_ms(begun.elapsed());
        let RestoredLedger { timeline, found, counts } =
            read_restored(host, RESTORED_PORT, running.system.access()).await?;
        let sql = format!("SELECT count(*) FROM pg_class WHERE relname LIKE '{}%'", relation());
        let bad_changes = running.system.query(host, RESTORED_PORT, &sql).await?;
        let bad_changes = bad_changes.first().and_then(|count| count.parse().ok()).ok_or("no count of bad changes")?;
        Ok::<_, String>(RestoreOutcome::Open { took_ms, accepts_writes, timeline, found, counts, bad_changes })
    };
    tried.await.unwrap_or_else(|reason| RestoreOutcome::Failed { reason })
}

/// Starts a server on what was restored. Patroni gives some parameters on its command line alone.
fn start_command() -> String {
    format!(
        "pg_ctl -D {DATA_DIRECTORY} -w -t 60 -l /var/lib/postgresql/restored.log \
         -o \"-p {RESTORED_PORT} -c listen_addresses='*' -c cluster_name=restored\" start || \
         {{ tail -n 20 /var/lib/postgresql/restored.log; exit 1; }}"
    )
}

/// Runs a command as the server's user on a node, or on a machine that restores, that has to succeed.
async fn command(running: &Running, host: &str, command: &str) -> Result<ShellOutput, DrillError> {
    let done = running.system.as_postgres(host, command).await?;
    if done.status == 0 {
        return Ok(done);
    }
    let output = running.system.access().credentials.hide_in(&done.text);
    Err(RunbookError::Command { node: host.to_owned(), command: command.to_owned(), status: done.status, output }
        .into())
}

fn archive<'r>(running: &'r Running, name: &str) -> Result<Archive<'r>, RunbookError> {
    running.plan.archive_of(name).ok_or_else(|| RunbookError::NoBackups(name.to_owned()))
}

fn no_place(cluster: &str) -> RunbookError {
    RunbookError::NoPlaceToRestore(cluster.to_owned())
}

async fn leader(running: &Running, name: &str) -> Result<String, DrillError> {
    let cluster = cluster(running, name)?;
    accepts_writes(cluster)
        .await
        .map_err(|reason| RunbookError::Database { node: format!("the primary of {name}"), reason }.into())
}

/// The last part of the name of the tables by which bad changes are known.
fn relation() -> &'static str {
    BAD_CHANGE.rsplit('.').next().unwrap_or(BAD_CHANGE)
}

/// Has the primary of a cluster end its file of WAL; `None`: no node of it accepts writes.
pub(in crate::drill) async fn due(cluster: RunningCluster<'_>) -> Option<ArchiveDue> {
    let node = accepts_writes(cluster).await.ok()?;
    let sql = format!("SELECT (pg_switch_wal() - '0/0'::pg_lsn) || ' ' || {NODE_TIMELINE} FROM {NODE}");
    let told = cluster.sql_value(&node, &sql).await.ok()?;
    let (lsn, timeline) = told.split_once(' ')?;
    let (lsn, timeline) = (lsn.parse().ok()?, timeline.parse().ok()?);
    Some(ArchiveDue { cluster: cluster.plan().name.clone(), node, timeline, lsn })
}

/// Whether the primary of a cluster has nothing left that is to be archived.
pub(in crate::drill) async fn sent(running: &Running, name: &str) -> Result<(), String> {
    let cluster = cluster(running, name).map_err(|error| error.to_string())?;
    let leader = cluster.leader().await.ok_or_else(|| format!("no node of {name} leads"))?;
    let waiting = "SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'";
    match cluster.sql_value(&leader, waiting).await?.as_str() {
        "0" => Ok(()),
        count => Err(format!("{leader} has {count} files that wait to be archived")),
    }
}
