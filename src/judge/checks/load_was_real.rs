//! Was there enough load to see anything? Without it an absence of failures proves nothing.
//!
//! Asked is: a steady state before the first fault (where it was lost and reached again, the last one); writers that had written at least [`LEAST_WRITES`] rows by then,
//! each of them some, with at least [`LEAST_SHARE`] of the attempts of the last two seconds acknowledged; and a prober
//! of the write endpoint that started attempts at most [`CLOSE_SCHEDULE_US`] apart from each fault until writes had
//! recovered, at most [`CALM_SCHEDULE_US`] apart at other times, and left none out until the load ended, and whose attempts were acknowledged before the fault, [`LEAST_PROBED_SHARE`] of them in the same two seconds:
//! an outage that was there before the fault (of a starved machine, which serves held sessions and no new ones) is
//! none of the fault's; fresh connections to every other endpoint, never [`SILENCE_US`] apart; and on every endpoint a
//! session that was opened before the fault. Writers and sessions go on until the load ends, or a session until an attempt
//! shows that it broke: what came when they had gone they could not see. The limits follow from what is measured: the
//! schedule bounds the error of an outage, and the writers' rate the loss that can be seen.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        onset::CLOSE_SCHEDULE_US,
        phases::milliseconds,
        record::{self, Tried, reached_us},
        watchers::{is_of_a_release, tried},
    },
    harness_was_sound::SILENCE_US,
};
use crate::{
    history::{
        Event, Occurrence,
        event::{ClientKind, Milestone, Operation},
    },
    topology::WRITE,
};

const NAME: &str = "load_was_real";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Was there a steady state, and enough load before and through the fault to see anything?",
    measures: &["writes_before_fault", "acknowledged_share", "prober_schedule_ms", "prober_gap_ms"],
    over: Over::Scenario,
    judge,
};

/// Acknowledged writes of all writers before the first fault.
pub const LEAST_WRITES: usize = 20;
/// Of the writers' attempts that ended in the last [`LAST_US`] before the first fault.
pub const LEAST_SHARE: f64 = 0.8;
pub const LAST_US: u64 = 2_000_000;
/// Of the prober's attempts at the write endpoint in the same time.
pub const LEAST_PROBED_SHARE: f64 = 0.95;
/// The widest schedule at other times. Held sessions and writers tell there when an outage began.
pub const CALM_SCHEDULE_US: u64 = 100_000;
/// The prober may start an attempt late by this many of its periods.
pub const GAP_PERIODS: u64 = 3;
/// The prober may end this much before the other clients: where the machine is slow, attempts that were due when the
/// load ended are never started. Nothing is judged there any more; a prober that died earlier is another thing.
pub const END_US: u64 = 1_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let all = evidence.attempts();
    let Some(steady_us) = record::steady_us(evidence.events) else {
        let summary = "a steady state was not reached, so what came after can't be told from what was broken before";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    };
    let faults = evidence.faults();
    let end_us = all.last().map_or(steady_us, Tried::started_us);
    let fault = faults.iter().map(|fault| fault.injecting_us).min();
    let writers = Writers::new(all, fault.unwrap_or(end_us));
    let prober = Prober::new(evidence.events, all, steady_us, end_us, fault);
    let mut doubts: Vec<String> = Vec::new();
    if fault.is_some_and(|at_us| at_us < steady_us) {
        doubts.push("the first fault was injected before a steady state was reached".to_owned());
    }
    doubts.extend(writers.doubt());
    doubts.extend(prober.doubt());
    doubts.extend(untried(evidence, all, (steady_us, end_us), fault));
    doubts.extend(ended_early(evidence.events, all));
    let again = match record::steady_again(evidence.events) {
        0 => String::new(),
        1 => "; the steady state was lost, and reached again before the fault".to_owned(),
        times => format!("; the steady state was lost, and reached again before the fault, {times} times"),
    };
    let summary = match doubts.is_empty() {
        true => format!(
            "{} writes of {} writers were acknowledged{}; the prober started attempts every {:.0} ms{again}",
            writers.acknowledged,
            writers.clients.len(),
            if fault.is_some() { " before the fault" } else { "" },
            milliseconds(if fault.is_some() { prober.close.schedule_us } else { prober.calm.schedule_us })
        ),
        false => doubts.join("; "),
    };
    let outcome = if doubts.is_empty() { Outcome::Pass } else { Outcome::Inconclusive };
    let details = [
        Measure::new("acknowledged_share", writers.share()),
        Measure::new("prober_schedule_ms", milliseconds(prober.close.schedule_us)),
        Measure::new("prober_gap_ms", milliseconds(prober.close.longest_gap_us.max(prober.calm.longest_gap_us))),
    ];
    let finding = Finding::new(NAME, outcome, summary)
        .with_measure(Measure::new("writes_before_fault", writers.acknowledged as f64))
        .with_details(details.to_vec());
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    expectations.iter().map(|expectation| finding.clone().held_against(expectation)).collect()
}

