//! Conditions on which a scenario waits before its next fault, read from the history as it is written: so that what
//! triggers a fault is what the report shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{broadcast::error::RecvError, watch},
    task::JoinHandle,
};

use super::readable::Readable;
use crate::{
    checks::course::{
        grouping::is_lost,
        record::{attempts, is_done_to_the_system},
    },
    history::{
        Event, Occurrence, Recorder,
        event::{ClientKind, NodeState, Operation, Role, RunbookStep},
    },
    topology::{Cluster, READ, WRITE},
    waiting::NotReady,
};

/// Something that must be seen after the last fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// The leader key has expired, or was given up.
    LeaderKeyGone,
    /// A node holds the leader key again, or another one: it is elected, and perhaps not yet promoted.
    LeaderElected,
    /// Another node than before accepts writes.
    Promoted,
    /// A standby has replayed less than the primary has written.
    StandbyBehind {
        /// How far behind it is at least, in bytes of WAL.
        lag_bytes: u64,
    },
    /// Every agent says that its PostgreSQL waits for a restart with a changed setting; or none does.
    PendingRestart {
        /// Whether every one is to wait, or none.
        everywhere: bool,
    },
    /// One node is primary, and every other streams on its timeline: what the checks ask for in the end.
    AllFollow,
    /// The same, and every node was looked at anew.
    AllSeenFollowing,
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::LeaderKeyGone => formatter.write_str("the end of the leader key"),
            Condition::LeaderElected => formatter.write_str("a new holder of the leader key"),
            Condition::Promoted => formatter.write_str("a new primary"),
            Condition::StandbyBehind { lag_bytes } => write!(formatter, "a standby {lag_bytes} bytes behind"),
            Condition::PendingRestart { everywhere: true } => formatter.write_str("every node to wait for a restart"),
            Condition::PendingRestart { everywhere: false } => formatter.write_str("no node to wait for a restart"),
            Condition::AllFollow => formatter.write_str("every node in its place"),
            Condition::AllSeenFollowing => formatter.write_str("a new look at every node in its place"),
        }
    }
}

impl Condition {
    /// Whether it holds by these events, of which only those after `after_us` are news.
    fn holds(self, clusters: &[Cluster], events: &[Event], after_us: u64) -> bool {
        let news = || events.iter().filter(move |event| event.at_us >= after_us);
        match self {
            Condition::LeaderKeyGone => {
                news().any(|event| matches!(&event.what, Occurrence::LeaderKey { holder: None, .. }))
            }
            Condition::LeaderElected => {
                let before = holder(events.iter().filter(|event| event.at_us < after_us));
                let mut gone = false;
                news().any(|event| match &event.what {
                    Occurrence::LeaderKey { holder: None, .. } => {
                        gone = true;
                        false
                    }
                    Occurrence::LeaderKey { holder, .. } => gone || holder.as_deref() != before,
                    _ => false,
                })
            }
            Condition::Promoted => {
                let primaries = |event: &Event| primary(event).map(str::to_owned);
                let before = events.iter().filter(|event| event.at_us < after_us).filter_map(primaries).next_back();
                news().filter_map(primaries).any(|node| Some(&node) != before.as_ref())
            }
            Condition::StandbyBehind { lag_bytes } => lag(events).is_some_and(|lag| lag >= lag_bytes),
            Condition::PendingRestart { everywhere } => all_pend(events, everywhere),
            Condition::AllFollow => all_follow(clusters, events),
            Condition::AllSeenFollowing => all_follow(clusters, events) && all_seen(clusters, events, after_us),
        }
    }
}

fn holder<'a>(events: impl Iterator<Item = &'a Event>) -> Option<&'a str> {
    let holders = events.filter_map(|event| match &event.what {
        Occurrence::LeaderKey { holder, .. } => Some(holder.as_deref()),
        _ => None,
    });
    holders.last().flatten()
}

/// The node, if the event says that it is a primary.
fn primary(event: &Event) -> Option<&str> {
    match &event.what {
        Occurrence::NodeState(state) if state.is_primary() => Some(&state.node),
        _ => None,
    }
}

