//! What makes a history itself doubtful: gaps, a clock that went back, events that can't be as they say.

use std::collections::BTreeMap;

use super::VERDICT;
use crate::{
    checks::{
        Evidence, Finding, Outcome,
        course::{record::reached_us, versions::unnamed},
    },
    history::{
        BrokenLine, Event, Occurrence,
        event::{ApplicationState, AttemptOutcome, ClientKind, Milestone},
    },
    plan::Plan,
    topology::Application,
};

/// Why the run as a whole proves less than its scenarios say, gathered as its events are read. Of each kind of doubt
/// the first is reported.
#[derive(Default)]
pub(super) struct Doubts {
    /// `seq` and `at_us` of the event before.
    before: Option<(u64, u64)>,
    gap: Option<String>,
    clock: Option<String>,
    late: Option<String>,
    /// The run's frame is not whole: it does not begin with its beginning, begins twice, or goes on after its end.
    frame: Option<String>,
    /// An event that only a scenario can have, and that names none.
    stray: Option<String>,
    failed: Vec<String>,
    /// What the run's end says of an interruption, when it came.
    ended: Option<Option<String>>,
}

impl Doubts {
    /// Takes the next event, and says whether others are missing before it.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        let gap = match self.before {
            None if event.seq != 1 => Some("the history's beginning is missing".to_owned()),
            Some((seq, _)) if seq.checked_add(1) != Some(event.seq) => {
                Some(format!("the history has a gap between event {seq} and event {}", event.seq))
            }
            _ => None,
        };
        let is_missing = gap.is_some();
        self.gap = self.gap.take().or(gap);
        if self.before.is_some_and(|(_, at_us)| event.at_us < at_us) && self.clock.is_none() {
            self.clock = Some(format!("the history's clock went back at event {}", event.seq));
        }
        if self.frame.is_none() {
            self.frame = self.broken_frame(event);
        }
        if event.scenario == 0 && self.stray.is_none() && !is_of_the_run(&event.what) {
            self.stray = Some(format!("event {} belongs to a scenario and does not say to which", event.seq));
        }
        self.before = Some((event.seq, event.at_us));
        match &event.what {
            Occurrence::StepFailed { text, message, .. } if event.scenario == 0 => {
                self.failed.push(format!("the run itself failed at {text}: {message}"));
            }
            Occurrence::GroundLost { reason } if event.scenario == 0 => {
                self.failed.push(format!("the run lost the ground that it stands on: {reason}"));
            }
            Occurrence::RunEnded { interrupted } => {
                let known = self.ended.take().flatten();
                self.ended = Some(known.or_else(|| interrupted.clone()));
            }
            _ => {}
        }
        is_missing
    }

    /// Why the run does not go from its beginning to its end, by its next event.
    fn broken_frame(&self, event: &Event) -> Option<String> {
        let begins = matches!(event.what, Occurrence::RunStarted(_)) && event.scenario == 0;
        match self.before {
            None if event.seq == 1 && !begins => Some("the history does not begin with the run's beginning".to_owned()),
            Some(_) if begins => Some(format!("another run begins at event {}", event.seq)),
            _ if self.ended.is_some() => Some(format!("event {} comes after the end of the run", event.seq)),
            _ => None,
        }
    }

    /// Takes an event of a scenario that has been judged.
    pub(super) fn take_late(&mut self, event: &Event) {
        self.late.get_or_insert_with(|| {
            format!("event {} belongs to scenario {}, which had ended before it", event.seq, event.scenario)
        });
    }

    pub(super) fn of_the_run(self, (broken, broken_count): (&[BrokenLine], u64)) -> Vec<String> {
        let mut doubts: Vec<String> = self.gap.into_iter().chain(self.clock).chain(self.late).collect();
        doubts.extend(self.frame.into_iter().chain(self.stray).chain(self.failed));
        match self.ended {
            Some(Some(reason)) => doubts.push(format!("the run was interrupted: {reason}")),
            Some(None) => {}
            None => doubts.push("the history breaks off before the end of the run".to_owned()),
        }
        doubts.extend(broken.iter().map(|BrokenLine { line, column, reason }| {
            format!("line {line} of the history is broken at column {column}, and left out: {reason}")
        }));
        let others = broken_count.saturating_sub(broken.len() as u64);
        if others > 0 {
            doubts.push(format!("{others} more lines of the history are broken, and left out"));
        }
        doubts
    }
}

