//! Did every node come back and follow the new primary?
//!
//! Judged at the moment when the ledgers were read, or the load ended: exactly one node is primary, and every other
//! node is a standby on the primary's timeline that streams. A node that a fault hit and that was never healed is not
//! asked for.
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
use crate::history::{
    Event, Occurrence,
    event::{Bound, Expectation, Milestone, NodeState},
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

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let inconclusive = |why: &str| vec![Finding::new(NAME, Outcome::Inconclusive, why)];
    if reached_us(evidence.events, Milestone::LoadStopped).is_none() {
        return inconclusive("the history breaks off before the end of the load, so who rejoined is unknown");
    }
    let faults = evidence.faults();
    let asked = evidence.asked();
    let end = End::new(evidence);
    if let Some(node) = asked.iter().find(|node| !end.is_fresh(node)) {
        return inconclusive(&format!("the state of {node} in the end was not observed"));
    }
    // Whoever leads, leads, also one that a fault is still on.
    let is_primary = |node: &&str| end.is_fresh(node) && end.last[node].2.is_primary();
    let primaries: Vec<&str> = evidence.plan.nodes.iter().map(String::as_str).filter(is_primary).collect();
    let [primary] = primaries[..] else { return vec![end.without_one_primary(&asked, &primaries)] };
    let timeline = end.last[primary].2.timeline;
    let missing: Vec<&str> =
        asked.iter().copied().filter(|node| !in_place(end.last[node].2, primary, timeline)).collect();
    let returned = missing.is_empty().then(|| slowest_return(evidence, faults, &asked, (primary, timeline))).flatten();
    let finding = finding(&missing, primary, &end, returned);
    let expectations: Vec<_> = evidence.expectations(NAME).collect();
    if expectations.is_empty() {
        return vec![finding];
    }
    let late_us = late_us(evidence, faults);
    expectations.iter().map(|expectation| held_against(finding.clone(), expectation, returned, late_us)).collect()
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

/// Whether a node is where it belongs. A primary that was restarted in place, or got the leader key back, is too.
pub(super) fn in_place(state: &NodeState, primary: &str, timeline: Option<u32>) -> bool {
    match state.node == primary {
        true => state.is_primary() && state.timeline == timeline,
        false => state.streams_on(timeline),
    }
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
    last: States<'a>,
    outsiders: BTreeMap<&'a str, u64>,
}

impl<'a> End<'a> {
    fn new(evidence: &Evidence<'a>) -> Self {
        let (_, until_us) = watched_span(evidence.events);
        let outsiders = outsiders(&evidence.plan.nodes, evidence.events);
        Self { events: evidence.events, until_us, last: last_states(evidence.events, until_us), outsiders }
    }

    fn is_fresh(&self, node: &str) -> bool {
        self.last.get(node).is_some_and(|(at_us, ..)| self.until_us.saturating_sub(*at_us) <= STALE_US)
    }

    fn seqs(&self) -> impl Iterator<Item = u64> {
        self.last.values().map(|(_, seq, _)| *seq)
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
    fn doubt(&self, node: &str, following: Option<(&str, Option<u32>)>) -> Option<String> {
        if let Some(outsider) = self.outsiders.keys().next() {
            return Some(format!("{outsider} answers and is not in the plan"));
        }
        let (at_us, _, state) = self.last.get(node)?;
        let is_missing = |state: &NodeState| match following {
            Some((primary, timeline)) => !in_place(state, primary, timeline),
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
        self.last.iter().find_map(|(node, (.., state))| {
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

fn finding(missing: &[&str], primary: &str, end: &End<'_>, returned: Option<Return>) -> Finding {
    let rejoin_ms = returned.map(|returned| Measure::new(REJOIN_MS, milliseconds(returned.at_most_us)));
    let missing_nodes = Measure::new("missing_nodes", missing.len() as f64);
    let timeline = end.last[primary].2.timeline;
    let (outcome, summary) = if missing.is_empty() {
        let after = rejoin_ms.as_ref().map(|own| format!(", {:.1} s after the fault was healed", own.value / 1000.0));
        let summary = format!("every node streams from {primary} on its timeline{}", after.unwrap_or_default());
        match end.contradiction() {
            Some(contradiction) => (Outcome::Inconclusive, format!("{summary}; but {contradiction}")),
            None => (Outcome::Pass, summary),
        }
    } else {
        let words: Vec<_> = missing.iter().map(|node| state_words(node, &end.last)).collect();
        let summary = format!("not every node follows {primary} in the end: {}", words.join("; "));
        let doubts: Vec<_> = missing.iter().map(|node| end.doubt(node, Some((primary, timeline)))).collect();
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

fn state_words(node: &str, last: &States<'_>) -> String {
    let Some((_, _, state)) = last.get(node) else { return format!("{node} was not seen") };
    if !state.reachable {
        return format!("{node} does not answer");
    }
    if state.role.is_none() {
        return format!("{node} answers with errors");
    }
    let timeline = state.timeline.map_or("an unknown timeline".to_owned(), |number| format!("timeline {number}"));
    match state.streaming_from {
        Some(_) => format!("{node} streams, but is on {timeline}"),
        None => format!("{node} is on {timeline} and does not stream"),
    }
}
