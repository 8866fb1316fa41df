//! The phases of an outage that ends because a runbook promotes another cluster: a region is lost, or handed over.

use super::{End, PhaseName, Scene};
use crate::{
    checks::course::{
        led::cluster_behind,
        record::{Done, Tried, runbook},
    },
    history::event::{Contact, RunbookStep},
};

/// The ends of the phases up to the balancer, if the cluster of the node that acknowledged the recovering write was promoted
/// by a runbook in this outage. `span` is the outage.
pub(super) fn ends(scene: &Scene<'_, '_>, winner: &str, span: (u64, u64)) -> Option<Vec<(PhaseName, End)>> {
    let cluster = scene.evidence.whole.cluster_of(winner)?.name.as_str();
    let steps = runbook(scene.evidence.events).filter(|done| (span.0..=span.1).contains(&done.at_us));
    let of_cluster =
        |step: RunbookStep| steps.clone().find(|done| done.step == step && done.cluster == cluster).map(end);
    let decided = steps.clone().find(|done| done.step == RunbookStep::Decided).map(end);
    let ordered = of_cluster(RunbookStep::PromotionOrdered);
    let promoted = of_cluster(RunbookStep::Promoted);
    let first = ordered.or(promoted)?;
    let repointed = of_cluster(RunbookStep::Repointed);
    // A region that hands over as planned is not lost: there is nothing to decide.
    let decide = decided.map(|decided| (PhaseName::Decide, Some(decided)));
    let mut ends = Vec::from_iter(decide.into_iter().chain([(PhaseName::Prepare, ordered)]));
    ends.push((PhaseName::Promote, promoted.or_else(|| first_write(scene, cluster, (first.0, span.1)))));
    if let Some(repointed) = repointed {
        ends.push((PhaseName::Repoint, Some(repointed)));
        ends.push((PhaseName::Resolve, arrival(scene, cluster, repointed.0)));
    }
    Some(ends)
}

fn end(done: Done<'_>) -> (u64, u64) {
    (done.at_us, done.seq)
}

/// The first write that a node of a cluster acknowledged within a span.
fn first_write(scene: &Scene<'_, '_>, cluster: &str, span: (u64, u64)) -> End {
    let own = scene.all.iter().filter(|tried| tried.is_write() && is_answered_by(scene, tried, cluster));
    own.map(|tried| (tried.ended_us, tried.seq)).filter(|(at_us, _)| (span.0..=span.1).contains(at_us)).min()
}

fn is_answered_by(scene: &Scene<'_, '_>, tried: &Tried<'_>, cluster: &str) -> bool {
    let of = tried.answered_by().and_then(|(node, _)| scene.evidence.whole.cluster_of(node));
    of.is_some_and(|own| own.name == cluster)
}

/// When the first client of the endpoint tried at the cluster that it was pointed at: an attempt that a global name led
/// there. Where none was led by a name, an attempt does not say where it went: it was there if a node of the cluster
/// acknowledged it, or if it met somebody after the old place had been silent.
fn arrival(scene: &Scene<'_, '_>, cluster: &str, repointed_us: u64) -> End {
    let own = || scene.all.iter().filter(|tried| tried.attempt.endpoint == scene.endpoint);
    let since = || own().filter(|tried| tried.started_us() >= repointed_us);
    let led_to = |tried: &Tried<'_>| cluster_behind(scene.evidence.whole, tried.attempt.led_to.as_deref()?);
    let is_led = |tried: &&Tried<'_>| led_to(tried).is_some_and(|own| own.name == cluster);
    let meets = |tried: &Tried<'_>| tried.attempt.outcome.contact().is_some_and(|contact| contact != Contact::Silence);
    let before = own().rev().find(|tried| tried.started_us() < repointed_us);
    let was_silent = before.is_some_and(|tried| tried.attempt.outcome.contact() == Some(Contact::Silence));
    let is_there = |tried: &&Tried<'_>| is_answered_by(scene, tried, cluster) || (was_silent && meets(tried));
    let first = match own().any(|tried| tried.attempt.led_to.is_some()) {
        true => since().find(is_led),
        false => since().find(is_there),
    };
    first.map(|tried| (tried.started_us(), tried.seq))
}
