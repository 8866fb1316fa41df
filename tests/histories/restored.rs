//! What was restored from a backup, against the writes that were acknowledged.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{AttemptOutcome, LedgerCounts, RestoreOutcome, RestoreTarget, Restored, SequenceRange},
    },
    plan::Plan,
    topology::load,
    verdict::judge,
};

use super::{
    edits::{clean, with},
    findings,
    standby_region::{Regions, and, plan as regions},
    value,
};

/// When the clock was read that the target names, in the course of every history here.
const TARGET_US: u64 = 4_000_000;

fn judged(events: &[Event]) -> Finding {
    let plan = Plan::new(load("single-region-archive", &[]).expect("a built-in topology"));
    let check = find("restore").expect("the check");
    let mut own = (check.judge)(&Evidence::new(&plan, None, events));
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

/// The rows of the writes that these events acknowledged and that this holds of: when they were sent, and answered.
fn rows(events: &[Event], wanted: impl Fn(u64, u64) -> bool) -> Vec<SequenceRange> {
    let row = |event: &Event| match &event.what {
        Occurrence::Attempt(attempt)
            if matches!(attempt.outcome, AttemptOutcome::Acknowledged { .. })
                && wanted(attempt.started_us, event.at_us) =>
        {
            Some(SequenceRange { client: attempt.client, from: attempt.sequence, to: attempt.sequence })
        }
        _ => None,
    };
    events.iter().filter_map(row).collect()
}

fn open(found: Vec<SequenceRange>) -> RestoreOutcome {
    RestoreOutcome::Open {
        took_ms: 4_200,
        accepts_writes: true,
        timeline: 2,
        found,
        counts: LedgerCounts::default(),
        bad_changes: 0,
    }
}

fn restored(events: Vec<Event>, target: RestoreTarget, outcome: RestoreOutcome) -> Vec<Event> {
    let (cluster, host) = ("main".to_owned(), "spare".to_owned());
    with(events, 9_000, Occurrence::Restored(Restored { cluster, host, target, began_us: 8_000_000, outcome }))
}

fn to_the_time() -> RestoreTarget {
    RestoreTarget::Time { from_us: TARGET_US, to_us: TARGET_US + 2_000 }
}

fn latest() -> RestoreTarget {
    RestoreTarget::Latest { archived_us: TARGET_US }
}

/// Everything that was answered before the target.
fn up_to_the_target() -> Vec<SequenceRange> {
    rows(&clean(), |_, answered_us| answered_us < TARGET_US)
}

#[test]
fn all_up_to_the_target_and_nothing_behind_it_passes() {
    assert!(!up_to_the_target().is_empty());
    for target in [to_the_time(), latest()] {
        let found = judged(&restored(clean(), target, open(up_to_the_target())));
        assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
        assert_eq!((value(&found, "restore_missing_rows"), value(&found, "restore_ms")), (0.0, 4_200.0));
    }
    // What was sent before the target was read, and answered later, may be there.
    let with_pending = rows(&clean(), |sent_us, _| sent_us < TARGET_US);
    assert_eq!(judged(&restored(clean(), to_the_time(), open(with_pending))).outcome, Outcome::Pass);
    // The latest state has no end but that of the archive.
    assert_eq!(judged(&restored(clean(), latest(), open(rows(&clean(), |_, _| true)))).outcome, Outcome::Pass);
}

#[test]
fn a_row_that_is_missing_or_from_later_or_damaged_fails() {
    let mut one_less = up_to_the_target();
    one_less.remove(0);
    let found = judged(&restored(clean(), to_the_time(), open(one_less)));
    assert_eq!((found.outcome, value(&found, "restore_missing_rows")), (Outcome::Fail, 1.0), "{found:#?}");

    let mut one_more = up_to_the_target();
    one_more.extend(rows(&clean(), |sent_us, _| sent_us > TARGET_US + 2_000).first().copied());
    let found = judged(&restored(clean(), to_the_time(), open(one_more)));
    assert_eq!((found.outcome, value(&found, "restore_surplus_rows")), (Outcome::Fail, 1.0), "{found:#?}");

    let mut damaged = open(up_to_the_target());
    if let RestoreOutcome::Open { counts, .. } = &mut damaged {
        counts.changed_rows = 2;
    }
    assert_eq!(judged(&restored(clean(), latest(), damaged.clone())).outcome, Outcome::Fail);
    // More than can be added up.
    if let RestoreOutcome::Open { counts, bad_changes, .. } = &mut damaged {
        (counts.changed_rows, counts.missing_in_index, *bad_changes) = (u64::MAX, u64::MAX, u64::MAX);
    }
    assert_eq!(judged(&restored(clean(), to_the_time(), damaged)).outcome, Outcome::Fail);

    let mut with_the_mistake = open(up_to_the_target());
    if let RestoreOutcome::Open { bad_changes, .. } = &mut with_the_mistake {
        *bad_changes = 1;
    }
    assert_eq!(judged(&restored(clean(), to_the_time(), with_the_mistake.clone())).outcome, Outcome::Fail);
    assert_eq!(judged(&restored(clean(), latest(), with_the_mistake)).outcome, Outcome::Pass);
}

#[test]
fn a_row_that_no_client_sent_or_that_was_sent_later_still_is_another_databases() {
    for target in [to_the_time(), latest()] {
        let mut foreign = up_to_the_target();
        foreign.push(SequenceRange { client: 990, from: 1, to: 3 });
        let found = judged(&restored(clean(), target, open(foreign)));
        assert_eq!((found.outcome, value(&found, "restore_unwritten_rows")), (Outcome::Fail, 3.0), "{found:#?}");
    }
    // The restored server was read at 4.5 s.
    let mut from_the_future = up_to_the_target();
    from_the_future.extend(rows(&clean(), |sent_us, _| sent_us > 4_500_000).first().copied());
    let mut events = restored(clean(), latest(), open(from_the_future));
    for event in &mut events {
        if let Occurrence::Restored(restored) = &mut event.what {
            (restored.began_us, event.at_us) = (4_200_000, 4_500_000);
        }
    }
    let found = judged(&events);
    assert_eq!((found.outcome, value(&found, "restore_surplus_rows")), (Outcome::Fail, 1.0), "{found:#?}");
}

#[test]
fn a_write_that_was_lost_does_not_show_that_a_target_was_kept() {
    // Behind the target only writes that nobody has in the end were acknowledged before the restore began.
    let between =
        |event: &Event| matches!(&event.what, Occurrence::Attempt(attempt) if attempt.started_us > TARGET_US + 2_000);
    let mut events = restored(clean(), to_the_time(), open(up_to_the_target()));
    let lost = rows(&events, |sent_us, answered_us| sent_us > TARGET_US + 2_000 && answered_us <= 8_000_000);
    assert!(!lost.is_empty() && events.iter().any(between));
    for event in &mut events {
        if let Occurrence::LedgerRead { found, .. } = &mut event.what {
            *found = found
                .iter()
                .flat_map(|range| (range.from..=range.to).map(|own| SequenceRange { from: own, to: own, ..*range }))
                .filter(|row| !lost.contains(row))
                .collect();
        }
    }
    let found = judged(&events);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}

#[test]
fn a_restore_that_fails_or_pauses_fails() {
    let reason = "the restored server did not start".to_owned();
    let found = judged(&restored(clean(), latest(), RestoreOutcome::Failed { reason }));
    assert_eq!(found.outcome, Outcome::Fail);
    assert!(found.summary.contains("did not start"), "{}", found.summary);

    let mut paused = open(up_to_the_target());
    if let RestoreOutcome::Open { accepts_writes, .. } = &mut paused {
        *accepts_writes = false;
    }
    let found = judged(&restored(clean(), to_the_time(), paused));
    assert_eq!((found.outcome, value(&found, "restore_missing_rows")), (Outcome::Fail, 0.0));
    assert!(found.summary.contains("its recovery has paused"), "{}", found.summary);
}

/// A target that had not come, and one behind which nobody wrote: "none behind it" says nothing then.
#[test]
fn a_target_that_leaves_nothing_out_proves_nothing() {
    let to_come = RestoreTarget::Time { from_us: TARGET_US, to_us: 60_000_000 };
    let backwards = RestoreTarget::Time { from_us: TARGET_US, to_us: TARGET_US - 1 };
    let later = RestoreTarget::Latest { archived_us: 60_000_000 };
    let all = rows(&clean(), |_, _| true);
    for (target, held) in [(to_come, all.clone()), (backwards, up_to_the_target()), (later, all)] {
        let found = judged(&restored(clean(), target, open(held)));
        assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
        assert!(found.summary.contains("had not come"), "{}", found.summary);
    }
    let mut silent = clean();
    silent.retain(|event| match &event.what {
        Occurrence::Attempt(attempt) => attempt.started_us <= TARGET_US + 2_000,
        _ => true,
    });
    let found = judged(&restored(silent, to_the_time(), open(up_to_the_target())));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("nobody wrote between its target and its beginning"), "{}", found.summary);
}

