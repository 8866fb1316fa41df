//! How many trials run side by side: as many as keep the harness's own timers on time, up to a limit.
//!
//! What a trial measures is wrong as soon as the machine is starved, and a trial that is starved after its fault proves
//! nothing. So trials are admitted by what the timers of those that run show:
//!
//! - Systems start one after the other: a start takes more of a machine than anything else in a trial.
//! - None begins between another one's steady state and its first fault: clients feel a start, and an outage that comes before
//!   the fault leaves a trial unproven.
//! - None begins while a timer was late in the last [`CALM`].
//! - A timer that was late enough to cost a trial its proof lowers the number admitted by one; as many trials in a row as are
//!   admitted, all of them on time, raise it by one again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    checks::course::grouping::TIMER_LATE_US,
    history::{Event, Occurrence, event::Milestone},
};

/// The time without a late timer that must pass before another trial begins.
const CALM: Duration = Duration::from_secs(5);
/// A timer that is this late, in microseconds, shows that the machine is near its limit.
const NEARLY_LATE_US: u64 = TIMER_LATE_US / 2;
/// The longest time for which a trial before its first fault holds others back: the loop of an agent, and a little more. A
/// scenario may have no fault at all.
const ARMED_AT_MOST: Duration = Duration::from_secs(15);
/// A lower number is raised again at most this often beyond the machine's cores.
const MOST_FOR_EACH_CORE: usize = 2;

/// How many trials may run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jobs {
    /// At most this number.
    AtMost(usize),
    /// As many as this machine bears, by its cores and by what its timers show.
    Auto,
}

/// Who admits trials.
pub(super) struct Admission {
    most: usize,
    admitted: usize,
    /// Scenarios whose system is being started.
    starting: BTreeSet<u32>,
    /// Scenarios that are steady and wait for their first fault, and since when.
    armed: BTreeMap<u32, Instant>,
    last_late: Option<Instant>,
    /// Trials that ended since a timer was late, or the number admitted changed.
    on_time: usize,
}

impl Admission {
    /// By this limit, on a machine with this number of cores.
    pub(super) fn new(jobs: Jobs, cores: usize) -> Self {
        let cores = cores.max(1);
        let (most, admitted) = match jobs {
            Jobs::AtMost(most) => (most.max(1), most.max(1)),
            Jobs::Auto => (cores * MOST_FOR_EACH_CORE, cores),
        };
        Self { most, admitted, starting: BTreeSet::new(), armed: BTreeMap::new(), last_late: None, on_time: 0 }
    }

    /// Whether another trial may begin beside those that run. Alone one always may: holding it back would help nobody.
    pub(super) fn admits(&self, running: usize, now: Instant) -> bool {
        let is_calm = self.last_late.is_none_or(|late| now.duration_since(late) >= CALM);
        let is_armed = self.armed.values().any(|since| now.duration_since(*since) < ARMED_AT_MOST);
        running == 0 || running < self.admitted && self.starting.is_empty() && !is_armed && is_calm
    }

    /// When to look again, if nothing else happens before.
    pub(super) fn look_again(&self, now: Instant) -> Duration {
        let calm_in = self.last_late.map(|late| CALM.saturating_sub(now.duration_since(late)));
        calm_in.filter(|left| !left.is_zero()).unwrap_or(CALM)
    }

    /// A trial begins under this number.
    pub(super) fn begins(&mut self, scenario: u32) {
        self.starting.insert(scenario);
    }

    /// A trial has ended.
    pub(super) fn ended(&mut self, scenario: u32) {
        self.starting.remove(&scenario);
        self.armed.remove(&scenario);
        self.on_time += 1;
        if self.on_time >= self.admitted && self.admitted < self.most {
            (self.admitted, self.on_time) = (self.admitted + 1, 0);
        }
    }

