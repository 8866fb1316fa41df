//! Faults of the certificates of hosts that speak TLS by the topology's word: who connects refuses them from then on.

pub(super) mod certificate_foreign;
pub(super) mod certificate_misnamed;
pub(super) mod certificate_revoked;

use std::time::Duration;

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, Place};
use crate::{
    plan::Plan,
    system::{Flaw, System},
    topology::Instance,
};

/// A certificate with something wrong, on one host.
pub(super) struct Flawed {
    host: String,
    services: Vec<Instance>,
    flaw: Flaw,
}

/// Aims a flaw at a host that speaks TLS.
pub(super) fn flawed(fault: &'static str, plan: &Plan, aim: &Aim, flaw: Flaw) -> Result<Box<dyn Fault>, FaultError> {
    let host = aim.one_host(fault)?;
    let speaks = |own: &Instance| plan.topology.tls.concerns(own.kind);
    let services: Vec<Instance> = plan.services_on(host).into_iter().filter(speaks).collect();
    if services.is_empty() {
        let kinds: Vec<_> = plan.services_on(host).iter().map(|own| own.kind.name()).collect();
        let reason =
            format!("{host} shows no certificate: by its topology's `tls` nothing there does ({})", kinds.join(", "));
        return Err(aim.refuse(fault, reason));
    }
    Ok(Box::new(Flawed { host: host.to_owned(), services, flaw }))
}

#[async_trait]
impl Fault for Flawed {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.iter().map(|own| (self.host.clone(), own.clone())).collect()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.services.iter().map(|own| Place::Service(self.host.clone(), own.clone())).collect()
    }

    /// Patroni reads its certificate anew in the next run of its loop.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.spoil_certificate(&self.host, self.flaw).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let mut told = Vec::new();
        for shown in system.certificate_shown(&self.host, self.flaw).await? {
            match shown.refused {
                Some(reason) if self.flaw.is_told_by(&reason) => {
                    told.push(format!("{} ends: {reason}", shown.what));
                }
                Some(reason) => return Err(format!("{} ends for another reason: {reason}", shown.what)),
                None => return Err(format!("{} is answered", shown.what)),
            }
        }
        Ok(told.join("; "))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.mend_certificate(&self.host).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let shown = system.certificate_shown(&self.host, self.flaw).await?;
        match shown.iter().find_map(|own| Some((&own.what, own.refused.as_ref()?))) {
            Some((what, reason)) => Err(format!("{what} ends: {reason}")),
            None => Ok(format!("{} answers new connections over TLS", self.host)),
        }
    }
}
