//! `host_freeze`: a machine stands still, as a virtual machine that is paused or moved.

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use super::{Aim, Fault, FaultError, FaultKind, Lasts, host, process};
use crate::{cluster::Cluster, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "host_freeze",
    effect: "no packet enters or leaves the host, and every process on it gets SIGSTOP; nothing is lost: after it, \
             memory, locks and connections are as they were, and only time has passed",
    confirmed_by: "the kernel says that every process of every service is stopped, and a connection from another host \
                   gets neither an answer nor a reset; healed when none is stopped and another host is answered again",
    limits: "none: any host; its clock does not stop",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    reaches_clients: false,
    aim,
};

/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this.
const STOP_ALL: &str = "kill -STOP -1 2>/dev/null || true";
const CONTINUE_ALL: &str = "kill -CONT -1 2>/dev/null || true";

struct HostFreeze {
    hosts: Vec<String>,
    services: Vec<(String, ServiceKind)>,
}

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let services = host::services(cluster, &aim.hosts);
    Ok(Box::new(HostFreeze { hosts: aim.hosts.clone(), services }))
}

#[async_trait]
impl Fault for HostFreeze {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        self.services.clone()
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        join_all(self.hosts.iter().map(|name| host::silence(cluster, name, STOP_ALL))).await.into_iter().collect()
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        for (on, kind) in &self.services {
            if let Some(running) = process::not_stopped(cluster, on, *kind).await? {
                return Err(running);
            }
        }
        let silent = self.hosts.iter().map(|name| host::is_silent(cluster, name, &self.hosts));
        Ok(format!("every process is stopped; {}", try_join_all(silent).await?.join("; ")))
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        for name in &self.hosts {
            host::pod(cluster, name)?.shell.must(CONTINUE_ALL).await?;
            host::speak(cluster, name).await?;
        }
        Ok(())
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        for (on, kind) in &self.services {
            process::none_is_stopped(cluster, on, *kind).await?;
        }
        let answered = self.hosts.iter().map(|name| host::answers(cluster, name));
        Ok(format!("every process runs on; {}", try_join_all(answered).await?.join("; ")))
    }
}