/// What happens to a run, or in all scenarios that run at the time, and not in one of them.
fn is_of_the_run(what: &Occurrence) -> bool {
    matches!(
        what,
        Occurrence::RunStarted(_)
            | Occurrence::ImagesReady { .. }
            | Occurrence::RunEnded { .. }
            | Occurrence::StepFailed { .. }
            | Occurrence::GroundLost { .. }
            | Occurrence::TimerLate { .. }
    )
}

/// Events of a scenario that contradict themselves, each other or the plan: findings that leave it unproven at best.
pub(super) fn contradictions(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = Known::of(evidence);
    let kinds = [
        attempt_ends_before_it_starts,
        attempt_after_the_load,
        answered_by_another_node,
        before_its_beginning,
        effect_outside_of_its_proof,
        fault_out_of_order,
        not_in_the_plan,
        saw_what_nobody_had_begun,
        timeline_of_a_later_one,
        trial_out_of_range,
    ];
    for kind in kinds {
        let mut found = evidence.events.iter().filter_map(|event| kind(event, &known).map(|why| (event.seq, why)));
        if let Some((seq, why)) = found.next() {
            let more = match found.count() {
                0 => String::new(),
                more => format!(", and {more} more like it"),
            };
            let summary = format!("the history contradicts itself: event {seq}: {why}{more}");
            findings.push(Finding::new(VERDICT, Outcome::Inconclusive, summary).with_evidence([seq]));
        }
    }
    findings.extend(older_than_its_plan(evidence));
    findings
}

/// Versions that ran and that neither the topology nor an operator named: what reports and certificates show is then of others.
pub(super) fn unnamed_versions(evidence: &Evidence<'_>) -> impl Iterator<Item = Finding> {
    let finding = |(seq, why)| Finding::new(VERDICT, Outcome::Inconclusive, why).with_evidence([seq]);
    unnamed(evidence).into_iter().map(finding)
}

/// A history that names an older schema than its plan: one version writes both, and an older history is held to less.
fn older_than_its_plan(evidence: &Evidence<'_>) -> Option<Finding> {
    let (history, plan) = (evidence.run?.schema, evidence.plan.schema);
    let summary = format!("the plan has schema {plan} and the history schema {history}: they are not of one run");
    (history < plan).then(|| Finding::new(VERDICT, Outcome::Inconclusive, summary))
}

/// What events are held against.
struct Known<'e> {
    plan: &'e Plan,
    stopped_us: u64,
    /// The `seq` of the scenario's beginning; 0 if it is missing.
    began: u64,
    /// The `seq` of each fault's injection, first confirmation, first suspension, first healing and end.
    injected: BTreeMap<u32, u64>,
    confirmed: BTreeMap<u32, u64>,
    suspended: BTreeMap<u32, u64>,
    healing: BTreeMap<u32, u64>,
    healed: BTreeMap<u32, u64>,
    /// Of each client the writes that it began, in their order: when, and the highest number by then.
    begun: BTreeMap<u32, Vec<(u64, u64)>>,
}

