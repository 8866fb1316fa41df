//! Do further databases fail over with the first one: is each the same on every node in the end, with every write that was
//! acknowledged there, and does its index over vectors answer alike everywhere?
//!
//! One finding for a lineage that has further databases (`settings.postgresql.databases`), of all its databases. Of rows of the first
//! one that nobody wrote, the check `data_loss` says what they mean.
//!
//! - A database is **unlike** (`databases_unlike`), and the finding fails whatever the scenario expects, where a standby that has
//!   replayed all that the final primary wrote holds other rows than that one; where a node holds rows that nobody wrote, that
//!   were refused, that are there twice or other than they were written, or that its table and its index don't share; and
//!   where something is wrong with its vectors ([`vectors`]).
//! - Rows that were acknowledged in a database and that the final primary does not hold are `database_lost_rows`. With
//!   synchronous replication within one cluster any of them is a failure; what asynchronous replication, or a cluster that is
//!   gone as a whole, may lose is for the scenario to bound.
//! - `databases_not_whole` counts those that are unlike or have lost rows: what the documents' claim is held against.
//! - `index_recall_percent` is the least share of the truly nearest vectors that an index found on a node. It is no promise of
//!   anybody's, so nothing is held against it unless the scenario does.
//!
//! A node that was not read, a standby that differs and had yet to replay, or that has rows of writes without an answer beyond the primary's, a database into which no write was acknowledged, or none by
//! the primary that took over, leave the finding in doubt. What is proven wrong fails all the same.

mod first;
mod vectors;

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        ledgers::Ledgers,
        record::{Tried, load_broke, reached_us},
    },
};
use crate::{
    history::{
        Occurrence,
        event::{AttemptOutcome, DatabaseContents, DatabaseFound, LedgerCounts, Milestone, Role, SequenceRange},
        rows::Rows,
    },
    quantity::written::number,
    services::postgresql::databases::Extension,
};
use vectors::Compared;

const NAME: &str = "databases";
pub const UNLIKE: &str = "databases_unlike";
pub const NOT_WHOLE: &str = "databases_not_whole";
pub const LOST_ROWS: &str = "database_lost_rows";
pub const RECALL: &str = "index_recall_percent";
const ACKNOWLEDGED: &str = "database_acknowledged_rows";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Is every further database the same on every node, with what was acknowledged there, and do its indexes over \
               vectors answer alike?",
    measures: &[UNLIKE, NOT_WHOLE, LOST_ROWS, ACKNOWLEDGED, RECALL],
    over: Over::Lineage,
    judge,
};

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let databases = &evidence.plan.topology.settings.postgresql.databases;
    let findings = if databases.is_empty() { Vec::new() } else { vec![finding(evidence)] };
    evidence.held(NAME, findings, "the topology names no further database")
}

/// Whether one of the further databases has vectors.
pub fn have_vectors(evidence: &Evidence<'_>) -> bool {
    evidence.plan.topology.settings.postgresql.has_extension(Extension::Vector)
}

/// What a node's database held in the end, with the `seq` of the event.
type Look<'a> = (u64, &'a DatabaseFound);

/// What is known of one database.
#[derive(Default)]
struct Database<'a> {
    /// The rows of each attempt, by what became of it.
    acknowledged: Rows,
    refused: Rows,
    sent: Rows,
    /// Rows of attempts without an answer: they may come at any time.
    unanswered: Rows,
    /// The nodes that acknowledged writes here, with their timelines.
    answered_by: Vec<(&'a str, u32)>,
    looks: BTreeMap<&'a str, Look<'a>>,
}

/// What is wrong with a database, and what is not known of it.
#[derive(Default)]
struct Judged {
    harms: Vec<String>,
    doubts: Vec<String>,
    lost: u64,
    acknowledged: u64,
    recall_percent: Option<f64>,
    evidence: Vec<u64>,
}

