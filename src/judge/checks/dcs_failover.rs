//! Did a DCS that lost its leader have another one, and how soon?
//!
//! Judged of each DCS of the topology, by which member its members say leads them (`DcsLeader`), between the steady state and
//! the end of the load:
//!
//! - Its leader is **lost** by a fault that took effect on it, on its host or on the member's service there, if that ends it, or a
//!   later look shows that it leads no more: one whose links are slow, say, may go on leading.
//! - It is **replaced** when a member leads in a later look: another one, or the same one after a time without. How long that
//!   took lies between two bounds: the fault took effect at some instant of its bracket, and a member was elected between the
//!   look before and the one that shows it. The longest lies between the greatest of either: the least is `dcs_leader_gap_ms`,
//!   `dcs_leader_gap_resolution_ms` says how much more it may be, and a bound that lies between is neither kept nor missed.
//! - Where nobody led until the fault was healed, or the load ended, it was not: `dcs_leaders_not_replaced` counts these. It may
//!   have taken any longer time then, and a bound that this leaves open is in doubt.
//!
//! Without a loss there is nothing to judge.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        bracket::{Bracket, Bracketed, Distribution, held, outcome_of_open},
        grouping::Watched,
        record::FaultRecord,
        watched::ends_what_it_hits,
    },
};
use crate::{
    history::{Occurrence, event::Expectation},
    plan::PlannedDcs,
    quantity::written::value,
};

const NAME: &str = "dcs_failover";
pub const DCS_LEADER_GAP_MS: &str = "dcs_leader_gap_ms";
const DCS_LEADER_GAP_RESOLUTION_MS: &str = "dcs_leader_gap_resolution_ms";
pub const DCS_LEADERS_NOT_REPLACED: &str = "dcs_leaders_not_replaced";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did a DCS that lost its leader have another one, and how soon?",
    measures: &[DCS_LEADER_GAP_MS, DCS_LEADER_GAP_RESOLUTION_MS, DCS_LEADERS_NOT_REPLACED],
    over: Over::Scenario,
    judge,
};

/// How long before a leader was recorded the look may have begun that did not show it, where the history does not say: twice a
/// second, with a time limit of 400 ms.
const LOOK_US: u64 = 900_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judged: Vec<(Finding, Bracketed)> =
        evidence.plan.dcs.iter().filter_map(|dcs| judge_one(evidence, dcs)).collect();
    let findings = judged.iter().map(|(finding, _)| finding.clone()).collect();
    let hold = |finding: Finding, expectation: &Expectation| {
        let gap = judged.iter().find(|(own, _)| own.summary == finding.summary).map(|(_, gap)| *gap);
        let is_open = finding.value_of(DCS_LEADERS_NOT_REPLACED).is_some_and(|open| open > 0.0);
        let held = held(finding, gap.as_slice(), expectation);
        match gap.filter(|_| is_open && expectation.measure == DCS_LEADER_GAP_MS) {
            Some(gap) => Finding { outcome: outcome_of_open(expectation.bound, gap.least), ..held },
            None => held,
        }
    };
    evidence.held_by(NAME, findings, "no DCS lost its leader while clients wrote", hold)
}

/// Whether a fault took a DCS its leader, and never more members at once than leave it able to elect another one.
pub fn leader_was_lost(evidence: &Evidence<'_>) -> bool {
    evidence.plan.dcs.iter().any(|dcs| judge_one(evidence, dcs).is_some() && had_a_quorum(evidence, dcs))
}

/// Whether no faults hit half of the members or more at one instant.
fn had_a_quorum(evidence: &Evidence<'_>, dcs: &PlannedDcs) -> bool {
    let is_on = |fault: &FaultRecord<'_>, at_us: u64| {
        let effect = fault.effect.filter(|effect| effect.to_us <= at_us);
        effect.is_some() && fault.healing_us.is_none_or(|healing_us| at_us < healing_us)
    };
    let hit = |at_us: u64| {
        let is_hit = |member: &&String| {
            evidence.faults().iter().any(|fault| fault.hits(member, dcs.kind.name()) && is_on(fault, at_us))
        };
        dcs.members.iter().filter(is_hit).count()
    };
    let effects = evidence.faults().iter().filter_map(|fault| fault.effect);
    effects.map(|effect| hit(effect.to_us)).all(|hit| hit * 2 < dcs.members.len())
}

