//! What an operator does by a runbook where no agent keeps the nodes: promotes a standby, points clients and the other
//! standbys at it, and makes a standby of the node that was lost.
//!
//! Ways and commands are those of documents 001 and 004, as they are written. A way that does not promote is no failure of
//! the step: that it did not is recorded, and the scenario's `Then`s decide.

use std::{fmt, time::Duration};

use crate::{
    drill::{Drill, DrillError, Running},
    engine::{EngineError, ShellOutput},
    history::{
        Occurrence,
        event::{CommandRun, RunbookStep},
    },
    services::postgresql::server::{DATA_DIRECTORY, POSTGRESQL_PORT, REPLICATION_ROLE, slot_name},
    topology::WRITE,
    waiting::{NotReady, wait_until},
};

use super::RunbookError;

/// How long a promotion may take before it counts as one that does not come. PostgreSQL looked for a trigger file every
/// five seconds, where it did.
const PROMOTED_WITHIN: Duration = Duration::from_secs(20);
/// A standby that finds no WAL asks again after five seconds; one that was rewound replays first.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(60);

/// A step of a runbook that concerns one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeOrder {
    /// Promote a standby.
    Promote {
        /// The standby.
        node: String,
        /// By which of the documents' ways.
        way: PromotionWay,
    },
    /// Point the applications' writers at a node.
    PointClients(String),
    /// Let a standby stream from another node than before.
    PointStandby {
        /// The standby.
        standby: String,
        /// From which it is to stream.
        primary: String,
    },
    /// Take away what a node wrote alone, and make it a standby.
    Rewind {
        /// The node that was a primary.
        node: String,
        /// The primary of now.
        source: String,
    },
    /// Throw away what a node has, and make it a standby by a copy of another one.
    Rebuild {
        /// The node.
        node: String,
        /// The node that is copied.
        source: String,
    },
    /// Keep a machine that is off, or about to be, from starting PostgreSQL when it boots.
    KeepFromStarting(String),
    /// Run a command in the node's container, as a document writes it.
    Run {
        /// The node.
        node: String,
        /// What is run there, as the user `postgres`.
        command: String,
    },
    /// Give PostgreSQL another parameter, by ALTER SYSTEM and a reload.
    SetParameter {
        /// The node.
        node: String,
        /// The parameter's name.
        name: String,
        /// Its value.
        value: String,
    },
}

/// A way of promotion that documents 001 and 004 name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromotionWay {
    /// `pg_ctl promote` (001, 004).
    PgCtl,
    /// `SELECT pg_promote()` (004).
    Function,
    /// A file that PostgreSQL looked for until version 16 removed `promote_trigger_file` (004).
    TriggerFile,
    /// `touch standby.signal`, which tells a server that starts to be a standby (001).
    StandbySignal,
}

impl PromotionWay {
    /// Every way.
    pub const ALL: [PromotionWay; 4] =
        [PromotionWay::PgCtl, PromotionWay::Function, PromotionWay::TriggerFile, PromotionWay::StandbySignal];

    /// How scenarios call it.
    pub fn words(self) -> &'static str {
        match self {
            PromotionWay::PgCtl => "pg_ctl promote",
            PromotionWay::Function => "pg_promote()",
            PromotionWay::TriggerFile => "a trigger file",
            PromotionWay::StandbySignal => "touching standby.signal",
        }
    }

    /// What is run on the standby, as the documents write it.
    fn command(self) -> String {
        match self {
            PromotionWay::PgCtl => format!("pg_ctl promote -D {DATA_DIRECTORY}"),
            PromotionWay::Function => "psql -qXAtc \"SELECT pg_promote();\"".to_owned(),
            PromotionWay::TriggerFile => "touch /tmp/postgresql.trigger".to_owned(),
            PromotionWay::StandbySignal => format!("touch {DATA_DIRECTORY}/standby.signal"),
        }
    }
}

