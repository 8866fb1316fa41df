//! `etcd_defragmentation`: an operator has a member of etcd write its store anew.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place,
        operator::etcdctl::{self, STORE_BYTES},
    },
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "etcd_defragmentation",
    effect: "`etcdctl defrag`: the member copies what is left in its store into a new file, and answers nobody meanwhile; \
             how long depends on how much is left",
    confirmed_by: "etcdctl says that it is done, and the store is no larger than before; healed when the member answers",
    limits: "the host must run etcd; a store that nothing was removed from is done in milliseconds",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

struct EtcdDefragmentation {
    aim: Aim,
    member: String,
    bytes_before: u64,
    took: Option<Duration>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let member = etcdctl::member(KIND.name, plan, aim)?;
    Ok(Box::new(EtcdDefragmentation { aim: aim.clone(), member, bytes_before: 0, took: None }))
}

#[async_trait]
impl Fault for EtcdDefragmentation {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.member.clone(), ServiceKind::Etcd.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ServiceKind::Etcd.into())]
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let bytes = etcdctl::status(system, &self.member, STORE_BYTES).await;
        self.bytes_before = bytes.map_err(etcdctl::refusing(&self.aim, KIND.name))?;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let begun = Instant::now();
        etcdctl::at(system, &self.member, "etcdctl defrag").await?;
        self.took = Some(begun.elapsed());
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let took = self.took.ok_or("etcdctl has not said that it is done")?;
        let (before, now) = (self.bytes_before, etcdctl::status(system, &self.member, STORE_BYTES).await?);
        // What is written meanwhile may make an empty store a page or two larger.
        if now > before + before / 10 + 65_536 {
            return Err(format!("the store of {} has {now} bytes, and had {before}", self.member));
        }
        Ok(format!("{} wrote its store of {before} bytes anew in {} ms: it has {now}", self.member, took.as_millis()))
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        etcdctl::look(system, &self.member, "etcdctl get pgquake").await?;
        Ok(format!("{} answers", self.member))
    }
}
