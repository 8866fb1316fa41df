//! `etcd_compaction`: an operator drops the history of etcd's keys.

use async_trait::async_trait;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place,
        operator::etcdctl::{self, REVISION},
    },
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "etcd_compaction",
    effect: "`etcdctl compact` drops the history of every key up to the revision of that moment: a watch from an older \
             one is refused",
    confirmed_by: "etcd refuses a read at the revision before; healed when it takes reads, as it did all the time",
    limits: "the host must run etcd, whose members compact together",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

struct EtcdCompaction {
    aim: Aim,
    member: String,
    revision: u64,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let member = etcdctl::member(KIND.name, plan, aim)?;
    Ok(Box::new(EtcdCompaction { aim: aim.clone(), member, revision: 0 }))
}

#[async_trait]
impl Fault for EtcdCompaction {
    /// It stops nothing that runs.
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.member.clone(), ServiceKind::Etcd.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ServiceKind::Etcd.into())]
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let revision = etcdctl::status(system, &self.member, REVISION).await;
        self.revision = revision.map_err(etcdctl::refusing(&self.aim, KIND.name))?;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        etcdctl::at(system, &self.member, &format!("etcdctl compact {}", self.revision)).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let before = self.revision.saturating_sub(1);
        match etcdctl::look(system, &self.member, &format!("etcdctl get --rev={before} pgquake")).await {
            Err(refused) if refused.contains("has been compacted") => {
                Ok(format!("{} refuses to read revision {before}: it has been compacted", self.member))
            }
            Err(other) => Err(other),
            Ok(_) => Err(format!("{} reads revision {before}", self.member)),
        }
    }

    async fn heal(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        etcdctl::look(system, &self.member, "etcdctl get pgquake").await?;
        Ok(format!("{} takes reads", self.member))
    }
}
