//! One toxic on some links, from its injection to the proof that it is gone.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::future::try_join_all;

use super::{
    Toxics, Way,
    probe::{Probe, Probed, probe},
};
use crate::{
    cluster::Cluster,
    faults::{Aim, Fault, FaultError, Place},
    links::{Stream, ToxicKind},
    plan::Plan,
    services,
    topology::ServiceKind,
};

/// How long a link may take to answer without a fault.
const ANSWERS_WITHIN: Duration = Duration::from_millis(1500);
/// After this time without a byte a link counts as silent.
const SILENT_AFTER: Duration = Duration::from_millis(120);
/// An added delay is right within this share of itself, as the project promises, and so much more for the machine.
const TOLERANCE: f64 = 0.1;
const MACHINE: Duration = Duration::from_millis(10);

/// How a toxic shows itself to a probe through its link.
#[derive(Debug, Clone, Copy)]
pub(in crate::faults) enum Measure {
    /// The round trip takes longer by this, give or take the jitter.
    RoundTrip { added: Duration, jitter: Duration },
    /// A request with so many bytes more takes at least this much longer.
    Slower { by: Duration, padding_bytes: u64 },
    /// No byte comes.
    Silence,
    /// The connection is reset within this time.
    Reset { within: Duration },
    /// The connection ends later by at least this.
    LateEnd { by: Duration },
    /// A request with so many bytes more ends the connection.
    EndsAfter { padding_bytes: u64 },
    /// Too small, or too rarely drawn, to be measured.
    Nothing,
}

/// What the probes that send more than a question add to it, within what PostgreSQL takes from a client that it does not
/// know yet.
pub(in crate::faults) const PADDING_BYTES: u64 = 8000;
/// A smaller delay can't be told from what the machine does.
const LEAST_MEASURED: Duration = Duration::from_millis(30);

impl Measure {
    /// A padded request takes longer by this, where that is long enough to be measured.
    pub fn slower(by: Duration) -> Self {
        if by >= LEAST_MEASURED { Measure::Slower { by, padding_bytes: PADDING_BYTES } } else { Measure::Nothing }
    }
}

/// What a fault of shaped links makes of its parameters.
pub(in crate::faults) struct Shape {
    toxics: Vec<(Stream, ToxicKind)>,
    measure: Measure,
}

impl Shape {
    pub fn new(toxics: impl Into<Vec<(Stream, ToxicKind)>>, measure: Measure) -> Self {
        Self { toxics: toxics.into(), measure }
    }

    /// The same toxic each way.
    pub fn both_ways(toxic: ToxicKind, measure: Measure) -> Self {
        Self::new([(Stream::Upstream, toxic.clone()), (Stream::Downstream, toxic)], measure)
    }
}

/// A fault of shaped links.
pub(in crate::faults) struct LinkFault {
    fault: &'static str,
    /// Reads its parameters, again if they change.
    shape: fn(&Aim) -> Result<Shape, FaultError>,
    toxics: Toxics,
    measure: Measure,
    /// What the same probe took before the fault.
    before: BTreeMap<Way, Duration>,
}

impl LinkFault {
    /// The links that a fault is aimed at, with the toxics that its parameters say.
    pub fn aimed(
        fault: &'static str,
        plan: &Plan,
        aim: &Aim,
        shape: fn(&Aim) -> Result<Shape, FaultError>,
    ) -> Result<Box<dyn Fault>, FaultError> {
        let Shape { toxics, measure } = shape(aim)?;
        let ways = super::ways(fault, plan, aim)?;
        let toxics = Toxics::new(fault, ways, share(aim), &toxics);
        Ok(Box::new(Self { fault, shape, toxics, measure: certain(measure, aim), before: BTreeMap::new() }))
    }

    fn probe(&self) -> Option<Probe> {
        let plain = Probe { tries: 1, within: ANSWERS_WITHIN, padding_bytes: 0, until_end: false };
        match self.measure {
            Measure::RoundTrip { added, jitter } => {
                Some(Probe { tries: 2, within: ANSWERS_WITHIN + 2 * (added + jitter), ..plain })
            }
            Measure::Slower { by, padding_bytes } => {
                Some(Probe { within: ANSWERS_WITHIN + 3 * by, padding_bytes, ..plain })
            }
            Measure::Silence => Some(Probe { within: SILENT_AFTER, ..plain }),
            Measure::Reset { within } => Some(Probe { within: ANSWERS_WITHIN + within, ..plain }),
            Measure::LateEnd { by } => Some(Probe { within: ANSWERS_WITHIN + 2 * by, until_end: true, ..plain }),
            Measure::EndsAfter { padding_bytes } => Some(Probe { padding_bytes, ..plain }),
            Measure::Nothing => None,
        }
    }

