//! The events of a scenario in the form in which several checks need them: faults with their fate, attempts with
//! their end, milestones, the leader key's history.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, ClientKind, FaultInjecting, Milestone, Operation, RunbookStep, SequenceRange,
        },
        rows::Rows,
    },
    topology::ServiceKind,
};

/// A client's attempt and when it ended.
#[derive(Debug, Clone, Copy)]
pub struct Tried<'a> {
    pub seq: u64,
    pub ended_us: u64,
    pub attempt: &'a Attempt,
}

impl<'a> Tried<'a> {
    pub fn started_us(&self) -> u64 {
        self.attempt.started_us
    }

    pub fn acknowledged(&self) -> bool {
        matches!(self.attempt.outcome, AttemptOutcome::Acknowledged { .. })
    }

    /// The node that acknowledged it and its timeline.
    pub fn answered_by(&self) -> Option<(&'a str, u32)> {
        match &self.attempt.outcome {
            AttemptOutcome::Acknowledged { node, timeline, .. } => Some((node, *timeline)),
            _ => None,
        }
    }

    pub fn is_write(&self) -> bool {
        self.attempt.operation == Operation::Write
    }

    /// An attempt of the open-loop prober at this endpoint.
    pub fn is_fresh(&self, endpoint: &str, operation: Operation) -> bool {
        self.attempt.client_kind == ClientKind::Fresh
            && self.attempt.endpoint == endpoint
            && self.attempt.operation == operation
    }
}

/// Every attempt, in the order in which they started. One whose recorded end lies before its start, which proves
/// nothing, takes no time.
pub fn attempts(events: &[Event]) -> Vec<Tried<'_>> {
    let mut tried: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Attempt(attempt) => {
                Some(Tried { seq: event.seq, ended_us: event.at_us.max(attempt.started_us), attempt })
            }
            _ => None,
        })
        .collect();
    tried.sort_by_key(|tried| (tried.started_us(), tried.seq));
    tried
}

/// What the drill notes when a client of the load has failed by an error of pgquake's own.
const LOAD_BROKE: &str = "(the load)";

/// The word of the drill that a client of the load broke: it may have written what it did not record.
pub fn load_broke(events: &[Event]) -> Option<&Event> {
    events.iter().find(|event| matches!(&event.what, Occurrence::StepFailed { text, .. } if text == LOAD_BROKE))
}

/// The rows that these writes were to make, whatever became of them.
pub fn sent_rows<'t, 'a: 't>(writes: impl IntoIterator<Item = &'t Tried<'a>>) -> Rows {
    let row = |tried: &Tried<'_>| {
        let (client, sequence) = (tried.attempt.client, tried.attempt.sequence);
        SequenceRange { client, from: sequence, to: sequence }
    };
    Rows::new(&writes.into_iter().map(row).collect::<Vec<_>>())
}

/// A fault and what became of it.
#[derive(Debug, Clone)]
pub struct FaultRecord<'a> {
    pub injecting: &'a FaultInjecting,
    pub injecting_us: u64,
    pub seq: u64,
    /// Proven to bite, if it was.
    pub effect: Option<Effect>,
    /// Why it could not be proven, or ceased by itself.
    pub unconfirmed: Option<(&'a str, u64)>,
    /// Spans in which a later fault had taken away what it stands on, in their order.
    pub suspensions: Vec<Suspension>,
    pub healing_us: Option<u64>,
    pub healed_us: Option<u64>,
}

/// A span in which a fault did not bite, because a later one had taken away what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspension {
    /// The number of the later fault.
    pub by: u32,
    pub from_us: u64,
    /// When it was proven to bite again, if it was.
    pub until_us: Option<u64>,
    pub seq: u64,
}

/// When a fault took effect: between the two instants.
#[derive(Debug, Clone, Copy)]
pub struct Effect {
    pub from_us: u64,
    pub to_us: u64,
    /// When the proof was there.
    pub confirmed_us: u64,
    pub seq: u64,
}

impl FaultRecord<'_> {
    /// Whether it hits this service, by itself or with its whole host.
    pub fn hits(&self, host: &str, service: &str) -> bool {
        if self.injecting.services.is_empty() {
            self.injecting.hosts.iter().any(|hit| hit == host)
        } else {
            self.injecting.services.iter().any(|hit| hit.strip_prefix(host) == Some(&format!("/{service}")))
        }
    }

    /// Whether it hits PostgreSQL, or the agent that keeps it, on a host.
    pub fn hits_node(&self, host: &str) -> bool {
        ServiceKind::ALL.iter().filter(|kind| kind.is_node()).any(|kind| self.hits(host, kind.name()))
    }

    /// Whether it answers clients with resets in the place of servers that live.
    pub fn forges_resets(&self) -> bool {
        let told = &self.injecting.parameters;
        let rejects = told.get("by").is_some_and(|how| how == "reject");
        rejects && self.injecting.hosts.iter().chain(told.get("from")).any(|hosts| hosts.contains("clients"))
    }

    /// Whether it touches anything on this host.
    pub fn touches(&self, host: &str) -> bool {
        let on_host = |service: &String| service.split('/').next() == Some(host);
        self.injecting.hosts.iter().any(|hit| hit == host) || self.injecting.services.iter().any(on_host)
    }
}

