//! What did each step of an upgrade cost: how long could clients not write, and how many standbys were left?
//!
//! Where an operator upgrades programs or restarts PostgreSQL, every fault is a step, also one that strikes in the middle. A step lasts
//! from its injection to the next one's, or to the end of the load, so that what it leaves undone is its own. Of each:
//!
//! - `step_outage_ms`: the write outages ([`super::course::outage`]) that began in it, each in its whole length, for a step's outage may
//!   outlast it. One that is open when the load ends, or has not settled, may be longer: a bound that it has not missed yet is in doubt.
//!   A step of no length, or with a second in which nobody tried to write, shows none.
//! - `streaming_least_nodes`: how many nodes streamed as standbys, when they were fewest, and `without_standby_ms`: for how long none
//!   did. By what the nodes say in SQL: each is looked at every 100 ms, and one that hangs is known as silent after a second. A node
//!   of which nothing was heard for longer than [`HEARD_WITHIN_US`] may have streamed or not: a bound that this leaves open is in
//!   doubt, as is one that a step keeps at whose end none streams.
//! - `step_lost_rows`: how many of the writes that were acknowledged in it the final primary does not hold; of the first step, those
//!   before it too, which only it can have lost.
//! - The versions before and after an upgrade, as observers read them from the programs, and which ran beside each other then. An
//!   upgrade whose version nobody saw run is in doubt, and so is a step that was not proven to take effect.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        bracket::{Bracket, Bracketed, held, outcome_of_open},
        grouping::Watched,
        ledgers::Ledgers,
        outage::{Outage, Window, outages},
        record::{FaultRecord, Tried, reached_us},
        versions::{UPGRADES, upgraded_by},
    },
};
use crate::{
    history::{
        Occurrence,
        event::{Expectation, Milestone, NodeState, Operation, Role},
    },
    quantity::written::value,
    services::versions::is_meant,
};

const NAME: &str = "operator_steps";
pub const STEP_OUTAGE_MS: &str = "step_outage_ms";
pub const STREAMING_LEAST_NODES: &str = "streaming_least_nodes";
pub const WITHOUT_STANDBY_MS: &str = "without_standby_ms";
pub const STEP_LOST_ROWS: &str = "step_lost_rows";
const STEP_MS: &str = "step_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "What did each step of an upgrade cost: for how long could clients not write, and how many standbys were left?",
    measures: &[STEP_OUTAGE_MS, STREAMING_LEAST_NODES, WITHOUT_STANDBY_MS, STEP_LOST_ROWS, STEP_MS],
    over: Over::Cluster,
    judge,
};

/// What a node told counts for this long. It is recorded once a second at least, and a look takes up to a second.
const HEARD_WITHIN_US: u64 = 2_500_000;
/// A step in which nobody tried to write for longer shows no outage. The prober tries a hundred times a second.
const TRIED_WITHIN_US: u64 = 1_000_000;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let steps = steps(evidence);
    let doubt = "no operator upgraded or restarted anything";
    let of = |step: &Step<'_, '_>| {
        let finding = step.finding(steps.len());
        evidence.held_by(NAME, vec![finding], doubt, |finding, expectation| step.hold(finding, expectation))
    };
    if steps.is_empty() { evidence.held(NAME, Vec::new(), doubt) } else { steps.iter().flat_map(of).collect() }
}

/// A step, and what it cost.
struct Step<'s, 'e> {
    /// Counted from 1.
    number: usize,
    fault: &'s FaultRecord<'e>,
    /// `None`: no fresh client tried to write.
    outage_us: Option<u64>,
    /// Whether an outage was open when the load ended.
    is_open: bool,
    lasted_us: u64,
    /// `None`: no final primary's ledger was read.
    lost_rows: Option<usize>,
    standbys: Standbys,
    upgrade: Option<Upgrade>,
}

/// How many nodes streamed as standbys during a step.
struct Standbys {
    of_nodes: usize,
    least: Bracket,
    without_us: Bracket,
    /// Whether none may have streamed when the step ended.
    is_open: bool,
}

/// What an upgrade changed, in words.
struct Upgrade {
    told: String,
    /// Hosts that nobody saw run what they should.
    unseen: Vec<String>,
    beside: String,
    shown: Vec<u64>,
}

