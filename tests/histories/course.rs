//! Makes the histories of the tests: a small cluster of which every instant is known, so that every figure of a
//! verdict can be worked out by hand. Deterministic: the same course gives the same events.
//!
//! node1 is the first primary, node2 takes over, node3 follows. Times are in milliseconds from the start of the
//! scenario. The settings are scaled down (a lease of 2 s) to keep the saved files small.

use std::collections::BTreeMap;

use pgquake_judge::{
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, Bound, ClientKind, Expectation, FaultInjecting, Milestone, NodeState, Operation,
            Role, RunStarted, ScenarioStarted, SequenceRange,
        },
    },
    plan::Plan,
    topology::{Endpoint, Endpoints, EtcdSettings, Host, PatroniSettings, Region, ServiceKind, Settings, Topology},
};

pub const LATENCY_MS: u64 = 4;
const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// What happens, and when.
#[derive(Debug, Clone)]
pub struct Course {
    pub scenario: u32,
    pub start_ms: u64,
    pub trial: u32,
    pub trials: u32,
    pub claims: Vec<&'static str>,
    pub control: Option<&'static str>,
    pub expected: Vec<(&'static str, &'static str, Bound)>,

    pub fault_ms: u64,
    pub confirmed: bool,
    pub dcs_leader: &'static str,
    /// The leader key gone and held; `None`: PostgreSQL was restarted in place.
    pub key: Option<(u64, u64)>,
    /// The node that writes afterwards accepts direct ones from here on …
    pub direct_ms: u64,
    /// … and the proxy sends clients there from here on.
    pub up_ms: u64,
    /// The proxy sends clients to the old primary until then.
    pub routed_until_ms: u64,
    /// The old primary accepts direct writes until then.
    pub old_until_ms: u64,
    pub heal_ms: u64,
    pub rejoined_ms: u64,
    pub stop_ms: u64,

    pub probe_every_ms: u64,
    /// Attempts of the prober in here succeed against everything else: lucky hits.
    pub lucky: Vec<u64>,
    /// Acknowledged in the last milliseconds before the fault and lost.
    pub lost_ms: u64,
    /// The writer's attempt that was in flight at the fault is there in the end.
    pub unknown_kept: bool,
    /// The observer of the leader key is silent from here on.
    pub blind_from_ms: u64,
}

impl Default for Course {
    /// A clean failover: 1104 ms without writes, nothing lost.
    fn default() -> Self {
        Self {
            scenario: 1,
            start_ms: 100,
            trial: 1,
            trials: 1,
            claims: Vec::new(),
            control: None,
            expected: Vec::new(),
            fault_ms: 2000,
            confirmed: true,
            dcs_leader: "node3",
            key: Some((2600, 2700)),
            direct_ms: 2900,
            up_ms: 3100,
            routed_until_ms: 2000,
            old_until_ms: 2000,
            heal_ms: 5150,
            rejoined_ms: 5350,
            stop_ms: 5400,
            probe_every_ms: 20,
            lucky: Vec::new(),
            lost_ms: 0,
            unknown_kept: false,
            blind_from_ms: u64::MAX,
        }
    }
}

/// The plan of all histories here.
pub fn plan(synchronous: bool) -> Plan {
    let host = |name: &str, services: &[ServiceKind]| Host {
        name: name.to_owned(),
        zone: None,
        aliases: Vec::new(),
        tags: Default::default(),
        services: services.iter().copied().map(Into::into).collect(),
    };
    let mut hosts: Vec<Host> =
        NODES.iter().map(|node| host(node, &[ServiceKind::Etcd, ServiceKind::Patroni])).collect();
    hosts.push(host("proxy1", &[ServiceKind::Haproxy]));
    let endpoint = |port| Endpoint { host: "proxy1".to_owned(), port, publish: None };
    let settings = Settings {
        patroni: PatroniSettings {
            ttl_s: 2,
            loop_wait_s: 1,
            retry_timeout_s: 0,
            synchronous_mode: synchronous,
            ..PatroniSettings::default()
        },
        etcd: EtcdSettings { heartbeat_interval_ms: 20, election_timeout_ms: 200, ..EtcdSettings::default() },
        ..Settings::default()
    };
    let plan = Plan::new(Topology {
        name: if synchronous { "synchronous" } else { "asynchronous" }.to_owned(),
        description: "a cluster whose every instant is known".to_owned(),
        follows: "none".to_owned(),
        regions: vec![Region { name: "region1".to_owned(), driver: Default::default(), hosts }],
        links: Vec::new(),
        endpoints: Endpoints::write_and_read(endpoint(5000), None),
        clusters: Vec::new(),
        region_links: Vec::new(),
        names: Vec::new(),
        virtual_addresses: Vec::new(),
        networks: Vec::new(),
        firewall: None,
        buckets: Vec::new(),
        backups: Vec::new(),
        own: Default::default(),
        subscriptions: Vec::new(),
        applications: Vec::new(),
        tls: Default::default(),
        prepare: Default::default(),
        settings,
        claims: Vec::new(),
    });
    // As the histories of these tests: saved ones have no number.
    Plan { schema: 1, ..plan }
}

