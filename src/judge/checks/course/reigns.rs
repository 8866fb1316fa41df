//! When each node acknowledged writes: its reigns. The check `single_writer` compares them, and the report draws where two
//! overlap.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{record::Tried, watched::is_read_only};
use crate::history::event::Contact;

/// The span in which one node acknowledged writes on one timeline.
///
/// However long it was silent in between, it is one: a node that has stopped being primary becomes one again only on
/// another timeline. A write is committed at some unknown instant between the start of its attempt and its acknowledgement. So a reign
/// has an inner span, in which the node surely was a writer, and an outer one, beyond which it surely was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reign {
    pub node: String,
    pub timeline: u32,
    /// The first acknowledgement: from here on it surely had committed.
    pub first_acknowledged_us: u64,
    /// The start of the last attempt that it acknowledged: it surely committed after this.
    pub last_started_us: u64,
    /// Before this it surely committed nothing of this reign: the earliest start of an attempt, or the last time that it
    /// was seen as a standby if that came later (an attempt may have waited in a proxy, or in a server whose disk hung,
    /// for a long time).
    pub outer_from_us: u64,
    /// After this it surely committed nothing of this reign: the last acknowledgement, or before it a sign that the node
    /// was a standby, that nothing listened at its port, or that nothing of PostgreSQL ran. What else can be wrong with an
    /// attempt (no session in time, no connection left) says nothing about the others.
    pub outer_to_us: u64,
    pub acknowledged: u64,
    /// `seq` of the first and of the last acknowledgement.
    pub evidence: (u64, u64),
}

impl Reign {
    /// The time in which this node and another surely were writers both, in microseconds; a single write amid the
    /// other's reign counts with the time that it took.
    pub fn overlap_us(&self, other: &Reign) -> Option<(u64, u64)> {
        let from_us = self.first_acknowledged_us.max(other.first_acknowledged_us);
        let to_us = self.last_started_us.min(other.last_started_us);
        if from_us < to_us {
            return Some((from_us, to_us));
        }
        self.amid(other).or_else(|| other.amid(self))
    }

    /// A reign without an inner span of its own (a write or two at once) that lies wholly within the other's.
    fn amid(&self, other: &Reign) -> Option<(u64, u64)> {
        let (from_us, to_us) = (self.last_started_us, self.first_acknowledged_us);
        let short = from_us < to_us;
        let within = other.first_acknowledged_us < from_us && to_us < other.last_started_us;
        (short && within).then_some((from_us, to_us))
    }

    /// The time in which both may have been writers, in microseconds.
    pub fn possible_overlap_us(&self, other: &Reign) -> u64 {
        self.outer_to_us.min(other.outer_to_us).saturating_sub(self.outer_from_us.max(other.outer_from_us))
    }
}

