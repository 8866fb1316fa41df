//! What the archive of a cluster holds, as its bucket lists it.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{ArchiveDue, ArchiveListed, ArchiveObject, Bound, Expectation, RunbookStep},
    },
    plan::Plan,
    topology::{Topology, load},
};

use super::{
    edits::{primary, standby, without},
    value,
};

const NAME: &str = "archive";
/// How many objects every listing has: more than any history here shows.
const LISTED: u64 = 100;
/// The size of a file of the WAL.
const SEGMENT: u64 = 16 << 20;

fn plan_of(topology: &str, change: impl Fn(&mut Topology)) -> Plan {
    let mut topology = load(topology, &[]).expect("a built-in topology");
    change(&mut topology);
    Plan::new(topology)
}

fn pgbackrest() -> Plan {
    plan_of("single-region-archive", |_| {})
}

fn judged_by(plan: &Plan, events: &[Event]) -> Finding {
    let check = find(NAME).expect("the check");
    let mut own = (check.judge)(&Evidence::new(plan, None, events));
    assert_eq!(own.len(), 1, "{own:#?}");
    own.remove(0)
}

fn judged(events: &[Event]) -> Finding {
    judged_by(&pgbackrest(), events)
}

/// An object of pgBackRest's with a file of the WAL.
fn object(file: &str, checksum: &str) -> Occurrence {
    let key = match checksum {
        "" => format!("archive/main/17-1/{file}"),
        _ => format!("archive/main/17-1/{}/{file}-{checksum}.lz4", &file[..16]),
    };
    stored(&key, "v1", "tag")
}

fn stored(key: &str, version: &str, tag: &str) -> Occurrence {
    let (key, version, tag) = (key.to_owned(), version.to_owned(), tag.to_owned());
    let cluster = "main".to_owned();
    Occurrence::ArchiveObject(ArchiveObject { cluster, key, version, tag, bytes: 100_000, is_deletion: false })
}

fn listed(asked_us: u64) -> Occurrence {
    let cluster = "main".to_owned();
    Occurrence::ArchiveListed(ArchiveListed { cluster, asked_us, versions: Some(LISTED), problem: None })
}

fn unlisted(asked_us: u64) -> Occurrence {
    let (cluster, problem) = ("main".to_owned(), Some("no S3 server answers".to_owned()));
    Occurrence::ArchiveListed(ArchiveListed { cluster, asked_us, versions: None, problem })
}

fn numbered(mut events: Vec<(u64, Occurrence)>) -> Vec<Event> {
    events.sort_by_key(|(at_s, _)| *at_s);
    let event = |(index, (at_s, what)): (usize, (u64, Occurrence))| Event {
        seq: index as u64 + 1,
        at_us: at_s * 1_000_000,
        scenario: 1,
        what,
    };
    events.into_iter().enumerate().map(event).collect()
}

/// The primary writes segments 3, 4 and a part of 5; then another node is promoted in the middle of 5, and goes on to 6.
fn course() -> Vec<(u64, Occurrence)> {
    let switch =
        Occurrence::TimelineSwitch { node: "node2".to_owned(), parent: 1, timeline: 2, switch_lsn: 5 * SEGMENT + 700 };
    let due = ArchiveDue { cluster: "main".to_owned(), node: "node2".to_owned(), timeline: 2, lsn: 7 * SEGMENT };
    let mut events = vec![
        (1, primary("node1", 1, 3 * SEGMENT + 100)),
        (3, primary("node1", 1, 4 * SEGMENT + 100)),
        (4, object("000000010000000000000003", "aa")),
        (5, primary("node1", 1, 5 * SEGMENT + 100)),
        (6, object("000000010000000000000004", "bb")),
        (10, switch),
        (11, primary("node2", 2, 5 * SEGMENT + 800)),
        (12, object("00000002.history", "")),
        (12, object("000000010000000000000005.partial", "cc")),
        (14, primary("node2", 2, 6 * SEGMENT + 800)),
        (17, object("000000020000000000000005", "dd")),
        (20, Occurrence::ArchiveDue(due)),
        (21, object("000000020000000000000006", "ee")),
    ];
    events.extend((1..=23).map(|second| (second, listed(second * 1_000_000))));
    events
}

