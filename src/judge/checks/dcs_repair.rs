//! Was a DCS repaired that had lost every member, with their data?
//!
//! Judged of each DCS of the topology. It is **lost** while faults that take a member its data (`etcd_member_lost`) are on every
//! member at one instant. It **serves again** with the first thing that its members show once the last of these faults began to
//! be healed: the leader key, a leader of its own, or a refreshed lease. It is **repaired** when
//!
//! - it serves again before the load ends,
//! - a node of its cluster leads by it then: the leader key gets a holder, or a lease is refreshed,
//! - a client's write that began after that was acknowledged, and
//! - every command of the operator's that restores a snapshot (its words are `snapshot restore`) succeeded between the loss and
//!   the instant at which it serves again. A member whose restore failed begins with nothing: a DCS may serve with that, too, but
//!   it was not repaired as the operator meant to.
//!
//! `dcs_not_repaired` counts those of which this does not hold, `restores_failed` the commands that failed, and `dcs_down_ms` is
//! the time from the loss until it serves again, the operator's own time included. A DCS whose key was then shown at a revision before
//! the first one that was seen of it began anew: no snapshot of this scenario is as old.
//!
//! What comes after the next fault is no merit of the repair: agents that were started again, say. A lease's time and a loop of
//! the agents without a leader show that none comes; less than that, a fault that was not healed before the load ended, and a
//! history without writes after the repair leave it unknown. Without such a loss there is nothing to judge.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::Watched,
        record::{FaultRecord, Tried},
    },
};
use crate::{
    history::{Event, Occurrence, event::CommandRun},
    plan::PlannedDcs,
    quantity::written::value,
    topology::Cluster,
};

const NAME: &str = "dcs_repair";
pub const DCS_NOT_REPAIRED: &str = "dcs_not_repaired";
const RESTORES_FAILED: &str = "restores_failed";
const DCS_DOWN_MS: &str = "dcs_down_ms";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Was a DCS repaired that had lost every member?",
    measures: &[DCS_NOT_REPAIRED, RESTORES_FAILED, DCS_DOWN_MS],
    over: Over::Scenario,
    judge,
};

/// The fault that takes a member its data.
pub const MEMBER_LOST: &str = "etcd_member_lost";
/// What a command says that restores a snapshot.
const RESTORE: &str = "snapshot restore";

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let losses =
        evidence.plan.dcs.iter().flat_map(|dcs| losses(evidence, dcs).into_iter().map(move |loss| (dcs, loss)));
    let findings = losses.map(|(dcs, loss)| judge_one(evidence, dcs, loss));
    evidence.held(NAME, findings.collect(), "no DCS lost every member")
}

/// Whether a DCS lost every member with its data.
pub fn every_member_was_lost(evidence: &Evidence<'_>) -> bool {
    evidence.plan.dcs.iter().any(|dcs| !losses(evidence, dcs).is_empty())
}

/// A DCS without a member.
struct Loss {
    /// When the last member was lost.
    at_us: u64,
    /// When the first of them began to be healed; `None`: none was.
    healing_us: Option<u64>,
    seq: u64,
}

/// Each time that a DCS was without a member, in order.
fn losses(evidence: &Evidence<'_>, dcs: &PlannedDcs) -> Vec<Loss> {
    let lost: Vec<&FaultRecord<'_>> = evidence
        .faults()
        .iter()
        .filter(|fault| fault.injecting.name == MEMBER_LOST && fault.effect.is_some())
        .collect();
    let is_on = |fault: &FaultRecord<'_>, at_us: u64| {
        fault.effect.is_some_and(|effect| effect.to_us <= at_us) && fault.healing_us.is_none_or(|us| at_us < us)
    };
    let mut found: Vec<Loss> = Vec::new();
    for effect in lost.iter().filter_map(|fault| fault.effect) {
        let on: Vec<&&FaultRecord<'_>> = lost.iter().filter(|fault| is_on(fault, effect.to_us)).collect();
        let is_hit = |member: &String| on.iter().any(|fault| fault.hits(member, dcs.kind.name()));
        let healing_us = on.iter().filter_map(|fault| fault.healing_us).min();
        // Until one of them is healed it is the same loss.
        let is_another = found.last().is_none_or(|last| last.healing_us.is_some_and(|us| us <= effect.to_us));
        if is_another && dcs.members.iter().all(is_hit) {
            found.push(Loss { at_us: effect.to_us, healing_us, seq: effect.seq });
        }
    }
    found
}

