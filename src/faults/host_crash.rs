//! `host_crash`: a machine loses its power, as its peers see it.

use async_trait::async_trait;
use futures::future::try_join_all;

use super::{Aim, Fault, FaultError, FaultKind, process};
use crate::{cluster::Cluster, engine::Pod, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "host_crash",
    effect: "no packet enters or leaves the host any more, not even a reset, and every process on it is killed",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; \
                   healed when every service runs and another host is answered again",
    limits: "none: any host",
    parameters: &[],
    aim,
};

/// Packets are dropped before any process dies, so that no peer gets a reset from the kernel of a "dead" machine.
const SILENCE: &str = "nft 'add table inet pgquake_crash; \
     add chain inet pgquake_crash in { type filter hook input priority -300; policy drop; }; \
     add chain inet pgquake_crash out { type filter hook output priority -300; policy drop; }'";
const SPEAK: &str = "nft delete table inet pgquake_crash 2>/dev/null || true";
/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this.
const KILL_ALL: &str = "kill -9 -1 2>/dev/null || true";
/// How long another host waits for an answer to be sure that there is none.
const SILENT_AFTER_S: f32 = 0.08;

struct HostCrash {
    host: String,
    services: Vec<ServiceKind>,
}

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let services = cluster.services_on(&aim.host).map(|(kind, _)| kind).collect();
    Ok(Box::new(HostCrash { host: aim.host.clone(), services }))
}

impl HostCrash {
    fn pod<'a>(&self, cluster: &'a Cluster) -> Result<&'a Pod, FaultError> {
        cluster.pod(&self.host).ok_or_else(|| FaultError::NoTarget(format!("host `{}`", self.host)))
    }
}

#[async_trait]
impl Fault for HostCrash {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        self.services.iter().map(|kind| (self.host.clone(), *kind)).collect()
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.pod(cluster)?.shell.must(&format!("{SILENCE} && {KILL_ALL}")).await?;
        Ok(())
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        let pod = self.pod(cluster).map_err(|error| error.to_string())?;
        for (kind, _) in cluster.services_on(&self.host) {
            let pids = process::pids_of_service(cluster, &self.host, kind).await.map_err(|error| error.to_string())?;
            if !pids.is_empty() {
                return Err(format!("processes {pids} of {} are left on {}", kind.name(), self.host));
            }
        }
        match answer_to_a_peer(cluster, pod).await? {
            Some(Answer::Silence) => Ok(format!("no process is left on {0}; a peer of {0} hears nothing", self.host)),
            Some(Answer::Reset) => Err(format!("{} still resets connections", self.host)),
            None => Ok(format!("no process is left on {}, all its packets are dropped; it has no peer", self.host)),
        }
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.pod(cluster)?.shell.must(SPEAK).await?;
        try_join_all(self.services.iter().map(|kind| process::wait_until_stopped(cluster, &self.host, *kind))).await?;
        try_join_all(self.services.iter().map(|kind| cluster.restart_service(&self.host, *kind))).await?;
        Ok(())
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        for (kind, service) in cluster.services_on(&self.host) {
            match cluster.engine().service_runs(service).await {
                Ok(true) => {}
                Ok(false) => return Err(format!("{} on {} does not run", kind.name(), self.host)),
                Err(error) => return Err(error.to_string()),
            }
        }
        let pod = self.pod(cluster).map_err(|error| error.to_string())?;
        match answer_to_a_peer(cluster, pod).await? {
            Some(Answer::Silence) => Err(format!("a peer of {} hears nothing", self.host)),
            Some(Answer::Reset) | None => {
                Ok(format!("every service runs on {0}, and {0} answers its peers", self.host))
            }
        }
    }
}

enum Answer {
    /// Neither an answer nor a reset.
    Silence,
    /// The host's kernel answered: with a reset, as nothing listens on the port.
    Reset,
}

/// What another host gets when it connects to a port of this one on which nothing listens: a living machine
/// resets the connection, a dead one says nothing.
async fn answer_to_a_peer(cluster: &Cluster, pod: &Pod) -> Result<Option<Answer>, String> {
    let Some(peer) = cluster.pods().find(|other| other.host != pod.host) else { return Ok(None) };
    let script = format!("timeout {SILENT_AFTER_S} bash -c '</dev/tcp/{}/9' 2>/dev/null", pod.address);
    let tried = peer.shell.run(&script).await.map_err(|error| error.to_string())?;
    Ok(Some(if tried.status == 124 { Answer::Silence } else { Answer::Reset }))
}