/// What became of a DCS, with its longest time without a leader; `None`: it never lost one.
fn judge_one(evidence: &Evidence<'_>, dcs: &PlannedDcs) -> Option<(Finding, Bracketed)> {
    let watched = Watched::of(evidence.events);
    let steady_us = watched.steady_us?;
    let seen = leaders(evidence, dcs);
    let losses: Vec<Loss<'_>> = evidence
        .faults()
        .iter()
        .filter(|fault| fault.injecting_us >= steady_us)
        .filter_map(|fault| loss(dcs, fault, &seen, watched.until_us))
        .collect();
    let longest = losses.iter().max_by_key(|loss| loss.gap_us.least)?;
    let open = losses.iter().filter(|loss| loss.by.is_none()).count();
    // Of several, the one that is known least may have been longest.
    let all: Distribution = losses.iter().map(|loss| loss.gap_us).collect();
    let gap = Bracketed::of_time(DCS_LEADER_GAP_MS, all.max()?);
    let words = evidence.plan.words_for(dcs);
    let least = value(DCS_LEADER_GAP_MS, gap.least);
    let summary = match longest.by {
        Some(by) => {
            let resolution = value(DCS_LEADER_GAP_RESOLUTION_MS, gap.most - gap.least);
            format!("{words} lost its leader {}, and {by} led after {least} (known to {resolution})", longest.lost)
        }
        None => format!("{words} lost its leader {}, and nobody led for {least}", longest.lost),
    };
    let details = vec![
        Measure::new(DCS_LEADER_GAP_RESOLUTION_MS, gap.most - gap.least),
        Measure::new(DCS_LEADERS_NOT_REPLACED, open as f64),
    ];
    let finding = Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(gap.measure())
        .with_details(details)
        .with_evidence(losses.iter().flat_map(|loss| loss.shown.clone()));
    Some((finding, gap))
}

/// Who led, from an instant on.
struct Seen<'a> {
    /// It was not so yet, or nobody had looked.
    not_before_us: u64,
    at_us: u64,
    seq: u64,
    leader: Option<&'a str>,
}

fn leaders<'a>(evidence: &Evidence<'a>, dcs: &PlannedDcs) -> Vec<Seen<'a>> {
    let seen = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::DcsLeader { member, dcs: of, before_us } if of.as_ref().is_none_or(|of| *of == dcs.name) => {
            Some(Seen {
                not_before_us: before_us.unwrap_or_else(|| event.at_us.saturating_sub(LOOK_US)).min(event.at_us),
                at_us: event.at_us,
                seq: event.seq,
                leader: member.as_deref(),
            })
        }
        _ => None,
    });
    seen.collect()
}

/// A leader that was lost.
struct Loss<'a> {
    lost: &'a str,
    /// Who led next.
    by: Option<&'a str>,
    gap_us: Bracket,
    shown: Vec<u64>,
}

fn loss<'a>(dcs: &PlannedDcs, fault: &FaultRecord<'_>, seen: &[Seen<'a>], until_us: u64) -> Option<Loss<'a>> {
    let effect = fault.effect.filter(|effect| effect.to_us < until_us)?;
    let before = seen.iter().rposition(|own| own.at_us <= effect.from_us)?;
    let lost = seen[before].leader.filter(|leader| fault.hits(leader, dcs.kind.name()))?;
    let end_us = fault.healing_us.unwrap_or(until_us).min(until_us);
    let leads_no_more = |own: &Seen<'_>| own.at_us <= end_us && own.leader != Some(lost);
    (ends_what_it_hits(fault) || seen[before + 1..].iter().any(leads_no_more)).then_some(())?;
    let next = seen[before + 1..].iter().find(|own| own.leader.is_some());
    let next = next.filter(|own| own.at_us <= end_us);
    let gap_us = match next {
        Some(own) => Bracket {
            least: own.not_before_us.saturating_sub(effect.to_us),
            most: own.at_us.saturating_sub(effect.from_us),
        },
        None => {
            let open_us = end_us.saturating_sub(effect.to_us);
            Bracket { least: open_us, most: open_us }
        }
    };
    let shown = [Some(effect.seq), next.map(|own| own.seq)].into_iter().flatten().collect();
    Some(Loss { lost, by: next.and_then(|own| own.leader), gap_us, shown })
}
