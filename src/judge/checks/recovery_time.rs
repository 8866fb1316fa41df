//! How long could clients not write or read, and where did the time go?
//!
//! Outages are measured from outside, by fresh connections to the endpoint `write` (see [`super::course::outage`] for what
//! counts); each is put down to the faults that it follows ([`super::course::grouping`]), and the longest of each cut into
//! phases ([`super::course::phases`]). Reads are judged by their own outages ([`reads`]).
//!
//! From when on? The confirmation says that the fault took effect between two instants, and clients feel it at the
//! first attempt that fails. The outage begins at that attempt, though not before the earlier of the two instants. So
//! a wide bracket neither lengthens nor shortens the outage, and the error stays within the prober's schedule.
//!
//! - Without an expectation the check passes when clients recovered, whatever the time, and states the figures.
//! - An outage that was open when the load ended, however short, fails if it outlasted the plan's deadline for recovery or an
//!   upper bound that the scenario expects, and is inconclusive otherwise; so is one that had not settled.
//! - An outage before the first fault makes the scenario inconclusive: no fault explains it. Of one in which the first fault
//!   struck, no time is measured.
//! - What is said of an outage (its length, its phases, the old primary's last write) must hold for each one that has it: a
//!   fault without an outage has no phases. If none has it, the expectation is inconclusive. A bound on the least is asked
//!   of the longest of them alone.
//! - What is said of the scenario ([`OF_SCENARIO`]: outages in total, their number, the longest wait of one client, reads) is
//!   held against all that came after the first fault.
//! - What the harness's own error can explain is neither kept nor missed ([`doubt`]).

mod clients;
mod doubt;
mod reads;
mod words;

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{
        grouping::Watched,
        outage::Window,
        phases::{Course, Failover, PHASES, Phase, PhaseName, milliseconds},
        record::{GROUND_NOTICED_WITHIN_US, Tried},
    },
};
use crate::{
    history::event::{Bound, Expectation, Operation},
    plan::{PlannedService, Span},
    services::service,
    topology::READ,
};
pub use clients::is_unserved_writer;
use clients::{UNSERVED_WRITER_MS, longest_client_gap_ms, old_primary_writes_ms, unserved_writer};
use doubt::{HarnessError, doubted, edges, stood_still_ms, untried_ms};
pub(super) use doubt::{doubted_by_lateness, load_failed};
use reads::Reads;
use words::{against, cause, story};

const NAME: &str = "recovery_time";

pub const WRITE_OUTAGE_MS: &str = "write_outage_ms";
pub const TOTAL_OUTAGE_MS: &str = "total_outage_ms";
pub const OUTAGES: &str = "outages";
pub const LONGEST_CLIENT_GAP_MS: &str = "longest_client_gap_ms";
pub const READ_OUTAGE_MS: &str = "read_outage_ms";
pub const STALE_READ_MS: &str = "stale_read_ms";
pub const READ_OUTAGES: &str = "read_outages";
pub const LONGEST_READ_GAP_MS: &str = "longest_read_gap_ms";
pub const OLD_PRIMARY_WRITES_MS: &str = "old_primary_writes_ms";
const OUTAGE_ONSET_MS: &str = "outage_onset_ms";
const OUTAGE_ONSET_ERROR_MS: &str = "outage_onset_error_ms";
const OUTAGE_BEFORE_FAULT_MS: &str = "outage_before_fault_ms";
const SESSIONS_CLOSED_MS: &str = "sessions_closed_ms";
const NOT_RECOVERED_FOR_MS: &str = "not_recovered_for_ms";
const READS_NOT_RECOVERED_FOR_MS: &str = "reads_not_recovered_for_ms";

/// Measures that stand behind the phases.
const OTHERS: &[&str] = &[
    TOTAL_OUTAGE_MS,
    OUTAGES,
    OUTAGE_ONSET_MS,
    OUTAGE_ONSET_ERROR_MS,
    OUTAGE_BEFORE_FAULT_MS,
    LONGEST_CLIENT_GAP_MS,
    READ_OUTAGE_MS,
    READ_OUTAGES,
    LONGEST_READ_GAP_MS,
    STALE_READ_MS,
    OLD_PRIMARY_WRITES_MS,
    SESSIONS_CLOSED_MS,
    NOT_RECOVERED_FOR_MS,
    READS_NOT_RECOVERED_FOR_MS,
    UNSERVED_WRITER_MS,
];

