//! Is every fault a fact? It is when it was proven to bite, and proven to be gone after it was healed.
//!
//! One that was suspended, because a later fault took away what it stands on, must be proven anew once the later one is
//! healed. It need not be where it is healed by the same step as the later one, or was to be healed before that.
//!
//! One that was to come in the worst circumstances must have come in them: just after the lease of the leader key was
//! refreshed, on a host that led the DCS.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{lease::lease_age, phases::milliseconds, record::FaultRecord},
};
use crate::history::{Event, Occurrence, event::Worst};

const NAME: &str = "faults_took_effect";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did every fault provably take effect, and was every healed one provably gone?",
    measures: &["confirmation_ms", "effect_bracket_ms", "lease_age_ms"],
    over: Over::Scenario,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let faults = evidence.faults();
    faults.iter().map(|fault| judge_one(fault, faults, evidence)).collect()
}

fn judge_one(fault: &FaultRecord<'_>, faults: &[FaultRecord<'_>], evidence: &Evidence<'_>) -> Finding {
    let events = evidence.events;
    let name = format!("{} of {}", fault.injecting.name, fault.injecting.target);
    let doubt = |why: String| {
        let seqs = [Some(fault.seq), fault.unconfirmed.map(|(_, seq)| seq)];
        Finding::new(NAME, Outcome::Inconclusive, why).with_evidence(seqs.into_iter().flatten())
    };
    if let Some((reason, _)) = fault.unconfirmed {
        return doubt(format!("{name} did not provably take effect, or not for as long as it should: {reason}"));
    }
    let Some(effect) = fault.effect else {
        return doubt(format!("{name} was never proven to take effect"));
    };
    if effect.from_us > effect.to_us || effect.from_us < fault.injecting_us {
        return doubt(format!("{name} has no possible instant: it took effect before it was injected"));
    }
    if let Some((seq, why)) = not_put_back(fault, faults, events) {
        return doubt(format!("{name} {why}")).with_evidence([fault.seq, seq]);
    }
    if fault.healing_us.is_some() && fault.healed_us.is_none() {
        return doubt(format!("{name} was healed, but not provably gone"));
    }
    let lease = lease_age(evidence, &effect);
    if let Some(why) = not_at_worst(fault, lease.map(|(age_ms, _)| age_ms)) {
        return doubt(format!("{name} {why}"))
            .with_evidence([Some(fault.seq), lease.map(|(_, seq)| seq)].into_iter().flatten());
    }
    let confirmation_ms = milliseconds(effect.confirmed_us.saturating_sub(fault.injecting_us));
    let bracket_ms = milliseconds(effect.to_us.saturating_sub(effect.from_us));
    let summary =
        format!("{name} took effect, proven after {confirmation_ms:.0} ms; its instant is known to {bracket_ms:.0} ms");
    Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(Measure::new("confirmation_ms", confirmation_ms))
        .with_details(
            [Measure::new("effect_bracket_ms", bracket_ms)]
                .into_iter()
                .chain(lease.map(|(age_ms, _)| Measure::new("lease_age_ms", age_ms)))
                .collect(),
        )
        .with_evidence([Some(fault.seq), Some(effect.seq), lease.map(|(_, seq)| seq)].into_iter().flatten())
}

/// A fault that was to come just after the lease was refreshed came at most this long after it: a tenth of the agent's usual
/// loop.
const JUST_AFTER_MS: f64 = 1_000.0;

/// Why a fault did not come in the worst circumstances, if it was to.
fn not_at_worst(fault: &FaultRecord<'_>, lease_age_ms: Option<f64>) -> Option<String> {
    let missed = |worst: &Worst| match worst {
        Worst::JustAfterRefresh => match lease_age_ms {
            None => Some("was to come just after the lease was refreshed, and nobody saw a refresh".to_owned()),
            Some(age_ms) if age_ms > JUST_AFTER_MS => Some(format!(
                "was to come just after the lease was refreshed, and came {age_ms:.0} ms after that, which is more than \
                 {JUST_AFTER_MS:.0} ms"
            )),
            Some(_) => None,
        },
        Worst::TogetherWithDcsLeader => {
            let leader = fault.injecting.dcs_leader_before.as_ref();
            let is_hit = leader.is_some_and(|leader| fault.injecting.hosts.contains(leader));
            let led = leader.map_or("nobody", String::as_str);
            (!is_hit).then(|| format!("was to take the leader of the DCS with it, which was {led}"))
        }
    };
    fault.injecting.worst.iter().find_map(missed)
}

/// Why a fault was off when it should have been on: what it stands on was back, and it was not put back. The event of
/// its suspension shows it.
fn not_put_back(fault: &FaultRecord<'_>, faults: &[FaultRecord<'_>], events: &[Event]) -> Option<(u64, &'static str)> {
    let suspension = fault.suspensions.iter().find(|suspension| suspension.until_us.is_none())?;
    let Some(healing_us) = fault.healing_us else {
        return Some((suspension.seq, "was suspended by a later fault, and neither put back nor healed"));
    };
    let later = faults.iter().find(|other| other.injecting.fault == suspension.by);
    let back_us = later.and_then(|later| later.healed_us)?;
    // One step heals several faults, one after the other.
    let a_step_between = events.iter().any(|event| {
        matches!(event.what, Occurrence::StepStarted { .. }) && (back_us..healing_us).contains(&event.at_us)
    });
    a_step_between.then_some((suspension.seq, "was suspended by a later fault, and not put back when that was healed"))
}
