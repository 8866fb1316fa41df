//! Which faults an outage follows. None is nobody's.
//!
//! - An outage that has not settled (see [`super::outage`]) when the next fault strikes is one with what
//!   follows, and is put down to both faults. So a lucky success before a fault cuts no outage in two, and attempts that
//!   hung when it struck belong to the outage in which they began.
//! - An outage between the steady state and the first fault follows none. The steady state was none, then, and what comes
//!   after the fault can't be told from what was there before: the scenario proves nothing about times. Below
//!   [`UNNOTICED_US`] it is a pause of the machine's, as every one of these checks allows it. Where the steady state was
//!   reached again before the fault, that one counts ([`super::record::steady_us`]).
//! - An outage that is open when the load ends is one, however short.
//! - A fault after which clients tried for less than [`FELT_US`] proves nothing: whoever lost service then may be felt to
//!   have done so only later.

use super::{
    outage::{Outage, SETTLE_SLACK_US, Window, outages},
    record::{FaultRecord, Tried, reached_us, steady_us},
};
use crate::history::{Event, Occurrence, event::Milestone};

/// The latest that a timer may fire while times are measured, from the steady state to the recovery. A machine that
/// stands still for longer delays what is measured, not only the measuring. Below it, lateness is the harness's own
/// error, and `recovery_time` leaves a value unproven that lies no further than this error from its target.
pub const TIMER_LATE_US: u64 = 250_000;

/// The longest outage before the first fault that proves nothing about the cluster.
pub const UNNOTICED_US: u64 = TIMER_LATE_US;

/// Clients that were served for this long after a fault did not feel it. New connections come every 20 ms then, and one
/// that hangs when the load ends is an outage by itself.
pub const FELT_US: u64 = 1_000_000;

/// The span in which clients are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::checks) struct Watched {
    /// When the steady state was reached that the first fault found; `None`: never, so there is nothing to compare with.
    pub steady_us: Option<u64>,
    /// When the load ended, or the harness lost its own ground.
    pub until_us: u64,
    /// The harness lost its own ground: what fails about that time may fail for that reason.
    pub ground_lost: bool,
}

impl Watched {
    pub(in crate::checks) fn of(events: &[Event]) -> Self {
        let stopped_us = reached_us(events, Milestone::LoadStopped).unwrap_or(u64::MAX);
        let lost = |event: &&Event| matches!(event.what, Occurrence::GroundLost { .. });
        let lost_us = events.iter().find(lost).map_or(u64::MAX, |event| event.at_us);
        Self { steady_us: steady_us(events), until_us: stopped_us.min(lost_us), ground_lost: lost_us < stopped_us }
    }

    fn window(self, from_us: u64, next_fault_us: Option<u64>) -> Window {
        Window {
            from_us,
            until_us: next_fault_us.unwrap_or(self.until_us),
            ended_by_fault: next_fault_us.is_some() || self.ground_lost,
        }
    }

    /// The outages from the steady state to the first fault (or to the end, if there was none) that are long enough to
    /// be noticed. `attempts` are those of one prober.
    pub(in crate::checks) fn before_first_fault(
        self,
        attempts: &[Tried<'_>],
        first_fault_us: Option<u64>,
    ) -> Vec<Outage> {
        let Some(steady_us) = self.steady_us.filter(|at_us| first_fault_us.is_none_or(|fault_us| *at_us < fault_us))
        else {
            return Vec::new();
        };
        let window = self.window(steady_us, first_fault_us);
        let mut found = outages(attempts, window);
        let last_start_us = attempts.last().map_or(steady_us, Tried::started_us);
        found.retain(|outage| outage.length_us(window.until_us.min(last_start_us)) > UNNOTICED_US);
        found
    }
}

/// Whether the steady state was lost again by `now_us`: an outage that would leave in doubt what a fault does now.
/// `attempts` are those of one prober, in the order of their start.
pub fn is_lost(attempts: &[Tried<'_>], steady_us: u64, now_us: u64) -> bool {
    let watched = Watched { steady_us: Some(steady_us), until_us: now_us, ground_lost: false };
    !watched.before_first_fault(attempts, Some(now_us)).is_empty()
}

/// Faults that share outages: one, or those that struck before the outage of another had settled.
pub(in crate::checks) struct Group<'f, 'e> {
    pub faults: &'f [FaultRecord<'e>],
    /// From the first fault's effect (or from the outage that it struck in) to the next group's.
    pub window: Window,
    pub outages: Vec<Outage>,
    /// The first fault of all struck in an outage that was there already.
    pub began_before_fault: bool,
    /// Clients tried for long enough after the last fault to have felt it.
    pub watched: bool,
}

/// The outages after each fault. `faults` are those that took effect, in the order of their effect.
pub(in crate::checks) fn groups<'f, 'e>(
    faults: &'f [FaultRecord<'e>],
    attempts: &[Tried<'_>],
    watched: Watched,
) -> Vec<Group<'f, 'e>> {
    let effect_us = |index: usize| faults.get(index).and_then(|fault| fault.effect).map(|effect| effect.from_us);
    let before = effect_us(0).and_then(|fault_us| {
        let last = watched.before_first_fault(attempts, Some(fault_us)).pop()?;
        (!last.settled).then_some(last.from_us)
    });
    let mut found = Vec::new();
    let mut first = 0;
    while let Some(fault_us) = effect_us(first) {
        let began_before_fault = first == 0 && before.is_some();
        let from_us = before.filter(|_| first == 0).unwrap_or(fault_us);
        let group = group_of(faults, first, attempts, watched, from_us);
        first += group.faults.len();
        found.push(Group { began_before_fault, ..group });
    }
    found
}

fn group_of<'f, 'e>(
    faults: &'f [FaultRecord<'e>],
    first: usize,
    attempts: &[Tried<'_>],
    watched: Watched,
    from_us: u64,
) -> Group<'f, 'e> {
    let mut effect_to_us = faults[first].effect.map_or(from_us, |effect| effect.to_us);
    let mut after = first + 1;
    loop {
        let next = faults.get(after).and_then(|fault| fault.effect).filter(|next| next.from_us < watched.until_us);
        let window = watched.window(from_us, next.map(|effect| effect.from_us));
        let outages = outages(attempts, window);
        let unsettled = outages.last().is_some_and(|last| !last.settled) || window.until_us <= effect_to_us;
        match next {
            Some(effect) if unsettled => {
                effect_to_us = effect_to_us.max(effect.to_us);
                after += 1;
            }
            Some(_) => {
                let faults = &faults[first..after];
                return Group { faults, window, outages, began_before_fault: false, watched: true };
            }
            // Whatever struck after the end of the watch shares what was seen until then.
            None => {
                let faults = &faults[first..];
                let effects = faults.iter().filter_map(|fault| fault.effect);
                let last_us = effects.map(|effect| effect.to_us).max().unwrap_or(from_us);
                let tried_us = attempts.last().map_or(0, Tried::started_us).min(window.until_us);
                let watched = tried_us.saturating_add(SETTLE_SLACK_US) >= last_us.saturating_add(FELT_US);
                return Group { faults, window, outages, began_before_fault: false, watched };
            }
        }
    }
}