/// A whole run of these courses, one after the other.
pub fn run(courses: &[Course]) -> Vec<Event> {
    let mut events = vec![event(0, 0, Occurrence::RunStarted(run_started()))];
    let mut end_ms = 0;
    for course in courses {
        let own = Happening { course, events: Vec::new() }.happen();
        end_ms = own.iter().map(|event| event.at_us).max().unwrap_or(0) / 1000 + 10;
        events.extend(own);
    }
    events.push(event(end_ms, 0, Occurrence::RunEnded { interrupted: None }));
    number(events)
}

/// Sorts events by time and numbers them.
pub fn number(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.at_us);
    for (seq, event) in (1..).zip(&mut events) {
        event.seq = seq;
    }
    events
}

fn event(at_ms: u64, scenario: u32, what: Occurrence) -> Event {
    Event { seq: 0, at_us: at_ms * 1000, scenario, what }
}

pub fn run_started() -> RunStarted {
    RunStarted {
        schema: 1,
        scenarios: 0,
        run: "saved".to_owned(),
        version: "0.0.0".to_owned(),
        seed: 1,
        started_at: "2025-01-01T00:00:00Z".to_owned(),
        machine: BTreeMap::new(),
        versions: BTreeMap::new(),
        arguments: Vec::new(),
        ..RunStarted::unknown()
    }
}

struct Happening<'c> {
    course: &'c Course,
    events: Vec<Event>,
}

