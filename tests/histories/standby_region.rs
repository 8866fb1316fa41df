//! Makes histories of two regions of which every instant is known: `east` leads, `west` follows over a slot.
//!
//! One writer has a write acknowledged every 10 ms, 4 ms after its begin. A look at a node every 250 ms takes 2 ms. Times are in
//! milliseconds from the run's start; the WAL grows as in [`super::course`]: 100 bytes a millisecond.

use std::collections::BTreeMap;

use pgquake_judge::{
    checks::{Evidence, Finding, Outcome, find},
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, Bound, ClientKind, Contact, Expectation, FaultInjecting, Milestone, NodeState,
            Operation, Role, RunbookStep, SequenceRange,
        },
    },
    plan::Plan,
    topology::load,
};

use super::course::{LATENCY_MS, lsn, number};

pub const STEADY_MS: u64 = 1_000;
pub const STOP_MS: u64 = 20_000;
pub const EAST: [&str; 3] = ["east1", "east2", "east3"];
pub const WEST: [&str; 3] = ["west1", "west2", "west3"];
const WRITER: u32 = 1;
const FIRST_WRITE_MS: u64 = 500;
const WRITE_EVERY_MS: u64 = 10;

/// What happens. The default is that all is well, 200 ms behind.
pub struct Regions {
    /// Nobody's writes begin in this time.
    pub idle_ms: (u64, u64),
    /// From then on east2 is primary, on timeline 2, which it began there.
    pub failover_ms: Option<u64>,
    /// How far behind a standby is at a time; `None`: it is not looked at.
    pub lag_ms: fn(&str, u64) -> Option<u64>,
    /// How old is what a session at `west-read` sees; `None`: it does not say.
    pub stale_ms: fn(u64) -> Option<u64>,
}

impl Default for Regions {
    fn default() -> Self {
        Self { idle_ms: (0, 0), failover_ms: None, lag_ms: |_, _| Some(200), stale_ms: |_| Some(200) }
    }
}

pub fn plan() -> Plan {
    Plan::new(load("two-region", &[]).unwrap())
}

pub fn event(ms: u64, what: Occurrence) -> Event {
    Event { seq: 0, at_us: ms * 1000, scenario: 1, what }
}

pub fn and(mut events: Vec<Event>, ms: u64, what: Occurrence) -> Vec<Event> {
    events.push(event(ms, what));
    number(events)
}

/// When the write of this sequence begins.
fn begun_ms(sequence: u64) -> u64 {
    FIRST_WRITE_MS + (sequence - 1) * WRITE_EVERY_MS
}

impl Regions {
    pub fn happen(&self) -> Vec<Event> {
        let mut events = vec![
            event(STEADY_MS, Occurrence::Reached { milestone: Milestone::SteadyState }),
            event(STOP_MS, Occurrence::Reached { milestone: Milestone::LoadStopped }),
        ];
        events.extend(self.writes());
        for ms in (250..STOP_MS).step_by(250) {
            events.extend(EAST.into_iter().chain(WEST).filter_map(|node| self.look(node, ms)));
        }
        for ms in (750..STOP_MS).step_by(500) {
            events.extend(WEST.map(|node| refused(node, ms, Some("25006"))));
            events.push(refused("west-write", ms, None));
        }
        events.extend((600..STOP_MS).step_by(20).zip(1..).map(|(ms, sequence)| self.read(ms, sequence)));
        for ms in (100..STOP_MS).step_by(1000) {
            events.push(event(ms, held("east1", 4096)));
            events.push(event(ms, held("east2", 8192)));
        }
        let switched =
            |ms| Occurrence::TimelineSwitch { node: "east2".to_owned(), parent: 1, timeline: 2, switch_lsn: lsn(ms) };
        events.extend(self.failover_ms.map(|ms| event(ms + 10, switched(ms))));
        events.extend(EAST.into_iter().chain(WEST).map(|node| event(STOP_MS + 500, self.ledger(node))));
        number(events)
    }

    fn primary(&self, ms: u64) -> (&'static str, u32) {
        if self.failover_ms.is_some_and(|at_ms| ms >= at_ms) { ("east2", 2) } else { ("east1", 1) }
    }

    fn sequences(&self) -> impl Iterator<Item = u64> {
        let idle = self.idle_ms.0..self.idle_ms.1;
        (1..=(STOP_MS - FIRST_WRITE_MS) / WRITE_EVERY_MS).filter(move |sequence| !idle.contains(&begun_ms(*sequence)))
    }

