//! Which nodes were seen as primaries, on which timeline and when: by the writes that they acknowledged, and by their
//! own word to the observer that asks them in SQL, or to the reader of their ledger.

use std::collections::BTreeMap;

use super::record::{Tried, reached_us};
use crate::history::{
    Event, Occurrence,
    event::{AttemptOutcome, Milestone, NodeState, Role},
};

/// The longest that one look of the observer takes: a second to connect and a second for the answer.
pub const LOOK_US: u64 = 2_000_000;

/// A sign that a node was primary on a timeline at some instant between two.
#[derive(Debug, Clone, Copy)]
pub struct Sign<'a> {
    pub node: &'a str,
    pub timeline: u32,
    /// The node was primary at some instant from here on …
    pub from_us: u64,
    /// … to here, when its answer was seen.
    pub to_us: u64,
    /// The WAL position that it told.
    pub lsn: Option<u64>,
    /// Whether a client's write shows it. Otherwise the node only said so.
    pub written: bool,
    pub seq: u64,
}

/// Every sign, in the order in which they were seen. A ledger is read after the load has stopped.
pub fn signs<'a>(events: &'a [Event], attempts: &[Tried<'a>]) -> Vec<Sign<'a>> {
    let writes = attempts.iter().filter(|tried| tried.is_write()).filter_map(|tried| match &tried.attempt.outcome {
        AttemptOutcome::Acknowledged { node, timeline, lsn } => Some(Sign {
            node,
            timeline: *timeline,
            from_us: tried.started_us(),
            to_us: tried.ended_us,
            lsn: (*lsn > 0).then_some(*lsn),
            written: true,
            seq: tried.seq,
        }),
        _ => None,
    });
    let mut signs: Vec<Sign<'a>> = writes.collect();
    let stopped_us = reached_us(events, Milestone::LoadStopped).unwrap_or(0);
    for event in events {
        if let Occurrence::LedgerRead { node, timeline, role: Some(Role::Primary), lsn, .. } = &event.what {
            let (timeline, lsn, from_us) = (*timeline, *lsn, stopped_us.min(event.at_us));
            signs.push(Sign { node, timeline, from_us, to_us: event.at_us, lsn, written: false, seq: event.seq });
        }
    }
    for (event, state, from_us) in looks(events) {
        if let (true, Some(timeline)) = (state.is_primary(), state.timeline) {
            signs.push(Sign {
                node: &state.node,
                timeline,
                from_us,
                to_us: event.at_us,
                lsn: state.lsn,
                written: false,
                seq: event.seq,
            });
        }
    }
    signs.sort_by_key(|sign| (sign.to_us, sign.seq));
    signs
}

/// Which nodes were seen as standbys, each at some instant between the two: by the observer that asks them in SQL, and by
/// the step of a runbook that looks before it promotes one.
pub fn standbys(events: &[Event]) -> Vec<(&str, u64, u64)> {
    let by_runbook = events.iter().filter_map(|event| match &event.what {
        Occurrence::StandbySeen { node, asked_us } => Some((node.as_str(), (*asked_us).min(event.at_us), event.at_us)),
        _ => None,
    });
    let by_observer = looks(events).filter(|(_, state, _)| state.reachable && state.role == Some(Role::Standby));
    let by_observer = by_observer.map(|(event, state, from_us)| {
        (state.node.as_str(), state.asked_us.unwrap_or(from_us).min(event.at_us), event.at_us)
    });
    by_runbook.chain(by_observer).collect()
}

/// Each look of the observer at a node, with the earliest instant at which the answer can have been given: the observer
/// asks, records and asks again, so it is not before the record before, nor further back than a look takes.
fn looks(events: &[Event]) -> impl Iterator<Item = (&Event, &NodeState, u64)> {
    let mut recorded_us: BTreeMap<&str, u64> = BTreeMap::new();
    events.iter().filter_map(move |event| {
        let Occurrence::NodeState(state) = &event.what else { return None };
        let before_us = recorded_us.insert(&state.node, event.at_us).unwrap_or(0);
        Some((event, state, before_us.max(event.at_us.saturating_sub(LOOK_US))))
    })
}

/// The time for which a node was primary on a timeline. Between two signs of it the node did not stop: it could have
/// become primary again only on another timeline.
#[derive(Debug, Clone, Copy)]
pub struct Tenure<'a> {
    pub node: &'a str,
    pub timeline: u32,
    /// It surely was primary at or before this instant: the first sign's end.
    pub first_us: u64,
    /// It surely was primary at or after this instant: the last sign's begin.
    pub last_us: u64,
    /// Whether a client's write shows it.
    pub written: bool,
    /// `seq` of these two signs.
    pub evidence: (u64, u64),
}

