//! What faults of whole hosts share: power-off, clean shutdown and boot, silence on the network and its proof.

pub(super) mod crash;
pub(super) mod host_crash;
pub(super) mod host_freeze;
pub(super) mod host_reboot;
pub(super) mod host_shutdown;
pub(super) mod watchdog_reset;

use std::time::Duration;

use futures::future::{try_join, try_join_all};

use super::{
    FaultError,
    hosts::pod,
    network::probe::{self, Answer, Probe},
    process,
};
use crate::{
    engine::{DISCARD_PORT, Pod, SILENCE_TABLE},
    services::service,
    system::System,
    topology::Instance,
    waiting::wait_until,
};

/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this.
const KILL_ALL: &str = "kill -9 -1 2>/dev/null || true";

const SPEAK: &str =
    "nft delete table inet pgquake_silence 2>/dev/null; nft delete table arp pgquake_silence 2>/dev/null || true";

/// Takes a host's power away. Packets are dropped before any process dies, so that no peer gets a reset from a "dead"
/// machine's kernel.
pub(super) async fn power_off(system: &System, host: &str) -> Result<(), FaultError> {
    silence(system, host, KILL_ALL).await
}

/// Shuts a host down in order: each service gets SIGTERM and the time to end, what is left then is killed, and the
/// machine falls silent.
pub(super) async fn shut_down(system: &System, host: &str, grace: Duration) -> Result<(), FaultError> {
    let mut here: Vec<_> = system.services_on(host).map(|(own, _)| own.clone()).collect();
    here.sort_by_key(|own| service(own.kind).stop_rank);
    for own in here {
        let processes = process::processes_of_service(system, host, &own).await?;
        if let Some(main) = processes.iter().find(|process| process.parent == 0) {
            pod(system, host)?.shell.run(&format!("kill -TERM {}", main.pid)).await?;
        }
        // As systemd does, the wait ends with SIGKILL: `power_off` sends it.
        let ended = wait_until("the end of a service", grace, || async {
            let left = process::pids_of_service(system, host, &own).await.map_err(|error| error.to_string())?;
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        drop(ended.await);
    }
    power_off(system, host).await
}

/// Lets a host's packets pass and starts its services.
pub(super) async fn boot(system: &System, hosts: &[String], services: &[(String, Instance)]) -> Result<(), FaultError> {
    try_join_all(hosts.iter().map(|name| speak(system, name))).await?;
    let here = services.iter().filter(|(on, _)| hosts.contains(on));
    try_join_all(here.map(|(on, own)| process::start_again(system, on, own))).await?;
    Ok(())
}

/// The proof that hosts are off: no process of a service is left, and no peer hears them.
pub(super) async fn is_off(
    system: &System,
    hosts: &[String],
    services: &[(String, Instance)],
) -> Result<String, String> {
    let dead = async {
        let left = hosts.iter().map(|name| process::left_on(system, name, services));
        let left = try_join_all(left).await.map_err(|error| error.to_string())?.concat();
        if left.is_empty() { Ok(()) } else { Err(format!("processes {left} are left")) }
    };
    let silent = try_join_all(hosts.iter().map(|name| is_silent(system, name, hosts)));
    let ((), proofs) = try_join(dead, silent).await?;
    Ok(format!("no process is left; {}", proofs.join("; ")))
}

/// The proof that hosts are on: every service runs, and their peers are answered.
pub(super) async fn is_on(
    system: &System,
    hosts: &[String],
    services: &[(String, Instance)],
) -> Result<String, String> {
    services_run(system, services).await?;
    let proofs = try_join_all(hosts.iter().map(|name| answers(system, name))).await?;
    Ok(format!("every service runs; {}", proofs.join("; ")))
}

/// How a service that is down ended, as Docker reports.
pub(super) async fn how_it_ended(system: &System, host: &str, own: &Instance) -> Result<String, String> {
    let service = system.service(host, own).ok_or("the service is unknown")?;
    match system.engine().container_state(service).await.map_err(|error| error.to_string())? {
        state if !state.running => Ok(format!("{own} on {host} ended with status {}", state.exit_status)),
        _ => Err(format!("the engine says that {own} on {host} runs")),
    }
}

/// Drops every packet of a host, then runs a script on it.
pub(super) async fn silence(system: &System, host: &str, then: &str) -> Result<(), FaultError> {
    let pod = pod(system, host)?;
    pod.shell.must(&format!("nft '{}' && {{ {then}; }}", pod.silence())).await?;
    Ok(())
}

/// Lets a host's packets pass again.
pub(super) async fn speak(system: &System, host: &str) -> Result<(), FaultError> {
    pod(system, host)?.shell.must(SPEAK).await?;
    Ok(())
}

/// The proof that no peer outside `silent` hears a host.
pub(super) async fn is_silent(system: &System, host: &str, silent: &[String]) -> Result<String, String> {
    let answers = answers_to_peers(system, host, silent).await?;
    match answers.iter().find(|(_, answer)| *answer != Answer::Silence) {
        Some((peer, _)) => Err(format!("{host} still answers {peer}")),
        None if answers.is_empty() => Ok(format!("all packets of {host} are dropped; no peer is left to hear it")),
        None => Ok(format!("no peer of {host} hears it")),
    }
}

/// The proof that a host answers a peer, or that only another fault keeps it from all of them.
pub(super) async fn answers(system: &System, host: &str) -> Result<String, String> {
    let answers = answers_to_peers(system, host, &[]).await?;
    if answers.is_empty() {
        return Ok(format!("{host} has no peer"));
    }
    if let Some((peer, _)) = answers.iter().find(|(_, answer)| *answer != Answer::Silence) {
        return Ok(format!("{host} answers {peer}"));
    }
    if cut_off(system, host).await?.is_some_and(|by| by != SILENCE_TABLE) {
        return Ok(format!("{host} speaks again; another fault keeps it apart from its peers"));
    }
    let peers = try_join_all(answers.iter().map(|(peer, _)| cut_off(system, peer))).await?;
    match answers.iter().zip(peers).find(|(_, by)| by.is_none()) {
        Some(((peer, _), _)) => Err(format!("{peer} hears nothing of {host}")),
        None => Ok(format!("{host} speaks again; other faults keep its peers apart from it")),
    }
}

/// What keeps packets from or to a host: the first table of rules of a fault, or the loss of its network.
async fn cut_off(system: &System, host: &str) -> Result<Option<String>, String> {
    let pod = pod(system, host).map_err(|error| error.to_string())?;
    let script = "nft list tables inet | grep -o 'pgquake_[a-z0-9_]*' | sort -r; \
                  [ -n \"$(ip route)\" ] || echo no route";
    let told = pod.shell.run(script).await.map_err(|error| error.to_string())?.text;
    Ok(told.lines().next().map(str::to_owned))
}

/// The proof that the services run.
pub(super) async fn services_run(system: &System, services: &[(String, Instance)]) -> Result<(), String> {
    for (host, own) in services {
        let Some(service) = system.service(host, own) else { continue };
        match system.engine().service_runs(service).await {
            Ok(true) => {}
            Ok(false) => return Err(format!("{own} on {host} does not run")),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// What each other host gets when it connects to this one, where nothing listens: a living machine resets the
/// connection, a dead one says nothing. All are asked, because a peer that is itself cut off hears nothing of anyone.
async fn answers_to_peers(system: &System, host: &str, but: &[String]) -> Result<Vec<(String, Answer)>, String> {
    let peers = system.pods().filter(|peer| peer.host != host && !but.contains(&peer.host));
    let probe = |peer: &Pod| Probe { of: 0, by: peer.host.clone(), to: host.to_owned(), port: Some(DISCARD_PORT) };
    let probes: Vec<Probe> = peers.map(probe).collect();
    let answers = probe::ask(system, &probes).await?;
    Ok(probes.into_iter().map(|probe| probe.by).zip(answers).collect())
}
