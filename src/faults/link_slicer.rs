//! `link_slicer`: a link passes data in small pieces.

use std::time::Duration;

use super::{
    Aim, Fault, FaultError, FaultKind, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Toxics},
};
use crate::{
    cluster::Cluster,
    links::{Stream, ToxicKind},
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_slicer",
    effect: "data is cut into packets of about the size, with the delay after each",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link takes longer by the delays of its packets, where these are 30 ms or more; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[
        link::TO,
        link::PORTS,
        link::SHARE,
        Parameter::with_default("size", Takes::Bytes, "64 B", "the average size of a packet"),
        Parameter::with_default("delay", Takes::Duration, "0 ms", "the pause after a packet"),
    ],
    lasts: Lasts::UntilHealed,
    reaches_clients: false,
    aim,
};

/// The probe's request, within what PostgreSQL takes from a client that it does not know yet.
const PADDING_BYTES: u64 = 8000;
/// Less can't be told from what the machine does.
const LEAST_MEASURED: Duration = Duration::from_millis(30);

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let average_bytes = aim.parameters.bytes("size").unwrap_or_default().max(1);
    let delay = aim.parameters.duration("delay").unwrap_or_default();
    let delay_us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
    let kind = ToxicKind::Slicer { average_bytes, variation_bytes: average_bytes / 2, delay_us };
    // Sizes vary by half either way, so that there may be fewer packets than the average says.
    let packets = u32::try_from(PADDING_BYTES / (average_bytes * 2)).unwrap_or(u32::MAX);
    let by = delay * packets;
    let slower = Measure::Slower { by, padding_bytes: PADDING_BYTES };
    let measure = if by >= LEAST_MEASURED { slower } else { Measure::Nothing };
    let ways = link::ways(KIND.name, cluster, aim)?;
    let share = aim.parameters.number("share").unwrap_or(1.0);
    let kinds = [(Stream::Upstream, kind.clone()), (Stream::Downstream, kind)];
    let toxics = Toxics::new(KIND.name, ways, share, &kinds);
    Ok(Box::new(LinkFault::new(toxics, measure)))
}