impl<'e> Known<'e> {
    fn of(evidence: &Evidence<'e>) -> Self {
        let stopped_us = reached_us(evidence.events, Milestone::LoadStopped).unwrap_or(u64::MAX);
        let began = evidence.events.iter().find(|event| matches!(event.what, Occurrence::ScenarioStarted(_)));
        let [injected, confirmed, suspended, healing, healed] = [const { BTreeMap::new() }; 5];
        let began = began.map_or(0, |event| event.seq);
        let begun = begun(evidence);
        let mut known =
            Self { plan: evidence.plan, stopped_us, began, injected, confirmed, suspended, healing, healed, begun };
        for event in evidence.events {
            let (of_kind, fault) = match &event.what {
                Occurrence::FaultInjecting(injecting) => (&mut known.injected, injecting.fault),
                Occurrence::FaultConfirmed { fault, .. } => (&mut known.confirmed, *fault),
                Occurrence::FaultSuspended { fault, .. } => (&mut known.suspended, *fault),
                Occurrence::FaultHealing { fault } => (&mut known.healing, *fault),
                Occurrence::FaultHealed { fault, .. } => (&mut known.healed, *fault),
                _ => continue,
            };
            of_kind.entry(fault).or_insert(event.seq);
        }
        known
    }
}

/// The writes that each client began, in their order: when, and the highest number by then.
fn begun(evidence: &Evidence<'_>) -> BTreeMap<u32, Vec<(u64, u64)>> {
    let mut begun: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
    for tried in evidence.attempts().iter().filter(|tried| tried.is_write()) {
        let own = begun.entry(tried.attempt.client).or_default();
        let highest = own.last().map_or(0, |(_, highest)| *highest);
        own.push((tried.started_us(), highest.max(tried.attempt.sequence)));
    }
    begun
}

/// A read sees no row of a write that begins after it.
fn saw_what_nobody_had_begun(event: &Event, known: &Known<'_>) -> Option<String> {
    let Occurrence::Attempt(attempt) = &event.what else { return None };
    let (writer, newest) = attempt.saw.iter().flatten().find(|(writer, newest)| {
        let own = known.begun.get(writer).map(Vec::as_slice).unwrap_or_default();
        let until = own.partition_point(|(started_us, _)| *started_us <= event.at_us);
        **newest > until.checked_sub(1).map_or(0, |last| own[last].1)
    })?;
    Some(format!("a read saw row {newest} of client {writer}, which had not begun to write it"))
}

/// A scenario begins with its beginning. What happens to all that run at the time may have begun before.
fn before_its_beginning(event: &Event, known: &Known<'_>) -> Option<String> {
    (event.scenario > 0 && event.seq < known.began).then(|| "it came before the scenario's beginning".to_owned())
}

/// Hosts, endpoints, clusters and names that the plan does not have: then it is not the plan of this history.
fn not_in_the_plan(event: &Event, known: &Known<'_>) -> Option<String> {
    let plan = known.plan;
    // Also hosts that no cluster has: of buckets and of names.
    let is_host = |name: &str| plan.hosts().any(|host| host == name) || plan.topology.host_called(name).is_some();
    let is_cluster = |name: &str| plan.cluster(name).is_some();
    let unknown = |kind: &str, name: &str| Some(format!("the plan has no {kind} {name}"));
    let host = |name: &str| if is_host(name) { None } else { unknown("host", name) };
    match &event.what {
        Occurrence::Attempt(attempt) if plan.endpoint(&attempt.endpoint).is_none() => {
            // An application may know the nodes themselves, and no endpoint.
            let is_own = |own: &Application| own.endpoint == attempt.endpoint;
            let of_application = attempt.client_kind == ClientKind::Application;
            match of_application && plan.topology.applications.iter().any(is_own) {
                true => None,
                false => unknown("endpoint", &attempt.endpoint),
            }
        }
        Occurrence::ApplicationStarted { application, .. }
        | Occurrence::ApplicationState(ApplicationState { application, .. })
            if plan.topology.application(application).is_none() =>
        {
            unknown("application", application)
        }
        Occurrence::FaultInjecting(injecting) => {
            let services = injecting.services.iter().filter_map(|own| own.split('/').next());
            let before = injecting.primary_before.iter().chain(&injecting.dcs_leader_before).map(String::as_str);
            let mut named = injecting.hosts.iter().map(String::as_str).chain(services).chain(before);
            named.find(|own| *own != CLIENTS && !is_host(own)).and_then(host)
        }
        Occurrence::Runbook { cluster, .. } if !is_cluster(cluster) => unknown("cluster", cluster),
        Occurrence::LeaderKey { member, cluster, .. } => match cluster {
            Some(cluster) if !is_cluster(cluster) => unknown("cluster", cluster),
            None if plan.dcs.len() > 1 => Some("it does not say whose leader key changed".to_owned()),
            _ => host(member),
        },
        Occurrence::NameAnswer { name, .. } if plan.topology.global_name(name).is_none() => unknown("name", name),
        Occurrence::AddressHolder { address, .. } if plan.topology.virtual_address(address).is_none() => {
            unknown("virtual address", address)
        }
        Occurrence::PoolState(state) if !plan.poolers().any(|pooler| pooler.called == state.pooler) => {
            unknown("pooler", &state.pooler)
        }
        Occurrence::CommandRun(command) => host(&command.node),
        Occurrence::ConnectionsTried { tried } => {
            tried.iter().flat_map(|one| [&one.from, &one.to]).find_map(|name| host(name))
        }
        Occurrence::EntriesTried { tried } => tried.iter().find_map(|one| host(&one.host)),
        Occurrence::SlotState { node, .. }
        | Occurrence::Sessions { node, .. }
        | Occurrence::SlotAbsent { node, .. }
        | Occurrence::StandbySeen { node, .. }
        | Occurrence::AgentState { node, .. }
        | Occurrence::VersionTold { host: node, .. } => host(node),
        _ => None,
    }
}