    /// Takes what the history got, and says whether it lets another trial begin.
    pub(super) fn take(&mut self, event: &Event, now: Instant) -> bool {
        match event.what {
            Occurrence::ClusterReady { .. } => return self.starting.remove(&event.scenario),
            Occurrence::Reached { milestone: Milestone::SteadyState } => {
                self.armed.insert(event.scenario, now);
            }
            Occurrence::FaultConfirmed { .. } => return self.armed.remove(&event.scenario).is_some(),
            Occurrence::TimerLate { late_us } if late_us >= NEARLY_LATE_US => {
                // Each drill has timers of its own, which are late together.
                let is_news = self.last_late.is_none_or(|late| now.duration_since(late) >= CALM);
                if late_us > TIMER_LATE_US && is_news {
                    self.admitted = self.admitted.saturating_sub(1).max(1);
                }
                (self.last_late, self.on_time) = (Some(now), 0);
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(scenario: u32, what: Occurrence) -> Event {
        Event { seq: 1, at_us: 1, scenario, what }
    }

    fn late(late_us: u64) -> Event {
        event(1, Occurrence::TimerLate { late_us })
    }

    #[test]
    fn systems_start_one_after_the_other_up_to_the_limit() {
        let now = Instant::now();
        let mut admission = Admission::new(Jobs::AtMost(2), 8);
        assert!(admission.admits(0, now));
        admission.begins(7);
        assert!(!admission.admits(1, now), "the first one starts");
        admission.take(&event(7, Occurrence::ClusterReady { startup_ms: 5 }), now);
        assert!(admission.admits(1, now));
        admission.begins(8);
        admission.ended(8);
        assert!(admission.admits(1, now), "one that ended without a system holds nobody up");
        assert!(!admission.admits(2, now), "the limit is reached");
    }

    #[test]
    fn no_system_starts_between_a_steady_state_and_its_first_fault() {
        let now = Instant::now();
        let mut admission = Admission::new(Jobs::AtMost(2), 8);
        admission.begins(7);
        admission.take(&event(7, Occurrence::ClusterReady { startup_ms: 5 }), now);
        let steady = Occurrence::Reached { milestone: Milestone::SteadyState };
        admission.take(&event(7, steady.clone()), now);
        assert!(!admission.admits(1, now));
        let (evidence, effect_to_us) = (String::new(), 2);
        let fault = Occurrence::FaultConfirmed { fault: 1, effect_from_us: 1, effect_to_us, evidence };
        assert!(admission.take(&event(7, fault), now));
        assert!(admission.admits(1, now));
        // One that has no fault holds nobody back for long, and one that has ended nobody at all.
        admission.take(&event(7, steady.clone()), now);
        assert!(!admission.admits(1, now) && admission.admits(1, now + ARMED_AT_MOST));
        admission.ended(7);
        assert!(admission.admits(1, now));
    }

    #[test]
    fn a_late_timer_holds_back_and_one_that_costs_a_proof_lowers_the_number() {
        let now = Instant::now();
        let mut admission = Admission::new(Jobs::AtMost(3), 2);
        admission.take(&late(NEARLY_LATE_US), now);
        assert!(!admission.admits(1, now) && admission.admits(0, now));
        assert!(admission.admits(2, now + CALM));
        admission.take(&late(TIMER_LATE_US + 1), now + CALM);
        admission.take(&late(TIMER_LATE_US + 1), now + CALM + Duration::from_secs(1));
        let later = now + CALM * 3;
        assert!(admission.admits(1, later) && !admission.admits(2, later), "two are admitted, not one");
        for scenario in [1, 2] {
            admission.ended(scenario);
        }
        assert!(admission.admits(2, later) && !admission.admits(3, later));
        admission.ended(3);
        assert!(!admission.admits(3, later), "never more than was asked for");
    }

    #[test]
    fn by_itself_it_begins_with_the_cores_and_goes_on_while_timers_are_on_time() {
        let now = Instant::now();
        let mut admission = Admission::new(Jobs::Auto, 2);
        assert!(admission.admits(1, now) && !admission.admits(2, now));
        for scenario in 1..100 {
            admission.ended(scenario);
        }
        assert!(admission.admits(3, now) && !admission.admits(4, now), "twice the cores at most");
    }
}
