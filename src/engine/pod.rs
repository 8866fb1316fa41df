//! A host as a pod: a small holder container that owns the host's network and process namespaces.
//!
//! Services join both. So a service can be killed, stopped and started while the host's address, name and
//! published ports stay, and a process of the host can be signalled from the holder without asking Docker.

use std::{collections::HashMap, net::Ipv4Addr};

use bollard::{
    models::{ContainerCreateBody, EndpointSettings, HostConfig, NetworkConnectRequest, NetworkingConfig, PortBinding},
    query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions},
};

use super::{Engine, EngineError, Shell, labels::RunLabels, network::published, ports::free_port};

/// How often a host is started with other ports when one of them was taken in that moment.
const PORTS_TRIED: u32 = 5;

/// What a host is made of.
pub struct PodSpec<'a> {
    pub labels: &'a RunLabels,
    pub host: &'a str,
    /// Other names by which its peers know it.
    pub aliases: &'a [String],
    pub network: &'a str,
    /// The network that joins the regions, if there are several.
    pub backbone: Option<&'a str>,
    /// The holder's image.
    pub image: &'a str,
    /// Ports to publish on 127.0.0.1, each with the port there; 0: one that is free.
    pub ports: Vec<(u16, u16)>,
}

/// The name of the table that makes a host silent. Sorted backwards, it comes before all others.
pub const SILENCE_TABLE: &str = "pgquake_silence";

/// A running host.
pub struct Pod {
    pub host: String,
    /// The names by which its peers know it.
    pub names: Vec<String>,
    /// The holder's container id.
    pub container: String,
    /// The host's address in its region's network.
    pub address: String,
    /// The hardware address of the host in its region's network, as its peers see it.
    pub hardware_address: String,
    /// The host's address in the network that joins the regions, if there is one.
    pub backbone_address: Option<String>,
    /// The addresses of its networks' gateways: who comes through a published port comes from one of them.
    pub gateways: Vec<String>,
    /// Published ports: port of the host → port on 127.0.0.1.
    pub published: HashMap<u16, u16>,
    /// A root shell in the host's namespaces.
    pub shell: Shell,
}

impl Pod {
    /// The address in the host's network that ends so.
    pub fn neighbour(&self, last_octet: u8) -> Option<Ipv4Addr> {
        let [first, second, third, _] = self.address.parse::<Ipv4Addr>().ok()?.octets();
        Some(Ipv4Addr::new(first, second, third, last_octet))
    }

    /// The script of `nft` that drops every packet of the host. A machine that is silent gives no virtual address away that it
    /// held, but it answers no more for it either: others that hold it are found.
    pub fn silence(&self) -> String {
        let own = self.addresses().join(", ");
        format!(
            "add table inet {SILENCE_TABLE}; \
             add chain inet {SILENCE_TABLE} in {{ type filter hook input priority -300; policy drop; }}; \
             add chain inet {SILENCE_TABLE} out {{ type filter hook output priority -300; policy drop; }}; \
             add table arp {SILENCE_TABLE}; add chain arp {SILENCE_TABLE} in {{ type filter hook input priority -300; }}; \
             add rule arp {SILENCE_TABLE} in arp daddr ip != {{ {own} }} drop"
        )
    }

    /// Every address of the host that its peers know.
    pub fn addresses(&self) -> Vec<String> {
        std::iter::once(&self.address).chain(&self.backbone_address).cloned().collect()
    }
}

/// What the engine says of a host's networks.
struct Reached {
    address: String,
    hardware_address: String,
    backbone_address: Option<String>,
    gateways: Vec<String>,
    published: HashMap<u16, u16>,
}

impl Engine {
    /// Starts a host. Ports that may be any are chosen; one that somebody else takes in that moment is chosen again.
    pub async fn start_pod(&self, spec: PodSpec<'_>) -> Result<Pod, EngineError> {
        let mut tried = 1;
        loop {
            let ports = chosen(&spec)?;
            match self.start_pod_at(&spec, &ports).await {
                Err(EngineError::PortTaken { container, .. }) if tried < PORTS_TRIED => {
                    tried += 1;
                    let options = RemoveContainerOptionsBuilder::new().force(true).build();
                    let removed = self.docker.remove_container(&container, Some(options)).await;
                    removed.map_err(EngineError::doing(format!("remove host {}", spec.host)))?;
                }
                started => return started,
            }
        }
    }

    async fn start_pod_at(&self, spec: &PodSpec<'_>, ports: &[(u16, u16)]) -> Result<Pod, EngineError> {
        let name = spec.labels.container_name(spec.host, "holder");
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        let created = self
            .docker
            .create_container(Some(options), body(spec, ports))
            .await
            .map_err(EngineError::doing(format!("create host {}", spec.host)))?;
        if let Some(backbone) = spec.backbone {
            self.join_network(&created.id, backbone, spec).await?;
        }
        self.docker
            .start_container(&created.id, None::<StartContainerOptions>)
            .await
            .map_err(|error| start_error(spec, &created.id, &error))?;
        let reached = self.reached(spec, &created.id).await?;
        let Reached { address, hardware_address, backbone_address, gateways, published } = reached;
        let shell = Shell::new(self.docker.clone(), spec.host, &created.id);
        let (host, names) = (spec.host.to_owned(), names(spec));
        let container = created.id;
        Ok(Pod { host, names, container, address, hardware_address, backbone_address, gateways, published, shell })
    }

