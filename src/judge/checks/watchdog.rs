//! Did the watchdog of a host that lost its lease reset it before another node could lead?
//!
//! Judged of each reset, which the harness records as a fault that no scenario asked for (`watchdog_reset`):
//!
//! - `reset_margin_ms` is the time from the end of the bracket in which the host went down until another node was first seen to
//!   hold the leader key. Below zero the watchdog came too late: then two nodes could have led. Where the key changed hands
//!   within the bracket nobody can say which came first, and it is in doubt. Nobody need take over.
//! - `reset_unfed_ms` is for how long the watchdog had gone unfed, as it says itself.
//! - A reset without a fault before it is in doubt: the machine of the harness may have starved the agent.
//!
//! And of each watchdog that its agent left behind (it died, and did not stop it): it must reset its host within its timeout
//! and [`LATE_US`], unless it was armed again, or a fault ended the host or its service meanwhile. `watchdogs_silent` counts
//! those that did not.
//!
//! A topology whose nodes have watchdogs, and a scenario in which none was armed, prove nothing about them: that is in doubt.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::Watched,
        phases::milliseconds,
        record::{FaultRecord, KeyChange},
        watched::{WATCHDOG_RESET, ends_what_it_hits},
    },
};
use crate::{
    history::{
        Occurrence,
        event::{WatchdogChange, WatchdogState},
    },
    plan::Span,
};

const NAME: &str = "watchdog";
pub const RESET_MARGIN_MS: &str = "reset_margin_ms";
const RESET_UNFED_MS: &str = "reset_unfed_ms";
const WATCHDOGS_SILENT: &str = "watchdogs_silent";

/// How late a watchdog may be that nobody feeds.
const LATE_US: u64 = 1_000_000;

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did the watchdog of a host that lost its lease reset it before another node could lead?",
    measures: &[RESET_MARGIN_MS, RESET_UNFED_MS, WATCHDOGS_SILENT],
    over: Over::Cluster,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    if evidence.plan.nodes_with_watchdogs().next().is_none() {
        return evidence.held_by(NAME, Vec::new(), "no node has a watchdog", |own, by| own.held_against(by));
    }
    let said = said(evidence);
    let resets: Vec<&FaultRecord<'_>> =
        evidence.faults().iter().filter(|fault| is_reset(fault) && is_of(evidence, fault)).collect();
    let mut findings: Vec<Finding> = resets.iter().map(|reset| judge_reset(evidence, reset, &said)).collect();
    findings.extend(silent(evidence, &said));
    if findings.is_empty() && !said.iter().any(|own| own.change.state == WatchdogState::Armed) {
        let summary = "no watchdog was ever armed, though the nodes have them";
        findings.push(Finding::new(NAME, Outcome::Inconclusive, summary));
    }
    evidence.held_by(NAME, findings, "no watchdog reset its host", Finding::held_where_known)
}

/// What a watchdog of the cluster said.
struct Said<'a> {
    at_us: u64,
    seq: u64,
    change: &'a WatchdogChange,
}

fn said<'a>(evidence: &Evidence<'a>) -> Vec<Said<'a>> {
    let nodes = &evidence.plan.nodes;
    let own = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::Watchdog(change) if nodes.contains(&change.node) => {
            Some(Said { at_us: event.at_us, seq: event.seq, change })
        }
        _ => None,
    });
    own.collect()
}

fn is_reset(fault: &FaultRecord<'_>) -> bool {
    fault.injecting.name == WATCHDOG_RESET
}

fn is_of(evidence: &Evidence<'_>, fault: &FaultRecord<'_>) -> bool {
    fault.injecting.hosts.iter().any(|host| evidence.plan.nodes.contains(host))
}

