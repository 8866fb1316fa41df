//! `link_timeout`: a link swallows all data.

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Shape},
};
use crate::{links::ToxicKind, plan::Plan};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_timeout",
    effect: "connections are accepted and stay open, and no byte passes, as behind a firewall that has lost its state",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link gets no byte; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
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
    let kind = ToxicKind::Timeout { timeout_ms: link::whole_ms(after) };
    let measure = if after.is_zero() { Measure::Silence } else { Measure::EndsAfter { padding_bytes: 0 } };
    Ok(Shape::both_ways(kind, measure))
}
