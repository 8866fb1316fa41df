//! What happened in a trial that claims are about: a claim is decided only by a trial in which it was put to the test.

use std::collections::BTreeSet;

use super::{Failover, Finding};
use crate::{
    checks::{
        Evidence, archive_fallback, cascade, commit_wait, cost,
        course::{
            following,
            phases::Course,
            record::{FaultRecord, is_down, runbook},
        },
        databases, dcs_failover, dcs_repair, encryption, logical, name_convergence, promotion,
        replication_lag::{self, Hop},
        rotation, slot, virtual_address,
    },
    claims::Subject,
    history::{
        Occurrence,
        event::{NodeState, RestoreTarget, RunbookStep},
    },
    topology::Cluster,
};

/// The name of the fault that takes a node out of the cluster.
pub const MEMBER_REMOVED: &str = "member_removed";
/// The fault that corrupts a node's data.
pub const PAGE_CORRUPTED: &str = "page_corrupted";
/// The fault that has a node rebuilt.
pub const REINITIALIZE: &str = "reinitialize";
/// The fault that fills a disk.
pub const DISK_FULL: &str = "disk_full";

/// Every [`Subject`] of a trial.
pub(super) fn happened(evidence: &Evidence<'_>, failovers: &[Failover], findings: &[Finding]) -> BTreeSet<Subject> {
    let faults: Vec<FaultRecord<'_>> =
        evidence.faults().iter().filter(|fault| fault.effect.is_some()).cloned().collect();
    let own = |failover: &&Failover| !failover.faults.is_empty();
    let mut found = BTreeSet::new();
    let mut when = |subject: Subject, is_so: bool| {
        if is_so {
            found.insert(subject);
        }
    };
    when(Subject::Fault, !faults.is_empty());
    // What clients felt of other faults in the same trial is no measure of these.
    let alone = |is_own: fn(&FaultRecord<'_>) -> bool| {
        let of_another = |failover: &Failover| faults_of(&faults, failover).any(|fault| !is_own(fault));
        let felt = |failover: &&Failover| failover.course != Course::NoOutage;
        faults.iter().any(is_own) && !failovers.iter().filter(felt).any(of_another)
    };
    when(Subject::Switchover, alone(|fault| fault.injecting.hands_over));
    when(Subject::MemberRemoved, alone(|fault| fault.injecting.name == MEMBER_REMOVED));
    let outage = failovers.iter().filter(own).any(|failover| failover.course != Course::NoOutage);
    when(Subject::Outage, outage);
    let took_over: Vec<&Failover> =
        failovers.iter().filter(own).filter(|failover| failover.course == Course::Failover).collect();
    let failed_over = took_over.iter().any(|failover| !in_order(&faults, failover));
    when(Subject::Failover, failed_over);
    when(Subject::FailoverOverAnotherDcs, failed_over && evidence.plan.leads_without_etcd());
    when(Subject::DatabasesFailedOver, failed_over && databases::have_vectors(evidence));
    when(Subject::Promotion, !took_over.is_empty() || was_promoted(findings));
    when(Subject::Rewind, took_over.iter().any(|failover| had_to_rewind(evidence, &faults, failover)));
    when(Subject::CutOff, took_over.iter().any(|failover| was_cut_off(evidence, &faults, failover)));
    let hit = |node: &String| faults.iter().any(|fault| fault.hits_node(node));
    when(Subject::Follows, !following::spans(evidence.plan, evidence.events).is_empty());
    when(Subject::SlotNeeded, slot::was_tested(evidence));
    when(Subject::RegionLost, was_promoted_after(evidence, RunbookStep::Decided));
    when(Subject::RegionHandedOver, was_promoted_after(evidence, RunbookStep::CaughtUp));
    when(Subject::StreamingBroken, archive_fallback::was_broken(evidence));
    when(Subject::StandbyLeaderChanged, cascade::leader_changed(evidence));
    when(Subject::MiddleLost, middle(evidence).any(|cluster| cluster.nodes.iter().all(hit)));
    when(Subject::StandbySlowed, commit_wait::was_slowed(evidence));
    when(Subject::NameMoved, name_convergence::names_moved(evidence));
    let (fresh, to_a_time) = restores(evidence);
    when(Subject::BackupRestored, fresh);
    when(Subject::RestoredToATime, to_a_time);
    when(Subject::PromotedRestored, was_restored_once_promoted(evidence));
    when(Subject::CorruptedRebuilt, was_rebuilt_once_corrupted(&faults));
    let filled = |primary: bool| faults.iter().any(|fault| filled_a_disk(evidence, fault, primary));
    when(Subject::StandbyDiskFull, filled(false));
    when(Subject::BothDisksFull, filled(false) && filled(true));
    when(Subject::AddressHolderLost, virtual_address::holder_was_lost(evidence));
    when(Subject::DcsLeaderLost, dcs_failover::leader_was_lost(evidence));
    when(Subject::DcsLost, dcs_repair::every_member_was_lost(evidence));
    when(Subject::BalancedNodeDied, rotation::a_server_died(evidence));
    when(Subject::CommitsCompared, cost::was_compared(evidence));
    when(Subject::StandbysStreamed, standbys_streamed(findings));
    when(Subject::SubscriptionTried, logical::was_tried(evidence));
    when(Subject::EntriesTried, encryption::was_tried(evidence.events));
    when(Subject::Reinitialized, faults.iter().any(was_rebuilt));
    when(Subject::AllDown, outage && were_down_together(&faults, &evidence.plan.nodes));
    found
}

