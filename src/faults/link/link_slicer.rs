//! `link_slicer`: a link passes data in small pieces.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_slicer",
    effect: "the data that the hosts send to those of `to` is cut into packets of about the size, with the delay after each, on \
             every connection between them, whoever opened it",
    confirmed_by: "Toxiproxies list it on every listener, and over a connection that each of the two hosts opens to the \
                   other the data takes as long as the delays of its packets, where these are 30 ms or more, and the \
                   data of the other way does not; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::with_default("size", Takes::Bytes, "64 B", "the average size of a packet"),
        Parameter::with_default("delay", Takes::Duration, "0 ms", "the pause after a packet"),
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
    let average_bytes = aim.parameters.bytes("size").unwrap_or_default();
    if average_bytes == 0 {
        return Err(aim.refuse(KIND.name, "a packet has at least 1 B"));
    }
    let delay = aim.parameters.duration("delay").unwrap_or_default();
    let delay_us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    let kind = ToxicKind::Slicer { average_bytes, variation_bytes: average_bytes / 2, delay_us };
    Ok(Shape::by_direction(aim, kind))
}