/// Endpoints that nobody tried as the plan implies: by fresh connections to the end, and before the fault by a session
/// that is held through it. An old primary that still takes writes may show itself to an old session alone.
fn untried(
    evidence: &Evidence<'_>,
    all: &[Tried<'_>],
    (steady_us, end_us): (u64, u64),
    fault_us: Option<u64>,
) -> Vec<String> {
    let holds_sessions = is_of_a_release(evidence);
    let before_us = fault_us.unwrap_or(end_us);
    // Whoever connects to a cluster that follows another one for writing gets no session to hold, and of a balancer that
    // asks for no role nobody knows whom it leads to.
    let plan = evidence.plan;
    let is_served = |endpoint: &str| plan.endpoint(endpoint).is_none_or(|endpoint| plan.is_served(endpoint));
    let mut doubts = Vec::new();
    for (endpoint, operation) in tried(evidence.plan) {
        let own =
            || all.iter().filter(|tried| tried.attempt.endpoint == endpoint && tried.attempt.operation == operation);
        let held = |tried: &Tried<'_>| tried.attempt.client_kind == ClientKind::Held && tried.started_us() <= before_us;
        if holds_sessions && is_served(endpoint) && !own().any(held) {
            doubts.push(format!("no session with {endpoint} was opened before the fault and held"));
        }
        let starts = own().filter(|tried| tried.is_fresh(endpoint, operation)).map(Tried::started_us);
        let mut edges: Vec<u64> = starts.filter(|at_us| *at_us > steady_us).collect();
        edges.extend([steady_us, end_us]);
        edges.sort_unstable();
        let longest_us = edges.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
        if longest_us > SILENCE_US {
            doubts.push(format!("no fresh client tried {endpoint} for {:.1} s", milliseconds(longest_us) / 1000.0));
        }
    }
    doubts
}

/// Clients that were gone long before the load ended, though nothing had stopped them: each goes on until then, and what it
/// has in hand is given up at the end.
fn ended_early(events: &[Event], all: &[Tried<'_>]) -> Option<String> {
    let last_us = all.iter().map(|tried| tried.ended_us).max()?;
    let stopped_us = reached_us(events, Milestone::LoadStopped);
    let early_us = stopped_us.map_or(0, |stopped_us| stopped_us.saturating_sub(last_us));
    if early_us > SILENCE_US {
        return Some(format!(
            "every client had been gone for {:.1} s when the load ended",
            milliseconds(early_us) / 1000.0
        ));
    }
    let mut last_of: BTreeMap<u32, &Tried<'_>> = BTreeMap::new();
    // Those of applications wait for as long as they are set to.
    let goes_on = |kind: ClientKind| matches!(kind, ClientKind::Held | ClientKind::Writer);
    for tried in all.iter().filter(|tried| goes_on(tried.attempt.client_kind)) {
        let last = last_of.entry(tried.attempt.client).or_insert(tried);
        if tried.ended_us >= last.ended_us {
            *last = tried;
        }
    }
    let gone = |tried: &&Tried<'_>| {
        let may_break = tried.attempt.client_kind == ClientKind::Held && !tried.acknowledged();
        !may_break && last_us.saturating_sub(tried.ended_us) > SILENCE_US
    };
    let gone = last_of.into_values().find(gone)?;
    let kind = if gone.attempt.client_kind == ClientKind::Held { "the session of client" } else { "writer" };
    let early_s = milliseconds(last_us.saturating_sub(gone.ended_us)) / 1000.0;
    Some(format!("{kind} {} tried nothing in the last {early_s:.1} s and had not broken", gone.attempt.client))
}

/// The writers of the load before the first fault.
struct Writers {
    acknowledged: usize,
    /// Each writer's acknowledged writes.
    clients: BTreeMap<u32, usize>,
    /// Attempts that ended shortly before the fault, and those of them that were acknowledged.
    last: (usize, usize),
}

impl Writers {
    fn new(all: &[Tried<'_>], until_us: u64) -> Self {
        let mut writers = Self { acknowledged: 0, clients: BTreeMap::new(), last: (0, 0) };
        let own = all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Writer && tried.is_write());
        for tried in own {
            let client = writers.clients.entry(tried.attempt.client).or_default();
            if tried.ended_us > until_us {
                continue;
            }
            let good = usize::from(tried.acknowledged());
            *client += good;
            writers.acknowledged += good;
            if tried.ended_us >= until_us.saturating_sub(LAST_US) {
                writers.last = (writers.last.0 + 1, writers.last.1 + good);
            }
        }
        writers
    }

    fn share(&self) -> f64 {
        if self.last.0 == 0 { 0.0 } else { self.last.1 as f64 / self.last.0 as f64 }
    }

    fn doubt(&self) -> Option<String> {
        if self.acknowledged < LEAST_WRITES {
            let count = self.acknowledged;
            return Some(format!("only {count} writes were acknowledged before the fault, fewer than {LEAST_WRITES}"));
        }
        if let Some((client, _)) = self.clients.iter().find(|(_, count)| **count == 0) {
            return Some(format!("writer {client} had not written anything before the fault"));
        }
        let percent = self.share() * 100.0;
        (self.share() < LEAST_SHARE).then(|| {
            format!(
                "only {percent:.0} % of the writers' attempts in the two seconds before the fault were acknowledged"
            )
        })
    }
}

/// The prober of the write endpoint, through the whole scenario.
struct Prober {
    attempts: usize,
    /// Where outages are measured; the whole watch if no fault came.
    close: Pace,
    /// Everywhere else.
    calm: Pace,
    /// How long others went on when it had ended.
    ended_early_us: u64,
    /// Of its attempts that ended shortly before the fault, the share that was acknowledged; `None`: there were none.
    share_before_fault: Option<f64>,
}

/// How far apart the prober's attempts started.
#[derive(Default)]
struct Pace {
    /// The widest that is allowed.
    widest_us: u64,
    /// The median time between two starts.
    schedule_us: u64,
    longest_gap_us: u64,
}

impl Pace {
    fn new(widest_us: u64, mut gaps_us: Vec<u64>) -> Self {
        gaps_us.sort_unstable();
        let schedule_us = gaps_us.get(gaps_us.len() / 2).copied().unwrap_or(0);
        Self { widest_us, schedule_us, longest_gap_us: gaps_us.last().copied().unwrap_or(0) }
    }

    fn doubt(&self) -> Option<String> {
        if self.schedule_us > self.widest_us {
            return Some(format!("the prober started attempts only every {:.0} ms", milliseconds(self.schedule_us)));
        }
        (self.longest_gap_us > GAP_PERIODS * self.widest_us)
            .then(|| format!("the prober started no attempt for {:.0} ms", milliseconds(self.longest_gap_us)))
    }
}

impl Prober {
    fn new(events: &[Event], all: &[Tried<'_>], from_us: u64, end_us: u64, fault_us: Option<u64>) -> Self {
        let fresh = || all.iter().filter(|tried| tried.is_fresh(WRITE, Operation::Write));
        let share_before_fault = fault_us.and_then(|fault_us| {
            // One that began before that time was answered late: it says how things were then.
            let from_us = fault_us.saturating_sub(LAST_US);
            let last = fresh().filter(|tried| tried.started_us() >= from_us && tried.ended_us <= fault_us);
            let (good, all) =
                last.fold((0, 0), |(good, all), tried| (good + usize::from(tried.acknowledged()), all + 1));
            (all > 0).then(|| good as f64 / all as f64)
        });
        let starts: Vec<u64> = fresh().map(Tried::started_us).filter(|at_us| *at_us >= from_us).collect();
        let spans = close_spans(events);
        // Without a fault there is no outage to measure.
        let is_close = |from_us: u64| {
            fault_us.is_some() && (spans.is_empty() || spans.iter().any(|span| (span.0..span.1).contains(&from_us)))
        };
        let edges = std::iter::once(from_us).chain(starts.iter().copied()).zip(starts.iter().copied());
        let (close, calm): (Vec<_>, Vec<_>) = edges.partition(|(from, _)| is_close(*from));
        let gaps = |pairs: Vec<(u64, u64)>| pairs.into_iter().map(|(from, to)| to.saturating_sub(from)).collect();
        Self {
            attempts: starts.len(),
            close: Pace::new(CLOSE_SCHEDULE_US, gaps(close)),
            calm: Pace::new(CALM_SCHEDULE_US, gaps(calm)),
            ended_early_us: starts.last().map_or(0, |last| end_us.saturating_sub(*last)),
            share_before_fault,
        }
    }

    fn doubt(&self) -> Option<String> {
        if self.attempts < LEAST_WRITES {
            return Some(format!("the prober of the write endpoint started only {} attempts", self.attempts));
        }
        if let Some(share) = self.share_before_fault.filter(|share| *share < LEAST_PROBED_SHARE) {
            let percent = share * 100.0;
            return Some(format!(
                "only {percent:.0} % of the prober's attempts in the two seconds before the fault were acknowledged: new \
                 clients were refused before anything was broken"
            ));
        }
        if self.ended_early_us > END_US {
            return Some(format!(
                "the prober ended {:.0} ms before the other clients",
                milliseconds(self.ended_early_us)
            ));
        }
        self.close.doubt().or_else(|| self.calm.doubt())
    }
}

/// From each fault until the recovery of writes had settled, or else to the end.
fn close_spans(events: &[Event]) -> Vec<(u64, u64)> {
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for event in events {
        let open = spans.last().is_some_and(|span| span.1 == u64::MAX);
        match &event.what {
            Occurrence::FaultInjecting(_) if !open => spans.push((event.at_us, u64::MAX)),
            Occurrence::Reached { milestone: Milestone::Recovered } => {
                spans.iter_mut().filter(|span| span.1 == u64::MAX).for_each(|span| span.1 = event.at_us);
            }
            _ => {}
        }
    }
    spans
}