fn judge_reset(evidence: &Evidence<'_>, reset: &FaultRecord<'_>, said: &[Said<'_>]) -> Finding {
    let host = reset.injecting.hosts.first().map_or("", String::as_str);
    let Some(effect) = reset.effect else {
        let summary = format!("the watchdog of {host} announced a reset that was never proven");
        return Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence([reset.seq]);
    };
    let own = |own: &&Said<'_>| {
        let is_of_reset = own.change.state == WatchdogState::Resetting && own.change.node == host;
        is_of_reset && own.at_us >= reset.injecting_us
    };
    let told = said.iter().find(own);
    let unfed_ms = told.and_then(|told| told.change.unfed_ms);
    let keys = evidence.leading().map_or(&[][..], |cluster| evidence.leader_key_of(&cluster.name));
    // What another node held before does not count, and neither does what follows once this one holds it again.
    let held = |change: &&KeyChange<'_>| change.holder == Some(host) && change.at_us <= effect.to_us;
    let held_us = keys.iter().rfind(held).map_or(0, |change| change.at_us);
    let after = keys.iter().filter(|change| change.at_us > held_us);
    let taken = after.take_while(|change| change.holder != Some(host)).find(|change| change.holder.is_some());
    let unfed = unfed_ms.map(|ms| format!(" after {:.1} s unfed", ms as f64 / 1000.0)).unwrap_or_default();
    // Only what was on since it was last fed can have kept its agent from feeding it.
    let fed_us = reset.injecting_us.saturating_sub(unfed_ms.unwrap_or(0).saturating_mul(1000));
    let caused = evidence.faults().iter().any(|fault| {
        let began = fault.effect.is_some_and(|effect| effect.from_us < reset.injecting_us);
        !is_reset(fault) && began && fault.healed_us.is_none_or(|healed_us| healed_us >= fed_us)
    });
    let (outcome, summary, margin) = match taken {
        _ if !caused => {
            let why = "no fault had come before that could have caused it, so the harness may have starved its agent";
            (Outcome::Inconclusive, format!("the watchdog of {host} reset it{unfed}, and {why}"), None)
        }
        None => (Outcome::Pass, format!("the watchdog of {host} reset it{unfed}; nobody took over"), None),
        Some(taken) => {
            let by = taken.holder.unwrap_or_default();
            let margin_ms = milliseconds(taken.at_us) - milliseconds(effect.to_us);
            let reset = format!("the watchdog of {host} reset it{unfed}");
            match () {
                () if taken.at_us < effect.from_us => {
                    let early_ms = milliseconds(effect.from_us - taken.at_us);
                    let summary = format!("{reset}, and {by} led {early_ms:.0} ms before that");
                    (Outcome::Fail, summary, Some(margin_ms))
                }
                () if taken.at_us < effect.to_us => {
                    let summary = format!("{reset} while {by} began to lead: nobody can say which came first");
                    (Outcome::Inconclusive, summary, Some(margin_ms))
                }
                () => {
                    let summary = format!("{reset}, {margin_ms:.0} ms before {by} led");
                    (Outcome::Pass, summary, Some(margin_ms))
                }
            }
        }
    };
    let finding = Finding::new(NAME, outcome, summary);
    let finding = match margin {
        Some(value) => {
            let predicted = predicted_margin(evidence, host, effect.from_us).map(bounds);
            finding.with_measure(Measure { name: RESET_MARGIN_MS.to_owned(), value, predicted })
        }
        None => finding,
    };
    let predicted = evidence.plan.predicted.watchdog.map(|watchdog| watchdog.reset);
    let unfed = unfed_ms.map(|ms| Measure {
        name: RESET_UNFED_MS.to_owned(),
        value: ms as f64,
        predicted: predicted.map(bounds),
    });
    let shown = [Some(reset.seq), Some(effect.seq), told.map(|told| told.seq), taken.map(|taken| taken.seq)];
    finding.with_details(unfed.into_iter().collect()).with_evidence(shown.into_iter().flatten())
}

fn bounds(span: Span) -> (f64, f64) {
    (span.least_ms as f64, span.most_ms as f64)
}

/// How long after the reset of a host another node holds the leader key: what was left of the lease, and the election. Where the
/// leader of the DCS went down with the host, its successor grants the lease its whole time again.
fn predicted_margin(evidence: &Evidence<'_>, host: &str, reset_us: u64) -> Option<Span> {
    let predicted = &evidence.plan.predicted;
    let after_reset = predicted.watchdog?.detect;
    let led = evidence.events.iter().take_while(|event| event.at_us < reset_us).filter_map(|event| match &event.what {
        Occurrence::DcsLeader { member, .. } => Some(member.as_deref()),
        _ => None,
    });
    let with_dcs_leader = led.last().flatten() == Some(host);
    let detect = if with_dcs_leader { predicted.detect_with_dcs_leader } else { after_reset };
    Some(detect.plus(predicted.elect))
}

/// The watchdogs that nobody fed any more, and that reset nothing.
fn silent(evidence: &Evidence<'_>, said: &[Said<'_>]) -> Option<Finding> {
    let until_us = Watched::of(evidence.events).until_us;
    let is_silent = |(index, left): &(usize, &Said<'_>)| {
        let node = left.change.node.as_str();
        let before = said[..*index].iter().rev().filter(|own| own.change.node == node);
        let timeout_ms = before.filter_map(|own| own.change.timeout_ms).next();
        let Some(due_us) = timeout_ms.map(|ms| left.at_us.saturating_add(ms.saturating_mul(1000) + LATE_US)) else {
            return false;
        };
        // What says that it will reset its host has not done so yet.
        let goes_on = |own: &Said<'_>| {
            own.change.node == node && own.at_us <= due_us && own.change.state != WatchdogState::Expiring
        };
        // A host that went down, by its watchdog or by a fault, and one that stood still.
        let is_excused = evidence.faults().iter().any(|fault| {
            let from_us = fault.effect.map_or(fault.injecting_us, |effect| effect.from_us);
            let to_us = fault.healed_us.unwrap_or(u64::MAX);
            ends_what_it_hits(fault)
                && fault.effect.is_some()
                && fault.hits_node(node)
                && from_us <= due_us
                && to_us >= left.at_us
        });
        due_us < until_us && !said[index + 1..].iter().any(goes_on) && !is_excused
    };
    let abandoned = |(_, own): &(usize, &Said<'_>)| own.change.state == WatchdogState::Abandoned;
    let found: Vec<(usize, &Said<'_>)> = said.iter().enumerate().filter(abandoned).filter(is_silent).collect();
    let (_, first) = found.first()?;
    let summary = format!("the agent of {} left its watchdog behind, and it never reset the host", first.change.node);
    let count = Measure::new(WATCHDOGS_SILENT, found.len() as f64);
    Some(
        Finding::new(NAME, Outcome::Fail, summary)
            .with_details(vec![count])
            .with_evidence(found.iter().map(|(_, own)| own.seq)),
    )
}
