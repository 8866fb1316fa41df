//! Processes of a host, as its holder sees them.

pub(super) mod process_crash_loop;
pub(super) mod process_freeze;
pub(super) mod process_kill;
pub(super) mod process_terminate;
pub(super) mod service_freeze;
pub(super) mod service_kill;

use std::{collections::BTreeSet, time::Duration};

use super::{Aim, FaultError, Parameter, ParameterError, Takes};
use crate::{
    engine::{EngineError, Pod},
    plan::Plan,
    services::{self, RevivedBy, RunsOn, patroni, service},
    system::System,
    topology::{Instance, ServiceKind},
    waiting::wait_until,
};

/// The name of a watchdog's process, as far as the kernel keeps it.
const WATCHDOG_NAME: &str = "pgquake-watchdo";

/// How long the engine may take to notice that a service has died.
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// The parameter of every fault that is aimed at a process.
pub(super) const PARAMETERS: &[Parameter] =
    &[Parameter::required("process", Takes::Process, "the process; of several like it, the oldest")];

/// The parameter of every fault that is aimed at a service.
pub(super) const SERVICE_PARAMETERS: &[Parameter] = &[Parameter::required("service", Takes::Service, "the service")];

/// A process that a fault can single out, of a service's row. Its word says which it is: PostgreSQL is PostgreSQL, whoever
/// keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    service: ServiceKind,
    row: services::Process,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.word() == other.word()
    }
}

impl Eq for Process {}

impl Process {
    /// PostgreSQL's first process.
    pub const POSTMASTER: Process = Process { service: ServiceKind::Patroni, row: patroni::POSTMASTER };
    /// Patroni itself.
    pub const AGENT: Process = Process { service: ServiceKind::Patroni, row: patroni::AGENT };
    /// The process that asks for a checkpoint now and then.
    pub const CHECKPOINTER: Process =
        Process { service: ServiceKind::Patroni, row: services::postgresql::server::CHECKPOINTER };

    /// The processes of every service.
    pub fn all() -> impl Iterator<Item = Process> {
        services::ALL.iter().flat_map(|row| row.processes.iter().map(|own| Process { service: row.kind, row: *own }))
    }

    /// Every word for a process, each once.
    pub fn words() -> impl Iterator<Item = &'static str> {
        let mut known = BTreeSet::new();
        Self::all().map(Self::word).filter(move |word| known.insert(*word))
    }

    /// This process as a host has it, by the service that it runs.
    pub(super) fn on(self, plan: &Plan, host: &str) -> Option<Self> {
        Self::all().find(|process| *process == self && plan.runs(host, process.service))
    }

    /// What the regular expression of the step parameter `{process}` matches.
    pub fn pattern() -> String {
        Self::words().collect::<Vec<_>>().join("|")
    }

    /// Whether it is one of PostgreSQL's own children: the postmaster starts them again.
    pub fn is_backend(self) -> bool {
        self.row.revived_by == RevivedBy::Postmaster
    }

    /// Whether nothing starts it again but a hang-up of the service's main process.
    pub(super) fn is_started_by_hand(self) -> bool {
        self.row.revived_by == RevivedBy::EntryPoint
    }

    /// Whether its service has ended with it.
    pub(super) fn ends_its_service(self) -> bool {
        self.row.revived_by == RevivedBy::Engine
    }

    /// PostgreSQL's own children.
    pub(super) fn backends() -> impl Iterator<Item = Process> {
        Self::all().filter(|process| process.is_backend())
    }

    /// The processes that go when it is killed: after the death of one of its children the postmaster ends them all.
    pub(super) fn killed_with_it(self) -> impl Iterator<Item = Process> {
        let all = self.is_backend();
        Self::all().filter(move |process| if all { process.is_backend() } else { *process == self })
    }

    /// Whether the agent of its node lives on without it. Then a failover begins with the agent's own decision to give the
    /// leader key up, and not with the end of a lease.
    pub fn leaves_its_agent(self) -> bool {
        let is_kept = service(self.service).node().is_some_and(|node| node.agent.is_some());
        is_kept && matches!(self.row.revived_by, RevivedBy::Agent | RevivedBy::Postmaster)
    }

    /// Reads its word in a scenario.
    pub fn parse(text: &str) -> Option<Self> {
        Self::all().find(|process| process.word() == text)
    }

    /// Its word in scenarios and reports.
    pub fn word(self) -> &'static str {
        self.row.word
    }

    /// The roles in which a node has it.
    pub(super) fn runs_on(self) -> RunsOn {
        self.row.runs_on
    }

    /// The service that it belongs to.
    pub fn service(self) -> ServiceKind {
        self.service
    }

    /// The command that prints its process id in the host. A zombie does not run.
    pub(super) fn finder(self) -> String {
        // The parent of all that match is the process itself; what it forked has other command lines.
        format!("pgrep --oldest --full '{}' --runstates DIRSTt", self.row.pattern)
    }

    /// Its process ids in the host, none if it does not run. A zombie does not run.
    pub async fn pids(self, pod: &Pod) -> Result<Vec<u32>, EngineError> {
        let found = pod.shell.run(&self.finder()).await?;
        Ok(found.text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect())
    }
}

