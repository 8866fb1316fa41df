//! The certificates of hosts that speak TLS: given anew with something wrong, and what clients say of them.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::timeout;

use super::{Login, Session, System};
use crate::{
    credentials::Certificate,
    engine::EngineError,
    http,
    secrets::{self, SecretsError},
    services::{
        ServiceKind, etcd, patroni,
        patroni::{POSTGRESQL_PORT, REST_PORT},
        tls::{CERTIFICATE_FILE, COPY, KEY_FILE, REVOKED_FILE},
    },
    topology::Instance,
    trust::{Trust, TrustError},
};

pub use crate::secrets::Flaw;

/// How long a new connection may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A certificate could not be given to a host.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Docker did not do what it was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// None could be made.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// It can't be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// What a client sees of a host's certificate.
#[doc(hidden)]
pub struct Shown {
    /// The port, in words.
    pub what: String,
    /// Why the client refuses it; `None`: it is answered.
    pub refused: Option<String>,
}

#[doc(hidden)]
impl System {
    /// Gives a host a certificate with something wrong, and has its services show that.
    pub async fn spoil_certificate(&self, host: &str, flaw: Flaw) -> Result<(), CertificateError> {
        if flaw == Flaw::Revoked {
            return self.change_revoked(|revoked| _ = revoked.insert(host.to_owned())).await;
        }
        let credentials = &self.access().credentials;
        let own = credentials.certificates.get(host).cloned().unwrap_or_default();
        let names = self.plan().speak_tls().find(|(name, _)| *name == host).map(|(_, names)| names);
        let flawed = secrets::flawed(&credentials.authority, &own, &names.unwrap_or_default(), flaw)?;
        self.give(host, &flawed).await
    }

    /// Gives it back the one that it began with, or takes back that it is revoked.
    pub async fn mend_certificate(&self, host: &str, flaw: Flaw) -> Result<(), CertificateError> {
        if flaw == Flaw::Revoked {
            return self.change_revoked(|revoked| _ = revoked.remove(host)).await;
        }
        let own = self.access().credentials.certificates.get(host).cloned().unwrap_or_default();
        self.give(host, &own).await
    }

    /// Changes whose certificates are revoked, and gives every node the list of them all: one after the other, so that none is lost.
    async fn change_revoked(&self, change: impl FnOnce(&mut BTreeSet<String>)) -> Result<(), CertificateError> {
        let mut hosts = self.inner.revoked.lock().await;
        change(&mut hosts);
        let credentials = &self.access().credentials;
        let revoked: Vec<_> = hosts.iter().filter_map(|host| credentials.certificates.get(host)).collect();
        self.give_list(&secrets::revoked(&credentials.authority, &revoked)?).await
    }

    async fn give(&self, host: &str, new: &Certificate) -> Result<(), CertificateError> {
        let own: Vec<Instance> = self.services_on(host).map(|(own, _)| own.clone()).collect();
        for which in own.iter().filter(|own| self.plan().topology.tls.concerns(own.kind)) {
            let Some(service) = self.service(host, which) else { continue };
            self.engine().write_file(service, CERTIFICATE_FILE, new.certificate.as_bytes()).await?;
            self.engine().write_file(service, KEY_FILE, new.key.as_bytes()).await?;
            self.read_again(host, which).await?;
        }
        Ok(())
    }

    /// Gives every node a list of revoked certificates.
    async fn give_list(&self, list: &str) -> Result<(), CertificateError> {
        for node in &self.plan().nodes {
            let Some(service) = self.service(node, ServiceKind::Patroni) else { continue };
            self.engine().write_file(service, REVOKED_FILE, list.as_bytes()).await?;
            self.read_again(node, &ServiceKind::Patroni.into()).await?;
        }
        Ok(())
    }