/// How far the standby that is furthest behind is, by the last word of each node.
fn lag(events: &[Event]) -> Option<u64> {
    let mut standbys = BTreeMap::new();
    let mut written = None;
    for event in events {
        let Occurrence::NodeState(state) = &event.what else { continue };
        match (state.role, state.lsn) {
            (Some(Role::Primary), Some(lsn)) => {
                standbys.remove(&state.node);
                written = Some(lsn);
            }
            (Some(Role::Standby), Some(lsn)) => drop(standbys.insert(&state.node, lsn)),
            _ => {}
        }
    }
    let replayed = standbys.into_values().min()?;
    Some(written?.saturating_sub(replayed))
}

/// Whether by the last word of each agent all wait for a restart of PostgreSQL, or none does.
fn all_pend(events: &[Event], wanted: bool) -> bool {
    let states = events.iter().filter_map(|event| match &event.what {
        Occurrence::AgentState { node, reachable, pending_restart, .. } => {
            Some((node.as_str(), *reachable && *pending_restart == wanted))
        }
        _ => None,
    });
    let last: BTreeMap<&str, bool> = states.collect();
    !last.is_empty() && last.into_values().all(|is_so| is_so)
}

/// Whether all nodes are in their places by the last word of each.
fn all_follow(clusters: &[Cluster], events: &[Event]) -> bool {
    let mut last = BTreeMap::new();
    let given_up = given_up(clusters, events);
    for event in events {
        if let Occurrence::NodeState(state) = &event.what
            && !given_up.contains(&&state.node)
        {
            last.insert(&state.node, state);
        }
    }
    let (primaries, others): (Vec<_>, Vec<_>) = last.into_values().partition(|state| state.is_primary());
    let [primary] = primaries[..] else { return false };
    let rest: Vec<_> = others.into_iter().filter(|state| !state.streams_on(primary.timeline)).collect();
    // The leader of a cluster that takes its WAL from an archive alone streams from nobody.
    let shipped = |state: &&NodeState| clusters.iter().find(|own| own.is_shipped() && own.nodes.contains(&state.node));
    let clusters_led: BTreeSet<&str> = rest.iter().filter_map(shipped).map(|own| own.name.as_str()).collect();
    clusters_led.len() == rest.len() && rest.iter().all(|state| state.takes_from_an_archive())
}

/// When the leader of a cluster last refreshed its lease, after an instant.
fn last_refresh_us(events: &[Event], cluster: Option<&str>, after_us: u64) -> Option<u64> {
    let refreshed = |event: &&Event| match &event.what {
        Occurrence::LeaseRefreshed { cluster: of, .. } => of.as_deref() == cluster,
        _ => false,
    };
    events.iter().rev().find(refreshed).map(|event| event.at_us).filter(|at_us| *at_us > after_us)
}

/// Whether new clients that write or read lost service since the steady state, for longer than the verdict allows. `false`
/// once something was done to the system: what clients lose then has a cause.
fn steady_state_is_lost(seen: &[Event], probed: &[Event], steady_us: u64, now_us: u64) -> bool {
    if seen.iter().any(is_done_to_the_system) {
        return false;
    }
    let all = attempts(probed);
    [(WRITE, Operation::Write), (READ, Operation::Read)].into_iter().any(|(endpoint, operation)| {
        let own: Vec<_> = all.iter().copied().filter(|tried| tried.is_fresh(endpoint, operation)).collect();
        is_lost(&own, steady_us, now_us)
    })
}

/// Nodes of clusters that are left as they are.
fn given_up<'c>(clusters: &'c [Cluster], events: &[Event]) -> BTreeSet<&'c String> {
    let named: BTreeSet<&str> = events
        .iter()
        .filter_map(|event| match &event.what {
            Occurrence::Runbook { step: RunbookStep::GivenUp, cluster, .. } => Some(cluster.as_str()),
            _ => None,
        })
        .collect();
    clusters.iter().filter(|cluster| named.contains(cluster.name.as_str())).flat_map(|cluster| &cluster.nodes).collect()
}

