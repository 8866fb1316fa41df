//! What single clients met with: the longest wait of one, and the last word of the old primary.

use std::collections::BTreeMap;

use crate::{
    checks::{
        Finding,
        course::{
            outage::Window,
            phases::{Course, Failover, milliseconds},
            record::Tried,
        },
        harness_was_sound::SILENCE_US,
    },
    history::event::ClientKind,
};

/// For how long a writer had tried in vain when the load ended, though new connections were served.
pub(super) const UNSERVED_WRITER_MS: &str = "unserved_writer_ms";

/// Whether all that a finding says is that a writer was not served in the end.
pub fn is_unserved_writer(finding: &Finding) -> bool {
    finding.measure.as_ref().is_some_and(|measure| measure.name == UNSERVED_WRITER_MS)
}

/// How long after the fault the old primary still acknowledged writes, over whatever connection, on the timeline that it
/// had before; `None` if no other node took over. An application may wait for an acknowledgement until a network is healed: when
/// its write began the old primary surely was one, and no later instant is known.
pub(super) fn old_primary_writes_ms(failover: &Failover, until_us: u64, all: &[Tried<'_>]) -> Option<f64> {
    let old = failover.old_primary.as_deref().filter(|old| failover.new_primary.as_deref() != Some(old))?;
    if !matches!(failover.course, Course::Failover | Course::ClusterPromoted | Course::NotRecovered) {
        return None;
    }
    let own =
        || all.iter().filter(|tried| tried.is_write() && tried.answered_by().is_some_and(|(node, _)| node == old));
    let before = own().filter(|tried| tried.ended_us <= failover.effect_from_us);
    let timeline = before.filter_map(|tried| tried.answered_by()).map(|(_, timeline)| timeline).max()?;
    let same = |tried: &&Tried<'_>| tried.answered_by().is_some_and(|(_, on)| on == timeline);
    let known_us = |tried: &Tried<'_>| match tried.attempt.client_kind {
        ClientKind::Application => tried.started_us(),
        _ => tried.ended_us,
    };
    let last_us = own().filter(|tried| tried.started_us() < until_us).filter(same).map(known_us).max()?;
    Some(milliseconds(last_us.saturating_sub(failover.effect_us())))
}

/// A writer to which nothing was acknowledged that it began after this instant, though it tried for longer than its
/// connections need to be given up: who it is, for how long it tried, and its last attempt.
pub(super) fn unserved_writer(all: &[Tried<'_>], after_us: u64) -> Option<(u32, u64, u64)> {
    let mut tried_by: BTreeMap<u32, Option<(u64, &Tried<'_>)>> = BTreeMap::new();
    let own = all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Writer && tried.is_write());
    for tried in own.filter(|tried| tried.started_us() > after_us) {
        let span = tried_by.entry(tried.attempt.client).or_insert(Some((tried.started_us(), tried)));
        *span = span.filter(|_| !tried.acknowledged()).map(|(first_us, _)| (first_us, tried));
    }
    let unserved = tried_by.into_iter().filter_map(|(writer, span)| {
        let (first_us, last) = span?;
        Some((writer, last.ended_us.saturating_sub(first_us), last.seq))
    });
    unserved.filter(|(_, us, _)| *us > SILENCE_US).max_by_key(|(_, us, _)| *us)
}

/// The longest time between two acknowledgements in a row of any one writer of the load.
pub(super) fn longest_client_gap_ms(all: &[Tried<'_>], window: Window) -> Option<f64> {
    let writers = || all.iter().filter(|tried| tried.attempt.client_kind == ClientKind::Writer && tried.is_write());
    let mut clients: Vec<u32> = writers().map(|tried| tried.attempt.client).collect();
    clients.sort_unstable();
    clients.dedup();
    let longest_of = |client: u32| {
        let own = writers().filter(|tried| tried.attempt.client == client && tried.started_us() < window.until_us);
        let last_us = own.clone().map(|tried| tried.ended_us).max()?;
        let mut answers: Vec<u64> = own.filter(|tried| tried.acknowledged()).map(|tried| tried.ended_us).collect();
        // A client that got no answer to the end waited until its last attempt ended.
        answers.push(last_us);
        answers.sort_unstable();
        answers.windows(2).filter(|pair| pair[1] >= window.from_us).map(|pair| pair[1].saturating_sub(pair[0])).max()
    };
    clients.into_iter().filter_map(longest_of).max().map(milliseconds)
}