fn is_of(what: &Occurrence, file: &str) -> bool {
    matches!(what, Occurrence::ArchiveObject(object) if object.key.contains(file))
}

#[test]
fn an_archive_that_leads_from_one_timeline_to_the_next_passes() {
    let found = judged(&numbered(course()));
    assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
    let summary = "holds every file from 000000010000000000000003 to 000000020000000000000006";
    assert!(found.summary.contains(summary), "{}", found.summary);
    assert_eq!((value(&found, "archive_missing_files"), value(&found, "archive_overwritten_files")), (0.0, 0.0));
    // Segment 5 of the second timeline: the primary was seen before its end at 9 s at the earliest and behind it at 14 s, and
    // the archive without the file at 16 s and with it at 17 s.
    assert_eq!((value(&found, "archive_lag_ms"), value(&found, "archive_lag_resolution_ms")), (2_000.0, 6_000.0));
}

#[test]
fn a_file_that_is_missing_fails_wherever_it_is() {
    for file in [
        "000000010000000000000003",
        "000000010000000000000004",
        "00000002.history",
        "000000020000000000000005",
        "000000020000000000000006",
    ] {
        let found = judged(&without(numbered(course()), |what| is_of(what, file) && !is_of(what, "partial")));
        assert_eq!(found.outcome, Outcome::Fail, "{file}: {found:#?}");
        assert!(found.summary.contains(&format!("it lacks {file}")), "{}", found.summary);
        assert_eq!(value(&found, "archive_missing_files"), 1.0);
    }
    // What the new timeline has in its place need not be there under the old one.
    let found = judged(&without(numbered(course()), |what| is_of(what, "partial")));
    assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
}

#[test]
fn an_empty_file_is_not_the_file() {
    let mut events = course();
    for (_, what) in &mut events {
        if is_of(what, "000000020000000000000005")
            && let Occurrence::ArchiveObject(object) = what
        {
            object.bytes = 0;
        }
    }
    let found = judged(&numbered(events));
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
    assert_eq!(found.value_of("archive_missing_files"), Some(1.0));
}

#[test]
fn a_file_of_two_contents_fails_and_the_same_content_twice_passes() {
    let mut events = course();
    events.push((18, object("000000020000000000000005", "dd")));
    assert_eq!(judged(&numbered(events.clone())).outcome, Outcome::Pass);
    events.push((19, object("000000020000000000000005", "00")));
    let found = judged(&numbered(events));
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
    assert_eq!((value(&found, "archive_overwritten_files"), found.evidence.len()), (1.0, 4));
    // A name without a checksum is distinguished by the server's tag; the history of another timeline 2, for example.
    let mut events = course();
    events.push((19, stored("archive/main/17-1/00000002.history", "v2", "another tag")));
    let found = judged(&numbered(events));
    assert_eq!(found.outcome, Outcome::Fail);
    assert!(found.summary.contains("two contents of 00000002.history"), "{}", found.summary);
}

/// Another server archives under the names of the primary, which has not written that far: its own file is not there.
#[test]
fn what_another_server_archived_is_not_the_primarys() {
    let file = "000000020000000000000005";
    for (archived_s, outcome) in [(17, Outcome::Pass), (8, Outcome::Fail)] {
        let mut events = course();
        for (at_s, what) in &mut events {
            if is_of(what, file) {
                *at_s = archived_s;
            }
        }
        let found = judged(&numbered(events));
        assert_eq!(found.outcome, outcome, "{found:#?}");
        if outcome == Outcome::Fail {
            assert_eq!(value(&found, "archive_missing_files"), 1.0);
            let summary = format!("another server had archived {file}");
            assert!(found.summary.contains(&summary), "{}", found.summary);
        }
    }
}