/// What clients are called among the hosts that a fault hits.
const CLIENTS: &str = "clients";

fn attempt_after_the_load(event: &Event, known: &Known<'_>) -> Option<String> {
    let Occurrence::Attempt(attempt) = &event.what else { return None };
    let (sequence, client) = (attempt.sequence, attempt.client);
    (attempt.started_us > known.stopped_us)
        .then(|| format!("attempt {sequence} of client {client} started after the load had stopped"))
}

/// A node's own port is answered by that node.
fn answered_by_another_node(event: &Event, known: &Known<'_>) -> Option<String> {
    let Occurrence::Attempt(attempt) = &event.what else { return None };
    let AttemptOutcome::Acknowledged { node, .. } = &attempt.outcome else { return None };
    let endpoint = &attempt.endpoint;
    (known.plan.nodes.contains(endpoint) && endpoint != node).then(|| format!("{node} answered a client of {endpoint}"))
}

/// A fault is injected, confirmed once and healed once, and its number stands for one.
fn fault_out_of_order(event: &Event, known: &Known<'_>) -> Option<String> {
    let first = |of_kind: &BTreeMap<u32, u64>, fault: u32| of_kind.get(&fault).copied().unwrap_or(u64::MAX);
    let fault = match &event.what {
        Occurrence::FaultInjecting(injecting) => {
            let again = first(&known.injected, injecting.fault) < event.seq;
            return again.then(|| format!("two faults have the number {}", injecting.fault));
        }
        Occurrence::FaultConfirmed { fault, .. } if first(&known.confirmed, *fault) < event.seq => {
            return Some(format!("fault {fault} was confirmed before"));
        }
        Occurrence::FaultSuspended { by, .. } if first(&known.injected, *by) > event.seq => {
            return Some(format!("fault {by}, which suspends another, had not been injected"));
        }
        Occurrence::FaultHealed { fault, .. } if first(&known.healing, *fault) > event.seq => {
            return Some(format!("fault {fault} was gone and had not been healed"));
        }
        Occurrence::FaultConfirmed { fault, .. } | Occurrence::FaultChanged { fault, .. }
            if first(&known.healing, *fault) < event.seq =>
        {
            return Some(format!("fault {fault} was proven to bite after it had been healed"));
        }
        Occurrence::FaultResumed { fault, .. } if first(&known.suspended, *fault) > event.seq => {
            return Some(format!("fault {fault} was put back and had not been suspended"));
        }
        Occurrence::FaultConfirmed { fault, .. }
        | Occurrence::FaultUnconfirmed { fault, .. }
        | Occurrence::FaultChanged { fault, .. }
        | Occurrence::FaultSuspended { fault, .. }
        | Occurrence::FaultResumed { fault, .. }
        | Occurrence::FaultHealing { fault }
        | Occurrence::FaultHealed { fault, .. } => *fault,
        _ => return None,
    };
    if first(&known.healed, fault) < event.seq {
        return Some(format!("fault {fault} had been gone before"));
    }
    (first(&known.injected, fault) > event.seq).then(|| format!("fault {fault} had not been injected"))
}

