//! One fault on each of several hosts, all at once: what takes one host is done to each of them.

use std::time::Duration;

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use super::{Aim, AimFault, Fault, FaultError, Place};
use crate::{plan::Plan, system::System, topology::Instance};

/// Each host's own fault. All act at the same time, and only all of them together are proven.
struct EachHost {
    faults: Vec<Box<dyn Fault>>,
}

/// Aims a fault that takes one host at each of those that are meant.
pub(super) fn aim(plan: &Plan, aim: &Aim, one: AimFault) -> Result<Box<dyn Fault>, FaultError> {
    let faults = alone(aim).map(|aim| one(plan, &aim)).collect::<Result<_, _>>()?;
    Ok(Box::new(EachHost { faults }))
}

/// The same aim at each of its hosts alone.
fn alone(aim: &Aim) -> impl Iterator<Item = Aim> {
    aim.hosts.iter().map(|host| Aim { hosts: vec![host.clone()], ..aim.clone() })
}

/// All are tried, so that what fails on one host does not keep the others from it; the first failure is returned.
fn first_failure(outcomes: Vec<Result<(), FaultError>>) -> Result<(), FaultError> {
    outcomes.into_iter().collect()
}

#[async_trait]
impl Fault for EachHost {
    fn services(&self) -> Vec<(String, Instance)> {
        self.faults.iter().flat_map(|fault| fault.services()).collect()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.faults.iter().flat_map(|fault| fault.stands_on()).collect()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.faults.iter().flat_map(|fault| fault.takes_away()).collect()
    }

    fn hands_over(&self) -> bool {
        self.faults.iter().any(|fault| fault.hands_over())
    }

    fn confirmed_within(&self) -> Duration {
        self.faults.iter().map(|fault| fault.confirmed_within()).max().unwrap_or_default()
    }

    fn healed_within(&self) -> Duration {
        self.faults.iter().map(|fault| fault.healed_within()).max().unwrap_or_default()
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        first_failure(join_all(self.faults.iter_mut().map(|fault| fault.prepare(system))).await)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        first_failure(join_all(self.faults.iter_mut().map(|fault| fault.inject(system))).await)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        Ok(try_join_all(self.faults.iter().map(|fault| fault.bites(system))).await?.join("; "))
    }

    fn can_change(&self) -> bool {
        self.faults.iter().all(|fault| fault.can_change())
    }

    async fn change(&mut self, system: &System, aim: &Aim) -> Result<(), FaultError> {
        let aims: Vec<Aim> = alone(aim).collect();
        let changes = self.faults.iter_mut().zip(&aims).map(|(fault, aim)| fault.change(system, aim));
        first_failure(join_all(changes).await)
    }

    async fn let_go(&mut self, system: &System, lost: &[Place]) -> Result<(), FaultError> {
        first_failure(join_all(self.faults.iter_mut().map(|fault| fault.let_go(system, lost))).await)
    }

    /// On the hosts alone where it does not bite any more.
    async fn put_back(&mut self, system: &System) -> Result<(), FaultError> {
        let all = self.faults.iter_mut().map(|fault| async move {
            match super::injector::still_bites(system, fault.as_ref()).await {
                Some(_) => Ok(()),
                None => fault.put_back(system).await,
            }
        });
        first_failure(join_all(all).await)
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        first_failure(join_all(self.faults.iter_mut().map(|fault| fault.heal(system))).await)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        Ok(try_join_all(self.faults.iter().map(|fault| fault.gone(system))).await?.join("; "))
    }
}
