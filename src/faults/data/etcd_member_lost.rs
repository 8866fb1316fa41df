//! `etcd_member_lost`: a member of etcd dies, and its data with it.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, process},
    plan::Plan,
    services::etcd::DATA_DIRECTORY,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "etcd_member_lost",
    effect: "every process of the member gets SIGKILL, and its data directory is removed, as when its disk is gone; \
             healing starts it with whatever is there by then: nothing, or what an operator has restored",
    confirmed_by: "no process of it is left, and its data directory was there and is gone; healed when it runs again",
    limits: "the host must run etcd; one member alone that begins without its data is no member that the others know",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

const ETCD: ServiceKind = ServiceKind::Etcd;

struct EtcdMemberLost {
    host: String,
    /// How many files there were before and after.
    files: Option<(u64, u64)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let host = aim.one_host(KIND.name)?;
    if !plan.runs(host, ETCD) {
        return Err(aim.refuse(KIND.name, format!("{host} does not run etcd")));
    }
    Ok(Box::new(EtcdMemberLost { host: host.to_owned(), files: None }))
}

#[async_trait]
impl Fault for EtcdMemberLost {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), ETCD.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), ETCD.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), ETCD.into())]
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        process::signal_service(system, &self.host, &ETCD.into(), "KILL").await?;
        process::wait_until_stopped(system, &self.host, &ETCD.into()).await?;
        let files = format!("find {DATA_DIRECTORY} -type f 2>/dev/null | wc -l");
        let script = format!("{files}; rm -rf {DATA_DIRECTORY}; {files}");
        let told = system.with_data_of(&self.host, ETCD, &script).await?.text;
        let mut counts = told.split_whitespace().filter_map(|count| count.parse().ok());
        self.files = counts.next().zip(counts.next());
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let pids =
            process::pids_of_service(system, &self.host, &ETCD.into()).await.map_err(|error| error.to_string())?;
        if !pids.is_empty() {
            return Err(format!("processes {pids} of etcd are left on {}", self.host));
        }
        match self.files {
            Some((before, 0)) if before > 0 => {
                Ok(format!("no process of etcd is left on {}, and none of its {before} files", self.host))
            }
            counted => Err(format!("files in {DATA_DIRECTORY} of {} before and after: {counted:?}", self.host)),
        }
    }

    /// Docker has to say that a process has ended, and a container is made to remove its data.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        process::start_again(system, &self.host, &ETCD.into()).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let pids =
            process::pids_of_service(system, &self.host, &ETCD.into()).await.map_err(|error| error.to_string())?;
        match pids.is_empty() {
            true => Err(format!("etcd does not run on {}", self.host)),
            false => Ok(format!("etcd runs on {} (processes {pids})", self.host)),
        }
    }
}