/// Numbers of timelines rise along a history.
fn timeline_of_a_later_one(event: &Event, _: &Known<'_>) -> Option<String> {
    let Occurrence::TimelineSwitch { parent, timeline, .. } = &event.what else { return None };
    (parent >= timeline).then(|| format!("timeline {timeline} left timeline {parent}, which has no lower number"))
}

fn attempt_ends_before_it_starts(event: &Event, _: &Known<'_>) -> Option<String> {
    let Occurrence::Attempt(attempt) = &event.what else { return None };
    (attempt.started_us > event.at_us)
        .then(|| format!("attempt {} of client {} ended before it started", attempt.sequence, attempt.client))
}

fn effect_outside_of_its_proof(event: &Event, _: &Known<'_>) -> Option<String> {
    let Occurrence::FaultConfirmed { fault, effect_from_us, effect_to_us, .. } = &event.what else { return None };
    let ordered = effect_from_us <= effect_to_us && *effect_to_us <= event.at_us;
    (!ordered).then(|| {
        format!(
            "fault {fault} took effect between {effect_from_us} and {effect_to_us} us, by a proof of {} us",
            event.at_us
        )
    })
}

fn trial_out_of_range(event: &Event, _: &Known<'_>) -> Option<String> {
    let Occurrence::ScenarioStarted(started) = &event.what else { return None };
    let (trial, trials) = (started.trial, started.trials);
    (trial == 0 || trial > trials).then(|| format!("it is trial {trial} of {trials}"))
}

/// Where events of a scenario may be missing, rows of which it has no write may be theirs.
pub(super) fn without_gaps(findings: &mut [Finding]) {
    let of_unrecorded =
        |finding: &Finding| finding.measure.as_ref().is_some_and(|measure| measure.name == "unrecorded_rows");
    let failed = |finding: &&mut Finding| finding.outcome == Outcome::Fail && of_unrecorded(finding);
    for finding in findings.iter_mut().filter(failed) {
        finding.outcome = Outcome::Inconclusive;
        finding.summary += "; the history has a gap, so their writes may be among the events that are missing";
    }
}

/// Where the clock of a scenario's events goes back, no order and no span of time is proven; where its plan is not that
/// of its topology, nobody knows what ran. Nothing that was found there fails or passes.
pub(super) fn without_ground(evidence: &Evidence<'_>, findings: &mut Vec<Finding>) {
    let back = evidence.events.windows(2).find(|pair| pair[1].at_us < pair[0].at_us);
    let back = back.map(|pair| {
        let why =
            format!("the clock went back at event {}, so that no order of events and no time is proven", pair[1].seq);
        Finding::new(VERDICT, Outcome::Inconclusive, why).with_evidence([pair[1].seq])
    });
    let unfit = (!evidence.plan.fits_its_topology()).then(|| {
        let why = "the scenario's plan contradicts its own topology, so that nothing is proven by it";
        Finding::new(VERDICT, Outcome::Inconclusive, why)
    });
    let own: Vec<Finding> = back.into_iter().chain(unfit).collect();
    if !own.is_empty() {
        findings.iter_mut().for_each(|finding| finding.outcome = Outcome::Inconclusive);
        findings.extend(own);
    }
}
