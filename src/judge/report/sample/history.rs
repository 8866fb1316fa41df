//! Synthetic histories for the tests of the formats: a failover as it was measured by hand, and one with two
//! writers.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    history::{
        Event,
        event::{
            Attempt, AttemptOutcome, Bound, ClientKind, Contact, Expectation, FaultInjecting, Milestone, NodeState,
            Occurrence, Operation, Role, RunStarted, ScenarioStarted, SequenceRange,
        },
    },
    plan::Plan,
};

/// Milliseconds of a failover; each counts from the fault's effect.
#[derive(Clone, Copy)]
pub struct Failover {
    /// Leader key gone.
    pub detected_ms: u64,
    /// Leader key held again.
    pub elected_ms: u64,
    /// The new primary accepts a direct write.
    pub promoted_ms: u64,
    /// The proxy's server is UP.
    pub routed_ms: u64,
    /// First write of the uninterrupted run.
    pub written_ms: u64,
    /// The old primary goes on acknowledging writes until then; 0: it died at once.
    pub old_writes_until_ms: u64,
}

/// A host kill with an outage of 28.8 s.
pub const HOST_KILL: Failover = Failover {
    detected_ms: 24_080,
    elected_ms: 24_390,
    promoted_ms: 25_310,
    routed_ms: 28_790,
    written_ms: 28_812,
    old_writes_until_ms: 0,
};

/// A frozen agent: the old primary is written to for 10.6 s beside the new one.
pub const TWO_WRITERS: Failover = Failover {
    detected_ms: 26_000,
    elected_ms: 26_200,
    promoted_ms: 26_900,
    routed_ms: 30_100,
    written_ms: 30_120,
    old_writes_until_ms: 37_500,
};

pub fn plan() -> Plan {
    let node = |name| json!({"name": name, "services": ["etcd", "patroni"]});
    let proxy = json!({"name": "proxy1", "services": ["haproxy"]});
    let topology = json!({
        "name": "single-region",
        "description": "Three nodes with etcd and Patroni, one HAProxy",
        "follows": "002",
        "regions": [{"name": "region1", "hosts": [node("node1"), node("node2"), node("node3"), proxy]}],
        "endpoints": {"write": {"host": "proxy1", "port": 5000}, "read": {"host": "proxy1", "port": 5001}},
    });
    Plan::new(serde_json::from_value(topology).unwrap())
}

pub fn run() -> RunStarted {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    RunStarted {
        schema: crate::history::event::SCHEMA,
        scenarios: 0,
        run: "20260301-101500-k3f9".to_owned(),
        version: "0.1.0".to_owned(),
        seed: 42,
        started_at: "2026-03-01T10:15:00Z".to_owned(),
        machine: map(&[("cores", "2"), ("memory", "24 GiB"), ("kernel", "6.1"), ("docker", "20.10.24")]),
        versions: map(&[("postgresql-17", "17.11"), ("patroni", "4.0.7"), ("etcd", "3.5.16"), ("haproxy", "3.0.11")]),
        arguments: ["pgquake", "run", "features/primary_loss.feature", "--trials", "3", "--seed", "42"]
            .map(str::to_owned)
            .to_vec(),
        ..RunStarted::unknown()
    }
}

pub fn started(name: &str, trial: u32, trials: u32) -> ScenarioStarted {
    ScenarioStarted {
        feature: "Loss of the primary".to_owned(),
        name: name.to_owned(),
        file: "features/primary_loss.feature".to_owned(),
        line: 12,
        tags: vec!["claim:RTO-30".to_owned()],
        claims: vec!["RTO-30".to_owned()],
        control: None,
        trial,
        trials,
        begins_again: None,
        versions: Default::default(),
    }
}

/// Collects events of one scenario; they are sorted and numbered in the end.
pub struct History {
    events: Vec<Event>,
    scenario: u32,
    start_us: u64,
}

impl History {
    fn at(&mut self, ms: u64, what: Occurrence) {
        self.events.push(Event { seq: 0, at_us: self.start_us + ms * 1000, scenario: self.scenario, what });
    }