/// Whether a runbook promoted a cluster that followed another one, after a step of either of them.
fn was_promoted_after(evidence: &Evidence<'_>, step: RunbookStep) -> bool {
    let promoted = runbook(evidence.events).filter(|done| done.step == RunbookStep::Promoted);
    promoted.into_iter().any(|promoted| {
        let followed = evidence.plan.cluster(promoted.cluster).and_then(|cluster| cluster.follows.as_ref());
        let Some(followed) = followed.map(|follows| follows.cluster.as_str()) else { return false };
        runbook(evidence.events).any(|done| {
            done.step == step
                && done.at_us <= promoted.at_us
                && (done.cluster == followed || done.cluster == promoted.cluster)
        })
    })
}

/// The clusters that follow another one and are followed.
fn middle<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = &'a Cluster> {
    let plan = evidence.plan;
    plan.clusters.iter().filter(|cluster| cluster.follows.is_some() && plan.followers(&cluster.name).next().is_some())
}

/// Whether a backup of a cluster was restored that had been taken before, and whether anything was restored to a time.
fn restores(evidence: &Evidence<'_>) -> (bool, bool) {
    let (mut taken, mut fresh, mut to_a_time) = (BTreeSet::new(), false, false);
    for event in evidence.events {
        match &event.what {
            Occurrence::BackupTaken(backup) => {
                taken.insert(&backup.cluster);
            }
            Occurrence::Restored(restored) => {
                fresh |= taken.contains(&restored.cluster);
                to_a_time |= matches!(restored.target, RestoreTarget::Time { .. });
            }
            _ => {}
        }
    }
    (fresh, to_a_time)
}

/// Whether a cluster was restored that a runbook had promoted before.
fn was_restored_once_promoted(evidence: &Evidence<'_>) -> bool {
    let restored = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::Restored(restored) => Some((restored.began_us, restored.cluster.as_str())),
        _ => None,
    });
    restored.into_iter().any(|(began_us, cluster)| {
        runbook(evidence.events)
            .any(|done| done.step == RunbookStep::Promoted && done.cluster == cluster && done.at_us < began_us)
    })
}

/// Whether enough looks at standbys tell a lag behind the primary.
fn standbys_streamed(findings: &[Finding]) -> bool {
    let median = replication_lag::names(Hop::Standby).median_ms;
    findings.iter().any(|finding| finding.check == replication_lag::CHECK.name && finding.value_of(median).is_some())
}

/// Whether faults had every node at one instant: one after the other, some led on.
fn were_down_together(faults: &[FaultRecord<'_>], nodes: &[String]) -> bool {
    let spans =
        |fault: &FaultRecord<'_>| Some((fault.effect?.to_us, fault.healing_us.or(fault.healed_us).unwrap_or(u64::MAX)));
    let is_on = |fault: &FaultRecord<'_>, at_us: u64| {
        spans(fault).is_some_and(|(from_us, until_us)| from_us <= at_us && at_us < until_us)
    };
    let are_down =
        |at_us: u64| nodes.iter().all(|node| faults.iter().any(|fault| fault.hits_node(node) && is_on(fault, at_us)));
    faults.iter().filter_map(spans).any(|(from_us, _)| are_down(from_us))
}