/// The archive gives up an object that it had, as its listing says.
fn deleted(object: Occurrence) -> Occurrence {
    match object {
        Occurrence::ArchiveObject(mut object) => {
            (object.version, object.tag, object.bytes, object.is_deletion) =
                ("marker".to_owned(), String::new(), 0, true);
            Occurrence::ArchiveObject(object)
        }
        other => other,
    }
}

#[test]
fn a_file_that_was_deleted_is_missing_until_it_is_there_again() {
    let file = "000000010000000000000004";
    let mut events = course();
    events.push((18, deleted(object(file, "bb"))));
    let found = judged(&numbered(events.clone()));
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
    assert!(found.summary.contains(&format!("it lacks {file}")), "{}", found.summary);
    assert_eq!((value(&found, "archive_missing_files"), value(&found, "archive_overwritten_files")), (1.0, 0.0));
    events.push((19, object(file, "bb")));
    assert_eq!(judged(&numbered(events)).outcome, Outcome::Pass);
}

#[test]
fn an_archive_that_has_fewer_objects_than_before_is_in_doubt() {
    let objects = course().iter().filter(|(_, what)| matches!(what, Occurrence::ArchiveObject(_))).count() as u64;
    for (versions, outcome) in [(objects, Outcome::Pass), (objects - 1, Outcome::Inconclusive)] {
        let mut events = course();
        for (_, what) in &mut events {
            if let Occurrence::ArchiveListed(look) = what {
                look.versions = Some(versions);
            }
        }
        let found = judged(&numbered(events));
        assert_eq!(found.outcome, outcome, "{found:#?}");
    }
}

#[test]
fn what_s3cmd_overwrites_is_seen_by_its_tag() {
    let plan = plan_of("archive-as-written", |_| {});
    let in_words_of_s3cmd = |events: Vec<(u64, Occurrence)>| {
        let renamed = events.into_iter().map(|(at_s, what)| match what {
            Occurrence::ArchiveObject(mut object) => {
                let name = object.key.rsplit('/').next().unwrap_or_default().to_owned();
                let name = name.split('-').next().unwrap_or_default().to_owned();
                object.key = format!("wal/{name}");
                object.bytes = if name.ends_with(".history") { 42 } else { SEGMENT };
                (at_s, Occurrence::ArchiveObject(object))
            }
            what => (at_s, what),
        });
        numbered(renamed.collect())
    };
    assert_eq!(judged_by(&plan, &in_words_of_s3cmd(course())).outcome, Outcome::Pass);
    // An archive command that was cut off left a part of a segment, and said that all is well.
    let mut cut_off = in_words_of_s3cmd(course());
    for event in &mut cut_off {
        if let Occurrence::ArchiveObject(object) = &mut event.what
            && object.key.ends_with("000000020000000000000005")
        {
            object.bytes -= 1;
        }
    }
    let found = judged_by(&plan, &cut_off);
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
    assert!(found.summary.ends_with("only a part is there of 000000020000000000000005"), "{}", found.summary);
    let mut events = course();
    events.push((22, stored("wal/000000020000000000000005", "v2", "of another primary")));
    let found = judged_by(&plan, &in_words_of_s3cmd(events));
    assert_eq!(found.outcome, Outcome::Fail, "{found:#?}");
}

