//! `link_timeout`: a link swallows all data.

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_timeout",
    effect: "connections between the hosts and those of `to` are accepted and stay open, and no byte that the hosts send \
             passes, whoever opened them, as behind a firewall that has lost its state",
    confirmed_by: "Toxiproxies list it on every listener, and over a connection that each of the two hosts opens to the \
                   other no byte of that way comes, and a request of the other way does; healed when it is listed \
                   nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::DIRECTION,
        link::SHARE,
        Parameter::with_default(
            "after",
            Takes::Duration,
            "0 s",
            "the connection is closed after this time; 0 s: never",
        ),
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
    Ok(Shape::by_direction(aim, ToxicKind::Timeout { timeout_ms: link::whole_ms(after) }))
}
