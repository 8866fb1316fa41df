//! Is all that the primary wrote in the archive, and is each file there what it was?
//!
//! Read from what the archive's bucket lists, not from what the tool says of itself:
//!
//! - **A file that is missing is a failure.** On the line of timelines that the primary has in the end, the archive must hold
//!   every segment of WAL, from the first that it has, or that was being written when the archive began, to the place that
//!   the primary was ordered to archive last ([`ArchiveDue`]). A timeline begins in the middle of a segment: that segment
//!   counts under the new timeline, and what its parent had of it need not be there. Each timeline that was begun
//!   meanwhile needs its history, without which nobody finds the way to it. An empty file, or a part of a segment, is not the
//!   file: an archive command that was cut off may leave one.
//!   What stood there under the name of a segment while the primary was still writing it is another server's, and counts for
//!   nothing.
//! - **A file of two contents is a failure**, on any timeline: what was there first is gone for those who ask by the file's
//!   name. Contents are distinguished by the checksum in the object's name, or else by the server's tag. The same content
//!   archived twice is none.
//! - It passes if the archive was listed whole after the last place was due, and never unseen for more than
//!   [`UNSEEN_US`] before: a bucket that keeps no versions shows what was overwritten only to those who saw it before. A file
//!   that was deleted is missing; where the last listing had fewer objects than were seen before, which of them is unknown.
//!
//! `archive_lag_ms` is the longest time from the end of a segment until the segment is in the archive. It lies between two
//! bounds: the primary was seen before that end and behind it, and the archive was listed without the file and with it. The
//! least is the figure, `archive_lag_resolution_ms` says how much more the longest may be, and a bound that lies between is
//! neither kept nor missed.

mod contents;
mod expected;

use std::collections::BTreeSet;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        bracket::{Bracket, Bracketed, Distribution, held},
        phases::milliseconds,
    },
};
use crate::{
    history::{
        Event, Occurrence,
        event::{ArchiveDue, ArchiveListed},
    },
    plan::Plan,
};
use contents::Contents;
use expected::{Expected, Passed};

const NAME: &str = "archive";
pub const ARCHIVE_MISSING_FILES: &str = "archive_missing_files";
pub const ARCHIVE_OVERWRITTEN_FILES: &str = "archive_overwritten_files";
pub const ARCHIVE_LAG_MS: &str = "archive_lag_ms";
const ARCHIVE_LAG_RESOLUTION_MS: &str = "archive_lag_resolution_ms";
const ARCHIVE_FILES: &str = "archive_files";

pub const CHECK: Check = Check {
    name: NAME,
    question: "Does the archive hold every file of the WAL, and each as it was archived first?",
    measures: &[
        ARCHIVE_MISSING_FILES,
        ARCHIVE_OVERWRITTEN_FILES,
        ARCHIVE_LAG_MS,
        ARCHIVE_LAG_RESOLUTION_MS,
        ARCHIVE_FILES,
    ],
    over: Over::Cluster,
    judge,
};

/// The longest time for which an archive may not be seen. It is listed once a second.
const UNSEEN_US: u64 = 5_000_000;
/// Why nothing is known of an archive that is not there.
const UNARCHIVED: &str = "the topology archives no WAL";
/// How many files, or events, are named at most.
const SHOWN: usize = 8;

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let [cluster] = evidence.plan.clusters.as_slice() else { return Vec::new() };
    let Some(archive) = evidence.plan.archive_of(&cluster.name) else {
        return if evidence.is_part() { Vec::new() } else { evidence.held(NAME, Vec::new(), UNARCHIVED) };
    };
    let is_first_leader = cluster.follows.is_none();
    let due = last_due(evidence.events, &cluster.name);
    // A cluster that only followed has archived nothing that is asked of it, and one that was given up can't any more.
    let given_up = evidence.given_up().contains(cluster.name.as_str());
    if due.is_none() && (!is_first_leader || given_up) {
        return Vec::new();
    }
    let contents = Contents::of(evidence.events, &cluster.name, archive.tool.row().archived);
    let (finding, lag) = Course { evidence, cluster: &cluster.name, contents, due }.finding();
    evidence.held_by(NAME, vec![finding], UNARCHIVED, |finding, expectation| held(finding, lag.as_slice(), expectation))
}

