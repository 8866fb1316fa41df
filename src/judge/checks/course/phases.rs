//! The client's outage after a fault, cut into the phases of a failover.
//!
//! Pure; the report draws from the same result. The phases follow each other without gaps, so they add up to the
//! outage exactly. An end that was not seen (an observer was blind) gives its time to the next phase and says so
//! ([`Phase::seen`]); an end that was seen too late or too early is brought between its neighbours.
//!
//! Which phases there are stands in [`table`]. Those of a failover follow the leader key; of an outage that a runbook ends by
//! promoting another cluster they follow its steps ([`runbook`]).

mod runbook;
pub mod table;

use serde::{Deserialize, Serialize};

pub use table::{PHASES, PhaseName, PhaseRow};

use super::{
    grouping::{Group, Watched, groups},
    onset::refined,
    outage::Outage,
    record::{FaultRecord, KeyChange, Tried},
    watched::WATCHDOG_RESET,
};
use crate::{
    checks::Evidence,
    history::{
        Occurrence,
        event::{AttemptOutcome, ClientKind, Operation},
    },
    plan::{PlannedDcs, PlannedEndpoint, PlannedPooler, PredictedFailover, Span},
};

/// One outage of the endpoint for writes, as fresh clients saw it, and what the cluster did meanwhile.
///
/// Times are microseconds on the run's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// The lineage whose endpoint it is of, where the scenario has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The faults that it follows. More than one when a fault struck before the outage of another had ended.
    pub faults: Vec<u32>,
    /// The fault surely had not taken effect before this instant …
    pub effect_from_us: u64,
    /// … and surely had at this one.
    pub effect_to_us: u64,
    /// When the longest outage began for clients (see [`super::outage`]); the fault's effect if there was none.
    pub outage_from_us: u64,
    /// The first acknowledged write of the following uninterrupted run; `None`: it never came.
    pub recovered_us: Option<u64>,
    /// Whether that run was watched long enough to call it one, or that there was no outage.
    pub settled: bool,
    /// Whether clients had lost service before the first fault, so that the outage is not the fault's alone.
    #[serde(default)]
    pub began_before_fault: bool,
    /// Every outage between this fault and the next; the longest is the one that is cut into phases. One that was open
    /// when the load ended stands alone, after those that ended.
    pub outages: Vec<Outage>,
    /// Until when clients tried.
    pub watched_until_us: u64,
    pub course: Course,
    /// The primary when the fault was injected.
    pub old_primary: Option<String>,
    /// The node that acknowledged the first write after the outage.
    pub new_primary: Option<String>,
    /// The raft leader of the DCS was lost too: its successor grants the lease its full time again.
    pub dcs_leader_lost: bool,
    /// When the balancer was seen to mark the old primary's server DOWN, if another node took over. Sessions through it that
    /// hang on a silent server are closed then.
    #[serde(default)]
    pub marked_down_us: Option<u64>,
    /// In the order of time, without gaps: they add up to the outage. Empty if there was no outage, or no end of it.
    pub phases: Vec<Phase>,
    /// What the settings predict for the whole outage, where they predict something.
    pub predicted: Option<Span>,
    /// `seq` of the events that show it.
    pub evidence: Vec<u64>,
}

/// How the cluster got its primary back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// No fresh attempt failed or stalled.
    NoOutage,
    /// Another member took the leader key over.
    Failover,
    /// Another cluster was promoted by a runbook.
    ClusterPromoted,
    /// The leader key stayed: the same node accepted writes again.
    RestartInPlace,
    /// Writes did not come back while clients tried.
    NotRecovered,
}

/// A phase of an outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: PhaseName,
    pub from_us: u64,
    pub to_us: u64,
    pub predicted: Option<Span>,
    /// Whether its end was seen. If not, the phase is empty and its time belongs to the next one.
    pub seen: bool,
}

impl Phase {
    pub fn duration_ms(&self) -> f64 {
        milliseconds(self.to_us.saturating_sub(self.from_us))
    }
}

impl Failover {
    /// How long fresh clients could not write; `None` if they never could again.
    pub fn outage_ms(&self) -> Option<f64> {
        self.recovered_us.map(|recovered_us| milliseconds(recovered_us.saturating_sub(self.outage_from_us)))
    }

