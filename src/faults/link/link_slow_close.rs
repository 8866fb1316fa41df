//! `link_slow_close`: a link's connections end late.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_slow_close",
    effect: "a connection that the hosts close, whoever opened it, is closed for those of `to` only after the delay",
    confirmed_by: "Toxiproxies list it on every listener, and the end of a connection that each of the two hosts opens to \
                   the other comes later by the delay, and an end from the other side does not; healed when it is \
                   listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::required("delay", Takes::Duration, "how late"),
    ],
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
    Ok(Shape::by_direction(aim, ToxicKind::SlowClose { delay_ms: link::whole_ms(by) }))
}
