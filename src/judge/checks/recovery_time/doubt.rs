//! When a value neither keeps nor misses its bound for sure.
//!
//! - The machine stood still: its timers fired later than [`TIMER_LATE_US`], so a time that was measured is as much its own as
//!   the cluster's.
//! - A time lies no further from its bound than the timers were late. Counts are no times: of outages, those that are no
//!   longer than that don't count for sure.
//! - The prober paused within an outage: clients may have been served meanwhile.
//! - The load itself failed (this machine had nothing left to connect with), so what failed may be its own doing.
//! - A bound on the least was missed, and a fault was not confirmed or ceased by itself: the least is expected because the
//!   fault bites.

use crate::{
    checks::{
        Evidence, Finding, Outcome,
        course::{grouping::TIMER_LATE_US, phases::milliseconds, record::Tried},
        harness_was_sound::latest_timer,
        load_was_real::{CALM_SCHEDULE_US, GAP_PERIODS},
    },
    history::{
        Occurrence,
        event::{Bound, Operation},
    },
};

/// What is known of the harness's own error.
pub(super) struct HarnessError {
    /// How late a timer fired at worst while times were measured.
    pub late_ms: f64,
    pub load_failed: bool,
    pub fault_in_doubt: bool,
}

impl HarnessError {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        Self {
            late_ms: latest_timer(evidence).map_or(0.0, |(late_us, _)| milliseconds(late_us)),
            load_failed: load_failed(evidence),
            fault_in_doubt: evidence.faults().iter().any(|fault| fault.unconfirmed.is_some()),
        }
    }

    fn starved(&self) -> bool {
        self.late_ms > milliseconds(TIMER_LATE_US)
    }

    /// The finding, doubted if its value proves nothing about its target.
    pub(super) fn applied_to(&self, finding: Finding) -> Finding {
        match self.reason(&finding) {
            Some(reason) => doubted(finding, &reason),
            None => finding,
        }
    }

    fn reason(&self, finding: &Finding) -> Option<String> {
        let (measure, target) = (finding.measure.as_ref()?, finding.target?);
        let failed = finding.outcome == Outcome::Fail;
        if failed && self.load_failed {
            return Some("the load itself failed, so what failed may be this machine's doing".to_owned());
        }
        let (least, _) = edges(target);
        if failed && self.fault_in_doubt && least.is_some_and(|least| measure.value < least) {
            return Some(
                "a fault was not confirmed, or ceased by itself, so less than expected proves nothing".to_owned(),
            );
        }
        if self.starved() && (failed || measure.name.ends_with("_ms") && measure.value > 0.0) {
            let late_ms = self.late_ms;
            return Some(format!("the harness's timers fired {late_ms:.0} ms late: the machine was starved"));
        }
        is_within(finding, self.late_ms)
    }
}

/// Whether this machine had nothing left for the load to connect with.
pub(in crate::checks) fn load_failed(evidence: &Evidence<'_>) -> bool {
    let is_lost =
        |what: &Occurrence| matches!(what, Occurrence::ObserverLost { observer, .. } if observer == "workload");
    evidence.events.iter().any(|event| is_lost(&event.what))
}

/// That a time lies no further from its bound than the timers were late, in words.
fn is_within(finding: &Finding, late_ms: f64) -> Option<String> {
    let (measure, target) = (finding.measure.as_ref()?, finding.target?);
    let (least, most) = edges(target);
    // An outage of nothing is no measurement of time: no attempt failed.
    let is_time = measure.name.ends_with("_ms") && measure.value > 0.0;
    let near = |edge: &f64| (measure.value - edge).abs() <= late_ms;
    (is_time && least.iter().chain(&most).any(near))
        .then(|| format!("that is within the harness's own error of {late_ms:.0} ms (its timers fired that late)"))
}

/// The finding on a time, doubted if its bound is no further away than the timers were late.
pub(in crate::checks) fn doubted_by_lateness(finding: Finding, late_ms: f64) -> Finding {
    match is_within(&finding, late_ms) {
        Some(reason) => doubted(finding, &reason),
        None => finding,
    }
}

/// The least and the most that a bound allows.
pub(super) fn edges(bound: Bound) -> (Option<f64>, Option<f64>) {
    match bound {
        Bound::AtMost(most) => (None, Some(most)),
        Bound::AtLeast(least) => (Some(least), None),
        Bound::Between(least, most) => (Some(least), Some(most)),
        Bound::Exactly(exact) => (Some(exact), Some(exact)),
    }
}

