//! What does a commit cost that waits for synchronous standbys, beside one that waits for none, in one run?
//!
//! Judged of each cluster, by the writers' acknowledged writes from the steady state to the first fault, or the end of the load:
//!
//! - A write belongs to **none**, **one** or **two** synchronous standbys if the primary was seen with as many (`sync` in
//!   `pg_stat_replication`) in the last look before the write began and in the first one after it was acknowledged, and in
//!   every look between. Where any of a quorum will do (`quorum`), or more than two are waited for, it belongs to none of these.
//! - The **latency** of a commit is the time from the write's begin to its acknowledgement, its statement's round trip
//!   included; the median stands for it. What a synchronous standby costs is the difference from the median without one
//!   (`commit_cost_1_ms`, `commit_cost_2_ms`), and their ratio (`commit_ratio_1`, `commit_ratio_2`).
//! - The **throughput** is what was acknowledged in the time that was seen with as many standbys; its ratio
//!   (`throughput_ratio_1`, `throughput_ratio_2`) shows what writers lose only where they write as fast as they can, and stands
//!   at 1 otherwise.
//!
//! Where commits wait for no standby by `synchronous_commit` (`off`, `local`), there is nothing to judge, whatever the
//! primary calls its standbys. Fewer than [`WRITES_AT_LEAST`] writes are no median. Without a median for none and one for
//! another number there is nothing to judge. The hosts of a topology are on one machine: its ratios say something of other
//! machines, its milliseconds say little.

use super::{
    Check, Evidence, Finding, Measure, Outcome, Over,
    course::{grouping::Watched, phases::milliseconds, primaries::LOOK_US},
};
use crate::history::{
    Occurrence,
    event::{ClientKind, NodeState},
};

const NAME: &str = "cost";
pub const COMMIT_RATIO_1: &str = "commit_ratio_1";
pub const COMMIT_RATIO_2: &str = "commit_ratio_2";
pub const COMMIT_COST_1_MS: &str = "commit_cost_1_ms";
pub const COMMIT_COST_2_MS: &str = "commit_cost_2_ms";
const COMMIT_0_MS: &str = "commit_0_ms";
const THROUGHPUT_RATIO_1: &str = "throughput_ratio_1";
const THROUGHPUT_RATIO_2: &str = "throughput_ratio_2";

pub const CHECK: Check = Check {
    name: NAME,
    question: "What did a commit cost that waited for synchronous standbys, beside one that waited for none?",
    measures: &[
        COMMIT_RATIO_1,
        COMMIT_RATIO_2,
        COMMIT_COST_1_MS,
        COMMIT_COST_2_MS,
        COMMIT_0_MS,
        THROUGHPUT_RATIO_1,
        THROUGHPUT_RATIO_2,
    ],
    over: Over::Cluster,
    judge,
};

/// Fewer writes than these have no median that another run would show again.
const WRITES_AT_LEAST: usize = 100;
/// Two looks that are further apart leave what was between them unknown: a state is told once a second at least.
const LOOKS_APART_US: u64 = 2 * LOOK_US;
/// How many synchronous standbys are told apart: none, one, two.
const COUNTS: usize = 3;

/// With one number of synchronous standbys.
#[derive(Debug, Default)]
struct Stretch {
    latencies_us: Vec<u64>,
    /// The time in which the primary was seen with as many.
    seen_us: u64,
}

impl Stretch {
    fn median_ms(&self) -> Option<f64> {
        let count = self.latencies_us.len();
        (count >= WRITES_AT_LEAST).then(|| milliseconds(self.latencies_us[(count - 1) / 2]))
    }

    fn rows_per_s(&self) -> f64 {
        self.latencies_us.len() as f64 / (self.seen_us.max(1) as f64 / 1e6)
    }
}

fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let findings = compared(evidence).into_iter().collect();
    evidence.held(
        NAME,
        findings,
        "commits did not wait for none, and then for one or two standbys, long enough to compare",
    )
}

/// Whether enough commits waited for none, and enough for one standby, to be compared.
pub fn was_compared(evidence: &Evidence<'_>) -> bool {
    compared(evidence).is_some()
}

