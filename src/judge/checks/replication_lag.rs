//! How far behind the primary are its standbys, a cluster that follows it, and that cluster's own standbys?
//!
//! Each look at a standby shows what it has replayed. Its **lag in time** is the age of the oldest write that counts in the end
//! ([`super::course::kept`]) and is not there yet; 0, if there is none. So a standby does not lag while nobody writes. It
//! lies between two bounds, which are exact:
//!
//! - A write whose position lies beyond what was replayed is missing for sure, as its commit lies further still. It had been
//!   committed when it was acknowledged. So the lag is at least the time from the first acknowledgement of these to the
//!   instant in which the node was asked.
//! - A write that was committed before another one began, whose position was replayed, is there. So the lag is at most the time
//!   from the last begin of those that were replayed to the node's answer; or, where none was, from the first begin of all.
//!   (Behind a switch of timelines all that was written before it is there.)
//!
//! The two are apart by the time that a write takes, that between two writes, and that of the look. Looks at a place of the
//! WAL at which nobody wrote for longer than [`ROUGH_US`] are left out; a standby on a timeline has no write of a later one.
//! The least is the figure. `lag_resolution_ms` says how much more the worst of the figures may be, and a bound that lies between
//! is neither kept nor missed.
//!
//! The **lag in bytes** is the WAL from there to what the primary has written: at least to the last write that was
//! acknowledged before the look, at most to the first that began after it.
//!
//! Every lag is behind the primary that is written to, also that of a standby that streams from another one (`cascade`): what
//! its own hop adds is the difference from the hop before. A standby that streams from nobody belongs to the hop that it
//! was on last; a leader of a cluster that follows is on a hop of its own (`shipping`) once it has replayed more than it had
//! when it was first seen to receive nothing, which its archive has given it. One to which nobody ever streams is on that hop
//! from the beginning. On which timeline it is, it says nowhere: it tells a lag only where there was but one.
//!
//! The distribution (median, 95th percentile, maximum) is that of all looks at nodes of a hop, from the steady state to the end
//! of the load, and once more of those before the first fault (`before_fault`; without a fault, of all). With fewer than
//! [`LOOKS_AT_LEAST`] there is none. `at_fault` is the greatest lag that the last look at each node before the first fault
//! showed.
//!
//! A bound is in doubt where a standby was not seen for long in the time that the figure covers, and nothing says why
//! ([`mod@unseen`]).

mod hops;
mod unseen;

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        bracket::{Bracket, Bracketed, Distribution, held},
        grouping::Watched,
        kept::{Kept, kept},
        primaries::LOOK_US,
    },
    harness_was_sound::in_doubt_if_starved,
};
use crate::{
    history::{Occurrence, event::Expectation},
    quantity::written::value,
};
use hops::{HOPS, Look, MEASURES, looks};
pub use hops::{Hop, Names};
use unseen::unseen;

const NAME: &str = "replication_lag";
const LAG_RESOLUTION_MS: &str = "lag_resolution_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How far behind the primary were its standbys, the clusters that follow it, and their standbys?",
    measures: &MEASURES,
    over: Over::Lineage,
    judge,
};

/// The names of the measures of a hop.
pub const fn names(hop: Hop) -> Names {
    HOPS[hop as usize]
}

/// A place of the WAL is known well enough if its lag is known to this.
const ROUGH_US: u64 = 250_000;
/// Fewer looks are no distribution.
const LOOKS_AT_LEAST: usize = 20;
/// What a look before the fault showed is the lag at the fault, if it was no longer before.
const JUST_BEFORE_US: u64 = 2_000_000;

