//! What an operator does on a node that no agent keeps: commands in its container, as the owner of the data directory.

use super::System;
use crate::{
    engine::{EngineError, ShellOutput},
    services::{ServiceKind, postgresql::START_FILE},
};

/// How long a command may take; one that hangs is ended.
const COMMAND_WITHIN_S: u32 = 120;

/// The home of the owner, where tools look for their configuration.
const HOME: &str = "/var/lib/postgresql";

/// What starts PostgreSQL on a node again: its service's main process takes a hang-up for that.
const START: &str = "pkill -HUP --full /usr/local/bin/entrypoint.sh";

impl System {
    /// Runs a command on a node, on a subscriber or on a machine that restores, as the user `postgres`, and returns what it printed and how it ended.
    pub async fn as_postgres(&self, node: &str, command: &str) -> Result<ShellOutput, EngineError> {
        let other = |kind: ServiceKind| self.service(node, kind);
        let others = || other(ServiceKind::Restore).or_else(|| other(ServiceKind::Subscriber));
        let service = self.postgresql_of(node).or_else(others).ok_or_else(|| EngineError::Command {
            host: node.to_owned(),
            command: command.to_owned(),
            status: -1,
            output: "no PostgreSQL runs there".to_owned(),
        })?;
        let quoted = command.replace('\'', r"'\''");
        let script = format!("HOME={HOME} runuser -u postgres -- timeout {COMMAND_WITHIN_S} sh -c '{quoted}' 2>&1");
        self.engine().run_in_service(service, &script).await
    }

    /// Starts PostgreSQL on a node whose machine is up; leaves one alone that runs.
    pub async fn start_postgresql(&self, node: &str) -> Result<(), EngineError> {
        if let Some(pod) = self.pod(node) {
            pod.shell.run(START).await?;
        }
        Ok(())
    }

    /// Keeps a machine from starting PostgreSQL when it boots. It may be off.
    pub async fn keep_from_starting(&self, node: &str) -> Result<(), EngineError> {
        match self.postgresql_of(node) {
            Some(service) => self.engine().write_file(service, START_FILE, b"manual\n").await,
            None => Ok(()),
        }
    }
}