/// Whether every node that was ever seen was seen again after an instant.
fn all_seen(clusters: &[Cluster], events: &[Event], after_us: u64) -> bool {
    let given_up = given_up(clusters, events);
    let states = events.iter().filter_map(|event| match &event.what {
        Occurrence::NodeState(state) if !given_up.contains(&&state.node) => Some((state.node.as_str(), event.at_us)),
        _ => None,
    });
    let last: BTreeMap<&str, u64> = states.collect();
    last.into_values().all(|at_us| at_us >= after_us)
}

/// What conditions read: everything that the history got of a scenario, but for the attempts of clients other than the
/// prober's before the first fault.
pub(super) struct Watch {
    clusters: Vec<Cluster>,
    seen: Arc<Mutex<Vec<Event>>>,
    /// The prober's attempts before the first fault.
    probed: Arc<Mutex<Vec<Event>>>,
    pub(super) readable: Arc<Readable>,
    grown: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    pub(super) fn start(recorder: &Recorder, clusters: Vec<Cluster>) -> Self {
        let (scenario, mut events) = (recorder.scenario(), recorder.listen());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (grow, grown) = watch::channel(0);
        let probed = Arc::new(Mutex::new(Vec::new()));
        let readable = Arc::new(Readable::default());
        let (kept, kept_probes, noted) = (seen.clone(), probed.clone(), readable.clone());
        let task = tokio::spawn(async move {
            let mut before_fault = true;
            loop {
                let event = match events.recv().await {
                    Ok(event) => event,
                    // What was missed may be what is waited for: then the deadline says so.
                    Err(RecvError::Lagged(_)) => continue,
                    Err(RecvError::Closed) => return,
                };
                if event.scenario != scenario {
                    continue;
                }
                if let Occurrence::Attempt(attempt) = &event.what {
                    noted.note(attempt);
                    if before_fault && attempt.client_kind == ClientKind::Fresh {
                        kept_probes.lock().unwrap_or_else(PoisonError::into_inner).push(Event::clone(&event));
                    }
                    continue;
                }
                before_fault &= !matches!(event.what, Occurrence::FaultInjecting(_));
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push(Event::clone(&event));
                grow.send_replace(kept.len());
            }
        });
        Self { clusters, seen, probed, readable, grown, task }
    }