/// The outage, each phase of it, and the others.
const MEASURES: [&str; 1 + PHASES.len() + OTHERS.len()] = {
    let mut measures = [WRITE_OUTAGE_MS; 1 + PHASES.len() + OTHERS.len()];
    let mut index = 0;
    while index < PHASES.len() + OTHERS.len() {
        measures[1 + index] = if index < PHASES.len() { PHASES[index].measure } else { OTHERS[index - PHASES.len()] };
        index += 1;
    }
    measures
};

pub const CHECK: Check = Check {
    name: NAME,
    question: "How long could clients not write or read after each fault, and in which phases was the time spent?",
    measures: &MEASURES,
    over: Over::Lineage,
    judge,
};

/// Measures of the scenario, and not of each outage.
pub const OF_SCENARIO: &[&str] = &[
    TOTAL_OUTAGE_MS,
    OUTAGES,
    LONGEST_CLIENT_GAP_MS,
    READ_OUTAGE_MS,
    READ_OUTAGES,
    LONGEST_READ_GAP_MS,
    STALE_READ_MS,
];

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let all = evidence.attempts();
    let found = evidence.failovers();
    let scene = Scene { evidence, all, found, watched: Watched::of(evidence.events) };
    let expectations: Vec<Expectation> =
        evidence.expectations(NAME).filter_map(|own| asked_of(evidence, own)).collect();
    let expectations: Vec<&Expectation> = expectations.iter().collect();
    let is_fresh = |tried: &Tried<'_>| tried.is_fresh(evidence.write_endpoint(), Operation::Write);
    let mut findings = match found.is_empty() {
        true => scene.without_fault(&expectations),
        false if !all.iter().any(is_fresh) => {
            let summary = "no fresh client tried to write through the endpoint, so no outage could be seen";
            vec![Finding::new(NAME, Outcome::Inconclusive, summary)]
        }
        false => scene.after_faults(&expectations),
    };
    findings.extend(scene.before_fault());
    findings
}

/// What is expected of this lineage. Of one that no fault hit, no outage need be there, nor what one would have; and reads
/// are asked of the one whose clients read.
fn asked_of(evidence: &Evidence<'_>, expectation: &Expectation) -> Option<Expectation> {
    let measure = expectation.measure.as_str();
    let of_reads = [READ_OUTAGE_MS, STALE_READ_MS].contains(&measure);
    if evidence.is_part() && of_reads && evidence.plan.endpoint(READ).is_none() {
        return None;
    }
    match evidence.is_hit() {
        true => Some(expectation.clone()),
        false if measure == WRITE_OUTAGE_MS || OF_SCENARIO.contains(&measure) => without_least(expectation),
        false => None,
    }
}

/// An outage of new connections alone that nobody expected is known to their interval only: a bound that lies within it
/// is neither kept nor missed.
fn within_onset_error(finding: Finding, failover: &Failover) -> Finding {
    let error_ms = failover.onset_error_ms();
    let (Some(measure), Some(target)) = (&finding.measure, finding.target) else { return finding };
    let (least, most) = edges(target);
    let may_reach = |edge: f64| measure.value <= edge && edge < measure.value + error_ms;
    if measure.name == WRITE_OUTAGE_MS && least.into_iter().chain(most).any(may_reach) && error_ms > 0.0 {
        return doubted(finding, &format!("it may have begun up to {error_ms:.0} ms sooner"));
    }
    finding
}

struct Scene<'s, 'e> {
    evidence: &'s Evidence<'e>,
    all: &'s [Tried<'e>],
    found: &'s [Failover],
    watched: Watched,
}

impl Scene<'_, '_> {
    /// No fault is known to have taken effect: nothing to measure, which is a lack only if something was asked.
    fn without_fault(&self, expectations: &[&Expectation]) -> Vec<Finding> {
        let summary = match self.evidence.faults().is_empty() {
            true if expectations.is_empty() => return Vec::new(),
            true => "no fault was injected",
            false => "no fault is known to have taken effect",
        };
        vec![Finding::new(NAME, Outcome::Inconclusive, format!("{summary}, so there is no outage to measure"))]
    }

