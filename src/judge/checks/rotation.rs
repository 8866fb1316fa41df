//! How soon does a balancer take a server out of its rotation that died?
//!
//! Judged of each server that a balancer has UP when a fault takes effect that is proven to end PostgreSQL on that node, with
//! its host or by itself, by what the balancer shows of its servers (`ProxyState`), between the steady state and the end of
//! the load:
//!
//! - It is **out** when the balancer shows it DOWN. The fault took effect at some instant of its bracket, and the balancer
//!   marked the server down within [`LOOK_US`] before that was seen: the time lies between two bounds. The longest lies
//!   between the greatest of either: the least is `out_of_rotation_ms`, `out_of_rotation_resolution_ms` says how much more
//!   it may be, and a bound that lies between is neither kept nor missed.
//! - Where it was UP until the fault was healed or ceased, the node answered again, the balancer was hit itself, or the load
//!   ended, it is not out: `servers_left_in_rotation` counts these. It may have taken any longer time then, and a bound that
//!   this leaves open is in doubt.
//!
//! Without such a server there is nothing to judge.

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        bracket::{Bracket, Bracketed, Distribution, held, outcome_of_open},
        grouping::Watched,
        primaries::LOOK_US as NODE_LOOK_US,
        record::FaultRecord,
        watched::ends_what_it_hits,
    },
};
use crate::{
    history::{Event, Occurrence, event::Expectation},
    quantity::written::value,
};

const NAME: &str = "rotation";
pub const OUT_OF_ROTATION_MS: &str = "out_of_rotation_ms";
const OUT_OF_ROTATION_RESOLUTION_MS: &str = "out_of_rotation_resolution_ms";
const SERVERS_LEFT_IN_ROTATION: &str = "servers_left_in_rotation";

pub const CHECK: Check = Check {
    name: NAME,
    question: "How soon did balancers take a server out of their rotation that had died?",
    measures: &[OUT_OF_ROTATION_MS, OUT_OF_ROTATION_RESOLUTION_MS, SERVERS_LEFT_IN_ROTATION],
    over: Over::Scenario,
    judge,
};

/// A balancer's servers are looked at every 100 ms; a look takes no longer than that on a machine that is not starved.
const LOOK_US: u64 = 200_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let losses = losses(evidence);
    let Some(longest) = losses.iter().max_by_key(|loss| loss.took_us.least) else {
        return evidence.held(NAME, Vec::new(), "no balancer led to a node that died");
    };
    let open = losses.iter().filter(|loss| !loss.is_out).count();
    // Of several, the one that is known least may have taken longest.
    let all: Distribution = losses.iter().map(|loss| loss.took_us).collect();
    let took = Bracketed::of_time(OUT_OF_ROTATION_MS, all.max().unwrap_or(longest.took_us));
    let (least, resolution) = (value(took.name, took.least), value(took.name, took.most - took.least));
    let Loss { proxy, server, .. } = longest;
    let summary = match longest.is_out {
        true => format!("{proxy} took {server} out of its rotation {least} after it had died (known to {resolution})"),
        false => format!("{proxy} still had {server} in its rotation {least} after it had died"),
    };
    let details = vec![
        Measure::new(OUT_OF_ROTATION_RESOLUTION_MS, took.most - took.least),
        Measure::new(SERVERS_LEFT_IN_ROTATION, open as f64),
    ];
    let finding = Finding::new(NAME, Outcome::Pass, summary)
        .with_measure(took.measure())
        .with_details(details)
        .with_evidence(losses.iter().flat_map(|loss| loss.shown.clone()));
    evidence.held_by(NAME, vec![finding], "", |finding, expectation| hold(finding, took, open > 0, expectation))
}

fn hold(finding: Finding, took: Bracketed, is_open: bool, expectation: &Expectation) -> Finding {
    let held = held(finding, &[took], expectation);
    match is_open && expectation.measure == OUT_OF_ROTATION_MS {
        true => Finding { outcome: outcome_of_open(expectation.bound, took.least), ..held },
        false => held,
    }
}

/// Whether a node died that a balancer led to.
pub fn a_server_died(evidence: &Evidence<'_>) -> bool {
    !losses(evidence).is_empty()
}

/// A server that died while a balancer had it UP.
struct Loss<'a> {
    proxy: &'a str,
    server: &'a str,
    is_out: bool,
    took_us: Bracket,
    shown: Vec<u64>,
}

/// From an instant on, by an event: whether a server is UP.
type State = (u64, u64, bool);

