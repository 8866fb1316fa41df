//! Outages as fresh clients of one endpoint saw them.
//!
//! # What counts as an outage
//!
//! The prober is open-loop: its attempts start on a fixed schedule, each on a connection of its own. Two things show
//! an outage:
//!
//! - **An attempt failed** (refused, or its fate is unknown). The outage begins when the first such attempt started,
//!   but not before the fault can have taken effect. It ends with the first acknowledgement of the following
//!   *uninterrupted run*: every attempt that starts within [`SETTLE_US`] from the run's first attempt on is
//!   acknowledged. A lucky hit between failures ends nothing, also if the next fault comes between it and the next
//!   failure: an outage that has not settled by then is one with what follows. Attempts that started earlier but hung,
//!   and were acknowledged in the end, don't begin the run either.
//! - **Nothing was acknowledged for longer than [`STALL_US`]**, though in the end everything was: a stall. Without
//!   this a database that hangs for as long as the client's patience would seem to have had no outage.
//!
//! So the fault's instant is refined by the client's own evidence: the confirmation brackets it (sometimes widely),
//! and within the bracket the first attempt that failed shows when clients lost service, to the prober's schedule.

use serde::{Deserialize, Serialize};

use super::record::Tried;

/// A run of acknowledged attempts counts as recovery when it lasts this long.
pub const SETTLE_US: u64 = 2_000_000;

/// How much less of a run may have been watched: whoever waits for a settled recovery stops at about the same time.
pub(in crate::checks) const SETTLE_SLACK_US: u64 = 100_000;

/// A gap between two acknowledgements that is longer than this is a stall. Well above the schedule of the prober and
/// the time of a commit, below what a client would call an outage.
pub const STALL_US: u64 = 100_000;

/// A span in which clients were not served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    pub from_us: u64,
    /// The first acknowledgement of the uninterrupted run; `None`: it did not come.
    pub to_us: Option<u64>,
    /// Whether the run after it was watched for [`SETTLE_US`]: if not, it may have gone on.
    pub settled: bool,
    /// `seq` of the first attempt that was not served in time.
    pub first_seq: Option<u64>,
    /// `seq` of the acknowledgement that ended it.
    pub last_seq: Option<u64>,
    /// It may have begun this much sooner: nobody asked meanwhile who would have noticed.
    #[serde(default)]
    pub onset_error_us: u64,
}

impl Outage {
    /// Its length; until the end of the watch if it did not end.
    pub fn length_us(&self, watched_until_us: u64) -> u64 {
        self.to_us.unwrap_or(watched_until_us).saturating_sub(self.from_us)
    }
}

/// The span in which outages are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from_us: u64,
    pub until_us: u64,
    /// It ends because the next fault strikes. What becomes of the attempts that are in flight then may be that fault's
    /// doing, so they show an outage of this window only if nothing was acknowledged for [`STALL_US`] before its end.
    pub ended_by_fault: bool,
}

