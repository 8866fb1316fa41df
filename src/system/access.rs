//! How the harness reaches a system from outside, and this run's passwords.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use super::Login;
pub use crate::credentials::{
    CLIENT_ROLE, Credentials, DATABASE, LEDGER_COLUMNS, LEDGER_INDEX, LEDGER_TABLE, NODE_SETTING, SEQUENCE,
    VECTOR_DIMENSIONS, VECTOR_INDEX, VECTOR_TABLE,
};
use crate::{
    dcs::DcsLogin,
    services::{Tls, patroni::REST_PORT},
    trust::{Trust, TrustError},
};

/// Published ports and credentials. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Access {
    ports: BTreeMap<(String, u16), Way>,
    hosts: BTreeMap<IpAddr, String>,
    /// This run's passwords.
    pub credentials: Credentials,
    /// What speaks TLS.
    tls: Tls,
    /// Whom clients of that trust, and what they show.
    trust: Option<Trust>,
}

impl Access {
    /// Access to nothing yet.
    #[doc(hidden)]
    pub fn new(credentials: Credentials) -> Self {
        Self { credentials, ..Self::default() }
    }

    /// Access to what speaks TLS: the harness trusts the run's authority, and nobody else.
    #[doc(hidden)]
    pub fn with_tls(self, tls: Tls) -> Result<Self, TrustError> {
        let trust = if tls.is_off() { None } else { Some(Trust::of(&self.credentials)?) };
        Ok(Self { tls, trust, ..self })
    }

    /// What clients log in with at PostgreSQL, and at what pools its sessions.
    pub fn login(&self) -> Login {
        let login = Login::new(&self.credentials.client_password);
        match self.trust.as_ref().filter(|_| self.tls.postgresql) {
            Some(trust) => login.with_tls(&trust.config, self.names()),
            None => login,
        }
    }

    /// The same where a client trusts somebody else.
    #[doc(hidden)]
    pub fn login_trusting(&self, trust: &Trust) -> Login {
        Login::new(&self.credentials.client_password).with_tls(&trust.config, self.names())
    }

    /// The host that is reached at each address: the name that its certificate must have.
    fn names(&self) -> BTreeMap<SocketAddr, String> {
        self.ports.iter().map(|((host, _), way)| (way.reached, host.clone())).collect()
    }

    /// What clients of a DCS show its members, and whom they trust; some DCSs ask for passwords.
    #[doc(hidden)]
    pub fn dcs_login(&self, asks_for_passwords: bool) -> DcsLogin<'_> {
        DcsLogin {
            trust: self.trust.as_ref().filter(|_| self.tls.dcs),
            password: asks_for_passwords.then_some(self.credentials.dcs_password.as_str()),
        }
    }

    /// What speaks TLS.
    #[doc(hidden)]
    pub fn tls(&self) -> Tls {
        self.tls
    }

    /// A client of HTTP that finds every host by its name, and trusts the run's authority.
    #[doc(hidden)]
    pub fn http(&self, client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
        let Some(trust) = &self.trust else { return client };
        let client = client.tls_backend_preconfigured((*trust.config).clone());
        self.names().into_iter().fold(client, |client, (at, host)| client.resolve(&host, at))
    }

    /// Where the REST API of a node's Patroni is, as [`Self::http`] reaches it.
    #[doc(hidden)]
    pub fn patroni(&self, node: &str) -> Option<String> {
        self.url(node, REST_PORT, self.tls.patroni)
    }

    /// The same of any port of a host, with TLS or without.
    #[doc(hidden)]
    pub fn url(&self, host: &str, port: u16, is_secured: bool) -> Option<String> {
        let at = self.address(host, port)?;
        // By its name, which its certificate has.
        Some(if is_secured { format!("https://{host}:{}", at.port()) } else { format!("http://{at}") })
    }

    /// Notes where a host's port is published, and where the harness itself reaches it.
    #[doc(hidden)]
    pub fn publish(&mut self, host: &str, port: u16, published: SocketAddr, reached: SocketAddr) {
        self.ports.insert((host.to_owned(), port), Way { published, reached });
    }

    /// Notes a host's own addresses, which global names are answered with.
    #[doc(hidden)]
    pub fn know(&mut self, host: &str, addresses: &[String]) {
        let addresses = addresses.iter().filter_map(|address| address.parse().ok());
        self.hosts.extend(addresses.map(|address: IpAddr| (address, host.to_owned())));
    }

    /// The host that has this address. An address that no host has stands for itself.
    pub fn host_at(&self, address: &IpAddr) -> String {
        self.hosts.get(address).cloned().unwrap_or_else(|| address.to_string())
    }

    /// The hosts that have these addresses, each once and sorted.
    pub fn hosts_at(&self, addresses: &[IpAddr]) -> Vec<String> {
        let mut hosts: Vec<String> = addresses.iter().map(|address| self.host_at(address)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Where the harness reaches a host's port, or `None` if it is not published.
    pub fn address(&self, host: &str, port: u16) -> Option<SocketAddr> {
        Some(self.ports.get(&(host.to_owned(), port))?.reached)
    }

    /// Where anybody on this machine reaches a host's port, or `None` if it is not published.
    pub fn published(&self, host: &str, port: u16) -> Option<SocketAddr> {
        Some(self.ports.get(&(host.to_owned(), port))?.published)
    }
}

#[derive(Debug, Clone, Copy)]
struct Way {
    published: SocketAddr,
    reached: SocketAddr,
}
