//! `link_slow_close`: a link's connections end late.

use super::{
    Aim, Fault, FaultError, FaultKind, Lasts, Parameter, Takes,
    link::{self, LinkFault, Measure, Toxics},
};
use crate::{
    cluster::Cluster,
    links::{Stream, ToxicKind},
};

pub(super) const KIND: FaultKind = FaultKind {
    name: "link_slow_close",
    effect: "the end of each connection is passed on only after the delay",
    confirmed_by: "Toxiproxy lists it on every listener, and a probe through each link sees the end later by the delay; healed when it is listed nowhere and a probe shows nothing of it",
    limits: link::LIMITS,
    parameters: &[link::TO, link::PORTS, link::SHARE, Parameter::required("delay", Takes::Duration, "how late")],
    lasts: Lasts::UntilHealed,
    reaches_clients: false,
    aim,
};

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let by = aim.parameters.duration("delay").unwrap_or_default();
    let kind = ToxicKind::SlowClose { delay_ms: u64::try_from(by.as_millis()).unwrap_or(u64::MAX) };
    let measure = Measure::LateEnd { by };
    let ways = link::ways(KIND.name, cluster, aim)?;
    let share = aim.parameters.number("share").unwrap_or(1.0);
    let kinds = [(Stream::Upstream, kind.clone()), (Stream::Downstream, kind)];
    let toxics = Toxics::new(KIND.name, ways, share, &kinds);
    Ok(Box::new(LinkFault::new(toxics, measure)))
}
