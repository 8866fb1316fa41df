//! `archive_push_killed`: the command that sends a file of WAL to the archive dies while it does.

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place};
use crate::{
    faults::hosts,
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "archive_push_killed",
    effect: "the primary ends its file of WAL, and the command that PostgreSQL runs to archive that gets SIGKILL as soon as \
             it is there; the archiver dies with it, and the postmaster starts another",
    confirmed_by: "the command with that process id is gone, and the file waits to be archived; healed when it is archived",
    limits: "the host must be the primary of a cluster with backups",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

/// How long the command may take to come after the file has ended.
const COMES_WITHIN_S: u32 = 5;

struct ArchivePushKilled {
    aim: Aim,
    node: String,
    service: ServiceKind,
    /// What the command begins with.
    command: String,
    /// The process, and the file that it was to send.
    killed: Option<(u32, String)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (node, service) = hosts::node(KIND.name, plan, aim)?;
    let archive = plan.cluster_of(&node).and_then(|cluster| plan.archive_of(&cluster.name));
    let Some(archive) = archive else {
        return Err(aim.refuse(KIND.name, format!("the cluster of {node} has no backups")));
    };
    let command = (archive.tool.row().archive_command)(&archive);
    let command = command.split('%').next().unwrap_or_default().trim_end().to_owned();
    Ok(Box::new(ArchivePushKilled { aim: aim.clone(), node, service, command, killed: None }))
}

/// What waits for the command on a host, kills it, and prints its process id and the last word that it was called with. The
/// shell's own command line must not look like it.
fn script(command: &str) -> String {
    format!(
        "(end=$(($(date +%s) + {COMES_WITHIN_S})); \
         while [ \"$(date +%s)\" -lt $end ]; do \
           told=$(pgrep --full --list-full --oldest '^{command} ') || continue; \
           kill -KILL \"${{told%% *}}\" && {{ echo \"${{told%% *}} ${{told##*/}}\"; exit 0; }}; \
         done; exit 1)"
    )
}

/// Whether a file waits to be archived, as a number.
fn waits(file: &str) -> String {
    format!("SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name = '{file}.ready'")
}

#[async_trait]
impl Fault for ArchivePushKilled {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), self.service.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), self.service.into())]
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        match system.sql_value(&self.node, "SELECT pg_is_in_recovery()").await.as_deref() {
            Ok("f") => Ok(()),
            Ok(_) => Err(self.aim.refuse(KIND.name, format!("{} is not the primary", self.node))),
            Err(reason) => Err(self.aim.refuse(KIND.name, reason.as_str())),
        }
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let Some(pod) = system.pod(&self.node) else { return Ok(()) };
        let script = script(&self.command);
        let kill = pod.shell.run(&script);
        // A file in which nothing was written would not end.
        let ended =
            system.sql_value(&self.node, "SELECT pg_switch_wal() FROM pg_logical_emit_message(false, 'pgquake', '')");
        let (killed, ended) = tokio::join!(kill, ended);
        ended.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        let text = killed?.text;
        let told = text.split_once(' ').and_then(|(pid, file)| Some((pid.parse().ok()?, file.trim().to_owned())));
        self.killed = told;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let Some((pid, file)) = &self.killed else {
            return Err(format!("no `{}` was seen within {COMES_WITHIN_S} s", self.command));
        };
        match system.sql_value(&self.node, &waits(file)).await?.as_str() {
            "1" => Ok(format!("process {pid} on {} is gone, and {file} waits to be archived", self.node)),
            _ => Err(format!("{file} does not wait to be archived")),
        }
    }

    /// PostgreSQL sends it again by itself.
    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let Some((_, file)) = &self.killed else { return Ok("nothing was killed".to_owned()) };
        match system.sql_value(&self.node, &waits(file)).await?.as_str() {
            "0" => Ok(format!("{file} was archived since")),
            _ => Err(format!("{file} waits to be archived")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_that_looks_for_a_command_does_not_look_like_it() {
        let script = script("pgbackrest --stanza=main archive-push");
        assert!(script.contains("'^pgbackrest --stanza=main archive-push '") && !script.starts_with("pgbackrest"));
    }
}
