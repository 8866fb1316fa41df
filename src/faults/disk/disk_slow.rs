//! `disk_slow`: a disk takes its time.

use std::time::Duration;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        disk::{self, DiskFault, Shows, Volume},
    },
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "disk_slow",
    effect: "each operation of the kind on the volume takes longer",
    confirmed_by: "a synced write to the volume takes that long; healed when one succeeds",
    limits: disk::LIMITS,
    parameters: &[
        disk::VOLUME,
        Parameter::required("delay", Takes::Duration, "how much longer"),
        Parameter::with_default("operation", Takes::OneOf(&["read", "write", "sync", "all"]), "sync", "what is slow"),
    ],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let volume = Volume::aimed(KIND.name, plan, aim)?;
    let delay = aim.parameters.duration("delay").unwrap_or_default();
    if delay.as_millis() == 0 {
        return Err(aim.refuse(KIND.name, "the disk counts whole milliseconds: a delay has at least one"));
    }
    let operation = aim.parameters.text("operation").unwrap_or_default();
    let on = format!("delay {operation} {} {}", delay.as_millis(), volume.prefix);
    // The probe only writes and syncs.
    let shown = if operation == "read" { Duration::ZERO } else { delay };
    Ok(Box::new(DiskFault::new(volume, on, "delay off", Shows::Takes(shown))))
}
