//! Standbys that nobody saw for a while without a cause: how far behind they were then, nobody knows.

use std::collections::BTreeMap;

use super::{Hop, Lag};
use crate::{
    checks::{Evidence, course::phases::milliseconds},
    history::{
        Occurrence,
        event::{NodeState, Role},
    },
};

/// The longest time for which a standby may not be seen. It is looked at several times a second; one that is started anew,
/// or rewound, is back within this.
const UNSEEN_US: u64 = 10_000_000;

/// Why the lags of a hop are not known in a span of time: one of its standbys was not seen for longer than [`UNSEEN_US`],
/// though no fault touched it then, no operator was at work, and it led nothing.
pub(super) fn unseen(
    evidence: &Evidence<'_>,
    hop: Hop,
    lags: &[&Lag<'_>],
    (from_us, until_us): (u64, u64),
) -> Option<String> {
    let mut seen: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for lag in lags.iter().filter(|lag| lag.look.hop == hop) {
        seen.entry(lag.look.node).or_default();
    }
    for event in evidence.events.iter().filter(|event| (from_us..until_us).contains(&event.at_us)) {
        if let Occurrence::NodeState(state) = &event.what
            && let Some(own) = seen.get_mut(state.node.as_str())
            && tells_its_place(state)
        {
            own.push(event.at_us);
        }
    }
    let gaps = seen.iter().flat_map(|(node, own)| {
        let ends = [&[from_us][..], own, &[until_us]].concat();
        let gaps: Vec<(&str, u64, u64)> = ends.windows(2).map(|pair| (*node, pair[0], pair[1])).collect();
        gaps
    });
    let unexplained = |(node, begin_us, end_us): &(&str, u64, u64)| {
        end_us.saturating_sub(*begin_us) > UNSEEN_US && !has_a_cause(evidence, node, (*begin_us, *end_us))
    };
    let (node, begin_us, end_us) = gaps.filter(unexplained).max_by_key(|(_, begin_us, end_us)| end_us - begin_us)?;
    let seconds = milliseconds(end_us - begin_us) / 1000.0;
    Some(format!("{node} was not seen for {seconds:.1} s, and no fault had touched it"))
}

/// Whether a look shows how far a node is, or that it is no standby.
fn tells_its_place(state: &NodeState) -> bool {
    state.reachable && (state.role == Some(Role::Primary) || state.lsn.is_some())
}

/// Whether a fault touched the node, or an operator worked, at some time in a span.
fn has_a_cause(evidence: &Evidence<'_>, node: &str, (from_us, to_us): (u64, u64)) -> bool {
    let is_on = |injecting_us: u64, healed_us: Option<u64>| {
        injecting_us <= to_us && healed_us.is_none_or(|healed_us| healed_us >= from_us)
    };
    let by_fault =
        evidence.faults().iter().any(|fault| fault.touches(node) && is_on(fault.injecting_us, fault.healed_us));
    let by_operator = evidence
        .events
        .iter()
        .any(|event| matches!(event.what, Occurrence::Runbook { .. }) && (from_us..=to_us).contains(&event.at_us));
    by_fault || by_operator
}
