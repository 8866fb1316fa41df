//! `etcd_member_replaced`: an operator takes a member out of etcd, and puts an empty one in its place.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, operator::etcdctl, process},
    plan::Plan,
    services::etcd::{DATA_DIRECTORY, FLAGS_FILE, peer_url},
    system::System,
    topology::{Instance, ServiceKind},
    waiting::wait_until,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "etcd_member_replaced",
    effect: "`etcdctl member remove` takes the member out, which ends; its data is removed, `member add` makes room for a new \
             one of its name and address, and it starts with nothing and copies what the others have",
    confirmed_by: "the others list the member with another id than before, and it answers a linearizable read; healed when \
                   it does, and nothing of how it was started is left",
    limits: "the host must run etcd, and two other members must form a quorum meanwhile",
    parameters: &[],
    lasts: Lasts::Once,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

/// How long etcd may refuse a change of its members: until it has a leader, and five seconds of health.
const CHANGED_WITHIN: Duration = Duration::from_secs(30);

const ETCD: ServiceKind = ServiceKind::Etcd;

struct EtcdMemberReplaced {
    aim: Aim,
    member: String,
    /// Another one, which is asked.
    other: String,
    id_before: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let member = etcdctl::member(KIND.name, plan, aim)?;
    let peers = etcdctl::peers(plan, &member);
    match peers.first() {
        Some(other) if peers.len() >= 2 => {
            let (aim, other) = (aim.clone(), other.clone());
            Ok(Box::new(EtcdMemberReplaced { aim, member, other, id_before: String::new() }))
        }
        _ => Err(aim.refuse(KIND.name, "the other members would have no quorum without it")),
    }
}

impl EtcdMemberReplaced {
    /// The id of the member at this address, as another one lists it; `None`: it lists none. One that was added and has not
    /// begun has no name.
    async fn id(&self, system: &System) -> Result<Option<String>, String> {
        let told = etcdctl::look(system, &self.other, "ETCDCTL_COMMAND_TIMEOUT=2s etcdctl member list").await?;
        let address = peer_url(system.plan().topology.tls.dcs, &self.member);
        let own = told.lines().find(|line| line.contains(&address));
        Ok(own.and_then(|line| line.split(',').next()).map(str::to_owned))
    }

    /// Has another member change who belongs to etcd, until the list of members shows it. etcd takes no change while it has no
    /// leader, or within five seconds in which one of the members was not connected to the others.
    async fn until(
        &self,
        system: &System,
        what: &str,
        change: &str,
        is_so: fn(Option<String>) -> bool,
    ) -> Result<(), FaultError> {
        wait_until(what, CHANGED_WITHIN, || async {
            if is_so(self.id(system).await?) {
                return Ok(());
            }
            etcdctl::look(system, &self.other, change).await.and_then(|told| Err(format!("etcd says: {told}")))
        })
        .await?;
        Ok(())
    }

    /// Stops what is left of the member, and starts an empty one in its place.
    async fn begin_anew(&self, system: &System) -> Result<(), FaultError> {
        process::signal_service(system, &self.member, &ETCD.into(), "KILL").await?;
        process::wait_until_stopped(system, &self.member, &ETCD.into()).await?;
        let address = peer_url(system.plan().topology.tls.dcs, &self.member);
        let add = format!("etcdctl member add {} --peer-urls={address}", self.member);
        self.until(system, "etcd to have room for the new member", &add, |id| id.is_some()).await?;
        let empty = format!("rm -rf {DATA_DIRECTORY} && echo --initial-cluster-state=existing > {FLAGS_FILE}");
        etcdctl::at(system, &self.member, &empty).await?;
        process::start_again(system, &self.member, &ETCD.into()).await
    }
}

#[async_trait]
impl Fault for EtcdMemberReplaced {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.member.clone(), ETCD.into())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ETCD.into())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ETCD.into())]
    }

    /// The new member has to be started, and to copy what the others have.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let id = self.id(system).await.map_err(etcdctl::refusing(&self.aim, KIND.name))?;
        self.id_before = id.ok_or_else(|| self.aim.refuse(KIND.name, "it is no member"))?;
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let remove = format!("etcdctl member remove {}", self.id_before);
        self.until(system, "etcd to do without the member", &remove, |id| id.is_none()).await?;
        self.begin_anew(system).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let (member, before) = (&self.member, &self.id_before);
        match self.id(system).await? {
            Some(id) if id != *before => {
                etcdctl::look(system, member, "etcdctl get pgquake").await?;
                Ok(format!("{member} was member {before}, is member {id} and answers a linearizable read"))
            }
            Some(_) => Err(format!("{member} is the member that it was")),
            None => Err(format!("{member} is no member")),
        }
    }

    /// One that was removed and not added again gets its place; one that was added is started.
    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        if let Ok(None) = self.id(system).await {
            self.begin_anew(system).await?;
        }
        process::start_again(system, &self.member, &ETCD.into()).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        etcdctl::look(system, &self.member, &format!("etcdctl get pgquake && rm -f {FLAGS_FILE}")).await?;
        Ok(format!("{} answers a linearizable read", self.member))
    }
}
