//! Whom the harness trusts as a client of a run's servers, and what it shows them.

use std::{fmt, sync::Arc};

use rcgen::generate_simple_self_signed;
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
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

    /// An authority of somebody else's, which has certified nobody here.
    ///
    /// # Errors
    /// None could be made.
    pub fn foreign() -> Result<Self, TrustError> {
        let made = generate_simple_self_signed(["elsewhere".to_owned()]);
        let authority = made.map_err(|error| TrustError(error.to_string()))?.cert.pem();
        let config = Arc::new(trusting(&authority, None).map_err(TrustError)?);
        Ok(Self { config, authority: authority.into(), own: Arc::default() })
    }

    /// The same, and it refuses whoever stands in this list of revoked certificates.
    ///
    /// # Errors
    /// The list can't be read.
    pub fn looking_at(&self, list: &str) -> Result<Self, TrustError> {
        let unread = |error: &dyn fmt::Display| TrustError(error.to_string());
        let lists = CertificateRevocationListDer::pem_slice_iter(list.as_bytes()).collect::<Result<Vec<_>, _>>();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(roots(&self.authority).map_err(TrustError)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .with_crls(lists.map_err(|error| unread(&error))?)
            .only_check_end_entity_revocation()
            .build()
            .map_err(|error| unread(&error))?;
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| unread(&error))?.with_webpki_verifier(verifier);
        Ok(Self { config: Arc::new(tls.with_no_client_auth()), ..self.clone() })
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
    let roots = roots(authority)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls.map_err(|error| error.to_string())?.with_root_certificates(roots);
    let Some(own) = own else { return Ok(tls.with_no_client_auth()) };
    let chain = certificates(&own.certificate).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).map_err(|error| error.to_string())?;
    tls.with_client_auth_cert(chain, key).map_err(|error| error.to_string())
}

fn roots(authority: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authority) {
        roots.add(certificate?).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(roots) }
}

fn certificates(pem: &str) -> impl Iterator<Item = Result<CertificateDer<'static>, String>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|read| read.map_err(|error| error.to_string()))
}