/// What one look at a standby shows.
struct Lag<'a> {
    look: Look<'a>,
    time_us: Bracket,
    /// `None`: nobody wrote after the look, so how far the primary was is not known.
    bytes: Option<Bracket>,
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let lags = lags(evidence);
    let first_fault_us = evidence.faults().iter().map(|fault| fault.injecting_us).min();
    let mut findings = Vec::new();
    for (hop, names) in Hop::ALL.into_iter().map(|hop| (hop, names(hop))) {
        let own: Vec<&Lag<'_>> = lags.iter().filter(|lag| lag.look.hop == hop).collect();
        let figures = Figures::of(&own, &names, first_fault_us);
        let asked: Vec<_> = expectations.iter().filter(|expectation| names.has(&expectation.measure)).collect();
        if asked.is_empty() && figures.measures.is_empty() {
            continue;
        }
        let finding = figures.finding(hop, &own);
        match asked.is_empty() {
            true => findings.push(finding),
            false => {
                let hold = |expectation: &&&Expectation| {
                    let span_us = span_us(evidence, &names, expectation, first_fault_us);
                    let held = hold(evidence, finding.clone(), &figures, expectation);
                    in_doubt_if_unseen(held, span_us.and_then(|span_us| unseen(evidence, hop, &own, span_us)))
                };
                findings.extend(asked.iter().map(hold));
            }
        }
    }
    findings
}

/// The finding held to an expectation. What is late on a starved machine is not the system's lag alone.
fn hold(evidence: &Evidence<'_>, finding: Finding, figures: &Figures, expectation: &Expectation) -> Finding {
    let held = held(finding, &figures.measures, expectation);
    in_doubt_if_starved(evidence, held)
}

/// The time that the figure of an expectation covers.
fn span_us(
    evidence: &Evidence<'_>,
    names: &Names,
    expectation: &Expectation,
    first_fault_us: Option<u64>,
) -> Option<(u64, u64)> {
    let watched = Watched::of(evidence.events);
    let until_us = match names.is_of_the_whole_course(&expectation.measure) {
        true => watched.until_us,
        false => first_fault_us.unwrap_or(watched.until_us),
    };
    Some((watched.steady_us?, until_us))
}

/// A bound is not kept by a standby of which nobody knows how far behind it was.
fn in_doubt_if_unseen(held: Finding, unseen: Option<String>) -> Finding {
    match unseen {
        Some(unseen) if held.outcome == Outcome::Pass => {
            Finding { outcome: Outcome::Inconclusive, summary: format!("{}; {unseen}", held.summary), ..held }
        }
        _ => held,
    }
}

/// The figures of a hop.
struct Figures {
    looks: usize,
    measures: Vec<Bracketed>,
}

