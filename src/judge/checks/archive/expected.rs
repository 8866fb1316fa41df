//! The files that an archive must hold: those of the line of timelines that leads to the primary.

use std::collections::BTreeMap;

use super::contents::Contents;
use crate::{
    checks::{Evidence, course::primaries::LOOK_US},
    history::{
        Occurrence,
        event::{ArchiveDue, NodeState},
    },
    services::postgresql::server::WAL_SEGMENT_BYTES,
};

/// How many segments have one number above theirs in a file's name.
const SEGMENTS_BELOW: u64 = (1 << 32) / WAL_SEGMENT_BYTES;
/// No run writes more segments than this (a tebibyte of WAL): a place further away was made up.
const MOST_SEGMENTS: u64 = 1 << 16;

/// The name of the file with a segment of a timeline (`XLogFileName`).
fn segment_name(timeline: u32, segment: u64) -> String {
    format!("{timeline:08X}{:08X}{:08X}", segment / SEGMENTS_BELOW, segment % SEGMENTS_BELOW)
}

/// Timeline and segment of a file; `None`: it is none of a whole segment.
pub(super) fn segment_of(file: &str) -> Option<(u32, u64)> {
    let whole = file.len() == 24 && file.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |from: usize| u64::from_str_radix(file.get(from..from + 8)?, 16).ok();
    let (timeline, above, below) = (part(0)?, part(8)?, part(16)?);
    whole.then_some((u32::try_from(timeline).ok()?, above * SEGMENTS_BELOW + below))
}

/// The segment that a position lies in.
fn segment_at(lsn: u64) -> u64 {
    lsn / WAL_SEGMENT_BYTES
}

/// The files that must be there, in the order in which they were written.
pub(super) struct Expected {
    pub files: Vec<String>,
}

impl Expected {
    /// What must be there when the primary has been ordered to archive all before a place; the error says why that is not
    /// known.
    pub fn of(evidence: &Evidence<'_>, due: &ArchiveDue, contents: &Contents<'_>) -> Result<Self, String> {
        if let Some(doubt) = leads_a_later_timeline(evidence, due) {
            return Err(doubt);
        }
        let line = line_to(evidence, due)?;
        let Some(first) = first_segment(evidence, &line, contents) else {
            return Err("no position of a primary was seen".to_owned());
        };
        let last = line.last().map_or(first, |stretch| stretch.until);
        if last.saturating_sub(first) > MOST_SEGMENTS {
            let (from, to) = (segment_name(due.timeline, first), segment_name(due.timeline, last));
            return Err(format!("it was to be whole from {from} to {to}, which is more than any run writes"));
        }
        let mut files = Vec::new();
        for stretch in &line {
            if stretch.begun_in.is_some_and(|begun| begun >= first) {
                files.push(format!("{:08X}.history", stretch.timeline));
            }
            let from = stretch.begun_in.unwrap_or(0).max(first);
            files.extend((from..stretch.until).map(|segment| segment_name(stretch.timeline, segment)));
        }
        Ok(Self { files })
    }
}

/// A timeline of the primary's line.
struct Stretch {
    timeline: u32,
    /// The segment in which it was begun; `None`: it is the first.
    begun_in: Option<u64>,
    /// Its segments end before this one.
    until: u64,
}

/// The timelines that lead to a place, the first one first.
fn line_to(evidence: &Evidence<'_>, due: &ArchiveDue) -> Result<Vec<Stretch>, String> {
    let begun = beginnings(evidence, due);
    let mut line = Vec::new();
    // A place at the very end of a segment is in no other one.
    let (mut timeline, mut until) = (due.timeline, segment_at(due.lsn.saturating_sub(1)) + 1);
    loop {
        if timeline <= 1 {
            line.push(Stretch { timeline, begun_in: None, until });
            break;
        }
        let Some((parent, switch_lsn)) = begun.get(&timeline).copied().filter(|(parent, _)| *parent < timeline) else {
            return Err(format!("where timeline {timeline} was begun was not seen"));
        };
        let begun_in = segment_at(switch_lsn);
        if begun_in >= until {
            return Err(format!("timeline {timeline} was begun behind its own end"));
        }
        line.push(Stretch { timeline, begun_in: Some(begun_in), until });
        (timeline, until) = (parent, begun_in);
    }
    line.reverse();
    Ok(line)
}

/// Where each timeline was begun, as the primary says, or else any node of its cluster.
fn beginnings(evidence: &Evidence<'_>, due: &ArchiveDue) -> BTreeMap<u32, (u32, u64)> {
    let said = |by_primary: bool| {
        evidence.events.iter().filter_map(move |event| match &event.what {
            Occurrence::TimelineSwitch { node, parent, timeline, switch_lsn }
                if evidence.plan.cluster_of(node).is_some() && (*node == due.node) == by_primary =>
            {
                Some((*timeline, (*parent, *switch_lsn)))
            }
            _ => None,
        })
    };
    said(false).chain(said(true)).collect()
}

