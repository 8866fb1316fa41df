//! The client's outage after a fault, cut into the phases of a failover.
//!
//! Pure; the report draws from the same result. The phases follow each other without gaps, so they add up to the
//! outage exactly. An end that was not seen (an observer was blind) gives its time to the next phase and says so
//! ([`Phase::seen`]); an end that was seen too late or too early is brought between its neighbours.
//!
//! | phase | ends with |
//! | --- | --- |
//! | detect | the leader key gone, as the earliest etcd member tells it, at a revision after the fault |
//! | elect | the leader key held by the node that will acknowledge the recovering write |
//! | promote | the first write that this node acknowledges directly (its own port, or a writer's session) |
//! | restart | in place of these three, when the key never changed hands: the same node writes directly again |
//! | route | the proxy's server for this node UP in the backend `write` |
//! | mark down | the proxy's server for the old primary DOWN there, if that came last: until then it sends clients to both |
//! | first write | the client's recovery (see [`super::outage`]) |

use serde::{Deserialize, Serialize};

use super::{
    grouping::{Group, Watched, groups},
    onset::refined,
    outage::Outage,
    record::{FaultRecord, KeyChange, Tried},
};
use crate::{
    checks::Evidence,
    history::{
        Occurrence,
        event::{AttemptOutcome, ClientKind, Operation},
    },
    plan::Span,
};

/// The endpoint and the proxy's backend for writes.
pub use crate::topology::WRITE;

/// One outage of the `write` endpoint, as fresh clients saw it, and what the cluster did meanwhile.
///
/// Times are microseconds on the run's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failover {
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
    /// When the proxy was seen to mark the old primary's server DOWN, if another node took over. Sessions through the proxy
    /// that hang on a silent server are closed then.
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
    /// The leader key stayed: the same node accepted writes again.
    RestartInPlace,
    /// Writes did not come back while clients tried.
    NotRecovered,
}

/// The phases, each from the end of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PhaseName {
    /// Fault to leader key gone.
    Detect,
    /// Leader key gone to leader key held by another member.
    Elect,
    /// Leader key held to a write on the new primary.
    Promote,
    /// Fault to a write on the same node, when PostgreSQL was restarted in place of a failover.
    Restart,
    /// A write is possible on the node to the proxy's server UP.
    Route,
    /// The proxy's server for the new primary is UP to the one for the old primary DOWN: until then clients are sent to
    /// either. Only where it took time.
    MarkDown,
    /// The proxy's server is UP to the first acknowledged write of the client.
    FirstWrite,
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

impl PhaseName {
    /// Every phase, in the order in which they can come.
    pub const ALL: [PhaseName; 7] = [
        PhaseName::Detect,
        PhaseName::Elect,
        PhaseName::Promote,
        PhaseName::Restart,
        PhaseName::Route,
        PhaseName::MarkDown,
        PhaseName::FirstWrite,
    ];

    /// The name in reports, and in steps.
    pub fn name(self) -> &'static str {
        match self {
            PhaseName::Detect => "detect",
            PhaseName::Elect => "elect",
            PhaseName::Promote => "promote",
            PhaseName::Restart => "restart",
            PhaseName::Route => "route",
            PhaseName::MarkDown => "mark down",
            PhaseName::FirstWrite => "first write",
        }
    }

    /// The name of its measure.
    pub const fn measure(self) -> &'static str {
        match self {
            PhaseName::Detect => "detect_ms",
            PhaseName::Elect => "elect_ms",
            PhaseName::Promote => "promote_ms",
            PhaseName::Restart => "restart_ms",
            PhaseName::Route => "route_ms",
            PhaseName::MarkDown => "mark_down_ms",
            PhaseName::FirstWrite => "first_write_ms",
        }
    }
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
    let all = evidence.attempts();
    let fresh: Vec<Tried<'_>> = all.iter().copied().filter(|tried| tried.is_fresh(WRITE, Operation::Write)).collect();
    let mut faults: Vec<FaultRecord<'_>> =
        evidence.faults().iter().filter(|fault| fault.effect.is_some()).cloned().collect();
    faults.sort_by_key(|fault| fault.effect.map(|effect| (effect.from_us, effect.to_us)));
    let keys = evidence.leader_key();
    let mut found = Vec::new();
    for group in groups(&faults, &fresh, Watched::of(evidence.events)) {
        let scene = Scene { evidence, all, fresh: &fresh, keys, faults: group.faults };
        let outages = group.outages.iter().map(|outage| refined(*outage, group.window.from_us, &fresh, all));
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
    all: &'s [Tried<'e>],
    fresh: &'s [Tried<'e>],
    keys: &'s [KeyChange<'e>],
    faults: &'s [FaultRecord<'e>],
}