    /// Outages that no fault explains, because they had settled before the first one struck (or none did).
    fn before_fault(&self) -> Option<Finding> {
        let first = self.found.first();
        // One that was never confirmed may have struck all the same.
        let injected_us = self.evidence.faults().iter().map(|fault| fault.injecting_us).min();
        let fault_us = first.map(|failover| failover.effect_from_us).or(injected_us);
        let endpoint = self.evidence.write_endpoint();
        let fresh = self.all.iter().copied().filter(|tried| tried.is_fresh(endpoint, Operation::Write));
        let fresh: Vec<_> = fresh.collect();
        let mut before = self.watched.before_first_fault(&fresh, fault_us);
        if first.is_some_and(|failover| failover.began_before_fault) {
            before.pop();
        }
        let until_us = fault_us.or(fresh.last().map(Tried::started_us)).unwrap_or(self.watched.until_us);
        let longest = before.into_iter().max_by_key(|outage| outage.length_us(until_us))?;
        let outage_ms = milliseconds(longest.length_us(until_us));
        let tail = match fault_us {
            Some(_) => "began before the first fault: no fault explains it, and what came after can't be told from it",
            None => "came without a fault",
        };
        let finding =
            Finding::new(NAME, Outcome::Inconclusive, format!("an outage of {:.1} s {tail}", outage_ms / 1000.0));
        let finding = finding.with_measure(Measure::new(OUTAGE_BEFORE_FAULT_MS, outage_ms));
        Some(finding.with_evidence(longest.first_seq.into_iter().chain(longest.last_seq)))
    }

    fn after_faults(&self, expectations: &[&Expectation]) -> Vec<Finding> {
        let error = HarnessError::of(self.evidence);
        let fault_us = self.found.first().map_or(0, |failover| failover.effect_from_us);
        let reads = Reads::of(self.evidence, self.all, self.watched, fault_us);
        let of_scenario = self.of_scenario(fault_us, reads.as_ref());
        let (scenario, own): (Vec<_>, Vec<_>) =
            expectations.iter().copied().partition(|expectation| OF_SCENARIO.contains(&expectation.measure.as_str()));
        let mut findings = self.of_outages(&own, &of_scenario, &error);
        findings.extend(scenario.iter().map(|expectation| match &reads {
            Some(reads) if reads::MEASURES.contains(&expectation.measure.as_str()) => reads.held(expectation, &error),
            _ => self.hold_scenario(expectation, &of_scenario, &error),
        }));
        findings.extend(reads.iter().flat_map(|reads| reads.doubts(expectations)));
        findings.extend(self.unserved_writer());
        findings
    }

    /// New connections are served again, and a writer of the load is not.
    fn unserved_writer(&self) -> Option<Finding> {
        let recovered = self.found.iter().map(|failover| failover.recovered_us).collect::<Option<Vec<u64>>>()?;
        let (writer, unserved_us, seq) = unserved_writer(self.all, recovered.into_iter().max()?)?;
        let summary = format!(
            "when the load ended, writer {writer} had tried for {:.1} s after new connections were served, and nothing was \
             acknowledged to it",
            milliseconds(unserved_us) / 1000.0
        );
        let measure = Measure::new(UNSERVED_WRITER_MS, milliseconds(unserved_us));
        Some(Finding::new(NAME, Outcome::Inconclusive, summary).with_measure(measure).with_evidence([seq]))
    }

    /// The outage that stands for the scenario: the longest that ended.
    fn longest(&self) -> usize {
        self.longest_of(|_| true)
    }

    /// The longest of these outages that ended.
    fn longest_of(&self, counts: impl Fn(&Failover) -> bool) -> usize {
        let outage_ms = |index: &usize| self.found[*index].outage_ms().unwrap_or(-1.0);
        let own = (0..self.found.len()).filter(|index| counts(&self.found[*index]));
        own.max_by(|one, other| outage_ms(one).total_cmp(&outage_ms(other))).unwrap_or(0)
    }

    /// What each outage shows; the longest gives the scenario's figures too.
    fn of_outages(&self, own: &[&Expectation], of_scenario: &[Measure], error: &HarnessError) -> Vec<Finding> {
        let longest = self.longest();
        let mut findings = Vec::new();
        for (index, failover) in self.found.iter().enumerate() {
            let until_us = self.found[index + 1..].iter().find(|next| next.effect_from_us > failover.effect_from_us);
            let until_us = until_us.map_or(self.watched.until_us, |next| next.effect_from_us);
            let mut details = self.details(failover, until_us);
            if index == longest {
                details.extend_from_slice(of_scenario);
            }
            let asked = own.iter().filter(|expectation| is_asked(failover, &expectation.measure));
            let asked: Vec<Expectation> = asked
                .filter_map(|expectation| match index == self.longest_of(|own| is_asked(own, &expectation.measure)) {
                    true => Some((*expectation).clone()),
                    false => without_least(expectation),
                })
                .collect();
            findings.extend(self.judge_one(failover, details, &asked, error));
        }
        let nobody = own.iter().filter(|own| !self.found.iter().any(|failover| is_asked(failover, &own.measure)));
        findings.extend(nobody.map(|expectation| {
            let summary = story(self.evidence, &self.found[longest]);
            Finding::new(NAME, Outcome::Pass, summary).held_against(expectation)
        }));
        findings
    }

