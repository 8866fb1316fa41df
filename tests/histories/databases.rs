//! Further databases: rows that one node lacks, an index that answers otherwise, and what was not read.

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    claims::Subject,
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, Bound, ClientKind, DatabaseContents, DatabaseFound, DatabaseRead, DatabaseWrite,
            LedgerCounts, Nearest, Neighbour, Operation, Role, SequenceRange, Vectors,
        },
    },
    plan::Plan,
};
use serde_json::json;

use super::{
    course::{Course, plan, run},
    edits::with,
    value,
};

const NAME: &str = "databases";
const UNLIKE: &str = "databases_unlike";
const NOT_WHOLE: &str = "databases_not_whole";
const LOST: &str = "database_lost_rows";
const RECALL: &str = "index_recall_percent";
/// When the databases are read: the load stops at 5,400 ms.
const READ_MS: u64 = 5_600;
/// Each database has one writer: its number, and its name.
const WRITERS: [(u32, &str); 2] = [(50, "project"), (60, "shared")];
/// node1 acknowledges these; the rest is node2's, which takes over.
const LAST_OF_NODE1: u64 = 20;
const LAST: u64 = 50;

fn with_databases(synchronous: bool) -> Plan {
    let mut topology = plan(synchronous).topology;
    let databases = json!({ "project": {}, "shared": { "extensions": ["vector"] } });
    topology.settings.postgresql.databases = serde_json::from_value(databases).expect("two databases");
    Plan::new(topology)
}

fn write(client: u32, sequence: u64, outcome: AttemptOutcome) -> Attempt {
    Attempt {
        client_kind: ClientKind::Writer,
        endpoint: "write".to_owned(),
        operation: Operation::Write,
        client,
        sequence,
        started_us: 0,
        outcome,
        saw: None,
        led_to: None,
    }
}

fn by(node: &str) -> AttemptOutcome {
    AttemptOutcome::Acknowledged { node: node.to_owned(), timeline: if node == "node1" { 1 } else { 2 }, lsn: 1 }
}

fn neighbours(client: u32, sequences: &[u64]) -> Vec<Neighbour> {
    let near = |sequence: &u64| Neighbour { client, sequence: *sequence, distance: *sequence as f64 };
    sequences.iter().map(near).collect()
}

fn whole(client: u32, name: &str, node: &str) -> DatabaseContents {
    let ledger = vec![SequenceRange { client, from: 1, to: LAST }];
    let answer = Nearest { by_index: neighbours(client, &[1, 2, 3, 5]), exact: neighbours(client, &[1, 2, 3, 4]) };
    let vectors =
        Vectors { found: ledger.clone(), changed_rows: 0, answers: vec![answer.clone(), answer], index_failed: None };
    DatabaseContents {
        timeline: 2,
        role: if node == "node2" { Role::Primary } else { Role::Standby },
        lsn: 1_000,
        counts: LedgerCounts { rows: LAST, ..LedgerCounts::default() },
        ledger,
        vectors: (name == "shared").then_some(vectors),
    }
}

/// A failover from node1 to node2, with what each node held in each database, but for a change.
fn events(change: impl Fn(&str, &str, &mut DatabaseContents)) -> Vec<Event> {
    let mut events = run(&[Course::default()]);
    for (client, database) in WRITERS {
        for sequence in 1..=LAST {
            let (node, at_ms) = if sequence <= LAST_OF_NODE1 { ("node1", 1_000) } else { ("node2", 4_000) };
            let into = DatabaseWrite { database: database.to_owned(), write: write(client, sequence, by(node)) };
            events = with(events, at_ms + sequence, Occurrence::DatabaseWrite(into));
        }
        for node in ["node1", "node2", "node3"] {
            let mut contents = whole(client, database, node);
            change(database, node, &mut contents);
            let (database, node) = (database.to_owned(), node.to_owned());
            let read = DatabaseRead { database, node, found: DatabaseFound::Read(contents) };
            events = with(events, READ_MS, Occurrence::DatabaseRead(read));
        }
    }
    events
}

fn same(_: &str, _: &str, _: &mut DatabaseContents) {}

/// Changes what one node holds in one database.
fn only(
    database: &'static str,
    node: &'static str,
    change: impl Fn(&mut DatabaseContents),
) -> impl Fn(&str, &str, &mut DatabaseContents) {
    move |own_database, own_node, contents| {
        if (own_database, own_node) == (database, node) {
            change(contents);
        }
    }
}