    /// Has a service read its files again. etcd does for each connection.
    async fn read_again(&self, host: &str, which: &Instance) -> Result<(), EngineError> {
        let Some(pod) = self.pod(host) else { return Ok(()) };
        match which.kind {
            ServiceKind::Patroni => {
                let Some(service) = self.service(host, which) else { return Ok(()) };
                if !self.engine().service_runs(service).await? {
                    // Its entry point copies them.
                    return Ok(());
                }
                let done =
                    self.engine().run_in_service(service, &format!("runuser -u postgres -- sh -c '{COPY}'")).await?;
                if done.status != 0 {
                    let (host, command) = (host.to_owned(), COPY.to_owned());
                    return Err(EngineError::Command { host, command, status: done.status, output: done.text });
                }
                let (agent, server) = (patroni::AGENT.pattern, patroni::POSTMASTER.pattern);
                // One that does not run reads them when it starts.
                pod.shell.run(&format!("pkill -HUP --full '{agent}'; pkill -HUP --full '{server}'")).await?;
            }
            ServiceKind::Pgbouncer => {
                pod.shell.run("pkill -HUP -x pgbouncer").await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What a client sees of a host's certificate that looks for this flaw, at each of its ports.
    ///
    /// # Errors
    /// No client can be made.
    pub async fn certificate_shown(&self, host: &str, flaw: Flaw) -> Result<Vec<Shown>, String> {
        let (access, tls) = (self.access(), self.access().tls());
        let mut shown = Vec::new();
        if tls.postgresql && self.plan().runs(host, ServiceKind::Patroni) {
            let login = match flaw {
                Flaw::Revoked => {
                    let list = self.list_at_hand(host).await?;
                    let trust = Trust::of(&access.credentials).and_then(|trust| trust.looking_at(&list));
                    access.login_trusting(&trust.map_err(|error| error.to_string())?)
                }
                _ => access.login(),
            };
            let refused = self.session_refused(host, POSTGRESQL_PORT, &login).await?;
            let refused = refused.map(|refused| refused.reason);
            shown.push(Shown { what: format!("a new session at {host}"), refused });
        }
        if flaw == Flaw::Revoked {
            return Ok(shown);
        }
        for pooler in self.plan().poolers().filter(|pooler| tls.postgresql && pooler.host == host) {
            let refused = self.session_refused(host, pooler.port, &access.login()).await?;
            // What it says of the server behind it, it says over TLS.
            let refused = refused.filter(|refused| !refused.is_over_tls).map(|refused| refused.reason);
            shown.push(Shown { what: format!("a new session at {host}:{}", pooler.port), refused });
        }
        let member = (tls.dcs && self.plan().runs(host, ServiceKind::Etcd)).then_some((etcd::CLIENT_PORT, "version"));
        let agent = (tls.patroni && self.plan().runs(host, ServiceKind::Patroni)).then_some((REST_PORT, "liveness"));
        for (port, path) in member.into_iter().chain(agent) {
            let url = access.url(host, port, true).ok_or_else(|| format!("{host} is not published"))?;
            // No connection that is open already.
            let client =
                access.http(http::client().timeout(ANSWER_WITHIN)).build().map_err(|error| error.to_string())?;
            let refused = client.get(format!("{url}/{path}")).send().await.err().map(|error| http::causes(&error));
            shown.push(Shown { what: format!("a new connection to {host}:{port}"), refused });
        }
        Ok(shown)
    }

    /// Why a new session is refused; `None`: it is opened.
    async fn session_refused(&self, host: &str, port: u16, login: &Login) -> Result<Option<Refused>, String> {
        let address = self.access().address(host, port).ok_or_else(|| format!("{host}:{port} is not published"))?;
        Ok(match timeout(ANSWER_WITHIN, Session::open(address, login, "pgquake probe")).await {
            Ok(Ok(session)) => {
                session.close().await;
                None
            }
            Ok(Err(error)) => Some(Refused { is_over_tls: error.sqlstate().is_some(), reason: error.to_string() }),
            Err(_) => Some(Refused { is_over_tls: false, reason: "no session came in time".to_owned() }),
        })
    }

    /// The list of revoked certificates that the other nodes look at: as the first one has it whose container runs.
    async fn list_at_hand(&self, host: &str) -> Result<String, String> {
        let nodes = &self.plan().nodes;
        let others = nodes.iter().filter(|node| *node != host).chain(nodes.iter().filter(|node| *node == host));
        let mut why = format!("no node has a list in which {host} could stand");
        for node in others {
            let Some(service) = self.service(node, ServiceKind::Patroni) else { continue };
            let read = format!("cat {}/revoked.crl", crate::services::tls::OF_POSTGRESQL);
            match self.engine().run_in_service(service, &read).await {
                Ok(done) if done.status == 0 => return Ok(done.text),
                Ok(done) => why = done.text,
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

/// Why a session is not opened.
struct Refused {
    /// Whether the server says so itself, once its certificate was accepted.
    is_over_tls: bool,
    reason: String,
}
