//! Passwords and keys of a run, made by chance.

use rand::{Rng, distr::Alphanumeric};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};

use sha2::{Digest, Sha256};

use crate::{
    credentials::{BucketAccess, CLIENT_ROLE, Certificate, Credentials},
    plan::Plan,
    topology::{Bucket, OtherServer},
};

const PASSWORD_LENGTH: usize = 24;

/// The name of the run's own authority.
const AUTHORITY: &str = "pgquake, for one run";
/// The name of another one, whom nobody trusts.
const FOREIGN_AUTHORITY: &str = "somebody else";

/// The keys of a run could not be made, or found.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// A certificate could not be made.
    #[error("failed to make a certificate for {whom}: {source}")]
    Certificate {
        /// Its host, or the authority.
        whom: String,
        /// What was wrong.
        source: rcgen::Error,
    },
    /// The environment has no key to a bucket of another server.
    #[error(
        "failed to find the key to the bucket {bucket}: the environment has no variable {variable}; set it to what the server at {host} knows"
    )]
    NoKey {
        /// The bucket.
        bucket: String,
        /// Its server.
        host: String,
        /// What was looked for.
        variable: String,
    },
    /// The certificate of an authority can't be read.
    #[error("failed to read {path}, the authority of the server of the bucket {bucket}: {source}")]
    Authority {
        /// The bucket.
        bucket: String,
        /// The file that the topology names.
        path: String,
        /// What was wrong.
        source: std::io::Error,
    },
}

/// New random passwords and keys, a certificate for each server that speaks TLS, and the keys to other servers' buckets as
/// the environment has them.
///
/// # Errors
/// A host has a name that no certificate can have, or what opens a bucket of another server is not there.
pub fn generate(plan: &Plan) -> Result<Credentials, SecretsError> {
    let mut credentials = Credentials {
        superuser_password: password(),
        replication_password: password(),
        client_password: password(),
        dcs_password: password(),
        dcs_agent_password: password(),
        names_api_key: password(),
        bucket_key_id: password(),
        bucket_secret: password(),
        ..Credentials::default()
    };
    for bucket in &plan.topology.buckets {
        if let Some(server) = &bucket.server {
            credentials.other_buckets.insert(bucket.name.clone(), access(bucket, server)?);
        }
    }
    if plan.speak_tls().next().is_some() {
        let authority = Authority::new(AUTHORITY)?;
        for (host, names) in plan.speak_tls() {
            credentials.certificates.insert(host.to_owned(), authority.certify(&names, Valid::Always)?);
        }
        if !plan.topology.tls.is_off() {
            credentials.client = authority.certify(&[CLIENT_ROLE], Valid::Always)?;
            credentials.revoked = authority.revoke(&[])?;
        }
        credentials.authority = authority.own;
    }
    Ok(credentials)
}

/// What opens a bucket of another server.
fn access(bucket: &Bucket, server: &OtherServer) -> Result<BucketAccess, SecretsError> {
    let variable = |end: &str| {
        let variable = format!("{}_{end}", server.keys);
        std::env::var(&variable).map_err(|_| SecretsError::NoKey {
            bucket: bucket.name.clone(),
            host: bucket.host.clone(),
            variable,
        })
    };
    let authority = std::fs::read_to_string(&server.authority).map_err(|source| SecretsError::Authority {
        bucket: bucket.name.clone(),
        path: server.authority.clone(),
        source,
    })?;
    Ok(BucketAccess { key_id: variable("KEY_ID")?, secret: variable("SECRET")?, authority })
}

fn password() -> String {
    rand::rng().sample_iter(Alphanumeric).take(PASSWORD_LENGTH).map(char::from).collect()
}

/// A certificate for a host with these names that is no longer good: it was for a day, long ago.
///
/// # Errors
/// The authority's key can't be read.
pub fn expired(authority: &Certificate, names: &[&str]) -> Result<Certificate, SecretsError> {
    Authority::known(authority)?.certify(names, Valid::LongAgo)
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It was good for a day, long ago.
    Expired,
    /// Another authority made it.
    Foreign,
    /// It has the name of somebody else.
    Misnamed,
    /// The authority has taken it back.
    Revoked,
}

impl Flaw {
    /// Whether a client that refuses a certificate says that this is why.
    pub fn is_told_by(self, reason: &str) -> bool {
        let words: &[&str] = match self {
            Flaw::Expired => &["expired", "Expired"],
            Flaw::Foreign => &["UnknownIssuer"],
            Flaw::Misnamed => &["not valid for name", "NotValidForName"],
            Flaw::Revoked => &["Revoked", "revoked"],
        };
        words.iter().any(|word| reason.contains(word))
    }
}

/// The name of nobody.
const NOBODY: &str = "elsewhere";

