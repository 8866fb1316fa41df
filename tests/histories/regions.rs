//! Makes histories of two clusters: `east` with a node that is primary from the beginning, and `west`, which follows it.
//! Times are as in `course`, with the same settings.

use std::collections::BTreeMap;

use pgquake_judge::{
    history::{
        Event, Occurrence,
        event::{
            Attempt, AttemptOutcome, ClientKind, Contact, FaultInjecting, Milestone, NodeState, Operation, Role,
            RunbookStep, ScenarioStarted, SequenceRange,
        },
    },
    plan::Plan,
    topology::Topology,
};
use serde_json::{Value, json};

use super::course::{self, LATENCY_MS, lsn, number};

pub const EAST: [&str; 3] = ["east1", "east2", "east3"];
pub const WEST: [&str; 3] = ["west1", "west2", "west3"];

/// A node accepts writes on a timeline, from one instant to another.
#[derive(Debug, Clone, Copy)]
pub struct Reign(pub &'static str, pub u32, pub u64, pub u64);

/// What happens, and when.
#[derive(Debug, Clone)]
pub struct Regions {
    /// West follows nobody.
    pub independent: bool,
    /// What dies, and when: hosts, and until when.
    pub faults: Vec<(&'static [&'static str], u64, Option<u64>)>,
    pub reigns: Vec<Reign>,
    /// Clients of an endpoint get to a node from this instant on; an empty name is nobody.
    pub routes: Vec<(&'static str, u64, &'static str)>,
    /// When a leader key changed, and who held it then; an empty name is nobody.
    pub keys: Vec<(u64, &'static str, &'static str)>,
    /// When a node told that a timeline left its parent, and where: the position of this instant.
    pub switches: Vec<(u64, &'static str, u32, u32, u64)>,
    pub runbook: Vec<(u64, RunbookStep, &'static str)>,
    /// Nodes that stream no more from an instant on.
    pub stuck: Vec<(&'static str, u64)>,
    /// From this instant on east follows west.
    pub rebuilt_ms: Option<u64>,
    /// What these nodes acknowledged from an instant on is lost.
    pub lost: Vec<(&'static str, u64)>,
    pub rejoined_ms: u64,
    pub stop_ms: u64,
}

impl Regions {
    /// The primary's host dies, and another node of its region takes over: nothing happens to the other region.
    pub fn in_region() -> Self {
        Self {
            independent: false,
            faults: vec![(&["east1"], 2000, Some(5150))],
            reigns: vec![Reign("east1", 1, 0, 2000), Reign("east2", 2, 2900, u64::MAX)],
            routes: vec![("write", 0, "east1"), ("write", 2000, ""), ("write", 3100, "east2")],
            keys: vec![(5, "east", "east1"), (5, "west", "west1"), (2600, "east", ""), (2700, "east", "east2")],
            switches: vec![(2950, "east2", 1, 2, 2000), (2990, "west1", 1, 2, 2000)],
            runbook: Vec::new(),
            stuck: Vec::new(),
            rebuilt_ms: None,
            lost: Vec::new(),
            rejoined_ms: 5350,
            stop_ms: 5400,
        }
    }

    /// The region is lost for good, and the other one is promoted by a runbook. What was acknowledged in the last 50 ms had
    /// not got there.
    pub fn promoted() -> Self {
        Self {
            faults: vec![(&["east1", "east2", "east3", "east-proxy"], 2000, None)],
            reigns: vec![Reign("east1", 1, 0, 2000), Reign("west1", 2, 2890, u64::MAX)],
            routes: vec![
                ("write", 0, "east1"),
                ("write", 2000, ""),
                ("write", 3100, "west1"),
                ("west-write", 3100, "west1"),
            ],
            keys: vec![(5, "east", "east1"), (5, "west", "west1")],
            switches: vec![(2950, "west1", 1, 2, 1950)],
            runbook: vec![
                (2600, RunbookStep::Decided, "east"),
                (2700, RunbookStep::PromotionOrdered, "west"),
                (2900, RunbookStep::Promoted, "west"),
                (3000, RunbookStep::Repointed, "west"),
                (5200, RunbookStep::GivenUp, "east"),
            ],
            lost: vec![("east1", 1950)],
            ..Self::in_region()
        }
    }

    /// As before, and the region had begun a timeline of its own, of which the other one knew nothing: it was cut off from the
    /// first fault on. So both begin a timeline 2.
    pub fn promoted_twice() -> Self {
        Self {
            faults: vec![(&["east1"], 2000, None), (&["east1", "east2", "east3", "east-proxy"], 6000, None)],
            reigns: vec![Reign("east1", 1, 0, 2000), Reign("east2", 2, 2900, 6000), Reign("west1", 2, 6890, u64::MAX)],
            routes: vec![
                ("write", 0, "east1"),
                ("write", 2000, ""),
                ("write", 3100, "east2"),
                ("write", 6000, ""),
                ("write", 7100, "west1"),
                ("west-write", 7100, "west1"),
            ],
            keys: vec![(5, "east", "east1"), (5, "west", "west1"), (2600, "east", ""), (2700, "east", "east2")],
            switches: vec![(2950, "east2", 1, 2, 2000), (6950, "west1", 1, 2, 1950)],
            runbook: vec![
                (6600, RunbookStep::Decided, "east"),
                (6700, RunbookStep::PromotionOrdered, "west"),
                (6900, RunbookStep::Promoted, "west"),
                (7000, RunbookStep::Repointed, "west"),
                (9200, RunbookStep::GivenUp, "east"),
            ],
            lost: vec![("east1", 1950), ("east2", 0)],
            rejoined_ms: 9350,
            stop_ms: 9400,
            ..Self::in_region()
        }
    }

    /// Two clusters that have nothing to do with each other.
    pub fn independent() -> Self {
        let mut own = Self::in_region();
        own.reigns.push(Reign("west1", 1, 0, u64::MAX));
        own.routes.push(("west-write", 0, "west1"));
        own.switches.pop();
        Self { independent: true, ..own }
    }

    /// The plan of this history.
    pub fn plan(&self) -> Plan {
        let node = |name: &str| json!({ "name": name, "services": ["etcd", "patroni"] });
        let region = |name: &str, nodes: [&str; 3], proxy: &str| {
            let mut hosts: Vec<Value> = nodes.iter().map(|name| node(name)).collect();
            hosts.push(json!({ "name": proxy, "aliases": [format!("leader-of-{name}")], "services": ["haproxy"] }));
            json!({ "name": name, "hosts": hosts })
        };
        let cluster =
            |name: &str, nodes: [&str; 3]| json!({ "name": name, "nodes": nodes, "dcs": nodes, "scope": name });
        let mut west = cluster("west", WEST);
        if !self.independent {
            west["follows"] = json!({ "cluster": "east", "host": "leader-of-region-east", "port": 5000 });
        }
        let endpoint = |name: &str, of: &str| json!({ "name": name, "serves": "primary", "of": of, "host": format!("{of}-proxy"), "port": 5000 });
        let topology = json!({
            "name": "two-clusters",
            "description": "two clusters whose every instant is known",
            "follows": "none",
            "regions": [region("region-east", EAST, "east-proxy"), region("region-west", WEST, "west-proxy")],
            "clusters": [cluster("east", EAST), west],
            "endpoints": [endpoint("write", "east"), endpoint("west-write", "west")],
            "settings": serde_json::to_value(&course::plan(false).topology.settings).unwrap(),
        });
        let topology: Topology = serde_json::from_value(topology).unwrap();
        Plan { schema: 1, ..Plan::new(topology) }
    }

    /// The whole run.
    pub fn events(&self) -> Vec<Event> {
        let mut events = vec![event(0, 0, Occurrence::RunStarted(course::run_started()))];
        let mut happening = Happening { course: self, events: Vec::new() };
        happening.happen();
        events.extend(happening.events);
        events.push(event(self.stop_ms + 600, 0, Occurrence::RunEnded { interrupted: None }));
        number(events)
    }
}

fn event(at_ms: u64, scenario: u32, what: Occurrence) -> Event {
    Event { seq: 0, at_us: at_ms * 1000, scenario, what }
}

fn cluster_of(node: &str) -> &'static str {
    if EAST.contains(&node) { "east" } else { "west" }
}

struct Happening<'c> {
    course: &'c Regions,
    events: Vec<Event>,
}

impl Happening<'_> {
    fn at(&mut self, ms: u64, what: Occurrence) {
        self.events.push(event(100 + ms, 1, what));
    }

    fn happen(&mut self) {
        self.frame();
        self.faults();
        self.signs();
        self.observers();
        let kept = self.clients();
        for node in EAST.into_iter().chain(WEST) {
            self.ledger(node, &kept);
        }
        self.at(self.course.stop_ms + 300, Occurrence::ScenarioEnded);
    }

    fn frame(&mut self) {
        let started = ScenarioStarted {
            feature: "Two clusters".to_owned(),
            name: "A region".to_owned(),
            file: "features/saved.feature".to_owned(),
            line: 3,
            tags: Vec::new(),
            claims: Vec::new(),
            control: None,
            trial: 1,
            trials: 1,
            begins_again: None,
            versions: Default::default(),
        };
        self.at(0, Occurrence::ScenarioStarted(started));
        let course = self.course;
        for (ms, milestone) in [
            (500, Milestone::SteadyState),
            (course.rejoined_ms - 10, Milestone::Recovered),
            (course.rejoined_ms, Milestone::Rejoined),
            (course.stop_ms, Milestone::LoadStopped),
        ] {
            self.at(ms, Occurrence::Reached { milestone });
        }
    }

    fn faults(&mut self) {
        for (fault, (hosts, ms, healed_ms)) in (1..).zip(self.course.faults.clone()) {
            let primary_before = self.course.reigns.iter().find(|own| (own.2..=own.3).contains(&(ms - 20)));
            let injecting = FaultInjecting {
                fault,
                name: "host_crash".to_owned(),
                target: hosts.join(", "),
                hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
                services: Vec::new(),
                parameters: BTreeMap::new(),
                hands_over: false,
                worst: Default::default(),
                primary_before: primary_before.map(|own| own.0.to_owned()),
                dcs_leader_before: Some("east3".to_owned()),
            };
            self.at(ms - 20, Occurrence::FaultInjecting(injecting));
            let (effect_from_us, effect_to_us) = ((100 + ms - 15) * 1000, (100 + ms + 30) * 1000);
            let evidence = "nothing answers".to_owned();
            self.at(ms + 40, Occurrence::FaultConfirmed { fault, effect_from_us, effect_to_us, evidence });
            if let Some(healed_ms) = healed_ms {
                self.at(healed_ms, Occurrence::FaultHealing { fault });
                self.at(healed_ms + 100, Occurrence::FaultHealed { fault, evidence: "it answers".to_owned() });
            }
        }
    }

    /// What the keys, the history files, the runbook and the balancers show.
    fn signs(&mut self) {
        let course = self.course;
        for (revision, (ms, cluster, holder)) in (10..).zip(course.keys.iter().copied()) {
            let holder = (!holder.is_empty()).then(|| holder.to_owned());
            let (member, initial, cluster) = (format!("{cluster}3"), ms < 100, Some(cluster.to_owned()));
            self.at(ms, Occurrence::LeaderKey { member, holder, revision, initial, cluster });
        }
        for (ms, node, parent, timeline, from_ms) in course.switches.iter().copied() {
            let (node, switch_lsn) = (node.to_owned(), lsn(from_ms));
            self.at(ms, Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn });
        }
        for (ms, step, cluster) in course.runbook.iter().copied() {
            let (cluster, evidence) = (cluster.to_owned(), "seen".to_owned());
            self.at(ms, Occurrence::Runbook { step, cluster, evidence });
        }
        for (endpoint, ms, node) in course.routes.iter().copied().filter(|route| !route.2.is_empty()) {
            // A name that leads to another region has that region's balancer.
            let backend = if cluster_of(node) == "west" { "west-write" } else { endpoint };
            let (proxy, server) = (format!("{}-proxy", cluster_of(node)), node.to_owned());
            let (backend, status) = (backend.to_owned(), "UP".to_owned());
            self.at(ms.max(6), Occurrence::ProxyState { proxy, backend, server, up: true, status });
        }
    }

    fn is_up(&self, host: &str, ms: u64) -> bool {
        let is_down = |(hosts, from_ms, until_ms): &(&[&str], u64, Option<u64>)| {
            hosts.contains(&host) && ms >= *from_ms && until_ms.is_none_or(|until_ms| ms < until_ms)
        };
        !self.course.faults.iter().any(is_down)
    }

    fn accepts(&self, node: &str, ms: u64) -> Option<u32> {
        let own = self.course.reigns.iter().find(|reign| reign.0 == node && (reign.2..reign.3).contains(&ms));
        own.filter(|_| self.is_up(node, ms)).map(|reign| reign.1)
    }

    /// Whom a standby follows, and by which name.
    fn followed(&self, node: &str, ms: u64) -> (Reign, String) {
        let own = cluster_of(node);
        let since = |cluster: &str| {
            let begun = self.course.reigns.iter().filter(|reign| reign.2 <= ms && cluster_of(reign.0) == cluster);
            begun.max_by_key(|reign| reign.2).copied()
        };
        let rebuilt = own == "east" && self.course.rebuilt_ms.is_some_and(|rebuilt_ms| ms >= rebuilt_ms);
        let inside = since(own).filter(|_| !rebuilt);
        let other = if own == "east" { "west" } else { "east" };
        let head = if own == "east" { EAST[0] } else { WEST[0] };
        match inside {
            Some(reign) => (reign, reign.0.to_owned()),
            None if node == head => (since(other).unwrap(), format!("leader-of-region-{other}")),
            None => (since(other).unwrap(), head.to_owned()),
        }
    }

    fn observers(&mut self) {
        for half_second in 0..=self.course.stop_ms / 500 {
            let ms = half_second * 500 + 10;
            for node in EAST.into_iter().chain(WEST) {
                self.node_state(ms, node);
                let (observer, target) = ("node_state".to_owned(), node.to_owned());
                self.at(ms + 1, Occurrence::ObserverAlive { observer, target });
            }
            self.at(ms + 4, Occurrence::TimerLate { late_us: 800 });
        }
        for node in EAST.into_iter().chain(WEST) {
            self.node_state(self.course.rejoined_ms - 50, node);
        }
    }

    fn node_state(&mut self, ms: u64, node: &str) {
        let reachable = self.is_up(node, ms);
        let accepts = self.accepts(node, ms);
        let stuck_ms = self.course.stuck.iter().find(|own| own.0 == node).map(|own| own.1);
        let is_stuck = stuck_ms.is_some_and(|stuck_ms| ms >= stuck_ms);
        let (followed, from) = self.followed(node, stuck_ms.map_or(ms, |stuck_ms| ms.min(stuck_ms)));
        let streams = reachable && accepts.is_none() && !is_stuck && self.is_up(followed.0, ms);
        let others = EAST.into_iter().chain(WEST).filter(|other| *other != node && self.is_up(other, ms));
        let standbys = others.map(|other| (other.to_owned(), "async".to_owned())).collect();
        let role = if accepts.is_some() { Role::Primary } else { Role::Standby };
        let state = NodeState {
            node: node.to_owned(),
            reachable,
            role: reachable.then_some(role),
            timeline: reachable.then(|| accepts.unwrap_or(followed.1)),
            lsn: reachable.then(|| lsn(ms)),
            asked_us: None,
            streaming_from: streams.then_some(from),
            standbys: if reachable { standbys } else { BTreeMap::new() },
        };
        self.at(ms, Occurrence::NodeState(state));
    }

    /// Every client's attempts. The rows that are there in the end, with the cluster of whom acknowledged them.
    fn clients(&mut self) -> Vec<(u32, u64, &'static str)> {
        let end_ms = self.course.stop_ms - 10;
        let mut clients = vec![
            (ClientKind::Fresh, "write", 20, 300),
            (ClientKind::Writer, "write", 100, 230),
            (ClientKind::Writer, "write", 100, 290),
            (ClientKind::Fresh, "west-write", 100, 310),
        ];
        clients.extend(EAST.into_iter().chain(WEST).zip(400..).map(|(node, ms)| (ClientKind::Fresh, node, 100, ms)));
        let mut kept = Vec::new();
        for (client, (kind, endpoint, every_ms, first_ms)) in (1..).zip(clients) {
            for (sequence, ms) in (1..).zip((first_ms..end_ms).step_by(every_ms)) {
                let of = self.attempt((kind, endpoint, client, sequence), ms);
                kept.extend(of.map(|cluster| (client, sequence, cluster)));
            }
        }
        kept
    }

    /// One attempt; the cluster of whom acknowledged it, if it is there in the end.
    fn attempt(&mut self, who: (ClientKind, &str, u32, u64), ms: u64) -> Option<&'static str> {
        let (client_kind, endpoint, client, sequence) = who;
        let routes = self.course.routes.iter().filter(|route| route.0 == endpoint && route.1 <= ms);
        let route = routes.max_by_key(|route| route.1).map(|route| route.2).unwrap_or_default();
        let node = if endpoint.ends_with("write") { route } else { endpoint };
        let accepted = self.accepts(node, ms);
        let refused = |sqlstate: Option<&str>, message: &str, contact| AttemptOutcome::Refused {
            sqlstate: sqlstate.map(str::to_owned),
            message: message.to_owned(),
            contact: Some(contact),
        };
        let repointed = self.course.runbook.iter().find(|done| done.1 == RunbookStep::Repointed);
        let is_repointed = endpoint == "west-write" || repointed.is_some_and(|done| ms >= done.0);
        let outcome = match accepted {
            Some(_) if !self.is_up(node, ms + LATENCY_MS) => AttemptOutcome::Unknown { message: "reset".to_owned() },
            Some(timeline) => AttemptOutcome::Acknowledged { node: node.to_owned(), timeline, lsn: lsn(ms) },
            None if node.is_empty() && is_repointed => refused(None, "no server is available", Contact::Reset),
            None if node.is_empty() || !self.is_up(node, ms) => {
                refused(None, "no session came in time", Contact::Silence)
            }
            None => refused(Some("25006"), "read-only transaction", Contact::Answer),
        };
        let is_lost = self.course.lost.iter().any(|lost| lost.0 == node && ms >= lost.1);
        let kept = matches!(outcome, AttemptOutcome::Acknowledged { .. }) && !is_lost;
        let attempt = Attempt {
            client_kind,
            endpoint: endpoint.to_owned(),
            operation: Operation::Write,
            client,
            sequence,
            started_us: (100 + ms) * 1000,
            saw: Default::default(),
            led_to: None,
            outcome,
        };
        self.at(ms + LATENCY_MS, Occurrence::Attempt(attempt));
        kept.then(|| cluster_of(node))
    }

    fn ledger(&mut self, node: &str, kept: &[(u32, u64, &str)]) {
        let ms = self.course.stop_ms + 100;
        if !self.is_up(node, ms) {
            let (node, reason) = (node.to_owned(), "no answer within 15 s".to_owned());
            return self.at(ms, Occurrence::LedgerUnread { node, reason });
        }
        let own = kept.iter().filter(|row| !self.course.independent || row.2 == cluster_of(node));
        let found = own.map(|row| SequenceRange { client: row.0, from: row.1, to: row.1 }).collect();
        let accepts = self.accepts(node, ms);
        let timeline = accepts.unwrap_or(self.followed(node, ms).0.1);
        let role = Some(if accepts.is_some() { Role::Primary } else { Role::Standby });
        let lsn = Some(lsn(ms));
        self.at(ms, Occurrence::LedgerRead { node: node.to_owned(), timeline, found, counts: None, role, lsn });
    }
}
