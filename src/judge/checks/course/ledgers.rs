//! What the ledger of each node held in the end, whose rows count, and what speaks against the ledgers themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Tried;
use crate::{
    checks::Evidence,
    history::{
        Event, Occurrence,
        event::{Attempt, AttemptOutcome, LedgerCounts, NodeState, Role},
        rows::Rows,
    },
};

/// What is known of a node is old after this time: its observer records at least once a second.
pub const STALE_US: u64 = 5_000_000;

/// The schema of histories from which on a ledger comes with counts, role and position.
const COUNTED_SINCE: u32 = 2;

/// What a node's ledger held when it was last read.
#[derive(Debug)]
pub struct Ledger {
    pub seq: u64,
    pub at_us: u64,
    pub timeline: u32,
    pub rows: Rows,
    /// Rows that are there more than once: how many there are beyond the distinct ones.
    pub repeated_rows: u64,
    /// Beyond `repeated_rows`; all 0 in histories of schema 1.
    pub counts: LedgerCounts,
    role: Option<Role>,
    lsn: Option<u64>,
}

/// The ledgers of a scenario.
pub struct Ledgers<'a> {
    /// Those that were read, by node.
    pub read: BTreeMap<&'a str, Ledger>,
    /// The node that was primary when they were read.
    pub primary: Option<&'a str>,
    /// The timeline that the primary was on, if the ledger and the observers agree on it.
    pub timeline: Option<u32>,
    /// Why the ledgers don't prove everything: one was not read, or events contradict each other. A loss on the primary is
    /// one all the same, but no loss is no proof.
    pub doubts: Vec<String>,
    /// Nodes that nobody waits for any more ([`Evidence::is_lost`]).
    lost: BTreeSet<&'a str>,
}

impl<'a> Ledgers<'a> {
    /// The last ledger of every node that was read after the load had stopped.
    pub fn read(evidence: &Evidence<'a>, writes: &[Tried<'a>], stopped_us: u64) -> Self {
        let is_counted = evidence.run.is_some_and(|run| run.schema >= COUNTED_SINCE);
        let mut read: BTreeMap<&str, Ledger> = BTreeMap::new();
        let mut unread: BTreeMap<&str, String> = BTreeMap::new();
        for event in evidence.events.iter().filter(|event| event.at_us >= stopped_us) {
            match &event.what {
                Occurrence::LedgerRead { node, .. } => match Ledger::new(event, is_counted) {
                    Ok(ledger) => {
                        unread.remove(node.as_str());
                        read.insert(node, ledger);
                    }
                    Err(damage) => {
                        read.remove(node.as_str());
                        unread.insert(node, damage);
                    }
                },
                Occurrence::LedgerUnread { node, reason } => {
                    read.remove(node.as_str());
                    unread.insert(node, reason.clone());
                }
                _ => {}
            }
        }
        let is_own = |node: &str| !evidence.is_part() || evidence.plan.cluster_of(node).is_some();
        read.retain(|node, _| is_own(node));
        // What a cluster holds that is gone for good is no doubt of what the others hold.
        let waited_for = evidence.plan.nodes.iter().filter(|node| !evidence.is_lost(node));
        let missing = waited_for.filter(|node| !read.contains_key(node.as_str()));
        let mut doubts: Vec<String> = missing
            .map(|node| {
                let reason = unread.get(node.as_str()).map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("the ledger of {node} was not read{reason}, so what it holds is unknown")
            })
            .collect();
        doubts.extend(strangers(evidence, read.keys().copied(), writes));
        let primary = final_primary(evidence, &read);
        if primary.is_none() && doubts.is_empty() {
            let nobody = "it is not known which node was primary in the end, so whose rows count is unknown";
            doubts.push(nobody.to_owned());
        }
        let contradiction = primary.and_then(|node| contradiction(evidence.events, writes, node, &read[node]));
        let timeline = primary.filter(|_| contradiction.is_none()).map(|node| read[node].timeline);
        doubts.extend(contradiction);
        let lost = read.keys().copied().filter(|node| evidence.is_lost(node)).collect();
        Self { read, primary, timeline, doubts, lost }
    }

    /// Every node that was read and that somebody waits for: a cluster that was given up may answer, too.
    pub fn waited_for(&self) -> impl Iterator<Item = (&'a str, &Ledger)> {
        self.read.iter().map(|(node, ledger)| (*node, ledger)).filter(|(node, _)| !self.lost.contains(node))
    }

    /// The same beside the primary: they must hold what that does.
    pub fn others(&self) -> impl Iterator<Item = (&'a str, &Ledger)> {
        self.waited_for().filter(|(node, _)| Some(*node) != self.primary)
    }

    /// The `seq` of the events that tell what the nodes hold.
    pub fn evidence(&self) -> impl Iterator<Item = u64> {
        self.read.values().map(|ledger| ledger.seq)
    }
}

