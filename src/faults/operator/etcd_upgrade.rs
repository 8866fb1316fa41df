//! `etcd_upgrade`: an operator has a member of etcd run in another version.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes,
        operator::{etcdctl, programs},
        process,
    },
    plan::Plan,
    services::versions,
    system::System,
    topology::{Instance, ServiceKind},
    waiting::wait_until,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "etcd_upgrade",
    effect: "another version takes the place of the member's, which gets SIGTERM, hands its leadership over if it has it, and \
             is started again with its data; one that does not end within 20 s gets SIGKILL",
    confirmed_by: "the member's own `/version` names the new version, and it answers a linearizable read; healing goes back \
                   only where the member did not start in the new version",
    limits: "the host must run etcd in the image of versions, that is the topology must name a version; once every member \
             is newer, etcd raises the version of the cluster, and refuses older members until `etcdctl downgrade enable`",
    parameters: &[Parameter::required(programs::TO, Takes::Text, "the version: 3.5 or 3.6")],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

const ETCD: ServiceKind = ServiceKind::Etcd;

struct EtcdUpgrade {
    aim: Aim,
    member: String,
    /// A line, as `3.6`.
    to: String,
    version_before: String,
    /// How it ended, in words.
    ended: String,
}

/// How long a member may take to tell its version, once it was started.
const TELLS_WITHIN: Duration = Duration::from_secs(10);

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let member = etcdctl::member(KIND.name, plan, aim)?;
    if !plan.has_other_versions(&member, ETCD) {
        let reason = format!(
            "{member} runs in an image without other versions: write `Given the version of \"etcd\" is \"3.5\"` for the \
             one that it begins with"
        );
        return Err(aim.refuse(KIND.name, reason));
    }
    let to = aim.parameters.text(programs::TO).unwrap_or_default();
    if !versions::ETCD.contains(&to.as_str()) {
        return Err(programs::unknown(aim, "etcd", format!("known: {}", versions::ETCD.join(", "))));
    }
    Ok(Box::new(EtcdUpgrade { aim: aim.clone(), member, to, version_before: String::new(), ended: String::new() }))
}

impl EtcdUpgrade {
    /// Has the entry point start this line the next time.
    async fn choose(&self, system: &System, line: &str) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.member, ETCD) else { return Ok(()) };
        let content = format!("etcd {line}\n");
        Ok(system.engine().write_file(service, versions::FILE, content.as_bytes()).await?)
    }

    /// Stops the member as a service manager does, and says how it ended: with SIGKILL if SIGTERM does not end it.
    async fn stop(&self, system: &System) -> Result<String, FaultError> {
        let (begun, service) = (Instant::now(), ETCD.into());
        process::signal_service(system, &self.member, &service, "TERM").await?;
        if process::wait_until_stopped(system, &self.member, &service).await.is_ok() {
            return Ok(format!("it ended within {:.1} s of SIGTERM", begun.elapsed().as_secs_f64()));
        }
        process::signal_service(system, &self.member, &service, "KILL").await?;
        process::wait_until_stopped(system, &self.member, &service).await?;
        Ok("SIGTERM did not end it, so it got SIGKILL".to_owned())
    }
}

#[async_trait]
impl Fault for EtcdUpgrade {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.member.clone(), ETCD.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ETCD.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ETCD.into())]
    }

    /// The member reads its data and catches up with the others.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let told = system.etcd_versions(&self.member).await.map_err(|reason| self.aim.refuse(KIND.name, reason))?;
        if versions::is_meant(&self.to, &told.server) {
            return Err(self.aim.refuse(KIND.name, format!("etcd there is {} already", told.server)));
        }
        self.version_before = told.server;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.choose(system, &self.to).await?;
        self.ended = self.stop(system).await?;
        process::start_again(system, &self.member, &ETCD.into()).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let (member, before) = (&self.member, &self.version_before);
        let told = system.etcd_versions(member).await?;
        if !versions::is_meant(&self.to, &told.server) {
            return Err(format!("etcd on {member} is {}", told.server));
        }
        etcdctl::look(system, member, "ETCDCTL_COMMAND_TIMEOUT=2s etcdctl get pgquake").await?;
        let (server, cluster, ended) = (told.server, told.cluster, &self.ended);
        Ok(format!(
            "etcd on {member} was {before} and is {server}, in a cluster of version {cluster}; {ended}, and answers a linearizable read"
        ))
    }

    /// It stays as it is: going back is an upgrade to the version before. One that did not start, because etcd does not take the
    /// version, gets the one before.
    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::start_again(system, &self.member, &ETCD.into()).await?;
        let what = format!("etcd on {} to tell its version", self.member);
        if wait_until(&what, TELLS_WITHIN, || system.etcd_versions(&self.member)).await.is_err()
            && let Some(line) = versions::ETCD.iter().find(|line| versions::is_meant(line, &self.version_before))
        {
            self.choose(system, line).await?;
            process::start_again(system, &self.member, &ETCD.into()).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let told = system.etcd_versions(&self.member).await?;
        etcdctl::look(system, &self.member, "ETCDCTL_COMMAND_TIMEOUT=2s etcdctl get pgquake").await?;
        Ok(format!("etcd {} on {} answers a linearizable read", told.server, self.member))
    }
}