/// The end of a phase: when, and the event that shows it. `None`: not seen.
type End = Option<(u64, u64)>;

impl Scene<'_, '_> {
    fn failover(&self, group: &Group<'_, '_>, outages: Vec<Outage>) -> Failover {
        let window = group.window;
        let effects = self.faults.iter().filter_map(|fault| fault.effect);
        let effect_from_us = effects.clone().next().map_or(window.from_us, |effect| effect.from_us);
        let last_start_us = self.fresh.last().map_or(window.from_us, Tried::started_us);
        let watched_until_us = window.until_us.min(last_start_us).max(window.from_us);
        let mut failover = Failover {
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
        failover.dcs_leader_lost = self.dcs_leader_lost(failover.effect_from_us, until_us);
        if let Some(longest) = longest {
            self.follow(&mut failover, longest);
        }
        failover
    }

    /// Whether the raft leader of the DCS was lost before this instant. Who leads is observed; without that, a fault that
    /// hits the leader must be taken for its loss.
    fn dcs_leader_lost(&self, effect_from_us: u64, until_us: u64) -> bool {
        self.dcs_leader_moved(effect_from_us, until_us).unwrap_or_else(|| {
            let lost = |fault: &FaultRecord<'_>| {
                let leader = fault.injecting.dcs_leader_before.as_deref();
                let dcs = |leader: &str| self.evidence.plan.dcs_at(leader);
                leader.is_some_and(|leader| dcs(leader).is_some_and(|dcs| fault.hits(leader, dcs.kind.name())))
            };
            self.faults.iter().any(lost)
        })
    }

