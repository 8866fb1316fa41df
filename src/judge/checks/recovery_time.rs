//! How long could clients not write after each fault, and where did the time go?
//!
//! The outage is measured from outside, by fresh connections to the endpoint `write` (see
//! [`crate::checks::outage`] for what counts), and cut into phases ([`crate::checks::phases`]).
//!
//! From when on? The confirmation says that the fault took effect between two instants, and clients feel it at the
//! first attempt that fails. The outage begins at that attempt, though not before the earlier of the two instants. So
//! a wide bracket neither lengthens nor shortens the outage, and the error stays within the prober's schedule.
//!
//! Without an expectation the check passes when clients recovered, whatever the time, and states the figures. It fails
//! when they did not within the plan's deadline for recovery, or within an upper bound that the scenario expects. If
//! the watch ended sooner, or before the recovery had settled, it is inconclusive.

use super::{
    Check, Evidence, Finding, Measure, Outcome,
    harness_was_sound::latest_timer,
    outage::{Window, outages},
    phases::{Course, Failover, Phase, PhaseName, WRITE, failovers, milliseconds},
    record::{FaultRecord, Tried, attempts, faults, reached_us},
};
use crate::{
    history::event::{Bound, ClientKind, Expectation, Milestone, Operation},
    plan::Span,
    quantity::written::value,
};

const NAME: &str = "recovery_time";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How long could clients not write after each fault, and in which phases was the time spent?",
    measures: &[
        "write_outage_ms",
        "detect_ms",
        "elect_ms",
        "promote_ms",
        "restart_ms",
        "route_ms",
        "first_write_ms",
        "total_outage_ms",
        "outages",
        "outage_onset_ms",
        "longest_client_gap_ms",
        "read_outage_ms",
        "old_primary_writes_ms",
        "not_recovered_for_ms",
    ],
    safety: true,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    let all = attempts(evidence.events);
    let found = failovers(evidence);
    if found.is_empty() {
        return without_fault(evidence, &expectations);
    }
    if !all.iter().any(|tried| tried.is_fresh(WRITE, Operation::Write)) {
        let summary = "no fresh client tried to write through the endpoint, so no outage could be seen";
        return vec![Finding::new(NAME, Outcome::Inconclusive, summary)];
    }
    let outage_ms = |failover: &Failover| failover.outage_ms().unwrap_or(f64::INFINITY);
    let worst = (0..found.len()).max_by(|one, other| outage_ms(&found[*one]).total_cmp(&outage_ms(&found[*other])));
    let of_others: Vec<_> = expectations.iter().filter_map(|expectation| without_least(expectation)).collect();
    let of_others: Vec<_> = of_others.iter().collect();
    let mut findings = Vec::new();
    for (index, failover) in found.iter().enumerate() {
        let until_us = found.get(index + 1).map(|next| next.effect_from_us);
        let expectations = if Some(index) == worst { &expectations } else { &of_others };
        findings.extend(judge_one(evidence, failover, until_us, &all, expectations));
    }
    findings
}

/// What is expected of an outage that is not the scenario's longest. That clients can't write for a time at least is said
/// of the longest alone: of two faults that together take etcd's quorum, the first makes no outage.
fn without_least(expectation: &Expectation) -> Option<Expectation> {
    let bound = match expectation.bound {
        Bound::AtLeast(_) => return None,
        Bound::Between(_, most) => Bound::AtMost(most),
        bound => bound,
    };
    Some(Expectation { bound, ..expectation.clone() })
}

/// No fault is known to have taken effect: nothing to measure, which is a lack only if something was asked.
fn without_fault(evidence: &Evidence<'_>, expectations: &[&Expectation]) -> Vec<Finding> {
    let summary = match faults(evidence.events).is_empty() {
        true => "no fault was injected",
        false => "no fault is known to have taken effect",
    };
    if expectations.is_empty() && faults(evidence.events).is_empty() {
        return Vec::new();
    }
    vec![Finding::new(NAME, Outcome::Inconclusive, format!("{summary}, so there is no outage to measure"))]
}