fn finding(evidence: &Evidence<'_>) -> Finding {
    let Some(stopped_us) = reached_us(evidence.events, Milestone::LoadStopped) else {
        let doubt = "the load had not ended, so what the databases held was not final";
        return Finding::new(NAME, Outcome::Inconclusive, doubt);
    };
    let writes: Vec<Tried<'_>> = evidence.attempts().iter().copied().filter(Tried::is_write).collect();
    let ledgers = Ledgers::read(evidence, &writes, stopped_us);
    let primary = ledgers.primary.filter(|_| ledgers.timeline.is_some());
    let took_over = evidence.signs().iter().any(|sign| Some(sign.node) != primary);
    let names = evidence.plan.topology.settings.postgresql.databases.keys();
    let of_first = ("the first database", first::judge(&writes, &ledgers, took_over));
    let further = names.map(|name| {
        let database = Database::new(evidence, name, stopped_us);
        (name.as_str(), database.judge(evidence, name, primary, took_over))
    });
    let judged: Vec<(&str, Judged)> = std::iter::once(of_first).chain(further).collect();
    let may_lose = evidence.plan.clusters.len() > 1
        || evidence.leading().is_none_or(|cluster| !evidence.plan.is_synchronous(cluster));
    of_all(&judged, may_lose)
}

/// One finding of all databases.
fn of_all(judged: &[(&str, Judged)], may_lose: bool) -> Finding {
    let count = |is: fn(&Judged) -> bool| judged.iter().filter(|(_, own)| is(own)).count();
    let unlike = count(|own| !own.harms.is_empty());
    let not_whole = count(|own| !own.harms.is_empty() || own.lost > 0);
    let in_doubt = count(|own| !own.doubts.is_empty()) > 0;
    let lost: u64 = judged.iter().map(|(_, own)| own.lost).sum();
    let acknowledged: u64 = judged.iter().map(|(_, own)| own.acknowledged).sum();
    let recall = judged.iter().filter_map(|(_, own)| own.recall_percent).reduce(f64::min);
    let outcome = if unlike > 0 || lost > 0 && !may_lose {
        Outcome::Fail
    } else if in_doubt {
        Outcome::Inconclusive
    } else {
        Outcome::Pass
    };
    let told: Vec<String> = judged.iter().map(|(name, own)| format!("{name}: {}", own.in_words())).collect();
    let mut details = vec![Measure::new(ACKNOWLEDGED, acknowledged as f64)];
    details.extend(recall.map(|percent| Measure::new(RECALL, percent)));
    // None is no figure while it is in doubt whether there is one.
    let known = [(NOT_WHOLE, not_whole as f64), (LOST_ROWS, lost as f64)];
    details.extend(known.into_iter().filter(|(_, value)| !in_doubt || *value > 0.0).map(|(n, v)| Measure::new(n, v)));
    let finding = Finding::new(NAME, outcome, told.join("; "))
        .with_details(details)
        .with_evidence(judged.iter().flat_map(|(_, own)| own.evidence.iter().copied()));
    if in_doubt && unlike == 0 { finding } else { finding.with_measure(Measure::new(UNLIKE, unlike as f64)) }
}

impl Judged {
    fn in_words(&self) -> String {
        let recall = self.recall_percent.map(|percent| {
            format!(", and its index found at least {} % of the truly nearest vectors", number(percent))
        });
        let lost = (self.lost > 0).then(|| {
            format!(
                "of {} that were acknowledged, {} lost",
                counted(self.acknowledged, "row"),
                lost_in_words(self.lost)
            )
        });
        let wrong: Vec<String> = self.harms.iter().cloned().chain(lost).chain(self.doubts.iter().cloned()).collect();
        if !wrong.is_empty() {
            return wrong.join(", ");
        }
        let rows = number(self.acknowledged as f64);
        format!("all {rows} acknowledged rows are on every node{}", recall.unwrap_or_default())
    }
}

impl<'a> Database<'a> {
    fn new(evidence: &Evidence<'a>, name: &str, stopped_us: u64) -> Self {
        let mut database = Self::default();
        let [mut acknowledged, mut refused, mut sent, mut unanswered] = [const { Vec::new() }; 4];
        for event in evidence.events {
            match &event.what {
                Occurrence::DatabaseWrite(into) if into.database == name && evidence.is_own(&into.write) => {
                    let (client, sequence) = (into.write.client, into.write.sequence);
                    let row = SequenceRange { client, from: sequence, to: sequence };
                    sent.push(row);
                    match &into.write.outcome {
                        AttemptOutcome::Acknowledged { node, timeline, .. } => {
                            acknowledged.push(row);
                            database.answered_by.push((node, *timeline));
                        }
                        AttemptOutcome::Refused { .. } => refused.push(row),
                        AttemptOutcome::Unknown { .. } => unanswered.push(row),
                    }
                }
                Occurrence::DatabaseRead(read) if read.database == name && event.at_us >= stopped_us => {
                    database.looks.insert(&read.node, (event.seq, &read.found));
                }
                _ => {}
            }
        }
        database.answered_by.sort_unstable();
        database.answered_by.dedup();
        let all = [acknowledged, refused, sent, unanswered];
        let [acknowledged, refused, sent, unanswered] = all.map(|rows| Rows::new(&rows));
        Self { acknowledged, refused, sent, unanswered, ..database }
    }