/// Whether an archive lacks files, and is otherwise as it should be.
pub fn lacks_files_alone(finding: &Finding) -> bool {
    let value = |measure: &str| finding.value_of(measure).unwrap_or_default();
    finding.check == NAME && value(ARCHIVE_MISSING_FILES) > 0.0 && value(ARCHIVE_OVERWRITTEN_FILES) == 0.0
}

/// The last place that the primary of a cluster was ordered to archive, with its event.
fn last_due<'a>(events: &'a [Event], cluster: &str) -> Option<(&'a Event, &'a ArchiveDue)> {
    events.iter().rev().find_map(|event| match &event.what {
        Occurrence::ArchiveDue(due) if due.cluster == cluster => Some((event, due)),
        _ => None,
    })
}

struct Course<'e, 'a> {
    evidence: &'e Evidence<'a>,
    cluster: &'e str,
    contents: Contents<'a>,
    due: Option<(&'a Event, &'a ArchiveDue)>,
}

impl Course<'_, '_> {
    /// With its lag, as far as it is known.
    fn finding(&self) -> (Finding, Option<Bracketed>) {
        let expected = self.due.map(|(_, due)| Expected::of(self.evidence, due, &self.contents));
        let (files, doubt) = match expected {
            None => (Vec::new(), Some("the primary was never ordered to archive what it had".to_owned())),
            Some(Err(reason)) => (Vec::new(), Some(reason)),
            Some(Ok(expected)) => (expected.files, None),
        };
        let doubt = doubt.or_else(|| self.unseen());
        let passed = Passed::of(self.evidence);
        let is_foreign = |file: &&str| {
            let archived_us = self.contents.first_seen_us(file);
            archived_us.zip(passed.unfinished_until(file)).is_some_and(|(archived_us, until_us)| archived_us < until_us)
        };
        let due = || files.iter().map(String::as_str);
        let missing: Vec<&str> = due().filter(|file| !self.contents.holds(file) || is_foreign(file)).collect();
        let foreign: Vec<&str> = due().filter(is_foreign).collect();
        let parts: Vec<&str> = due().filter(|file| self.contents.has_a_part_of(file)).collect();
        let overwritten = self.contents.overwritten();
        let outcome = match (&doubt, missing.is_empty(), overwritten.is_empty()) {
            (_, _, false) => Outcome::Fail,
            // What nobody listed in the end may have arrived.
            (None, false, _) => Outcome::Fail,
            (Some(_), ..) => Outcome::Inconclusive,
            (None, true, true) => Outcome::Pass,
        };
        let mut details = vec![
            Measure::new(ARCHIVE_OVERWRITTEN_FILES, overwritten.len() as f64),
            Measure::new(ARCHIVE_FILES, self.contents.count() as f64),
        ];
        let lag = self.lag_us(&files, &passed).map(|lag_us| Bracketed::of_time(ARCHIVE_LAG_MS, lag_us));
        if let Some(lag) = lag {
            details.extend([lag.measure(), Measure::new(ARCHIVE_LAG_RESOLUTION_MS, lag.most - lag.least)]);
        }
        let summary = self.summary(&files, [&missing, &foreign, &parts, &overwritten], doubt.as_deref());
        let finding = Finding::new(NAME, outcome, summary).with_details(details);
        // A count of what is missing says nothing while it is in doubt.
        let finding = match &doubt {
            None => finding.with_measure(Measure::new(ARCHIVE_MISSING_FILES, missing.len() as f64)),
            Some(_) => finding,
        };
        // What is not there has no event of its own: the one that made it due stands for it.
        let due = self.due.map(|(event, _)| event.seq);
        let shown = overwritten.iter().flat_map(|file| self.contents.seqs(file)).take(SHOWN).chain(due);
        (finding.with_evidence(shown), lag)
    }

    fn summary(
        &self,
        files: &[String],
        [missing, foreign, parts, overwritten]: [&[&str]; 4],
        doubt: Option<&str>,
    ) -> String {
        let cluster = self.cluster;
        let some = |files: &[&str]| {
            let more = files.len().saturating_sub(SHOWN);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{}{more}", files.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", "))
        };
        let mut said = Vec::new();
        if !overwritten.is_empty() {
            said.push(format!("it holds two contents of {}", some(overwritten)));
        }
        match doubt {
            Some(doubt) => said.push(format!("whether it is whole is not known: {doubt}")),
            None if !missing.is_empty() => said.push(format!("it lacks {}", some(missing))),
            None => {}
        }
        if !foreign.is_empty() {
            said.push(format!("before the primary had written them, another server had archived {}", some(foreign)));
        }
        if !parts.is_empty() {
            said.push(format!("only a part is there of {}", some(parts)));
        }
        if said.is_empty() {
            let (first, last) = (files.first().map_or("", String::as_str), files.last().map_or("", String::as_str));
            return format!(
                "the archive of {cluster} holds every file from {first} to {last}, and none of two contents"
            );
        }
        format!("the archive of {cluster}: {}", said.join("; "))
    }

