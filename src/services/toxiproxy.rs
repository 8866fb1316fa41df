//! Toxiproxy: shapes the links that begin at a host. The plan places it; a topology names links.

use super::{Rendered, Service};
use crate::{credentials::Credentials, plan::Plan, topology::ServiceKind};

/// Its HTTP API.
pub const API_PORT: u16 = 8474;

pub(super) const SERVICE: Service = Service {
    kind: ServiceKind::Toxiproxy,
    summary: "shapes the links that begin at its host; placed where a topology names links",
    image: "toxiproxy",
    ports: &[API_PORT],
    storage: None,
    behind_primary: false,
    render,
};

/// Its listeners are made through its API, when the far hosts' addresses are known.
fn render(_plan: &Plan, _host: &str, _credentials: &Credentials) -> Rendered {
    Rendered::default()
}
