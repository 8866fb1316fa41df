//! `link_reset_peer`: a link resets its connections.

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Shape},
};
use crate::{links::ToxicKind, plan::Plan};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_reset_peer",
    effect: "each connection is reset after the time, open ones too",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link is reset; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::SHARE,
        Parameter::with_default("after", Takes::Duration, "0 s", "how long a connection lives"),
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
    let within = aim.parameters.duration("after").unwrap_or_default();
    let kind = ToxicKind::ResetPeer { timeout_ms: link::whole_ms(within) };
    let measure = if within.is_zero() { Measure::Reset { within } } else { Measure::Nothing };
    Ok(Shape::both_ways(kind, measure))
}
