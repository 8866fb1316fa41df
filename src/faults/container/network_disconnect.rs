//! `network_disconnect`: a machine's cable is pulled, as Docker pulls it.

use async_trait::async_trait;

use crate::{
    engine::Joined,
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, host, hosts},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "network_disconnect",
    effect: "the host has no network interface any more but its loopback: no packet enters or leaves it, names are not \
             resolved on it nor it by others, its own programs get `unreachable` at once, and no port of it is published",
    confirmed_by: "Docker lists no network for the host, it has no route, and a connection from another host gets no \
                   answer; healed when it has its address, name and published ports again and its peers are answered",
    limits: "the host must be the only one with its address when it comes back; it does",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct NetworkDisconnect {
    host: String,
    services: Vec<(String, Instance)>,
    /// The networks that it had joined, with its addresses.
    joined: Vec<Joined>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let host = aim.one_host(KIND.name)?.to_owned();
    Ok(Box::new(NetworkDisconnect { services: hosts::services(plan, &aim.hosts), host, joined: Vec::new() }))
}

impl NetworkDisconnect {
    async fn joined_now(&self, system: &System) -> Result<Vec<Joined>, FaultError> {
        Ok(system.engine().networks_of(hosts::pod(system, &self.host)?).await?)
    }
}

#[async_trait]
impl Fault for NetworkDisconnect {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Host(self.host.clone())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Network(self.host.clone())]
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        self.joined = self.joined_now(system).await?;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let pod = hosts::pod(system, &self.host)?;
        for network in &self.joined {
            system.engine().disconnect(pod, network).await?;
        }
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let joined = self.joined_now(system).await.map_err(|error| error.to_string())?;
        if let Some(network) = joined.first() {
            return Err(format!("{} is still on the network {}", self.host, network.network));
        }
        let pod = system.pod(&self.host).ok_or("the host is unknown")?;
        let routes = pod.shell.run("ip route").await.map_err(|error| error.to_string())?.text;
        if !routes.is_empty() {
            return Err(format!("{} still has routes: {routes}", self.host));
        }
        let silent = host::is_silent(system, &self.host, &[]).await?;
        Ok(format!("{} is on no network and has no route; {silent}", self.host))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        let joined = self.joined_now(system).await?;
        let pod = hosts::pod(system, &self.host)?;
        for network in self.joined.iter().filter(|network| !joined.contains(network)) {
            system.engine().reconnect(pod, network).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let joined = self.joined_now(system).await.map_err(|error| error.to_string())?;
        if joined != self.joined {
            return Err(format!("{} is on {joined:?}, and was on {:?}", self.host, self.joined));
        }
        let pod = system.pod(&self.host).ok_or("the host is unknown")?;
        let published = system.engine().published(pod).await.map_err(|error| error.to_string())?;
        if let Some((port, there)) = pod.published.iter().find(|(port, there)| published.get(port) != Some(there)) {
            return Err(format!("port {port} of {} is not published as {there}", self.host));
        }
        let answers = host::answers(system, &self.host).await?;
        Ok(format!("{} has its address and its published ports again; {answers}", self.host))
    }
}
