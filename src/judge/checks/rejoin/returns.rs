//! When a node was back after a fault had gone.

use super::{End, Place};
use crate::{
    checks::Evidence,
    history::{
        Occurrence,
        event::{AttemptOutcome, NodeState},
    },
};

/// When a node was back: after the first, at the latest at the second instant, both since the fault was gone. In between
/// nobody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    pub after_us: u64,
    pub at_most_us: u64,
}

/// The slowest return of the nodes that a healed fault had hit. `None` if no such node had to return, or the return of
/// one was not seen.
pub fn slowest_return(evidence: &Evidence<'_>, asked: &[&str], place: &Place<'_>, end: &End<'_>) -> Option<Return> {
    let faults = evidence.faults();
    let healed =
        |node: &str| faults.iter().filter(|fault| fault.touches(node)).filter_map(|fault| fault.healed_us).max();
    let hit: Vec<(&str, u64)> = asked.iter().filter_map(|node| Some((*node, healed(node)?))).collect();
    let returns = hit.into_iter().map(|(node, healed_us)| match node == place.primary {
        true => primary_back(evidence, place, healed_us),
        false => standby_back(evidence, (node, place.sender(end.last[node].2)), place, healed_us),
    });
    returns.collect::<Option<Vec<_>>>()?.into_iter().max_by_key(|own| own.at_most_us)
}

fn primary_back(evidence: &Evidence<'_>, place: &Place<'_>, healed_us: u64) -> Option<Return> {
    let node = place.primary;
    let acknowledged = evidence.events.iter().find_map(|event| match &event.what {
        Occurrence::Attempt(attempt) if attempt.started_us >= healed_us => match &attempt.outcome {
            AttemptOutcome::Acknowledged { node: by, lsn: 1.., .. } if by == node => Some(event.at_us),
            _ => None,
        },
        _ => None,
    });
    let said = states(evidence, node).find(|(at_us, state)| *at_us >= healed_us && place.holds(state));
    let at_us = said.map(|(at_us, _)| at_us).into_iter().chain(acknowledged).min()?;
    Some(Return { after_us: 0, at_most_us: at_us.saturating_sub(healed_us) })
}

/// When a node was back that streams from `sender` in the end.
fn standby_back(
    evidence: &Evidence<'_>,
    (node, sender): (&str, &str),
    place: &Place<'_>,
    healed_us: u64,
) -> Option<Return> {
    let written = written_until(evidence, place.timeline, healed_us);
    let next_fault_us = evidence.faults().iter().map(|fault| fault.injecting_us).find(|at_us| *at_us > healed_us);
    // To one that takes its WAL from an archive nobody sends.
    let is_shipped = place.is_shipped_to(node);
    let (mut streams, mut sends) = (false, is_shipped);
    let mut looked_us = healed_us;
    let mut back: Option<Return> = None;
    for event in evidence.events.iter().filter(|event| event.at_us >= healed_us) {
        let Occurrence::NodeState(state) = &event.what else { continue };
        if state.node == node {
            let caught_up = back.is_some() || written.is_none_or(|lsn| state.lsn.is_some_and(|own| own >= lsn));
            streams = place.holds(state) && caught_up;
        } else if state.node == sender && !is_shipped {
            sends = place.holds(state) && state.standbys.contains_key(node);
        } else {
            continue;
        }
        match (streams && sends, back) {
            (true, None) => {
                back = Some(Return {
                    after_us: looked_us.saturating_sub(healed_us),
                    at_most_us: event.at_us.saturating_sub(healed_us),
                });
            }
            // What breaks it after the next fault is that one's.
            (false, Some(_)) if next_fault_us.is_none_or(|at_us| event.at_us < at_us) => back = None,
            _ => {}
        }
        looked_us = event.at_us;
    }
    back
}

/// How far the primary had written when the fault was gone.
fn written_until(evidence: &Evidence<'_>, timeline: Option<u32>, until_us: u64) -> Option<u64> {
    let signs = evidence.signs_of_all();
    let own = signs.iter().filter(|sign| Some(sign.timeline) == timeline && sign.to_us <= until_us);
    own.filter_map(|sign| sign.lsn).max()
}

fn states<'a>(evidence: &Evidence<'a>, node: &str) -> impl Iterator<Item = (u64, &'a NodeState)> {
    evidence.events.iter().filter_map(move |event| match &event.what {
        Occurrence::NodeState(state) if state.node == node => Some((event.at_us, state)),
        _ => None,
    })
}