    /// Whether the member that led before the fault was seen not to lead any more; `None` if nobody saw who led.
    fn dcs_leader_moved(&self, effect_from_us: u64, until_us: u64) -> Option<bool> {
        let told = self.evidence.events.iter().filter_map(|event| match &event.what {
            Occurrence::DcsLeader { member, .. } => Some((event.at_us, member.as_deref())),
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
        let seen = self.taken_over(winner, failover, to_us).map(|(gone, held)| (Some(gone), Some(held)));
        // Another node leads, and nobody saw how it got there.
        let replaced = failover.old_primary.as_deref().is_some_and(|old| old != winner);
        let ends = match seen.or(replaced.then_some((None, None))) {
            Some((gone, held)) => {
                failover.course = Course::Failover;
                let held_us = held.map_or(span.0, |(at_us, _)| at_us);
                let direct = self
                    .first_direct_write(winner, held_us, to_us)
                    .or_else(|| self.refused_until(winner, to_us).then_some((to_us, outage.last_seq?)));
                let route = self.routed(winner, held_us.min(direct.map_or(to_us, |end| end.0)), span, false);
                let down = self.marked_down(failover, winner);
                failover.marked_down_us = down.map(|(at_us, _)| at_us);
                let routed_us = route.and_then(|(_, end)| end).map(|(at_us, _)| at_us);
                let came_last = |down: &(u64, u64)| {
                    routed_us
                        .is_some_and(|routed_us| down.0 > routed_us && down.0 <= to_us.saturating_add(TOLD_LATE_US))
                };
                let down = down.filter(came_last).map(|end| (PhaseName::MarkDown, Some(end)));
                let ends = [(PhaseName::Detect, gone), (PhaseName::Elect, held), (PhaseName::Promote, direct)];
                Vec::from_iter(ends.into_iter().chain(route).chain(down))
            }
            None => {
                failover.course = Course::RestartInPlace;
                let direct = self.direct_write_again(winner, span);
                let route = self.routed(winner, outage.from_us, span, true);
                Vec::from_iter(std::iter::once((PhaseName::Restart, direct)).chain(route))
            }
        };
        failover.evidence.extend(ends.iter().filter_map(|(_, end)| end.map(|(_, seq)| seq)));
        failover.evidence.sort_unstable();
        failover.evidence.dedup();
        failover.phases = cut(span, ends);
        self.predict(failover);
    }

    /// When the key was gone and when the winner held it, if it changed hands at all.
    fn taken_over(&self, winner: &str, failover: &Failover, until_us: u64) -> Option<((u64, u64), (u64, u64))> {
        let before = self.keys.iter().rposition(|change| change.at_us < failover.effect_from_us);
        let after = &self.keys[before.map_or(0, |index| index + 1)..];
        let old = failover.old_primary.as_deref().or(before.and_then(|index| self.keys[index].holder));
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

    /// The first write that the new primary acknowledged without the proxy's help.
    fn first_direct_write(&self, node: &str, from_us: u64, until_us: u64) -> End {
        let direct = self.all.iter().filter(|tried| is_direct_write(tried, node) && tried.acknowledged());
        let in_time =
            direct.filter(|tried| (from_us.saturating_sub(TOLD_LATE_US)..=until_us).contains(&tried.ended_us));
        in_time.map(|tried| (tried.ended_us, tried.seq)).min()
    }

    /// Whether the node itself refused direct writes until an instant, to the schedule of its prober. A proxy that has the
    /// node UP before it is promoted (it leads, and still restores WAL) sends clients there: then one of them is the first
    /// to write, and not the prober of the node, which tries less often.
    fn refused_until(&self, node: &str, until_us: u64) -> bool {
        let refused =
            |tried: &Tried<'_>| matches!(&tried.attempt.outcome, AttemptOutcome::Refused { sqlstate: Some(_), .. });
        let span = until_us.saturating_sub(TOLD_LATE_US)..=until_us;
        let own = self.all.iter().filter(|tried| tried.is_fresh(node, Operation::Write));
        own.filter(|tried| span.contains(&tried.started_us())).any(refused)
    }

    /// When the proxy was seen to mark the old primary's server DOWN, if another node took over.
    fn marked_down(&self, failover: &Failover, winner: &str) -> Option<(u64, u64)> {
        let old = failover.old_primary.as_deref().filter(|old| *old != winner)?;
        let mut told = self.proxy_states(old).filter(|(at_us, ..)| *at_us >= failover.effect_from_us);
        told.find(|(_, _, up)| !up).map(|(at_us, seq, _)| (at_us, seq))
    }

    /// What the proxy of the write endpoint tells of a server in its backend for writes: when, the event, whether it is UP.
    fn proxy_states(&self, server: &str) -> impl Iterator<Item = (u64, u64, bool)> {
        let entry = self.evidence.plan.endpoint(WRITE).map_or("", |endpoint| endpoint.at.host.as_str());
        let of_entry = move |proxy: &str| proxy == entry || proxy.split('/').next() == Some(entry);
        self.evidence.events.iter().filter_map(move |event| match &event.what {
            Occurrence::ProxyState { proxy, backend, server: told, up, .. }
                if told == server && backend == WRITE && of_entry(proxy) =>
            {
                Some((event.at_us, event.seq, *up))
            }
            _ => None,
        })
    }

    /// The first direct write of the node after the last that failed in the outage.
    fn direct_write_again(&self, node: &str, span: (u64, u64)) -> End {
        // Fresh ones only: a held session that broke may stay broken.
        let own = |tried: &&Tried<'_>| tried.is_fresh(node, Operation::Write);
        let failed = |tried: &&Tried<'_>| {
            own(tried) && !tried.acknowledged() && tried.started_us() <= span.1 && tried.ended_us >= span.0
        };
        let last_failed_us = self.all.iter().filter(failed).map(Tried::started_us).max()?;
        // Once a new client gets through, whoever was first to be answered tells when.
        let again = self.all.iter().filter(|tried| is_direct_write(tried, node) && tried.started_us() > last_failed_us);
        again.map(|tried| (tried.ended_us, tried.seq)).min()
    }

    /// When the proxy took the node into its backend for writes; nothing to tell without a proxy.
    fn routed(
        &self,
        node: &str,
        from_us: u64,
        span: (u64, u64),
        must_have_been_down: bool,
    ) -> Option<(PhaseName, End)> {
        self.evidence.plan.balancers().next()?;
        let mut down = !must_have_been_down;
        for (at_us, seq, up) in self.proxy_states(node).filter(|(at_us, ..)| *at_us >= span.0) {
            down |= !up;
            if up && down && at_us >= from_us.min(span.1) {
                // Told after the client's write, which shows that the server was up by then.
                return Some((PhaseName::Route, Some((at_us.min(span.1), seq))));
            }
        }
        Some((PhaseName::Route, None))
    }

    /// Sets the predicted spans. They hold for the loss of the primary, whose key has to expire.
    fn predict(&self, failover: &mut Failover) {
        let predicted = &self.evidence.plan.predicted;
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
        let marked_down = failover.phases.iter().any(|phase| phase.name == PhaseName::MarkDown);
        let mark_down = self.evidence.plan.predicted_mark_down().filter(|_| marked_down);
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
                PhaseName::Restart | PhaseName::FirstWrite => None,
            };
        }
    }
}

/// A watch may tell of the key, or of the proxy's server, a little later than a write that rests on it was seen; and a node's
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