impl NodeOrder {
    /// The nodes that it names.
    pub fn nodes(&self) -> Vec<&str> {
        match self {
            NodeOrder::PointStandby { standby: one, primary: other }
            | NodeOrder::Rewind { node: one, source: other }
            | NodeOrder::Rebuild { node: one, source: other } => {
                vec![one, other]
            }
            NodeOrder::Promote { node, .. }
            | NodeOrder::PointClients(node)
            | NodeOrder::KeepFromStarting(node)
            | NodeOrder::Run { node, .. }
            | NodeOrder::SetParameter { node, .. } => vec![node],
        }
    }

    /// Whether it is done on the node itself, where an agent would undo it or be misled by it.
    pub fn goes_past_an_agent(&self) -> bool {
        // What a command does is for whoever wrote it to know.
        !matches!(self, NodeOrder::PointClients(_) | NodeOrder::Run { .. })
    }
}

impl Drill {
    /// Takes a step of a runbook that concerns one node, and records it when it is seen to be done.
    pub(super) async fn on_node(&mut self, order: &NodeOrder) -> Result<(), DrillError> {
        match order {
            NodeOrder::Promote { node, way } => self.promote_node(node, *way).await,
            NodeOrder::PointClients(node) => self.point_clients_at_node(node).await,
            NodeOrder::PointStandby { standby, primary } => self.point_standby(standby, primary).await,
            NodeOrder::Rewind { node, source } => self.rewind(node, source).await,
            NodeOrder::Rebuild { node, source } => self.rebuild(node, source).await,
            NodeOrder::Run { node, command } => self.run_command(node, command).await,
            NodeOrder::KeepFromStarting(node) => self.keep_from_starting(node).await,
            NodeOrder::SetParameter { node, name, value } => self.set_parameter(node, name, value).await,
        }
    }

    /// Promotes a standby, and waits a bounded time until it accepts writes.
    async fn promote_node(&mut self, node: &str, way: PromotionWay) -> Result<(), DrillError> {
        let (ground, recorder) = (self.ground.clone(), self.recorder.clone());
        let command = way.command();
        let asked_us = recorder.now_us();
        let running = self.running().await?;
        // The operator looks first. Whatever the node accepts from here on is of its new timeline, also where a client's
        // statement waited in it all the while.
        if let Ok(true) = is_in_recovery(running, node).await {
            recorder.record(Occurrence::StandbySeen { node: node.to_owned(), asked_us });
        }
        self.note_on_node(node, RunbookStep::PromotionOrdered, format!("an operator runs `{command}` on {node}"))
            .await?;
        let running = self.running().await?;
        let done = ground.hold(running.system.as_postgres(node, &command)).await?;
        let promoted = async { Ok::<_, DrillError>(is_promoted(running, node).await) };
        let (step, told) = match ground.hold(promoted).await? {
            Ok(()) => (RunbookStep::Promoted, format!("{node} is no longer in recovery")),
            Err(missed) => (RunbookStep::NotPromoted, missed.to_string()),
        };
        self.note_on_node(node, step, format!("{told}; {}", Told(&command, &done))).await
    }

    /// Points the applications' endpoint for writes at a node.
    async fn point_clients_at_node(&mut self, node: &str) -> Result<(), DrillError> {
        let running = self.running().await?;
        let missing = || RunbookError::NoEndpoint(node.to_owned());
        let address = running.system.access().address(node, POSTGRESQL_PORT).ok_or_else(missing)?;
        if let Some(workload) = &running.workload {
            workload.point_at(WRITE, address)?;
        }
        self.note_on_node(node, RunbookStep::Repointed, format!("{WRITE} leads to {node}:{POSTGRESQL_PORT}")).await
    }

    /// Lets a standby stream from another node, by a slot there.
    async fn point_standby(&mut self, standby: &str, primary: &str) -> Result<(), DrillError> {
        self.make_slot(primary, standby).await?;
        let changes = upstream(primary, standby).map(|(name, value)| alter_system(name, &value));
        self.must(standby, &psql(changes.into_iter().chain([RELOAD.to_owned()]))).await?;
        let evidence = format!("{standby} is to stream from {primary}, by a new primary_conninfo and a reload");
        self.note_on_node(standby, RunbookStep::FollowOrdered, evidence).await?;
        self.wait_to_follow(standby, primary).await
    }

