//! `link_slow_close`: a link's connections end late.

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Shape},
};
use crate::{links::ToxicKind, plan::Plan};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_slow_close",
    effect: "the end of each connection is passed on only after the delay",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link sees the end later by the delay; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[link::TO, link::PORTS, link::SHARE, Parameter::required("delay", Takes::Duration, "how late")],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    LinkFault::aimed(KIND.name, plan, aim, shape)
}

fn shape(aim: &Aim) -> Result<Shape, FaultError> {
    let by = aim.parameters.duration("delay").unwrap_or_default();
    let kind = ToxicKind::SlowClose { delay_ms: link::whole_ms(by) };
    let measure = Measure::LateEnd { by };
    Ok(Shape::both_ways(kind, measure))
}