    fn judge(&self, evidence: &Evidence<'_>, name: &str, primary: Option<&str>, took_over: bool) -> Judged {
        let mut judged = Judged { acknowledged: self.acknowledged.count(), ..Judged::default() };
        let waited_for = evidence.plan.nodes.iter().filter(|node| !evidence.is_lost(node));
        let mut read: Vec<(&str, &DatabaseContents)> = Vec::new();
        for node in waited_for {
            match self.looks.get(node.as_str()) {
                Some((seq, DatabaseFound::Read(contents))) => {
                    judged.evidence.push(*seq);
                    match damaged(contents) {
                        Some(damage) => judged.doubts.push(format!("what was read on {node} can't be: {damage}")),
                        None => read.push((node, contents)),
                    }
                }
                Some((seq, DatabaseFound::Unread(reason))) => {
                    judged.evidence.push(*seq);
                    judged.doubts.push(format!("it was not read on {node}: {reason}"));
                }
                None => judged.doubts.push(format!("it was not read on {node}")),
            }
        }
        judged.harms.extend(read.iter().flat_map(|(node, contents)| self.harms_within(node, contents)));
        let unrecorded = read.iter().filter_map(|(node, contents)| self.unrecorded(node, contents));
        match load_broke(evidence.events) {
            None => judged.harms.extend(unrecorded),
            Some(_) => {
                let broke = "and a client of the load broke, which may have";
                judged.doubts.extend(unrecorded.map(|own| format!("{own}, {broke}")));
            }
        }
        if self.acknowledged.count() == 0 {
            judged.doubts.push("no write was acknowledged there, so none could be lost".to_owned());
        }
        let is_primary =
            |(node, contents): &&(&str, &DatabaseContents)| Some(*node) == primary && contents.role == Role::Primary;
        let Some((node, reference)) = read.iter().find(is_primary) else {
            judged.doubts.push("it is not known what the final primary holds of it".to_owned());
            return judged;
        };
        if read.len() == 1 && evidence.plan.nodes.len() > 1 {
            judged.doubts.push(format!("it was read on {node} alone, so nothing was held against it"));
        }
        // What it acknowledged before a failover and back says nothing of the end.
        if took_over && judged.acknowledged > 0 && !self.answered_by.contains(&(*node, reference.timeline)) {
            judged.doubts.push(format!("{node}, which was primary in the end, acknowledged no write there"));
        }
        judged.lost = self.acknowledged.missing_in(&Rows::new(&reference.ledger));
        for (other, contents) in read.iter().filter(|(other, _)| other != node) {
            let different = differs((other, contents), (node, reference));
            if self.has_unanswered_rows(contents, reference) {
                let open = "whose writes got no answer, and may have come in between";
                judged.doubts.extend(different.into_iter().map(|different| format!("{different}, {open}")));
            } else if had_replayed(contents, reference) {
                judged.harms.extend(different);
            } else {
                let lag = format!("which may be what {other} had yet to replay of {node} when it was read");
                judged.doubts.extend(different.into_iter().map(|different| format!("{different}, {lag}")));
            }
        }
        judged.recall_percent = Compared::recall_percent(read.iter().map(|(_, contents)| *contents));
        let wants_vectors = evidence
            .plan
            .topology
            .settings
            .postgresql
            .databases
            .get(name)
            .is_some_and(|own| own.has(Extension::Vector));
        for (node, contents) in read.iter().filter(|_| wants_vectors) {
            match &contents.vectors {
                None => judged.doubts.push(format!("its vectors were not read on {node}")),
                Some(vectors) if vectors.index_failed.is_none() && vectors.answers.is_empty() => {
                    judged.doubts.push(format!("its index was asked nothing on {node}"));
                }
                Some(_) => {}
            }
        }
        judged
    }

