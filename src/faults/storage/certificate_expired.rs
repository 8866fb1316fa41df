//! `certificate_expired`: nobody has renewed the certificate of an S3 server, or of a host that speaks TLS.

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, minio, on_minio, server};
use crate::{
    faults::certificate::flawed,
    plan::Plan,
    s3::S3Error,
    system::{Flaw, StorageError, System},
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "certificate_expired",
    effect: "the S3 server, or PostgreSQL, etcd, PgBouncer and Patroni's REST API of the host, show a certificate that is no longer \
             good to everybody who connects from then on, and are refused with it where they connect; connections that are \
             open stay open",
    confirmed_by: "a new connection to each of them ends with an expired certificate; healed when one is answered",
    limits: "the host must serve a bucket, or the topology's `tls` must have a service of it answer over TLS",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct CertificateExpired {
    host: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    if !plan.topology.tls.is_off() {
        return flawed(KIND.name, plan, aim, Flaw::Expired);
    }
    Ok(Box::new(CertificateExpired { host: server(KIND.name, plan, aim)? }))
}

#[async_trait]
impl Fault for CertificateExpired {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![minio(&self.host)]
    }

    fn stands_on(&self) -> Vec<Place> {
        on_minio(&self.host)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.expire_certificate(&self.host).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match system.s3_answers(&self.host).await {
            Err(StorageError::S3(S3Error::Certificate { reason, .. })) => {
                Ok(format!("a new connection to {} ends: {reason}", self.host))
            }
            Err(other) => Err(other.to_string()),
            Ok(()) => Err(format!("{} answers a new connection", self.host)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.renew_certificate(&self.host).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        system.s3_answers(&self.host).await.map_err(|error| error.to_string())?;
        Ok(format!("{} answers a new connection", self.host))
    }
}