    fn writes(&self) -> impl Iterator<Item = Event> {
        self.sequences().map(|sequence| {
            let ms = begun_ms(sequence);
            let (node, timeline) = self.primary(ms);
            let outcome = AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: lsn(ms) };
            attempt(ClientKind::Writer, "write", (WRITER, sequence), ms, outcome)
        })
    }

    fn ledger(&self, node: &str) -> Occurrence {
        let found = self.sequences().map(|own| SequenceRange { client: WRITER, from: own, to: own }).collect();
        let timeline = self.primary(STOP_MS).1;
        Occurrence::LedgerRead { node: node.to_owned(), timeline, found, counts: None, role: None, lsn: None }
    }

    fn look(&self, node: &str, ms: u64) -> Option<Event> {
        let (primary, timeline) = self.primary(ms);
        let is_primary = node == primary;
        // The old primary is gone after a failover.
        if node == "east1" && !is_primary {
            return None;
        }
        let behind_ms = if is_primary { 0 } else { (self.lag_ms)(node, ms)? };
        let source = match node {
            "west1" => "primary-leader.us-east-1",
            "west2" | "west3" => "west1",
            _ => primary,
        };
        let replayed_ms = ms.saturating_sub(behind_ms);
        let state = NodeState {
            node: node.to_owned(),
            reachable: true,
            role: Some(if is_primary { Role::Primary } else { Role::Standby }),
            timeline: Some(if is_primary { timeline } else { self.primary(replayed_ms).1 }),
            lsn: Some(lsn(replayed_ms)),
            streaming_from: (!is_primary).then(|| source.to_owned()),
            standbys: BTreeMap::new(),
            asked_us: Some((ms - 2) * 1000),
        };
        Some(event(ms, Occurrence::NodeState(state)))
    }

    fn read(&self, ms: u64, sequence: u64) -> Event {
        let answered = AttemptOutcome::Acknowledged { node: "west2".to_owned(), timeline: 1, lsn: 0 };
        let mut read = attempt(ClientKind::Held, "west-read", (90, sequence), ms, answered);
        if let Occurrence::Attempt(own) = &mut read.what {
            // What had been begun by then is seen, as its row and its commit are at one position here.
            let newest = |seen_ms: u64| (seen_ms.saturating_sub(FIRST_WRITE_MS)) / WRITE_EVERY_MS + 1;
            own.operation = Operation::Read;
            own.saw = (self.stale_ms)(ms).map(|old_ms| BTreeMap::from([(WRITER, newest(ms.saturating_sub(old_ms)))]));
        }
        read
    }
}

pub fn attempt(kind: ClientKind, endpoint: &str, id: (u32, u64), ms: u64, outcome: AttemptOutcome) -> Event {
    let attempt = Attempt {
        client_kind: kind,
        endpoint: endpoint.to_owned(),
        operation: Operation::Write,
        client: id.0,
        sequence: id.1,
        started_us: ms * 1000,
        outcome,
        saw: None,
        led_to: None,
    };
    event(ms + LATENCY_MS, Occurrence::Attempt(attempt))
}

pub fn refused(endpoint: &str, ms: u64, sqlstate: Option<&str>) -> Event {
    let contact = if sqlstate.is_some() { Contact::Answer } else { Contact::Reset };
    let (sqlstate, message) = (sqlstate.map(str::to_owned), "refused".to_owned());
    let outcome = AttemptOutcome::Refused { sqlstate, message, contact: Some(contact) };
    attempt(ClientKind::Fresh, endpoint, (50, ms), ms, outcome)
}

/// A look at the slot of `west`.
pub fn held(node: &str, bytes: u64) -> Occurrence {
    Occurrence::SlotState {
        node: node.to_owned(),
        slot: "standby_cluster".to_owned(),
        active: true,
        held_bytes: Some(bytes),
        wal_status: Some("reserved".to_owned()),
    }
}

pub fn ordered(cluster: &str) -> Occurrence {
    let (cluster, evidence) = (cluster.to_owned(), "told".to_owned());
    Occurrence::Runbook { step: RunbookStep::PromotionOrdered, cluster, evidence }
}

pub fn fault() -> Occurrence {
    Occurrence::FaultInjecting(FaultInjecting {
        fault: 1,
        name: "host_crash".to_owned(),
        target: "the primary of east (east1)".to_owned(),
        hosts: vec!["east1".to_owned()],
        services: Vec::new(),
        parameters: BTreeMap::new(),
        hands_over: false,
        worst: Default::default(),
        primary_before: Some("east1".to_owned()),
        dcs_leader_before: None,
    })
}

/// What one check finds of these events, held to what is expected of its measures.
pub fn found(check: &str, events: &[Event], expected: &[(&str, Bound)]) -> Vec<Finding> {
    let expectation = |(measure, bound): &(&str, Bound)| {
        let (check, measure) = (check.to_owned(), (*measure).to_owned());
        event(
            1,
            Occurrence::Expected(Expectation {
                of: None,
                check,
                text: measure.clone(),
                measure,
                bound: *bound,
                line: 7,
            }),
        )
    };
    let events = number(events.iter().cloned().chain(expected.iter().map(expectation)).collect());
    (find(check).unwrap().judge)(&Evidence::new(&plan(), None, &events))
}

/// The outcome of the only expectation.
pub fn outcome(check: &str, events: &[Event], measure: &str, bound: Bound) -> Outcome {
    let mut own = found(check, events, &[(measure, bound)]);
    own.retain(|own| own.target.is_some());
    assert_eq!(own.len(), 1, "{own:#?}");
    own[0].outcome
}