    /// How much sooner the longest outage may have begun, where new connections alone show it and were tried rarely.
    pub fn onset_error_ms(&self) -> f64 {
        let longest = self.outages.iter().find(|outage| outage.from_us == self.outage_from_us);
        longest.map_or(0.0, |outage| milliseconds(outage.onset_error_us))
    }

    /// The fault's instant as well as it is known: when clients lost service, if that lies within the bracket of the
    /// confirmation (which is wide where the engine answers late), else the bracket's end.
    pub fn effect_us(&self) -> u64 {
        let felt = self.course != Course::NoOutage && self.outage_from_us <= self.effect_to_us;
        if felt { self.outage_from_us } else { self.effect_to_us }
    }

    /// Whether clients lost service with the fault, and not some time later.
    pub fn at_once(&self) -> bool {
        self.outage_from_us <= self.effect_to_us.saturating_add(AT_ONCE_US)
    }
}

/// What happened to writes after each fault, in the order of the faults.
///
/// A fault that was not confirmed has no known instant and is left out: the check `faults_took_effect` says so.
pub fn failovers(evidence: &Evidence<'_>) -> Vec<Failover> {
    let (all, endpoint) = (evidence.attempts(), evidence.write_endpoint());
    let is_fresh = |tried: &Tried<'_>| tried.is_fresh(endpoint, Operation::Write);
    let fresh: Vec<Tried<'_>> = all.iter().copied().filter(is_fresh).collect();
    let mut faults: Vec<FaultRecord<'_>> =
        evidence.faults().iter().filter(|fault| fault.effect.is_some()).cloned().collect();
    faults.sort_by_key(|fault| fault.effect.map(|effect| (effect.from_us, effect.to_us)));
    let mut found = Vec::new();
    for group in groups(&faults, &fresh, Watched::of(evidence.events)) {
        let scene = Scene { evidence, endpoint, all, fresh: &fresh, faults: group.faults };
        let outages =
            group.outages.iter().map(|outage| refined(*outage, group.window.from_us, (&fresh, all), endpoint));
        let (ended, open): (Vec<Outage>, Vec<Outage>) = outages.partition(|outage| outage.to_us.is_some());
        if open.is_empty() || !ended.is_empty() {
            found.push(scene.failover(&group, ended));
        }
        if !open.is_empty() {
            found.push(scene.failover(&group, open));
        }
    }
    found
}

/// What is needed to tell the course of one outage.
struct Scene<'s, 'e> {
    evidence: &'s Evidence<'e>,
    /// The name of the endpoint.
    endpoint: &'s str,
    all: &'s [Tried<'e>],
    fresh: &'s [Tried<'e>],
    faults: &'s [FaultRecord<'e>],
}

/// The end of a phase: when, and the event that shows it. `None`: not seen.
type End = Option<(u64, u64)>;

impl Scene<'_, '_> {
    fn failover(&self, group: &Group<'_, '_>, outages: Vec<Outage>) -> Failover {
        let (window, plan) = (group.window, self.evidence.whole);
        let effects = self.faults.iter().filter_map(|fault| fault.effect);
        let effect_from_us = effects.clone().next().map_or(window.from_us, |effect| effect.from_us);
        let last_start_us = self.fresh.last().map_or(window.from_us, Tried::started_us);
        let watched_until_us = window.until_us.min(last_start_us).max(window.from_us);
        let mut failover = Failover {
            of: None,
            faults: self.faults.iter().map(|fault| fault.injecting.fault).collect(),
            effect_from_us,
            effect_to_us: effects.clone().next().map_or(effect_from_us, |effect| effect.to_us),
            outage_from_us: effect_from_us,
            recovered_us: Some(effect_from_us),
            settled: group.watched && outages.iter().all(|outage| outage.settled),
            began_before_fault: group.began_before_fault,
            outages,
            watched_until_us,
            course: Course::NoOutage,
            old_primary: self.faults.iter().find_map(|fault| fault.injecting.primary_before.clone()),
            new_primary: None,
            dcs_leader_lost: false,
            marked_down_us: None,
            phases: Vec::new(),
            predicted: None,
            evidence: effects.map(|effect| effect.seq).collect(),
        };
        let longest = failover.outages.iter().copied().max_by_key(|outage| outage.length_us(watched_until_us));
        let until_us = longest.and_then(|outage| outage.to_us).unwrap_or(watched_until_us);
        let old = failover.old_primary.as_deref();
        let dcs = old.and_then(|old| plan.cluster_of(old)).or(self.evidence.leading()).and_then(|own| plan.dcs_of(own));
        failover.dcs_leader_lost = self.dcs_leader_lost(dcs, failover.effect_from_us, until_us);
        if let Some(longest) = longest {
            self.follow(&mut failover, longest);
        }
        failover
    }

