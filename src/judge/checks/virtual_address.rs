//! Does a virtual address move to another host when its holder is lost?
//!
//! Judged of each virtual address of the topology, by who answers for it as clients' machines see it (`AddressHolder`),
//! between the steady state and the end of the load:
//!
//! - Its holder is **lost** by a fault that took effect on that host and hits the host, its balancer, or what holds the
//!   address there (keepalived), if that ends what it hits or cuts it off, or another host answers afterwards: one whose clock
//!   is wrong, say, goes on serving.
//! - It is **taken over** when another host answers for it. `address_takeover_ms` is the longest time until then, from the
//!   end of the bracket in which the fault took effect. Where nobody took it over until the fault was healed, or the load
//!   ended, it is the time until that, which is too short for a bound that it keeps to be kept: that is in doubt.
//! - An address that changes its host without a loss moves: `address_moves` counts all changes.
//!
//! Without a loss there is nothing to judge.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{grouping::Watched, phases::milliseconds, record::FaultRecord, watched::ends_what_it_hits},
};
use crate::{
    history::{
        Occurrence,
        event::{Bound, Expectation},
    },
    plan::{Plan, PlannedService},
    services::{Role, service},
    topology::VirtualAddress,
};

const NAME: &str = "virtual_address";
pub const ADDRESS_TAKEOVER_MS: &str = "address_takeover_ms";
pub const ADDRESSES_NOT_TAKEN_OVER: &str = "addresses_not_taken_over";
const ADDRESS_MOVES: &str = "address_moves";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did a virtual address move to another host when its holder was lost?",
    measures: &[ADDRESS_TAKEOVER_MS, ADDRESSES_NOT_TAKEN_OVER, ADDRESS_MOVES],
    over: Over::Scenario,
    judge,
};

/// Faults after which their target serves nobody, beside those that end whole services ([`ends_what_it_hits`]).
const ENDS_OR_CUTS_OFF: &[&str] = &[
    "container_restart",
    "network_disconnect",
    "partition",
    "partition_shape",
    "process_crash_loop",
    "process_freeze",
    "process_kill",
    "process_terminate",
];

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let addresses = &evidence.plan.topology.virtual_addresses;
    let findings = addresses.iter().filter_map(|shared| judge_one(evidence, shared)).collect();
    let hold = |finding: Finding, expectation: &Expectation| {
        let is_open = finding.value_of(ADDRESSES_NOT_TAKEN_OVER).is_some_and(|open| open > 0.0);
        let is_open = is_open && expectation.measure == ADDRESS_TAKEOVER_MS;
        let held = finding.held_against(expectation);
        match held.outcome {
            Outcome::Pass if is_open && !matches!(expectation.bound, Bound::AtLeast(_)) => {
                Finding { outcome: Outcome::Inconclusive, ..held }
            }
            _ => held,
        }
    };
    evidence.held_by(NAME, findings, "no holder of a virtual address was lost", hold)
}

/// Whether a fault took an address from its holder.
pub(crate) fn holder_was_lost(evidence: &Evidence<'_>) -> bool {
    evidence.plan.topology.virtual_addresses.iter().any(|shared| judge_one(evidence, shared).is_some())
}

/// What became of an address; `None`: its holder was never lost.
fn judge_one(evidence: &Evidence<'_>, shared: &VirtualAddress) -> Option<Finding> {
    let watched = Watched::of(evidence.events);
    let seen = holders(evidence, shared);
    let losses: Vec<Loss> =
        evidence.faults().iter().filter_map(|fault| loss(evidence.plan, fault, &seen, watched.until_us)).collect();
    let longest = losses.iter().max_by_key(|loss| loss.took_us)?;
    let open = losses.iter().filter(|loss| loss.by.is_none()).count();
    let steady_us = watched.steady_us.unwrap_or(0);
    let held: Vec<&Seen<'_>> = seen.iter().filter(|own| own.at_us < watched.until_us && own.holder.is_some()).collect();
    let moves = held.windows(2).filter(|pair| pair[1].at_us >= steady_us && pair[0].holder != pair[1].holder).count();
    let took_ms = milliseconds(longest.took_us);
    let summary = match &longest.by {
        Some(by) => format!("{} was taken over from {} by {by} after {took_ms:.0} ms", shared.name, longest.from),
        None => format!("{} was not taken over from {} in {took_ms:.0} ms", shared.name, longest.from),
    };
    let details = vec![Measure::new(ADDRESSES_NOT_TAKEN_OVER, open as f64), Measure::new(ADDRESS_MOVES, moves as f64)];
    let finding = Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(Measure::new(ADDRESS_TAKEOVER_MS, took_ms))
        .with_details(details)
        .with_evidence(losses.iter().flat_map(|loss| loss.shown.clone()));
    Some(finding)
}

/// Who answered for an address, from an instant on.
struct Seen<'a> {
    at_us: u64,
    seq: u64,
    holder: Option<&'a str>,
}

fn holders<'a>(evidence: &Evidence<'a>, shared: &VirtualAddress) -> Vec<Seen<'a>> {
    let seen = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::AddressHolder { address, holder } if *address == shared.name => {
            Some(Seen { at_us: event.at_us, seq: event.seq, holder: holder.as_deref() })
        }
        _ => None,
    });
    seen.collect()
}

/// A holder that was lost.
struct Loss {
    from: String,
    /// Who took over.
    by: Option<String>,
    took_us: u64,
    shown: Vec<u64>,
}

fn loss(plan: &Plan, fault: &FaultRecord<'_>, seen: &[Seen<'_>], until_us: u64) -> Option<Loss> {
    let effect = fault.effect.filter(|effect| effect.to_us < until_us)?;
    let before = seen.iter().rfind(|own| own.at_us <= effect.from_us)?;
    let from = before.holder?;
    let holds = |planned: &&PlannedService| {
        planned.host == from && matches!(service(planned.kind).role, Role::Balancer(_) | Role::Address)
    };
    let hits = |planned: &PlannedService| fault.hits(from, planned.instance().name());
    plan.services.iter().filter(holds).any(hits).then_some(())?;
    let end_us = fault.healing_us.unwrap_or(until_us).min(until_us);
    let other = |own: &&Seen<'_>| own.at_us > effect.from_us && own.holder.is_some_and(|holder| holder != from);
    let taken = seen.iter().filter(|own| own.at_us < end_us).find(other);
    let is_gone = ends_what_it_hits(fault) || ENDS_OR_CUTS_OFF.contains(&fault.injecting.name.as_str());
    (is_gone || taken.is_some()).then_some(())?;
    Some(Loss {
        from: from.to_owned(),
        by: taken.and_then(|own| own.holder).map(str::to_owned),
        took_us: taken.map_or(end_us, |own| own.at_us).saturating_sub(effect.to_us),
        shown: [Some(effect.seq), taken.map(|own| own.seq)].into_iter().flatten().collect(),
    })
}
