//! `link_limit_data`: a link ends its connections after an amount of data.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_limit_data",
    effect: "each connection between the hosts and those of `to`, whoever opened it, ends when the hosts have sent \
             `bytes` on it",
    confirmed_by: "Toxiproxies list it on every listener, and a connection that each of the two hosts opens to the other \
                   ends when more is sent, where the limit is below 8000 B, and as much of the other way's data passes; \
                   healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::required("bytes", Takes::Bytes, "how much passes"),
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
    let bytes = aim.parameters.bytes("bytes").unwrap_or_default();
    Ok(Shape::by_direction(aim, ToxicKind::LimitData { bytes }))
}