#[test]
fn without_something_to_compare_nothing_is_proven() {
    let mut unread = clean();
    unread.retain(|event| !matches!(event.what, Occurrence::LedgerRead { .. }));
    let found = judged(&restored(unread, latest(), open(up_to_the_target())));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    let early = RestoreTarget::Latest { archived_us: 1 };
    let found = judged(&restored(clean(), early, open(Vec::new())));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
}

/// The region that follows holds what was written to the one that it follows.
#[test]
fn a_region_that_follows_is_restored_with_the_rows_of_its_lineage() {
    let restored = |lacks: usize| {
        let all = rows(&Regions::default().happen(), |_, _| true);
        let found = all.into_iter().filter(|row| row.client == 1).skip(lacks).collect();
        let (target, cluster, host) =
            (RestoreTarget::Latest { archived_us: 15_000_000 }, "west".to_owned(), "spare".to_owned());
        let restored = Restored { cluster, host, target, began_us: 20_100_000, outcome: open(found) };
        let events = and(Regions::default().happen(), 20_400, Occurrence::Restored(restored));
        let verdict = judge(&BTreeMap::from([(1, regions())]), &events);
        let own: Vec<Finding> = findings(&verdict, "restore").into_iter().cloned().collect();
        assert_eq!(own.len(), 1, "{own:#?}");
        own[0].clone()
    };
    let found = restored(0);
    assert_eq!((found.outcome, value(&found, "restore_unwritten_rows")), (Outcome::Pass, 0.0), "{found:#?}");
    let found = restored(7);
    assert_eq!((found.outcome, value(&found, "restore_missing_rows")), (Outcome::Fail, 7.0), "{found:#?}");
}