    /// Stops a node if it runs, takes away what it wrote after it had parted from the source, and starts it as a standby.
    async fn rewind(&mut self, node: &str, source: &str) -> Result<(), DrillError> {
        self.make_slot(source, node).await?;
        self.stop_postgresql(node).await?;
        let rewind = format!(
            "pg_rewind --target-pgdata={DATA_DIRECTORY} \
             --source-server='host={source} port={POSTGRESQL_PORT} user=postgres dbname=postgres'"
        );
        let done = self.must(node, &rewind).await?;
        self.start_as_standby(node, source, &Told(&rewind, &done).to_string()).await
    }

    /// Stops a node if it runs, and starts it as a standby with a copy of the source.
    async fn rebuild(&mut self, node: &str, source: &str) -> Result<(), DrillError> {
        self.make_slot(source, node).await?;
        self.stop_postgresql(node).await?;
        let slot = slot_name(node);
        let copy = format!(
            "find {DATA_DIRECTORY} -mindepth 1 -delete && pg_basebackup -D {DATA_DIRECTORY} -X stream -c fast -S {slot} \
             -d 'host={source} port={POSTGRESQL_PORT} user={REPLICATION_ROLE}'"
        );
        let done = self.must(node, &copy).await?;
        self.start_as_standby(node, source, &Told(&copy, &done).to_string()).await
    }

    async fn stop_postgresql(&mut self, node: &str) -> Result<(), DrillError> {
        let at = format!("-D {DATA_DIRECTORY}");
        let stop = format!("if pg_ctl status {at} > /dev/null; then pg_ctl stop {at} -m fast; fi");
        self.must(node, &stop).await.map(|_| ())
    }

    /// Starts a node that is stopped as a standby of the source, and waits until it streams.
    async fn start_as_standby(&mut self, node: &str, source: &str, told: &str) -> Result<(), DrillError> {
        let lines = upstream(source, node).map(|(name, value)| format!("{name} = '{value}'\n")).concat();
        let follow = format!("touch standby.signal && cat >> postgresql.auto.conf <<'end'\n{lines}end");
        self.must(node, &format!("cd {DATA_DIRECTORY} && {follow}")).await?;
        self.running().await?.system.start_postgresql(node).await?;
        let evidence = format!("{node} is to stream from {source}; {told}");
        self.note_on_node(node, RunbookStep::FollowOrdered, evidence).await?;
        self.wait_to_follow(node, source).await
    }

    /// Runs a command and records what came of it. One that fails is no failure of the step: whether it should have
    /// succeeded is for the checks to say.
    async fn run_command(&mut self, node: &str, command: &str) -> Result<(), DrillError> {
        self.begin_load().await?;
        let ground = self.ground.clone();
        let running = self.running().await?;
        let ran = async { Ok::<_, DrillError>(running.system.as_postgres(node, command).await) };
        let ran = ground.hold(ran).await?;
        self.record_command(node, command, ran).await
    }

    /// Records a command and what came of it, without secrets.
    pub(in crate::drill) async fn record_command(
        &mut self,
        node: &str,
        command: &str,
        ran: Result<ShellOutput, EngineError>,
    ) -> Result<(), DrillError> {
        let (status, output) = match ran {
            Ok(done) => (Some(done.status), done.text),
            Err(error) => (None, error.to_string()),
        };
        let recorder = self.recorder.clone();
        let output = self.running().await?.system.access().credentials.hide_in(&output);
        let (node, command) = (node.to_owned(), command.to_owned());
        recorder.record(Occurrence::CommandRun(CommandRun { node, command, status, output }));
        Ok(())
    }

    async fn keep_from_starting(&mut self, node: &str) -> Result<(), DrillError> {
        self.running().await?.system.keep_from_starting(node).await?;
        let evidence = format!("{node} does not start PostgreSQL when it boots");
        self.note_on_node(node, RunbookStep::KeptDown, evidence).await
    }

