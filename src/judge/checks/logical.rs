//! Does a subscriber outside the cluster have what its publisher has, also after a failover, and nothing that logical
//! replication does not copy?
//!
//! Three findings for a subscription:
//!
//! - **Rows.** In the end, when the load has stopped and the subscriber had its time to catch up, its ledger is held against
//!   the one of the publisher's final primary. `subscriber_missing_rows` are there and not here; `subscriber_ahead_rows` are
//!   here and not there: the subscriber is ahead of its publisher, which lost what it had sent (PostgreSQL's
//!   `synchronized_standby_slots` guards against that); `subscriber_damaged_rows` are here more than once, or other than they
//!   were written. Each is a failure. Rows that are missing while it still applied just before they were counted are in doubt.
//! - **Standstill.** `subscription_stopped_ms` is the longest time from the steady state on in which it applied nothing, also
//!   because nothing was written. One that lacks rows in the end, and applied nothing in the last [`CATCHING_UP_US`] of the load or
//!   later, has not gone on, and fails.
//!   With a pause of more than [`UNSEEN_US`] in the looks at it, how long it stood is in doubt.
//! - **What is not copied**, where it was tried: a column that was added at the publisher, and a sequence of which numbers were
//!   drawn there. A column counts as copied (`copied_columns`) if the first look that shows it at the publisher shows it at the
//!   subscriber, too: what is added there later is an operator's. A sequence counts as copied (`copied_sequences`) if any
//!   number was drawn at the subscriber's, which nobody else does.
//!
//! `logical_promises_broken` is what the documents' claim is held against: missing and damaged rows, and what was copied of
//! columns and sequences.

use std::collections::BTreeSet;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        ledgers::Ledgers,
        phases::milliseconds,
        record::{Tried, reached_us},
    },
};
use crate::{
    history::{
        Event, Occurrence,
        event::{Milestone, SubscriberRead, SubscriberSchema, SubscriptionState},
        rows::Rows,
    },
    quantity::written::value,
    topology::Subscription,
};

const NAME: &str = "logical";
pub const MISSING_ROWS: &str = "subscriber_missing_rows";
pub const AHEAD_ROWS: &str = "subscriber_ahead_rows";
const DAMAGED_ROWS: &str = "subscriber_damaged_rows";
pub const STOPPED_MS: &str = "subscription_stopped_ms";
pub const COPIED_COLUMNS: &str = "copied_columns";
pub const COPIED_SEQUENCES: &str = "copied_sequences";
const PROMISES_BROKEN: &str = "logical_promises_broken";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Does a subscriber have every row of its publisher, once, and nothing that logical replication does not copy?",
    measures: &[MISSING_ROWS, AHEAD_ROWS, DAMAGED_ROWS, STOPPED_MS, COPIED_COLUMNS, COPIED_SEQUENCES, PROMISES_BROKEN],
    over: Over::Lineage,
    judge,
};

/// The longest time for which a subscription may not be seen. It is looked at five times a second.
const UNSEEN_US: u64 = 5_000_000;
/// A subscriber that applied something this short a time ago is still catching up: a worker that fails is started again after 5 s.
const CATCHING_UP_US: u64 = 6_000_000;
/// One that applied something this short a time before the end of the load went on to the end.
const WENT_ON_US: u64 = 2_000_000;
/// The columns that the ledger begins with.
const OWN_COLUMNS: [&str; 4] = ["client", "content", "payload", "sequence"];

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let is_own = |own: &&Subscription| {
        let publisher = own.publisher(&evidence.whole.clusters);
        publisher.is_some_and(|publisher| evidence.plan.cluster(&publisher.name).is_some())
    };
    let own = evidence.plan.topology.subscriptions.iter().filter(is_own);
    if evidence.is_part() && own.clone().next().is_none() {
        // Of another lineage, which is judged by itself.
        return Vec::new();
    }
    let findings: Vec<Finding> = own.flat_map(|own| Course::new(evidence, own).findings()).collect();
    evidence.held_by_measure(NAME, findings, "no subscription showed")
}

/// Whether another node became the publisher, or something was tried that is not copied.
pub fn was_tried(evidence: &Evidence<'_>) -> bool {
    let courses = evidence.plan.topology.subscriptions.iter().map(|own| Course::new(evidence, own));
    courses.into_iter().any(|course| course.publishers(evidence) > 1 || !course.copied().is_empty())
}