/// A host's certificate anew with something wrong, over the key that the host has already. One that is revoked is as it was.
///
/// # Errors
/// The authority's key or the host's can't be read.
pub fn flawed(
    authority: &Certificate,
    own: &Certificate,
    names: &[&str],
    flaw: Flaw,
) -> Result<Certificate, SecretsError> {
    let known = Authority::known(authority)?;
    let failed = |source| SecretsError::Certificate { whom: names.join(", "), source };
    let key = KeyPair::from_pem(&own.key).map_err(failed)?;
    let certificate = match flaw {
        Flaw::Expired => known.certify_key(&key, EXPIRED, names, Valid::LongAgo)?,
        Flaw::Foreign => Authority::new(FOREIGN_AUTHORITY)?.certify_key(&key, FOREIGN, names, Valid::Always)?,
        Flaw::Misnamed => known.certify_key(&key, MISNAMED, &[NOBODY], Valid::Always)?,
        Flaw::Revoked => own.certificate.clone(),
    };
    Ok(Certificate { certificate, key: own.key.clone() })
}

/// The authority's list of revoked certificates with those of these hosts in it.
///
/// # Errors
/// A key can't be read.
pub fn revoked(authority: &Certificate, of: &[&Certificate]) -> Result<String, SecretsError> {
    let serials: Result<Vec<_>, _> =
        of.iter().map(|own| KeyPair::from_pem(&own.key).map(|key| serial(&key, FIRST))).collect();
    Authority::known(authority)?.revoke(&serials.map_err(of_authority)?)
}

/// Which certificate of a key it is. Patroni reads a file anew only if the certificate in it has another number, so that each flaw
/// has its own: one can take the place of another.
const FIRST: u8 = 1;
const EXPIRED: u8 = 2;
const FOREIGN: u8 = 3;
const MISNAMED: u8 = 4;

/// The serial number of a certificate of a key: of its digest, so that it is known again.
fn serial(key: &KeyPair, which: u8) -> SerialNumber {
    let digest = Sha256::digest(key.public_key_raw());
    // A positive number of at most 20 bytes.
    let mut bytes = digest[..16].to_vec();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    bytes.push(which);
    SerialNumber::from(bytes)
}

/// When a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Valid {
    Always,
    LongAgo,
}

/// Who certifies the servers of a run.
struct Authority {
    own: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Result<Self, SecretsError> {
        let key = KeyPair::generate().map_err(of_authority)?;
        let parameters = authority_parameters(name)?;
        let certificate = parameters.self_signed(&key).map_err(of_authority)?;
        let own = Certificate { certificate: certificate.pem(), key: key.serialize_pem() };
        Ok(Self { own, issuer: Issuer::new(parameters, key) })
    }

    /// The one that made this certificate of its own.
    fn known(own: &Certificate) -> Result<Self, SecretsError> {
        let key = KeyPair::from_pem(&own.key).map_err(of_authority)?;
        Ok(Self { own: own.clone(), issuer: Issuer::new(authority_parameters(AUTHORITY)?, key) })
    }

    /// A certificate for a server with these names.
    fn certify(&self, names: &[&str], valid: Valid) -> Result<Certificate, SecretsError> {
        let failed = |source| SecretsError::Certificate { whom: names.join(", "), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = self.certify_key(&key, FIRST, names, valid)?;
        Ok(Certificate { certificate, key: key.serialize_pem() })
    }

    /// The same for a key that is there already.
    fn certify_key(&self, key: &KeyPair, which: u8, names: &[&str], valid: Valid) -> Result<String, SecretsError> {
        let failed = |source| SecretsError::Certificate { whom: names.join(", "), source };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names.clone()).map_err(failed)?;
        // Not by a common name, which nobody looks at who knows the others: where etcd asks for passwords, its HTTP gateway refuses
        // every certificate that has one, and agents come by that gateway.
        parameters.distinguished_name = DistinguishedName::new();
        if let Some(name) = names.first() {
            parameters.distinguished_name.push(DnType::OrganizationName, name.as_str());
        }
        parameters.use_authority_key_identifier_extension = true;
        parameters.serial_number = Some(serial(key, which));
        if valid == Valid::LongAgo {
            parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2020, 1, 2);
        }
        Ok(parameters.signed_by(key, &self.issuer).map_err(failed)?.pem())
    }
}

