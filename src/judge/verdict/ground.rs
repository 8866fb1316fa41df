//! What stays evidence where the harness lost its own ground: the engine, a container that no fault had ended, this
//! machine's memory or disk.
//!
//! What is recorded after the loss proves nothing. The loss itself is noticed late: by then clients had been refused for
//! a while and nodes had not answered. So refusals in the last [`GROUND_NOTICED_WITHIN_US`] before, after which nothing was
//! answered any more, prove nothing either; and of a node that did not answer in the end, though no fault explains it,
//! nothing is known of that time. What was seen to happen, an acknowledgement, a promotion, a row, stays proven.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    checks::course::record::{GROUND_NOTICED_WITHIN_US, faults},
    history::{Event, Occurrence, event::AttemptOutcome},
};

/// The events that are evidence: all of them, or those up to the loss of the ground.
pub(super) fn evidence(events: &[Event]) -> Cow<'_, [Event]> {
    let Some(lost) = events.iter().position(|event| matches!(event.what, Occurrence::GroundLost { .. })) else {
        return Cow::Borrowed(events);
    };
    let doubtful_us = events[lost].at_us.saturating_sub(GROUND_NOTICED_WITHIN_US);
    let before = &events[..=lost];
    let signs = LastSigns::new(before);
    Cow::Owned(
        before.iter().filter(|event| event.at_us < doubtful_us || !signs.may_be_of_the_loss(event)).cloned().collect(),
    )
}

/// Who answered last, and when.
struct LastSigns<'e> {
    /// The last acknowledgement at each endpoint.
    endpoints: BTreeMap<&'e str, u64>,
    /// Nodes that did not answer in the end, and that no fault kept from it.
    gone: BTreeSet<&'e str>,
}

impl<'e> LastSigns<'e> {
    fn new(events: &'e [Event]) -> Self {
        let mut signs = Self { endpoints: BTreeMap::new(), gone: BTreeSet::new() };
        for event in events {
            match &event.what {
                Occurrence::Attempt(attempt) if matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. }) => {
                    signs.endpoints.insert(&attempt.endpoint, event.at_us);
                }
                Occurrence::NodeState(state) if state.reachable => drop(signs.gone.remove(state.node.as_str())),
                Occurrence::NodeState(state) => drop(signs.gone.insert(&state.node)),
                _ => {}
            }
        }
        let faults = faults(events);
        let explains = |node: &str| {
            faults.iter().any(|fault| fault.effect.is_some() && fault.healed_us.is_none() && fault.touches(node))
        };
        signs.gone.retain(|node| !explains(node));
        signs
    }

    /// Whether this may show the loss of the ground, and not what the system did.
    fn may_be_of_the_loss(&self, event: &Event) -> bool {
        match &event.what {
            Occurrence::Attempt(attempt) => {
                let refused = matches!(attempt.outcome, AttemptOutcome::Refused { .. });
                let last_us = self.endpoints.get(attempt.endpoint.as_str());
                refused && last_us.is_none_or(|last_us| *last_us < event.at_us)
            }
            Occurrence::NodeState(state) => self.gone.contains(state.node.as_str()),
            _ => false,
        }
    }
}