    async fn probe_all(&self, cluster: &Cluster, wanted: Probe) -> Result<Vec<(Way, Probed)>, String> {
        let links = self.toxics.one_a_link();
        let probes = links.into_iter().map(|way| async move { Ok((way.clone(), probe(cluster, way, wanted).await?)) });
        try_join_all(probes).await
    }

    /// What a probe through one link says of the fault.
    fn judge(&self, way: &Way, probed: &Probed) -> Result<String, String> {
        let before = self.before.get(way).copied().unwrap_or_default();
        let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1000.0);
        let told = match probed {
            Probed::Answered(took) => format!("{way} took {} ({} before)", ms(*took), ms(before)),
            Probed::Reset => format!("{way} was reset"),
            Probed::Closed => format!("{way} was closed without an answer"),
            Probed::Silence => format!("{way} was silent"),
        };
        let added = |took: &Duration| took.saturating_sub(before);
        let shows = match (self.measure, probed) {
            (Measure::RoundTrip { added: wanted, jitter }, Probed::Answered(took)) => {
                let least = wanted.mul_f64(1.0 - TOLERANCE).saturating_sub(2 * jitter);
                let most = wanted.mul_f64(1.0 + TOLERANCE) + 2 * jitter + MACHINE;
                (least..=most).contains(&added(took))
            }
            (Measure::Slower { by, .. } | Measure::LateEnd { by }, Probed::Answered(took)) => {
                added(took) >= by.mul_f64(1.0 - TOLERANCE)
            }
            // A connection that is kept open for longer than anyone waits for its end.
            (Measure::Silence | Measure::LateEnd { .. }, Probed::Silence)
            | (Measure::Reset { .. }, Probed::Reset)
            | (Measure::EndsAfter { .. }, Probed::Reset | Probed::Closed) => true,
            _ => false,
        };
        if shows { Ok(told) } else { Err(told) }
    }
}

/// The share of connections that a fault hits.
fn share(aim: &Aim) -> f64 {
    aim.parameters.number("share").unwrap_or(1.0)
}

/// A toxic that hits only a share of the connections can't be measured on a single one.
fn certain(measure: Measure, aim: &Aim) -> Measure {
    if share(aim) >= 1.0 { measure } else { Measure::Nothing }
}

#[async_trait]
impl Fault for LinkFault {
    /// A slow link touches no service by itself.
    fn services(&self) -> Vec<(String, ServiceKind)> {
        Vec::new()
    }

    /// The Toxiproxies that hold the toxics, what lies between the hosts, and the services that answer there.
    fn stands_on(&self) -> Vec<Place> {
        let stands_on = |way: &Way| {
            let behind = services::kind_at(way.port).map(|kind| Place::Service(way.to.clone(), kind));
            let own = Place::Service(way.from.clone(), ServiceKind::Toxiproxy);
            [own, Place::Path(way.from.clone(), way.to.clone())].into_iter().chain(behind)
        };
        self.toxics.ways.iter().flat_map(stands_on).collect()
    }

    async fn prepare(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        let Some(wanted) = self.probe() else { return Ok(()) };
        let calm = Probe { within: ANSWERS_WITHIN, ..wanted };
        // A link that answers nothing before the fault has no figure to compare with, and is judged from zero.
        for (way, probed) in self.probe_all(cluster, calm).await.unwrap_or_default() {
            if let Probed::Answered(took) = probed {
                self.before.insert(way, took);
            }
        }
        Ok(())
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.toxics.add(cluster).await
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        let listed = self.toxics.are_listed(cluster).await?;
        let Some(wanted) = self.probe() else { return Ok(listed) };
        let probed = self.probe_all(cluster, wanted).await?;
        let judged: Result<Vec<String>, String> = probed.iter().map(|(way, probed)| self.judge(way, probed)).collect();
        Ok(format!("{listed}; {}", judged?.join("; ")))
    }

    fn can_change(&self) -> bool {
        true
    }

    async fn change(&mut self, cluster: &Cluster, aim: &Aim) -> Result<(), FaultError> {
        if super::ways(self.fault, cluster.plan(), aim)? != self.toxics.ways {
            return Err(aim.refuse(self.fault, "where it hits can't change; heal it, and inject another"));
        }
        let Shape { toxics, measure } = (self.shape)(aim)?;
        self.toxics.become_like(&toxics, share(aim));
        self.measure = certain(measure, aim);
        self.toxics.change(cluster).await
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.toxics.remove(cluster).await
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        let gone = self.toxics.are_gone(cluster).await?;
        let Some(wanted) = self.probe() else { return Ok(gone) };
        let calm = Probe { within: ANSWERS_WITHIN, ..wanted };
        for (way, probed) in self.probe_all(cluster, calm).await? {
            // A link that did not answer before the fault need not do so after it.
            if self.before.contains_key(&way) && self.judge(&way, &probed).is_ok() {
                return Err(format!("{gone}, and yet a probe of {way} shows it"));
            }
        }
        Ok(gone)
    }
}
