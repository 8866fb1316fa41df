//! `link_bandwidth`: a link lets less data pass.

use std::time::Duration;

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, PADDING_BYTES, Shape},
};
use crate::{links::ToxicKind, plan::Plan};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_bandwidth",
    effect: "the data of each connection passes at this rate, each way, and waits meanwhile in the near host",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link takes longer by what its bytes need at that rate, where that is 30 ms or more; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[link::TO, link::PORTS, link::SHARE, Parameter::required("rate", Takes::Bytes, "so much a second")],
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
    let kind = ToxicKind::Bandwidth { rate_kb_per_s };
    let by = Duration::from_secs_f64(PADDING_BYTES as f64 / bytes_per_s as f64);
    let measure = Measure::slower(by);
    Ok(Shape::both_ways(kind, measure))
}