#[test]
fn what_was_not_looked_at_is_in_doubt() {
    // Nobody ordered the primary to archive the rest; nobody looked after that; or the look had no answer.
    let not_due = without(numbered(course()), |what| matches!(what, Occurrence::ArchiveDue(_)));
    let mut not_listed = course();
    not_listed.retain(|(at_s, what)| !(matches!(what, Occurrence::ArchiveListed(_)) && *at_s >= 20));
    let mut no_answer = not_listed.clone();
    no_answer.extend((20..=23).map(|second| (second, unlisted(second * 1_000_000))));
    let unknown_line = without(numbered(course()), |what| matches!(what, Occurrence::TimelineSwitch { .. }));
    for (events, why) in [
        (not_due, "was never ordered to archive"),
        (numbered(not_listed), "was not listed after the last file was due"),
        (numbered(no_answer), "no S3 server answers"),
        (unknown_line, "where timeline 2 was begun was not seen"),
    ] {
        let found = judged(&events);
        assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
        assert!(found.summary.contains(why), "{}", found.summary);
        assert_eq!(found.value_of("archive_missing_files"), None);
    }
}

#[test]
fn a_bucket_without_versions_must_be_seen_all_the_time() {
    let mut events = course();
    events.retain(|(at_s, what)| !(matches!(what, Occurrence::ArchiveListed(_)) && (7..14).contains(at_s)));
    assert_eq!(judged(&numbered(events.clone())).outcome, Outcome::Pass);
    let without_versions = plan_of("single-region-archive", |topology| topology.buckets[0].versioned = false);
    let found = judged_by(&without_versions, &numbered(events));
    assert_eq!(found.outcome, Outcome::Inconclusive);
    assert!(found.summary.contains("was not listed for 8.0 s"), "{}", found.summary);
}

#[test]
fn a_bound_is_held_against_the_lag_and_without_an_archive_nothing_is_known() {
    let expected = |most: f64| {
        Occurrence::Expected(Expectation {
            of: None,
            check: NAME.to_owned(),
            measure: "archive_lag_ms".to_owned(),
            bound: Bound::AtMost(most),
            text: "a file of the WAL is in the archive in time".to_owned(),
            line: 1,
        })
    };
    for (most, outcome) in [
        (8_000.0, Outcome::Pass),
        (7_999.0, Outcome::Inconclusive),
        (2_000.0, Outcome::Inconclusive),
        (1_999.0, Outcome::Fail),
    ] {
        let mut events = course();
        events.push((0, expected(most)));
        assert_eq!(judged(&numbered(events)).outcome, outcome);
    }
    let found = judged_by(&plan_of("single-region", |_| {}), &numbered(vec![(0, expected(1.0))]));
    assert_eq!(found.outcome, Outcome::Inconclusive);
}

#[test]
fn time_in_which_nobody_looked_is_no_lag() {
    // The archive was not listed for eight seconds before the file was seen in it: it may have been there all the time.
    let mut events = course();
    events.retain(|(at_s, what)| !(matches!(what, Occurrence::ArchiveListed(_)) && (9..17).contains(at_s)));
    let found = judged(&numbered(events));
    assert_eq!((value(&found, "archive_lag_ms"), value(&found, "archive_lag_resolution_ms")), (0.0, 8_000.0));
}

#[test]
fn a_primary_that_another_one_had_superseded_is_not_the_one_to_be_asked() {
    // node1 was cut off, knew nothing of node2's promotion, and was ordered to archive what it had.
    let stale = ArchiveDue { cluster: "main".to_owned(), node: "node1".to_owned(), timeline: 1, lsn: 6 * SEGMENT };
    let asked = |role: Occurrence| {
        let mut events = course();
        events.retain(|(_, what)| !matches!(what, Occurrence::ArchiveDue(_)));
        events.extend([
            (7, object("000000010000000000000005", "aa")),
            (18, role),
            (20, Occurrence::ArchiveDue(stale.clone())),
        ]);
        judged(&numbered(events))
    };
    let found = asked(primary("node2", 2, 6 * SEGMENT + 900));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("node2 led timeline 2 when it was seen last"), "{}", found.summary);
    // One that was put back under the other one is its standby.
    let found = asked(standby("node2", "node1", 1, 6 * SEGMENT));
    assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
}

