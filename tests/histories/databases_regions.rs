//! Further databases of several clusters: whose writes are whose, and what a cluster still holds that was given up.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{
            Attempt, DatabaseContents, DatabaseFound, DatabaseRead, DatabaseWrite, LedgerCounts, Role, SequenceRange,
        },
    },
    plan::Plan,
    verdict::judge,
};
use serde_json::json;

use super::{
    course::lsn,
    edits::{with, without, write},
    findings,
    regions::{EAST, Regions, WEST},
    value,
};

const NAME: &str = "databases";
/// The writer into the further database, and its last row.
const WRITER: u32 = 90;
const LAST: u64 = 20;

fn plan(course: &Regions, synchronous: bool) -> Plan {
    let mut topology = course.plan().topology;
    topology.settings.postgresql.databases = serde_json::from_value(json!({ "project": {} })).expect("a database");
    topology.settings.patroni.synchronous_mode = synchronous;
    Plan { schema: 1, ..Plan::new(topology) }
}

/// The history with writes into the further database, each acknowledged by this node at this endpoint.
fn written(events: Vec<Event>, (endpoint, node, timeline): (&str, &str, u32), at_ms: u64) -> Vec<Event> {
    (1..=LAST).fold(events, |events, sequence| {
        let Occurrence::Attempt(attempt) = write(node, timeline, at_ms + sequence) else { unreachable!() };
        let write = Attempt { endpoint: endpoint.to_owned(), client: WRITER, sequence, ..attempt };
        let into = DatabaseWrite { database: "project".to_owned(), write };
        with(events, at_ms + sequence + 5, Occurrence::DatabaseWrite(into))
    })
}

/// The history with what a node holds in the further database in the end, up to this row.
fn read(events: Vec<Event>, node: &str, (role, timeline): (Role, u32), to: u64) -> Vec<Event> {
    let ledger: Vec<_> = (to > 0).then_some(SequenceRange { client: WRITER, from: 1, to }).into_iter().collect();
    let counts = LedgerCounts { rows: to, ..LedgerCounts::default() };
    let contents = DatabaseContents { timeline, role, lsn: lsn(5500), counts, ledger, vectors: None };
    let (database, node, found) = ("project".to_owned(), node.to_owned(), DatabaseFound::Read(contents));
    with(events, 5500, Occurrence::DatabaseRead(DatabaseRead { database, node, found }))
}

fn judged(plan: &Plan, events: &[Event]) -> Vec<Finding> {
    findings(&judge(&BTreeMap::from([(1, plan.clone())]), events), NAME).into_iter().cloned().collect()
}

/// What was written into a database of one cluster is nothing that another one lost.
#[test]
fn a_cluster_loses_no_row_that_was_written_into_the_database_of_another() {
    let course = Regions::independent();
    let mut events = written(course.events(), ("write", "east2", 2), 4000);
    for node in EAST {
        let role = if node == "east2" { Role::Primary } else { Role::Standby };
        events = read(events, node, (role, 2), LAST);
    }
    for node in WEST {
        let role = if node == "west1" { Role::Primary } else { Role::Standby };
        events = read(events, node, (role, 1), 0);
    }
    let found = judged(&plan(&course, true), &events);
    let of = |name: &str| found.iter().find(|own| own.of.as_deref() == Some(name)).expect("a lineage");
    assert_eq!(of("east").outcome, Outcome::Pass, "{}", of("east").summary);
    assert_eq!(of("west").outcome, Outcome::Inconclusive, "{}", of("west").summary);
    assert!(of("west").summary.contains("project: no write was acknowledged there"), "{}", of("west").summary);
}

/// It is looked at all the same, and may answer: it differs from the cluster that was promoted, as it must.
#[test]
fn what_a_cluster_still_holds_that_was_given_up_is_no_doubt_of_the_others() {
    let course = Regions::promoted();
    let mut events = written(course.events(), ("write", "west1", 2), 4000);
    for node in WEST {
        let role = if node == "west1" { Role::Primary } else { Role::Standby };
        events = read(events, node, (role, 2), LAST);
    }
    let is_of_east =
        |what: &Occurrence| matches!(what, Occurrence::LedgerUnread { node, .. } if EAST.contains(&node.as_str()));
    events = without(events, is_of_east);
    let role = Some(Role::Primary);
    let (found, node) = (vec![SequenceRange { client: 1, from: 1, to: 1 }], "east1".to_owned());
    let own = Occurrence::LedgerRead { node, timeline: 1, found, counts: None, role, lsn: Some(lsn(2000)) };
    events = with(read(events, "east1", (Role::Primary, 1), 1), 5500, own);
    let plan = plan(&course, false);
    let found = judged(&plan, &events);
    assert_eq!(found.iter().map(|own| own.outcome).collect::<Vec<_>>(), [Outcome::Pass], "{found:#?}");
    assert_eq!(value(&found[0], "databases_unlike"), 0.0);
    let verdict = judge(&BTreeMap::from([(1, plan)]), &events);
    let loss = findings(&verdict, "data_loss");
    assert!(loss.iter().all(|own| own.outcome == Outcome::Pass), "{loss:#?}");
}
