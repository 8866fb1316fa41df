//! What faults of several planes ask of hosts: their services and their pods.

use super::FaultError;
use crate::{engine::Pod, plan::Plan, system::System, topology::ServiceKind};

/// Every service of these hosts.
pub(super) fn services(plan: &Plan, hosts: &[String]) -> Vec<(String, ServiceKind)> {
    let of = |host: &String| plan.services_on(host).into_iter().map(|kind| (host.clone(), kind)).collect::<Vec<_>>();
    hosts.iter().flat_map(of).collect()
}

/// The pod of a host.
pub(super) fn pod<'a>(system: &'a System, host: &str) -> Result<&'a Pod, FaultError> {
    system.pod(host).ok_or_else(|| FaultError::NoTarget(format!("host `{host}`")))
}
