//! What faults of whole hosts share: power-off, clean shutdown and boot, silence on the network and its proof.

use std::time::Duration;

use futures::future::{try_join, try_join_all};

use super::{
    FaultError,
    probe::{self, Answer, Probe},
    process,
};
use crate::{
    cluster::{Cluster, wait_until},
    engine::{DISCARD_PORT, Pod},
    topology::ServiceKind,
};

/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this.
const KILL_ALL: &str = "kill -9 -1 2>/dev/null || true";

/// The order in which a machine that is shut down stops its services.
const SHUTDOWN_ORDER: &[ServiceKind] = &[ServiceKind::Haproxy, ServiceKind::Patroni, ServiceKind::Etcd];

const SILENCE: &str = "nft 'add table inet pgquake_silence; \
     add chain inet pgquake_silence in { type filter hook input priority -300; policy drop; }; \
     add chain inet pgquake_silence out { type filter hook output priority -300; policy drop; }'";
const SPEAK: &str = "nft delete table inet pgquake_silence 2>/dev/null || true";

/// Every service of these hosts.
pub(super) fn services(cluster: &Cluster, hosts: &[String]) -> Vec<(String, ServiceKind)> {
    let of = |host: &String| cluster.services_on(host).map(|(kind, _)| (host.clone(), kind)).collect::<Vec<_>>();
    hosts.iter().flat_map(of).collect()
}

pub(super) fn pod<'a>(cluster: &'a Cluster, host: &str) -> Result<&'a Pod, FaultError> {
    cluster.pod(host).ok_or_else(|| FaultError::NoTarget(format!("host `{host}`")))
}

/// Takes a host's power away. Packets are dropped before any process dies, so that no peer gets a reset from a "dead"
/// machine's kernel.
pub(super) async fn power_off(cluster: &Cluster, host: &str) -> Result<(), FaultError> {
    silence(cluster, host, KILL_ALL).await
}

/// Shuts a host down in order: each service gets SIGTERM and the time to end, what is left then is killed, and the
/// machine falls silent.
pub(super) async fn shut_down(cluster: &Cluster, host: &str, grace: Duration) -> Result<(), FaultError> {
    let here: Vec<_> = cluster.services_on(host).map(|(kind, _)| kind).collect();
    for kind in SHUTDOWN_ORDER.iter().copied().filter(|kind| here.contains(kind)) {
        let processes = process::processes_of_service(cluster, host, kind).await?;
        if let Some(main) = processes.iter().find(|process| process.parent == 0) {
            pod(cluster, host)?.shell.run(&format!("kill -TERM {}", main.pid)).await?;
        }
        // As systemd does, the wait ends with SIGKILL: `power_off` sends it.
        let ended = wait_until("the end of a service", grace, || async {
            let left = process::pids_of_service(cluster, host, kind).await.map_err(|error| error.to_string())?;
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
        drop(ended.await);
    }
    power_off(cluster, host).await
}

/// Lets a host's packets pass and starts its services.
pub(super) async fn boot(
    cluster: &Cluster,
    hosts: &[String],
    services: &[(String, ServiceKind)],
) -> Result<(), FaultError> {
    try_join_all(hosts.iter().map(|name| speak(cluster, name))).await?;
    let here = services.iter().filter(|(on, _)| hosts.contains(on));
    try_join_all(here.map(|(on, kind)| process::start_again(cluster, on, *kind))).await?;
    Ok(())
}

/// The proof that hosts are off: no process of a service is left, and no peer hears them.
pub(super) async fn is_off(
    cluster: &Cluster,
    hosts: &[String],
    services: &[(String, ServiceKind)],
) -> Result<String, String> {
    let dead = async {
        let left = hosts.iter().map(|name| process::left_on(cluster, name, services));
        let left = try_join_all(left).await.map_err(|error| error.to_string())?.concat();
        if left.is_empty() { Ok(()) } else { Err(format!("processes {left} are left")) }
    };
    let silent = try_join_all(hosts.iter().map(|name| is_silent(cluster, name, hosts)));
    let ((), proofs) = try_join(dead, silent).await?;
    Ok(format!("no process is left; {}", proofs.join("; ")))
}

/// The proof that hosts are on: every service runs, and their peers are answered.
pub(super) async fn is_on(
    cluster: &Cluster,
    hosts: &[String],
    services: &[(String, ServiceKind)],
) -> Result<String, String> {
    services_run(cluster, services).await?;
    let proofs = try_join_all(hosts.iter().map(|name| answers(cluster, name))).await?;
    Ok(format!("every service runs; {}", proofs.join("; ")))
}

/// How a service that is down ended, by Docker's word.
pub(super) async fn how_it_ended(cluster: &Cluster, host: &str, kind: ServiceKind) -> Result<String, String> {
    let service = cluster.service(host, kind).ok_or("the service is unknown")?;
    match cluster.engine().container_state(service).await.map_err(|error| error.to_string())? {
        state if !state.running => Ok(format!("{} on {host} ended with status {}", kind.name(), state.exit_status)),
        _ => Err(format!("the engine says that {} on {host} runs", kind.name())),
    }
}

/// Drops every packet of a host, then runs a script on it.
pub(super) async fn silence(cluster: &Cluster, host: &str, then: &str) -> Result<(), FaultError> {
    pod(cluster, host)?.shell.must(&format!("{SILENCE} && {{ {then}; }}")).await?;
    Ok(())
}

/// Lets a host's packets pass again.
pub(super) async fn speak(cluster: &Cluster, host: &str) -> Result<(), FaultError> {
    pod(cluster, host)?.shell.must(SPEAK).await?;
    Ok(())
}

/// The proof that a peer outside `silent` hears nothing of a host.
pub(super) async fn is_silent(cluster: &Cluster, host: &str, silent: &[String]) -> Result<String, String> {
    match answer_to_a_peer(cluster, host, silent).await? {
        Some(Answer::Silence) => Ok(format!("a peer of {host} hears nothing")),
        Some(Answer::Reset | Answer::Accepted) => Err(format!("{host} still answers connections")),
        None => Ok(format!("all packets of {host} are dropped; no peer is left to hear it")),
    }
}

/// The proof that a host answers its peers.
pub(super) async fn answers(cluster: &Cluster, host: &str) -> Result<String, String> {
    match answer_to_a_peer(cluster, host, &[]).await? {
        Some(Answer::Silence) => Err(format!("a peer of {host} hears nothing")),
        Some(Answer::Reset | Answer::Accepted) | None => Ok(format!("{host} answers its peers")),
    }
}

/// The proof that the services run.
pub(super) async fn services_run(cluster: &Cluster, services: &[(String, ServiceKind)]) -> Result<(), String> {
    for (host, kind) in services {
        let Some(service) = cluster.service(host, *kind) else { continue };
        match cluster.engine().service_runs(service).await {
            Ok(true) => {}
            Ok(false) => return Err(format!("{} on {host} does not run", kind.name())),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// What another host gets when it connects to this one, where nothing listens: a living machine resets the connection, a
/// dead one says nothing. `None`: there is no other host.
async fn answer_to_a_peer(cluster: &Cluster, host: &str, but: &[String]) -> Result<Option<Answer>, String> {
    let Some(peer) = cluster.pods().find(|peer| peer.host != host && !but.contains(&peer.host)) else {
        return Ok(None);
    };
    let probe = Probe { of: 0, by: peer.host.clone(), to: host.to_owned(), port: Some(DISCARD_PORT) };
    Ok(probe::ask(cluster, &[probe]).await?.first().copied())
}