fn judged(plan: &Plan, events: &[Event]) -> Finding {
    let mut found = (find(NAME).expect("the check").judge)(&Evidence::new(plan, None, events));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

/// Rewrites, or leaves out, the events that `change` does not give back.
fn edited(events: Vec<Event>, change: impl Fn(Occurrence) -> Option<Occurrence>) -> Vec<Event> {
    let one = |event: Event| Some(Event { what: change(event.what.clone())?, ..event });
    events.into_iter().filter_map(one).collect()
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
fn databases_that_are_the_same_on_every_node_pass_with_the_recall_of_the_index() {
    let found = judged(&with_databases(true), &events(same));
    assert_eq!(found.outcome, Outcome::Pass, "{}", found.summary);
    assert_eq!((value(&found, UNLIKE), value(&found, NOT_WHOLE), value(&found, LOST)), (0.0, 0.0, 0.0));
    // The fourth of four is farther away than the fourth nearest.
    assert_eq!(value(&found, RECALL), 75.0);
    assert!(found.summary.contains("at least 75 % of the truly nearest"), "{}", found.summary);
    assert_eq!(found.evidence.len(), 9, "one of each node in each of three");
}

/// The first database is one of them: what it lost, and what one of its nodes lacks, is not whole.
#[test]
fn a_row_that_the_first_database_lost_counts_as_in_the_others() {
    let without_its_last = |lacking: &'static [&'static str]| {
        edited(events(same), move |what| match what {
            Occurrence::LedgerRead { node, timeline, mut found, counts, .. } => {
                if lacking.contains(&node.as_str()) {
                    found.iter_mut().for_each(|range| range.to -= 1);
                }
                let role = Some(if node == "node2" { Role::Primary } else { Role::Standby });
                Some(Occurrence::LedgerRead { node, timeline, found, counts, role, lsn: Some(1_000) })
            }
            other => Some(other),
        })
    };
    let lost = judged(&with_databases(true), &without_its_last(&["node1", "node2", "node3"]));
    assert_eq!((lost.outcome, value(&lost, NOT_WHOLE)), (Outcome::Fail, 1.0), "{}", lost.summary);
    let unlike = judged(&with_databases(false), &without_its_last(&["node3"]));
    assert_eq!((unlike.outcome, value(&unlike, UNLIKE)), (Outcome::Fail, 1.0), "{}", unlike.summary);
    assert!(unlike.summary.contains("the first database: node3 lacks"), "{}", unlike.summary);
    let unread = edited(events(same), |what| match what {
        Occurrence::LedgerRead { node, .. } if node == "node3" => None,
        other => Some(other),
    });
    assert_eq!(judged(&with_databases(true), &unread).outcome, Outcome::Inconclusive);
}

/// Rows that are not what was written make a database not whole, the first one too: else the claim would be kept.
#[test]
fn a_damaged_row_of_the_first_database_counts_as_in_the_others() {
    type Change = fn(&mut LedgerCounts);
    let cases: [(&str, Change); 3] = [
        ("node3 has 1 row other than written", |counts| counts.changed_rows = 1),
        ("node3 has 2 rows more than once", |counts| counts.rows += 2),
        ("node3 has 3 rows in the table or in its index alone", |counts| counts.missing_in_index = 3),
    ];
    for (words, change) in cases {
        let damaged = edited(events(same), move |what| match what {
            Occurrence::LedgerRead { node, timeline, found, role, lsn, .. } if node == "node3" => {
                let rows = found.iter().map(|range| range.to - range.from + 1).sum();
                let mut counts = LedgerCounts { rows, ..LedgerCounts::default() };
                change(&mut counts);
                Some(Occurrence::LedgerRead { node, timeline, found, counts: Some(counts), role, lsn })
            }
            other => Some(other),
        });
        let found = judged(&with_databases(false), &damaged);
        assert_eq!((found.outcome, value(&found, NOT_WHOLE)), (Outcome::Fail, 1.0), "{}", found.summary);
        assert!(found.summary.contains(&format!("the first database: {words}")), "{}", found.summary);
    }
}

/// A client of the load that broke may have written what it did not record.
#[test]
fn a_row_that_nobody_recorded_is_in_doubt_where_a_client_of_the_load_broke() {
    let more = |database: &str, _: &str, contents: &mut DatabaseContents| {
        if database == "project" {
            contents.ledger[0].to += 1;
            contents.counts.rows += 1;
        }
    };
    assert_eq!(judged(&with_databases(true), &events(more)).outcome, Outcome::Fail);
    let broke =
        Occurrence::StepFailed { text: "(the load)".to_owned(), line: 0, message: "a client panicked".to_owned() };
    let found = judged(&with_databases(true), &with(events(more), 5_450, broke));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
    assert!(found.summary.contains("node1 has 1 row that nobody wrote"), "{}", found.summary);
}

/// A row that one node lacks, in the second database alone: also where nothing is asked.
#[test]
fn a_row_that_is_missing_on_one_node_fails() {
    let lacking = only("shared", "node3", |contents| {
        contents.ledger = vec![SequenceRange { client: 60, from: 2, to: LAST }];
        contents.counts.rows -= 1;
    });
    let found = judged(&with_databases(false), &events(lacking));
    assert_eq!((found.outcome, value(&found, UNLIKE)), (Outcome::Fail, 1.0), "{}", found.summary);
    assert!(found.summary.contains("node3 lacks 1 row of node2"), "{}", found.summary);
    assert!(found.summary.contains("node3 has 1 vector without a row"), "{}", found.summary);
    assert!(found.summary.contains("project: all 50 acknowledged rows are on every node"), "{}", found.summary);
}

#[test]
fn what_may_be_yet_to_be_replayed_is_in_doubt() {
    let behind = only("project", "node3", |contents| {
        contents.ledger = vec![SequenceRange { client: 50, from: 1, to: LAST - 1 }];
        (contents.counts.rows, contents.lsn) = (LAST - 1, 999);
    });
    let found = judged(&with_databases(true), &events(behind));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
    assert_eq!(found.value_of(UNLIKE), None, "nothing is proven");
    // One that is behind and lacks nothing is whole all the same: reading makes WAL on a primary.
    let behind = only("project", "node3", |contents| contents.lsn = 999);
    assert_eq!(judged(&with_databases(true), &events(behind)).outcome, Outcome::Pass);
}

#[test]
fn an_index_that_answers_otherwise_or_not_at_all_fails() {
    let otherwise = only("shared", "node1", |contents| {
        let vectors = contents.vectors.as_mut().expect("vectors");
        vectors.answers[1].by_index = neighbours(60, &[1, 2, 3, 6]);
    });
    let found = judged(&with_databases(true), &events(otherwise));
    assert_eq!((found.outcome, value(&found, UNLIKE)), (Outcome::Fail, 1.0), "{}", found.summary);
    assert!(found.summary.contains("the index on node1 answers 1 of 2 questions otherwise than that on node2"));
    let damaged = only("shared", "node1", |contents| {
        let vectors = contents.vectors.as_mut().expect("vectors");
        vectors.index_failed = Some("invalid page in block 2 (XX001)".to_owned());
        vectors.answers.iter_mut().for_each(|answer| answer.by_index.clear());
    });
    let found = judged(&with_databases(true), &events(damaged));
    assert_eq!(found.outcome, Outcome::Fail);
    assert!(found.summary.contains("on node1 gave no answer: invalid page"), "{}", found.summary);
    assert_eq!(value(&found, RECALL), 75.0, "an index that gave no answer has no recall");
}

#[test]
fn an_index_that_finds_nothing_fails_though_every_node_s_does_alike() {
    let empty = |database: &str, _: &str, contents: &mut DatabaseContents| {
        if let Some(vectors) = contents.vectors.as_mut().filter(|_| database == "shared") {
            vectors.answers.iter_mut().for_each(|answer| answer.by_index.clear());
        }
    };
    let found = judged(&with_databases(true), &events(empty));
    assert_eq!((found.outcome, value(&found, NOT_WHOLE)), (Outcome::Fail, 1.0), "{}", found.summary);
    assert!(found.summary.contains("on node3 found nothing for 2 questions"), "{}", found.summary);
    let unasked = |database: &str, _: &str, contents: &mut DatabaseContents| {
        if let Some(vectors) = contents.vectors.as_mut().filter(|_| database == "shared") {
            vectors.answers.clear();
        }
    };
    let found = judged(&with_databases(true), &events(unasked));
    assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
    assert!(found.summary.contains("its index was asked nothing on node1"), "{}", found.summary);
}

#[test]
fn what_a_node_acknowledged_before_a_failover_and_back_does_not_count_for_the_end() {
    let earlier = edited(events(same), |what| match what {
        Occurrence::DatabaseWrite(mut into) if into.database == "shared" => {
            if let AttemptOutcome::Acknowledged { node, timeline, .. } = &mut into.write.outcome
                && node == "node2"
            {
                *timeline = 1;
            }
            Some(Occurrence::DatabaseWrite(into))
        }
        _ => Some(what),
    });
    let found = judged(&with_databases(true), &earlier);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
}

#[test]
fn a_row_of_a_write_without_an_answer_that_a_standby_alone_has_is_in_doubt() {
    let ahead = only("project", "node3", |contents| {
        contents.ledger[0].to += 1;
        contents.counts.rows += 1;
    });
    let unanswered = DatabaseWrite {
        database: "project".to_owned(),
        write: write(50, LAST + 1, AttemptOutcome::Unknown { message: "no answer came in time".to_owned() }),
    };
    let late = with(events(ahead), 4_100, Occurrence::DatabaseWrite(unanswered.clone()));
    let found = judged(&with_databases(true), &late);
    assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
    assert!(found.summary.contains("got no answer, and may have come in between"), "{}", found.summary);
    // One that lacks a row too differs otherwise.
    let both = only("project", "node3", |contents| {
        contents.ledger = vec![SequenceRange { client: 50, from: 2, to: LAST + 1 }];
    });
    let late = with(events(both), 4_100, Occurrence::DatabaseWrite(unanswered));
    assert_eq!(judged(&with_databases(true), &late).outcome, Outcome::Fail);
}

#[test]
fn rows_and_vectors_that_are_not_what_was_written_fail() {
    type Change = fn(&mut DatabaseContents);
    let cases: [(&str, Change); 5] = [
        ("2 rows that nobody wrote", |contents| {
            contents.ledger[0].to += 2;
            contents.counts.rows += 2;
        }),
        ("3 rows more than once", |contents| contents.counts.rows += 3),
        ("4 rows other than written", |contents| contents.counts.changed_rows = 4),
        ("1 row in the table or in its index alone", |contents| contents.counts.missing_in_index = 1),
        ("5 vectors other than written", |contents| {
            contents.vectors.as_mut().expect("vectors").changed_rows = 5;
        }),
    ];
    for (words, change) in cases {
        // On every node alike: no difference between nodes is needed.
        let found = judged(
            &with_databases(false),
            &events(|database, _, contents| {
                if database == "shared" {
                    change(contents);
                }
            }),
        );
        assert_eq!((found.outcome, value(&found, UNLIKE)), (Outcome::Fail, 1.0), "{words}: {}", found.summary);
        assert!(found.summary.contains(words), "{}", found.summary);
    }
}

/// Rows that every node lacks: what asynchronous replication may lose, and synchronous replication may not.
#[test]
fn rows_that_were_acknowledged_and_are_nowhere_are_lost() {
    let lost = |database: &str, _: &str, contents: &mut DatabaseContents| {
        if database == "project" {
            let client = 50;
            contents.ledger = vec![
                SequenceRange { client, from: 1, to: LAST_OF_NODE1 - 3 },
                SequenceRange { client, from: LAST_OF_NODE1 + 1, to: LAST },
            ];
            contents.counts.rows -= 3;
        }
    };
    let (synchronous, asynchronous) = (with_databases(true), with_databases(false));
    for (plan, outcome) in [(&synchronous, Outcome::Fail), (&asynchronous, Outcome::Pass)] {
        let found = judged(plan, &events(lost));
        assert_eq!((found.outcome, value(&found, LOST)), (outcome, 3.0), "{}", found.summary);
        assert_eq!((value(&found, UNLIKE), value(&found, NOT_WHOLE)), (0.0, 1.0));
    }
    for (measure, bound, outcome) in [
        (NOT_WHOLE, Bound::Exactly(0.0), Outcome::Fail),
        (UNLIKE, Bound::Exactly(0.0), Outcome::Pass),
        (LOST, Bound::AtMost(3.0), Outcome::Pass),
    ] {
        let found = judged(&asynchronous, &expecting(measure, bound, events(lost)));
        assert_eq!(found.outcome, outcome, "{measure}: {}", found.summary);
    }
}

#[test]
fn what_was_not_read_is_in_doubt_and_hides_no_loss() {
    let is_of = |read: &DatabaseRead, database: &str, node: &str| read.database == database && read.node == node;
    let left_out = edited(events(same), |what| match &what {
        Occurrence::DatabaseRead(read) if is_of(read, "shared", "node3") => None,
        _ => Some(what),
    });
    let unread = edited(events(same), |what| match what {
        Occurrence::DatabaseRead(read) if is_of(&read, "shared", "node3") => {
            let found = DatabaseFound::Unread("no answer within 15 s".to_owned());
            Some(Occurrence::DatabaseRead(DatabaseRead { found, ..read }))
        }
        _ => Some(what),
    });
    let without_primary = edited(events(same), |what| match &what {
        Occurrence::DatabaseRead(read) if is_of(read, "project", "node2") => None,
        _ => Some(what),
    });
    for (events, words) in [
        (left_out, "shared: it was not read on node3"),
        (unread, "it was not read on node3: no answer within 15 s"),
        (without_primary, "it is not known what the final primary holds of it"),
    ] {
        let found = judged(&with_databases(true), &events);
        assert_eq!(found.outcome, Outcome::Inconclusive, "{}", found.summary);
        assert!(found.summary.contains(words), "{}", found.summary);
        assert_eq!(found.value_of(NOT_WHOLE), None);
        let asked = judged(&with_databases(true), &expecting(NOT_WHOLE, Bound::Exactly(0.0), events));
        assert_eq!(asked.outcome, Outcome::Inconclusive);
    }
    // The standbys can't be read, and the primary lacks what was acknowledged: as with unlogged tables.
    let lost = edited(events(same), |what| match what {
        Occurrence::DatabaseRead(mut read) if read.database == "project" => {
            match &mut read.found {
                DatabaseFound::Read(contents) if read.node == "node2" => {
                    contents.ledger[0].from = LAST_OF_NODE1 + 1;
                    contents.counts.rows -= LAST_OF_NODE1;
                }
                found => *found = DatabaseFound::Unread("cannot access unlogged relations (0A000)".to_owned()),
            }
            Some(Occurrence::DatabaseRead(read))
        }
        _ => Some(what),
    });
    let found = judged(&with_databases(false), &expecting(NOT_WHOLE, Bound::Exactly(0.0), lost));
    assert_eq!((found.outcome, value(&found, LOST)), (Outcome::Fail, 20.0), "{}", found.summary);
}

#[test]
fn a_database_that_nobody_wrote_into_or_that_the_new_primary_never_served_is_in_doubt() {
    let none = edited(events(same), |what| match &what {
        Occurrence::DatabaseWrite(into) if into.database == "project" => None,
        _ => Some(what),
    });
    let none = edited(none, |what| match what {
        Occurrence::DatabaseRead(mut read) if read.database == "project" => {
            if let DatabaseFound::Read(contents) = &mut read.found {
                (contents.ledger, contents.counts.rows) = (Vec::new(), 0);
            }
            Some(Occurrence::DatabaseRead(read))
        }
        _ => Some(what),
    });
    let found = judged(&with_databases(true), &none);
    assert_eq!(found.outcome, Outcome::Inconclusive);
    assert!(found.summary.contains("project: no write was acknowledged there"), "{}", found.summary);
    let unserved = edited(events(same), |what| match what {
        Occurrence::DatabaseWrite(mut into) if into.database == "shared" => {
            if matches!(&into.write.outcome, AttemptOutcome::Acknowledged { node, .. } if node == "node2") {
                into.write.outcome = AttemptOutcome::Unknown { message: "no answer came in time".to_owned() };
            }
            Some(Occurrence::DatabaseWrite(into))
        }
        _ => Some(what),
    });
    let found = judged(&with_databases(true), &unserved);
    assert_eq!(found.outcome, Outcome::Inconclusive);
    assert!(found.summary.contains("node2, which was primary in the end, acknowledged no write there"));
}

#[test]
fn where_there_is_no_further_database_nothing_is_said_unless_it_is_asked() {
    let judge = find(NAME).expect("the check").judge;
    let (plan, plain) = (plan(false), run(&[Course::default()]));
    assert!(judge(&Evidence::new(&plan, None, &plain)).is_empty());
    let asked = expecting(NOT_WHOLE, Bound::Exactly(0.0), plain);
    let found = judge(&Evidence::new(&plan, None, &asked));
    assert_eq!(found.iter().map(|own| own.outcome).collect::<Vec<_>>(), [Outcome::Inconclusive]);
    // What the claim is about has its words.
    assert!(Subject::DatabasesFailedOver.words().contains("vectors"));
}
