//! A subscriber outside the cluster: rows that it lacks, has twice or has alone, a subscription that stands still, and what is
//! not copied.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{Bound, CommandRun, LedgerCounts, SequenceRange, SubscriberRead, SubscriberSchema, SubscriptionState},
        rows::Rows,
    },
    plan::Plan,
    topology::ServiceKind,
};
use serde_json::json;

use super::{
    course::{Course, plan, run},
    edits::{with, without},
    value,
};

const NAME: &str = "logical";
const MISSING: &str = "subscriber_missing_rows";
const AHEAD: &str = "subscriber_ahead_rows";
const STOPPED: &str = "subscription_stopped_ms";
const COLUMNS: &str = "copied_columns";
const SEQUENCES: &str = "copied_sequences";
const BROKEN: &str = "logical_promises_broken";
/// When the subscriber's ledger is read: after those of the nodes, at 5,500 ms.
const READ_MS: u64 = 13_000;

fn subscribed() -> Plan {
    let mut topology = plan(false).topology;
    topology.subscriptions =
        serde_json::from_value(json!([{ "name": "reports", "host": "warehouse" }])).expect("a subscription");
    let mut host = topology.regions[0].hosts[0].clone();
    (host.name, host.services) = ("warehouse".to_owned(), vec![ServiceKind::Subscriber.into()]);
    topology.regions[0].hosts.push(host);
    Plan::new(topology)
}

/// What happens at the subscriber of a failover: node1 is lost at 2,000 ms, node2 takes writes from 2,900 ms on.
struct Subscriber {
    /// It applies nothing between these.
    still_ms: (u64, u64),
    /// It is not seen between these.
    unseen_ms: (u64, u64),
    /// Whether its ledger is read.
    is_read: bool,
}

impl Default for Subscriber {
    fn default() -> Self {
        Self { still_ms: (2_000, 4_000), unseen_ms: (0, 0), is_read: true }
    }
}

impl Subscriber {
    /// Its ledger holds what node2's does, but for a change.
    fn events(&self, change: impl Fn(&mut Vec<SequenceRange>, &mut LedgerCounts)) -> Vec<Event> {
        let mut events = run(&[Course::default()]);
        let found = events.iter().find_map(|event| match &event.what {
            Occurrence::LedgerRead { node, found, .. } if node == "node2" => Some(found.clone()),
            _ => None,
        });
        let mut found = found.expect("the ledger of node2");
        let mut counts = LedgerCounts { rows: Rows::new(&found).count(), ..LedgerCounts::default() };
        change(&mut found, &mut counts);
        let mut applied_lsn = 1;
        for ms in (300..READ_MS).step_by(200) {
            let is_still = (self.still_ms.0..self.still_ms.1).contains(&ms) || ms > 6_000;
            applied_lsn = if is_still { applied_lsn } else { ms };
            if (self.unseen_ms.0..self.unseen_ms.1).contains(&ms) {
                continue;
            }
            let state = SubscriptionState {
                subscription: "reports".to_owned(),
                reachable: true,
                worker: !(self.still_ms.0..self.still_ms.1).contains(&ms),
                applied_lsn: Some(applied_lsn),
                received_lsn: None,
                apply_errors: 0,
            };
            events = with(events, ms, Occurrence::SubscriptionState(state));
        }
        let subscription = "reports".to_owned();
        let read = match self.is_read {
            true => Occurrence::SubscriberRead(SubscriberRead { subscription, found, counts }),
            false => Occurrence::SubscriberUnread { subscription, reason: "no answer".to_owned() },
        };
        with(events, READ_MS, read)
    }
}

fn same(_: &mut Vec<SequenceRange>, _: &mut LedgerCounts) {}

fn judged(events: &[Event]) -> Vec<Finding> {
    (find(NAME).expect("the check").judge)(&Evidence::new(&subscribed(), None, events))
}

/// The first finding with this measure.
fn of<'f>(findings: &'f [Finding], measure: &str) -> &'f Finding {
    findings.iter().find(|own| own.value_of(measure).is_some()).unwrap_or_else(|| panic!("no {measure}: {findings:#?}"))
}

fn expecting(measure: &str, bound: Bound, events: Vec<Event>) -> Vec<Event> {
    let mut asked = run(&[Course { expected: vec![(NAME, "x", bound)], ..Course::default() }]);
    let mut expected = asked.drain(..).find(|event| matches!(event.what, Occurrence::Expected(_))).expect("it");
    if let Occurrence::Expected(own) = &mut expected.what {
        own.measure = measure.to_owned();
    }
    with(events, 1, expected.what)
}

