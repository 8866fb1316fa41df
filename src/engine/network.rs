//! Networks of a run, and taking a host off them and back.
//!
//! A network's subnet is chosen here and not by the engine, because an engine keeps a host's address for it only in a
//! subnet that was asked for. (It also has far fewer subnets of its own than a machine can run systems.)

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use bollard::{
    errors::Error as DockerError,
    models::{
        EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest, NetworkSettings, PortMap,
    },
};

use tokio::{net::TcpStream, time::timeout};

use super::{Engine, EngineError, Pod, labels::RunLabels};

/// How long a host that has just started may take to reset a connection.
const REACHED_WITHIN: Duration = Duration::from_millis(500);
/// No service listens there (RFC 863 sets it apart for one that throws away what it gets).
pub const DISCARD_PORT: u16 = 9;

/// How many subnets are tried. Two runs that draw the same one at the same time are rare, many such are not.
const SUBNETS_TRIED: u32 = 50;

/// A network that a host has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub network: String,
    pub address: String,
}

impl Engine {
    /// Makes a network of this run by one of the engine's drivers, and returns its name.
    ///
    /// # Errors
    /// An overlay needs an engine that is a manager of a swarm; else the engine's own failures.
    pub async fn create_network(&self, labels: &RunLabels, region: &str, driver: &str) -> Result<String, EngineError> {
        let name = labels.network_name(region);
        let mut tried = 1;
        loop {
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some(driver.to_owned()),
                // Containers that are no service of the swarm's join an overlay only so. A bridge takes no notice.
                attachable: Some(true),
                labels: Some(labels.of_network().into_iter().collect()),
                ipam: Some(a_subnet()),
                ..Default::default()
            };
            match self.docker.create_network(request).await {
                Ok(_) => return Ok(name),
                Err(error) if is_overlap(&error) && tried < SUBNETS_TRIED => tried += 1,
                Err(error) if is_no_manager(&error) => return Err(EngineError::NoSwarm { network: region.to_owned() }),
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
            EndpointSettings { aliases: Some(pod.names.clone()), ipam_config: Some(ipam), ..Default::default() };
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

impl Pod {
    /// Whether this machine reaches the host at its own address: the network's gateway is an address of this machine, and
    /// the host resets a connection to a port on which nothing listens.
    ///
    /// Then clients need not pass the engine's proxy for published ports, which costs as much CPU time as all
    /// of pgquake, accepts connections for hosts that are dead, and goes on accepting when they are full. Where the
    /// engine runs in a machine of its own, as on a desktop, there is no other way than the published ports.
    pub async fn is_reached_directly(&self) -> bool {
        let is_here = |gateway: &String| gateway.parse().is_ok_and(|at: IpAddr| UdpSocket::bind((at, 0)).is_ok());
        let Ok(address) = self.address.parse::<IpAddr>() else { return false };
        if !self.gateways.iter().any(is_here) {
            return false;
        }
        let tried = timeout(REACHED_WITHIN, TcpStream::connect((address, DISCARD_PORT))).await;
        matches!(tried, Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused)
    }
}

/// Port of a host → port of 127.0.0.1, as the engine reports it.
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

fn is_no_manager(error: &DockerError) -> bool {
    error.to_string().contains("not a swarm manager")
}

fn is_overlap(error: &DockerError) -> bool {
    error.to_string().contains("overlap")
}
