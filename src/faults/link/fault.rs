//! Toxics on some links, from their injection to the proof that they are gone.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use futures::future::try_join_all;

use super::{
    Hit, Toxics, Way,
    effect::{ANSWERS_WITHIN, Shown, look, round_trip_fits, shown},
    hits,
    probe::{Course, Look, Seen, probe},
};
use crate::{
    faults::{Aim, Fault, FaultError, Place},
    links::ToxicKind,
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

/// How often every way may be probed before a fault counts as unconfirmed, and what the machine may take beside that.
const PROBED: u32 = 3;
const MARGIN: Duration = Duration::from_secs(10);

/// What a fault of shaped links makes of its parameters.
pub(in crate::faults) struct Shape {
    /// What becomes of the data that the aimed hosts send.
    pub out: Option<ToxicKind>,
    /// What becomes of the data that they get.
    pub inward: Option<ToxicKind>,
}

impl Shape {
    /// The same toxic on the data that the parameter `direction` says.
    pub fn by_direction(aim: &Aim, kind: ToxicKind) -> Self {
        let direction = aim.parameters.text("direction").unwrap_or_default();
        let on = |other: &str| (direction != other).then(|| kind.clone());
        Self { out: on("in"), inward: on("out") }
    }
}

/// A fault of shaped links.
pub(in crate::faults) struct LinkFault {
    fault: &'static str,
    /// Reads its parameters, again if they change.
    shape: fn(&Aim) -> Result<Shape, FaultError>,
    toxics: Toxics,
    /// The ways to probe, one a kind of connection between two hosts, with what a probe saw before the fault.
    before: BTreeMap<Way, Option<Seen>>,
}

impl LinkFault {
    /// The links that a fault is aimed at, with the toxics that its parameters say.
    pub fn aimed(
        fault: &'static str,
        plan: &Plan,
        aim: &Aim,
        shape: fn(&Aim) -> Result<Shape, FaultError>,
    ) -> Result<Box<dyn Fault>, FaultError> {
        let toxics = Toxics::new(fault, hits(fault, plan, aim, &shape(aim)?)?, share(aim));
        Ok(Box::new(Self { fault, shape, toxics, before: BTreeMap::new() }))
    }

    /// What shows the toxics, and how long a probe may take; `None`: a toxic that hits only a share of the connections
    /// can't be measured on a single one.
    fn look(&self) -> Option<(Look, Duration)> {
        let kinds = self.toxics.hits.iter().flat_map(|hit| [&hit.there, &hit.back]).flatten();
        let looks = kinds.map(look).max_by_key(|(_, within)| *within);
        looks.filter(|_| self.toxics.share >= 1.0)
    }

    /// The hits to be probed.
    fn probed(&self) -> impl Iterator<Item = &Hit> {
        self.toxics.hits.iter().filter(|hit| self.before.contains_key(&hit.way))
    }

    async fn probe_all(&self, system: &System, wanted: Look, within: Duration) -> Result<Vec<(&Hit, Seen)>, String> {
        let probes = self.probed().map(|hit| async move { Ok((hit, probe(system, &hit.way, wanted, within).await?)) });
        try_join_all(probes).await
    }

    /// What a probe of one way says of the fault: its toxics show where they are, and nothing of them where they are not.
    fn judge(&self, hit: &Hit, seen: &Seen) -> Result<String, String> {
        let told = told(&hit.way, seen);
        let ways = [(&hit.there, &hit.back, seen.there), (&hit.back, &hit.there, back(hit, seen))];
        for (own, other, course) in ways {
            let as_wanted = match (own, other) {
                (Some(kind), _) => matches!(shown(kind, &course), Shown::Yes | Shown::Untold),
                (None, Some(kind)) => matches!(shown(kind, &course), Shown::No | Shown::Untold),
                (None, None) => true,
            };
            if !as_wanted {
                return Err(told);
            }
        }
        if self.round_trip_fits(hit, seen) { Ok(told) } else { Err(told) }
    }

    /// Whether an answer, if one came, took longer than before by what latency adds.
    fn round_trip_fits(&self, hit: &Hit, seen: &Seen) -> bool {
        let before = self.before.get(&hit.way).copied().flatten();
        let before = before.map_or(Duration::ZERO, |seen| time_of(&seen.answer));
        let Course::Passed { took, .. } = seen.answer else { return true };
        round_trip_fits([hit.there.as_ref(), hit.back.as_ref()], took, before)
    }
}

fn time_of(course: &Course) -> Duration {
    if let Course::Passed { took, .. } = course { *took } else { Duration::ZERO }
}

/// The way back alone. The request's last bytes have gone there before the answer comes, which only latency makes long.
fn back(hit: &Hit, seen: &Seen) -> Course {
    let is_latency =
        [&hit.there, &hit.back].into_iter().flatten().any(|kind| matches!(kind, ToxicKind::Latency { .. }));
    match seen.answer {
        Course::Passed { took, bytes } if is_latency => {
            Course::Passed { took: took.saturating_sub(time_of(&seen.there)), bytes }
        }
        // Toxiproxy swallows the answer and passes on that the far service has hung up.
        Course::Closed if matches!(hit.back, Some(ToxicKind::Timeout { timeout_ms: 0 })) => Course::Silent,
        other => other,
    }
}

fn told(way: &Way, seen: &Seen) -> String {
    let words = |course: Course| match course {
        Course::Passed { took, bytes } => format!("{bytes} B in {:.1} ms", took.as_secs_f64() * 1000.0),
        Course::Silent => "none".to_owned(),
        Course::Closed => "none, closed".to_owned(),
        Course::Reset => "none, reset".to_owned(),
        Course::Unknown => "not asked for".to_owned(),
    };
    format!("{way}: there {}, answer {}", words(seen.there), words(seen.answer))
}

/// The share of connections that a fault hits.
fn share(aim: &Aim) -> f64 {
    aim.parameters.number("share").unwrap_or(1.0)
}

#[async_trait]
impl Fault for LinkFault {
    /// A slow link touches no service by itself.
    fn services(&self) -> Vec<(String, Instance)> {
        Vec::new()
    }

    /// The Toxiproxies that hold the toxics, what lies between the hosts, and the services that answer there.
    fn stands_on(&self) -> Vec<Place> {
        let stands_on = |Hit { way, behind, .. }: &Hit| {
            let far = way.far.clone();
            let behind = behind.clone().into_iter().map(move |own| Place::Service(far.clone(), own));
            let own = Place::Service(way.opener.clone(), ServiceKind::Toxiproxy.into());
            [own, Place::Path(way.opener.clone(), way.far.clone())].into_iter().chain(behind)
        };
        self.toxics.hits.iter().flat_map(stands_on).collect()
    }

    /// Probes of one host take turns.
    fn confirmed_within(&self) -> Duration {
        let Some((_, within)) = self.look() else { return MARGIN };
        let mut of_host: BTreeMap<&str, u32> = BTreeMap::new();
        for hit in self.probed() {
            *of_host.entry(&hit.way.opener).or_default() += 2;
        }
        MARGIN + within * of_host.into_values().max().unwrap_or(1) * PROBED
    }

    /// Finds, for each two hosts and each that opens connections to the other, a port that answers. If none does, the
    /// first is probed all the same, and judged without a figure to compare with.
    async fn prepare(&mut self, system: &System) -> Result<(), FaultError> {
        let Some((wanted, _)) = self.look() else { return Ok(()) };
        let mut pairs: BTreeMap<(&str, &str), Vec<&Way>> = BTreeMap::new();
        for Hit { way, .. } in &self.toxics.hits {
            pairs.entry((&way.opener, &way.far)).or_default().push(way);
        }
        let first_that_answers = pairs.into_values().map(|ways| async move {
            for way in &ways {
                match probe(system, way, wanted, ANSWERS_WITHIN).await {
                    Ok(seen) if matches!(seen.answer, Course::Passed { .. }) => {
                        return Some(((*way).clone(), Some(seen)));
                    }
                    _ => {}
                }
            }
            ways.first().map(|way| ((*way).clone(), None))
        });
        self.before = futures::future::join_all(first_that_answers).await.into_iter().flatten().collect();
        Ok(())
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        self.toxics.add(system).await
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        let listed = self.toxics.are_listed(system).await?;
        let Some((wanted, within)) = self.look() else { return Ok(listed) };
        let probed = self.probe_all(system, wanted, within).await?;
        let judged: Result<Vec<String>, String> = probed.iter().map(|(hit, seen)| self.judge(hit, seen)).collect();
        Ok(format!("{listed}; {}", judged?.join("; ")))
    }

    fn can_change(&self) -> bool {
        true
    }

    async fn change(&mut self, system: &System, aim: &Aim) -> Result<(), FaultError> {
        let hits = hits(self.fault, system.plan(), aim, &(self.shape)(aim)?)?;
        let places = |hits: &[Hit]| -> Vec<_> {
            hits.iter().map(|hit| (hit.way.clone(), hit.there.is_some(), hit.back.is_some())).collect()
        };
        if places(&hits) != places(&self.toxics.hits) {
            return Err(aim.refuse(self.fault, "where it hits can't change; heal it, and inject another"));
        }
        (self.toxics.hits, self.toxics.share) = (hits, share(aim));
        self.toxics.change(system).await
    }

    fn heals_while_suspended(&self) -> bool {
        true
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        self.toxics.remove(system).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let gone = self.toxics.are_gone(system).await?;
        let Some((wanted, _)) = self.look() else { return Ok(gone) };
        for (hit, seen) in self.probe_all(system, wanted, ANSWERS_WITHIN).await? {
            let still = [(&hit.there, seen.there), (&hit.back, back(hit, &seen))];
            let is_shown = |(kind, course): &(&Option<ToxicKind>, Course)| {
                kind.as_ref().is_some_and(|kind| shown(kind, course) == Shown::Yes)
            };
            let shows = still.iter().any(is_shown) && self.round_trip_fits(hit, &seen);
            // A way that did not answer before the fault need not do so after it.
            if shows && self.before.get(&hit.way).is_some_and(Option::is_some) {
                return Err(format!("{gone}, and yet {}", told(&hit.way, &seen)));
            }
        }
        Ok(gone)
    }
}
