//! Toxiproxy: shapes the links that begin at a host. The plan places it; a topology names links.

use super::{Clock, Instances, Port, Recipe, Rendered, Role, Service, ServiceKind, Site, Starts, context};
use crate::credentials::Credentials;

/// Its HTTP API.
pub const API_PORT: u16 = 8474;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Toxiproxy,
    summary: "shapes the links that begin at its host; placed where a topology names links",
    placed_by_topologies: false,
    image: Recipe {
        name: "toxiproxy",
        files: context!("toxiproxy": "Dockerfile"),
        pulled: None,
        on: None,
        packages: &[],
        build_rank: 5,
    },
    ports: &[Port::watched(API_PORT, "HTTP API")],
    processes: &[],
    storage: None,
    capabilities: &[],
    clock: Clock::Kernel("the clock of toxiproxy is not prepared"),
    starts: Starts::AtOnce,
    stop_rank: 3,
    health: None,
    role: Role::None,
    formats: &[],
    variables: &[],
    instances: Instances::OneOnAHost("the plan places it"),
    rules: |_, _| Vec::new(),
    render,
};

/// Its listeners are made through its API, when the far hosts' addresses are known.
fn render(_site: &Site<'_>, _credentials: &Credentials) -> Rendered {
    Rendered::default()
}