/// The outages within the window, in the order of time. `attempts` are those of one prober, in the order of their
/// start.
pub fn outages(attempts: &[Tried<'_>], window: Window) -> Vec<Outage> {
    let in_time = |tried: &Tried<'_>| tried.ended_us >= window.from_us && tried.started_us() < window.until_us;
    let started: Vec<Tried<'_>> = attempts.iter().copied().filter(in_time).collect();
    let in_flight = |tried: &Tried<'_>| window.ended_by_fault && tried.ended_us >= window.until_us;
    let ended: Vec<Tried<'_>> = started.iter().copied().filter(|tried| !in_flight(tried)).collect();
    let mut found = failures(&ended, window);
    found.extend(stalls(&started, &ended, window));
    merge(found)
}

fn failures(ended: &[Tried<'_>], window: Window) -> Vec<Outage> {
    let mut found = Vec::new();
    let mut index = 0;
    while let Some(offset) = ended[index..].iter().position(|tried| !tried.acknowledged()) {
        let first = index + offset;
        let (outage, next) = follow_failure(ended, first, window);
        found.push(outage);
        index = next;
    }
    found
}

/// The outage that begins with the failed attempt at `first`, and the index from which to look for the next.
fn follow_failure(ended: &[Tried<'_>], first: usize, window: Window) -> (Outage, usize) {
    let from_us = ended[first].started_us().max(window.from_us);
    let mut last_failed = first;
    loop {
        let run = last_failed + 1;
        let Some(run_first) = ended.get(run).filter(|tried| tried.acknowledged()) else {
            if run < ended.len() {
                last_failed = run;
                continue;
            }
            let open = Outage {
                from_us,
                to_us: None,
                settled: false,
                first_seq: Some(ended[first].seq),
                last_seq: None,
                onset_error_us: 0,
            };
            return (open, ended.len());
        };
        let settled_us = run_first.started_us().saturating_add(SETTLE_US);
        let broken = ended[run..].iter().position(|tried| !tried.acknowledged()).map(|offset| run + offset);
        if let Some(broken) = broken.filter(|broken| ended[*broken].started_us() < settled_us) {
            last_failed = broken;
            continue;
        }
        let next = broken.unwrap_or(ended.len());
        // Attempts of the run overtake each other: the earliest acknowledgement counts, not the earliest start.
        let recovery = ended[run..next].iter().min_by_key(|tried| tried.ended_us);
        let outage = Outage {
            from_us,
            to_us: recovery.map(|tried| tried.ended_us),
            settled: ended.last().is_some_and(|tried| tried.started_us().saturating_add(SETTLE_SLACK_US) >= settled_us),
            first_seq: Some(ended[first].seq),
            last_seq: recovery.map(|tried| tried.seq),
            onset_error_us: 0,
        };
        return (outage, next);
    }
}

fn stalls(started: &[Tried<'_>], ended: &[Tried<'_>], window: Window) -> Vec<Outage> {
    let mut answers: Vec<&Tried<'_>> = ended.iter().filter(|tried| tried.acknowledged()).collect();
    answers.sort_by_key(|tried| tried.ended_us);
    let mut found = Vec::new();
    let mut before_us = window.from_us;
    for answer in answers {
        found.extend(stall(started, before_us, answer.ended_us, Some(answer.seq)));
        before_us = before_us.max(answer.ended_us);
    }
    let last_us = match window.ended_by_fault {
        true => window.until_us,
        false => started.last().map_or(window.from_us, Tried::started_us),
    };
    found.extend(stall(started, before_us, last_us, None));
    found
}

/// The stall between two instants without an acknowledgement, if an attempt waited for long enough in it: without one,
/// nobody asked. `answer` is the `seq` of the acknowledgement that ended it.
fn stall(started: &[Tried<'_>], after_us: u64, until_us: u64, answer: Option<u64>) -> Option<Outage> {
    if until_us.saturating_sub(after_us) <= STALL_US {
        return None;
    }
    let first = started.partition_point(|tried| tried.started_us() < after_us);
    let waited = started.get(first).filter(|tried| tried.started_us() < until_us)?;
    let from_us = waited.started_us();
    (until_us.saturating_sub(from_us) > STALL_US).then_some(Outage {
        from_us,
        to_us: answer.map(|_| until_us),
        settled: answer.is_some(),
        first_seq: Some(waited.seq),
        last_seq: answer,
        onset_error_us: 0,
    })
}

/// Joins spans that overlap.
fn merge(mut found: Vec<Outage>) -> Vec<Outage> {
    found.sort_by_key(|outage| outage.from_us);
    let mut merged: Vec<Outage> = Vec::new();
    for outage in found {
        match merged.last_mut() {
            Some(last) if last.to_us.is_none_or(|to_us| outage.from_us < to_us) => join(last, outage),
            _ => merged.push(outage),
        }
    }
    merged
}

fn join(last: &mut Outage, outage: Outage) {
    let (Some(last_to), Some(to)) = (last.to_us, outage.to_us) else {
        // One of them has no end. A failure without a run after it outweighs a stall that seemed to end.
        last.to_us = None;
        last.last_seq = None;
        last.settled = false;
        return;
    };
    last.settled &= outage.settled;
    if to > last_to {
        last.to_us = Some(to);
        last.last_seq = outage.last_seq;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::event::{Attempt, AttemptOutcome, ClientKind, Operation};

    const EVERY_US: u64 = 20_000;

    /// A prober's attempts, each described by its start and what becomes of it: latency and success.
    fn prober(count: u64, fate: impl Fn(u64) -> (u64, bool)) -> Vec<(u64, Attempt)> {
        let attempt = |number: u64| {
            let started_us = number * EVERY_US;
            let (latency_us, good) = fate(started_us);
            let outcome = match good {
                true => AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 },
                false => AttemptOutcome::Refused { sqlstate: None, message: "refused".to_owned(), contact: None },
            };
            let attempt = Attempt {
                client_kind: ClientKind::Fresh,
                endpoint: "write".to_owned(),
                operation: Operation::Write,
                client: 1,
                sequence: number,
                started_us,
                outcome,
                saw: None,
                led_to: None,
            };
            (started_us + latency_us, attempt)
        };
        (0..count).map(attempt).collect()
    }

    fn find(attempts: &[(u64, Attempt)], from_us: u64) -> Vec<Outage> {
        let tried: Vec<_> = attempts
            .iter()
            .map(|(ended_us, attempt)| Tried { seq: attempt.sequence, ended_us: *ended_us, attempt })
            .collect();
        outages(&tried, Window { from_us, until_us: u64::MAX, ended_by_fault: false })
    }

    #[test]
    fn no_failure_is_no_outage() {
        assert_eq!(find(&prober(500, |_| (5_000, true)), 1_000_000), []);
    }

    #[test]
    fn a_cut_is_measured_to_the_schedule() {
        let found = find(&prober(500, |at| (5_000, !(1_000_000..4_000_000).contains(&at))), 1_000_000);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from_us, found[0].to_us, found[0].settled), (1_000_000, Some(4_005_000), true));
    }

    #[test]
    fn a_lucky_hit_is_no_recovery() {
        let good = |at| !(1_000_000..4_000_000).contains(&at) || at == 2_000_000;
        let found = find(&prober(500, |at| (5_000, good(at))), 1_000_000);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_us, Some(4_005_000));
    }

    #[test]
    fn an_attempt_that_hung_and_got_through_does_not_begin_the_run() {
        // The attempt at 1 s hangs and is acknowledged at 3.5 s, while fresh ones are refused until 4 s.
        let fate = |at| match at {
            1_000_000 => (2_500_000, true),
            _ => (5_000, !(1_000_000..4_000_000).contains(&at)),
        };
        assert_eq!(find(&prober(500, fate), 1_000_000)[0].to_us, Some(4_005_000));
    }

    #[test]
    fn hung_attempts_that_succeed_late_are_a_stall() {
        // Silence for 3 s: whoever starts in it is answered when it ends.
        let fate = |at| if (1_000_000..4_000_000).contains(&at) { (4_000_000 - at, true) } else { (5_000, true) };
        let found = find(&prober(500, fate), 1_000_000);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from_us, found[0].to_us), (1_000_000, Some(4_000_000)));
    }

    #[test]
    fn lost_packets_answered_after_a_retransmission_are_measured_by_those_that_came_later() {
        // 200 ms of dropped packets: TCP tries again after a second, fresh attempts get through at once.
        let fate = |at| if (1_000_000..1_200_000).contains(&at) { (1_005_000, true) } else { (5_000, true) };
        let found = find(&prober(500, fate), 1_000_000);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].from_us, found[0].to_us), (1_000_000, Some(1_205_000)));
    }

    #[test]
    fn one_slow_attempt_among_fast_ones_is_no_outage() {
        assert_eq!(find(&prober(500, |at| (if at == 2_000_000 { 900_000 } else { 5_000 }, true)), 1_000_000), []);
    }

    #[test]
    fn an_attempt_in_flight_at_the_fault_does_not_begin_the_outage_before_it() {
        let fate = |at| match at {
            960_000 => (80_000, false),
            _ => (5_000, !(1_000_000..2_000_000).contains(&at)),
        };
        let found = find(&prober(500, fate), 1_000_000);
        assert_eq!((found.len(), found[0].from_us, found[0].to_us), (1, 1_000_000, Some(2_005_000)));
    }

    #[test]
    fn writes_that_never_come_back_have_no_end() {
        let found = find(&prober(500, |at| (5_000, at < 1_000_000)), 1_000_000);
        assert_eq!((found.len(), found[0].to_us), (1, None));
    }

    #[test]
    fn a_run_that_is_cut_short_is_not_settled() {
        let found = find(&prober(100, |at| (5_000, !(500_000..1_500_000).contains(&at))), 500_000);
        assert_eq!((found[0].to_us, found[0].settled), (Some(1_505_000), false));
    }

    #[test]
    fn an_outage_that_begins_long_after_the_fault_is_found() {
        let found = find(&prober(1500, |at| (5_000, !(20_000_000..25_000_000).contains(&at))), 1_000_000);
        assert_eq!((found.len(), found[0].from_us, found[0].to_us), (1, 20_000_000, Some(25_005_000)));
    }
}
