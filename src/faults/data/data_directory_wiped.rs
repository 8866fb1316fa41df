//! `data_directory_wiped`: everything in PostgreSQL's data directory is removed while it runs.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    engine::Shell,
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, Process, operator},
    plan::Plan,
    services::patroni::DATA_DIRECTORY,
    system::System,
    topology::{Instance, ServiceKind},
    waiting::wait_until,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "data_directory_wiped",
    effect: "every file of PostgreSQL's data directory is removed under the running server, as by a wrong `rm -rf`; it \
             goes on with what it holds open and in memory until it misses a file",
    confirmed_by: "the directory is empty after it; healed when it holds a database again and Patroni says that \
                   PostgreSQL runs: Patroni copies another node's, and where it fails to start what the dying server \
                   wrote after the removal, `patronictl reinit` has it do so",
    limits: "the host must run PostgreSQL, and another node must have the data: Patroni copies it from there",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// How long Patroni may take to see that the directory is gone: some loops, and a start that fails.
const DECIDED_WITHIN: Duration = Duration::from_secs(60);

struct DataDirectoryWiped {
    aim: Aim,
    node: String,
    /// In PostgreSQL's container, which alone sees the directory.
    shell: Option<Shell>,
    /// How many files there were before and after.
    files: Option<(u64, u64)>,
    /// Whether an operator had to have the node rebuilt.
    reinitialized: bool,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = operator::node(KIND.name, plan, aim)?;
    Ok(Box::new(DataDirectoryWiped { aim: aim.clone(), node, shell: None, files: None, reinitialized: false }))
}

#[async_trait]
impl Fault for DataDirectoryWiped {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Process(self.node.clone(), Process::POSTMASTER)]
    }

    fn hands_over(&self) -> bool {
        true
    }

    /// A base backup has to be taken and replayed. It begins once a checkpoint is done, which PostgreSQL spreads over up to
    /// 0.9 (`checkpoint_completion_target`) of 5 minutes (`checkpoint_timeout`).
    fn healed_within(&self) -> Duration {
        Duration::from_secs(300)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let plan = system.plan();
        if plan.cluster_of(&self.node).is_none_or(|cluster| cluster.nodes.len() < 2) {
            return Err(self.aim.refuse(KIND.name, "no other node has the data"));
        }
        self.shell = system.shell_in(&self.node, ServiceKind::Patroni).await?;
        Ok(())
    }

    async fn inject(&mut self, _system: &System) -> Result<(), FaultError> {
        let Some(shell) = &self.shell else { return Ok(()) };
        // The server may make a file behind the back of the first pass.
        let files = format!("find {DATA_DIRECTORY} -type f | wc -l");
        let wipe = format!("find {DATA_DIRECTORY} -mindepth 1 -delete 2>/dev/null");
        let told = shell.must(&format!("{files}; {wipe} || {wipe} || true; {files}")).await?;
        let mut counts = told.split_whitespace().filter_map(|count| count.parse().ok());
        self.files = counts.next().zip(counts.next());
        Ok(())
    }

    async fn bites(&self, _system: &System) -> Result<String, String> {
        match self.files {
            Some((before, 0)) if before > 0 => {
                Ok(format!("{before} files were in {DATA_DIRECTORY} of {}, and none is left", self.node))
            }
            counted => Err(format!("files in {DATA_DIRECTORY} of {} before and after: {counted:?}", self.node)),
        }
    }

    /// Patroni finds the directory empty in its next loop, and copies another node's. Where the server has written a file
    /// since (replay makes those that it misses), Patroni takes that for a database, and fails to start it for ever.
    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        let what = format!("Patroni's decision about the data directory of {}", self.node);
        if wait_until(&what, DECIDED_WITHIN, || self.is_stuck(system)).await? {
            system.reinitialize(&self.node).await?;
            self.reinitialized = true;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        if !self.holds_a_database().await? {
            return Err(format!("{DATA_DIRECTORY} of {} holds no database", self.node));
        }
        system.agent_runs(&self.node).await?;
        system.sql_value(&self.node, "SELECT 1").await?;
        let by = if self.reinitialized { "after `patronictl reinit`" } else { "by Patroni's own doing" };
        Ok(format!("{DATA_DIRECTORY} of {} holds a database again, {by}, and PostgreSQL serves it", self.node))
    }
}

impl DataDirectoryWiped {
    async fn holds_a_database(&self) -> Result<bool, String> {
        let shell = self.shell.as_ref().ok_or("the service has no shell")?;
        let here = shell.run(&format!("test -s {DATA_DIRECTORY}/PG_VERSION")).await;
        Ok(here.map_err(|error| error.to_string())?.status == 0)
    }

    /// Whether Patroni tries to start what is left, and not to copy another node's; an error while that is open.
    async fn is_stuck(&self, system: &System) -> Result<bool, String> {
        let said = system.patroni_says(&self.node).await?;
        match said["state"].as_str() {
            Some("start failed") => Ok(true),
            Some("creating replica") => Ok(false),
            Some("running") if self.holds_a_database().await? => Ok(false),
            state => Err(format!("Patroni says that PostgreSQL on {} is {state:?}", self.node)),
        }
    }
}
