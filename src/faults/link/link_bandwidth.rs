//! `link_bandwidth`: a link lets less data pass.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_bandwidth",
    effect: "the data that the hosts send to those of `to` passes at this rate on each connection between them, whoever \
             opened it, and waits meanwhile in the host that opened it",
    confirmed_by: "Toxiproxies list it on every listener, and over a connection that each of the two hosts opens to the \
                   other the data takes as long as its bytes need at that rate, where that is 30 ms or more, and the \
                   data of the other way does not; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::required("rate", Takes::Bytes, "how much passes in a second"),
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
    let bytes_per_s = aim.parameters.bytes("rate").unwrap_or_default();
    let rate_kb_per_s = bytes_per_s / 1000;
    if rate_kb_per_s == 0 {
        return Err(aim.refuse(KIND.name, "Toxiproxy knows no rate below 1000 B a second"));
    }
    Ok(Shape::by_direction(aim, ToxicKind::Bandwidth { rate_kb_per_s }))
}
