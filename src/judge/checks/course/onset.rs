//! When an outage began that nobody expected.
//!
//! New connections are tried every 20 ms only where an outage is expected; at other times up to 100 ms lie between two
//! of them (see [`crate::checks::load_was_real`]). The held session and the writers of the same endpoint go on all the
//! time, so the first of their attempts that failed shows more closely when clients lost service. Where these go on
//! undisturbed, new connections alone were refused, and the time between two of them is the error of the outage's begin.

use super::{outage::Outage, record::Tried};
use crate::history::event::ClientKind;

/// The widest schedule of the prober from a fault until the recovery of writes has settled: it is the error of an outage.
pub const CLOSE_SCHEDULE_US: u64 = 20_000;

/// Clients that lose service with the others do so within this time of each other.
const TOGETHER_US: u64 = 200_000;

/// The outage with its begin as all clients of the endpoint tell it. `fresh` are the prober's attempts, `all` everyone's, both
/// in the order of their start. It began no sooner than `not_before_us`.
pub(in crate::checks) fn refined(
    outage: Outage,
    not_before_us: u64,
    (fresh, all): (&[Tried<'_>], &[Tried<'_>]),
    endpoint: &str,
) -> Outage {
    let of_endpoint = |tried: &Tried<'_>| tried.is_write() && tried.attempt.endpoint == endpoint;
    let served_us = |attempts: &[Tried<'_>], until_us: u64| {
        let own = attempts.iter().filter(|tried| of_endpoint(tried) && tried.acknowledged());
        let last_us = own.map(Tried::started_us).take_while(|at_us| *at_us < until_us).last();
        last_us.unwrap_or(0).max(not_before_us)
    };
    let open_us = served_us(fresh, outage.from_us);
    let unknown_us = outage.from_us.saturating_sub(open_us);
    if unknown_us <= CLOSE_SCHEDULE_US {
        return outage;
    }
    let failed = |tried: &&Tried<'_>| of_endpoint(tried) && !tried.acknowledged();
    let until_us = outage.from_us.saturating_add(TOGETHER_US);
    let first =
        all.iter().filter(failed).find(|tried| (open_us..until_us).contains(&tried.started_us()) && is_other(tried));
    let Some(first) = first else { return Outage { onset_error_us: unknown_us, ..outage } };
    let from_us = first.started_us().min(outage.from_us);
    let first_seq = if from_us < outage.from_us { Some(first.seq) } else { outage.first_seq };
    Outage { from_us, first_seq, onset_error_us: from_us.saturating_sub(served_us(all, from_us)), ..outage }
}

/// An attempt of a held session or a writer.
fn is_other(tried: &Tried<'_>) -> bool {
    matches!(tried.attempt.client_kind, ClientKind::Held | ClientKind::Writer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::event::{Attempt, AttemptOutcome, Operation};

    /// Attempts of a client each `every_us`, which fail from an instant on.
    fn client(kind: ClientKind, every_us: u64, fails_from_us: u64) -> Vec<Attempt> {
        let outcome = |at_us| match at_us < fails_from_us {
            true => AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 },
            false => AttemptOutcome::Unknown { message: "no answer".to_owned() },
        };
        let attempt = |at_us| Attempt {
            client_kind: kind,
            endpoint: "write".to_owned(),
            operation: Operation::Write,
            client: 1,
            sequence: at_us,
            started_us: at_us,
            outcome: outcome(at_us),
            saw: None,
            led_to: None,
        };
        (0..1_000_000).step_by(every_us as usize).map(attempt).collect()
    }

    fn begin(fresh_every_us: u64, held_fails_from_us: u64) -> (u64, u64) {
        let fresh = client(ClientKind::Fresh, fresh_every_us, 433_000);
        let held = client(ClientKind::Held, 20_000, held_fails_from_us);
        fn tried(attempt: &Attempt) -> Tried<'_> {
            Tried { seq: 1, ended_us: attempt.started_us + 4_000, attempt }
        }
        let fresh: Vec<_> = fresh.iter().map(tried).collect();
        let mut all: Vec<_> = held.iter().map(tried).chain(fresh.iter().copied()).collect();
        all.sort_by_key(Tried::started_us);
        let first = fresh.iter().find(|tried| !tried.acknowledged()).unwrap();
        let outage = Outage { from_us: first.started_us(), ..Outage::default() };
        let outage = refined(outage, 0, (&fresh, &all), "write");
        (outage.from_us, outage.onset_error_us)
    }

    #[test]
    fn held_sessions_tell_when_an_unexpected_outage_began() {
        assert_eq!(begin(100_000, 433_000), (440_000, 20_000));
    }

    #[test]
    fn where_new_connections_alone_fail_their_interval_is_the_error() {
        assert_eq!(begin(100_000, u64::MAX), (500_000, 100_000));
    }

    #[test]
    fn a_close_watch_needs_no_help() {
        assert_eq!(begin(20_000, 100_000), (440_000, 0));
    }
}