    /// Whether all that a node has beyond the primary, and there is something, are writes without an answer: one may have been
    /// committed after the primary was read, or waits there for a standby that has it.
    fn has_unanswered_rows(&self, contents: &DatabaseContents, primary: &DatabaseContents) -> bool {
        explains(&self.unanswered, &Rows::new(&contents.ledger), &Rows::new(&primary.ledger))
    }

    /// What is wrong on a node by itself.
    fn harms_within(&self, node: &str, contents: &DatabaseContents) -> Vec<String> {
        let rows = Rows::new(&contents.ledger);
        let repeated = contents.counts.rows.saturating_sub(rows.count());
        let mut harms = damage((node, &rows), &self.refused, repeated, contents.counts);
        harms.extend(contents.vectors.iter().flat_map(|vectors| Compared(vectors).harms_within(node, &rows)));
        harms
    }

    /// Rows on a node of which no write is known. One that broke may have written what it did not record.
    fn unrecorded(&self, node: &str, contents: &DatabaseContents) -> Option<String> {
        let rows = Rows::new(&contents.ledger).missing_in(&self.sent);
        (rows > 0).then(|| format!("{node} has {} that nobody wrote", counted(rows, "row")))
    }
}

/// What is wrong with the rows of a node, whatever other nodes hold.
fn damage((node, rows): (&str, &Rows), refused: &Rows, repeated: u64, counts: LedgerCounts) -> Vec<String> {
    let wrong = [
        (refused.count() - refused.missing_in(rows), "of writes that were refused"),
        (repeated, "more than once"),
        (counts.changed_rows, "other than written"),
        (counts.missing_in_index.saturating_add(counts.missing_in_table), "in the table or in its index alone"),
    ];
    let told = wrong.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, what)| format!("{node} has {} {what}", counted(count, "row"))).collect()
}

/// Why an event can't be what a node held.
fn damaged(contents: &DatabaseContents) -> Option<String> {
    let vectors = contents.vectors.iter().flat_map(|vectors| &vectors.found);
    let backwards = contents.ledger.iter().chain(vectors).find(|range| range.to < range.from);
    backwards.map(|range| format!("the rows {} to {} of client {}", range.from, range.to, range.client))
}

/// Whether a standby had replayed all that the primary had written before either was read.
fn had_replayed(standby: &DatabaseContents, primary: &DatabaseContents) -> bool {
    standby.timeline == primary.timeline && standby.lsn >= primary.lsn
}

/// In what a node's database differs from that of the final primary.
fn differs((node, own): (&str, &DatabaseContents), (primary, reference): (&str, &DatabaseContents)) -> Vec<String> {
    let (rows, kept) = (Rows::new(&own.ledger), Rows::new(&reference.ledger));
    let mut harms = differing_rows((node, &rows), (primary, &kept));
    if let (Some(own), Some(reference)) = (&own.vectors, &reference.vectors) {
        harms.extend(Compared(own).differs(node, primary, reference));
    }
    harms
}

/// What a node lacks of the primary's rows, and what it has beyond them.
fn differing_rows((node, rows): (&str, &Rows), (primary, kept): (&str, &Rows)) -> Vec<String> {
    let wrong = [(kept.missing_in(rows), "lacks", "of"), (rows.missing_in(kept), "has", "beyond those of")];
    let told = wrong.into_iter().filter(|(count, ..)| *count > 0);
    told.map(|(count, has, of)| format!("{node} {has} {} {of} {primary}", counted(count, "row"))).collect()
}

/// Whether these rows are all that a node has beyond the primary, and there is something, and it lacks none.
fn explains(unanswered: &Rows, rows: &Rows, kept: &Rows) -> bool {
    rows.missing_in(kept) > 0 && rows.missing_in(&kept.with(unanswered)) == 0 && kept.missing_in(rows) == 0
}

/// A number of something, in words.
fn counted(count: u64, one: &str) -> String {
    format!("{} {one}{}", number(count as f64), if count == 1 { "" } else { "s" })
}

fn lost_in_words(count: u64) -> String {
    format!("{} {}", number(count as f64), if count == 1 { "is" } else { "are" })
}
