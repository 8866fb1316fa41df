//! `patroni_upgrade`: an operator has a node's agent run in another version.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes,
        operator::{self, programs},
        process,
    },
    plan::Plan,
    services::versions,
    system::System,
    topology::{Instance, ServiceKind},
    waiting::wait_until,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "patroni_upgrade",
    effect: "the node's agent gets a signal; once it has ended, the other version takes its place and is started. At SIGTERM, \
             as from a service manager, the agent shuts PostgreSQL down and gives the leader key back, unless Patroni is \
             paused; at SIGKILL PostgreSQL goes on running without it",
    confirmed_by: "the node's own REST API reports the new version, PostgreSQL runs, and the node leads or streams from \
                   the one that does; healing does not go back: it only sees to it that the agent runs",
    limits: "the node must run in the image of versions, that is the topology must name a version; the same fault goes back \
             to an older version",
    parameters: &[
        Parameter::required(programs::TO, Takes::Text, "the version, as 4.1.5, or 4.1 for the newest of that line"),
        Parameter::with_default("signal", Takes::OneOf(&["TERM", "KILL"]), "TERM", "what ends the agent"),
    ],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// How long an agent may take to end: it waits for PostgreSQL's last checkpoint.
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// How long the new one may take to be a process.
const STARTED_WITHIN: Duration = Duration::from_secs(20);

const STARTED_AT: &str = "SELECT pg_postmaster_start_time()";

struct PatroniUpgrade {
    aim: Aim,
    node: String,
    to: &'static str,
    signal: String,
    version_before: String,
    /// When PostgreSQL was started before; `None`: it was not running.
    started_before: Option<String>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let node = programs::node_with_versions(KIND.name, plan, aim, ("patroni", "4.0"))?;
    let named = aim.parameters.text(programs::TO).unwrap_or_default();
    let known = || format!("known: {}", versions::known_of("patroni"));
    let to = versions::find_patroni(&named).ok_or_else(|| programs::unknown(aim, "Patroni", known()))?;
    let signal = aim.parameters.text("signal").unwrap_or_default();
    let (aim, version_before) = (aim.clone(), String::new());
    Ok(Box::new(PatroniUpgrade { aim, node, to, signal, version_before, started_before: None }))
}

impl PatroniUpgrade {
    /// The version that the node's agent reports of itself, and whether PostgreSQL runs.
    async fn told(&self, system: &System) -> Result<(String, bool), String> {
        let said = system.patroni_says(&self.node).await?;
        let version = said["patroni"]["version"].as_str().ok_or("Patroni does not tell its version")?;
        Ok((version.to_owned(), said["state"] == "running"))
    }

    /// Starts an agent where none runs.
    async fn start(&self, system: &System) -> Result<(), FaultError> {
        let what = format!("the Patroni agent on {} to start", self.node);
        wait_until(&what, STARTED_WITHIN, || async {
            // A hang-up that comes before the entry point has noticed the end of the agent does nothing.
            process::revive(system, &self.node, Process::AGENT).await.map_err(|error| error.to_string())?;
            process::runs_anew(system, &self.node, Process::AGENT, None).await
        })
        .await?;
        Ok(())
    }
}

#[async_trait]
impl Fault for PatroniUpgrade {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.node.clone(), ServiceKind::Patroni.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        let own = |process| Place::Process(self.node.clone(), process);
        let with_it = (self.signal == "TERM").then(|| own(Process::POSTMASTER));
        with_it.into_iter().chain([own(Process::AGENT)]).collect()
    }

    fn hands_over(&self) -> bool {
        self.signal == "TERM"
    }

    /// The new agent looks at PostgreSQL, starts it and has it follow the leader.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(90)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let (version, _) = self.told(system).await.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if version == self.to {
            return Err(self.aim.refuse(KIND.name, format!("Patroni there is {version} already")));
        }
        self.version_before = version;
        self.started_before = system.sql_value(&self.node, STARTED_AT).await.ok();
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let pid = process::signal(system, &self.node, Process::AGENT, &self.signal).await?;
        let what = format!("the Patroni agent (process {pid}) on {} to end", self.node);
        wait_until(&what, ENDED_WITHIN, || async {
            let pod = system.pod(&self.node).ok_or("the host is unknown")?;
            match process::state(pod, pid).await.map_err(|error| error.to_string())? {
                None | Some('Z') => Ok(()),
                Some(state) => Err(format!("it is in state {state}")),
            }
        })
        .await?;
        programs::choose(system, &self.node, "patroni", self.to).await?;
        self.start(system).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let (node, before) = (&self.node, &self.version_before);
        let (version, runs) = self.told(system).await?;
        if version != self.to {
            return Err(format!("Patroni on {node} is {version}"));
        }
        if !runs {
            return Err(format!("Patroni on {node} is {version}, and its PostgreSQL does not run"));
        }
        let place = operator::place_of(system, node).await?;
        let started = system.sql_value(node, STARTED_AT).await?;
        let postgresql = match &self.started_before {
            Some(before) if *before == started => "went on running",
            _ => "was started again",
        };
        Ok(format!("Patroni on {node} was {before} and is {version}; PostgreSQL {postgresql}, and {place}"))
    }

    /// It stays as it is: going back is an upgrade to the version before. One that failed half-way has no agent.
    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.start(system).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let (version, runs) = self.told(system).await?;
        match runs {
            true => Ok(format!("Patroni {version} and PostgreSQL run on {}", self.node)),
            false => Err(format!("PostgreSQL on {} does not run", self.node)),
        }
    }
}
