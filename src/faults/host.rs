//! What faults of whole hosts share: silence on the network, its proof, and the services of a host.

use super::FaultError;
use crate::{cluster::Cluster, engine::Pod, topology::ServiceKind};

const SILENCE: &str = "nft 'add table inet pgquake_silence; \
     add chain inet pgquake_silence in { type filter hook input priority -300; policy drop; }; \
     add chain inet pgquake_silence out { type filter hook output priority -300; policy drop; }'";
const SPEAK: &str = "nft delete table inet pgquake_silence 2>/dev/null || true";
/// How long another host waits for an answer to be sure that there is none.
const SILENT_AFTER_S: f32 = 0.08;

/// Every service of these hosts.
pub(super) fn services(cluster: &Cluster, hosts: &[String]) -> Vec<(String, ServiceKind)> {
    let of = |host: &String| cluster.services_on(host).map(|(kind, _)| (host.clone(), kind)).collect::<Vec<_>>();
    hosts.iter().flat_map(of).collect()
}

pub(super) fn pod<'a>(cluster: &'a Cluster, host: &str) -> Result<&'a Pod, FaultError> {
    cluster.pod(host).ok_or_else(|| FaultError::NoTarget(format!("host `{host}`")))
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
        Some(Answer::Reset) => Err(format!("{host} still resets connections")),
        None => Ok(format!("all packets of {host} are dropped; no peer is left to hear it")),
    }
}

/// The proof that a host answers its peers.
pub(super) async fn answers(cluster: &Cluster, host: &str) -> Result<String, String> {
    match answer_to_a_peer(cluster, host, &[]).await? {
        Some(Answer::Silence) => Err(format!("a peer of {host} hears nothing")),
        Some(Answer::Reset) | None => Ok(format!("{host} answers its peers")),
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

enum Answer {
    /// Neither an answer nor a reset.
    Silence,
    /// The host's kernel answered: with a reset, as nothing listens on the port.
    Reset,
}

/// What another host gets when it connects to a port of this one on which nothing listens: a living machine
/// resets the connection, a dead one says nothing. `None`: there is no other host.
async fn answer_to_a_peer(cluster: &Cluster, host: &str, but: &[String]) -> Result<Option<Answer>, String> {
    let address = &pod(cluster, host).map_err(|error| error.to_string())?.address;
    let Some(peer) = cluster.pods().find(|peer| peer.host != host && !but.contains(&peer.host)) else {
        return Ok(None);
    };
    let script = format!("timeout {SILENT_AFTER_S} bash -c '</dev/tcp/{address}/9' 2>/dev/null");
    let tried = peer.shell.run(&script).await.map_err(|error| error.to_string())?;
    Ok(Some(if tried.status == 124 { Answer::Silence } else { Answer::Reset }))
}