    fn node(&mut self, ms: u64, node: &str, role: Option<(Role, u32)>, primary: &str) {
        let standby = matches!(role, Some((Role::Standby, _)));
        self.at(
            ms,
            Occurrence::NodeState(NodeState {
                node: node.to_owned(),
                reachable: role.is_some(),
                role: role.map(|(role, _)| role),
                timeline: role.map(|(_, timeline)| timeline),
                lsn: role.map(|_| 0x300_0000 + ms),
                streaming_from: standby.then(|| primary.to_owned()),
                standbys: BTreeMap::new(),
                asked_us: None,
            }),
        );
    }

    fn attempt(
        &mut self,
        ms: u64,
        kind: ClientKind,
        endpoint: &str,
        operation: Operation,
        answer: Option<(&str, u32)>,
    ) {
        let outcome = match answer {
            Some((node, timeline)) => AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: 0 },
            None => AttemptOutcome::Refused {
                sqlstate: None,
                message: "connection refused".to_owned(),
                contact: Some(Contact::Reset),
            },
        };
        let started_us = self.start_us + ms * 1000;
        self.at(
            ms + 3,
            Occurrence::Attempt(Attempt {
                client_kind: kind,
                endpoint: endpoint.to_owned(),
                operation,
                client: 1,
                sequence: ms,
                started_us,
                outcome,
                saw: None,
                led_to: None,
            }),
        );
    }

    fn leader_key(&mut self, ms: u64, holder: Option<&str>, revision: i64) {
        for (late_ms, member) in [(0, "node2"), (2, "node3")] {
            let (member, holder) = (member.to_owned(), holder.map(str::to_owned));
            self.at(
                ms + late_ms,
                Occurrence::LeaderKey { member, holder, revision, initial: revision == 1, cluster: None },
            );
        }
    }

    fn proxy(&mut self, ms: u64, server: &str, up: bool) {
        self.at(
            ms,
            Occurrence::ProxyState {
                proxy: "proxy1".to_owned(),
                backend: "write".to_owned(),
                server: server.to_owned(),
                up,
                status: if up { "UP" } else { "DOWN" }.to_owned(),
            },
        );
    }
}

/// The fault takes effect this long after the start of a scenario.
pub const FAULT_AT_MS: u64 = 12_000;
const END_MS: u64 = 75_000;

/// One scenario with a failover from node1 to node2.
pub fn scenario(number: u32, started: ScenarioStarted, failover: Failover) -> Vec<Event> {
    let mut history = History { events: Vec::new(), scenario: number, start_us: u64::from(number - 1) * 90_000_000 };
    let fault = FAULT_AT_MS;
    history.at(0, Occurrence::ScenarioStarted(started));
    for (line, text) in [
        (13, "Given the topology \"single-region\""),
        (14, "And 4 clients write 200 rows a second through the write endpoint"),
        (15, "When the primary's host dies"),
        (16, "Then writes succeed again within 30 s"),
    ] {
        history.at(line as u64, Occurrence::StepStarted { text: text.to_owned(), line });
    }
    history.at(
        20,
        Occurrence::Expected(Expectation {
            of: None,
            check: "recovery_time".to_owned(),
            measure: "write_outage_ms".to_owned(),
            bound: Bound::AtMost(30_000.0),
            text: "writes succeed again within 30 s".to_owned(),
            line: 16,
        }),
    );
    history.at(6_000, Occurrence::ClusterReady { startup_ms: 5_800 });
    history.at(8_000, Occurrence::Reached { milestone: Milestone::SteadyState });
    let dead = failover.old_writes_until_ms == 0;
    inject(&mut history, fault, dead);
    leader_key_and_proxy(&mut history, fault, failover);
    nodes(&mut history, fault, failover, dead);
    clients(&mut history, fault, failover, dead);
    history.at(fault + failover.written_ms + 3_000, Occurrence::Reached { milestone: Milestone::Recovered });
    history.at(58_000, Occurrence::FaultHealing { fault: 1 });
    history.at(58_400, Occurrence::FaultHealed { fault: 1, evidence: "node1 answers".to_owned() });
    history.at(64_000, Occurrence::Reached { milestone: Milestone::Rejoined });
    history.at(70_000, Occurrence::Reached { milestone: Milestone::LoadStopped });
    let found = vec![SequenceRange { client: 1, from: 1, to: 5 }];
    history.at(
        72_000,
        Occurrence::LedgerRead { node: "node2".to_owned(), timeline: 2, found, counts: None, role: None, lsn: None },
    );
    history.at(END_MS, Occurrence::ScenarioEnded);
    finish(history.events)
}