/// Whether a node was rebuilt on order, to the end of that.
fn was_rebuilt(fault: &FaultRecord<'_>) -> bool {
    fault.injecting.name == REINITIALIZE && fault.healed_us.is_some()
}

/// Whether a node was rebuilt, to the end of that, after its data had been corrupted.
fn was_rebuilt_once_corrupted(faults: &[FaultRecord<'_>]) -> bool {
    let corrupted = faults.iter().filter(|fault| fault.injecting.name == PAGE_CORRUPTED);
    corrupted.into_iter().any(|corrupted| {
        let rebuilt = |fault: &FaultRecord<'_>| {
            was_rebuilt(fault)
                && fault.injecting_us > corrupted.injecting_us
                && fault.injecting.hosts.iter().any(|host| corrupted.injecting.hosts.contains(host))
        };
        faults.iter().any(rebuilt)
    })
}

/// Whether a fault filled the disk of a node that was primary then, or of one that was none.
fn filled_a_disk(evidence: &Evidence<'_>, fault: &FaultRecord<'_>, primary: bool) -> bool {
    fault.injecting.name == DISK_FULL
        && fault.injecting.hosts.iter().any(|host| {
            let before = states_of(evidence, host).take_while(|(at_us, _)| *at_us < fault.injecting_us);
            before.filter(|(_, state)| state.reachable).last().is_some_and(|(_, state)| state.is_primary() == primary)
        })
}

fn was_promoted(findings: &[Finding]) -> bool {
    let own = findings.iter().filter(|finding| finding.check == promotion::CHECK.name);
    own.filter_map(|finding| finding.value_of("promotions")).any(|promotions| promotions > 0.0)
}

/// Whether the old primary came back after another node had taken over from it against its will. One that hands over in
/// order stops before the other begins and has nothing to rewind.
fn had_to_rewind(evidence: &Evidence<'_>, faults: &[FaultRecord<'_>], failover: &Failover) -> bool {
    let (Some(old), Some(recovered_us)) = (replaced(failover), failover.recovered_us) else { return false };
    // One that a fault still keeps away is not asked to come back.
    !in_order(faults, failover)
        && !is_down(faults, old)
        && states_of(evidence, old).any(|(at_us, state)| at_us > recovered_us && state.reachable)
}

/// Whether the primary was made to hand over: it did not die, and nobody had to find that out.
fn in_order(faults: &[FaultRecord<'_>], failover: &Failover) -> bool {
    faults_of(faults, failover).any(|fault| fault.injecting.hands_over)
}

/// Whether the old primary was seen alive between the fault and the recovery, by a fault that hit no process of it.
fn was_cut_off(evidence: &Evidence<'_>, faults: &[FaultRecord<'_>], failover: &Failover) -> bool {
    let (Some(old), Some(recovered_us)) = (replaced(failover), failover.recovered_us) else { return false };
    let of_its_network = |fault: &&FaultRecord<'_>| fault.injecting.services.is_empty() && fault.touches(old);
    let span_us = failover.effect_to_us..=recovered_us;
    faults_of(faults, failover).any(|fault| of_its_network(&fault))
        && states_of(evidence, old).any(|(at_us, state)| span_us.contains(&at_us) && state.reachable)
}

/// The old primary, if another node leads after the outage.
fn replaced(failover: &Failover) -> Option<&str> {
    failover.old_primary.as_deref().filter(|old| failover.new_primary.as_deref() != Some(old))
}

fn faults_of<'f, 'e>(
    faults: &'f [FaultRecord<'e>],
    failover: &'f Failover,
) -> impl Iterator<Item = &'f FaultRecord<'e>> {
    faults.iter().filter(|fault| failover.faults.contains(&fault.injecting.fault))
}

fn states_of<'e>(evidence: &Evidence<'e>, node: &str) -> impl Iterator<Item = (u64, &'e NodeState)> {
    evidence.events.iter().filter_map(move |event| match &event.what {
        Occurrence::NodeState(state) if state.node == node => Some((event.at_us, state)),
        _ => None,
    })
}
