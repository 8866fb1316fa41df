//! `cpu_quota`: a service gets too little CPU time.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    engine::CpuAccount,
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Place, Takes, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "cpu_quota",
    effect: "the processes of the service get together no more than this share of one core; in each 100 ms they run \
             until it is used up, and then stand still",
    confirmed_by: "the kernel has stopped the service in more periods than before (a loop of 300 ms in its container \
                   makes sure that it has something to do); healed when Docker says that there is no quota, and such a \
                   loop is not stopped any more",
    limits: "the host must run the service; a share below 1 % of a core is refused by the kernel",
    parameters: &[
        Parameter::required("service", Takes::Service, "the service"),
        Parameter::required("share", Takes::Share, "of one core"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The kernel's period.
const PERIOD_US: f64 = 100_000.0;
/// What the kernel takes at least.
const LEAST_SHARE: f64 = 0.01;
/// Something to do for a service that is idle.
const BUSY: &str = "timeout 0.3 sh -c 'while :; do :; done'; true";

struct CpuQuota {
    host: String,
    service: Instance,
    quota_us: i64,
    throttled_before: u64,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, service) = process::service_aimed_at(KIND.name, plan, aim)?;
    let share = aim.parameters.number("share").unwrap_or_default();
    if share < LEAST_SHARE {
        return Err(aim.refuse(KIND.name, "the kernel takes no share below 1 % of a core"));
    }
    Ok(Box::new(CpuQuota { host, service, quota_us: (share * PERIOD_US).round() as i64, throttled_before: 0 }))
}

impl CpuQuota {
    /// The account after the service had something to do.
    async fn account(&self, system: &System) -> Result<CpuAccount, String> {
        let service = system.service(&self.host, &self.service).ok_or("the service is unknown")?;
        system.engine().run_in_service(service, BUSY).await.map_err(|error| error.to_string())?;
        system.engine().cpu_account(service).await.map_err(|error| error.to_string())
    }

    async fn limit(&self, system: &System, quota_us: Option<i64>) -> Result<(), FaultError> {
        let Some(service) = system.service(&self.host, &self.service) else { return Ok(()) };
        Ok(system.engine().limit_cpu(service, quota_us).await?)
    }
}

#[async_trait]
impl Fault for CpuQuota {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![(self.host.clone(), self.service.clone())]
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Service(self.host.clone(), self.service.clone())]
    }

    /// With hardly any CPU time, the proof comes slowly too.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(30)
    }

    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        if let Some(service) = system.service(&self.host, &self.service) {
            self.throttled_before = system.engine().cpu_account(service).await?.throttled_periods;
        }
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.limit(system, Some(self.quota_us)).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let account = self.account(system).await?;
        let throttled = account.throttled_periods.saturating_sub(self.throttled_before);
        if account.quota_us != Some(self.quota_us) || throttled == 0 {
            return Err(format!("the quota is {:?}, and {throttled} periods were throttled", account.quota_us));
        }
        Ok(format!(
            "the kernel has stopped {} on {} in {throttled} periods of 100 ms, after {} ms of CPU time each",
            self.service,
            self.host,
            self.quota_us as f64 / 1000.0
        ))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.limit(system, None).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let before = self.account(system).await?.throttled_periods;
        let account = self.account(system).await?;
        if account.quota_us.is_some() || account.throttled_periods > before {
            return Err(format!("{} on {} is still throttled", self.service, self.host));
        }
        Ok(format!("{} on {} has no quota, and is not throttled", self.service, self.host))
    }
}