/// What a balancer showed of a server.
struct Shown<'a> {
    proxy: &'a str,
    server: &'a str,
    states: Vec<State>,
}

fn losses<'a>(evidence: &Evidence<'a>) -> Vec<Loss<'a>> {
    let watched = Watched::of(evidence.events);
    let Some(steady_us) = watched.steady_us else { return Vec::new() };
    let shown = shown(evidence.events);
    let ends = |fault: &&FaultRecord<'_>| ends_what_it_hits(fault) && fault.injecting_us >= steady_us;
    let faults: Vec<&FaultRecord<'_>> = evidence.faults().iter().filter(ends).collect();
    let of = |own: &Shown<'a>| {
        let seen_until_us = |effect_us: u64| silent_us(evidence, own.proxy, effect_us).min(watched.until_us);
        faults
            .iter()
            .filter_map(|fault| loss(own, fault, evidence.events, seen_until_us(fault.effect?.to_us)))
            .collect()
    };
    shown.iter().flat_map::<Vec<Loss<'a>>, _>(of).collect()
}

/// What each balancer showed of each of its servers, in each of its backends.
fn shown(events: &[Event]) -> Vec<Shown<'_>> {
    let mut found: BTreeMap<(&str, &str, &str), Vec<State>> = BTreeMap::new();
    for event in events {
        if let Occurrence::ProxyState { proxy, backend, server, up, .. } = &event.what {
            found.entry((proxy, backend, server)).or_default().push((event.at_us, event.seq, *up));
        }
    }
    found.into_iter().map(|((proxy, _, server), states)| Shown { proxy, server, states }).collect()
}

fn loss<'a>(shown: &Shown<'a>, fault: &FaultRecord<'_>, events: &[Event], until_us: u64) -> Option<Loss<'a>> {
    let effect = fault.effect.filter(|effect| effect.to_us < until_us)?;
    fault.hits_node(shown.server).then_some(())?;
    let (_, _, up) = shown.states.iter().rfind(|(at_us, ..)| *at_us <= effect.from_us)?;
    up.then_some(())?;
    let back_us = back_us(events, fault, effect.to_us, shown.server);
    let end_us = [fault.healing_us, back_us].into_iter().flatten().fold(until_us, u64::min);
    let out = shown.states.iter().find(|(at_us, _, up)| *at_us > effect.from_us && *at_us <= end_us && !*up);
    let took_us = match out {
        Some((at_us, ..)) => Bracket {
            least: at_us.saturating_sub(LOOK_US).saturating_sub(effect.to_us),
            most: at_us.saturating_sub(effect.from_us),
        },
        None => {
            let open_us = end_us.saturating_sub(effect.to_us);
            Bracket { least: open_us, most: open_us }
        }
    };
    let shown_by = [Some(effect.seq), out.map(|(_, seq, _)| *seq)].into_iter().flatten().collect();
    Some(Loss { proxy: shown.proxy, server: shown.server, is_out: out.is_some(), took_us, shown: shown_by })
}

/// From when on a balancer showed nothing more, in a fault of its own that lasts after an instant: what is not there leads
/// nobody anywhere. `u64::MAX`: it had none.
fn silent_us(evidence: &Evidence<'_>, proxy: &str, at_us: u64) -> u64 {
    let Some(balancer) = evidence.plan.balancers().find(|planned| planned.called() == proxy) else { return u64::MAX };
    let own = evidence.faults().iter().filter(|fault| fault.hits(&balancer.host, balancer.instance().name()));
    let lasting = own.filter(|fault| fault.healing_us.is_none_or(|healing_us| healing_us > at_us));
    lasting.filter_map(|fault| Some(fault.effect?.from_us)).min().unwrap_or(u64::MAX)
}

/// When a node was back that a fault had ended, if that was seen: its PostgreSQL answered, or the fault had ceased.
fn back_us(events: &[Event], fault: &FaultRecord<'_>, effect_us: u64, node: &str) -> Option<u64> {
    let number = fault.injecting.fault;
    let is_back = |event: &&Event| match &event.what {
        Occurrence::NodeState(state) if state.node == node && state.reachable => {
            state.asked_us.unwrap_or_else(|| event.at_us.saturating_sub(NODE_LOOK_US)) > effect_us
        }
        Occurrence::FaultUnconfirmed { fault, .. } | Occurrence::FaultSuspended { fault, .. } => {
            *fault == number && event.at_us > effect_us
        }
        _ => false,
    };
    events.iter().find(is_back).map(|event| event.at_us)
}