fn judge_one(
    evidence: &Evidence<'_>,
    failover: &Failover,
    until_us: Option<u64>,
    all: &[Tried<'_>],
    expectations: &[&Expectation],
) -> Vec<Finding> {
    let details = details(evidence, failover, until_us, all);
    if failover.outage_ms().is_none() {
        return vec![not_recovered(evidence, failover, details, expectations)];
    }
    let outage = Measure {
        name: "write_outage_ms".to_owned(),
        value: failover.outage_ms().unwrap_or_default(),
        predicted: failover.predicted.map(bounds),
    };
    let (outcome, doubt) = match failover.settled {
        true => (Outcome::Pass, ""),
        false => (Outcome::Inconclusive, "; the load ended before the recovery had settled"),
    };
    let base = Finding::new(NAME, outcome, String::new())
        .with_measure(outage)
        .with_details(details)
        .with_evidence(failover.evidence.iter().copied());
    let told = format!("{}{doubt}", story(evidence, failover));
    if expectations.is_empty() {
        return vec![Finding { summary: told, ..base }];
    }
    let hold = |expectation: &&Expectation| {
        let finding = Finding { summary: told.clone(), ..base.clone() }.held_against(expectation);
        let verdict = finding.measure.as_ref().map(|measure| against(measure, expectation)).unwrap_or_default();
        Finding { summary: format!("{}{verdict}", finding.summary), ..finding }
    };
    let error_ms = latest_timer(evidence).map_or(0.0, |(late_us, _)| milliseconds(late_us));
    expectations.iter().map(hold).map(|finding| within_error(finding, error_ms)).collect()
}

/// A value that lies no further from its target than the harness's own error neither keeps nor misses it for sure.
fn within_error(finding: Finding, error_ms: f64) -> Finding {
    let (Some(measure), Some(target)) = (&finding.measure, finding.target) else { return finding };
    let edges = match target {
        Bound::AtMost(edge) | Bound::AtLeast(edge) | Bound::Exactly(edge) => [edge, edge],
        Bound::Between(least, most) => [least, most],
    };
    // An outage of nothing is no measurement of time: no attempt failed.
    let measured = measure.value > 0.0;
    if !measured || edges.iter().all(|edge| (measure.value - edge).abs() > error_ms) {
        return finding;
    }
    let summary = format!(
        "{}; that is within the harness's own error of {error_ms:.0} ms (its timers fired that late)",
        finding.summary
    );
    Finding { outcome: Outcome::Inconclusive, summary, ..finding }
}

/// How a measure compares with what was expected of it.
fn against(measure: &Measure, expectation: &Expectation) -> String {
    let verb = if expectation.bound.holds(measure.value) { "keeps" } else { "misses" };
    let by = match expectation.bound {
        Bound::AtMost(most) | Bound::Between(_, most) if measure.value > most => {
            format!(" by {}", value(&measure.name, measure.value - most))
        }
        Bound::AtLeast(least) | Bound::Between(least, _) if measure.value < least => {
            format!(" by {}", value(&measure.name, least - measure.value))
        }
        _ => String::new(),
    };
    let bound = match expectation.bound {
        Bound::AtMost(most) => format!("at most {}", value(&measure.name, most)),
        Bound::AtLeast(least) => format!("at least {}", value(&measure.name, least)),
        Bound::Between(least, most) => format!("{} to {}", value(&measure.name, least), value(&measure.name, most)),
        Bound::Exactly(exact) => value(&measure.name, exact),
    };
    format!("; that {verb} the expected {bound}{by}")
}

/// Clients never recovered while they tried. A failure if they tried for long enough to say so.
fn not_recovered(
    evidence: &Evidence<'_>,
    failover: &Failover,
    mut details: Vec<Measure>,
    expectations: &[&Expectation],
) -> Finding {
    let tried_ms = milliseconds(failover.watched_until_us.saturating_sub(failover.outage_from_us));
    let expected = expectations.iter().filter(|expectation| expectation.measure == "write_outage_ms");
    let most = expected.filter_map(|expectation| match expectation.bound {
        Bound::AtMost(most) | Bound::Between(_, most) | Bound::Exactly(most) => Some((most, expectation.bound)),
        Bound::AtLeast(_) => None,
    });
    let tightest = most.min_by(|one, other| one.0.total_cmp(&other.0));
    let deadline_ms = (evidence.plan.deadlines.recovered_s * 1000) as f64 - PATIENCE_SLACK_MS;
    let proven = tried_ms >= deadline_ms || tightest.is_some_and(|(most, _)| tried_ms > most);
    let (outcome, tail) = match proven {
        true => (Outcome::Fail, ""),
        false => (Outcome::Inconclusive, ", but they did not try for long enough to call it a failure"),
    };
    let summary = format!(
        "clients could not write again within {:.1} s after {}{tail}",
        tried_ms / 1000.0,
        cause(evidence, failover)
    );
    details.push(Measure::new("not_recovered_for_ms", tried_ms));
    let finding =
        Finding::new(NAME, outcome, summary).with_details(details).with_evidence(failover.evidence.iter().copied());
    Finding { target: tightest.map(|(_, bound)| bound), ..finding }
}

/// The harness's own wait for recovery begins a little after the fault and ends a little before the load does.
const PATIENCE_SLACK_MS: f64 = 1000.0;

fn details(evidence: &Evidence<'_>, failover: &Failover, until_us: Option<u64>, all: &[Tried<'_>]) -> Vec<Measure> {
    let phase = |phase: &Phase| Measure {
        name: phase.name.measure().to_owned(),
        value: phase.duration_ms(),
        predicted: phase.predicted.map(bounds),
    };
    // A phase whose end nobody saw has no duration of its own. And detection counts from the fault: it is not what is
    // left of it when clients lost service later.
    let told = |phase: &&Phase| phase.seen && (failover.at_once() || phase.name != PhaseName::Detect);
    let mut details: Vec<Measure> = failover.phases.iter().filter(told).map(phase).collect();
    let lengths = failover.outages.iter().map(|outage| outage.length_us(failover.watched_until_us));
    details.push(Measure::new("total_outage_ms", milliseconds(lengths.sum())));
    details.push(Measure::new("outages", failover.outages.len() as f64));
    let onset_us = failover.outage_from_us.saturating_sub(failover.effect_to_us);
    if failover.course != Course::NoOutage {
        details.push(Measure::new("outage_onset_ms", milliseconds(onset_us)));
    }
    let load_until_us = reached_us(evidence.events, Milestone::LoadStopped).unwrap_or(u64::MAX);
    let window = Window {
        from_us: failover.effect_from_us,
        until_us: until_us.unwrap_or(load_until_us),
        ended_by_fault: until_us.is_some(),
    };
    details.extend(longest_client_gap_ms(all, window).map(|gap| Measure::new("longest_client_gap_ms", gap)));
    details.extend(read_outage_ms(all, window).map(|outage| Measure::new("read_outage_ms", outage)));
    let old_primary_writes_ms = old_primary_writes_ms(failover, window.until_us, all);
    details.extend(old_primary_writes_ms.map(|writes| Measure::new("old_primary_writes_ms", writes)));
    details
}