    async fn join_network(&self, container: &str, network: &str, spec: &PodSpec<'_>) -> Result<(), EngineError> {
        let endpoint = EndpointSettings { aliases: Some(names(spec)), ..Default::default() };
        let request = NetworkConnectRequest { container: container.to_owned(), endpoint_config: Some(endpoint) };
        let joined = self.docker.connect_network(network, request).await;
        joined.map_err(EngineError::doing(format!("join host {} to the network {network}", spec.host)))
    }

    async fn reached(&self, spec: &PodSpec<'_>, id: &str) -> Result<Reached, EngineError> {
        let network = self.network_settings(id).await?;
        let mut joined = network.networks.unwrap_or_default();
        let gateways =
            joined.values().filter_map(|endpoint| endpoint.gateway.clone()).filter(|gateway| !gateway.is_empty());
        let gateways = gateways.collect();
        let of_region = joined.get(spec.network).and_then(|endpoint| endpoint.mac_address.clone());
        let mut address_in = |name: &str| {
            let address = joined.remove(name).and_then(|endpoint| endpoint.ip_address);
            address.filter(|address| !address.is_empty()).ok_or_else(|| EngineError::Start {
                container: spec.host.to_owned(),
                reason: format!("it has no address in the network {name}"),
            })
        };
        let address = address_in(spec.network)?;
        let backbone_address = spec.backbone.map(address_in).transpose()?;
        let published = published(network.ports.unwrap_or_default());
        if let Some((missing, _)) = spec.ports.iter().find(|(port, _)| !published.contains_key(port)) {
            let (host, reason) = (spec.host.to_owned(), "the engine did not publish it".to_owned());
            return Err(EngineError::Port { host, port: *missing, reason });
        }
        let hardware_address = of_region.unwrap_or_default();
        Ok(Reached { address, hardware_address, backbone_address, gateways, published })
    }
}

/// The names by which a host's peers know it.
fn names(spec: &PodSpec<'_>) -> Vec<String> {
    std::iter::once(spec.host.to_owned()).chain(spec.aliases.iter().cloned()).collect()
}

/// The ports to publish, each with the port of 127.0.0.1: the one that was named, or one that is free.
fn chosen(spec: &PodSpec<'_>) -> Result<Vec<(u16, u16)>, EngineError> {
    let choose = |(port, there): &(u16, u16)| match there {
        0 => free_port().map(|there| (*port, there)).ok_or_else(|| EngineError::Port {
            host: spec.host.to_owned(),
            port: *port,
            reason: "no port of 127.0.0.1 is free".to_owned(),
        }),
        there => Ok((*port, *there)),
    };
    spec.ports.iter().map(choose).collect()
}

fn body(spec: &PodSpec<'_>, ports: &[(u16, u16)]) -> ContainerCreateBody {
    let bindings = ports
        .iter()
        .map(|(port, there)| {
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: Some(there.to_string()) };
            (format!("{port}/tcp"), Some(vec![binding]))
        })
        .collect();
    let endpoint = EndpointSettings { aliases: Some(names(spec)), ..Default::default() };
    ContainerCreateBody {
        image: Some(spec.image.to_owned()),
        hostname: Some(spec.host.to_owned()),
        labels: Some(spec.labels.of_container(spec.host, "holder")),
        exposed_ports: Some(spec.ports.iter().map(|(port, _)| format!("{port}/tcp")).collect()),
        host_config: Some(HostConfig {
            cap_add: Some(vec!["NET_ADMIN".to_owned()]),
            network_mode: Some(spec.network.to_owned()),
            port_bindings: Some(bindings),
            ..Default::default()
        }),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(spec.network.to_owned(), endpoint)])),
        }),
        ..Default::default()
    }
}

/// A port that was named and is taken is the user's to settle, so the error says which.
fn start_error(spec: &PodSpec<'_>, container: &str, error: &bollard::errors::Error) -> EngineError {
    let text = error.to_string();
    let taken = ["port is already allocated", "address already in use"].iter().any(|sign| text.contains(sign));
    match spec.ports.iter().find(|(_, there)| *there != 0 && text.contains(&there.to_string())) {
        Some((port, there)) if taken => EngineError::Port {
            host: spec.host.to_owned(),
            port: *port,
            reason: format!("port {there} of 127.0.0.1 is taken; free it, or name another one in the topology"),
        },
        None if taken => {
            EngineError::PortTaken { host: spec.host.to_owned(), container: container.to_owned(), reason: text }
        }
        _ => EngineError::Start { container: format!("host {}", spec.host), reason: text },
    }
}
