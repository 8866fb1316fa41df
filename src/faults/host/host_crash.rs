//! `host_crash`: machines lose their power, as their peers see it.

use super::crash::{self, Crash};
use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts},
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "host_crash",
    effect: "no packet enters or leaves the host any more, not even a reset, and every process on it is killed; \
             several hosts lose their power at once",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; \
                   healed when every service runs and another host is answered again",
    limits: "none: any host; what the kernel had not yet written survives, unless the host's disks are prepared",
    parameters: crash::PARAMETERS,
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    Ok(Box::new(Crash::aimed(KIND.name, plan, aim)?))
}
