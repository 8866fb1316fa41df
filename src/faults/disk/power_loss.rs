//! `power_loss`: machines lose their power, and with it what their disks had not yet synced.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, disk,
        host::crash::{self, Crash},
    },
    plan::Plan,
    services::service,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "power_loss",
    effect: "as host_crash, and every write that was not synced (fsync, fdatasync, O_SYNC) is gone from the disks; \
             names of files and synced data are kept",
    confirmed_by: "no process is left, a connection from another host gets neither an answer nor a reset, and the \
                   disks reported how much they held unsynced; healed when every service runs and another host is answered \
                   again",
    limits: disk::LIMITS,
    parameters: crash::PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let keeps_data = |host: &String| {
        plan.services_on(host).into_iter().map(|own| own.kind).find(|kind| service(*kind).storage.is_some())
    };
    let keepers: Vec<_> = aim.hosts.iter().filter_map(|host| Some((host, keeps_data(host)?))).collect();
    if keepers.is_empty() {
        return Err(aim.refuse(KIND.name, "it keeps no data; host_crash does the same to it"));
    }
    match keepers.into_iter().find(|(host, kind)| plan.prepared_storage(host, *kind).is_none()) {
        Some((host, _)) => Err(aim.refuse(KIND.name, disk::not_prepared(host))),
        None => Ok(Box::new(Crash::aimed(KIND.name, plan, aim)?)),
    }
}