#[test]
fn another_clusters_primary_says_nothing_of_where_an_archive_begins() {
    let plan = plan_of("two-region-hybrid", |_| {});
    let plan = plan.part(&[plan.cluster("east").expect("a cluster")]);
    let of_east = |what: Occurrence| match what {
        Occurrence::ArchiveObject(object) => {
            Occurrence::ArchiveObject(ArchiveObject { cluster: "east".to_owned(), ..object })
        }
        Occurrence::ArchiveListed(look) => {
            Occurrence::ArchiveListed(ArchiveListed { cluster: "east".to_owned(), ..look })
        }
        what => what,
    };
    let due = ArchiveDue { cluster: "east".to_owned(), node: "east1".to_owned(), timeline: 1, lsn: 6 * SEGMENT };
    let mut events = vec![
        (1, primary("elsewhere", 1, SEGMENT)),
        (2, primary("east1", 1, 4 * SEGMENT + 100)),
        (8, object("000000010000000000000004", "aa")),
        (8, object("000000010000000000000005", "bb")),
        (10, Occurrence::ArchiveDue(due)),
    ];
    events.extend((1..=12).map(|second| (second, listed(second * 1_000_000))));
    let events = events.into_iter().map(|(at_s, what)| (at_s, of_east(what))).collect();
    let found = judged_by(&plan, &numbered(events));
    assert_eq!(found.outcome, Outcome::Pass, "{found:#?}");
}

#[test]
fn a_cluster_that_was_given_up_is_not_asked_for_its_archive() {
    let plan = plan_of("two-region-hybrid", |_| {});
    let plan = plan.part(&[plan.cluster("east").expect("a cluster")]);
    let judged = |events: Vec<(u64, Occurrence)>| {
        (find(NAME).expect("the check").judge)(&Evidence::new(&plan, None, &numbered(events)))
    };
    let seen = vec![(1, primary("east1", 1, 3 * SEGMENT + 100))];
    assert_eq!(judged(seen.clone()).first().map(|found| found.outcome), Some(Outcome::Inconclusive));
    let (step, cluster, evidence) = (RunbookStep::GivenUp, "east".to_owned(), "the operator's word".to_owned());
    let given_up = Occurrence::Runbook { step, cluster, evidence };
    assert!(judged(seen.into_iter().chain([(5, given_up)]).collect()).is_empty());
}

/// Places that nobody writes: the files up to there are neither listed nor counted.
#[test]
fn a_place_that_was_made_up_is_in_doubt() {
    for (lsn, archived) in [
        (u64::MAX, "000000020000000000000005"),
        (1 << 62, "000000020000000000000005"),
        // The archive begins close to the last place that there is.
        (u64::MAX, "00000002FFFFFFFF000000FF"),
    ] {
        let mut events = course();
        for (_, what) in &mut events {
            match what {
                Occurrence::ArchiveDue(due) => due.lsn = lsn,
                Occurrence::ArchiveObject(object) if object.key.contains("000000020000000000000005") => {
                    object.key = object.key.replace("000000020000000000000005", archived);
                }
                _ => {}
            }
        }
        let found = judged(&numbered(events));
        assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
        assert!(found.summary.contains("more than any run writes"), "{}", found.summary);
    }
    let mut events = course();
    for (_, what) in &mut events {
        if let Occurrence::TimelineSwitch { switch_lsn, .. } = what {
            *switch_lsn = u64::MAX;
        }
    }
    let found = judged(&numbered(events));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("timeline 2 was begun behind its own end"), "{}", found.summary);
}

#[test]
fn what_was_overwritten_before_the_first_answer_is_not_known() {
    let mut events = course();
    events.retain(|(at_s, what)| !(matches!(what, Occurrence::ArchiveListed(_)) && *at_s < 11));
    events.extend((1..11).map(|second| (second, unlisted(second * 1_000_000))));
    let without_versions = plan_of("single-region-archive", |topology| topology.buckets[0].versioned = false);
    let found = judged_by(&without_versions, &numbered(events));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{found:#?}");
    assert!(found.summary.contains("was not listed for 10.0 s"), "{}", found.summary);
}
