//! What happened to writes, in sentences.

use crate::{
    checks::{
        Evidence, Measure,
        course::{
            phases::{Course, Failover, PhaseName},
            record::FaultRecord,
        },
    },
    history::event::{Bound, Expectation},
    plan::Span,
    quantity::written::value,
};

/// How a measure compares with what was expected of it.
pub(super) fn against(measure: &Measure, expectation: &Expectation) -> String {
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

/// The faults in words.
pub(super) fn cause(evidence: &Evidence<'_>, failover: &Failover) -> String {
    let faults = evidence.faults();
    let own = faults.iter().filter(|fault| failover.faults.contains(&fault.injecting.fault));
    let words = |fault: &FaultRecord<'_>| {
        let process = fault.injecting.parameters.get("process").map(|process| format!(" ({process})"));
        format!("{}{} of {}", fault.injecting.name, process.unwrap_or_default(), fault.injecting.target)
    };
    let named: Vec<_> = own.map(words).collect();
    named.join(" and ")
}

/// What happened, with the figures and what took longest.
pub(super) fn story(evidence: &Evidence<'_>, failover: &Failover) -> String {
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
    if let Some(longest) = failover.phases.iter().max_by_key(|phase| phase.to_us.saturating_sub(phase.from_us)) {
        told +=
            &format!("; the longest phase was {} with {:.1} s", longest.name.name(), longest.duration_ms() / 1000.0);
        told += &longest.predicted.map(predicted_words).unwrap_or_default();
        if longest.name == PhaseName::Detect && longest.predicted.is_some() && failover.dcs_leader_lost {
            let ttl_s = evidence.settings().patroni.ttl_s;
            let dcs = evidence.leading().and_then(|cluster| evidence.plan.dcs_of(cluster));
            let kind = dcs.map_or("DCS", |dcs| dcs.kind.name());
            told += &format!(
                ", because the {kind} leader was lost with the primary: its successor granted the lease its full ttl of \
                 {ttl_s} s again"
            );
        }
    }
    if failover.onset_error_ms() > 0.0 {
        let error_ms = failover.onset_error_ms();
        told += &format!("; it may have begun up to {error_ms:.0} ms sooner, as nobody who failed had asked meanwhile");
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