impl Authority {
    /// The list of the certificates with these serial numbers, which it takes back.
    fn revoke(&self, serials: &[SerialNumber]) -> Result<String, SecretsError> {
        let revoked = |serial: &SerialNumber| RevokedCertParams {
            serial_number: serial.clone(),
            revocation_time: rcgen::date_time_ymd(2020, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(4096, 1, 1),
            crl_number: SerialNumber::from(1 + serials.len() as u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).map_err(of_authority)?.pem().map_err(of_authority)
    }
}

/// What the authority says of itself: the same each time, so that it is known again by its key.
fn authority_parameters(name: &str) -> Result<CertificateParams, SecretsError> {
    let mut parameters = CertificateParams::new(Vec::new()).map_err(of_authority)?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Python asks an authority what its key is for, and a server which authority it has.
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

fn of_authority(source: rcgen::Error) -> SecretsError {
    SecretsError::Certificate { whom: "the authority".to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::load;

    fn plan(change: impl Fn(&mut crate::topology::Topology)) -> Plan {
        let mut topology = load("single-region-archive", &[]).unwrap();
        change(&mut topology);
        Plan::new(topology)
    }

    #[test]
    fn passwords_differ_and_do_not_print() {
        let credentials = generate(&plan(|_| {})).unwrap();
        assert_ne!(credentials.superuser_password, credentials.client_password);
        assert_ne!(credentials, generate(&plan(|_| {})).unwrap());
        assert!(!format!("{credentials:?}").contains(&credentials.client_password));
    }

    #[test]
    fn each_server_has_a_certificate_and_every_line_of_a_key_is_a_secret() {
        let credentials = generate(&plan(|_| {})).unwrap();
        assert_eq!(credentials.certificates.keys().collect::<Vec<_>>(), ["storage"]);
        assert!(credentials.authority.certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        let secrets = credentials.secrets();
        for known in credentials.certificates.values().chain([&credentials.authority]) {
            let line = known.key.lines().nth(1).unwrap();
            assert!(secrets.iter().any(|secret| secret == line), "a line of a key is no secret");
            assert!(!secrets.iter().any(|secret| known.certificate.contains(secret.as_str())));
        }
        let expired = expired(&credentials.authority, &["storage"]).unwrap();
        assert_ne!(expired.certificate, credentials.certificates["storage"].certificate);
    }

    /// What a client says that trusts the authority and looks for `node1`; `None`: it takes the certificate.
    fn refused(authority: &Certificate, shown: &Certificate) -> Option<String> {
        use rustls::{
            RootCertStore,
            client::{WebPkiServerVerifier, danger::ServerCertVerifier},
            pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
        };
        let read = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(read(&authority.certificate)).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
        let name = ServerName::try_from("node1").unwrap();
        let now = UnixTime::now();
        let verified = verifier.verify_server_cert(&read(&shown.certificate), &[], &name, &[], now);
        verified.err().map(|error| error.to_string())
    }

    #[test]
    fn a_flawed_certificate_is_refused_for_its_flaw_and_has_the_same_key() {
        let mut topology = load("tls", &[]).unwrap();
        topology.tls.dcs = false;
        let credentials = generate(&Plan::new(topology)).unwrap();
        let (authority, own) = (&credentials.authority, &credentials.certificates["node1"]);
        assert_eq!(refused(authority, own), None);
        for flaw in [Flaw::Expired, Flaw::Foreign, Flaw::Misnamed] {
            let flawed = flawed(authority, own, &["node1"], flaw).unwrap();
            let reason = refused(authority, &flawed).unwrap_or_default();
            assert!(flaw.is_told_by(&reason), "{flaw:?}: {reason}");
            let others = [Flaw::Expired, Flaw::Foreign, Flaw::Misnamed, Flaw::Revoked];
            assert_eq!(others.iter().filter(|other| other.is_told_by(&reason)).count(), 1, "{reason}");
            assert_eq!(flawed.key, own.key);
        }
        let list = revoked(authority, &[own]).unwrap();
        assert!(list.starts_with("-----BEGIN X509 CRL-----") && list != credentials.revoked);
        // Every key of it is a secret, the harness's own too.
        let secrets = credentials.secrets();
        assert!(secrets.iter().any(|secret| credentials.client.key.contains(secret.as_str())));
    }

    #[test]
    fn what_opens_a_bucket_of_another_server_must_be_there() {
        let elsewhere = |authority: &str| {
            let server = OtherServer { authority: authority.to_owned(), keys: "PGQUAKE_TEST_NOBODY".to_owned() };
            plan(|topology| {
                let bucket = &mut topology.buckets[0];
                (bucket.host, bucket.server) = ("s3.example.org".to_owned(), Some(server.clone()));
            })
        };
        let told = |plan: &Plan| generate(plan).err().map(|error| error.to_string()).unwrap_or_default();
        let missing = told(&elsewhere("no-such-file.pem"));
        assert!(missing.contains("no-such-file.pem") && missing.contains("bucket pgquake-backups"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, "PEM").unwrap();
        let missing = told(&elsewhere(&authority.display().to_string()));
        assert!(missing.contains("PGQUAKE_TEST_NOBODY_KEY_ID") && missing.contains("s3.example.org"), "{missing}");
    }
}
