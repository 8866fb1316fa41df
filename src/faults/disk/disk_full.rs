//! `disk_full`: a volume has no room left.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts,
        disk::{self, DiskFault, Shows, Volume},
    },
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "disk_full",
    effect: "what would make a file of the volume longer, and every new file, fails with ENOSPC; writing over what is there works",
    confirmed_by: "a write to the volume fails with ENOSPC; healed when one succeeds",
    limits: disk::LIMITS,
    parameters: &[disk::VOLUME],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let volume = Volume::aimed(KIND.name, plan, aim)?;
    let on = format!("limit used {}", volume.prefix);
    Ok(Box::new(DiskFault::new(volume, on, "limit off", Shows::Error("No space left on device"))))
}