fn judge_one(evidence: &Evidence<'_>, dcs: &PlannedDcs, loss: Loss) -> Finding {
    let words = evidence.plan.words_for(dcs);
    let load_until_us = Watched::of(evidence.events).until_us;
    let unknown = |why: &str| {
        let summary = format!("{words} lost every member, and {why}");
        Finding::new(NAME, Outcome::Inconclusive, summary).with_evidence([loss.seq])
    };
    let Some(healing_us) = loss.healing_us.filter(|us| *us < load_until_us) else {
        return unknown("none was started again before the load ended");
    };
    let next = evidence.faults().iter().map(|fault| fault.injecting_us).filter(|us| *us > healing_us).min();
    let until_us = next.unwrap_or(u64::MAX).min(load_until_us);
    let shown: Vec<Shown> = evidence.events.iter().filter_map(|event| shown(evidence, dcs, event)).collect();
    let serves = shown.iter().find(|own| healing_us <= own.at_us && own.at_us <= until_us);
    let restores = restores(evidence, dcs, loss.at_us, serves.map_or(until_us, |own| own.at_us));
    let failed: Vec<&(u64, &CommandRun)> = restores.iter().filter(|(_, run)| run.status != Some(0)).collect();
    let down_ms = serves.map(|own| own.at_us.saturating_sub(loss.at_us) as f64 / 1000.0);
    let finding = |repaired: bool, told: String| {
        let failed_restores = Measure::new(RESTORES_FAILED, failed.len() as f64);
        let down = down_ms.map(|down_ms| Measure::new(DCS_DOWN_MS, down_ms));
        Finding::new(NAME, Outcome::Pass, format!("{words} lost every member, and {told}"))
            .with_measure(Measure::new(DCS_NOT_REPAIRED, f64::from(!repaired)))
            .with_details([failed_restores].into_iter().chain(down).collect())
            .with_evidence([loss.seq].into_iter().chain(failed.iter().map(|(seq, _)| *seq)))
    };
    let clusters: Vec<&Cluster> = evidence.plan.clusters_in(dcs).collect();
    let patroni = clusters.iter().map(|cluster| &evidence.plan.settings_of(cluster).patroni);
    let enough_s = patroni.map(|own| u64::from(own.ttl_s + own.loop_wait_s)).max().unwrap_or_default();
    let was_waited_for = |from_us: u64| until_us.saturating_sub(from_us) >= enough_s * 1_000_000;
    let (Some(serves), Some(down_ms)) = (serves, down_ms) else {
        return match was_waited_for(healing_us) {
            true => finding(false, "showed nothing any more".to_owned()),
            false => unknown("how soon it shows something again was not waited for"),
        };
    };
    let began_anew = began_anew(&shown, loss.at_us, healing_us);
    let as_what = match (began_anew, restores.is_empty()) {
        (true, _) => "with nothing of what it had held",
        (false, true) => "",
        (false, false) => "from a snapshot",
    };
    let back = format!("served again after {} {as_what}", value(DCS_DOWN_MS, down_ms));
    let Some(led) = shown.iter().find(|own| own.is_led && healing_us <= own.at_us && own.at_us <= until_us) else {
        return match was_waited_for(serves.at_us) {
            true => finding(false, format!("{}, but no node led by it", back.trim_end())),
            false => unknown("how soon a node leads by it was not waited for"),
        };
    };
    let wrote = |after_us: u64| {
        let within = after_us..=until_us;
        let own = |tried: &&Tried<'_>| clusters.iter().any(|cluster| leads_to(evidence, tried, cluster));
        let writes = evidence.attempts().iter().filter(own);
        let writes = writes.filter(|tried| tried.is_write() && within.contains(&tried.started_us()));
        writes.fold(None, |any: Option<bool>, tried| Some(any.unwrap_or_default() || tried.acknowledged()))
    };
    match (wrote(led.at_us), failed.first()) {
        (None, _) => unknown("no client tried to write once it served again"),
        (Some(false), _) if !was_waited_for(led.at_us) => unknown("how soon clients write again was not waited for"),
        (Some(false), _) => finding(false, format!("{}, but no write was acknowledged any more", back.trim_end())),
        (Some(true), Some((_, first))) => {
            let CommandRun { node, output, .. } = first;
            let why = output.lines().last().unwrap_or_default().trim();
            finding(false, format!("{}: the restore on {node} had failed: {why}", back.trim_end()))
        }
        (Some(true), None) if began_anew && !restores.is_empty() => {
            finding(false, format!("{}, though the operator restored a snapshot", back.trim_end()))
        }
        (Some(true), None) => finding(true, format!("{}, and clients wrote", back.trim_end())),
    }
}

