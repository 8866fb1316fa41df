//! Did every node come back and follow the new primary?
//!
//! Judged at the moment when the ledgers were read, or the load ended: exactly one node is primary, and every other
//! node is a standby on the primary's timeline that streams. A node that a fault hit and that was never healed is not
//! asked for, nor those of a cluster that was given up.
//!
//! Of clusters that hold the same rows each is judged by itself. One node of all is primary; in a cluster that has it, the
//! others stream as above. In another cluster every node streams on that timeline, from whomever, and who leads the
//! cluster streams from outside of it. Where the plan has the cluster take its WAL from an archive alone, its leader streams from
//! nobody, and has replayed all that the primary was ordered to archive in the end ([`ArchiveDue`]).
//!
//! A look that got no answer is taken again: a later one that shows the node in its place counts. What remains is in
//! doubt, and no failure, where another source contradicts it (the node's ledger was read at that moment), where it is
//! one look alone, or where the harness's own timers were late for about as long as the node was missing.
//!
//! `rejoin_ms` is the time from a fault proven gone to the return of the nodes that it had hit, the slowest of them. A
//! standby is back when both ends say, after the fault was gone, that it streams on the primary's timeline, when it has
//! replayed what the primary had written by then, and when it does not break again before another fault: a standby that
//! was cut off goes on saying that it streams until it notices. A primary that stayed one is back when it says so, or
//! acknowledges a write. Nodes are recorded at least once a second, so the time is known to about a second; a bound
//! within that second is not decided.

mod returns;

use std::collections::BTreeMap;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::TIMER_LATE_US,
        ledgers::STALE_US,
        phases::milliseconds,
        primaries::LOOK_US,
        record::{FaultRecord, outsiders, reached_us, watched_span},
    },
    recovery_time::doubted_by_lateness,
};
use crate::{
    history::{
        Event, Occurrence,
        event::{Bound, Expectation, Milestone, NodeState},
    },
    plan::Plan,
    topology::Cluster,
};
use returns::{Return, slowest_return};

const NAME: &str = "rejoin";
const REJOIN_MS: &str = "rejoin_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Did every node, the old primary first of all, come back and stream from the new primary?",
    measures: &[REJOIN_MS, "missing_nodes"],
    over: Over::Cluster,
    judge,
};

fn judge<'e>(evidence: &Evidence<'e>) -> Vec<Finding> {
    let inconclusive = |why: &str| vec![Finding::new(NAME, Outcome::Inconclusive, why)];
    if reached_us(evidence.events, Milestone::LoadStopped).is_none() {
        return inconclusive("the history breaks off before the end of the load, so who rejoined is unknown");
    }
    let (asked, end) = (evidence.asked(), End::new(evidence));
    if let Some(node) = asked.iter().find(|node| !end.is_fresh(node)) {
        return inconclusive(&format!("the state of {node} in the end was not observed"));
    }
    // Whoever leads, leads, also one that a fault is still on.
    let primaries =
        |nodes: &'e [String]| nodes.iter().map(String::as_str).filter(|node| end.is_primary(node)).collect();
    let (own, elsewhere): (Vec<&str>, Vec<&str>) = (primaries(&evidence.plan.nodes), end.primaries_elsewhere(evidence));
    if evidence.is_part() && asked.is_empty() && own.is_empty() {
        return vec![nobody_asked(evidence)];
    }
    let place = match (&own[..], &elsewhere[..]) {
        ([primary], []) | ([], [primary]) => Place::new(evidence, primary, &end),
        _ => return vec![end.without_one_primary(&asked, &[own, elsewhere].concat())],
    };
    let missing: Vec<&str> = asked.iter().copied().filter(|node| !place.holds(end.last[node].2)).collect();
    let returned = missing.is_empty().then(|| slowest_return(evidence, &asked, &place, &end)).flatten();
    let finding = finding(&missing, &place, &end, returned);
    // Of a cluster that no fault hit, nothing had to come back.
    let of_return = |expectation: &&Expectation| expectation.measure != REJOIN_MS || evidence.is_hit();
    let expectations: Vec<_> = evidence.expectations(NAME).filter(of_return).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    let late_us = late_us(evidence, evidence.faults());
    expectations.iter().map(|expectation| held_against(finding.clone(), expectation, returned, late_us)).collect()
}

/// No node of a cluster has to be there.
fn nobody_asked(evidence: &Evidence<'_>) -> Finding {
    let given_up = evidence.given_up();
    let why = match evidence.plan.clusters.iter().all(|cluster| given_up.contains(cluster.name.as_str())) {
        true => "the cluster was given up",
        false => "a fault that was not healed keeps every node away",
    };
    Finding::new(NAME, Outcome::Pass, format!("{why}, so none of its nodes is asked for"))
}