    /// Whether the raft leader of the DCS was lost before this instant. Who leads is observed; without that, a fault that
    /// hits the leader must be taken for its loss.
    fn dcs_leader_lost(&self, dcs: Option<&PlannedDcs>, effect_from_us: u64, until_us: u64) -> bool {
        self.dcs_leader_moved(dcs, effect_from_us, until_us).unwrap_or_else(|| {
            let lost = |fault: &FaultRecord<'_>| {
                let leader = fault.injecting.dcs_leader_before.as_deref();
                let dcs = |leader: &str| self.evidence.whole.dcs_at(leader);
                leader.is_some_and(|leader| dcs(leader).is_some_and(|dcs| fault.hits(leader, dcs.kind.name())))
            };
            self.faults.iter().any(lost)
        })
    }

    /// Whether the member that led before the fault was seen not to lead any more; `None` if nobody saw who led.
    fn dcs_leader_moved(&self, dcs: Option<&PlannedDcs>, effect_from_us: u64, until_us: u64) -> Option<bool> {
        let is_own = |name: &Option<String>| name.is_none() || name.as_ref() == dcs.map(|dcs| &dcs.name);
        let told = self.evidence.events.iter().filter_map(|event| match &event.what {
            Occurrence::DcsLeader { member, dcs, .. } if is_own(dcs) => Some((event.at_us, member.as_deref())),
            _ => None,
        });
        let (_, before) = told.clone().take_while(|(at_us, _)| *at_us < effect_from_us).last()?;
        let before = before?;
        let mut since = told.filter(|(at_us, _)| (effect_from_us..=until_us).contains(at_us));
        Some(since.any(|(_, member)| member != Some(before)))
    }

    fn follow(&self, failover: &mut Failover, outage: Outage) {
        failover.outage_from_us = outage.from_us;
        failover.recovered_us = outage.to_us;
        failover.evidence.extend(outage.first_seq);
        failover.evidence.extend(outage.last_seq);
        let recovery = self.all.iter().find(|tried| Some(tried.seq) == outage.last_seq);
        let (Some(to_us), Some((winner, _))) = (outage.to_us, recovery.and_then(Tried::answered_by)) else {
            failover.course = Course::NotRecovered;
            return;
        };
        failover.new_primary = Some(winner.to_owned());
        let span = (outage.from_us, to_us);
        // The node that led before and writes again was promoted by nobody, whatever was tried meanwhile.
        let by_runbook = runbook::ends(self, winner, span).filter(|_| failover.old_primary.as_deref() != Some(winner));
        let ends = match by_runbook {
            Some(mut ends) => {
                failover.course = Course::ClusterPromoted;
                ends.extend(self.routed(winner, span.0, span, false));
                ends
            }
            None => self.ends(failover, winner, (span, outage.last_seq)),
        };
        failover.evidence.extend(ends.iter().filter_map(|(_, end)| end.map(|(_, seq)| seq)));
        failover.evidence.sort_unstable();
        failover.evidence.dedup();
        failover.phases = cut(span, ends);
        self.predict(failover);
    }

    /// The ends of the phases of a failover, or of a restart in place.
    fn ends(
        &self,
        failover: &mut Failover,
        winner: &str,
        (span, last_seq): ((u64, u64), Option<u64>),
    ) -> Vec<(PhaseName, End)> {
        let to_us = span.1;
        let seen = self.taken_over(winner, failover, to_us).map(|(gone, held)| (Some(gone), Some(held)));
        // Another node leads, and nobody saw how it got there.
        let replaced = failover.old_primary.as_deref().is_some_and(|old| old != winner);
        let Some((gone, held)) = seen.or(replaced.then_some((None, None))) else {
            failover.course = Course::RestartInPlace;
            let direct = self.direct_write_again(winner, span);
            let route = self.routed(winner, span.0, span, true);
            return Vec::from_iter(std::iter::once((PhaseName::Restart, direct)).chain(route));
        };
        failover.course = Course::Failover;
        let held_us = held.map_or(span.0, |(at_us, _)| at_us);
        let direct = self
            .first_direct_write(winner, held_us, to_us)
            .or_else(|| self.refused_until(winner, to_us).then_some((to_us, last_seq?)));
        let route = self.routed(winner, held_us.min(direct.map_or(to_us, |end| end.0)), span, false);
        let down = self.marked_down(failover, winner);
        failover.marked_down_us = down.map(|(at_us, _)| at_us);
        let routed_us = route.and_then(|(_, end)| end).map(|(at_us, _)| at_us);
        let came_last = |down: &(u64, u64)| {
            routed_us.is_some_and(|routed_us| down.0 > routed_us && down.0 <= to_us.saturating_add(TOLD_LATE_US))
        };
        let down = down.filter(came_last).map(|end| (PhaseName::MarkDown, Some(end)));
        let repointed = self.repointed(winner, held_us);
        let ends = [(PhaseName::Detect, gone), (PhaseName::Elect, held), (PhaseName::Promote, direct)];
        Vec::from_iter(ends.into_iter().chain(repointed).chain(route).chain(down))
    }

    /// The history of the leader key for which a node races.
    fn keys_for(&self, node: &str) -> &[KeyChange<'_>] {
        let cluster = self.evidence.whole.cluster_of(node).or(self.evidence.leading());
        cluster.map_or(&[], |cluster| self.evidence.leader_key_of(&cluster.name))
    }

    /// When the key was gone and when the winner held it, if it changed hands at all.
    fn taken_over(&self, winner: &str, failover: &Failover, until_us: u64) -> Option<((u64, u64), (u64, u64))> {
        let keys = self.keys_for(winner);
        let before = keys.iter().rposition(|change| change.at_us < failover.effect_from_us);
        let after = &keys[before.map_or(0, |index| index + 1)..];
        let old = failover.old_primary.as_deref().or(before.and_then(|index| keys[index].holder));
        let changed_hands = |change: &KeyChange<'_>| change.holder.is_some() && change.holder != old;
        after.iter().find(|change| changed_hands(change))?;
        let is_winner = |change: &KeyChange<'_>| change.holder == Some(winner);
        let index = after
            .iter()
            .rposition(|change| is_winner(change) && change.at_us <= until_us)
            // Told late: the write shows that it was held by then.
            .or_else(|| after.iter().position(is_winner))?;
        let held = (after[index].at_us, after[index].seq);
        let gone = after[..index].iter().find(|change| change.holder.is_none());
        Some((gone.map_or(held, |gone| (gone.at_us, gone.seq)), held))
    }

    /// The first write that the new primary acknowledged without a balancer's help.
    fn first_direct_write(&self, node: &str, from_us: u64, until_us: u64) -> End {
        let direct = self.all.iter().filter(|tried| is_direct_write(tried, node) && tried.acknowledged());
        let in_time =
            direct.filter(|tried| (from_us.saturating_sub(TOLD_LATE_US)..=until_us).contains(&tried.ended_us));
        in_time.map(|tried| (tried.ended_us, tried.seq)).min()
    }

    /// Whether the node itself refused direct writes until an instant, to the schedule of its prober. A balancer that has the
    /// node UP before it is promoted (it leads, and still restores WAL) sends clients there: then one of them is the first
    /// to write, and not the prober of the node, which tries less often.
    fn refused_until(&self, node: &str, until_us: u64) -> bool {
        let refused =
            |tried: &Tried<'_>| matches!(&tried.attempt.outcome, AttemptOutcome::Refused { sqlstate: Some(_), .. });
        let span = until_us.saturating_sub(TOLD_LATE_US)..=until_us;
        let own = self.all.iter().filter(|tried| tried.is_fresh(node, Operation::Write));
        own.filter(|tried| span.contains(&tried.started_us())).any(refused)
    }

    /// When the balancer was seen to mark the old primary's server DOWN, if another node took over.
    fn marked_down(&self, failover: &Failover, winner: &str) -> Option<(u64, u64)> {
        let old = failover.old_primary.as_deref().filter(|old| *old != winner)?;
        let mut told = self.balancer_states(old).filter(|(at_us, ..)| *at_us >= failover.effect_from_us);
        told.find(|(_, _, up)| !up).map(|(at_us, seq, _)| (at_us, seq))
    }

    /// What balancers tell of a server in the backends through which clients that write get to it: when, the event, whether
    /// it is UP.
    fn balancer_states(&self, server: &str) -> impl Iterator<Item = (u64, u64, bool)> {
        let fronts = self.fronts_of(server);
        self.evidence.events.iter().filter_map(move |event| match &event.what {
            Occurrence::ProxyState { proxy, backend, server: told, up, .. }
                if told == server && fronts.contains(&(proxy.as_str(), backend.as_str())) =>
            {
                Some((event.at_us, event.seq, *up))
            }
            _ => None,
        })
    }

    /// The balancers and backends through which clients that write get to a server: those of the endpoint. Where it leads to
    /// another cluster, or to a name, it is pointed at the endpoints of the server's own.
    fn fronts_of(&self, server: &str) -> Vec<(&str, &str)> {
        let plan = self.evidence.plan;
        let cluster = plan.cluster_of(server).map(|cluster| &cluster.name);
        let leads_there = |endpoint: &&PlannedEndpoint| cluster.is_none() || endpoint.of.as_ref() == cluster;
        let entry = plan.endpoint(self.endpoint).filter(leads_there);
        if let Some(entry) = entry.filter(|entry| plan.topology.host_called(&entry.at.host).is_some()) {
            return plan.fronts_for(entry).collect();
        }
        let own = plan.endpoints.iter().filter(|endpoint| endpoint.serves.is_for_writes()).filter(leads_there);
        own.flat_map(|endpoint| plan.fronts_for(endpoint)).collect()
    }

    /// The first direct write of the node after the last that failed in the outage.
    fn direct_write_again(&self, node: &str, span: (u64, u64)) -> End {
        // Fresh ones only: a held session that broke may stay broken.
        let own = |tried: &&Tried<'_>| tried.is_fresh(node, Operation::Write);
        let failed = |tried: &&Tried<'_>| {
            own(tried) && !tried.acknowledged() && tried.started_us() <= span.1 && tried.ended_us >= span.0
        };
        let last_failed_us = self.all.iter().filter(failed).map(Tried::started_us).max()?;
        // Once a new client gets through, whoever was first to be answered shows when.
        let again = self.all.iter().filter(|tried| is_direct_write(tried, node) && tried.started_us() > last_failed_us);
        again.map(|tried| (tried.ended_us, tried.seq)).min()
    }

    /// When the balancer took the node into its backend for writes; nothing to tell without one.
    fn routed(
        &self,
        node: &str,
        from_us: u64,
        span: (u64, u64),
        must_have_been_down: bool,
    ) -> Option<(PhaseName, End)> {
        self.evidence.plan.balancers().next().filter(|_| self.pools().is_empty())?;
        let mut down = !must_have_been_down;
        for (at_us, seq, up) in self.balancer_states(node).filter(|(at_us, ..)| *at_us >= span.0) {
            down |= !up;
            if up && down && at_us >= from_us.min(span.1) {
                // Told after the client's write, which shows that the server was up by then.
                return Some((PhaseName::Route, Some((at_us.min(span.1), seq))));
            }
        }
        Some((PhaseName::Route, None))
    }

    /// The pools that the endpoint's clients go through, if these lead to nodes of a role. A balancer before them leads to pools.
    fn pools(&self) -> Vec<PlannedPooler<'_>> {
        let plan = self.evidence.whole;
        plan.endpoint(self.endpoint).map_or_else(Vec::new, |endpoint| plan.pools_behind(endpoint))
    }

    /// When the last of these pools was seen to lead to the node alone; one that showed nothing any more has no clients either.
    fn repointed(&self, node: &str, from_us: u64) -> Option<(PhaseName, End)> {
        let leads_there = |pool: &PlannedPooler<'_>| {
            let mut seen = self.evidence.events.iter().filter(|event| event.at_us >= from_us);
            let seen = seen.find(|event| match &event.what {
                Occurrence::PoolState(state) => state.pooler == pool.called && state.leads_to == [node],
                _ => false,
            });
            seen.map(|event| (event.at_us, event.seq))
        };
        let pools = self.pools();
        (!pools.is_empty()).then(|| (PhaseName::RepointPools, pools.iter().filter_map(leads_there).max()))
    }

    /// Sets the predicted spans. They hold for the loss of the primary, whose key has to expire.
    fn predict(&self, failover: &mut Failover) {
        let plan = self.evidence.plan;
        let Some(old) = &failover.old_primary else { return };
        let lost = self.faults.iter().any(|fault| fault.hits_node(old) && !fault.injecting.hands_over);
        let predicts = self.evidence.plan.fails_over_by_itself();
        if !predicts
            || failover.course != Course::Failover
            || !lost
            || !failover.at_once()
            || failover.began_before_fault
        {
            return;
        }
        let cluster = plan.cluster_of(old).or(self.evidence.leading());
        let of_another = cluster.filter(|own| self.evidence.leading().is_some_and(|leading| leading.name != own.name));
        let predicted = &of_another.map_or(plan.predicted.clone(), |own| plan.predicted_of(own));
        let marked_down = failover.phases.iter().any(|phase| phase.name == PhaseName::MarkDown);
        let mark_down = cluster.and_then(|own| plan.predicted_mark_down(own)).filter(|_| marked_down);
        // A host that its watchdog has reset has left the lease alone for as long as the watchdog went unfed.
        let was_reset = self.faults.iter().any(|fault| fault.injecting.name == WATCHDOG_RESET && fault.hits_node(old));
        let after_reset = predicted.watchdog.filter(|_| was_reset).map(|watchdog| watchdog.detect);
        let predicted = &PredictedFailover { detect: after_reset.unwrap_or(predicted.detect), ..predicted.clone() };
        let routed = predicted.outage(failover.dcs_leader_lost);
        failover.predicted = Some(mark_down.map_or(routed, |mark_down| routed.later(mark_down)));
        let from_us = failover.outage_from_us;
        for phase in &mut failover.phases {
            phase.predicted = match phase.name {
                PhaseName::Detect if failover.dcs_leader_lost => Some(predicted.detect_with_dcs_leader),
                PhaseName::Detect => Some(predicted.detect),
                PhaseName::Elect => Some(predicted.elect),
                PhaseName::Promote => Some(predicted.promote),
                PhaseName::Route => Some(predicted.route),
                // Its clock began with the fault.
                PhaseName::MarkDown => mark_down.map(|span| span.after(phase.from_us.saturating_sub(from_us) / 1000)),
                _ => None,
            };
        }
    }
}