#[test]
fn a_subscriber_that_has_every_row_passes_with_how_long_it_stood_still() {
    let found = judged(&Subscriber::default().events(same));
    assert_eq!(found.len(), 2, "{found:#?}");
    let rows = of(&found, MISSING);
    assert_eq!((rows.outcome, value(rows, AHEAD), value(rows, BROKEN)), (Outcome::Pass, 0.0, 0.0), "{}", rows.summary);
    assert_eq!(rows.evidence.len(), 2);
    let stood = of(&found, STOPPED);
    // From the look at 1,900 ms to the one at 4,100 ms.
    assert_eq!((stood.outcome, value(stood, STOPPED)), (Outcome::Pass, 2_200.0), "{}", stood.summary);
    assert!(stood.summary.contains("without a worker"), "{}", stood.summary);
    for (most, outcome) in [(2_200.0, Outcome::Pass), (2_199.0, Outcome::Fail)] {
        let found = judged(&expecting(STOPPED, Bound::AtMost(most), Subscriber::default().events(same)));
        assert_eq!(of(&found, STOPPED).outcome, outcome);
        assert_eq!(of(&found, MISSING).outcome, Outcome::Pass, "only what is asked of a finding is held against it");
    }
}

#[test]
fn a_row_that_is_missing_fails_and_the_subscription_has_not_gone_on() {
    let stuck = Subscriber { still_ms: (2_000, READ_MS), ..Subscriber::default() };
    let found = judged(&stuck.events(|found, counts| {
        let last = found.last_mut().expect("rows");
        last.to -= 1;
        counts.rows -= 1;
    }));
    let rows = of(&found, MISSING);
    assert_eq!((rows.outcome, value(rows, MISSING), value(rows, BROKEN)), (Outcome::Fail, 1.0, 1.0));
    let stood = of(&found, STOPPED);
    // From the look at 1,900 ms to the end.
    assert_eq!((stood.outcome, value(stood, STOPPED)), (Outcome::Fail, 11_100.0), "{}", stood.summary);
    assert!(stood.summary.contains("has not gone on"), "{}", stood.summary);
    // One that goes on without rows that it was never sent does not stand still.
    let found = judged(&Subscriber::default().events(|found, counts| {
        found[0].from += 5;
        counts.rows -= 5;
    }));
    assert_eq!((of(&found, MISSING).outcome, of(&found, STOPPED).outcome), (Outcome::Fail, Outcome::Pass));
}

#[test]
fn without_a_worker_in_the_end_it_has_stopped_though_no_row_is_missing() {
    let stuck = || Subscriber { still_ms: (2_000, READ_MS), ..Subscriber::default() };
    let found = judged(&stuck().events(same));
    assert_eq!((of(&found, MISSING).outcome, of(&found, STOPPED).outcome), (Outcome::Pass, Outcome::Fail));
    // Nor does it pass where nobody knows which rows count.
    let unread = without(
        Subscriber::default().events(same),
        |what| matches!(what, Occurrence::LedgerRead { node, .. } if node == "node2"),
    );
    assert_eq!(of(&judged(&unread), STOPPED).outcome, Outcome::Inconclusive);
}

#[test]
fn a_row_that_is_missing_while_it_still_applies_is_in_doubt() {
    let mut events = Subscriber::default().events(|found, counts| {
        found.last_mut().expect("rows").to -= 1;
        counts.rows -= 1;
    });
    let last = events.iter_mut().rev().find_map(|event| match &mut event.what {
        Occurrence::SubscriptionState(state) => Some(state),
        _ => None,
    });
    last.expect("a look").applied_lsn = Some(99_999);
    let found = judged(&events);
    let rows = of(&found, MISSING);
    assert_eq!(rows.outcome, Outcome::Inconclusive);
    assert!(rows.summary.contains("still catching up"), "{}", rows.summary);
    assert_eq!(of(&found, STOPPED).outcome, Outcome::Pass);
}

#[test]
fn rows_that_the_publisher_lost_that_are_there_twice_or_changed_fail() {
    let ahead = judged(&Subscriber::default().events(|found, counts| {
        found.last_mut().expect("rows").to += 3;
        counts.rows += 3;
    }));
    let rows = of(&ahead, AHEAD);
    // The documents promise nothing of what a publisher loses.
    assert_eq!((rows.outcome, value(rows, AHEAD), value(rows, BROKEN)), (Outcome::Fail, 3.0, 0.0));
    assert!(rows.summary.contains("ahead of it"), "{}", rows.summary);
    for change in [|counts: &mut LedgerCounts| counts.rows += 1, |counts: &mut LedgerCounts| counts.changed_rows += 1] {
        let found = judged(&Subscriber::default().events(|_, counts| change(counts)));
        let rows = of(&found, MISSING);
        assert_eq!((rows.outcome, value(rows, BROKEN)), (Outcome::Fail, 1.0), "{}", rows.summary);
    }
}