fn steps<'s, 'e>(evidence: &'s Evidence<'e>) -> Vec<Step<'s, 'e>> {
    let own = |fault: &&FaultRecord<'e>| evidence.plan.hosts().any(|host| fault.touches(host)) || !evidence.is_part();
    let faults: Vec<&'s FaultRecord<'e>> = evidence.faults().iter().filter(own).collect();
    if !faults.iter().any(|fault| UPGRADES.iter().any(|(name, _)| *name == fault.injecting.name)) {
        return Vec::new();
    }
    let until_us = Watched::of(evidence.events).until_us.min(evidence.events.last().map_or(0, |last| last.at_us));
    let endpoint = evidence.write_endpoint();
    let fresh: Vec<Tried<'e>> =
        evidence.attempts().iter().copied().filter(|tried| tried.is_fresh(endpoint, Operation::Write)).collect();
    let starts_us: BTreeSet<u64> = fresh.iter().map(Tried::started_us).collect();
    let window = Window { from_us: faults[0].injecting_us, until_us, ended_by_fault: false };
    let outages = (!fresh.is_empty()).then(|| outages(&fresh, window));
    let lost = lost_us(evidence);
    let mut versions = Versions::before(evidence, faults[0].injecting_us);
    let one = |(index, fault): (usize, &&'s FaultRecord<'e>)| {
        let from_us = fault.injecting_us;
        let to_us =
            faults.get(index + 1).map_or(until_us, |next| next.injecting_us).clamp(from_us, until_us.max(from_us));
        let begun_in_it = |outage: &&Outage| (from_us..to_us).contains(&outage.from_us);
        let length = |outage: &Outage| outage.to_us.unwrap_or(until_us).saturating_sub(outage.from_us);
        let own: Vec<&Outage> = outages.iter().flatten().filter(begun_in_it).collect();
        // What the first step lost was acknowledged before it.
        let lost_from_us = if index == 0 { 0 } else { from_us };
        Step {
            number: index + 1,
            fault,
            outage_us: is_tried(&starts_us, from_us, to_us).then(|| own.iter().map(|outage| length(outage)).sum()),
            is_open: own.iter().any(|outage| outage.to_us.is_none() || !outage.settled),
            lasted_us: to_us - from_us,
            lost_rows: lost
                .as_ref()
                .map(|all| all.iter().filter(|at_us| (lost_from_us..to_us).contains(*at_us)).count()),
            standbys: standbys(evidence, from_us, to_us),
            upgrade: versions.after(fault, &faults[index + 1..]),
        }
    };
    faults.iter().enumerate().map(one).collect()
}

/// Whether clients tried to write all the time between two instants.
fn is_tried(starts_us: &BTreeSet<u64>, from_us: u64, to_us: u64) -> bool {
    let mut last_us = from_us;
    let within = starts_us.range(from_us..to_us).copied().chain([to_us]);
    let longest_us = within.fold(0, |longest_us: u64, at_us| {
        let gap_us = at_us - last_us;
        last_us = at_us;
        longest_us.max(gap_us)
    });
    from_us < to_us && longest_us <= TRIED_WITHIN_US
}

/// When each write was acknowledged that the final primary does not hold; `None`: what it holds is not known.
fn lost_us(evidence: &Evidence<'_>) -> Option<Vec<u64>> {
    let stopped_us = reached_us(evidence.events, Milestone::LoadStopped)?;
    let writes: Vec<Tried<'_>> = evidence.attempts().iter().copied().filter(Tried::is_write).collect();
    let ledgers = Ledgers::read(evidence, &writes, stopped_us);
    ledgers.timeline?;
    let kept = &ledgers.read.get(ledgers.primary?)?.rows;
    let is_kept = |tried: &&Tried<'_>| kept.contains(tried.attempt.client, tried.attempt.sequence);
    let lost = writes.iter().filter(|tried| tried.acknowledged() && !is_kept(tried));
    let lost: Vec<u64> = lost.map(|tried| tried.ended_us).collect();
    // That nothing is lost is for ledgers to show that contradict nothing.
    (!lost.is_empty() || ledgers.doubts.is_empty()).then_some(lost)
}

fn streams(state: &NodeState) -> bool {
    state.reachable && state.role == Some(Role::Standby) && state.streaming_from.is_some()
}