/// The state of a process as the kernel reports it (`S`, `R`, `T`, `Z` …), or `None` if it is gone.
pub(super) async fn state(pod: &Pod, pid: u32) -> Result<Option<char>, EngineError> {
    let status = pod.shell.run(&format!("sed -n 's/^State:\\s*//p' /proc/{pid}/status")).await?;
    Ok(if status.status == 0 { status.text.chars().next() } else { None })
}

/// The process that the parameter `process` names, if the host runs its service.
pub(super) fn aimed_at(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<(String, Process), FaultError> {
    let host = aim.one_host(fault)?;
    let process = aim.parameters.process("process").ok_or_else(|| aim.refuse(fault, "it names no process"))?;
    let of_its_kind = |own: &Instance| process.on(plan, host).is_some_and(|process| own.kind == process.service());
    let several: Vec<Instance> = plan.services_on(host).into_iter().filter(of_its_kind).collect();
    match process.on(plan, host) {
        Some(_) if several.len() > 1 => {
            Err(aim.refuse(fault, format!("{} in a fault of services", several_run(host, &several))))
        }
        Some(own) => Ok((host.to_owned(), own)),
        None => Err(aim.refuse(fault, format!("{host} does not run {}", process.word()))),
    }
}

/// The service that the parameter `service` names, if the host runs it.
pub(super) fn service_aimed_at(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<(String, Instance), FaultError> {
    let host = aim.one_host(fault)?;
    let word = aim.parameters.service("service").ok_or_else(|| aim.refuse(fault, "it names no service"))?;
    let is_meant = |own: &Instance| own.name() == word || own.kind.name() == word;
    let meant: Vec<Instance> = plan.services_on(host).into_iter().filter(is_meant).collect();
    // The target may say which of them: `the haproxy west-balancer`.
    let named: Vec<Instance> = meant.iter().filter(|own| aim.services.contains(own)).cloned().collect();
    match if named.is_empty() { meant } else { named }.as_slice() {
        [one] => Ok((host.to_owned(), one.clone())),
        [] if plan.services.iter().any(|planned| planned.instance().name() == word) || is_a_kind(&word) => {
            Err(aim.refuse(fault, format!("{host} does not run {word}")))
        }
        [] => Err(unknown_service(plan, word).into()),
        several => Err(aim.refuse(fault, several_run(host, several))),
    }
}

fn is_a_kind(word: &str) -> bool {
    ServiceKind::ALL.iter().any(|kind| kind.name() == word)
}

/// No kind of service and no service of the plan has this name.
fn unknown_service(plan: &Plan, text: String) -> ParameterError {
    let named = plan.services.iter().filter_map(|planned| planned.name.as_deref());
    let own: Vec<String> = named.map(|name| format!(", {name}")).collect();
    let takes = format!("{}{}", Takes::Service.words(), own.concat());
    ParameterError::Value { name: "service", text, takes }
}

/// Why a kind alone does not say which service of a host is meant.
fn several_run(host: &str, several: &[Instance]) -> String {
    let ways: Vec<String> = several.iter().map(|own| format!("`{}`", own.name())).collect();
    format!("{host} runs several of them: write {}", ways.join(" or "))
}

/// Ids of every process of a service.
pub(super) async fn pids_of_service(system: &System, host: &str, service: &Instance) -> Result<String, EngineError> {
    left_on(system, host, &[(host.to_owned(), service.clone())]).await
}

/// Ids of every process that any of these services has on a host, by its control group: each service is a container,
/// and the group's path holds the container's id.
pub(super) async fn left_on(
    system: &System,
    host: &str,
    services: &[(String, Instance)],
) -> Result<String, EngineError> {
    let here = services.iter().filter(|(on, _)| on == host);
    let ids = here.filter_map(|(on, own)| Some(format!("-e {}", system.service(on, own)?.id)));
    let ids = ids.collect::<Vec<_>>().join(" ");
    let (Some(pod), false) = (system.pod(host), ids.is_empty()) else { return Ok(String::new()) };
    Ok(pod.shell.run(&format!("grep -ls {ids} /proc/[0-9]*/cgroup | cut -d/ -f3 | xargs")).await?.text)
}

/// A process of a service, as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    pub pid: u32,
    /// `S`, `R`, `T`, `Z` …
    pub state: char,
    /// 0: its parent is outside the host, so it is the main process of its container.
    pub parent: u32,
}

/// Every process of a service, with its state. A watchdog that runs in its container is the machine's, and none of them.
pub(super) async fn processes_of_service(
    system: &System,
    host: &str,
    service: &Instance,
) -> Result<Vec<Running>, EngineError> {
    let (Some(pod), Some(container)) = (system.pod(host), system.service(host, service)) else { return Ok(Vec::new()) };
    let script = format!(
        "grep -ls {} /proc/[0-9]*/cgroup | sed s/cgroup$/status/ | xargs -r grep -Ls 'Name:.{WATCHDOG_NAME}$' | \
         xargs -r grep -HsE '^(State|PPid):'",
        container.id
    );
    Ok(read_status(&pod.shell.run(&script).await?.text))
}

/// Reads lines such as `/proc/12/status:State: S (sleeping)`.
fn read_status(text: &str) -> Vec<Running> {
    let mut found: Vec<Running> = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').map(str::trim);
        let (Some(path), Some(name), Some(value)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let Some(pid) = path.split('/').nth(2).and_then(|pid| pid.parse().ok()) else { continue };
        if found.last().is_none_or(|last| last.pid != pid) {
            found.push(Running { pid, state: '?', parent: u32::MAX });
        }
        let Some(last) = found.last_mut() else { continue };
        match name {
            "State" => last.state = value.chars().next().unwrap_or('?'),
            "PPid" => last.parent = value.parse().unwrap_or(u32::MAX),
            _ => {}
        }
    }
    found
}

/// For how long a process has been running, in seconds.
pub(super) async fn age_s(system: &System, host: &str, process: Process) -> Result<f64, FaultError> {
    let missing = || FaultError::NoTarget(format!("process of {} on {host}", process.word()));
    let pod = system.pod(host).ok_or_else(missing)?;
    let pid = process.pids(pod).await?.first().copied().ok_or_else(missing)?;
    // Seconds since the start of the machine; and the 22nd field, in hundredths of them, counted after the name of the
    // program, which may have spaces in it.
    let script = format!("cut -d' ' -f1 /proc/uptime; sed 's/.*) //' /proc/{pid}/stat | cut -d' ' -f20");
    let told = pod.shell.must(&script).await?;
    let mut numbers = told.split_whitespace().filter_map(|number| number.parse::<f64>().ok());
    let (now, begun) = numbers.next().zip(numbers.next()).ok_or_else(missing)?;
    Ok(now - begun / 100.0)
}

/// Has a prepared disk write back what it holds before a signal may end it: a process that dies loses nothing that it
/// has handed to the kernel, and the disk stands for the kernel. A signal that only stops or continues ends nothing, and
/// a stopped disk can't be asked.
async fn write_back_before(signal: &str, system: &System, host: &str, service: &Instance) -> Result<(), FaultError> {
    if matches!(signal, "STOP" | "CONT") {
        return Ok(());
    }
    Ok(system.write_back(host, service.kind).await?)
}

/// Sends a signal to every process of a service.
pub(super) async fn signal_service(
    system: &System,
    host: &str,
    service: &Instance,
    signal: &str,
) -> Result<(), FaultError> {
    write_back_before(signal, system, host, service).await?;
    let pids = pids_of_service(system, host, service).await?;
    if let (Some(pod), false) = (system.pod(host), pids.is_empty()) {
        // One of them may have ended in the meantime.
        let script = match signal {
            // A watchdog is the machine's, and not the service's: what stops the service does not stop its time.
            "STOP" | "CONT" => format!(
                "{{ for pid in {pids}; do read -r name < /proc/$pid/comm && [ \"$name\" != {WATCHDOG_NAME} ] && \
                 kill -{signal} $pid; done; }} 2>/dev/null"
            ),
            _ => format!("kill -{signal} {pids}"),
        };
        pod.shell.run(&script).await?;
    }
    Ok(())
}

/// The processes of a service that are not stopped, in words; `None` when all are.
pub(super) async fn not_stopped(system: &System, host: &str, service: &Instance) -> Result<Option<String>, String> {
    let processes = processes_of_service(system, host, service).await.map_err(|error| error.to_string())?;
    if processes.is_empty() {
        return Ok(Some(format!("{service} does not run on {host}")));
    }
    // Who waits for a prepared disk that stands still with the service stands still, and takes no signal.
    let waits = system.prepared_disk(host, service.kind).is_some();
    let stands = |process: &&Running| matches!(process.state, 'T' | 'Z') || (waits && process.state == 'D');
    let running = processes.iter().find(|process| !stands(process));
    Ok(running.map(|Running { pid, state, .. }| format!("process {pid} of {service} on {host} is in state {state}")))
}

/// The proof that a service runs and none of its processes is stopped.
pub(super) async fn none_is_stopped(system: &System, host: &str, service: &Instance) -> Result<(), String> {
    let processes = processes_of_service(system, host, service).await.map_err(|error| error.to_string())?;
    match processes.iter().find(|process| process.state == 'T') {
        Some(stopped) => Err(format!("process {} of {service} on {host} is still stopped", stopped.pid)),
        None if processes.is_empty() => Err(format!("{service} does not run on {host}")),
        None => Ok(()),
    }
}

/// Starts a service of which no process is left, once the engine has noticed; leaves one alone that runs.
pub(super) async fn start_again(system: &System, host: &str, service: &Instance) -> Result<(), FaultError> {
    if pids_of_service(system, host, service).await?.is_empty() {
        wait_until_stopped(system, host, service).await?;
        system.restart_service(host, service).await?;
    }
    Ok(())
}

/// Lets whoever is responsible start a process again that is gone: Patroni starts its PostgreSQL by itself, one without an
/// agent is started as by an operator, and PostgreSQL starts its own processes.
pub(super) async fn revive(system: &System, host: &str, process: Process) -> Result<(), FaultError> {
    match process.row.revived_by {
        RevivedBy::EntryPoint => {
            if let Some(pod) = system.pod(host) {
                pod.shell.run("pkill -HUP --full /usr/local/bin/entrypoint.sh").await?;
            }
            Ok(())
        }
        RevivedBy::Engine => start_again(system, host, &process.service().into()).await,
        RevivedBy::Agent | RevivedBy::Postmaster => Ok(()),
    }
}

/// The proof that a process runs on a host with another id than before.
pub(super) async fn runs_anew(
    system: &System,
    host: &str,
    process: Process,
    before: Option<u32>,
) -> Result<String, String> {
    let pod = system.pod(host).ok_or("the host is unknown")?;
    let pids = process.pids(pod).await.map_err(|error| error.to_string())?;
    match pids.iter().find(|pid| Some(**pid) != before) {
        Some(pid) => Ok(format!("{} runs again on {host} as process {pid}", process.word())),
        None => Err(format!("{} does not run on {host}", process.word())),
    }
}

/// Sends a signal to a process and returns its id.
pub(super) async fn signal(system: &System, host: &str, process: Process, signal: &str) -> Result<u32, FaultError> {
    let missing = || FaultError::NoTarget(format!("process of {} on {host}", process.word()));
    let pod = system.pod(host).ok_or_else(missing)?;
    let pid = process.pids(pod).await?.first().copied().ok_or_else(missing)?;
    write_back_before(signal, system, host, &process.service().into()).await?;
    pod.shell.must(&format!("kill -{signal} {pid}")).await?;
    Ok(pid)
}

/// Waits until the engine has noticed that a service died: starting a container that it believes to be running
/// would do nothing.
pub(super) async fn wait_until_stopped(system: &System, host: &str, service: &Instance) -> Result<(), FaultError> {
    let Some(container) = system.service(host, service) else { return Ok(()) };
    let what = format!("{service} on {host} to be seen as stopped");
    wait_until(&what, STOPPED_WITHIN, || async {
        match system.engine().service_runs(container).await {
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
    fn processes_are_read_with_state_and_parent() {
        let text = "/proc/12/status:State:\tS (sleeping)\n/proc/12/status:PPid:\t0\n\
                    /proc/30/status:State:\tT (stopped)\n/proc/30/status:PPid:\t12";
        let read = read_status(text);
        assert_eq!(read[0], Running { pid: 12, state: 'S', parent: 0 });
        assert_eq!(read[1], Running { pid: 30, state: 'T', parent: 12 });
        assert_eq!(read_status(""), []);
    }

    #[test]
    fn every_word_of_a_process_is_read_and_in_the_pattern() {
        let pattern = regex::Regex::new(&format!("^(?:{})$", Process::pattern())).unwrap();
        for process in Process::all() {
            assert_eq!(Process::parse(process.word()), Some(process));
            assert!(pattern.is_match(process.word()));
        }
    }

    /// Where there are several minor versions, `pg_ctl` starts the program of one by its own path.
    #[test]
    fn a_restored_server_is_known_by_its_process_in_every_version() {
        let restored = Process::parse("the restored PostgreSQL").unwrap();
        let pattern = regex::Regex::new(restored.row.pattern).unwrap();
        for folder in ["/usr/lib/postgresql/18", "/usr/lib/postgresql-minors/16.14"] {
            let command = format!("{folder}/bin/postgres -D /var/lib/postgresql/data -p 5439 -c cluster_name=restored");
            assert!(pattern.is_match(&command), "{command}");
        }
    }
}
