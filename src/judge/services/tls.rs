//! What of a topology speaks TLS, and where its services have what they need for that: a certificate of the run's own
//! authority for each host, by which it serves and is a client, and the certificate of that authority.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServiceKind;
use crate::credentials::Credentials;

/// What speaks TLS, with certificates of the run's own authority. What is left out speaks plainly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PostgreSQL and PgBouncer: clients and standbys connect with TLS or not at all, and accept only the server that they mean.
    pub postgresql: bool,
    /// The DCS: its members and its clients show each other certificates.
    pub dcs: bool,
    /// Patroni's REST API: it answers over TLS alone, and who orders something shows a certificate.
    pub patroni: bool,
}

impl Tls {
    /// Whether nothing speaks TLS.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a service of this kind serves or connects by the certificate of its host.
    pub fn concerns(&self, kind: ServiceKind) -> bool {
        match kind {
            ServiceKind::Etcd => self.dcs,
            ServiceKind::Patroni => !self.is_off(),
            ServiceKind::Pgbouncer => self.postgresql,
            _ => false,
        }
    }
}

/// The certificate of the run's authority.
pub const AUTHORITY_FILE: &str = "/etc/pgquake/tls/authority.crt";
/// The certificate of the host, and its key.
pub const CERTIFICATE_FILE: &str = "/etc/pgquake/tls/server.crt";
pub const KEY_FILE: &str = "/etc/pgquake/tls/server.key";
/// The certificates that the authority has revoked: none, until a fault revokes one.
pub const REVOKED_FILE: &str = "/etc/pgquake/tls/revoked.crl";

/// Where PostgreSQL has copies of these: it starts with no key that others can read.
pub const OF_POSTGRESQL: &str = "/var/lib/postgresql/tls";
/// Where they are copied, and again after each change.
pub const COPY: &str =
    "install -d -m 700 /var/lib/postgresql/tls && install -m 600 /etc/pgquake/tls/* /var/lib/postgresql/tls/";

/// What a service finds in its container.
pub(super) fn files(host: &str, credentials: &Credentials) -> Vec<(String, String)> {
    let own = credentials.certificates.get(host).cloned().unwrap_or_default();
    let file = |path: &str, content: String| (path.to_owned(), content);
    vec![
        file(AUTHORITY_FILE, credentials.authority.certificate.clone()),
        file(CERTIFICATE_FILE, own.certificate),
        file(KEY_FILE, own.key),
        file(REVOKED_FILE, credentials.revoked.clone()),
    ]
}

/// The same for a client that shows no certificate.
pub(super) fn authority(credentials: &Credentials) -> Vec<(String, String)> {
    vec![(AUTHORITY_FILE.to_owned(), credentials.authority.certificate.clone())]
}
