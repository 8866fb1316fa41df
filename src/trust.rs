//! Whom the harness trusts as a client of a run's servers, and what it shows them.

use std::{fmt, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::credentials::{Certificate, Credentials};

/// The authority of a run, and the harness's own certificate. Cheap to clone.
#[derive(Clone)]
pub struct Trust {
    /// TLS that trusts that authority alone and shows that certificate.
    pub config: Arc<ClientConfig>,
    /// The authority's certificate, as PEM.
    pub authority: Arc<str>,
    /// The certificate that is shown.
    pub own: Arc<Certificate>,
}

/// A certificate or a key can't be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the certificates of the run: {0}")]
pub struct TrustError(pub String);

impl Trust {
    /// What a run's credentials say.
    ///
    /// # Errors
    /// They hold no certificates, or some that can't be read.
    pub fn of(credentials: &Credentials) -> Result<Self, TrustError> {
        let (authority, own) = (&credentials.authority.certificate, &credentials.client);
        Ok(Self {
            config: Arc::new(trusting(authority, Some(own)).map_err(TrustError)?),
            authority: authority.as_str().into(),
            own: Arc::new(own.clone()),
        })
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Trust(hidden)")
    }
}

/// TLS that trusts the authorities of a PEM file and no other, and shows this certificate, if any.
///
/// # Errors
/// What is wrong with one of them, in words.
pub fn trusting(authority: &str, own: Option<&Certificate>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority) {
        roots.add(certificate?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let Some(own) = own else { return Ok(tls.with_no_client_auth()) };
    let chain = certificates(&own.certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|error| error.to_string())?;
    tls.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

fn certificates(pem: &str) -> impl Iterator<Item = Result<CertificateDer<'static>, String>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|read| read.map_err(|error| error.to_string()))
}