/// Every fault, in the order of injection.
pub fn faults(events: &[Event]) -> Vec<FaultRecord<'_>> {
    let mut faults: Vec<FaultRecord<'_>> = Vec::new();
    for event in events {
        let at_us = event.at_us;
        match &event.what {
            Occurrence::FaultInjecting(injecting) => faults.push(FaultRecord {
                injecting,
                injecting_us: at_us,
                seq: event.seq,
                effect: None,
                unconfirmed: None,
                suspensions: Vec::new(),
                healing_us: None,
                healed_us: None,
            }),
            Occurrence::FaultConfirmed { fault, effect_from_us, effect_to_us, .. } => {
                let (from_us, to_us) = (*effect_from_us, *effect_to_us);
                let effect = Effect { from_us, to_us, confirmed_us: at_us, seq: event.seq };
                change(&mut faults, *fault, |record| record.effect = record.effect.or(Some(effect)));
            }
            Occurrence::FaultUnconfirmed { fault, reason } => {
                change(&mut faults, *fault, |record| record.unconfirmed = Some((reason, event.seq)));
            }
            Occurrence::FaultSuspended { fault, by, .. } => {
                let suspension = Suspension { by: *by, from_us: at_us, until_us: None, seq: event.seq };
                change(&mut faults, *fault, |record| record.suspensions.push(suspension));
            }
            Occurrence::FaultResumed { fault, .. } => change(&mut faults, *fault, |record| {
                let open = record.suspensions.iter_mut().filter(|suspension| suspension.until_us.is_none());
                open.for_each(|suspension| suspension.until_us = Some(at_us));
            }),
            Occurrence::FaultHealing { fault } => {
                change(&mut faults, *fault, |record| record.healing_us = record.healing_us.or(Some(at_us)));
            }
            Occurrence::FaultHealed { fault, .. } => {
                change(&mut faults, *fault, |record| record.healed_us = record.healed_us.or(Some(at_us)));
            }
            _ => {}
        }
    }
    faults
}

fn change<'a>(faults: &mut [FaultRecord<'a>], number: u32, apply: impl FnOnce(&mut FaultRecord<'a>)) {
    if let Some(record) = faults.iter_mut().find(|record| record.injecting.fault == number) {
        apply(record);
    }
}

/// A step of a runbook that was done.
#[derive(Debug, Clone, Copy)]
pub struct Done<'a> {
    pub at_us: u64,
    pub seq: u64,
    pub step: RunbookStep,
    /// The cluster that it concerns.
    pub cluster: &'a str,
}

/// The steps of runbooks, in the order in which they were done.
pub fn runbook(events: &[Event]) -> impl DoubleEndedIterator<Item = Done<'_>> + Clone {
    events.iter().filter_map(|event| match &event.what {
        Occurrence::Runbook { step, cluster, .. } => {
            Some(Done { at_us: event.at_us, seq: event.seq, step: *step, cluster })
        }
        _ => None,
    })
}