#[test]
fn what_was_not_read_or_not_seen_is_in_doubt() {
    let unread = judged(&Subscriber { is_read: false, ..Subscriber::default() }.events(same));
    assert!(unread.iter().all(|own| own.outcome == Outcome::Inconclusive), "{unread:#?}");
    assert!(unread[0].summary.contains("was not read in the end: no answer"), "{}", unread[0].summary);
    let unseen = Subscriber { unseen_ms: (0, u64::MAX), ..Subscriber::default() }.events(same);
    let unseen = judged(&unseen);
    assert!(unseen.iter().all(|own| own.outcome == Outcome::Inconclusive), "{unseen:#?}");
    assert!(unseen[0].summary.contains("was not seen for 12.5 s"), "{}", unseen[0].summary);
    let paused = judged(&Subscriber { unseen_ms: (1_000, 7_000), ..Subscriber::default() }.events(same));
    assert_eq!(of(&paused, STOPPED).outcome, Outcome::Inconclusive);
    // Whose rows count is not known.
    let nobody = without(Subscriber::default().events(same), |what| matches!(what, Occurrence::LedgerRead { .. }));
    assert_eq!(judged(&nobody)[0].outcome, Outcome::Inconclusive);
    let asked =
        expecting(MISSING, Bound::Exactly(0.0), Subscriber { is_read: false, ..Subscriber::default() }.events(same));
    assert!(judged(&asked).iter().all(|own| own.outcome == Outcome::Inconclusive));
}

fn schema(published: &[&str], subscribed: &[&str], sequences: (u64, u64)) -> Occurrence {
    let columns = |more: &[&str]| {
        ["client", "sequence", "content", "payload"].iter().chain(more).map(|name| (*name).to_owned()).collect()
    };
    Occurrence::SubscriberSchema(SubscriberSchema {
        subscription: "reports".to_owned(),
        published_columns: columns(published),
        subscribed_columns: columns(subscribed),
        published_sequence: sequences.0,
        subscribed_sequence: sequences.1,
    })
}

#[test]
fn a_column_or_a_sequence_that_is_not_copied_passes_and_one_that_is_fails() {
    let seen = |looks: &[(u64, Occurrence)]| {
        let events = Subscriber::default().events(same);
        judged(&looks.iter().fold(events, |events, (ms, look)| with(events, *ms, look.clone())))
    };
    // What the operator adds at the subscriber later was not copied.
    let kept = [(3_000, schema(&["note"], &[], (0, 0))), (8_000, schema(&["note"], &["note"], (100, 0)))];
    let found = seen(&kept);
    let own = of(&found, COLUMNS);
    assert_eq!((own.outcome, value(own, COLUMNS), value(own, SEQUENCES)), (Outcome::Pass, 0.0, 0.0), "{}", own.summary);
    assert!(own.summary.contains("lacks the column `note`") && own.summary.contains("stands at 0"), "{}", own.summary);
    assert_eq!(value(of(&found, BROKEN), BROKEN), 0.0);
    for (look, measure) in [(schema(&["note"], &["note"], (0, 0)), COLUMNS), (schema(&[], &[], (100, 100)), SEQUENCES)]
    {
        let found = seen(&[(3_000, look)]);
        let own = of(&found, measure);
        assert_eq!((own.outcome, value(own, measure)), (Outcome::Fail, 1.0), "{}", own.summary);
        assert_eq!(value(of(&found, BROKEN), BROKEN), 1.0);
    }
}

#[test]
fn a_column_that_an_operator_added_at_the_subscriber_was_not_copied() {
    let added = Occurrence::CommandRun(CommandRun {
        node: "warehouse".to_owned(),
        command: "psql -qXAtc 'ALTER TABLE pgquake.ledger ADD COLUMN note text'".to_owned(),
        status: Some(0),
        output: String::new(),
    });
    let events = with(Subscriber::default().events(same), 3_000, added);
    let found = judged(&with(events, 8_000, schema(&["note"], &["note"], (0, 0))));
    assert!(found.iter().all(|own| own.value_of(COLUMNS).is_none()), "{found:#?}");
    assert_eq!(value(of(&found, BROKEN), BROKEN), 0.0);
}

#[test]
fn what_was_never_tried_is_in_doubt_where_it_is_asked_for() {
    let untried = with(Subscriber::default().events(same), 8_000, schema(&[], &[], (0, 0)));
    assert_eq!(judged(&untried).len(), 2);
    for measure in [COLUMNS, SEQUENCES] {
        let found = judged(&expecting(measure, Bound::Exactly(0.0), untried.clone()));
        assert_eq!(found.last().map(|own| own.outcome), Some(Outcome::Inconclusive), "{found:#?}");
    }
}

#[test]
fn where_nobody_subscribes_nothing_is_said() {
    let events = run(&[Course::default()]);
    let found = (find(NAME).expect("the check").judge)(&Evidence::new(&plan(false), None, &events));
    assert_eq!(found, []);
}