/// A watch may tell of the key, or of the balancer's server, a little later than a write that rests on it was seen; and a node's
/// own prober tries twice a second.
const TOLD_LATE_US: u64 = 1_000_000;
/// An outage that begins later than this after the fault is not the plain loss of a primary.
const AT_ONCE_US: u64 = 1_000_000;

fn is_direct_write(tried: &Tried<'_>, node: &str) -> bool {
    let answered = tried.answered_by().is_some_and(|(by, _)| by == node);
    let direct = tried.attempt.endpoint == node || tried.attempt.client_kind == ClientKind::Writer;
    tried.is_write() && answered && direct
}

/// Cuts the outage at the ends of its phases, in their order; the rest is the last phase.
fn cut(span: (u64, u64), ends: Vec<(PhaseName, End)>) -> Vec<Phase> {
    let mut phases = Vec::new();
    let mut from_us = span.0;
    for (name, end) in ends {
        let to_us = end.map_or(from_us, |(at_us, _)| at_us.clamp(from_us, span.1));
        phases.push(Phase { name, from_us, to_us, predicted: None, seen: end.is_some() });
        from_us = to_us;
    }
    phases.push(Phase { name: PhaseName::FirstWrite, from_us, to_us: span.1, predicted: None, seen: true });
    phases
}

/// Microseconds as milliseconds.
pub(crate) fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}