/// What became of one subscription.
struct Course<'a> {
    own: &'a Subscription,
    states: Vec<(u64, u64, &'a SubscriptionState)>,
    schemas: Vec<(u64, &'a SubscriberSchema)>,
    /// The `seq` of an operator's command that added a column at the subscriber: what is there after it was not copied.
    added_there: Option<u64>,
    read: Option<(u64, u64, &'a SubscriberRead)>,
    unread: Option<&'a str>,
    steady_us: Option<u64>,
    stopped_us: Option<u64>,
    /// The rows of the publisher's final primary, with the `seq` of the event; or why they are not known.
    published: Result<(Rows, u64), String>,
}

/// How its ledger differs from the publisher's.
struct Difference {
    missing: u64,
    ahead: u64,
    damaged: u64,
}

impl<'a> Course<'a> {
    fn new(evidence: &Evidence<'a>, own: &'a Subscription) -> Self {
        let stopped_us = reached_us(evidence.events, Milestone::LoadStopped);
        let mut course = Self {
            own,
            states: Vec::new(),
            schemas: Vec::new(),
            added_there: None,
            read: None,
            unread: None,
            steady_us: reached_us(evidence.events, Milestone::SteadyState),
            stopped_us,
            published: published(evidence, own, stopped_us),
        };
        for Event { seq, at_us, what, .. } in evidence.events {
            match what {
                Occurrence::SubscriptionState(state) if state.subscription == own.name => {
                    course.states.push((*seq, *at_us, state));
                }
                Occurrence::SubscriberSchema(schema) if schema.subscription == own.name => {
                    course.schemas.push((*seq, schema));
                }
                Occurrence::CommandRun(ran) if ran.node == own.host && ran.command.contains("ADD COLUMN") => {
                    course.added_there.get_or_insert(*seq);
                }
                Occurrence::SubscriberRead(read)
                    if read.subscription == own.name && stopped_us.is_some_and(|stopped_us| *at_us >= stopped_us) =>
                {
                    (course.read, course.unread) = (Some((*seq, *at_us, read)), None);
                }
                Occurrence::SubscriberUnread { subscription, reason } if *subscription == own.name => {
                    (course.read, course.unread) = (None, Some(reason.as_str()));
                }
                _ => {}
            }
        }
        course
    }

    fn findings(&self) -> Vec<Finding> {
        let difference = self.difference();
        let mut findings = vec![self.rows(&difference), self.standstill(&difference)];
        findings.extend(self.not_copied());
        findings
    }

    /// How many nodes were primary of the publisher's cluster, as clients and observers saw them.
    fn publishers(&self, evidence: &Evidence<'_>) -> usize {
        let Some(cluster) = self.own.publisher(&evidence.whole.clusters) else { return 0 };
        let is_own = |node: &str| cluster.nodes.iter().any(|own| own == node);
        let nodes = evidence.signs_of_all().iter().map(|sign| sign.node).filter(|node| is_own(node));
        nodes.collect::<BTreeSet<&str>>().len()
    }

    fn difference(&self) -> Result<Difference, String> {
        let name = &self.own.name;
        let (published, _) = self.published.as_ref().map_err(Clone::clone)?;
        let Some((_, _, read)) = self.read else {
            let reason = self.unread.map(|reason| format!(": {reason}")).unwrap_or_default();
            return Err(format!("the ledger of the subscriber of {name} was not read in the end{reason}"));
        };
        if let Some(range) = read.found.iter().find(|range| range.to < range.from) {
            return Err(format!("the ledger of {name} names the rows {} to {}", range.from, range.to));
        }
        let subscribed = Rows::new(&read.found);
        if read.counts.rows < subscribed.count() {
            return Err(format!("the ledger of {name} names more rows than were counted in it"));
        }
        Ok(Difference {
            missing: published.missing_in(&subscribed),
            ahead: subscribed.missing_in(published),
            damaged: read.counts.rows - subscribed.count() + read.counts.changed_rows,
        })
    }

    fn rows(&self, difference: &Result<Difference, String>) -> Finding {
        let name = &self.own.name;
        let inconclusive = |why: String| Finding::new(NAME, Outcome::Inconclusive, why);
        let Difference { missing, ahead, damaged } = match difference {
            Ok(difference) => difference,
            Err(doubt) => return inconclusive(format!("what {name} copied is not known: {doubt}")),
        };
        let mut wrong = Vec::new();
        let mut count = |rows: u64, what: &str| {
            if rows > 0 {
                wrong.push(format!("{} {what}", value(MISSING_ROWS, rows as f64)));
            }
        };
        count(*missing, "of its publisher are missing");
        count(*ahead, "are there that its publisher has lost: it is ahead of it");
        count(*damaged, "are there twice, or other than they were written");
        let (outcome, summary) = if *missing > 0 && *ahead + *damaged == 0 && self.is_catching_up() {
            let summary =
                format!("the subscriber of {name} was still catching up when its ledger was read: {}", wrong[0]);
            (Outcome::Inconclusive, summary)
        } else if !wrong.is_empty() {
            (Outcome::Fail, format!("at the subscriber of {name}, {}", wrong.join("; ")))
        } else if let Some(doubt) = self.unseen() {
            (Outcome::Inconclusive, format!("the subscriber of {name} has every row of its publisher, but {doubt}"))
        } else {
            (Outcome::Pass, format!("the subscriber of {name} has every row of its publisher, each once, and no other"))
        };
        let copied = self.copied();
        let broken = missing + damaged + copied.iter().map(|(_, count)| *count as u64).sum::<u64>();
        let details = [(AHEAD_ROWS, *ahead), (DAMAGED_ROWS, *damaged), (PROMISES_BROKEN, broken)];
        Finding::new(NAME, outcome, summary)
            .with_measure(Measure::new(MISSING_ROWS, *missing as f64))
            .with_details(details.map(|(name, count)| Measure::new(name, count as f64)).into())
            .with_evidence(self.ledgers())
    }

    /// The `seq` of the ledgers of both ends.
    fn ledgers(&self) -> impl Iterator<Item = u64> {
        let published = self.published.as_ref().ok().map(|(_, seq)| *seq);
        published.into_iter().chain(self.read.map(|(seq, ..)| seq))
    }

    /// When it had applied something more than at the look before, each with the `seq` of the look.
    fn progress(&self) -> Vec<(u64, u64)> {
        let mut last = None;
        let mut found = Vec::new();
        for (seq, at_us, state) in &self.states {
            if state.applied_lsn.is_some() && state.applied_lsn != last {
                last = state.applied_lsn;
                found.push((*seq, *at_us));
            }
        }
        found
    }

    /// Whether it applied something up to the end of the load, or later: what it lacks then, it was never sent.
    fn went_on(&self) -> bool {
        let last_us = self.progress().last().map(|(_, at_us)| *at_us);
        last_us.zip(self.stopped_us).is_some_and(|(last_us, stopped_us)| last_us + WENT_ON_US >= stopped_us)
    }

    fn is_catching_up(&self) -> bool {
        let (Some((_, read_us, _)), Some((_, last_us))) = (self.read, self.progress().last().copied()) else {
            return false;
        };
        read_us.saturating_sub(last_us) < CATCHING_UP_US
    }

    /// Why it is not known how it went on.
    fn unseen(&self) -> Option<String> {
        let (Some(steady_us), Some((_, read_us, _))) = (self.steady_us, self.read) else {
            return Some("there was no steady state, or no end".to_owned());
        };
        let looks = self.states.iter().filter(|(_, _, state)| state.reachable).map(|(_, at_us, _)| *at_us);
        let mut last_us = steady_us;
        let mut longest_us = 0;
        for at_us in looks.filter(|at_us| (steady_us..=read_us).contains(at_us)).chain([read_us]) {
            longest_us = longest_us.max(at_us.saturating_sub(last_us));
            last_us = at_us;
        }
        let unseen = milliseconds(longest_us) / 1000.0;
        (longest_us > UNSEEN_US).then(|| format!("it was not seen for {unseen:.1} s"))
    }

    fn standstill(&self, difference: &Result<Difference, String>) -> Finding {
        let name = &self.own.name;
        let inconclusive = |why: String| Finding::new(NAME, Outcome::Inconclusive, why);
        let Some(steady_us) = self.steady_us else {
            return inconclusive(format!("how long {name} stood still is not known: there was no steady state"));
        };
        let ended_us = self.read.map(|(_, at_us, _)| at_us);
        // Without rows to miss, a subscription whose worker is gone has stopped all the same.
        let lacks_its_worker =
            self.states.iter().rev().find(|(_, _, state)| state.reachable).is_some_and(|(_, _, state)| !state.worker);
        let lacks_rows = difference.as_ref().is_ok_and(|difference| difference.missing > 0);
        let is_stuck = (lacks_rows || lacks_its_worker) && !self.went_on();
        let mut longest = (0, steady_us, None);
        let mut last_us = steady_us;
        let progress = self.progress().into_iter().filter(|(_, at_us)| *at_us >= steady_us);
        let end = ended_us.filter(|_| is_stuck).map(|at_us| (0, at_us));
        for (seq, at_us) in progress.chain(end) {
            let stood_us = at_us.saturating_sub(last_us);
            if stood_us > longest.0 {
                longest = (stood_us, last_us, Some(seq).filter(|seq| *seq > 0));
            }
            last_us = at_us;
        }
        let (stood_us, since_us, seq) = longest;
        let measure = Measure::new(STOPPED_MS, milliseconds(stood_us));
        let stood = value(STOPPED_MS, measure.value);
        let why = self.states.iter().any(|(_, at_us, state)| {
            let within = *at_us > since_us && *at_us <= since_us + stood_us;
            within && state.reachable && !state.worker
        });
        let worker = if why { ", for a part of that without a worker" } else { "" };
        let doubt = self.unseen().or_else(|| difference.as_ref().err().filter(|_| !is_stuck).cloned());
        let (outcome, summary) = if let Some(doubt) = doubt {
            (
                Outcome::Inconclusive,
                format!("the subscription {name} stood still for {stood} at most as seen, but {doubt}"),
            )
        } else if is_stuck {
            (
                Outcome::Fail,
                format!("the subscription {name} has not gone on: it stood still for the last {stood}{worker}"),
            )
        } else {
            (Outcome::Pass, format!("the subscription {name} stood still for {stood} at the longest{worker}"))
        };
        Finding::new(NAME, outcome, summary)
            .with_measure(measure)
            .with_evidence(seq.into_iter().chain(self.last_look()))
    }

    /// The `seq` of the last look at it.
    fn last_look(&self) -> Option<u64> {
        self.states.last().map(|(seq, ..)| *seq)
    }

    /// Columns that were added at the publisher, each with whether the first look at it showed it at the subscriber. One that is
    /// there only after an operator added it there says nothing.
    fn columns(&self) -> Vec<(&'a str, bool, u64)> {
        let mut found: Vec<(&str, bool, u64)> = Vec::new();
        let is_known = |seq: u64| self.added_there.is_none_or(|added_seq| seq < added_seq);
        for (seq, schema) in self.schemas.iter().filter(|(seq, _)| is_known(*seq)) {
            let added = schema.published_columns.iter().filter(|column| !OWN_COLUMNS.contains(&column.as_str()));
            for column in added {
                if !found.iter().any(|(known, ..)| known == column) {
                    found.push((column, schema.subscribed_columns.contains(column), *seq));
                }
            }
        }
        found
    }

    /// The last look that shows numbers drawn at the publisher.
    fn sequence(&self) -> Option<(u64, &'a SubscriberSchema)> {
        self.schemas.iter().rev().find(|(_, schema)| schema.published_sequence > 0).copied()
    }

    /// What was copied of what was tried: measure and number.
    fn copied(&self) -> Vec<(&'static str, usize)> {
        let columns = self.columns();
        let columns = (!columns.is_empty()).then(|| columns.iter().filter(|(_, copied, _)| *copied).count());
        let sequences = self.sequence().map(|(_, schema)| usize::from(schema.subscribed_sequence > 0));
        columns
            .map(|count| (COPIED_COLUMNS, count))
            .into_iter()
            .chain(sequences.map(|count| (COPIED_SEQUENCES, count)))
            .collect()
    }

    fn not_copied(&self) -> Option<Finding> {
        let (name, columns, sequence) = (&self.own.name, self.columns(), self.sequence());
        let copied = self.copied();
        let first = copied.first()?;
        let mut told: Vec<String> = Vec::new();
        for (column, copied, _) in &columns {
            let how = if *copied { "has" } else { "lacks" };
            told.push(format!("the subscriber {how} the column `{column}`, which was added at the publisher"));
        }
        if let Some((_, schema)) = sequence {
            let (there, here) = (schema.published_sequence, schema.subscribed_sequence);
            told.push(format!("its sequence stands at {here} and the publisher's at {there}"));
        }
        let is_copied = copied.iter().any(|(_, count)| *count > 0);
        let outcome = if is_copied { Outcome::Fail } else { Outcome::Pass };
        let details = copied.iter().skip(1).map(|(measure, count)| Measure::new(measure, *count as f64)).collect();
        let evidence = columns.iter().map(|(_, _, seq)| *seq).chain(sequence.map(|(seq, _)| seq));
        Some(
            Finding::new(NAME, outcome, format!("{name}: {}", told.join("; ")))
                .with_measure(Measure::new(first.0, first.1 as f64))
                .with_details(details)
                .with_evidence(evidence),
        )
    }
}

/// The rows of the final primary, with the `seq` of the event that tells them.
fn published(evidence: &Evidence<'_>, own: &Subscription, stopped_us: Option<u64>) -> Result<(Rows, u64), String> {
    let stopped_us = stopped_us.ok_or("the load had not ended, so no ledger was final")?;
    let writes: Vec<Tried<'_>> = evidence.attempts().iter().copied().filter(Tried::is_write).collect();
    let ledgers = Ledgers::read(evidence, &writes, stopped_us);
    let unknown = || ledgers.doubts.first().cloned().unwrap_or_else(|| "it is not known whose rows count".to_owned());
    let is_certain = ledgers.timeline.is_some() && ledgers.doubts.is_empty();
    let primary = ledgers.primary.filter(|_| is_certain).ok_or_else(unknown)?;
    let cluster = own.publisher(&evidence.whole.clusters);
    if !cluster.is_some_and(|cluster| cluster.nodes.iter().any(|node| node == primary)) {
        return Err(format!("the rows of {primary} count in the end, which is no node of its publisher's"));
    }
    ledgers.read.get(primary).map(|ledger| (ledger.rows.clone(), ledger.seq)).ok_or_else(unknown)
}