    /// See [`steady_state_is_lost`].
    pub(super) fn steady_state_is_lost(&self, steady_us: u64, now_us: u64) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let probed = self.probed.lock().unwrap_or_else(PoisonError::into_inner);
        steady_state_is_lost(&seen, &probed, steady_us, now_us)
    }

    /// How late the harness's own timers fired at worst since an instant, in microseconds.
    pub(super) fn latest_timer_us(&self, since_us: u64) -> u64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let late = seen.iter().filter(|event| event.at_us >= since_us).filter_map(|event| match event.what {
            Occurrence::TimerLate { late_us } => Some(late_us),
            _ => None,
        });
        late.max().unwrap_or(0)
    }

    /// When the leader of a cluster last refreshed its lease, after an instant.
    pub(super) fn last_refresh_us(&self, cluster: Option<&str>, after_us: u64) -> Option<u64> {
        last_refresh_us(&self.seen.lock().unwrap_or_else(PoisonError::into_inner), cluster, after_us)
    }

    /// Waits until the leader of a cluster refreshes its lease, after an instant, and returns when it did.
    pub(super) async fn next_refresh_us(
        &self,
        cluster: Option<&str>,
        after_us: u64,
        deadline: Duration,
    ) -> Result<u64, NotReady> {
        let of = cluster.map(|name| format!(" of {name}")).unwrap_or_default();
        let what = format!("a refresh of the lease by the leader{of}");
        self.find(&what, deadline, |events| last_refresh_us(events, cluster, after_us)).await
    }

    /// Waits until the condition holds.
    pub(super) async fn wait(&self, condition: Condition, after_us: u64, deadline: Duration) -> Result<(), NotReady> {
        let holds = |events: &[Event]| condition.holds(&self.clusters, events, after_us).then_some(());
        self.find(&condition.to_string(), deadline, holds).await
    }

    /// Waits until something is found in the events.
    pub(super) async fn find<T>(
        &self,
        what: &str,
        deadline: Duration,
        found: impl Fn(&[Event]) -> Option<T>,
    ) -> Result<T, NotReady> {
        let begun = Instant::now();
        let mut grown = self.grown.clone();
        loop {
            grown.mark_unchanged();
            if let Some(found) = found(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)) {
                return Ok(found);
            }
            let left = deadline.saturating_sub(begun.elapsed());
            if !matches!(tokio::time::timeout(left, grown.changed()).await, Ok(Ok(()))) {
                return Err(NotReady::new(what, begun.elapsed(), "nothing in the history shows it"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::event::{Attempt, AttemptOutcome};

    fn event(at_us: u64, what: Occurrence) -> Event {
        Event { seq: at_us, at_us, scenario: 1, what }
    }

    fn key(at_us: u64, holder: Option<&str>) -> Event {
        let holder = holder.map(str::to_owned);
        event(
            at_us,
            Occurrence::LeaderKey { member: "node1".to_owned(), holder, revision: 1, initial: false, cluster: None },
        )
    }

    fn state(at_us: u64, node: &str, role: Role, lsn: u64) -> Event {
        let state = NodeState {
            node: node.to_owned(),
            reachable: true,
            role: Some(role),
            timeline: Some(1),
            lsn: Some(lsn),
            streaming_from: None,
            standbys: Default::default(),
            asked_us: None,
        };
        event(at_us, Occurrence::NodeState(state))
    }

    #[test]
    fn only_what_came_after_the_fault_counts() {
        let events = [key(1, Some("node1")), key(5, None), key(10, Some("node1"))];
        assert!(Condition::LeaderKeyGone.holds(&[], &events, 4));
        assert!(!Condition::LeaderKeyGone.holds(&[], &events, 6));
        assert!(Condition::LeaderElected.holds(&[], &events, 2));
        assert!(!Condition::LeaderElected.holds(&[], &events, 11));
    }

    #[tokio::test]
    async fn a_refresh_is_that_of_the_cluster_that_is_meant_and_its_deadline_names_what_did_not_come() {
        let of = |at_us, cluster: Option<&str>| {
            event(at_us, Occurrence::LeaseRefreshed { revision: 1, cluster: cluster.map(str::to_owned) })
        };
        let events = [of(3, None), of(7, None), of(9, Some("east"))];
        assert_eq!(last_refresh_us(&events, None, 0), Some(7));
        assert_eq!(last_refresh_us(&events, None, 7), None);
        assert_eq!(last_refresh_us(&events, Some("east"), 0), Some(9));

        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl")).unwrap().for_scenario(1);
        let watch = Watch::start(&recorder, Vec::new());
        let missed = watch.next_refresh_us(Some("east"), 0, Duration::from_millis(20)).await.unwrap_err().to_string();
        assert!(missed.starts_with("a refresh of the lease by the leader of east did not come within"), "{missed}");
        let waiting = watch.next_refresh_us(None, 0, Duration::from_secs(5));
        let refreshed = async { recorder.record(Occurrence::LeaseRefreshed { revision: 1, cluster: None }) };
        assert!(tokio::join!(waiting, refreshed).0.is_ok());
    }

    #[test]
    fn every_agent_has_to_wait_for_a_restart_or_none() {
        let says = |at_us, node: &str, pending_restart| {
            let (node, reachable, role, state, timeline) = (node.to_owned(), true, None, None, None);
            event(at_us, Occurrence::AgentState { node, reachable, role, state, timeline, pending_restart })
        };
        let holds = |everywhere, events: &[Event]| Condition::PendingRestart { everywhere }.holds(&[], events, 0);
        let some = [says(1, "node1", false), says(1, "node2", false), says(5, "node1", true)];
        assert!(!holds(true, &some) && !holds(false, &some) && !holds(false, &[]));
        assert!(holds(true, &[&some[..], &[says(6, "node2", true)]].concat()));
        assert!(holds(false, &[&some[..], &[says(7, "node1", false)]].concat()));
    }

    #[test]
    fn a_refreshed_key_elects_nobody_and_another_holder_does() {
        assert!(!Condition::LeaderElected.holds(&[], &[key(1, Some("node1")), key(5, Some("node1"))], 2));
        assert!(Condition::LeaderElected.holds(&[], &[key(1, Some("node1")), key(5, Some("node2"))], 2));
    }

    #[test]
    fn a_standby_on_the_timeline_that_was_left_does_not_follow() {
        let on = |at_us, node, role, timeline| {
            let Occurrence::NodeState(told) = state(at_us, node, role, 10).what else { unreachable!() };
            let streaming_from = (role == Role::Standby).then(|| "node2".to_owned());
            event(at_us, Occurrence::NodeState(NodeState { timeline: Some(timeline), streaming_from, ..told }))
        };
        let thawed = [on(1, "node1", Role::Primary, 2), on(5, "node2", Role::Primary, 3)];
        assert!(!Condition::AllFollow.holds(&[], &thawed, 0), "two primaries");
        let left = [&thawed[..], &[on(6, "node1", Role::Standby, 2)]].concat();
        assert!(!Condition::AllFollow.holds(&[], &left, 0), "before it is rewound");
        let back = [&left[..], &[on(9, "node1", Role::Standby, 3)]].concat();
        assert!(Condition::AllFollow.holds(&[], &back, 0));
        assert!(!Condition::AllSeenFollowing.holds(&[], &back, 6), "node2 was last seen before");
        let again = [&back[..], &[on(10, "node2", Role::Primary, 3)]].concat();
        assert!(Condition::AllSeenFollowing.holds(&[], &again, 6));
    }

    #[test]
    fn a_pause_that_the_verdict_would_not_allow_loses_the_steady_state_until_something_is_done() {
        let served = |started_us: u64, latency_us: u64| {
            let attempt = Attempt {
                client_kind: ClientKind::Fresh,
                endpoint: WRITE.to_owned(),
                operation: Operation::Write,
                client: 1,
                sequence: started_us,
                started_us,
                outcome: AttemptOutcome::Acknowledged { node: "node1".to_owned(), timeline: 1, lsn: 1 },
                saw: None,
                led_to: None,
            };
            event(started_us + latency_us, Occurrence::Attempt(attempt))
        };
        let probed = |hung_us: std::ops::Range<u64>| -> Vec<Event> {
            let starts = (0..60).map(|number| number * 100_000);
            let latency_us = |at_us| if hung_us.contains(&at_us) { hung_us.end - at_us } else { 4_000 };
            starts.map(|at_us| served(at_us, latency_us(at_us))).collect()
        };
        let now_us = 5_950_000;
        assert!(!steady_state_is_lost(&[], &probed(0..0), 1_000_000, now_us));
        assert!(
            !steady_state_is_lost(&[], &probed(2_000_000..2_150_000), 1_000_000, now_us),
            "too short to be noticed"
        );
        let pause = probed(2_000_000..2_500_000);
        assert!(steady_state_is_lost(&[], &pause, 1_000_000, now_us));
        assert!(!steady_state_is_lost(&[], &pause, 3_000_000, now_us), "reached again since");
        let step = Occurrence::Runbook {
            step: RunbookStep::Decided,
            cluster: "east".to_owned(),
            evidence: "the other region is gone".to_owned(),
        };
        assert!(!steady_state_is_lost(&[event(1_500_000, step)], &pause, 1_000_000, now_us));
    }

    #[test]
    fn a_promotion_is_another_primary_than_before() {
        let stays = [state(1, "node1", Role::Primary, 10), state(5, "node1", Role::Primary, 20)];
        assert!(!Condition::Promoted.holds(&[], &stays, 2));
        let moves = [state(1, "node1", Role::Primary, 10), state(5, "node2", Role::Primary, 20)];
        assert!(Condition::Promoted.holds(&[], &moves, 2));
    }

    #[test]
    fn the_lag_is_that_of_the_standby_furthest_behind() {
        let events = [
            state(1, "node1", Role::Primary, 3000),
            state(2, "node2", Role::Standby, 2900),
            state(3, "node3", Role::Standby, 1000),
        ];
        assert!(Condition::StandbyBehind { lag_bytes: 2000 }.holds(&[], &events, 0));
        assert!(!Condition::StandbyBehind { lag_bytes: 2001 }.holds(&[], &events, 0));
        let caught_up = [&events[..], &[state(4, "node3", Role::Standby, 3000)]].concat();
        assert!(!Condition::StandbyBehind { lag_bytes: 101 }.holds(&[], &caught_up, 0));
    }
}
