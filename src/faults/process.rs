//! Processes of a host, as its holder sees them.

use std::time::Duration;

use super::{Aim, FaultError, Parameter, Takes};
use crate::{
    cluster::{Cluster, wait_until},
    engine::{EngineError, Pod},
    topology::ServiceKind,
};

/// How long the engine may take to notice that a service has died.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// The parameter of every fault that is aimed at a process.
pub(super) const PARAMETERS: &[Parameter] =
    &[Parameter::required("process", Takes::Process, "the process; of several like it, the oldest")];

/// A process that a fault can single out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// PostgreSQL's first process.
    Postmaster,
    /// Patroni itself.
    Agent,
    Etcd,
    Haproxy,
    /// A primary's process that streams WAL to one standby.
    WalSender,
    /// A standby's process that receives WAL.
    WalReceiver,
    Checkpointer,
    /// The process that replays WAL on a standby.
    Startup,
}

/// Every process, with its word in scenarios, the service that it belongs to, and the regular expression (of
/// `pgrep -f`) that finds it by its command line.
const ALL: &[(Process, &str, ServiceKind, &str)] = &[
    (Process::Postmaster, "PostgreSQL", ServiceKind::Patroni, "^/usr/lib/postgresql/[0-9]+/bin/postgres "),
    (Process::Agent, "the Patroni agent", ServiceKind::Patroni, "python3 /usr/bin/patroni "),
    (Process::Etcd, "etcd", ServiceKind::Etcd, "^/usr/bin/etcd "),
    (Process::Haproxy, "HAProxy", ServiceKind::Haproxy, "^/usr/sbin/haproxy "),
    (Process::WalSender, "a WAL sender", ServiceKind::Patroni, "^postgres: .*walsender "),
    (Process::WalReceiver, "the WAL receiver", ServiceKind::Patroni, "^postgres: .*walreceiver"),
    (Process::Checkpointer, "the checkpointer", ServiceKind::Patroni, "^postgres: .*checkpointer"),
    (Process::Startup, "the startup process", ServiceKind::Patroni, "^postgres: .*startup recovering"),
];

impl Process {
    /// Every word for a process.
    pub fn words() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|(_, word, ..)| *word)
    }

    /// What the regular expression of the step parameter `{process}` matches.
    pub fn pattern() -> String {
        Self::words().collect::<Vec<_>>().join("|")
    }

    /// Whether it is one of PostgreSQL's own children: the postmaster starts them again.
    pub fn is_backend(self) -> bool {
        matches!(self, Process::WalSender | Process::WalReceiver | Process::Checkpointer | Process::Startup)
    }

    /// Reads its word in a scenario.
    pub fn parse(text: &str) -> Option<Self> {
        ALL.iter().find(|(_, word, ..)| *word == text).map(|(process, ..)| *process)
    }

    fn row(self) -> &'static (Process, &'static str, ServiceKind, &'static str) {
        // Every variant has its row; a test holds that.
        ALL.iter().find(|(process, ..)| *process == self).unwrap_or(&ALL[0])
    }

    /// Its word in scenarios and reports.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// The service that it belongs to.
    pub fn service(self) -> ServiceKind {
        self.row().2
    }

    /// Its process ids in the host, none if it does not run. A zombie does not run.
    pub async fn pids(self, pod: &Pod) -> Result<Vec<u32>, EngineError> {
        // The parent of all that match is the process itself; what it forked has other command lines.
        let script = format!("pgrep --oldest --full '{}' --runstates DIRSTt", self.row().3);
        let found = pod.shell.run(&script).await?;
        Ok(found.text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }
}

/// The state of a process by the kernel's word (`S`, `R`, `T`, `Z` …), or `None` if it is gone.
pub(super) async fn state(pod: &Pod, pid: u32) -> Result<Option<char>, EngineError> {
    let status = pod.shell.run(&format!("sed -n 's/^State:\\s*//p' /proc/{pid}/status")).await?;
    Ok(if status.status == 0 { status.text.chars().next() } else { None })
}

/// The process that the parameter `process` names, if the host runs its service.
pub(super) fn aimed_at(fault: &'static str, cluster: &Cluster, aim: &Aim) -> Result<(String, Process), FaultError> {
    let host = aim.one_host(fault)?;
    let process = aim.parameters.process("process").ok_or_else(|| aim.refuse(fault, "it names no process"))?;
    match cluster.service(host, process.service()) {
        Some(_) => Ok((host.to_owned(), process)),
        None => Err(aim.refuse(fault, format!("{host} does not run {}", process.word()))),
    }
}

/// Ids of every process of a service, by its control group: each service is a container, and the group's path
/// holds the container's id.
pub(super) async fn pids_of_service(cluster: &Cluster, host: &str, kind: ServiceKind) -> Result<String, EngineError> {
    let (Some(pod), Some(service)) = (cluster.pod(host), cluster.service(host, kind)) else {
        return Ok(String::new());
    };
    let script = format!("grep -ls {} /proc/[0-9]*/cgroup | cut -d/ -f3 | xargs", service.id);
    Ok(pod.shell.run(&script).await?.text)
}

/// Sends a signal to a process and returns its id.
pub(super) async fn signal(cluster: &Cluster, host: &str, process: Process, signal: &str) -> Result<u32, FaultError> {
    let missing = || FaultError::NoTarget(format!("process of {} on {host}", process.word()));
    let pod = cluster.pod(host).ok_or_else(missing)?;
    let pid = process.pids(pod).await?.first().copied().ok_or_else(missing)?;
    pod.shell.must(&format!("kill -{signal} {pid}")).await?;
    Ok(pid)
}

/// Waits until the engine has noticed that a service died: starting a container that it believes to be running
/// would do nothing.
pub(super) async fn wait_until_stopped(cluster: &Cluster, host: &str, kind: ServiceKind) -> Result<(), FaultError> {
    let Some(service) = cluster.service(host, kind) else { return Ok(()) };
    let what = format!("{} on {host} to be seen as stopped", kind.name());
    wait_until(&what, STOPPED_WITHIN, || async {
        match cluster.engine().service_runs(service).await {
            Ok(false) => Ok(()),
            Ok(true) => Err("the engine says that it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_process_is_read_and_in_the_pattern() {
        let pattern = regex::Regex::new(&format!("^(?:{})$", Process::pattern())).unwrap();
        for (process, word, ..) in ALL {
            assert_eq!(Process::parse(word), Some(*process));
            assert_eq!(process.row().0, *process);
            assert!(pattern.is_match(word));
        }
    }
}