/// How late the harness's timers fired at worst since the first fault was gone.
fn late_us(evidence: &Evidence<'_>, faults: &[FaultRecord<'_>]) -> u64 {
    let from_us = faults.iter().filter_map(|fault| fault.healed_us).min().unwrap_or(u64::MAX);
    let late = evidence.events.iter().filter(|event| event.at_us >= from_us).filter_map(|event| match event.what {
        Occurrence::TimerLate { late_us } => Some(late_us),
        _ => None,
    });
    late.max().unwrap_or(0)
}

/// Where the nodes of a cluster belong in the end.
pub(super) struct Place<'a> {
    /// The one primary, and its timeline.
    pub primary: &'a str,
    pub timeline: Option<u32>,
    /// The plan of the cluster, if the primary is none of its nodes.
    follower: Option<&'a Plan>,
    /// The node of such a cluster that leads it, if anybody saw who does.
    head: Option<&'a str>,
    /// Whether a leader that takes its WAL from an archive has replayed all that was archived in the end.
    has_what_was_archived: bool,
}

impl<'a> Place<'a> {
    fn new(evidence: &Evidence<'a>, primary: &'a str, end: &End<'_>) -> Self {
        let plan = evidence.plan;
        let follower = plan.cluster_of(primary).is_none().then_some(plan);
        let head = evidence.leader_key().last().and_then(|change| change.holder).filter(|_| follower.is_some());
        let has_what_was_archived = head.is_none_or(|head| replayed_what_was_archived(evidence.events, head));
        Self { primary, timeline: end.last[primary].2.timeline, follower, head, has_what_was_archived }
    }

    /// Whether a node is where it belongs. A primary that was restarted in place, or got the leader key back, is too. Who
    /// leads a cluster that follows streams from outside of it.
    pub fn holds(&self, state: &NodeState) -> bool {
        if state.node == self.primary {
            return state.is_primary() && state.timeline == self.timeline;
        }
        if self.is_shipped_to(&state.node) {
            return state.takes_from_an_archive() && self.has_what_was_archived;
        }
        let leads = self.head == Some(&state.node);
        state.streams_on(self.timeline) && (!leads || self.streams_from_outside(state))
    }

    /// Whether a node leads a cluster that takes its WAL from an archive alone.
    pub fn is_shipped_to(&self, node: &str) -> bool {
        self.head == Some(node) && self.follower.is_some_and(|plan| plan.clusters.iter().all(Cluster::is_shipped))
    }

    /// Whether a node of a cluster that follows streams from none of its own, by whatever name: WAL that comes from a
    /// balancer or from another region has the name that the configuration gives it.
    fn streams_from_outside(&self, state: &NodeState) -> bool {
        let Some(plan) = self.follower else { return false };
        let called = |name| plan.topology.host_called(name).map_or(name, |host| host.name.as_str());
        state.streaming_from.as_deref().is_some_and(|name| plan.cluster_of(called(name)).is_none())
    }

    /// The node of which a node streams, if it is known: the primary, or one of the same cluster.
    pub fn sender(&self, state: &'a NodeState) -> &'a str {
        let own = |name: &&str| self.follower.is_some_and(|plan| plan.cluster_of(name).is_some());
        state.streaming_from.as_deref().filter(own).unwrap_or(self.primary)
    }
}

/// Whether a node was seen to have replayed up to the last place that any primary was ordered to archive.
fn replayed_what_was_archived(events: &[Event], node: &str) -> bool {
    let due = events.iter().rev().find_map(|event| match &event.what {
        Occurrence::ArchiveDue(due) => Some(due.lsn),
        _ => None,
    });
    let replayed = events.iter().filter_map(|event| match &event.what {
        Occurrence::NodeState(state) if state.node == node => state.lsn,
        _ => None,
    });
    replayed.max() >= due
}

/// The finding held to an expectation, which is open where the bound lies between two looks, or no further away than the
/// harness's timers were late.
fn held_against(finding: Finding, expectation: &Expectation, returned: Option<Return>, late_us: u64) -> Finding {
    let before = finding.outcome;
    let mut held = finding.held_against(expectation);
    if expectation.measure == REJOIN_MS && before != Outcome::Fail {
        held = doubted_by_lateness(held, milliseconds(late_us));
    }
    if let (Bound::AtMost(most), Some(returned), REJOIN_MS) = (expectation.bound, returned, &*expectation.measure)
        && held.outcome == Outcome::Fail
        && before != Outcome::Fail
        && milliseconds(returned.after_us) <= most
    {
        held.outcome = Outcome::Inconclusive;
        held.summary += "; it was looked at too seldom to say whether that was in time";
    }
    held
}

/// The last state of each node: when, its event and the state.
type States<'a> = BTreeMap<&'a str, (u64, u64, &'a NodeState)>;

/// How the scenario ended.
struct End<'a> {
    events: &'a [Event],
    until_us: u64,
    /// The nodes that this is about.
    own: &'a [String],
    is_part: bool,
    last: States<'a>,
    outsiders: BTreeMap<&'a str, u64>,
}

impl<'a> End<'a> {
    fn new(evidence: &Evidence<'a>) -> Self {
        let (_, until_us) = watched_span(evidence.events);
        let outsiders = outsiders(&evidence.whole.nodes, evidence.events);
        let last = last_states(evidence.events, until_us);
        Self {
            events: evidence.events,
            until_us,
            own: &evidence.plan.nodes,
            is_part: evidence.is_part(),
            last,
            outsiders,
        }
    }

