//! `host_crash`: machines lose their power, as their peers see it.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;

use super::{Aim, Fault, FaultError, FaultKind, Lasts, Parameter, Takes, host};
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

#[async_trait]
impl Fault for HostCrash {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        self.services.clone()
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        join_all(self.hosts.iter().map(|name| host::power_off(cluster, name))).await.into_iter().collect()
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        host::is_off(cluster, &self.hosts, &self.services).await
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        for (index, hosts) in self.returns.iter().enumerate() {
            if index > 0 {
                tokio::time::sleep(self.apart).await;
            }
            host::boot(cluster, hosts, &self.services).await?;
        }
        Ok(())
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        host::is_on(cluster, &self.hosts, &self.services).await
    }
}