/// How many of the part's nodes streamed between two instants.
fn standbys(evidence: &Evidence<'_>, from_us: u64, to_us: u64) -> Standbys {
    let mut looks: BTreeMap<&str, Vec<(u64, bool)>> =
        evidence.plan.nodes.iter().map(|node| (node.as_str(), Vec::new())).collect();
    for event in evidence.events.iter().take_while(|event| event.at_us < to_us) {
        if let Occurrence::NodeState(state) = &event.what
            && let Some(own) = looks.get_mut(state.node.as_str())
        {
            own.push((event.at_us, streams(state)));
        }
    }
    let changes = looks.values().flatten().flat_map(|(at_us, _)| [*at_us, at_us.saturating_add(HEARD_WITHIN_US)]);
    let within = changes.filter(|at_us| (from_us..to_us).contains(at_us));
    let instants: BTreeSet<u64> = within.chain([from_us, to_us]).collect();
    let mut found = Standbys {
        of_nodes: looks.len(),
        least: Bracket { least: u64::MAX, most: u64::MAX },
        without_us: Bracket { least: 0, most: 0 },
        is_open: false,
    };
    let instants: Vec<u64> = instants.into_iter().collect();
    for pair in instants.windows(2) {
        let heard = |own: &Vec<(u64, bool)>| {
            let last = own.iter().rfind(|(at_us, _)| *at_us <= pair[0]);
            last.filter(|(at_us, _)| at_us.saturating_add(HEARD_WITHIN_US) > pair[0]).map(|(_, streams)| *streams)
        };
        let told: Vec<Option<bool>> = looks.values().map(heard).collect();
        let known = told.iter().filter(|heard| **heard == Some(true)).count() as u64;
        let possible = known + told.iter().filter(|heard| heard.is_none()).count() as u64;
        let length_us = pair[1] - pair[0];
        found.least.least = found.least.least.min(known);
        found.least.most = found.least.most.min(possible);
        found.without_us.least += if possible == 0 { length_us } else { 0 };
        found.without_us.most += if known == 0 { length_us } else { 0 };
        found.is_open = known == 0;
    }
    if instants.len() < 2 {
        found.least = Bracket { least: 0, most: looks.len() as u64 };
    }
    found
}

/// What observers saw of versions, and which runs where by now.
struct Versions<'a> {
    /// When, by which event, of which host, which program, which version.
    told: Vec<(u64, u64, &'a str, &'a str, &'a str)>,
    now: BTreeMap<(&'a str, &'a str), &'a str>,
}