    async fn set_parameter(&mut self, node: &str, name: &str, value: &str) -> Result<(), DrillError> {
        self.must(node, &psql([alter_system(name, value), RELOAD.to_owned()])).await?;
        self.note_on_node(node, RunbookStep::Reconfigured, format!("{name} is '{value}' on {node}")).await
    }

    /// Makes the slot by which a standby streams from a node, unless it has one already.
    async fn make_slot(&mut self, on: &str, standby: &str) -> Result<(), DrillError> {
        let slot = slot_name(standby);
        let sql = format!(
            "SELECT pg_create_physical_replication_slot('{slot}', true) \
             WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '{slot}')"
        );
        self.must(on, &psql([sql])).await.map(|_| ())
    }

    /// Waits until a standby streams what a node writes.
    async fn wait_to_follow(&mut self, standby: &str, primary: &str) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let system = &self.running().await?.system;
        let look = || system.streams_from(standby, primary);
        let waited = async {
            let waited = wait_until(&format!("{standby} to stream from {primary}"), FOLLOWS_WITHIN, look).await;
            waited.map_err(|missed| system.with_logs(missed, &system.plan().node_kinds()))
        };
        ground.hold(waited).await
    }

    /// Runs a command on a node that has to succeed.
    async fn must(&mut self, node: &str, command: &str) -> Result<ShellOutput, DrillError> {
        let ground = self.ground.clone();
        let system = &self.running().await?.system;
        let done = ground.hold(system.as_postgres(node, command)).await?;
        if done.status == 0 {
            return Ok(done);
        }
        let (node, command) = (node.to_owned(), command.to_owned());
        Err(RunbookError::Command { node, command, status: done.status, output: done.text }.into())
    }

    async fn note_on_node(&mut self, node: &str, step: RunbookStep, evidence: String) -> Result<(), DrillError> {
        let cluster = self.running().await?.plan.cluster_of(node).map(|cluster| cluster.name.clone());
        self.note_step(step, &cluster.unwrap_or_default(), evidence);
        Ok(())
    }
}

/// Waits until a node accepts writes.
async fn is_promoted(running: &Running, node: &str) -> Result<(), NotReady> {
    wait_until(&format!("the promotion of {node}"), PROMOTED_WITHIN, || async {
        match is_in_recovery(running, node).await? {
            false => Ok(()),
            true => Err(format!("{node} is in recovery")),
        }
    })
    .await
}

async fn is_in_recovery(running: &Running, node: &str) -> Result<bool, String> {
    Ok(running.system.sql_value(node, "SELECT pg_is_in_recovery()").await? != "f")
}

/// The parameters by which a standby streams from a node. The password stands in a file that libpq reads by itself.
fn upstream(primary: &str, standby: &str) -> [(&'static str, String); 2] {
    let connection = format!("host={primary} port={POSTGRESQL_PORT} user={REPLICATION_ROLE}");
    [("primary_conninfo", connection), ("primary_slot_name", slot_name(standby))]
}

/// Has the server read its changed parameters.
const RELOAD: &str = "SELECT pg_reload_conf()";

/// A statement that changes a parameter of the server.
fn alter_system(name: &str, value: &str) -> String {
    format!("ALTER SYSTEM SET {name} = '{}'", value.replace('\'', "''"))
}

/// A command that runs these statements one after the other, each by itself: ALTER SYSTEM takes no part in a transaction.
fn psql(statements: impl IntoIterator<Item = String>) -> String {
    let quoted = |statement: String| format!(" -c '{}'", statement.replace('\'', r"'\''"));
    format!("psql -qXAt{}", statements.into_iter().map(quoted).collect::<String>())
}

/// A command and what came of it, in one line.
struct Told<'a>(&'a str, &'a ShellOutput);

impl fmt::Display for Told<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told(command, ShellOutput { status, text }) = self;
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let printed = if lines.is_empty() { "nothing".to_owned() } else { format!("\"{}\"", lines.join(" / ")) };
        write!(formatter, "`{command}` ended with status {status} and printed {printed}")
    }
}