/// What else than attempts shows when a node accepted no write.
#[derive(Debug, Default)]
pub struct Beside<'a> {
    /// Spans in which a fault answered with resets in a server's place: there, a reset proves nothing.
    pub forged: Vec<(u64, u64)>,
    /// Nodes that were standbys at some instant between the two.
    pub standbys: Vec<(&'a str, u64, u64)>,
    /// Nodes of which nothing ran from the first instant to the second.
    pub dead: Vec<(&'a str, u64, u64)>,
}

/// The reigns of all nodes, in the order of their beginning. `attempts` are all attempts of the scenario.
pub fn reigns(attempts: &[Tried<'_>], beside: &Beside<'_>) -> Vec<Reign> {
    let mut reigns: BTreeMap<(&str, u32), Reign> = BTreeMap::new();
    for tried in attempts.iter().filter(|tried| tried.is_write()) {
        if let Some((node, timeline)) = tried.answered_by() {
            let begun = || begin(node, timeline, tried);
            reigns.entry((node, timeline)).and_modify(|reign| extend(reign, tried)).or_insert_with(begun);
        }
    }
    let mut found: Vec<Reign> = reigns.into_values().collect();
    for reign in &mut found {
        tighten(reign, &refusals_of(attempts, &reign.node, beside));
        let own = beside.dead.iter().filter(|(node, ..)| *node == reign.node);
        let before = own.filter(|(_, from_us, to_us)| reign.last_started_us <= *from_us && reign.outer_to_us <= *to_us);
        if let Some(died_us) = before.map(|(_, from_us, _)| *from_us).min() {
            reign.outer_to_us = reign.outer_to_us.min(died_us);
        }
    }
    found.sort_by_key(|reign| (reign.first_acknowledged_us, reign.evidence.0));
    found
}

/// The times in which two nodes surely were writers both, in their order, none of which touches another.
pub fn overlaps(reigns: &[Reign]) -> Vec<(u64, u64)> {
    let later = |index: usize| reigns[index + 1..].iter();
    let pairs = reigns.iter().enumerate().flat_map(|(index, one)| later(index).map(move |other| (one, other)));
    let of_two = pairs.filter(|(one, other)| one.node != other.node);
    joined(of_two.filter_map(|(one, other)| one.overlap_us(other)).collect())
}

/// Spans as one where they touch, in their order.
pub(in crate::checks) fn joined(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    spans.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (from_us, to_us) in spans {
        match joined.last_mut() {
            Some(last) if from_us <= last.1 => last.1 = last.1.max(to_us),
            _ => joined.push((from_us, to_us)),
        }
    }
    joined
}

/// What proves that a node accepted no write at some instant between two: its direct refusal, or its answer that it is a
/// standby.
struct Refusal {
    started_us: u64,
    ended_us: u64,
    /// As a standby; otherwise nothing listened.
    read_only: bool,
}

fn refusals_of(attempts: &[Tried<'_>], node: &str, beside: &Beside<'_>) -> Vec<Refusal> {
    let direct = attempts.iter().filter(|tried| tried.is_write() && tried.attempt.endpoint == node);
    let refusal = |tried: &Tried<'_>| {
        let outcome = &tried.attempt.outcome;
        let (read_only, reset) = (is_read_only(outcome), outcome.contact() == Some(Contact::Reset));
        let (started_us, ended_us) = (tried.started_us(), tried.ended_us);
        let forged = beside.forged.iter().any(|(from_us, to_us)| started_us <= *to_us && *from_us <= ended_us);
        (read_only || (reset && !forged)).then_some(Refusal { started_us, ended_us, read_only })
    };
    let seen = beside.standbys.iter().filter(|(seen, ..)| *seen == node);
    let seen =
        seen.map(|(_, started_us, ended_us)| Refusal { started_us: *started_us, ended_us: *ended_us, read_only: true });
    direct.filter_map(refusal).chain(seen).collect()
}

fn begin(node: &str, timeline: u32, tried: &Tried<'_>) -> Reign {
    Reign {
        node: node.to_owned(),
        timeline,
        first_acknowledged_us: tried.ended_us,
        last_started_us: tried.started_us(),
        outer_from_us: tried.started_us(),
        outer_to_us: tried.ended_us,
        acknowledged: 1,
        evidence: (tried.seq, tried.seq),
    }
}

fn extend(reign: &mut Reign, tried: &Tried<'_>) {
    if tried.ended_us < reign.first_acknowledged_us {
        (reign.first_acknowledged_us, reign.evidence.0) = (tried.ended_us, tried.seq);
    }
    if tried.ended_us >= reign.outer_to_us {
        (reign.outer_to_us, reign.evidence.1) = (tried.ended_us, tried.seq);
    }
    reign.last_started_us = reign.last_started_us.max(tried.started_us());
    reign.outer_from_us = reign.outer_from_us.min(tried.started_us());
    reign.acknowledged += 1;
}

/// Brings the outer span in by what the node's own refusals prove.
fn tighten(reign: &mut Reign, refusals: &[Refusal]) {
    let before = refusals.iter().filter(|refusal| refusal.read_only && refusal.ended_us <= reign.first_acknowledged_us);
    if let Some(last_us) = before.map(|refusal| refusal.started_us).max() {
        reign.outer_from_us = reign.outer_from_us.max(last_us);
    }
    let after = refusals.iter().filter(|refusal| refusal.started_us >= reign.last_started_us);
    if let Some(first_us) = after.map(|refusal| refusal.ended_us).min() {
        reign.outer_to_us = reign.outer_to_us.min(first_us);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::history::event::{Attempt, AttemptOutcome, ClientKind, Operation};

    fn attempt(endpoint: &str, started_us: u64, outcome: AttemptOutcome) -> Attempt {
        Attempt {
            client_kind: ClientKind::Fresh,
            endpoint: endpoint.to_owned(),
            operation: Operation::Write,
            client: 1,
            sequence: started_us,
            started_us,
            outcome,
            saw: None,
            led_to: None,
        }
    }

    /// Writes of a node, as (start, end).
    fn writes(node: &str, timeline: u32, spans: &[(u64, u64)]) -> Vec<(u64, Attempt)> {
        let acknowledged = AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: 1 };
        spans.iter().map(|(from, to)| (*to, attempt(node, *from, acknowledged.clone()))).collect()
    }

    fn steady(node: &str, timeline: u32, from_us: u64, to_us: u64) -> Vec<(u64, Attempt)> {
        let spans: Vec<_> = (from_us..to_us).step_by(20_000).map(|at_us| (at_us, at_us + 4000)).collect();
        writes(node, timeline, &spans)
    }

    fn refusal(node: &str, from_us: u64, to_us: u64) -> (u64, Attempt) {
        refused(node, (from_us, to_us), Some("25006"), Contact::Answer)
    }

    fn refused(node: &str, (from_us, to_us): (u64, u64), sqlstate: Option<&str>, contact: Contact) -> (u64, Attempt) {
        let (sqlstate, message) = (sqlstate.map(str::to_owned), "refused".to_owned());
        (to_us, attempt(node, from_us, AttemptOutcome::Refused { sqlstate, message, contact: Some(contact) }))
    }

    fn reigns_of(attempts: &[(u64, Attempt)]) -> Vec<Reign> {
        let tried =
            attempts.iter().zip(1..).map(|((ended_us, attempt), seq)| Tried { seq, ended_us: *ended_us, attempt });
        let mut tried: Vec<_> = tried.collect();
        tried.sort_by_key(Tried::started_us);
        reigns(&tried, &Beside::default())
    }

    #[test]
    fn there_and_back_again_is_no_overlap() {
        let there_and_back = [
            steady("node1", 1, 0, 1_000_000),
            steady("node2", 2, 1_100_000, 1_500_000),
            // Back within a second, and no probe happened to be refused meanwhile: the timeline tells the reigns apart.
            steady("node1", 3, 1_600_000, 3_000_000),
        ];
        let reigns = reigns_of(&there_and_back.concat());
        assert_eq!((reigns.len(), overlaps(&reigns)), (3, vec![]));
        assert!(reigns.windows(2).all(|pair| pair[0].possible_overlap_us(&pair[1]) == 0));
    }

    #[test]
    fn neither_silence_nor_a_refusal_ends_a_reign_on_one_timeline() {
        let turns = [
            steady("node1", 1, 0, 1_000_000),
            vec![refusal("node1", 1_040_000, 1_042_000)],
            steady("node2", 1, 2_000_000, 3_000_000),
            steady("node1", 1, 40_000_000, 41_000_000),
        ];
        let reigns = reigns_of(&turns.concat());
        assert_eq!((reigns.len(), overlaps(&reigns)), (2, vec![(2_004_000, 2_980_000)]));
    }

    #[test]
    fn only_a_standby_s_refusal_and_a_refused_connection_bound_a_late_acknowledgement() {
        let hung = [
            steady("node1", 1, 0, 1_000_000),
            writes("node1", 1, &[(960_000, 3_900_000)]),
            steady("node2", 2, 2_000_000, 4_000_000),
        ];
        let possible = |sqlstate, contact, forged: &[(u64, u64)]| {
            let told = [hung.concat(), vec![refused("node1", (1_100_000, 1_102_000), sqlstate, contact)]].concat();
            let tried =
                told.iter().zip(1..).map(|((ended_us, attempt), seq)| Tried { seq, ended_us: *ended_us, attempt });
            let beside = Beside { forged: forged.to_vec(), ..Beside::default() };
            let reigns = reigns(&tried.collect::<Vec<_>>(), &beside);
            reigns[0].possible_overlap_us(&reigns[1])
        };
        assert_eq!(possible(Some("25006"), Contact::Answer, &[]), 0);
        assert_eq!(possible(None, Contact::Reset, &[]), 0);
        assert_eq!(possible(None, Contact::Silence, &[]), 1_900_000);
        assert_eq!(possible(Some("53300"), Contact::Answer, &[]), 1_900_000);
        // A fault answered in the server's place.
        assert_eq!(possible(None, Contact::Reset, &[(1_000_000, 1_200_000)]), 1_900_000);
    }

    #[test]
    fn a_single_write_amid_the_reign_of_another_is_an_overlap() {
        let told = [steady("node1", 1, 0, 1_000_000), writes("node2", 2, &[(500_000, 504_000)])].concat();
        assert_eq!(overlaps(&reigns_of(&told)), [(500_000, 504_000)]);
        // At the edge it may have come after.
        let told = [steady("node1", 1, 0, 1_000_000), writes("node2", 2, &[(979_000, 990_000)])].concat();
        assert_eq!(overlaps(&reigns_of(&told)), []);
    }

    #[test]
    fn an_attempt_that_waited_for_the_new_primary_is_bounded_by_its_refusals() {
        let mut told = [
            steady("node1", 1, 0, 1_000_000),
            // Began before the fault, was answered by the new primary in the end.
            writes("node2", 2, &[(990_000, 3_000_000)]),
            steady("node2", 2, 3_000_000, 4_000_000),
        ]
        .concat();
        let possible = |told: &[(u64, Attempt)]| {
            let reigns = reigns_of(told);
            assert_eq!(overlaps(&reigns), []);
            reigns[0].possible_overlap_us(&reigns[1])
        };
        assert_eq!(possible(&told), 0);
        // The old primary's answer came late, too: either order is possible ...
        told.extend(writes("node1", 1, &[(960_000, 1_900_000)]));
        assert_eq!(possible(&told), 910_000);
        // ... unless the new primary still refused writes after that.
        told.push(refusal("node2", 2_900_000, 2_902_000));
        assert_eq!(possible(&told), 0);
    }

    proptest! {
        #[test]
        fn overlap_is_symmetric_and_never_longer_than_possible(
            one in (0..1000u64, 1..500u64), other in (0..1000u64, 1..500u64), step in 1..100u64,
        ) {
            let made = |node: &str, timeline, (from, length): (u64, u64)| {
                let spans: Vec<_> = (from..from + length).step_by(step as usize).map(|at| (at, at + 7)).collect();
                writes(node, timeline, &spans)
            };
            let told = [made("node1", 1, one), made("node2", 2, other)].concat();
            let reigns = reigns_of(&told);
            let (one, other) = (&reigns[0], &reigns[1]);
            prop_assert_eq!(one.overlap_us(other), other.overlap_us(one));
            prop_assert_eq!(one.possible_overlap_us(other), other.possible_overlap_us(one));
            if let Some((from_us, to_us)) = one.overlap_us(other) {
                prop_assert!(from_us < to_us && to_us - from_us <= one.possible_overlap_us(other));
            }
        }
    }
}
