//! Can the harness's own eyes and clock be trusted?
//!
//! Every observer that the plan implies ([`super::course::watchers`]) must have given signs of life from the steady state
//! to the end, whether it was ever heard of or not. Every node and every leader key must have been seen, and the harness's
//! own timers must have fired in time: on a starved machine a slow harness looks like a slow database.
//! An observer whose target is dead is still alive and says so; silence means that the observer itself is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::TIMER_LATE_US,
        phases::milliseconds,
        record::{reached_us, watched_span},
        watchers::{implied, sign_of_life},
    },
};
use crate::history::{Event, Occurrence, event::Milestone};

const NAME: &str = "harness_was_sound";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Were all observers alive to the end, and did the harness's own timers fire in time?",
    measures: &["timer_late_ms", "observer_silence_ms"],
    over: Over::Scenario,
    judge,
};

/// The longest silence of an observer. It gives a sign of life once a second.
pub const SILENCE_US: u64 = 5_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (_, until_us) = watched_span(evidence.events);
    let mut doubts = lost_observers(evidence, until_us);
    let silence = silences(evidence, until_us);
    let longest_us = silence.iter().filter_map(|(_, us)| *us).max();
    doubts.extend(silence.into_iter().filter_map(|(name, us)| {
        let told = match us {
            None => format!("the observer {name} never gave a sign of life"),
            Some(us) if us > SILENCE_US => {
                format!("the observer {name} gave no sign of life for {:.1} s", milliseconds(us) / 1000.0)
            }
            Some(_) => return None,
        };
        Some((told, None))
    }));
    doubts.extend(unseen(evidence).into_iter().map(|what| (format!("{what} was never seen by an observer"), None)));
    let late = latest_timer(evidence);
    doubts.extend(late.filter(|(us, _)| *us > TIMER_LATE_US).map(|(us, seq)| {
        let late_ms = milliseconds(us);
        (format!("the harness's own timers fired up to {late_ms:.0} ms late: the machine was starved"), Some(seq))
    }));
    let outcome = if doubts.is_empty() { Outcome::Pass } else { Outcome::Inconclusive };
    let late_ms = milliseconds(late.map_or(0, |(us, _)| us));
    let summary = match doubts.is_empty() {
        true => format!("every observer was alive to the end; the harness's timers were at most {late_ms:.1} ms late"),
        false => doubts.iter().map(|(doubt, _)| doubt.as_str()).collect::<Vec<_>>().join("; "),
    };
    let mut details = vec![Measure::new("timer_late_ms", late_ms)];
    details.extend(longest_us.map(|us| Measure::new("observer_silence_ms", milliseconds(us))));
    vec![
        Finding::new(NAME, outcome, summary)
            .with_details(details)
            .with_evidence(doubts.iter().filter_map(|(_, seq)| *seq)),
    ]
}

/// A doubt and the event that shows it.
type Doubt = (String, Option<u64>);

fn lost_observers(evidence: &Evidence<'_>, until_us: u64) -> Vec<Doubt> {
    let lost = evidence.events.iter().filter(|event| event.at_us <= until_us).filter_map(|event| match &event.what {
        Occurrence::ObserverLost { observer, target, reason } => {
            Some((format!("the observer {observer} of {target} failed: {reason}"), Some(event.seq)))
        }
        _ => None,
    });
    lost.collect()
}