fn compared(evidence: &Evidence<'_>) -> Option<Finding> {
    let stretches = stretches(evidence)?;
    let none_ms = stretches[0].median_ms()?;
    let mut details = vec![Measure::new(COMMIT_0_MS, none_ms)];
    let mut said = vec![format!("{none_ms:.1} ms with none")];
    let names = [
        (COMMIT_RATIO_1, COMMIT_COST_1_MS, THROUGHPUT_RATIO_1, "one"),
        (COMMIT_RATIO_2, COMMIT_COST_2_MS, THROUGHPUT_RATIO_2, "two"),
    ];
    let mut first_ratio = None;
    for (stretch, (ratio, cost, throughput, words)) in stretches[1..].iter().zip(names) {
        let Some(median_ms) = stretch.median_ms() else { continue };
        let times = median_ms / none_ms.max(f64::MIN_POSITIVE);
        let share = stretch.rows_per_s() / stretches[0].rows_per_s().max(f64::MIN_POSITIVE);
        let own = Measure::new(ratio, times);
        match first_ratio.is_none() {
            true => first_ratio = Some(own),
            false => details.push(own),
        }
        details.extend([Measure::new(cost, median_ms - none_ms), Measure::new(throughput, share)]);
        said.push(format!("{median_ms:.1} ms with {words} ({times:.1} times as long, {share:.2} of the rows)"));
    }
    let first_ratio = first_ratio?;
    let summary = format!("a commit took {} (median) by synchronous standbys", said.join(", "));
    Some(Finding::new(NAME, Outcome::Pass, summary).with_measure(first_ratio).with_details(details))
}

/// What was written with none, one and two synchronous standbys; `None`: there was no steady load.
fn stretches(evidence: &Evidence<'_>) -> Option<[Stretch; COUNTS]> {
    let watched = Watched::of(evidence.events);
    let steady_us = watched.steady_us?;
    commits_wait(evidence).then_some(())?;
    let fault_us = evidence.faults().iter().map(|fault| fault.injecting_us).min();
    let until_us = fault_us.unwrap_or(watched.until_us).min(watched.until_us);
    let spans = spans(&looks(evidence), (steady_us, until_us));
    let mut stretches: [Stretch; COUNTS] = Default::default();
    for (from_us, to_us, count) in &spans {
        stretches[*count].seen_us += to_us - from_us;
    }
    let is_writer = |kind: ClientKind| kind == ClientKind::Writer;
    for tried in evidence.attempts().iter().filter(|tried| is_writer(tried.attempt.client_kind) && tried.acknowledged())
    {
        let within = spans.partition_point(|(from_us, ..)| *from_us <= tried.started_us());
        let Some((_, to_us, count)) = within.checked_sub(1).map(|index| spans[index]) else { continue };
        if tried.ended_us <= to_us {
            stretches[count].latencies_us.push(tried.ended_us - tried.started_us());
        }
    }
    stretches.iter_mut().for_each(|stretch| stretch.latencies_us.sort_unstable());
    Some(stretches)
}

/// Whether commits wait for the standbys that are synchronous, as far as settings say.
fn commits_wait(evidence: &Evidence<'_>) -> bool {
    const NAME: &str = "synchronous_commit";
    let postgresql = &evidence.settings().postgresql;
    let is_local =
        |(name, value): (&String, &String)| name.eq_ignore_ascii_case(NAME) && value.eq_ignore_ascii_case("local");
    !postgresql.is_off(NAME) && !postgresql.parameters.iter().any(is_local)
}

/// What a look at the primary showed: when it was asked and answered, and how many synchronous standbys it had; `None`: more
/// than are told apart, or any of a quorum will do.
type Look = (u64, u64, Option<usize>);

fn looks(evidence: &Evidence<'_>) -> Vec<Look> {
    let look = |at_us: u64, state: &NodeState| {
        let is = |wanted: &'static str| state.standbys.values().filter(move |how| *how == wanted).count();
        let count = Some(is("sync")).filter(|count| *count < COUNTS && is("quorum") == 0);
        (state.asked_us.unwrap_or_else(|| at_us.saturating_sub(LOOK_US)).min(at_us), at_us, count)
    };
    let own = evidence.events.iter().filter_map(|event| match &event.what {
        Occurrence::NodeState(state) if state.is_primary() && evidence.plan.cluster_of(&state.node).is_some() => {
            Some(look(event.at_us, state))
        }
        _ => None,
    });
    own.collect()
}

/// The spans between looks that show the same number, from the answer of the first look to the question of the last one.
fn spans(looks: &[Look], (from_us, until_us): (u64, u64)) -> Vec<(u64, u64, usize)> {
    let mut spans: Vec<(u64, u64, usize)> = Vec::new();
    let mut goes_on = false;
    for pair in looks.windows(2) {
        let [(_, answered_us, count), (asked_us, _, next)] = [pair[0], pair[1]];
        let (begin_us, end_us) = (answered_us.max(from_us), asked_us.min(until_us));
        let is_known = begin_us < end_us && end_us - begin_us <= LOOKS_APART_US;
        let Some(count) = count.filter(|_| count == next && is_known) else {
            goes_on = false;
            continue;
        };
        match spans.last_mut() {
            // The look between the two pairs showed it, too.
            Some((_, to_us, _)) if goes_on => *to_us = end_us,
            _ => spans.push((begin_us, end_us, count)),
        }
        goes_on = true;
    }
    spans
}
