//! What faults of several planes ask of hosts: their services, their nodes and their pods.

use super::{Aim, FaultError};
use crate::{
    engine::Pod,
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

/// Every service of these hosts.
pub(super) fn services(plan: &Plan, hosts: &[String]) -> Vec<(String, Instance)> {
    let of = |host: &String| plan.services_on(host).into_iter().map(|own| (host.clone(), own)).collect::<Vec<_>>();
    hosts.iter().flat_map(of).collect()
}

/// The PostgreSQL node that a fault is aimed at, and the service that it is, whether an agent keeps it or not.
pub(super) fn node(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<(String, ServiceKind), FaultError> {
    let host = aim.one_host(fault)?;
    match plan.node_kind(host) {
        Some(kind) => Ok((host.to_owned(), kind)),
        None => Err(aim.refuse(fault, format!("{host} runs no PostgreSQL"))),
    }
}

/// The pod of a host.
pub(super) fn pod<'a>(system: &'a System, host: &str) -> Result<&'a Pod, FaultError> {
    system.pod(host).ok_or_else(|| FaultError::NoTarget(format!("host `{host}`")))
}