/// The segment from which on everything must be there: the first of the line that the archive has, or the one that the
/// primary was in when it was seen for the first time.
fn first_segment(evidence: &Evidence<'_>, line: &[Stretch], contents: &Contents<'_>) -> Option<u64> {
    let of_line = |file: &str| {
        let (timeline, segment) = segment_of(file)?;
        line.iter().any(|stretch| stretch.timeline == timeline && segment < stretch.until).then_some(segment)
    };
    let archived = contents.names().filter_map(of_line).min();
    let written = states(evidence).find_map(|(_, state)| state.lsn.filter(|_| state.is_primary()));
    archived.into_iter().chain(written.map(segment_at)).min()
}

/// Each look at a node of the cluster.
fn states<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = (u64, &'a NodeState)> {
    let plan = evidence.plan;
    evidence.events.iter().filter_map(move |event| match &event.what {
        Occurrence::NodeState(state) if plan.cluster_of(&state.node).is_some() => Some((event.at_us, state)),
        _ => None,
    })
}

/// Another node that led a later timeline than the one for which a place was due, and was not seen as a standby since: it
/// may be the primary that the archive should have been asked of.
fn leads_a_later_timeline(evidence: &Evidence<'_>, due: &ArchiveDue) -> Option<String> {
    let mut last: BTreeMap<&str, Option<u32>> = BTreeMap::new();
    for (_, state) in states(evidence).filter(|(_, state)| state.reachable && state.node != due.node) {
        last.insert(&state.node, state.timeline.filter(|_| state.is_primary()));
    }
    let later = last.into_iter().filter_map(|(node, led)| Some((node, led.filter(|led| *led > due.timeline)?)));
    let (node, timeline) = later.max_by_key(|(_, timeline)| *timeline)?;
    Some(format!(
        "{} was ordered to archive timeline {}, and {node} led timeline {timeline} when it was seen last",
        due.node, due.timeline
    ))
}

/// Where a primary was seen.
struct Seen {
    /// It was there at some instant between these two.
    asked_us: u64,
    at_us: u64,
    lsn: u64,
}

/// When primaries had filled which segments.
pub(super) struct Passed {
    /// Of each timeline: what each look at the primary showed.
    seen: BTreeMap<u32, Vec<Seen>>,
}

impl Passed {
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let mut seen: BTreeMap<u32, Vec<Seen>> = BTreeMap::new();
        for (at_us, state) in states(evidence).filter(|(_, state)| state.is_primary()) {
            if let (Some(timeline), Some(lsn)) = (state.timeline, state.lsn) {
                let asked_us = state.asked_us.unwrap_or_else(|| at_us.saturating_sub(LOOK_US)).min(at_us);
                seen.entry(timeline).or_default().push(Seen { asked_us, at_us, lsn });
            }
        }
        Self { seen }
    }

    /// Two instants between which the primary came to the end of a file, if it was seen before and after that.
    pub fn end_of(&self, file: &str) -> Option<(u64, u64)> {
        let (seen, end) = self.seen_with_end_of(file)?;
        let after = seen.iter().position(|seen| seen.lsn >= end)?;
        Some((seen[after.checked_sub(1)?].asked_us, seen[after].at_us))
    }

    /// Until when at least the primary was writing a file.
    pub fn unfinished_until(&self, file: &str) -> Option<u64> {
        let (seen, end) = self.seen_with_end_of(file)?;
        seen.iter().filter(|seen| seen.lsn < end).map(|seen| seen.asked_us).max()
    }

    fn seen_with_end_of(&self, file: &str) -> Option<(&[Seen], u64)> {
        let (timeline, segment) = segment_of(file)?;
        let end = segment.checked_add(1)?.checked_mul(WAL_SEGMENT_BYTES)?;
        Some((self.seen.get(&timeline)?, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_and_segments_are_the_same_either_way() {
        for (name, timeline, segment) in
            [("000000010000000000000003", 1, 3), ("0000000A00000002000000FF", 10, 2 * 256 + 255)]
        {
            assert_eq!(segment_name(timeline, segment), name);
            assert_eq!(segment_of(name), Some((timeline, segment)));
        }
        assert_eq!(segment_of("00000002.history"), None);
        assert_eq!(segment_of("000000010000000000000003.partial"), None);
        assert_eq!((segment_at(WAL_SEGMENT_BYTES - 1), segment_at(WAL_SEGMENT_BYTES)), (0, 1));
    }
}
