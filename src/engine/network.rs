//! Networks of a run, and taking a host off them and back.
//!
//! A network's subnet is chosen here and not by the engine, because an engine keeps a host's address for it only in a
//! subnet that was asked for. (It also has far fewer subnets of its own than a machine can run clusters.)

use std::collections::HashMap;

use bollard::{
    errors::Error as DockerError,
    models::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest, NetworkSettings, PortMap,
    },
};

use super::{Engine, EngineError, Pod, labels::RunLabels};

/// How many subnets are tried. Two runs that draw the same one at the same time are rare, many such are not.
const SUBNETS_TRIED: u32 = 50;

/// A network that a host has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub network: String,
    pub address: String,
}

impl Engine {
    /// Makes a network of this run and returns its name.
    pub async fn create_network(&self, labels: &RunLabels, region: &str) -> Result<String, EngineError> {
        let name = labels.network_name(region);
        let mut tried = 1;
        loop {
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".to_owned()),
                labels: Some(labels.of_network().into_iter().collect()),
                ipam: Some(a_subnet()),
                ..Default::default()
            };
            match self.docker.create_network(request).await {
                Ok(_) => return Ok(name),
                Err(error) if is_overlap(&error) && tried < SUBNETS_TRIED => tried += 1,
                Err(error) => return Err(EngineError::doing(format!("create the network {name}"))(error)),
            }
        }
    }

    /// The networks that a host has joined.
    pub async fn networks_of(&self, pod: &Pod) -> Result<Vec<Joined>, EngineError> {
        let joined = self.network_settings(&pod.container).await?.networks.unwrap_or_default();
        let mut joined: Vec<Joined> = joined
            .into_iter()
            .map(|(network, endpoint)| Joined { network, address: endpoint.ip_address.unwrap_or_default() })
            .collect();
        joined.sort_by(|one, other| one.network.cmp(&other.network));
        Ok(joined)
    }

    /// Takes a host off a network. Its ports are not published any more, and names are not resolved.
    pub async fn disconnect(&self, pod: &Pod, from: &Joined) -> Result<(), EngineError> {
        let request = NetworkDisconnectRequest { container: pod.container.clone(), force: Some(true) };
        self.docker
            .disconnect_network(&from.network, request)
            .await
            .map_err(EngineError::doing(format!("disconnect host {} from the network {}", pod.host, from.network)))
    }

    /// Puts a host back on a network, with the address and the name that it had.
    pub async fn reconnect(&self, pod: &Pod, to: &Joined) -> Result<(), EngineError> {
        let ipam = EndpointIpamConfig { ipv4_address: Some(to.address.clone()), ..Default::default() };
        let endpoint =
            EndpointSettings { aliases: Some(vec![pod.host.clone()]), ipam_config: Some(ipam), ..Default::default() };
        let request = NetworkConnectRequest { container: pod.container.clone(), endpoint_config: Some(endpoint) };
        self.docker
            .connect_network(&to.network, request)
            .await
            .map_err(EngineError::doing(format!("reconnect host {} to the network {}", pod.host, to.network)))
    }

    /// Which port of 127.0.0.1 each port of a host is published on at the moment.
    pub async fn published(&self, pod: &Pod) -> Result<HashMap<u16, u16>, EngineError> {
        Ok(published(self.network_settings(&pod.container).await?.ports.unwrap_or_default()))
    }

    pub(super) async fn network_settings(&self, container: &str) -> Result<NetworkSettings, EngineError> {
        let inspected = self.docker.inspect_container(container, None).await;
        let inspected = inspected.map_err(EngineError::doing(format!("inspect container {container}")))?;
        Ok(inspected.network_settings.unwrap_or_default())
    }
}

/// Port of a host → port of 127.0.0.1, as the engine tells it.
pub(super) fn published(bound: PortMap) -> HashMap<u16, u16> {
    let published = bound.into_iter().filter_map(|(port, bindings)| {
        let port = port.split('/').next()?.parse().ok()?;
        Some((port, bindings?.first()?.host_port.as_ref()?.parse().ok()?))
    });
    published.collect()
}

/// One of the subnets that are set apart for tests of networks (RFC 2544): no office, no VPN and no engine should be
/// there.
fn a_subnet() -> Ipam {
    let [second, third] = [18 + rand::random::<u8>() % 2, rand::random()];
    let subnet = format!("198.{second}.{third}.0/24");
    Ipam { config: Some(vec![IpamConfig { subnet: Some(subnet), ..Default::default() }]), ..Default::default() }
}

fn is_overlap(error: &DockerError) -> bool {
    error.to_string().contains("overlap")
}