impl Figures {
    fn of(lags: &[&Lag<'_>], names: &Names, first_fault_us: Option<u64>) -> Self {
        let before: Vec<&Lag<'_>> =
            lags.iter().copied().filter(|lag| first_fault_us.is_none_or(|at_us| lag.look.at_us < at_us)).collect();
        let mut measures = Vec::new();
        let (time, bytes) = distributions(lags);
        measures.extend(of_time([names.median_ms, names.p95_ms, names.max_ms], &time));
        measures.extend(of_bytes([names.median_bytes, names.p95_bytes, names.max_bytes], &bytes));
        let (time, bytes) = distributions(&before);
        let calm = [names.before_fault_median_ms, names.before_fault_p95_ms, names.before_fault_max_ms];
        measures.extend(of_time(calm, &time));
        measures.extend(bytes.max().map(|max| Bracketed::of_bytes(names.before_fault_max_bytes, max)));
        if let Some(fault_us) = first_fault_us {
            let last = last_looks(&before, fault_us);
            let time = last.iter().map(|lag| lag.time_us).collect::<Distribution>().max();
            let bytes = last.iter().filter_map(|lag| lag.bytes).collect::<Distribution>().max();
            measures.extend(time.map(|time| Bracketed::of_time(names.at_fault_ms, time)));
            measures.extend(bytes.map(|bytes| Bracketed::of_bytes(names.at_fault_bytes, bytes)));
        }
        Self { looks: lags.len(), measures }
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.measures.iter().find(|own| own.name == name).map(|own| own.least)
    }

    fn resolution_ms(&self) -> f64 {
        let times = self.measures.iter().filter(|own| own.name.ends_with("_ms"));
        times.map(|own| own.most - own.least).fold(0.0, f64::max)
    }

    fn finding(&self, hop: Hop, lags: &[&Lag<'_>]) -> Finding {
        let names = names(hop);
        let Some([median, p95, max]) = self.three([names.median_ms, names.p95_ms, names.max_ms]) else {
            let looks = self.looks;
            let summary = format!(
                "only {looks} looks at {} while clients wrote tell a lag, and {LOOKS_AT_LEAST} are needed",
                hop.words()
            );
            return self.with_measures(Finding::new(NAME, Outcome::Pass, summary), &names);
        };
        let [median, p95, max] = [(median, "median"), (p95, "95th percentile"), (max, "maximum")]
            .map(|(ms, what)| format!("{} ({what})", value(names.max_ms, ms)));
        let resolution = value(LAG_RESOLUTION_MS, self.resolution_ms());
        let at_fault = self.get(names.at_fault_ms).map(|ms| {
            let bytes = self.get(names.at_fault_bytes).map(|bytes| value(names.at_fault_bytes, bytes));
            let bytes = bytes.map(|bytes| format!(" and {bytes}")).unwrap_or_default();
            format!(", {}{bytes} just before the first fault", value(names.at_fault_ms, ms))
        });
        let summary = format!(
            "{} lagged {median}, {p95}, {max} behind the primary{}; known to {resolution}, from {} looks",
            hop.words(),
            at_fault.unwrap_or_default(),
            self.looks
        );
        let worst = lags.iter().max_by_key(|lag| lag.time_us.least).map(|lag| lag.look.seq);
        self.with_measures(Finding::new(NAME, Outcome::Pass, summary), &names).with_evidence(worst)
    }

    fn three(&self, names: [&str; 3]) -> Option<[f64; 3]> {
        let [one, two, three] = names.map(|name| self.get(name));
        Some([one?, two?, three?])
    }

    fn with_measures(&self, finding: Finding, names: &Names) -> Finding {
        let mut details: Vec<Measure> = self.measures.iter().map(|own| own.measure()).collect();
        let calm = self.measures.iter().find(|own| own.name == names.before_fault_p95_ms);
        details.extend(calm.map(|own| Measure::new(names.before_fault_p95_resolution_ms, own.most - own.least)));
        if !details.is_empty() {
            details.push(Measure::new(LAG_RESOLUTION_MS, self.resolution_ms()));
        }
        finding.with_details(details)
    }
}

/// The lags in time and in bytes, as far as there are enough for a distribution.
fn distributions(lags: &[&Lag<'_>]) -> (Distribution, Distribution) {
    let enough = |own: Distribution| if own.count() < LOOKS_AT_LEAST { Distribution::default() } else { own };
    let time = lags.iter().map(|lag| lag.time_us).collect();
    (enough(time), enough(lags.iter().filter_map(|lag| lag.bytes).collect()))
}

fn of_time(names: [&'static str; 3], own: &Distribution) -> impl Iterator<Item = Bracketed> {
    let figures = [own.median(), own.p95(), own.max()];
    names.into_iter().zip(figures).filter_map(|(name, figure)| Some(Bracketed::of_time(name, figure?)))
}

fn of_bytes(names: [&'static str; 3], own: &Distribution) -> impl Iterator<Item = Bracketed> {
    let figures = [own.median(), own.p95(), own.max()];
    names.into_iter().zip(figures).filter_map(|(name, figure)| Some(Bracketed::of_bytes(name, figure?)))
}

/// The last look at each node just before an instant.
fn last_looks<'l, 'a>(lags: &[&'l Lag<'a>], at_us: u64) -> Vec<&'l Lag<'a>> {
    let mut last: BTreeMap<&str, &Lag<'_>> = BTreeMap::new();
    for lag in lags.iter().filter(|lag| lag.look.at_us.saturating_add(JUST_BEFORE_US) >= at_us) {
        last.insert(lag.look.node, lag);
    }
    last.into_values().collect()
}

/// What each look at a standby shows, from the steady state to the end of the load.
fn lags<'a>(evidence: &Evidence<'a>) -> Vec<Lag<'a>> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let (switches, primaries) = (switches(evidence), Primaries::of(evidence));
    let mut written: BTreeMap<&str, Option<Written>> = BTreeMap::new();
    let looks = looks(evidence).into_iter().filter(|look| (steady_us..watched.until_us).contains(&look.at_us));
    let lag = |look: Look<'a>| {
        let cluster = evidence.plan.cluster_of(look.node)?;
        let origin = evidence.plan.lineage_of(cluster);
        let of_lineage = written.entry(&origin.name).or_insert_with(|| kept(evidence, origin).map(Written::new));
        let written = of_lineage.as_ref()?;
        let time_us = written.lag_us(&look, &switches, &primaries)?;
        Some(Lag { look, time_us, bytes: written.lag_bytes(&look) })
    };
    looks.filter_map(lag).collect()
}

/// Where each timeline was begun, by the last place that a node told.
fn switches(evidence: &Evidence<'_>) -> BTreeMap<u32, u64> {
    let mut switches: BTreeMap<u32, u64> = BTreeMap::new();
    for event in evidence.events {
        if let Occurrence::TimelineSwitch { node, timeline, switch_lsn, .. } = &event.what
            && evidence.plan.cluster_of(node).is_some()
        {
            let place = switches.entry(*timeline).or_default();
            *place = (*place).max(*switch_lsn);
        }
    }
    switches
}

/// What looks at the primaries showed, by timeline: a position that had been written, and the latest instant at which a
/// look began that showed no later one, in the order of positions.
#[derive(Default)]
struct Primaries(BTreeMap<u32, Vec<(u64, u64)>>);

impl Primaries {
    fn of(evidence: &Evidence<'_>) -> Self {
        // There an acknowledged commit may lie beyond all that was written.
        if evidence.settings().postgresql.is_off("synchronous_commit") {
            return Self::default();
        }
        let mut seen: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        for event in evidence.events {
            let Occurrence::NodeState(state) = &event.what else { continue };
            if !state.is_primary() || evidence.plan.cluster_of(&state.node).is_none() {
                continue;
            }
            if let (Some(timeline), Some(lsn), Some(asked_us)) = (state.timeline, state.lsn, state.asked_us) {
                seen.entry(timeline).or_default().push((lsn, asked_us.min(event.at_us)));
            }
        }
        for looks in seen.values_mut() {
            looks.sort_unstable();
            let mut latest_us = 0;
            for (_, asked_us) in looks {
                latest_us = latest_us.max(*asked_us);
                *asked_us = latest_us;
            }
        }
        Self(seen)
    }

    /// Until when whatever the primary of a look's timeline had committed is there.
    fn replayed_until_us(&self, look: &Look<'_>) -> Option<u64> {
        let looks = self.0.get(&look.timeline)?;
        let behind = looks.partition_point(|(lsn, _)| *lsn <= look.lsn);
        Some(looks[behind.checked_sub(1)?].1)
    }
}

/// The writes of a lineage in the order of their positions, with what is asked of those before and behind one.
struct Written {
    writes: Vec<Kept>,
    /// At each place: the last begin of the writes up to there, with it.
    last_started_us: Vec<u64>,
    /// At each place: the first begin, and the first acknowledgement, of the writes from there on.
    first_started_us: Vec<u64>,
    first_ended_us: Vec<u64>,
    /// By acknowledgement: how far the primary had written at least.
    acknowledged: Vec<(u64, u64)>,
    /// By begin: how far it had written at most.
    begun: Vec<(u64, u64)>,
}

impl Written {
    fn new(writes: Vec<Kept>) -> Self {
        let running = |values: Vec<u64>, pick: fn(u64, u64) -> u64| {
            let mut last = None;
            let next = values.into_iter().map(|value| *last.insert(last.map_or(value, |before| pick(before, value))));
            next.collect::<Vec<u64>>()
        };
        let from_behind = |value: fn(&Kept) -> u64| {
            let mut running = running(writes.iter().rev().map(value).collect(), u64::min);
            running.reverse();
            running
        };
        let last_started_us = running(writes.iter().map(|write| write.started_us).collect(), u64::max);
        let (first_started_us, first_ended_us) =
            (from_behind(|write| write.started_us), from_behind(|write| write.ended_us));
        let mut ended: Vec<(u64, u64)> = writes.iter().map(|write| (write.ended_us, write.lsn)).collect();
        ended.sort_unstable();
        let (at_us, lsns): (Vec<u64>, Vec<u64>) = ended.into_iter().unzip();
        let acknowledged = at_us.into_iter().zip(running(lsns, u64::max)).collect();
        let mut begun: Vec<(u64, u64)> = writes.iter().map(|write| (write.started_us, write.lsn)).collect();
        begun.sort_unstable_by(|one, other| other.cmp(one));
        let (at_us, lsns): (Vec<u64>, Vec<u64>) = begun.into_iter().unzip();
        let mut begun: Vec<(u64, u64)> = at_us.into_iter().zip(running(lsns, u64::min)).collect();
        begun.reverse();
        Self { writes, last_started_us, first_started_us, first_ended_us, acknowledged, begun }
    }

    /// The lag in time; `None` where too little was written to tell.
    fn lag_us(&self, look: &Look<'_>, switches: &BTreeMap<u32, u64>, primaries: &Primaries) -> Option<Bracket> {
        let by_position = self.writes.partition_point(|write| write.lsn <= look.lsn);
        let replayed = self.writes[..by_position].partition_point(|write| write.timeline <= look.timeline);
        let last = replayed.checked_sub(1).map(|last| (self.last_started_us[last], self.writes[last].timeline));
        // Where nothing was replayed, none of all writes was committed before the first of them began.
        let (mut floor_us, timeline) = last.or_else(|| Some((*self.first_started_us.first()?, u32::MAX)))?;
        let missing = self.writes.get(replayed);
        // Behind a switch nothing of the timeline before it is missing.
        if let Some(next) = missing.filter(|next| next.timeline > timeline)
            && switches.get(&next.timeline).is_some_and(|switch_lsn| *switch_lsn <= look.lsn)
        {
            floor_us = floor_us.max(self.first_started_us[replayed]);
        }
        // What was written on later timelines is not there, however old the primary's word is.
        let later = self.writes.partition_point(|write| write.timeline <= look.timeline);
        let later_us = self.first_started_us.get(later).copied().unwrap_or(u64::MAX);
        floor_us = floor_us.max(primaries.replayed_until_us(look).map_or(0, |until_us| until_us.min(later_us)));
        let since_us = |at_us: u64| missing.map_or(0, |_| at_us.saturating_sub(self.first_ended_us[replayed]));
        let most = look.at_us.saturating_sub(floor_us);
        let least = since_us(look.asked_us.min(look.at_us));
        let is_rough = Bracket { least: since_us(look.at_us), most }.width() > ROUGH_US;
        (!is_rough || least > 0).then(|| Bracket { least, most: most.max(least) })
    }

    /// The lag in bytes; `None` if nobody wrote before or after the look.
    fn lag_bytes(&self, look: &Look<'_>) -> Option<Bracket> {
        let before = self.acknowledged.partition_point(|(at_us, _)| *at_us <= look.asked_us);
        let (_, least_lsn) = self.acknowledged[before.checked_sub(1)?];
        let after = self.begun.partition_point(|(at_us, _)| *at_us < look.at_us);
        let (_, most_lsn) = *self.begun.get(after)?;
        let behind = |lsn: u64| lsn.saturating_sub(look.lsn);
        Some(Bracket { least: behind(least_lsn), most: behind(most_lsn).max(behind(least_lsn)) })
    }
}

/// When a look began that does not say so.
fn asked_at_the_earliest_us(at_us: u64) -> u64 {
    at_us.saturating_sub(LOOK_US)
}