/// For how long the machine stood still between two instants, by its own timers: the sum over the seconds in which one fired
/// later than [`TIMER_LATE_US`].
pub(super) fn stood_still_ms(evidence: &Evidence<'_>, from_us: u64, until_us: u64) -> f64 {
    let within = evidence.events.iter().filter(|event| (from_us..=until_us).contains(&event.at_us));
    let late = within.filter_map(|event| match event.what {
        Occurrence::TimerLate { late_us } if late_us > TIMER_LATE_US => Some(milliseconds(late_us)),
        _ => None,
    });
    late.sum()
}

/// For how long in this span the prober of writes tried nothing, beyond what its schedule allows at any time: whether clients
/// were served then is not known.
pub(super) fn untried_ms(evidence: &Evidence<'_>, from_us: u64, until_us: u64) -> f64 {
    let (all, endpoint) = (evidence.attempts(), evidence.write_endpoint());
    let starts = all.iter().filter(|tried| tried.is_fresh(endpoint, Operation::Write)).map(Tried::started_us);
    let within: Vec<u64> = starts.filter(|at_us| (from_us..until_us).contains(at_us)).collect();
    let edges = std::iter::once(from_us).chain(within).chain([until_us]).collect::<Vec<_>>();
    let gaps = edges.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    milliseconds(gaps.filter(|gap_us| *gap_us > GAP_PERIODS * CALM_SCHEDULE_US).fold(0, u64::saturating_add))
}

/// The finding as one that proves nothing, with the reason.
pub(super) fn doubted(finding: Finding, reason: &str) -> Finding {
    let summary = format!("{}; {reason}", finding.summary);
    Finding { outcome: Outcome::Inconclusive, summary, ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Measure;

    fn outcome(error: &HarnessError, measure: &str, value: f64, target: Bound) -> Outcome {
        let finding = Finding::new("recovery_time", Outcome::Pass, "").with_measure(Measure::new(measure, value));
        error.applied_to(finding.held_to(measure, target)).outcome
    }

    fn late(late_ms: f64) -> HarnessError {
        HarnessError { late_ms, load_failed: false, fault_in_doubt: false }
    }

    #[test]
    fn a_time_nearer_to_its_target_than_the_harnesss_error_proves_nothing() {
        let most = Bound::AtMost(30_000.0);
        let outcome = |late_ms, value| outcome(&late(late_ms), "write_outage_ms", value, most);
        assert_eq!(outcome(120.0, 29_950.0), Outcome::Inconclusive);
        assert_eq!(outcome(120.0, 30_100.0), Outcome::Inconclusive);
        assert_eq!(outcome(120.0, 29_800.0), Outcome::Pass);
        assert_eq!(outcome(120.0, 30_200.0), Outcome::Fail);
        assert_eq!(outcome(40_000.0, 0.0), Outcome::Pass);
    }

    #[test]
    fn on_a_starved_machine_no_margin_is_wide_enough() {
        let most = Bound::AtMost(20_000.0);
        assert_eq!(outcome(&late(6_000.0), "write_outage_ms", 27_300.0, most), Outcome::Inconclusive);
        assert_eq!(outcome(&late(251.0), "write_outage_ms", 90_000.0, most), Outcome::Inconclusive);
        assert_eq!(outcome(&late(249.0), "write_outage_ms", 90_000.0, most), Outcome::Fail);
    }

    #[test]
    fn a_count_is_no_time() {
        assert_eq!(outcome(&late(20.0), "outages", 1.0, Bound::AtMost(1.0)), Outcome::Pass);
        assert_eq!(outcome(&late(20.0), "outages", 2.0, Bound::AtMost(1.0)), Outcome::Fail);
        assert_eq!(outcome(&late(600.0), "outages", 1.0, Bound::AtMost(1.0)), Outcome::Pass);
        assert_eq!(outcome(&late(600.0), "outages", 2.0, Bound::AtMost(1.0)), Outcome::Inconclusive);
    }

    #[test]
    fn less_than_expected_proves_nothing_where_the_fault_is_in_doubt() {
        let error = HarnessError { fault_in_doubt: true, ..late(1.0) };
        let bound = Bound::Between(1_000.0, 2_000.0);
        assert_eq!(outcome(&error, "write_outage_ms", 500.0, bound), Outcome::Inconclusive);
        assert_eq!(outcome(&error, "write_outage_ms", 2_500.0, bound), Outcome::Fail);
        assert_eq!(outcome(&late(1.0), "write_outage_ms", 500.0, bound), Outcome::Fail);
    }

    #[test]
    fn a_load_that_failed_itself_proves_no_failure() {
        let error = HarnessError { load_failed: true, ..late(1.0) };
        assert_eq!(outcome(&error, "write_outage_ms", 2_500.0, Bound::AtMost(2_000.0)), Outcome::Inconclusive);
        assert_eq!(outcome(&error, "write_outage_ms", 1_500.0, Bound::AtMost(2_000.0)), Outcome::Pass);
    }
}