    fn judge_one(
        &self,
        failover: &Failover,
        details: Vec<Measure>,
        asked: &[Expectation],
        error: &HarnessError,
    ) -> Vec<Finding> {
        if failover.began_before_fault {
            return vec![self.began_before_fault(failover, details)];
        }
        let Some(outage_ms) = failover.outage_ms() else {
            return vec![self.not_recovered(failover, details, asked, error)];
        };
        let predicted = failover.predicted.map(bounds);
        let outage = Measure { name: WRITE_OUTAGE_MS.to_owned(), value: outage_ms, predicted };
        let (outcome, doubt) = match failover.settled {
            true => (Outcome::Pass, ""),
            false if failover.course == Course::NoOutage => {
                (Outcome::Inconclusive, "; but the load ended before clients could have felt it")
            }
            false => (Outcome::Inconclusive, "; the load ended before the recovery had settled"),
        };
        let told = format!("{}{doubt}", story(self.evidence, failover));
        let base = Finding::new(NAME, outcome, told)
            .with_measure(outage)
            .with_details(details)
            .with_evidence(failover.evidence.iter().copied());
        if asked.is_empty() {
            return vec![base];
        }
        let hold = |expectation: &Expectation| {
            let mut finding = base.clone();
            // The balancer had given the old primary up by the time the new one was UP: that cost nothing.
            if expectation.measure == PhaseName::MarkDown.measure() && finding.value_of(&expectation.measure).is_none()
            {
                finding.details.push(Measure::new(&expectation.measure, 0.0));
            }
            let finding = finding.held_against(expectation);
            let verdict = finding.measure.as_ref().map(|measure| against(measure, expectation)).unwrap_or_default();
            let held = error.applied_to(Finding { summary: format!("{}{verdict}", finding.summary), ..finding });
            self.within_pauses(within_onset_error(held, failover), failover)
        };
        asked.iter().map(hold).collect()
    }

    /// A bound that an outage misses only with the time in which nobody tried is not missed for sure.
    fn within_pauses(&self, finding: Finding, failover: &Failover) -> Finding {
        let (Some(measure), Some(target)) = (&finding.measure, finding.target) else { return finding };
        if finding.outcome != Outcome::Fail || measure.name != WRITE_OUTAGE_MS {
            return finding;
        }
        let until_us = failover.recovered_us.unwrap_or(failover.watched_until_us);
        let untried_ms = untried_ms(self.evidence, failover.outage_from_us, until_us);
        match edges(target).1 {
            Some(most) if measure.value > most && measure.value - untried_ms <= most => {
                doubted(finding, &format!("the prober tried nothing for {:.1} s of it", untried_ms / 1000.0))
            }
            _ => finding,
        }
    }

    /// The first fault struck in an outage: how long that was says nothing about the fault.
    fn began_before_fault(&self, failover: &Failover, mut details: Vec<Measure>) -> Finding {
        let outage = failover.outages.first();
        let outage_ms = outage.map_or(0.0, |outage| milliseconds(outage.length_us(failover.watched_until_us)));
        let from_us = outage.map_or(failover.effect_from_us, |outage| outage.from_us);
        let summary = format!(
            "an outage of {:.1} s began before the first fault, {:.1} s before {}: it is not the fault's alone, so no time \
             can be judged",
            outage_ms / 1000.0,
            milliseconds(failover.effect_from_us.saturating_sub(from_us)) / 1000.0,
            cause(self.evidence, failover)
        );
        details.retain(|measure| OF_SCENARIO.contains(&measure.name.as_str()));
        Finding::new(NAME, Outcome::Inconclusive, summary)
            .with_measure(Measure::new(OUTAGE_BEFORE_FAULT_MS, outage_ms))
            .with_details(details)
            .with_evidence(failover.evidence.iter().copied())
    }

