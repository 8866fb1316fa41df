//! `process_crash_loop`: a process dies again each time it comes up.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Process, Takes, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "process_crash_loop",
    effect: "one process gets SIGKILL each time it has come up; what nothing else starts again, as the Patroni agent, is \
             started a second after each death, as a service manager would",
    confirmed_by: "at least two processes with different ids were killed; healed when the last one stays up",
    limits: "the process must run on the host; nothing starts etcd and HAProxy again by themselves",
    parameters: &[
        Parameter::required("process", Takes::Process, "the process; of several like it, the oldest"),
        Parameter::with_default("at_most", Takes::Duration, "10 min", "it ends by itself after this time"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// How long after a death the agent is started again.
const STARTED_AFTER_S: u32 = 1;

struct CrashLoop {
    host: String,
    process: Process,
    at_most: Duration,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, process) = process::aimed_at(KIND.name, plan, aim)?;
    if process.ends_its_service() {
        let reason = format!("nothing starts {} again after its death; use process_kill", process.word());
        return Err(aim.refuse(KIND.name, reason));
    }
    let at_most = aim.parameters.duration("at_most").unwrap_or_default();
    Ok(Box::new(CrashLoop { host, process, at_most }))
}

impl CrashLoop {
    /// Where the loop on the holder leaves its own id and those that it killed.
    fn log(&self) -> String {
        let word: String = self.process.word().chars().filter(char::is_ascii_alphanumeric).collect();
        format!("/run/pgquake-crash-loop-{word}")
    }

    /// Runs in the background of the holder's shell, so that not even a lost connection of the harness ends it early,
    /// and never longer than it may.
    fn script(&self) -> String {
        let log = self.log();
        let find = self.process.finder();
        let start = match self.process.is_started_by_hand() {
            true => format!("sleep {STARTED_AFTER_S}; pkill -HUP --full /usr/local/bin/entrypoint.sh;"),
            false => String::new(),
        };
        format!(
            "rm -f {log}.*; ( end=$(( $(date +%s) + {} )); while [ $(date +%s) -lt $end ]; do \
             pid=$({find}); if [ -n \"$pid\" ]; then kill -9 $pid && echo $pid >> {log}.killed; {start} fi; \
             sleep 0.1; done ) >/dev/null 2>&1 & echo $! > {log}.pid",
            self.at_most.as_secs()
        )
    }

    async fn killed(&self, system: &System) -> Result<Vec<String>, String> {
        let pod = system.pod(&self.host).ok_or("the host is unknown")?;
        let script = format!("sort -un {}.killed 2>/dev/null", self.log());
        let told = pod.shell.run(&script).await.map_err(|error| error.to_string())?;
        Ok(told.text.split_whitespace().map(str::to_owned).collect())
    }
}

#[async_trait]
impl Fault for CrashLoop {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.process.service().into())]
    }

    /// The loop runs beside the services, and goes on when one of them ends.
    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Host(self.host.clone())]
    }

    fn takes_away(&self) -> Vec<Place> {
        self.process.killed_with_it().map(|process| Place::Process(self.host.clone(), process)).collect()
    }

    fn hands_over(&self) -> bool {
        self.process.leaves_its_agent()
    }

    /// It takes until the process was started once more: Patroni does so in its next loop.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let missing = || FaultError::NoTarget(format!("process of {} on {}", self.process.word(), self.host));
        let pod = system.pod(&self.host).ok_or_else(missing)?;
        self.process.pids(pod).await?.first().ok_or_else(missing)?;
        pod.shell.must(&self.script()).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let killed = self.killed(system).await?;
        if killed.len() < 2 {
            return Err(format!("{} of {} was killed {} times so far", self.process.word(), self.host, killed.len()));
        }
        let pod = system.pod(&self.host).ok_or("the host is unknown")?;
        let alive = format!("kill -0 $(cat {}.pid)", self.log());
        if pod.shell.run(&alive).await.map_err(|error| error.to_string())?.status != 0 {
            return Err(format!("the loop on {} has ended after {} s", self.host, self.at_most.as_secs()));
        }
        let (count, pids) = (killed.len(), killed.join(", "));
        Ok(format!("{} on {} was killed as {count} processes so far: {pids}", self.process.word(), self.host))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let Some(pod) = system.pod(&self.host) {
            pod.shell.run(&format!("kill $(cat {}.pid)", self.log())).await?;
        }
        process::revive(system, &self.host, self.process).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let killed = self.killed(system).await?;
        let last = killed.last().and_then(|pid| pid.parse().ok());
        let runs = process::runs_anew(system, &self.host, self.process, last).await?;
        Ok(format!("{runs}, after {} were killed", killed.len()))
    }
}