/// The longest silence of each observer, from the steady state (or its first sign of life, if that came sooner) to the
/// end; `None`: it never gave a sign.
fn silences(evidence: &Evidence<'_>, until_us: u64) -> Vec<(String, Option<u64>)> {
    // Without a steady state the scenario may have ended before observers were started.
    let steady_us = reached_us(evidence.events, Milestone::SteadyState).filter(|steady_us| *steady_us <= until_us);
    let implied = implied(evidence);
    let mut alive: BTreeMap<(&str, &str), Option<(u64, u64)>> = BTreeMap::new();
    if steady_us.is_some() {
        alive.extend(implied.iter().map(|(observer, target)| ((*observer, target.as_str()), None)));
    }
    for event in evidence.events.iter().filter(|event| event.at_us <= until_us) {
        let Some(watch) = sign_of_life(&event.what) else { continue };
        let first_us = steady_us.map_or(event.at_us, |steady_us| steady_us.min(event.at_us));
        let (last_us, longest_us) = alive.entry(watch).or_default().get_or_insert((first_us, 0));
        *longest_us = (*longest_us).max(event.at_us.saturating_sub(*last_us));
        *last_us = event.at_us;
    }
    let silence = |(last_us, longest_us): (u64, u64)| longest_us.max(until_us.saturating_sub(last_us));
    alive
        .into_iter()
        .map(|((observer, target), signs)| (format!("{observer} of {target}"), signs.map(silence)))
        .collect()
}

/// What should have been observed and never was.
fn unseen(evidence: &Evidence<'_>) -> Vec<String> {
    let mut nodes: BTreeSet<&str> = evidence.plan.nodes.iter().map(String::as_str).collect();
    let (plan, mut alive) = (evidence.plan, false);
    for event in evidence.events {
        match &event.what {
            Occurrence::NodeState(state) => drop(nodes.remove(state.node.as_str())),
            Occurrence::ObserverAlive { .. } => alive = true,
            _ => {}
        }
    }
    let mut unseen: Vec<String> = nodes.into_iter().map(|node| format!("the node {node}")).collect();
    let has_key = plan.clusters.iter().filter(|cluster| plan.dcs_of(cluster).is_some());
    for cluster in has_key.filter(|cluster| evidence.leader_key_of(&cluster.name).is_empty()) {
        let of = if plan.clusters.len() > 1 { format!(" of {}", cluster.name) } else { String::new() };
        unseen.push(format!("the leader key{of}"));
    }
    unseen.extend((!alive).then(|| "any sign of life".to_owned()));
    unseen
}

fn is_recovery(event: &Event) -> bool {
    matches!(event.what, Occurrence::Reached { milestone: Milestone::Recovered })
}

/// A bound on a time that was missed is in doubt where the harness's timers fired later than [`TIMER_LATE_US`]: what is late on
/// a starved machine is not the system's lateness alone.
pub fn in_doubt_if_starved(evidence: &Evidence<'_>, held: Finding) -> Finding {
    in_doubt_if_late(held, latest_timer(evidence).map_or(0, |(late_us, _)| late_us))
}

/// The same where a timer fired this late at worst.
pub fn in_doubt_if_late(held: Finding, late_us: u64) -> Finding {
    if held.outcome != Outcome::Fail || late_us <= TIMER_LATE_US {
        return held;
    }
    let late_ms = milliseconds(late_us);
    let starved = format!("; the harness's timers fired {late_ms:.0} ms late: the machine was starved");
    Finding { outcome: Outcome::Inconclusive, summary: held.summary.clone() + &starved, ..held }
}

/// How late a timer fired at worst while times were measured, in microseconds, and the event that says so.
pub fn latest_timer(evidence: &Evidence<'_>) -> Option<(u64, u64)> {
    let (from_us, load_ended_us) = watched_span(evidence.events);
    // The last of several recoveries; and an outage may begin only after the harness took writes for recovered.
    let recovered = evidence.events.iter().filter(|event| is_recovery(event)).map(|event| event.at_us).max();
    let outages_us = evidence.failovers().iter().map(|failover| failover.recovered_us.unwrap_or(load_ended_us)).max();
    let until_us = recovered.map_or(load_ended_us, |at_us| at_us.max(outages_us.unwrap_or(0)));
    latest_timer_within(evidence, from_us..=until_us)
}

/// The same within a span of the run's clock.
pub fn latest_timer_within(evidence: &Evidence<'_>, span_us: RangeInclusive<u64>) -> Option<(u64, u64)> {
    let late = evidence.events.iter().filter(|event| span_us.contains(&event.at_us));
    late.filter_map(|event| match event.what {
        Occurrence::TimerLate { late_us } => Some((late_us, event.seq)),
        _ => None,
    })
    .max()
}