/// Whether an attempt was at an endpoint of a cluster, or at one of its nodes.
fn leads_to(evidence: &Evidence<'_>, tried: &Tried<'_>, cluster: &Cluster) -> bool {
    let endpoint = tried.attempt.endpoint.as_str();
    let of = evidence.plan.endpoints.iter().find(|known| known.name == endpoint).and_then(|known| known.of.as_deref());
    cluster.nodes.iter().any(|node| node == endpoint)
        || of.map_or(evidence.plan.clusters.len() == 1, |name| name == cluster.name)
}

/// Something that members of a DCS showed.
struct Shown {
    at_us: u64,
    /// Whether it shows that a node leads by it.
    is_led: bool,
    /// The revision of it, and whether that is the state as a member was found with.
    revision: Option<(i64, bool)>,
}

fn shown(evidence: &Evidence<'_>, dcs: &PlannedDcs, event: &Event) -> Option<Shown> {
    let at_us = event.at_us;
    match &event.what {
        Occurrence::LeaderKey { member, holder, revision, initial, .. } if dcs.members.contains(member) => {
            Some(Shown { at_us, is_led: holder.is_some() && !initial, revision: Some((*revision, *initial)) })
        }
        Occurrence::LeaseRefreshed { revision, cluster } => {
            let own = cluster.as_ref().is_none_or(|name| {
                evidence
                    .plan
                    .cluster(name)
                    .and_then(|own| evidence.plan.dcs_of(own))
                    .is_some_and(|of| of.name == dcs.name)
            });
            own.then_some(Shown { at_us, is_led: true, revision: Some((*revision, false)) })
        }
        Occurrence::DcsLeader { member: Some(_), dcs: of, .. } if of.as_ref().is_none_or(|of| *of == dcs.name) => {
            Some(Shown { at_us, is_led: false, revision: None })
        }
        _ => None,
    }
}

/// Whether a member was found, after the healing, at a revision before the first one that was ever seen.
fn began_anew(shown: &[Shown], lost_us: u64, healing_us: u64) -> bool {
    let first =
        shown.iter().filter(|own| own.at_us < lost_us).filter_map(|own| own.revision).map(|(first, _)| first).min();
    let found = shown.iter().filter(|own| own.at_us >= healing_us).filter_map(|own| own.revision);
    found.filter(|(_, initial)| *initial).any(|(revision, _)| first.is_some_and(|first| revision < first))
}

/// The operator's commands that restore a snapshot on members of the DCS, between two instants.
fn restores<'a>(evidence: &Evidence<'a>, dcs: &PlannedDcs, from_us: u64, to_us: u64) -> Vec<(u64, &'a CommandRun)> {
    let run = evidence.events.iter().filter(|event| from_us <= event.at_us && event.at_us <= to_us);
    let run = run.filter_map(|event| match &event.what {
        Occurrence::CommandRun(run) if run.command.contains(RESTORE) && dcs.members.contains(&run.node) => {
            Some((event.seq, run))
        }
        _ => None,
    });
    run.collect()
}
