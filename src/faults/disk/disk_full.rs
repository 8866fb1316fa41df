//! `disk_full`: a volume has no room left.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        disk::{self, DiskFault, Shows, Volume},
    },
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "disk_full",
    effect: "what would make a file of the volume longer, and every new file, fails with ENOSPC, at once or when the volume \
             has grown to a size; writing over what is there works",
    confirmed_by: "a write to the volume fails with ENOSPC; of a volume that has to grow first, one of the database itself, \
                   which may be minutes later; healed when a write succeeds",
    limits: disk::LIMITS,
    parameters: &[
        disk::VOLUME,
        Parameter::optional("size", Takes::Bytes, "how much the volume holds at most; without it, what it holds now"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let volume = Volume::aimed(KIND.name, plan, aim)?;
    let (limit, shows) = match aim.parameters.bytes("size") {
        Some(bytes) => (bytes.to_string(), Shows::Fills),
        None => ("used".to_owned(), Shows::Error("No space left on device")),
    };
    let on = format!("limit {limit} {}", volume.prefix);
    Ok(Box::new(DiskFault::new(volume, on, "limit off", shows)))
}