    fn is_fresh(&self, node: &str) -> bool {
        self.last.get(node).is_some_and(|(at_us, ..)| self.until_us.saturating_sub(*at_us) <= STALE_US)
    }

    fn is_primary(&self, node: &str) -> bool {
        self.is_fresh(node) && self.last[node].2.is_primary()
    }

    /// Primaries among the nodes that hold the same rows and are of another cluster.
    fn primaries_elsewhere(&self, evidence: &Evidence<'a>) -> Vec<&'a str> {
        let (plan, whole) = (evidence.plan, evidence.whole);
        let Some(origin) = plan.clusters.first().map(|cluster| &whole.lineage_of(cluster).name) else {
            return Vec::new();
        };
        let others = whole.clusters.iter().filter(|other| plan.cluster(&other.name).is_none());
        let related = others.filter(|other| whole.lineage_of(other).name == *origin);
        related.flat_map(|other| &other.nodes).map(String::as_str).filter(|node| self.is_primary(node)).collect()
    }

    /// The last states of the nodes that this is about.
    fn own(&self) -> impl Iterator<Item = (&str, &(u64, u64, &'a NodeState))> {
        let is_own = |node: &str| !self.is_part || self.own.iter().any(|own| own == node);
        self.last.iter().map(|(node, state)| (*node, state)).filter(move |(node, _)| is_own(node))
    }

    fn seqs(&self) -> impl Iterator<Item = u64> {
        self.own().map(|(_, (_, seq, _))| *seq)
    }

    fn without_one_primary(&self, asked: &[&str], primaries: &[&str]) -> Finding {
        let mut summary = match primaries.is_empty() {
            true => "no node is primary in the end".to_owned(),
            false => format!("{} are primary in the end", primaries.join(" and ")),
        };
        // A node of which the end is in doubt may be the primary.
        let doubt = asked.iter().filter(|_| primaries.is_empty()).find_map(|node| self.doubt(node, None));
        let doubt =
            doubt.or_else(|| asked.is_empty().then(|| "the plan names no node that should be there".to_owned()));
        let outcome = if doubt.is_some() { Outcome::Inconclusive } else { Outcome::Fail };
        summary.extend(doubt.map(|doubt| format!("; but {doubt}")));
        Finding::new(NAME, outcome, summary).with_evidence(self.seqs())
    }

    /// Why it is not certain that a node is missing. Without a timeline it is missing as long as it does not answer.
    fn doubt(&self, node: &str, place: Option<&Place<'_>>) -> Option<String> {
        if let Some(outsider) = self.outsiders.keys().next() {
            return Some(format!("{outsider} answers and is not in the plan"));
        }
        let (at_us, _, state) = self.last.get(node)?;
        let is_missing = |state: &NodeState| match place {
            Some(place) => !place.holds(state),
            None => !state.reachable,
        };
        if !is_missing(state) {
            return None;
        }
        let own = self.events.iter().filter(|event| event.at_us <= *at_us).filter_map(|event| match &event.what {
            Occurrence::NodeState(state) if state.node == node => Some((event.at_us, state)),
            _ => None,
        });
        let run: Vec<u64> = own.rev().take_while(|(_, state)| is_missing(state)).map(|(at_us, _)| at_us).collect();
        let missing_us = at_us.saturating_sub(run.last().copied().unwrap_or(*at_us));
        let brief = !state.reachable && missing_us <= LOOK_US;
        if brief && self.ledger(node).is_some_and(|(read_us, _)| read_us.saturating_add(LOOK_US) >= *at_us) {
            return Some(format!("the ledger of {node} was read at that moment"));
        }
        if !state.reachable && run.len() == 1 && !self.is_unread(node) {
            return Some(format!("{node} was silent in one look alone"));
        }
        let late_us = self.timers_late_us().filter(|late_us| missing_us <= late_us.saturating_add(LOOK_US))?;
        let late_ms = milliseconds(late_us);
        Some(format!("the harness's own timers fired {late_ms:.0} ms late in the end: the machine was starved"))
    }

    /// How late the harness's timers fired at worst in the end, if they were late at all.
    fn timers_late_us(&self) -> Option<u64> {
        let recent = self.events.iter().filter(|event| event.at_us.saturating_add(STALE_US) >= self.until_us);
        let late = recent.filter_map(|event| match event.what {
            Occurrence::TimerLate { late_us } => Some(late_us),
            _ => None,
        });
        late.max().filter(|late_us| *late_us > TIMER_LATE_US)
    }

    /// When a node's ledger was read, and on which timeline.
    fn ledger(&self, of: &str) -> Option<(u64, u32)> {
        self.events.iter().rev().find_map(|event| match &event.what {
            Occurrence::LedgerRead { node, timeline, .. } if node == of => Some((event.at_us, *timeline)),
            _ => None,
        })
    }

    fn is_unread(&self, of: &str) -> bool {
        self.events.iter().any(|event| matches!(&event.what, Occurrence::LedgerUnread { node, .. } if node == of))
    }

    /// A node that is in its place by the observer, while its ledger was read on another timeline.
    fn contradiction(&self) -> Option<String> {
        self.own().find_map(|(node, (.., state))| {
            let (_, ledger) = self.ledger(node)?;
            let observed = state.timeline.filter(|observed| *observed != ledger)?;
            Some(format!("the ledger of {node} was read on timeline {ledger}, and its observer saw it on {observed}"))
        })
    }
}

/// The last state of each node until an instant; where that got no answer, the first later one that did.
fn last_states(events: &[Event], until_us: u64) -> States<'_> {
    let mut last = States::new();
    for event in events {
        let Occurrence::NodeState(state) = &event.what else { continue };
        let again = || last.get(state.node.as_str()).is_some_and(|(_, _, known): &(_, _, &NodeState)| !known.reachable);
        if event.at_us <= until_us || (state.reachable && again()) {
            last.insert(&state.node, (event.at_us, event.seq, state));
        }
    }
    last
}

fn finding(missing: &[&str], place: &Place<'_>, end: &End<'_>, returned: Option<Return>) -> Finding {
    let rejoin_ms = returned.map(|returned| Measure::new(REJOIN_MS, milliseconds(returned.at_most_us)));
    let missing_nodes = Measure::new("missing_nodes", missing.len() as f64);
    let primary = place.primary;
    let (outcome, summary) = if missing.is_empty() {
        let after = rejoin_ms.as_ref().map(|own| format!(", {:.1} s after the fault was healed", own.value / 1000.0));
        let streams = if place.follower.is_some() { "follows" } else { "streams from" };
        let summary = format!("every node {streams} {primary} on its timeline{}", after.unwrap_or_default());
        match end.contradiction() {
            Some(contradiction) => (Outcome::Inconclusive, format!("{summary}; but {contradiction}")),
            None => (Outcome::Pass, summary),
        }
    } else {
        let words: Vec<_> = missing.iter().map(|node| state_words(node, place, &end.last)).collect();
        let summary = format!("not every node follows {primary} in the end: {}", words.join("; "));
        let doubts: Vec<_> = missing.iter().map(|node| end.doubt(node, Some(place))).collect();
        match doubts.into_iter().collect::<Option<Vec<String>>>() {
            Some(doubts) => (Outcome::Inconclusive, format!("{summary}; but {}", doubts.join("; "))),
            None => (Outcome::Fail, summary),
        }
    };
    Finding::new(NAME, outcome, summary)
        .with_measure(missing_nodes)
        .with_details(rejoin_ms.into_iter().collect())
        .with_evidence(end.seqs())
}

fn state_words(node: &str, place: &Place<'_>, last: &States<'_>) -> String {
    let Some((_, _, state)) = last.get(node) else { return format!("{node} was not seen") };
    if !state.reachable {
        return format!("{node} does not answer");
    }
    if state.role.is_none() {
        return format!("{node} answers with errors");
    }
    let timeline = state.timeline.map_or("an unknown timeline".to_owned(), |number| format!("timeline {number}"));
    match &state.streaming_from {
        Some(from) if state.timeline == place.timeline => format!("{node} leads its cluster and streams from {from}"),
        Some(_) => format!("{node} streams, but is on {timeline}"),
        None if place.is_shipped_to(node) => format!("{node} has not replayed all that was archived"),
        None => format!("{node} is on {timeline} and does not stream"),
    }
}