    /// Clients never recovered while they tried. A failure if they tried for long enough to say so.
    fn not_recovered(
        &self,
        failover: &Failover,
        mut details: Vec<Measure>,
        asked: &[Expectation],
        error: &HarnessError,
    ) -> Finding {
        let (from_us, until_us) = (failover.outage_from_us, failover.watched_until_us);
        let tried_ms = milliseconds(until_us.saturating_sub(from_us));
        let expected = asked.iter().filter(|expectation| expectation.measure == WRITE_OUTAGE_MS);
        let most = expected.filter_map(|expectation| Some((edges(expectation.bound).1?, expectation.bound)));
        let tightest = most.min_by(|one, other| one.0.total_cmp(&other.0));
        let deadline_ms = (self.evidence.plan.deadlines.recovered_s.saturating_mul(1000)) as f64 - PATIENCE_SLACK_MS;
        let doubtful_us = if self.watched.ground_lost { GROUND_NOTICED_WITHIN_US } else { 0 };
        let unknown_ms =
            stood_still_ms(self.evidence, from_us, until_us).max(untried_ms(self.evidence, from_us, until_us));
        let sure_ms = tried_ms - unknown_ms - milliseconds(doubtful_us);
        let outlasted = sure_ms >= deadline_ms || tightest.is_some_and(|(most, _)| sure_ms > most);
        let (outcome, tail) = match outlasted {
            false if self.watched.ground_lost => (Outcome::Inconclusive, ", but the harness had lost its own ground"),
            true if error.load_failed => (Outcome::Inconclusive, ", but the load itself had failed"),
            true => (Outcome::Fail, ""),
            false => (Outcome::Inconclusive, ", but they did not try for long enough to call it a failure"),
        };
        let (tried_s, cause) = (tried_ms / 1000.0, cause(self.evidence, failover));
        let had_recovered = self.found.iter().any(|own| own.faults == failover.faults && own.outage_ms().is_some());
        let summary = match had_recovered {
            true => format!(
                "clients lost service once more after {cause}, and had not got it back after {tried_s:.1} s{tail}"
            ),
            false => format!("clients could not write again within {tried_s:.1} s after {cause}{tail}"),
        };
        details.push(Measure::new(NOT_RECOVERED_FOR_MS, if doubtful_us > 0 { sure_ms.max(0.0) } else { tried_ms }));
        let finding =
            Finding::new(NAME, outcome, summary).with_details(details).with_evidence(failover.evidence.iter().copied());
        Finding { target: tightest.map(|(_, bound)| bound), ..finding }
    }

    /// The scenario's figures, after the first fault.
    fn of_scenario(&self, fault_us: u64, reads: Option<&Reads>) -> Vec<Measure> {
        let window = Window { from_us: fault_us, until_us: self.watched.until_us, ended_by_fault: false };
        let gap = longest_client_gap_ms(self.all, window).map(|gap| Measure::new(LONGEST_CLIENT_GAP_MS, gap));
        let mut measures = vec![
            Measure::new(TOTAL_OUTAGE_MS, milliseconds(self.total_us())),
            Measure::new(OUTAGES, self.lengths_us().count() as f64),
        ];
        measures.extend(gap);
        measures.extend(reads.into_iter().flat_map(Reads::measures));
        measures
    }

    fn total_us(&self) -> u64 {
        self.lengths_us().fold(0, u64::saturating_add)
    }

    fn lengths_us(&self) -> impl Iterator<Item = u64> {
        self.found
            .iter()
            .flat_map(|failover| failover.outages.iter().map(|outage| outage.length_us(failover.watched_until_us)))
    }

    /// What is expected of all outages together.
    fn hold_scenario(&self, expectation: &Expectation, of_scenario: &[Measure], error: &HarnessError) -> Finding {
        let (count, total_s) = (self.lengths_us().count(), milliseconds(self.total_us()) / 1000.0);
        let spans = if count == 1 { "outage" } else { "outages" };
        let summary = format!("after the first fault clients had {count} {spans} of writes, {total_s:.1} s in total");
        let held = Finding::new(NAME, Outcome::Pass, summary).with_details(of_scenario.to_vec());
        let held = held.with_evidence(self.found.iter().flat_map(|failover| failover.evidence.iter().copied()));
        let held = held.held_against(expectation);
        let verdict = held.measure.as_ref().map(|measure| against(measure, expectation)).unwrap_or_default();
        let held = error.applied_to(Finding { summary: format!("{}{verdict}", held.summary), ..held });
        let sure = self.lengths_us().filter(|us| milliseconds(*us) > error.late_ms).count();
        match held.outcome {
            Outcome::Fail if expectation.measure == OUTAGES && expectation.bound.holds(sure as f64) => {
                doubted(held, &format!("only {sure} were longer than the harness's timers were late"))
            }
            Outcome::Fail if self.found[0].began_before_fault => doubted(held, "one began before the first fault"),
            Outcome::Pass if self.found.iter().any(|failover| failover.course == Course::NotRecovered) => {
                doubted(held, "clients could not write any more when the load ended")
            }
            _ => held,
        }
    }