/// Whether a fault took the node away for good.
pub fn is_down(faults: &[FaultRecord<'_>], node: &str) -> bool {
    let is_on = |fault: &FaultRecord<'_>| fault.healing_us.is_none() && fault.healed_us.is_none();
    faults.iter().any(|fault| fault.hits_node(node) && is_on(fault))
}

/// When a milestone was first reached.
pub fn reached_us(events: &[Event], wanted: Milestone) -> Option<u64> {
    events.iter().find_map(|event| match &event.what {
        Occurrence::Reached { milestone } if *milestone == wanted => Some(event.at_us),
        _ => None,
    })
}

/// A fault, a step of a runbook, or an operator's command: what clients lose from then on has a cause.
pub fn is_done_to_the_system(event: &Event) -> bool {
    matches!(event.what, Occurrence::FaultInjecting(_) | Occurrence::Runbook { .. } | Occurrence::CommandRun(_))
}

/// Every time at which the steady state was reached before anything was done to the system, and the first one at least.
/// Where it is lost before the first fault (the machine stood still, say), the fault waits until it is reached again.
fn steady_states_us(events: &[Event]) -> impl Iterator<Item = u64> {
    let done_us = events.iter().find(|event| is_done_to_the_system(event)).map_or(u64::MAX, |event| event.at_us);
    let reached =
        events.iter().filter(|event| matches!(event.what, Occurrence::Reached { milestone: Milestone::SteadyState }));
    reached.enumerate().filter(move |(index, event)| *index == 0 || event.at_us < done_us).map(|(_, event)| event.at_us)
}

/// When the steady state was reached that the first fault found: the last time before anything was done to the system.
pub fn steady_us(events: &[Event]) -> Option<u64> {
    steady_states_us(events).last()
}

/// How often the steady state was lost and reached again before anything was done to the system.
pub(in crate::checks) fn steady_again(events: &[Event]) -> usize {
    steady_states_us(events).skip(1).count()
}

/// The harness notices within this time that it has lost its own ground. What failed to the end in this time before the
/// loss was noticed may have failed for that reason.
pub const GROUND_NOTICED_WITHIN_US: u64 = 10_000_000;

/// The span in which the scenario's evidence was gathered: from the steady state (or the start) to the last ledger
/// that was read, the end of the load, or whatever came last. What is taken down afterwards proves nothing.
pub fn watched_span(events: &[Event]) -> (u64, u64) {
    let first = events.first().map_or(0, |event| event.at_us);
    let from = reached_us(events, Milestone::SteadyState).unwrap_or(first);
    let closing = events.iter().filter(|event| {
        matches!(
            event.what,
            Occurrence::LedgerRead { .. }
                | Occurrence::LedgerUnread { .. }
                | Occurrence::Reached { milestone: Milestone::LoadStopped | Milestone::Rejoined }
        )
    });
    let last = events.last().map_or(0, |event| event.at_us);
    let load_stopped = reached_us(events, Milestone::LoadStopped);
    let until = if load_stopped.is_some() { closing.map(|event| event.at_us).max().unwrap_or(last) } else { last };
    (from, until.max(from))
}

/// A change of the leader key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyChange<'a> {
    /// When the first member told it.
    pub at_us: u64,
    pub revision: i64,
    /// `None`: the key is gone.
    pub holder: Option<&'a str>,
    pub seq: u64,
}

/// The history of a cluster's leader key, in the order of time: each change once, as the earliest member told it. A member
/// that lags behind reports old revisions late; its revision keeps them from being taken for news.
///
/// Revisions are those of one DCS. A new one, after a disaster, counts from 1 again: so a member that goes back to
/// a revision that nobody reported, or reports another holder at one that is known, begins a new count. A member that was just
/// restarted may go back to a known one; most of them do so only where the DCS was restored from a snapshot.
pub fn leader_key<'e>(events: impl IntoIterator<Item = &'e Event>, cluster: Option<&str>) -> Vec<KeyChange<'e>> {
    let mut changes: Vec<KeyChange<'_>> = Vec::new();
    let mut last_of: BTreeMap<&str, i64> = BTreeMap::new();
    let mut holders: BTreeMap<i64, Option<&str>> = BTreeMap::new();
    let mut gone_back: BTreeSet<&str> = BTreeSet::new();
    for event in events {
        let Occurrence::LeaderKey { member, holder, revision, initial, cluster: of } = &event.what else { continue };
        if of.is_some() && of.as_deref() != cluster {
            continue;
        }
        let (holder, revision) = (holder.as_deref(), *revision);
        let went_back = last_of.get(member.as_str()).is_some_and(|last| revision < *last);
        match *initial && went_back {
            true => gone_back.insert(member),
            false => gone_back.remove(member.as_str()),
        };
        let is_restored = gone_back.len() * 2 > last_of.len();
        if is_restored || holders.get(&revision).map_or(went_back, |known| *known != holder) {
            last_of.clear();
            holders.clear();
            gone_back.clear();
        }
        last_of.insert(member, revision);
        let newest = holders.last_key_value().map(|(revision, _)| *revision);
        holders.insert(revision, holder);
        // An old revision, or a rewrite of the key by the same holder.
        let old = newest.is_some_and(|newest| revision <= newest);
        if old || changes.last().is_some_and(|last| last.holder == holder) {
            continue;
        }
        changes.push(KeyChange { at_us: event.at_us, revision, holder, seq: event.seq });
    }
    changes
}