impl Ledger {
    /// What the event tells, or why nothing can be concluded from it. Where ledgers are counted, none goes without.
    fn new(event: &Event, is_counted: bool) -> Result<Self, String> {
        let Occurrence::LedgerRead { timeline, found, counts, role, lsn, .. } = &event.what else {
            return Err("it is no ledger".to_owned());
        };
        if let Some(range) = found.iter().find(|range| range.to < range.from) {
            let (client, from, to) = (range.client, range.from, range.to);
            return Err(format!("event {} names the rows {from} to {to} of client {client}", event.seq));
        }
        let rows = Rows::new(found);
        let counted = counts.map_or(rows.count(), |counts| counts.rows);
        if counted < rows.count() {
            let named = rows.count();
            return Err(format!("event {} names {named} rows of a table in which it counted {counted}", event.seq));
        }
        if is_counted && (counts.is_none() || role.is_none() || lsn.is_none()) {
            let seq = event.seq;
            return Err(format!("event {seq} lacks the counts, the role or the position that every ledger comes with"));
        }
        Ok(Self {
            seq: event.seq,
            at_us: event.at_us,
            timeline: *timeline,
            repeated_rows: (counted - rows.count()).max(Rows::repeated(found)),
            rows,
            counts: counts.unwrap_or_default(),
            role: *role,
            lsn: *lsn,
        })
    }

    /// Whether this standby had replayed all that the primary had written when their ledgers were read.
    pub fn had_replayed(&self, primary: &Ledger) -> bool {
        let (Some(replayed), Some(written)) = (self.lsn, primary.lsn) else { return false };
        self.timeline == primary.timeline && replayed >= written
    }

    /// Whether a node that was read on the timeline of this write had passed its position by then.
    pub fn had_replayed_to(&self, write: &Attempt) -> bool {
        match (&write.outcome, self.lsn) {
            (AttemptOutcome::Acknowledged { timeline, lsn, .. }, Some(replayed)) => {
                *timeline == self.timeline && (1..=replayed).contains(lsn)
            }
            _ => false,
        }
    }
}

/// Nodes that the plan does not have: then plan and history are not of one scenario.
fn strangers<'a>(evidence: &Evidence<'a>, read: impl Iterator<Item = &'a str>, writes: &[Tried<'a>]) -> Option<String> {
    let wrote = writes.iter().filter_map(|tried| tried.answered_by()).map(|(node, _)| node);
    let unplanned = |node: &&str| !evidence.whole.nodes.iter().any(|planned| planned == node);
    let mut nodes: Vec<&str> = read.chain(wrote).filter(unplanned).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let names = nodes.join(", ");
    (!nodes.is_empty()).then(|| format!("the plan has no node {names}, so it may not be the plan of this history"))
}

/// The node that was primary when the ledgers were read. Of several in one cluster it is the one on the highest timeline;
/// of several clusters, the one whose timeline was begun last.
fn final_primary<'a>(evidence: &Evidence<'_>, read: &BTreeMap<&'a str, Ledger>) -> Option<&'a str> {
    let is_primary = |(node, ledger): &(&&str, &Ledger)| {
        let seen = || last_state(evidence.events, node, ledger.at_us).and_then(|state| state.role);
        ledger.role.or_else(seen) == Some(Role::Primary)
    };
    let begun_us = |node: &str, timeline: u32| {
        let signs = evidence.signs().iter().filter(|sign| sign.node == node && sign.timeline == timeline);
        signs.map(|sign| sign.to_us).min().filter(|_| evidence.plan.clusters.len() > 1)
    };
    let primaries = read.iter().filter(is_primary);
    primaries.max_by_key(|(node, ledger)| (begun_us(node, ledger.timeline), ledger.timeline)).map(|(node, _)| *node)
}

/// What a node last answered to its observer by then, if that is fresh. A look that got no answer says nothing of a node
/// whose ledger was read.
fn last_state<'e>(events: &'e [Event], node: &str, until_us: u64) -> Option<&'e NodeState> {
    let own = events.iter().rev().filter(|event| event.at_us <= until_us);
    let mut answers = own.filter_map(|event| match &event.what {
        Occurrence::NodeState(state) if state.node == node && state.reachable => Some((event.at_us, state)),
        _ => None,
    });
    answers.next().filter(|(at_us, _)| until_us.saturating_sub(*at_us) <= STALE_US).map(|(_, state)| state)
}

/// What speaks against the timeline on which the primary's ledger was read.
fn contradiction(events: &[Event], writes: &[Tried<'_>], node: &str, ledger: &Ledger) -> Option<String> {
    let own = ledger.timeline;
    let seen = last_state(events, node, ledger.at_us).and_then(|state| state.timeline).filter(|seen| *seen != own);
    let wrote = writes.iter().filter_map(Tried::answered_by).filter(|(writer, _)| *writer == node);
    let wrote = wrote.map(|(_, timeline)| timeline).max().filter(|highest| *highest > own);
    let other = match (seen, wrote) {
        (Some(seen), _) => format!("its observer saw it on timeline {seen}"),
        (None, Some(highest)) => format!("it had acknowledged writes on timeline {highest}"),
        (None, None) => return None,
    };
    Some(format!("the ledger of {node} was read on timeline {own}, and {other}"))
}