impl Happening<'_> {
    fn happen(mut self) -> Vec<Event> {
        self.frame();
        self.fault();
        self.leader_key();
        self.observers();
        let mut kept = BTreeMap::new();
        self.clients(&mut kept);
        self.ledgers(&kept);
        self.at(self.course.stop_ms + 300, Occurrence::ScenarioEnded);
        self.events
    }

    fn at(&mut self, ms: u64, what: Occurrence) {
        self.events.push(event(self.course.start_ms + ms, self.course.scenario, what));
    }

    fn us(&self, ms: u64) -> u64 {
        (self.course.start_ms + ms) * 1000
    }

    fn frame(&mut self) {
        let course = self.course;
        self.at(
            0,
            Occurrence::ScenarioStarted(ScenarioStarted {
                feature: "Saved histories".to_owned(),
                name: "The primary dies".to_owned(),
                file: "features/saved.feature".to_owned(),
                line: 3,
                tags: Vec::new(),
                claims: course.claims.iter().map(|id| (*id).to_owned()).collect(),
                control: course.control.map(str::to_owned),
                trial: course.trial,
                trials: course.trials,
                begins_again: None,
                versions: Default::default(),
            }),
        );
        for (check, measure, bound) in &course.expected {
            let (check, measure, bound) = ((*check).to_owned(), (*measure).to_owned(), *bound);
            let text = format!("{measure} is {bound}");
            self.at(1, Occurrence::Expected(Expectation { of: None, check, measure, bound, text, line: 7 }));
        }
        self.at(2, Occurrence::ClusterReady { startup_ms: 4000 });
        for (ms, milestone) in [
            (500, Milestone::SteadyState),
            (course.up_ms + 2100, Milestone::Recovered),
            (course.rejoined_ms, Milestone::Rejoined),
            (course.stop_ms, Milestone::LoadStopped),
        ] {
            self.at(ms, Occurrence::Reached { milestone });
        }
    }

    fn fault(&mut self) {
        let course = self.course;
        let in_place = course.key.is_none();
        let parameters = in_place.then(|| ("process".to_owned(), "PostgreSQL".to_owned())).into_iter().collect();
        let services: &[&str] = if in_place { &["node1/patroni"] } else { &["node1/etcd", "node1/patroni"] };
        self.at(
            course.fault_ms - 20,
            Occurrence::FaultInjecting(FaultInjecting {
                fault: 1,
                name: if in_place { "process_kill" } else { "host_crash" }.to_owned(),
                target: "the primary (node1)".to_owned(),
                hosts: vec!["node1".to_owned()],
                services: services.iter().map(|service| (*service).to_owned()).collect(),
                parameters,
                hands_over: false,
                worst: Default::default(),
                primary_before: Some("node1".to_owned()),
                dcs_leader_before: Some(course.dcs_leader.to_owned()),
            }),
        );
        let confirmed = Occurrence::FaultConfirmed {
            fault: 1,
            effect_from_us: self.us(course.fault_ms - 15),
            effect_to_us: self.us(course.fault_ms + 30),
            evidence: "nothing answers".to_owned(),
        };
        let reason = "node1 still answers".to_owned();
        let told = if course.confirmed { confirmed } else { Occurrence::FaultUnconfirmed { fault: 1, reason } };
        self.at(course.fault_ms + 40, told);
        self.at(course.heal_ms, Occurrence::FaultHealing { fault: 1 });
        self.at(course.heal_ms + 100, Occurrence::FaultHealed { fault: 1, evidence: "node1 answers".to_owned() });
    }

    fn leader_key(&mut self) {
        let mut told = vec![(5, Some("node1"), 10, true)];
        if let Some((gone, held)) = self.course.key {
            told.extend([(gone, None, 20, false), (held, Some("node2"), 21, false)]);
        }
        for (ms, holder, revision, initial) in told {
            for (late_ms, member) in [(0, "node2"), (3, "node3")] {
                let (member, holder) = (member.to_owned(), holder.map(str::to_owned));
                self.at(ms + late_ms, Occurrence::LeaderKey { member, holder, revision, initial, cluster: None });
            }
        }
        self.proxy(6, "node1", true);
        self.proxy(self.course.fault_ms + 400, "node1", false);
        self.proxy(self.course.up_ms, self.winner(), true);
    }

    fn proxy(&mut self, ms: u64, server: &str, up: bool) {
        let (proxy, backend, server) = ("proxy1".to_owned(), "write".to_owned(), server.to_owned());
        let status = if up { "UP" } else { "DOWN" }.to_owned();
        self.at(ms, Occurrence::ProxyState { proxy, backend, server, up, status });
    }

    fn winner(&self) -> &'static str {
        if self.course.key.is_some() { "node2" } else { "node1" }
    }

    /// The timeline on which a node accepts writes at this moment, if it does.
    fn accepts(&self, node: &str, ms: u64) -> Option<u32> {
        let course = self.course;
        match (node, course.key) {
            ("node1", None) => (ms < course.fault_ms || ms >= course.direct_ms).then_some(1),
            ("node1", Some(_)) => (ms < course.old_until_ms).then_some(1),
            ("node2", Some(_)) => (ms >= course.direct_ms).then_some(2),
            _ => None,
        }
    }

    fn is_up(&self, node: &str, ms: u64) -> bool {
        let course = self.course;
        let back_ms = if course.key.is_some() { course.heal_ms } else { course.direct_ms };
        node != "node1" || ms < course.old_until_ms.max(course.fault_ms) || ms >= back_ms
    }

    /// Whether the fault took the whole host, and took it at once.
    fn is_silent(&self) -> bool {
        self.course.key.is_some() && self.course.confirmed && self.course.old_until_ms <= self.course.fault_ms
    }

    fn observers(&mut self) {
        let course = self.course;
        for second in 0..=course.stop_ms / 1000 {
            for node in NODES {
                self.node_state(second * 1000 + 10, node);
                self.alive(second * 1000 + 11, "node_state", node);
            }
            if second * 1000 < course.blind_from_ms {
                self.alive(second * 1000 + 12, "leader_key", "node2");
            }
            self.alive(second * 1000 + 13, "proxy_state", "proxy1");
            self.at(second * 1000 + 14, Occurrence::TimerLate { late_us: 800 });
        }
        self.node_state(course.rejoined_ms - 50, self.winner());
        self.node_state(course.rejoined_ms - 50, "node1");
        if course.key.is_some() {
            let (parent, timeline, switch_lsn) = (1, 2, lsn(course.fault_ms - course.lost_ms));
            let node = "node2".to_owned();
            self.at(course.direct_ms + 50, Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn });
        }
    }

    fn alive(&mut self, ms: u64, observer: &str, target: &str) {
        self.at(ms, Occurrence::ObserverAlive { observer: observer.to_owned(), target: target.to_owned() });
    }

    fn node_state(&mut self, ms: u64, node: &str) {
        let reachable = self.is_up(node, ms);
        let timeline = self.accepts(node, ms);
        let promoted = self.course.key.is_some() && ms >= self.course.direct_ms;
        let role = if timeline.is_some() { Role::Primary } else { Role::Standby };
        let follows = if promoted { ("node2", 2) } else { ("node1", 1) };
        let others = NODES.into_iter().filter(|other| *other != node && self.is_up(other, ms));
        let standbys = others.map(|other| (other.to_owned(), "async".to_owned())).collect();
        self.at(
            ms,
            Occurrence::NodeState(NodeState {
                node: node.to_owned(),
                reachable,
                role: reachable.then_some(role),
                timeline: reachable.then(|| timeline.unwrap_or(follows.1)),
                lsn: reachable.then(|| lsn(ms)),
                streaming_from: (reachable && role == Role::Standby).then(|| follows.0.to_owned()),
                standbys: if reachable && role == Role::Primary { standbys } else { BTreeMap::new() },
                asked_us: None,
            }),
        );
    }

    /// Every client's attempts; `kept` collects what the ledger holds in the end.
    fn clients(&mut self, kept: &mut BTreeMap<u32, Vec<u64>>) {
        let course = self.course;
        // Kind, endpoint, schedule, and from when to when.
        let end_ms = course.stop_ms - 10;
        let mut clients = vec![
            (ClientKind::Fresh, "write", course.probe_every_ms, 300, end_ms),
            (ClientKind::Writer, "write", 100, 230, end_ms),
            // In flight when the fault strikes.
            (ClientKind::Writer, "write", 100, 200 + course.fault_ms % 100 + 98, end_ms),
        ];
        for (node, first_ms) in NODES.into_iter().zip([400, 402, 404]) {
            clients.push((ClientKind::Fresh, node, 100, first_ms, end_ms));
        }
        if course.old_until_ms > course.fault_ms {
            // A session from before the fault, until it breaks.
            clients.push((ClientKind::Held, "node1", 20, course.fault_ms - 94, course.old_until_ms));
        }
        for (number, (kind, endpoint, every_ms, first_ms, until_ms)) in (1..).zip(clients) {
            let due = (first_ms..until_ms).step_by(every_ms as usize);
            for (sequence, ms) in (1..).zip(due) {
                if self.attempt(kind, endpoint, number, sequence, ms) {
                    kept.entry(number).or_default().push(sequence);
                }
            }
        }
    }

    /// One attempt; whether the ledger holds it in the end.
    fn attempt(&mut self, kind: ClientKind, endpoint: &str, client: u32, sequence: u64, ms: u64) -> bool {
        let course = self.course;
        let through_proxy = endpoint == "write";
        let node = match (through_proxy, ms < course.routed_until_ms) {
            (false, _) => endpoint,
            (true, true) => "node1",
            (true, false) => self.winner(),
        };
        let routed = !through_proxy || ms < course.routed_until_ms || ms >= course.up_ms || course.lucky.contains(&ms);
        let accepted = self.accepts(node, ms).filter(|_| routed);
        let dies_ms = if through_proxy { course.routed_until_ms } else { course.old_until_ms };
        let in_flight = node == "node1" && ms < dies_ms && ms + LATENCY_MS > dies_ms;
        let refused = |sqlstate: Option<&str>, message: &str| AttemptOutcome::Refused {
            sqlstate: sqlstate.map(str::to_owned),
            message: message.to_owned(),
            contact: None,
        };
        let outcome = match accepted {
            Some(_) if in_flight => AttemptOutcome::Unknown { message: "connection reset".to_owned() },
            Some(timeline) => AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: lsn(ms) },
            None if through_proxy => refused(None, "no connection"),
            // A host that is down is silent; where PostgreSQL alone is gone the kernel answers.
            None if !self.is_up(node, ms) && self.is_silent() => refused(None, "no session came in time"),
            None if !self.is_up(node, ms) => refused(None, "failed to connect: Connection refused (os error 111)"),
            None => refused(Some("25006"), "read-only transaction"),
        };
        // What the old primary wrote alone is rewound.
        let superseded = node == "node1" && course.key.is_some() && ms >= course.fault_ms - course.lost_ms;
        let kept = match outcome {
            AttemptOutcome::Acknowledged { .. } => !superseded,
            AttemptOutcome::Unknown { .. } => course.unknown_kept,
            AttemptOutcome::Refused { .. } => false,
        };
        let started_us = self.us(ms);
        let (endpoint, operation) = (endpoint.to_owned(), Operation::Write);
        let client_kind = kind;
        let attempt = Attempt {
            client_kind,
            endpoint,
            operation,
            client,
            sequence,
            started_us,
            outcome,
            saw: None,
            led_to: None,
        };
        self.at(ms + LATENCY_MS, Occurrence::Attempt(attempt));
        kept
    }

    fn ledgers(&mut self, kept: &BTreeMap<u32, Vec<u64>>) {
        let mut found: Vec<SequenceRange> = Vec::new();
        for (client, sequences) in kept {
            for sequence in sequences {
                match found.last_mut() {
                    Some(range) if range.client == *client && range.to + 1 == *sequence => range.to = *sequence,
                    _ => found.push(SequenceRange { client: *client, from: *sequence, to: *sequence }),
                }
            }
        }
        let timeline = if self.course.key.is_some() { 2 } else { 1 };
        for node in NODES {
            let (node, found) = (node.to_owned(), found.clone());
            self.at(
                self.course.stop_ms + 100,
                Occurrence::LedgerRead { node, timeline, found, counts: None, role: None, lsn: None },
            );
        }
    }
}

/// The WAL position at a time: 100 bytes a millisecond.
pub fn lsn(ms: u64) -> u64 {
    0x300_0000 + ms * 100
}
