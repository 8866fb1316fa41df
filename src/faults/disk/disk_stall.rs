//! `disk_stall`: a disk does not answer.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts,
        disk::{self, DiskFault, Shows, Volume},
    },
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "disk_stall",
    effect: "reads, writes and syncs of the volume hang until it is healed; a process waiting for one can't even be killed",
    confirmed_by: "a write to the volume does not end; healed when one succeeds",
    limits: disk::LIMITS,
    parameters: &[disk::VOLUME],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let volume = Volume::aimed(KIND.name, plan, aim)?;
    let on = format!("stall {}", volume.prefix);
    Ok(Box::new(DiskFault::new(volume, on, "resume", Shows::Hangs)))
}
