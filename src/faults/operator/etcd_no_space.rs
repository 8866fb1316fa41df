//! `etcd_no_space`: etcd's store has reached its quota, and refuses to grow until an operator clears the alarm.

use std::time::Duration;

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
    name: "etcd_no_space",
    effect: "a key is overwritten with a megabyte again and again until the store has reached its quota: etcd raises the \
             alarm NOSPACE, and every member refuses what would make it larger (writes, new leases), and takes reads, deletions \
             and refreshes of leases; healing deletes the key, compacts, defragments each member and disarms",
    confirmed_by: "etcd lists the alarm, and refuses a write; healed when it lists none and takes one",
    limits: "etcd's quota must be small (`etcd: { quota_backend_bytes: … }` in the topology, at most 64 MiB)",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

/// What is filled in a time that a scenario can wait for.
const MOST_BYTES: u64 = 64 << 20;
/// The key that fills the store.
const KEY: &str = "pgquake-filling";
const REFUSED: &str = "database space exceeded";

struct EtcdNoSpace {
    member: String,
    members: Vec<String>,
    /// Writes until the store must be full.
    writes: u64,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let member = etcdctl::member(KIND.name, plan, aim)?;
    let settings = &plan.topology.settings;
    let quota = settings.etcd.quota_backend_bytes.filter(|bytes| *bytes <= MOST_BYTES).ok_or_else(|| {
        let reason =
            "etcd's quota is too large to fill; give the topology `etcd: { quota_backend_bytes: … }` of at most 64 MiB";
        aim.refuse(KIND.name, reason)
    })?;
    let members = [member.clone()].into_iter().chain(etcdctl::peers(plan, &member)).collect();
    Ok(Box::new(EtcdNoSpace { member, members, writes: quota / 1_000_000 + 8 }))
}

#[async_trait]
impl Fault for EtcdNoSpace {
    fn services(&self) -> Vec<(String, Instance)> {
        self.members.iter().map(|member| (member.clone(), ServiceKind::Etcd.into())).collect()
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.member.clone(), ServiceKind::Etcd.into())]
    }

    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        // The last write is the one that is refused.
        let fill = format!(
            "for n in $(seq {}); do head -c 1000000 /dev/zero | tr '\\0' x | etcdctl put {KEY} > /tmp/pgquake-put 2>&1 || break; done; \
             cat /tmp/pgquake-put",
            self.writes
        );
        etcdctl::at(system, &self.member, &fill).await?;
        Ok(())
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let alarms = etcdctl::look(system, &self.member, "etcdctl alarm list").await?;
        if !alarms.contains("NOSPACE") {
            return Err(format!("etcd lists no alarm for want of space: {alarms}"));
        }
        match etcdctl::look(system, &self.member, "etcdctl put pgquake-probe x").await {
            Err(refused) if refused.contains(REFUSED) => {
                Ok(format!("etcd has the alarm NOSPACE and refuses a write: {REFUSED}"))
            }
            Err(other) => Err(other),
            Ok(_) => Err(format!("{} takes a write", self.member)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        etcdctl::at(system, &self.member, &format!("etcdctl del {KEY}")).await?;
        let refuse =
            |reason: String| FaultError::NotApplicable { fault: KIND.name, target: self.member.clone(), reason };
        let revision = etcdctl::status(system, &self.member, REVISION).await.map_err(refuse)?;
        // It may have been compacted up to there already.
        etcdctl::at(system, &self.member, &format!("etcdctl compact --physical {revision} || true")).await?;
        for member in &self.members {
            etcdctl::at(system, member, "etcdctl defrag").await?;
        }
        etcdctl::at(system, &self.member, "etcdctl alarm disarm").await?;
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let alarms = etcdctl::look(system, &self.member, "etcdctl alarm list").await?;
        if !alarms.is_empty() {
            return Err(format!("etcd lists {alarms}"));
        }
        etcdctl::look(system, &self.member, "etcdctl put pgquake-probe x && etcdctl del pgquake-probe").await?;
        Ok("etcd lists no alarm and takes a write".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        faults::{Roles, Target},
        topology,
    };

    #[test]
    fn a_store_that_would_take_too_long_to_fill_is_refused() {
        let aimed = |name: &str| {
            let plan = Plan::new(topology::load(name, &[]).unwrap());
            let target = Target::parse("node1");
            let own = Aim::new(&KIND, &plan, &Roles::default(), &target, Default::default()).unwrap();
            aim(&plan, &own).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(aimed("etcd-small-quota"), Ok(()));
        let refused = aimed("single-region").unwrap_err();
        assert!(refused.contains("quota_backend_bytes"), "{refused}");
    }
}
