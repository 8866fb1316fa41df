//! Faults of the certificates of hosts that speak TLS by the topology's word: who connects refuses them from then on.

pub(super) mod certificate_foreign;
pub(super) mod certificate_misnamed;
pub(super) mod certificate_revoked;

use std::time::Duration;

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, Place, Process};
use crate::{
    plan::Plan,
    services::Tls,
    system::{Flaw, System},
    topology::{Instance, ServiceKind},
};

/// A certificate with something wrong, on one host.
pub(super) struct Flawed {
    host: String,
    services: Vec<Instance>,
    flaw: Flaw,
    /// How long the host's agent sleeps before it reads its certificate anew.
    loop_wait: Duration,
}

/// How long all else may take until a certificate is shown.
const SHOWN_WITHIN: Duration = Duration::from_secs(20);
/// How long the services of a host may take to answer again.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Aims a flaw at a host that speaks TLS.
pub(super) fn flawed(fault: &'static str, plan: &Plan, aim: &Aim, flaw: Flaw) -> Result<Box<dyn Fault>, FaultError> {
    let host = aim.one_host(fault)?;
    let tls = plan.topology.tls;
    let all = plan.services_on(host);
    if !all.iter().any(|own| is_shown(tls, own.kind, flaw)) {
        let kinds: Vec<_> = all.iter().map(|own| own.kind.name()).collect();
        let why = match flaw {
            Flaw::Revoked => "PostgreSQL there speaks no TLS, and nobody looks whether another certificate is revoked",
            _ => "by its topology's `tls` nothing there does",
        };
        return Err(aim.refuse(fault, format!("{host} shows no certificate: {why} ({})", kinds.join(", "))));
    }
    let services = all.into_iter().filter(|own| tls.concerns(own.kind)).collect();
    let settings = plan.cluster_of(host).map_or(&plan.topology.settings, |cluster| plan.settings_of(cluster));
    let loop_wait = Duration::from_secs(settings.patroni.loop_wait_s.into());
    Ok(Box::new(Flawed { host: host.to_owned(), services, flaw, loop_wait }))
}

/// Whether whoever connects to a service of this kind sees the certificate of its host, and looks for this flaw. An agent that asks
/// others over TLS, and is asked without, shows none.
fn is_shown(tls: Tls, kind: ServiceKind, flaw: Flaw) -> bool {
    match (kind, flaw) {
        (ServiceKind::Patroni, Flaw::Revoked) => tls.postgresql,
        (_, Flaw::Revoked) => false,
        (ServiceKind::Patroni, _) => tls.postgresql || tls.patroni,
        (kind, _) => tls.concerns(kind),
    }
}

#[async_trait]
impl Fault for Flawed {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.iter().map(|own| (self.host.clone(), own.clone())).collect()
    }

    /// A process that is dead or frozen shows nothing, whatever becomes of its service.
    fn stands_on(&self) -> Vec<Place> {
        let services = self.services.iter().map(|own| Place::Service(self.host.clone(), own.clone()));
        let is_own = |process: &Process| self.services.iter().any(|own| own.kind == process.service());
        let processes = Process::all().filter(|process| is_own(process) && !process.is_backend());
        let processes = processes.map(|process| Place::Process(self.host.clone(), process));
        [Place::Certificate(self.host.clone())].into_iter().chain(services).chain(processes).collect()
    }

    /// A certificate with another flaw takes its place, and gives it back.
    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Certificate(self.host.clone())]
    }

    /// Patroni reads its certificate anew in the next run of its loop.
    fn confirmed_within(&self) -> Duration {
        SHOWN_WITHIN + self.loop_wait
    }

    fn healed_within(&self) -> Duration {
        ANSWERED_WITHIN + self.loop_wait
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
        Ok(system.mend_certificate(&self.host, self.flaw).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let shown = system.certificate_shown(&self.host, self.flaw).await?;
        match shown.iter().find_map(|own| Some((&own.what, own.refused.as_ref()?))) {
            Some((what, reason)) => Err(format!("{what} ends: {reason}")),
            None => Ok(format!("{} answers new connections over TLS", self.host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{faults::Parameters, topology::load};

    fn aimed(topology: &str, tls: Tls, host: &str, flaw: Flaw) -> Result<Box<dyn Fault>, String> {
        let mut topology = load(topology, &[]).unwrap();
        topology.tls = tls;
        let aim = Aim {
            hosts: vec![host.to_owned()],
            described: host.to_owned(),
            services: Vec::new(),
            parameters: Parameters::default(),
        };
        flawed("a flaw", &Plan::new(topology), &aim, flaw).map_err(|error| error.to_string())
    }

    const ALL: Tls = Tls { postgresql: true, dcs: true, patroni: true };

    #[test]
    fn a_flaw_that_nobody_could_see_is_refused() {
        let dcs = Tls { dcs: true, ..Tls::default() };
        let refused = |topology, tls, host, flaw| aimed(topology, tls, host, flaw).err().unwrap_or_default();
        // Its agent is a client of etcd and nothing else; etcd itself shows one.
        let agent = refused("two-region-tls", dcs, "west2", Flaw::Foreign);
        assert!(agent.contains("west2 shows no certificate: by its topology's `tls` nothing there does"), "{agent}");
        assert_eq!(refused("two-region-tls", dcs, "east3", Flaw::Foreign), "");
        // Members and clients of etcd look at no list.
        for (tls, host) in [(ALL, "east3"), (dcs, "east1")] {
            let revoked = refused("two-region-tls", tls, host, Flaw::Revoked);
            assert!(revoked.contains("nobody looks whether another certificate is revoked"), "{revoked}");
        }
        assert_eq!(refused("two-region-tls", ALL, "west2", Flaw::Revoked), "");
    }

    #[test]
    fn an_agent_that_sleeps_for_long_has_the_time_to_read_its_certificate() {
        let mut topology = load("tls", &[]).unwrap();
        topology.settings.patroni.loop_wait_s = 90;
        let aim = Aim {
            hosts: vec!["node1".to_owned()],
            described: "node1".to_owned(),
            services: Vec::new(),
            parameters: Parameters::default(),
        };
        let fault = flawed("a flaw", &Plan::new(topology), &aim, Flaw::Foreign).unwrap();
        assert!(fault.confirmed_within() > Duration::from_secs(90));
        assert!(fault.healed_within() > Duration::from_secs(90));
    }

    #[test]
    fn it_is_suspended_by_another_flaw_and_by_the_death_of_what_shows_it() {
        let fault = aimed("documented-ha-tls", ALL, "node1", Flaw::Expired).unwrap();
        let other = aimed("documented-ha-tls", ALL, "node1", Flaw::Revoked).unwrap();
        let elsewhere = aimed("documented-ha-tls", ALL, "node2", Flaw::Expired).unwrap();
        let loses = |lost: &Place| fault.stands_on().iter().any(|own| own.is_lost_with(lost));
        assert!(other.takes_away().iter().any(loses) && !elsewhere.takes_away().iter().any(loses));
        let process = |word: &str| Place::Process("node1".to_owned(), Process::parse(word).unwrap());
        for word in ["PostgreSQL", "the Patroni agent", "etcd", "PgBouncer"] {
            assert!(loses(&process(word)), "{word}");
        }
        assert!(loses(&Place::Host("node1".to_owned())) && !loses(&process("the checkpointer")));
    }
}