    /// Why the archive is not known well enough.
    fn unseen(&self) -> Option<String> {
        let due_us = self.due?.0.at_us;
        let looks: Vec<(u64, &ArchiveListed)> = self.looks().collect();
        let answered = |(at_us, look): &&(u64, &ArchiveListed)| look.versions.is_some() && look.asked_us <= *at_us;
        let last = looks.iter().rev().find(|look| answered(look) && look.1.asked_us >= due_us);
        let Some((last_us, last)) = last else {
            let problem = looks.last().and_then(|(_, look)| look.problem.as_deref());
            let problem = problem.map_or_else(String::new, |problem| format!(": {problem}"));
            return Some(format!("it was not listed after the last file was due{problem}"));
        };
        let (listed, known) = (last.versions.unwrap_or_default(), self.objects_until(*last_us));
        if listed < known {
            return Some(format!("its last listing had {listed} objects, and {known} had been seen there"));
        }
        // What stood there before the first answer, only one that was there would know.
        let first_us = looks.first().map(|(_, look)| look.asked_us);
        let answers = looks.iter().filter(answered).map(|(at_us, _)| *at_us);
        let seen: Vec<u64> = first_us.into_iter().chain(answers).filter(|at| at <= last_us).collect();
        let pause_us = seen.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or_default();
        // What is overwritten in a bucket with versions is seen later, too.
        let keeps_versions = keeps_versions(self.evidence.plan, self.cluster);
        (pause_us > UNSEEN_US && !keeps_versions).then(|| {
            let pause_s = milliseconds(pause_us) / 1000.0;
            format!("it was not listed for {pause_s:.1} s, and its bucket keeps no versions")
        })
    }

    /// How many versions of objects were seen until an instant.
    fn objects_until(&self, until_us: u64) -> u64 {
        let objects = self.evidence.events.iter().filter_map(|event| match &event.what {
            Occurrence::ArchiveObject(object) if object.cluster == self.cluster && event.at_us <= until_us => {
                Some((object.key.as_str(), object.version.as_str()))
            }
            _ => None,
        });
        objects.collect::<BTreeSet<_>>().len() as u64
    }

    fn looks(&self) -> impl Iterator<Item = (u64, &ArchiveListed)> {
        self.evidence.events.iter().filter_map(|event| match &event.what {
            Occurrence::ArchiveListed(look) if look.cluster == self.cluster => Some((event.at_us, look)),
            _ => None,
        })
    }

    /// The longest that a segment took into the archive after the primary had filled it.
    fn lag_us(&self, files: &[String], passed: &Passed) -> Option<Bracket> {
        let lag = |file: &String| {
            let (archived_us, seq) = self.contents.first_seen(file)?;
            let (before_us, after_us) = passed.end_of(file)?;
            let least = self.last_listed_before(seq).saturating_sub(after_us);
            Some(Bracket { least, most: archived_us.saturating_sub(before_us) })
        };
        files.iter().filter_map(lag).collect::<Distribution>().max()
    }

    /// When the last whole listing before an event was asked for: what the event shows was not there yet. 0: there is none.
    fn last_listed_before(&self, seq: u64) -> u64 {
        let before = self.evidence.events[..self.evidence.events.partition_point(|event| event.seq < seq)].iter().rev();
        let asked = before.filter_map(|event| match &event.what {
            Occurrence::ArchiveListed(look) if look.cluster == self.cluster && look.versions.is_some() => {
                Some(look.asked_us.min(event.at_us))
            }
            _ => None,
        });
        asked.into_iter().next().unwrap_or_default()
    }
}

fn keeps_versions(plan: &Plan, cluster: &str) -> bool {
    let bucket = plan.archive_of(cluster).and_then(|archive| plan.topology.bucket(archive.bucket.name));
    bucket.is_some_and(|bucket| bucket.versioned)
}
