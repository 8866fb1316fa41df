//! `link_latency`: a link takes longer.

use std::time::Duration;

use crate::{
    faults::{
        Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Parameter, Takes,
        link::{self, LinkFault, Shape},
    },
    links::ToxicKind,
    plan::Plan,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "link_latency",
    effect: "all data between the hosts and those of `to` is delayed, over every connection between them, whoever opened \
             it, open ones too: half of the round trip each way, or all of it one way if a direction is named",
    confirmed_by: "Toxiproxies list it on every listener, and over a connection that each of the two hosts opens to the \
                   other an answer takes longer by what the fault adds, within 10 %, of which each way takes its part; \
                   healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::direction("both"),
        link::SHARE,
        Parameter::required("round_trip", Takes::Duration, "what is added to a round trip"),
        Parameter::with_default("jitter", Takes::Duration, "0 ms", "each way takes up to this much more or less"),
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
    if jitter > there {
        return Err(
            aim.refuse(KIND.name, "the jitter is at most half of the round trip: nothing comes before it was sent")
        );
    }
    let kind = |latency| ToxicKind::Latency { latency_ms: link::whole_ms(latency), jitter_ms: link::whole_ms(jitter) };
    if aim.parameters.text("direction").as_deref() != Some("both") {
        return Ok(Shape::by_direction(aim, kind(added)));
    }
    // An odd millisecond goes the way back.
    let back = Duration::from_millis(link::whole_ms(added) - link::whole_ms(there));
    Ok(Shape { out: Some(kind(there)), inward: Some(kind(back)) })
}
