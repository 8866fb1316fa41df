//! `disk_error`: a disk fails.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        disk::{self, DiskFault, Shows, Volume},
    },
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "disk_error",
    effect: "writes or syncs of the volume, or reads too, fail with EIO",
    confirmed_by: "a write to the volume fails with EIO; healed when one succeeds",
    limits: disk::LIMITS,
    parameters: &[
        disk::VOLUME,
        Parameter::with_default("operation", Takes::OneOf(&["write", "sync", "all"]), "all", "what fails"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let volume = Volume::aimed(KIND.name, plan, aim)?;
    let operation = aim.parameters.text("operation").unwrap_or_default();
    let on = format!("fail {operation} {}", volume.prefix);
    Ok(Box::new(DiskFault::new(volume, on, "fail off", Shows::Error("Input/output error"))))
}