/// The tenures of all nodes, in the order of their beginning.
pub fn tenures<'a>(signs: &[Sign<'a>]) -> Vec<Tenure<'a>> {
    let mut tenures: BTreeMap<(&str, u32), Tenure<'a>> = BTreeMap::new();
    for sign in signs {
        let Sign { node, timeline, from_us, to_us, written, seq, .. } = *sign;
        let new = Tenure { node, timeline, first_us: to_us, last_us: from_us, written, evidence: (seq, seq) };
        let tenure = tenures.entry((node, timeline)).or_insert(new);
        tenure.written |= written;
        if from_us > tenure.last_us {
            (tenure.last_us, tenure.evidence.1) = (from_us, seq);
        }
    }
    let mut tenures: Vec<_> = tenures.into_values().collect();
    tenures.sort_by_key(|tenure| (tenure.first_us, tenure.evidence.0));
    tenures
}

impl Tenure<'_> {
    /// A span in which this node and another surely were primaries both. A tenure of one sign, which is an instant
    /// somewhere within a span, counts if that span lies within the other tenure.
    pub fn overlap_us(&self, other: &Tenure<'_>) -> Option<(u64, u64)> {
        let (from_us, to_us) = (self.first_us.max(other.first_us), self.last_us.min(other.last_us));
        if from_us < to_us {
            return Some((from_us, to_us));
        }
        self.amid(other).or_else(|| other.amid(self))
    }

    fn amid(&self, other: &Tenure<'_>) -> Option<(u64, u64)> {
        let (from_us, to_us) = (self.last_us, self.first_us);
        let within = other.first_us <= from_us && to_us <= other.last_us;
        (from_us < to_us && within).then_some((from_us, to_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(node: &'static str, timeline: u32, from_us: u64, to_us: u64) -> Sign<'static> {
        Sign { node, timeline, from_us, to_us, lsn: None, written: false, seq: to_us }
    }

    fn overlap(signs: &[Sign<'static>]) -> Option<(u64, u64)> {
        let tenures = tenures(signs);
        assert_eq!(tenures.len(), 2, "{tenures:?}");
        assert_eq!(tenures[0].overlap_us(&tenures[1]), tenures[1].overlap_us(&tenures[0]));
        tenures[0].overlap_us(&tenures[1])
    }

    #[test]
    fn one_after_the_other_do_not_overlap_and_one_amid_the_other_does() {
        let steady = [sign("node1", 1, 0, 10), sign("node1", 1, 90, 100)];
        assert_eq!(overlap(&[&steady[..], &[sign("node2", 2, 101, 110)]].concat()), None);
        assert_eq!(overlap(&[&steady[..], &[sign("node2", 2, 40, 50)]].concat()), Some((40, 50)));
        // The answer that was seen at 95 may have been given at 85 or at 94.
        assert_eq!(overlap(&[&steady[..], &[sign("node2", 2, 85, 95)]].concat()), None);
        let longer = [sign("node2", 2, 40, 50), sign("node2", 2, 130, 140)];
        assert_eq!(overlap(&[&steady[..], &longer[..]].concat()), Some((50, 90)));
    }

    #[test]
    fn the_answer_was_given_after_the_record_before_it() {
        use crate::history::event::{NodeState, Role};
        let state = |at_us, role| Event {
            seq: at_us,
            at_us,
            scenario: 1,
            what: Occurrence::NodeState(NodeState {
                node: "node1".to_owned(),
                reachable: true,
                role: Some(role),
                timeline: Some(1),
                lsn: Some(1),
                streaming_from: None,
                standbys: BTreeMap::new(),
                asked_us: None,
            }),
        };
        let events =
            [state(9_000_000, Role::Standby), state(9_100_000, Role::Primary), state(15_000_000, Role::Primary)];
        let spans: Vec<_> = signs(&events, &[]).iter().map(|sign| (sign.from_us, sign.to_us)).collect();
        assert_eq!(spans, [(9_000_000, 9_100_000), (13_000_000, 15_000_000)]);
    }
}
