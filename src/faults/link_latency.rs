//! `link_latency`: a link takes longer.

use std::time::Duration;

use super::{
    Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Shape},
};
use crate::{
    links::{Stream, ToxicKind},
    plan::Plan,
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_latency",
    effect: "all data of the link's connections is delayed, half of the round trip each way; open connections are hit too",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link takes longer by the round trip, within 10 %; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::SHARE,
        Parameter::required("round_trip", Takes::Duration, "what the link adds to a round trip"),
        Parameter::with_default("jitter", Takes::Duration, "0 ms", "each way up to so much more or less"),
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
    let added = aim.parameters.duration("round_trip").unwrap_or_default();
    let jitter = aim.parameters.duration("jitter").unwrap_or_default();
    let there = added / 2;
    if there.as_millis() == 0 {
        return Err(
            aim.refuse(KIND.name, "Toxiproxy knows whole milliseconds each way: a round trip has at least 2 ms")
        );
    }
    let half = |latency| ToxicKind::Latency { latency_ms: link::whole_ms(latency), jitter_ms: link::whole_ms(jitter) };
    // An odd millisecond goes the way back.
    let back = Duration::from_millis(link::whole_ms(added) - link::whole_ms(there));
    let kinds = [(Stream::Upstream, half(there)), (Stream::Downstream, half(back))];
    Ok(Shape::new(kinds, Measure::RoundTrip { added, jitter }))
}