impl<'a> Versions<'a> {
    fn before(evidence: &Evidence<'a>, first_us: u64) -> Self {
        let told = evidence.events.iter().filter_map(|event| match &event.what {
            Occurrence::VersionTold { host, program, version } if evidence.plan.hosts().any(|own| own == host) => {
                Some((event.at_us, event.seq, host.as_str(), program.as_str(), version.as_str()))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        let before = told.iter().filter(|(at_us, ..)| *at_us < first_us);
        let now = before.map(|(_, _, host, program, version)| ((*program, *host), *version)).collect();
        Self { told, now }
    }

    /// What an upgrade changed, of which the later steps are these; `None`: the step is none.
    fn after(&mut self, fault: &FaultRecord<'a>, later: &[&FaultRecord<'_>]) -> Option<Upgrade> {
        let name = fault.injecting.name.as_str();
        let program = upgraded_by(name)?;
        let wanted = fault.injecting.parameters.get("to").map_or("", String::as_str);
        let mut upgrade = Upgrade { told: String::new(), unseen: Vec::new(), beside: String::new(), shown: Vec::new() };
        let mut changes: BTreeSet<String> = BTreeSet::new();
        for host in &fault.injecting.hosts {
            let same = later.iter().find(|next| next.injecting.name == name && next.injecting.hosts.contains(host));
            let until_us = same.map_or(u64::MAX, |next| next.injecting_us);
            let own = |(at_us, _, on, of, _): &&(u64, u64, &str, &str, &str)| {
                on == host && *of == program && (fault.injecting_us..until_us).contains(at_us)
            };
            let before = self.now.get(&(program, host.as_str())).copied();
            let last = self.told.iter().rfind(own).copied();
            if let Some((_, seq, host, _, version)) = last {
                self.now.insert((program, host), version);
                upgrade.shown.push(seq);
            }
            // What ran before may be of the line that was asked for, too.
            let after = last.map(|(.., version)| version);
            if !after.is_some_and(|after| is_meant(wanted, after)) {
                upgrade.unseen.push(host.clone());
            }
            changes.insert(format!("{} to {}", before.unwrap_or("unknown"), after.unwrap_or("unknown")));
        }
        upgrade.told = format!("{program} {}", changes.into_iter().collect::<Vec<_>>().join(", "));
        upgrade.beside = self.beside(program);
        Some(upgrade)
    }

    /// Which versions of a program run where.
    fn beside(&self, program: &str) -> String {
        let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for ((_, host), version) in self.now.iter().filter(|((of, _), _)| *of == program) {
            hosts.entry(version).or_default().push(host);
        }
        let one = |(version, hosts): (&str, Vec<&str>)| format!("{version} on {}", hosts.join(", "));
        hosts.into_iter().map(one).collect::<Vec<_>>().join(" and ")
    }
}

impl Step<'_, '_> {
    fn measures(&self) -> [Bracketed; 2] {
        let least = &self.standbys.least;
        [
            Bracketed { name: STREAMING_LEAST_NODES, least: least.least as f64, most: least.most as f64 },
            Bracketed::of_time(WITHOUT_STANDBY_MS, self.standbys.without_us),
        ]
    }

    fn finding(&self, of: usize) -> Finding {
        let Self { number, fault, standbys, .. } = self;
        let [least, without] = self.measures();
        let (name, target) = (&fault.injecting.name, &fault.injecting.target);
        let versions = self.upgrade.as_ref().map(|own| format!(" ({})", own.told)).unwrap_or_default();
        let writes = match self.outage_us {
            None => "nobody tried to write".to_owned(),
            Some(0) => "clients could write all the time".to_owned(),
            Some(us) => format!("clients could not write for {}", value(STEP_OUTAGE_MS, us as f64 / 1000.0)),
        };
        let unheard = if least.least == least.most { "" } else { " (some were not heard of)" };
        let fewest = match least.least > 0.0 {
            true => format!("at least {} of {} nodes streamed as standbys", least.least, standbys.of_nodes),
            false => {
                let none = value(WITHOUT_STANDBY_MS, without.most);
                format!("for {none} none of {} nodes streamed as a standby", standbys.of_nodes)
            }
        };
        let lost = match self.lost_rows {
            None | Some(0) => String::new(),
            Some(1) => ", and 1 acknowledged write is lost".to_owned(),
            Some(rows) => format!(", and {rows} acknowledged writes are lost"),
        };
        let beside = self.upgrade.as_ref().filter(|own| !own.beside.is_empty());
        let beside = beside.map(|own| format!("; then {} ran", own.beside)).unwrap_or_default();
        let mut summary =
            format!("step {number} of {of}, {name} of {target}{versions}: {writes}{lost}; {fewest}{unheard}{beside}");
        let unseen = self.upgrade.as_ref().map(|own| own.unseen.join(", ")).filter(|hosts| !hosts.is_empty());
        if let Some(hosts) = &unseen {
            summary = format!("{summary}; nobody saw the version that was asked for run on {hosts}");
        }
        let is_unproven = fault.effect.is_none() || fault.unconfirmed.is_some();
        if is_unproven {
            summary = format!("{summary}; it was not proven to take effect");
        }
        let outcome = if unseen.is_some() || is_unproven { Outcome::Inconclusive } else { Outcome::Pass };
        let outage = self.outage_us.map(|us| Measure::new(STEP_OUTAGE_MS, us as f64 / 1000.0));
        let lost = self.lost_rows.map(|rows| Measure::new(STEP_LOST_ROWS, rows as f64));
        let details = [least.measure(), without.measure(), Measure::new(STEP_MS, self.lasted_us as f64 / 1000.0)];
        let seqs = self.upgrade.iter().flat_map(|own| own.shown.iter().copied());
        let evidence = seqs.chain([fault.seq]).chain(fault.effect.map(|effect| effect.seq));
        let finding = Finding::new(NAME, outcome, summary).with_evidence(evidence);
        finding.with_details(outage.into_iter().chain(lost).chain(details).collect())
    }

    fn hold(&self, finding: Finding, expectation: &Expectation) -> Finding {
        let before = finding.outcome;
        let own = held(finding, &self.measures(), expectation);
        let open_us = match expectation.measure.as_str() {
            STEP_OUTAGE_MS if self.is_open => self.outage_us,
            // The next step goes on without one, or the run ended so.
            WITHOUT_STANDBY_MS if self.standbys.is_open && own.outcome == Outcome::Pass => {
                Some(self.standbys.without_us.most)
            }
            _ => None,
        };
        match open_us {
            Some(us) => {
                let outcome = outcome_of_open(expectation.bound, us as f64 / 1000.0).max(before);
                Finding { outcome, ..own }
            }
            None => own,
        }
    }
}
