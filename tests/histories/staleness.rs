//! How old is what clients read from standbys.

use pgquake_judge::{
    checks::Outcome,
    history::{
        Event, Occurrence,
        event::{Bound, ClientKind},
    },
};

use super::{
    edits::is_attempt,
    standby_region::{Regions, found},
    value,
};

const NAME: &str = "replica_reads";

fn is_at_west(finding: &pgquake_judge::checks::Finding) -> bool {
    finding.summary.contains("west-read")
}

fn at_most(events: &[Event], most_ms: f64) -> Outcome {
    let own = found(NAME, events, &[("replica_staleness_max_ms", Bound::AtMost(most_ms))]);
    own.into_iter().find(is_at_west).unwrap().outcome
}

/// The oldest write that a read did not see began 190 ms before it, and was acknowledged 4 ms later; the read took 4 ms.
#[test]
fn staleness_lies_between_its_bounds_and_a_bound_between_is_not_decided() {
    let events = Regions::default().happen();
    let own = found(NAME, &events, &[]);
    assert_eq!((own.len(), own[0].outcome), (1, Outcome::Pass), "{own:#?}");
    let names = ["replica_staleness_median_ms", "replica_staleness_p95_ms", "replica_staleness_max_ms"];
    assert_eq!(names.map(|measure| value(&own[0], measure)), [186.0; 3]);
    assert_eq!((value(&own[0], "staleness_resolution_ms"), value(&own[0], "reads_gone_back")), (8.0, 0.0));
    let judged = [194.0, 190.0, 185.0].map(|most_ms| at_most(&events, most_ms));
    assert_eq!(judged, [Outcome::Pass, Outcome::Inconclusive, Outcome::Fail]);
}

#[test]
fn a_read_that_sees_all_that_was_acknowledged_before_it_is_not_stale() {
    let events = Regions { stale_ms: |_| Some(0), ..Regions::default() }.happen();
    assert_eq!(value(&found(NAME, &events, &[])[0], "replica_staleness_max_ms"), 0.0);
}

#[test]
fn a_session_whose_reads_go_back_fails_whether_anyone_asked_or_not() {
    let back = |ms| Some(if (9_000..9_020).contains(&ms) { 300 } else { 200 });
    let events = Regions { stale_ms: back, ..Regions::default() }.happen();
    let own = &found(NAME, &events, &[])[0];
    assert_eq!((own.outcome, value(own, "reads_gone_back")), (Outcome::Fail, 1.0));
    let asked = found(NAME, &events, &[("reads_gone_back", Bound::Exactly(0.0))]);
    assert_eq!(asked.into_iter().find(is_at_west).unwrap().outcome, Outcome::Fail);
    // On fresh connections they are of different sessions.
    let mut fresh = events;
    for event in &mut fresh {
        if let Occurrence::Attempt(attempt) = &mut event.what
            && attempt.endpoint == "west-read"
        {
            attempt.client_kind = ClientKind::Fresh;
        }
    }
    let own = &found(NAME, &fresh, &[])[0];
    assert_eq!((own.outcome, own.value_of("reads_gone_back")), (Outcome::Pass, None));
}

#[test]
fn reads_that_do_not_say_what_they_saw_or_are_too_few_prove_nothing() {
    let silent = Regions { stale_ms: |_| None, ..Regions::default() }.happen();
    assert_eq!(found(NAME, &silent, &[]), []);
    assert_eq!(at_most(&silent, 1_000.0), Outcome::Inconclusive);
    let few = Regions { stale_ms: |ms| (ms < 1_300).then_some(200), ..Regions::default() }.happen();
    assert_eq!(at_most(&few, 1_000.0), Outcome::Inconclusive);
    let mut unread = Regions::default().happen();
    unread.retain(|event| !matches!(event.what, Occurrence::LedgerRead { .. }));
    assert_eq!(at_most(&unread, 1_000.0), Outcome::Inconclusive);
}

#[test]
fn an_endpoint_that_nobody_reads_from_is_in_doubt_if_it_was_asked_for() {
    let mut events = Regions::default().happen();
    events.retain(|event| !is_attempt(&event.what, |attempt| attempt.endpoint == "west-read"));
    assert_eq!(at_most(&events, 1_000.0), Outcome::Inconclusive);
}