    /// What is known of one outage beside its length.
    fn details(&self, failover: &Failover, until_us: u64) -> Vec<Measure> {
        let phase = |phase: &Phase| Measure {
            name: phase.name.measure().to_owned(),
            value: phase.duration_ms(),
            predicted: phase.predicted.map(bounds),
        };
        // A phase whose end nobody saw has no duration of its own. And detection counts from the fault: it is not what is
        // left of it when clients lost service later.
        let told = |phase: &&Phase| phase.seen && (failover.at_once() || phase.name != PhaseName::Detect);
        let mut details: Vec<Measure> = failover.phases.iter().filter(told).map(phase).collect();
        let onset_us = failover.outage_from_us.saturating_sub(failover.effect_to_us);
        if failover.onset_error_ms() > 0.0 {
            details.push(Measure::new(OUTAGE_ONSET_ERROR_MS, failover.onset_error_ms()));
        }
        if failover.course != Course::NoOutage {
            details.push(Measure::new(OUTAGE_ONSET_MS, milliseconds(onset_us)));
        }
        let old_primary_writes_ms = old_primary_writes_ms(failover, until_us, self.all);
        details.extend(old_primary_writes_ms.map(|writes| Measure::new(OLD_PRIMARY_WRITES_MS, writes)));
        details.extend(self.sessions_closed(failover));
        details
    }

    /// From the fault until the balancer closed what sessions still hung on the old primary's server: the longest that a
    /// client without patience of its own can wait there.
    fn sessions_closed(&self, failover: &Failover) -> Option<Measure> {
        let (plan, cluster) = (self.evidence.plan, self.evidence.leading()?);
        let closes = |own: &PlannedService| {
            service(own.kind).balancer().is_some_and(|row| (row.closes_sessions)(&plan.settings_for(own)))
        };
        let all_close = plan.balancers_of(cluster).into_iter().all(closes);
        let closed_us = failover.marked_down_us.filter(|_| all_close)?;
        let predicted = plan.predicted_mark_down(cluster).filter(|_| failover.predicted.is_some()).map(bounds);
        let value = milliseconds(closed_us.saturating_sub(failover.effect_us()));
        Some(Measure { name: SESSIONS_CLOSED_MS.to_owned(), value, predicted })
    }
}

/// Whether an outage has what a measure is about, seen or not. One that never ended is asked for all: it has its own answer.
fn is_asked(failover: &Failover, measure: &str) -> bool {
    let replaced = failover.old_primary.is_some() && failover.new_primary != failover.old_primary;
    match failover.course {
        Course::NotRecovered => true,
        Course::NoOutage => measure == WRITE_OUTAGE_MS,
        Course::Failover if measure == OLD_PRIMARY_WRITES_MS => replaced,
        Course::Failover if [SESSIONS_CLOSED_MS, PhaseName::MarkDown.measure()].contains(&measure) => {
            failover.marked_down_us.is_some()
        }
        Course::ClusterPromoted if measure == OLD_PRIMARY_WRITES_MS => replaced,
        Course::Failover | Course::ClusterPromoted | Course::RestartInPlace => {
            let of_phase = failover.phases.iter().any(|phase| phase.name.measure() == measure);
            of_phase || [WRITE_OUTAGE_MS, OUTAGE_ONSET_MS].contains(&measure)
        }
    }
}

/// What is expected of an outage that is not the scenario's longest. That clients can't write for a time at least is said
/// of the longest alone: of two faults that together take the DCS's quorum, the first makes no outage.
fn without_least(expectation: &Expectation) -> Option<Expectation> {
    let bound = match expectation.bound {
        Bound::AtLeast(_) => return None,
        Bound::Between(_, most) => Bound::AtMost(most),
        bound => bound,
    };
    Some(Expectation { bound, ..expectation.clone() })
}

/// The harness's own wait for recovery begins a little after the fault and ends a little before the load does.
const PATIENCE_SLACK_MS: f64 = 1000.0;

fn bounds(span: Span) -> (f64, f64) {
    (span.least_ms as f64, span.most_ms as f64)
}
