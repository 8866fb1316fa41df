//! Where clients of an endpoint connect: at a host, or wherever a global name leads them at the moment.

use std::{net::SocketAddr, sync::Arc};

use super::{Access, session::is_exhaustion};
use crate::{
    names::{ResolveError, Resolver},
    plan::{Plan, PlannedEndpoint},
    services::powerdns::DNS_PORT,
};

/// The way into an endpoint. Cheap to clone: clones share the answers that they keep.
#[derive(Clone)]
pub enum Entry {
    /// A port of a host.
    Host(SocketAddr),
    /// A port of the host that a global name leads to.
    Name(Arc<Named>),
}

/// Where a client is led that connects now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// What it connects to, as this machine reaches it.
    pub address: SocketAddr,
    /// The host that a global name led it to; `None`: the endpoint is at a host.
    pub led_to: Option<String>,
}

/// A global name that clients resolve before they connect.
pub struct Named {
    /// The whole name.
    name: String,
    port: u16,
    resolver: Resolver,
    access: Access,
}

/// Clients of an endpoint can't know where to connect.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// Nobody outside reaches that port.
    #[error("port {port} of {host} is not published")]
    Unpublished {
        /// The host that clients were led to.
        host: String,
        /// The port there.
        port: u16,
    },
    /// The name was not answered.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl EntryError {
    /// Whether this machine had no file, port or memory left to ask with: the harness failed, not the system.
    pub fn is_exhaustion_here(&self) -> bool {
        matches!(self, EntryError::Resolve(ResolveError::Connection { source, .. }) if is_exhaustion(source))
    }
}

impl Entry {
    /// The way into an endpoint of a plan.
    pub fn of(plan: &Plan, access: &Access, endpoint: &PlannedEndpoint) -> Result<Self, EntryError> {
        let (host, port) = (endpoint.at.host.as_str(), endpoint.at.port);
        let published = |host: &str, port| {
            access.address(host, port).ok_or_else(|| EntryError::Unpublished { host: host.to_owned(), port })
        };
        let Some((global, server)) = plan.topology.global_name(host).zip(plan.name_server()) else {
            return Ok(Entry::Host(published(host, port)?));
        };
        let server = published(server, DNS_PORT)?;
        let written = plan.topology.endpoints.find(&endpoint.name);
        let resolver = match written.is_some_and(|written| written.asks_each_time) {
            true => Resolver::asking_each_time(server),
            false => Resolver::keeping_answers(server),
        };
        Ok(Entry::Name(Arc::new(Named { name: global.in_zone(), port, resolver, access: access.clone() })))
    }

    /// Where a client that connects now is led. Of several hosts it takes the first.
    pub async fn way(&self) -> Result<Way, EntryError> {
        let Named { name, port, resolver, access } = match self {
            Entry::Host(address) => return Ok(Way { address: *address, led_to: None }),
            Entry::Name(named) => named.as_ref(),
        };
        let answer = resolver.resolve(name).await?;
        let host = answer.addresses.first().map(|address| access.host_at(address)).unwrap_or_default();
        match access.address(&host, *port) {
            Some(address) => Ok(Way { address, led_to: Some(host) }),
            None => Err(EntryError::Unpublished { host, port: *port }),
        }
    }
}