/// Nodes that answer in the history and are unknown to the plan: the two do not belong together. Each with an event that
/// shows it.
pub fn outsiders<'a>(nodes: &[String], events: &'a [Event]) -> BTreeMap<&'a str, u64> {
    let mut outsiders = BTreeMap::new();
    for event in events {
        let node = match &event.what {
            Occurrence::NodeState(state) => &state.node,
            Occurrence::TimelineSwitch { node, .. } | Occurrence::LedgerRead { node, .. } => node,
            Occurrence::Attempt(Attempt { outcome: AttemptOutcome::Acknowledged { node, .. }, .. }) => node,
            _ => continue,
        };
        if !nodes.contains(node) {
            outsiders.entry(node.as_str()).or_insert(event.seq);
        }
    }
    outsiders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seq: u64, at_us: u64, member: &str, holder: Option<&str>, revision: i64) -> Event {
        let holder = holder.map(str::to_owned);
        let what = Occurrence::LeaderKey { member: member.to_owned(), holder, revision, initial: false, cluster: None };
        Event { seq, at_us, scenario: 1, what }
    }

    #[test]
    fn a_lagging_member_neither_repeats_nor_reverts_the_key() {
        let events = [
            key(1, 10, "node1", Some("node1"), 5),
            key(2, 20, "node2", Some("node1"), 5),
            key(3, 30, "node2", None, 8),
            key(4, 31, "node2", Some("node2"), 9),
            // node3 was cut off and reports what it missed.
            key(5, 90, "node3", None, 8),
            key(6, 91, "node3", Some("node2"), 9),
        ];
        let changes = leader_key(&events, None);
        let told: Vec<_> = changes.iter().map(|change| (change.at_us, change.holder)).collect();
        assert_eq!(told, [(10, Some("node1")), (30, None), (31, Some("node2"))]);
    }

    #[test]
    fn a_new_dcs_counts_its_revisions_from_1() {
        let events = [
            key(1, 10, "node1", Some("node1"), 500),
            key(2, 11, "node2", Some("node1"), 500),
            key(3, 60, "node2", None, 3),
            key(4, 61, "node2", Some("node2"), 4),
            // The other member of the new cluster reports the same.
            key(5, 62, "node1", None, 3),
            key(6, 63, "node1", Some("node2"), 4),
            key(7, 90, "node1", Some("node3"), 9),
        ];
        let changes = leader_key(&events, None);
        let told: Vec<_> = changes.iter().map(|change| (change.at_us, change.holder)).collect();
        assert_eq!(told, [(10, Some("node1")), (60, None), (61, Some("node2")), (90, Some("node3"))]);
    }

    #[test]
    fn a_dcs_that_was_restored_has_the_key_of_its_snapshot() {
        let initial = |mut event: Event| {
            if let Occurrence::LeaderKey { initial, .. } = &mut event.what {
                *initial = true;
            }
            event
        };
        let members = ["node1", "node2", "node3"];
        let before = members.iter().flat_map(|member| {
            [key(1, 10, member, Some("node1"), 9), key(2, 30, member, None, 24), key(3, 31, member, Some("node2"), 28)]
        });
        let mut events: Vec<Event> = before.collect();
        events.sort_by_key(|event| event.at_us);
        let told = |events: &[Event]| {
            let changes = leader_key(events, None);
            changes.iter().map(|change| (change.at_us, change.holder.map(str::to_owned))).collect::<Vec<_>>()
        };
        let held_by = |node: &str| Some(node.to_owned());
        let until_lost = vec![(10, held_by("node1")), (30, None), (31, held_by("node2"))];
        // One that was restarted is behind for a moment.
        events.push(initial(key(4, 60, "node1", Some("node1"), 9)));
        assert_eq!(told(&events), until_lost);
        events.push(initial(key(5, 61, "node3", Some("node1"), 9)));
        events.push(initial(key(6, 62, "node2", Some("node1"), 9)));
        assert_eq!(told(&events), [until_lost, vec![(61, held_by("node1"))]].concat());
    }

    #[test]
    fn a_fault_on_one_service_spares_the_other_services_of_the_host() {
        let injecting = FaultInjecting {
            fault: 1,
            name: "kill".to_owned(),
            target: String::new(),
            hosts: vec!["node1".to_owned()],
            services: vec!["node1/patroni".to_owned()],
            parameters: Default::default(),
            hands_over: false,
            worst: Default::default(),
            primary_before: None,
            dcs_leader_before: None,
        };
        let events = [Event { seq: 1, at_us: 0, scenario: 1, what: Occurrence::FaultInjecting(injecting) }];
        let record = &faults(&events)[0];
        assert!(record.hits("node1", "patroni") && !record.hits("node1", "etcd") && !record.hits("node10", "patroni"));
        assert!(record.touches("node1") && !record.touches("node10"));
    }
}