/// How long after the fault the old primary still acknowledged writes, over whatever connection, on the timeline that it
/// had before; `None` if no other node took over.
fn old_primary_writes_ms(failover: &Failover, until_us: u64, all: &[Tried<'_>]) -> Option<f64> {
    let old = failover.old_primary.as_deref().filter(|old| failover.new_primary.as_deref() != Some(old))?;
    if !matches!(failover.course, Course::Failover | Course::NotRecovered) {
        return None;
    }
    let own =
        || all.iter().filter(|tried| tried.is_write() && tried.answered_by().is_some_and(|(node, _)| node == old));
    let before = own().filter(|tried| tried.ended_us <= failover.effect_from_us);
    let timeline = before.filter_map(|tried| tried.answered_by()).map(|(_, timeline)| timeline).max()?;
    let same = |tried: &&Tried<'_>| tried.answered_by().is_some_and(|(_, on)| on == timeline);
    let last_us = own().filter(|tried| tried.started_us() < until_us).filter(same).map(|tried| tried.ended_us).max()?;
    Some(milliseconds(last_us.saturating_sub(failover.effect_us())))
}

/// The longest time between two acknowledgements in a row of any one writer of the load.
fn longest_client_gap_ms(all: &[Tried<'_>], window: Window) -> Option<f64> {
    let writers = || all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Writer && tried.is_write());
    let mut clients: Vec<u32> = writers().map(|tried| tried.attempt.client).collect();
    clients.sort_unstable();
    clients.dedup();
    let longest_of = |client: u32| {
        let own = writers().filter(|tried| tried.attempt.client == client && tried.started_us() < window.until_us);
        let last_us = own.clone().map(|tried| tried.ended_us).max()?;
        let mut answers: Vec<u64> = own.filter(|tried| tried.acknowledged()).map(|tried| tried.ended_us).collect();
        // A client that got no answer to the end waited until its last attempt ended.
        answers.push(last_us);
        answers.sort_unstable();
        answers.windows(2).filter(|pair| pair[1] >= window.from_us).map(|pair| pair[1] - pair[0]).max()
    };
    clients.into_iter().filter_map(longest_of).max().map(milliseconds)
}

/// The longest outage of reads; `None` without a prober of the endpoint `read`, or if reads did not come back.
fn read_outage_ms(all: &[Tried<'_>], window: Window) -> Option<f64> {
    let reads: Vec<_> = all.iter().copied().filter(|tried| tried.is_fresh("read", Operation::Read)).collect();
    reads.first()?;
    let found = outages(&reads, window);
    if found.iter().any(|outage| outage.to_us.is_none()) {
        return None;
    }
    Some(milliseconds(found.iter().map(|outage| outage.length_us(0)).max().unwrap_or_default()))
}

fn bounds(span: Span) -> (f64, f64) {
    (span.least_ms as f64, span.most_ms as f64)
}

/// The faults in words.
fn cause(evidence: &Evidence<'_>, failover: &Failover) -> String {
    let faults = faults(evidence.events);
    let own = faults.iter().filter(|fault| failover.faults.contains(&fault.injecting.fault));
    let words = |fault: &FaultRecord<'_>| {
        let process = fault.injecting.parameters.get("process").map(|process| format!(" ({process})"));
        format!("{}{} of {}", fault.injecting.name, process.unwrap_or_default(), fault.injecting.target)
    };
    let named: Vec<_> = own.map(words).collect();
    named.join(" and ")
}

/// What happened, with the figures and why it took so long.
fn story(evidence: &Evidence<'_>, failover: &Failover) -> String {
    let cause = cause(evidence, failover);
    if failover.course == Course::NoOutage {
        return format!("no write failed or stalled after {cause}");
    }
    let seconds = failover.outage_ms().unwrap_or_default() / 1000.0;
    let node = failover.new_primary.as_deref().unwrap_or("an unknown node");
    let how = match failover.course {
        Course::RestartInPlace => format!("{node} accepted writes again without a failover"),
        _ => format!("{node} took over"),
    };
    let mut told = format!("clients could not write for {seconds:.1} s after {cause}; {how}");
    if let Some(longest) = failover.phases.iter().max_by_key(|phase| phase.to_us - phase.from_us) {
        told +=
            &format!("; the longest phase was {} with {:.1} s", longest.name.name(), longest.duration_ms() / 1000.0);
        told += &longest.predicted.map(predicted_words).unwrap_or_default();
        if longest.name == PhaseName::Detect && longest.predicted.is_some() && failover.dcs_leader_lost {
            let ttl_s = evidence.plan.topology.settings.patroni.ttl_s;
            told += &format!(
                ", because the etcd leader was lost with the primary: its successor granted the lease its full ttl of \
                 {ttl_s} s again"
            );
        }
    }
    let blind: Vec<_> = failover.phases.iter().filter(|phase| !phase.seen).map(|phase| phase.name.name()).collect();
    if !blind.is_empty() {
        told += &format!("; the end of {} was not seen and counts to the phase after it", blind.join(" and "));
    }
    told
}

fn predicted_words(span: Span) -> String {
    format!(" (predicted {:.1}–{:.1} s)", span.least_ms as f64 / 1000.0, span.most_ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_nearer_to_its_target_than_the_harnesss_error_proves_nothing() {
        let finding = |value: f64| Finding {
            target: Some(Bound::AtMost(30_000.0)),
            ..Finding::new(NAME, Outcome::Pass, "").with_measure(Measure::new("write_outage_ms", value))
        };
        assert_eq!(within_error(finding(29_950.0), 120.0).outcome, Outcome::Inconclusive);
        assert_eq!(within_error(finding(30_100.0), 120.0).outcome, Outcome::Inconclusive);
        assert_eq!(within_error(finding(29_800.0), 120.0).outcome, Outcome::Pass);
        assert_eq!(within_error(finding(0.0), 40_000.0).outcome, Outcome::Pass);
    }
}
