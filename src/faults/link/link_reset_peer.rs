//! `link_reset_peer`: a link resets its connections.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_reset_peer",
    effect: "what the hosts send to those of `to` is swallowed, and each connection on which they do, whoever opened it, is \
             reset after the time; one that was open before the fault is closed",
    confirmed_by: "Toxiproxies list it on every listener, and a connection that each of the two hosts opens to the other \
                   is reset when data is sent that way, and not before; healed when it is listed nowhere and a probe \
                   shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::with_default("after", Takes::Duration, "0 s", "how long a connection lives from its data on"),
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
    let after = aim.parameters.duration("after").unwrap_or_default();
    Ok(Shape::by_direction(aim, ToxicKind::ResetPeer { timeout_ms: link::whole_ms(after) }))
}