fn inject(history: &mut History, fault: u64, dead: bool) {
    let (name, target) =
        if dead { ("host_kill", "host node1 (primary)") } else { ("agent_freeze", "Patroni on node1") };
    history.at(
        fault - 100,
        Occurrence::FaultInjecting(FaultInjecting {
            fault: 1,
            name: name.to_owned(),
            target: target.to_owned(),
            hosts: vec!["node1".to_owned()],
            services: vec!["node1/etcd".to_owned(), "node1/patroni".to_owned()],
            parameters: BTreeMap::new(),
            hands_over: false,
            worst: Default::default(),
            primary_before: Some("node1".to_owned()),
            dcs_leader_before: Some("node3".to_owned()),
        }),
    );
    let effect_from_us = history.start_us + fault * 1000;
    history.at(
        fault + 180,
        Occurrence::FaultConfirmed {
            fault: 1,
            effect_from_us,
            effect_to_us: effect_from_us + 4_000,
            evidence: "every process of node1 is gone; its address answers nothing".to_owned(),
        },
    );
}

fn leader_key_and_proxy(history: &mut History, fault: u64, failover: Failover) {
    history.at(900, Occurrence::DcsLeader { member: Some("node3".to_owned()), dcs: None, before_us: None });
    history.leader_key(1_000, Some("node1"), 1);
    history.leader_key(fault + failover.detected_ms, None, 7);
    history.leader_key(fault + failover.elected_ms, Some("node2"), 8);
    for server in ["node1", "node2", "node3"] {
        history.proxy(1_500, server, server == "node1");
    }
    let down_ms = failover.old_writes_until_ms.max(5_400);
    history.proxy(fault + down_ms, "node1", false);
    history.proxy(fault + failover.routed_ms, "node2", true);
}

fn nodes(history: &mut History, fault: u64, failover: Failover, dead: bool) {
    let promoted = fault + failover.elected_ms + 600;
    for ms in (1_000..END_MS).step_by(1000) {
        let old = match ms {
            ms if ms < fault + failover.old_writes_until_ms => Some((Role::Primary, 1)),
            ms if ms > 61_000 || (!dead && ms > fault + 40_000) => Some((Role::Standby, 2)),
            _ => None,
        };
        let primary = if ms < promoted { "node1" } else { "node2" };
        let timeline = if ms < promoted { 1 } else { 2 };
        history.node(ms, "node1", old, "node2");
        let role = if ms < promoted { Role::Standby } else { Role::Primary };
        history.node(ms, "node2", Some((role, timeline)), primary);
        history.node(ms + 30, "node3", Some((Role::Standby, timeline)), primary);
    }
}

fn clients(history: &mut History, fault: u64, failover: Failover, dead: bool) {
    let until = fault + failover.old_writes_until_ms;
    let old_at = |ms: u64| (ms < until).then_some(("node1", 1));
    for ms in (7_000..70_000).step_by(20) {
        let new_direct = (ms >= fault + failover.promoted_ms).then_some(("node2", 2));
        let new_routed = (ms >= fault + failover.written_ms).then_some(("node2", 2));
        let flapped = (ms == fault + 24_000).then_some(("node1", 1)).filter(|_| !dead);
        history.attempt(ms, ClientKind::Fresh, "write", Operation::Write, old_at(ms).or(new_routed).or(flapped));
        if ms % 100 == 0 {
            let held = old_at(ms).or((ms >= fault + failover.written_ms + 200).then_some(("node2", 2)));
            history.attempt(ms, ClientKind::Held, "write", Operation::Write, held);
            history.attempt(ms, ClientKind::Writer, "write", Operation::Write, old_at(ms).or(new_routed));
            history.attempt(ms, ClientKind::Fresh, "node1", Operation::Write, old_at(ms));
            history.attempt(ms, ClientKind::Fresh, "node2", Operation::Write, new_direct);
            let read = (!(fault..fault + 2_000).contains(&ms) || ms % 300 != 0).then_some(("node3", 1));
            history.attempt(ms, ClientKind::Fresh, "read", Operation::Read, read);
        }
    }
}

/// Puts events in the order of the clock and numbers them.
pub fn finish(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.at_us);
    for (place, event) in events.iter_mut().enumerate() {
        event.seq = place as u64 + 1;
    }
    events
}
