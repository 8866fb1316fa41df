//! `host_crash`: machines lose their power, as their peers see it.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use super::{Aim, Fault, FaultError, FaultKind, Lasts, Parameter, Takes, host, process};
use crate::{cluster::Cluster, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "host_crash",
    effect: "no packet enters or leaves the host any more, not even a reset, and every process on it is killed; \
             several hosts lose their power at once",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; \
                   healed when every service runs and another host is answered again",
    limits: "none: any host; what the kernel had not yet written survives, unless the host's disks are prepared",
    parameters: &[
        Parameter::optional("order", Takes::Hosts, "the hosts come back one after the other, in this order"),
        Parameter::with_default("apart", Takes::Duration, "2 s", "with an order: the time from one to the next"),
    ],
    lasts: Lasts::UntilHealed,
    reaches_clients: false,
    aim,
};

/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this.
const KILL_ALL: &str = "kill -9 -1 2>/dev/null || true";

struct HostCrash {
    hosts: Vec<String>,
    services: Vec<(String, ServiceKind)>,
    /// Hosts that come back together, one group after the other.
    returns: Vec<Vec<String>>,
    apart: Duration,
}

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let order = aim.parameters.hosts("order");
    let same = order.len() == aim.hosts.len() && order.iter().all(|host| aim.hosts.contains(host));
    if !order.is_empty() && !same {
        return Err(aim.refuse(KIND.name, "the order must name each of its hosts once"));
    }
    let returns =
        if order.is_empty() { vec![aim.hosts.clone()] } else { order.into_iter().map(|host| vec![host]).collect() };
    Ok(Box::new(HostCrash {
        services: host::services(cluster, &aim.hosts),
        hosts: aim.hosts.clone(),
        returns,
        apart: aim.parameters.duration("apart").unwrap_or_default(),
    }))
}

impl HostCrash {
    async fn come_back(&self, cluster: &Cluster, hosts: &[String]) -> Result<(), FaultError> {
        try_join_all(hosts.iter().map(|name| host::speak(cluster, name))).await?;
        let services: Vec<_> = self.services.iter().filter(|(on, _)| hosts.contains(on)).collect();
        try_join_all(services.iter().map(|(on, kind)| process::wait_until_stopped(cluster, on, *kind))).await?;
        try_join_all(services.iter().map(|(on, kind)| cluster.restart_service(on, *kind))).await?;
        Ok(())
    }
}

#[async_trait]
impl Fault for HostCrash {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        self.services.clone()
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        // Packets are dropped before any process dies, so that no peer gets a reset from a "dead" machine's kernel.
        let crash = self.hosts.iter().map(|name| host::silence(cluster, name, KILL_ALL));
        join_all(crash).await.into_iter().collect()
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        for (on, kind) in &self.services {
            let pids = process::pids_of_service(cluster, on, *kind).await.map_err(|error| error.to_string())?;
            if !pids.is_empty() {
                return Err(format!("processes {pids} of {} are left on {on}", kind.name()));
            }
        }
        let proofs = try_join_all(self.hosts.iter().map(|name| host::is_silent(cluster, name, &self.hosts))).await?;
        Ok(format!("no process is left; {}", proofs.join("; ")))
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        for (index, hosts) in self.returns.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(self.apart).await;
            }
            self.come_back(cluster, hosts).await?;
        }
        Ok(())
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        host::services_run(cluster, &self.services).await?;
        let proofs = try_join_all(self.hosts.iter().map(|name| host::answers(cluster, name))).await?;
        Ok(format!("every service runs; {}", proofs.join("; ")))
    }
}
