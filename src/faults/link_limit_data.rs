//! `link_limit_data`: a link ends its connections after so much data.

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, PADDING_BYTES, Shape},
};
use crate::{links::ToxicKind, plan::Plan};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_limit_data",
    effect: "each connection ends when so many bytes have passed one way",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link that sends more is cut off, where the limit is below 8000 B; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[link::TO, link::PORTS, link::SHARE, Parameter::required("bytes", Takes::Bytes, "so much passes")],
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
    let kind = ToxicKind::LimitData { bytes };
    let ends = Measure::EndsAfter { padding_bytes: PADDING_BYTES };
    let measure = if bytes < PADDING_BYTES { ends } else { Measure::Nothing };
    Ok(Shape::both_ways(kind, measure))
}
