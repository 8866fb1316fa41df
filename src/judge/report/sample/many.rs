//! Made-up runs of many scenarios: what passes, fails, could not be proven, and controls, by turns.

use super::{FAULT_AT_MS, HOST_KILL, Run, TRIALS, TWO_WRITERS, judged, run, started};
use crate::{
    checks::{Finding, Outcome},
    history::event::Occurrence,
};

/// Log lines as they come with a message of the harness.
pub const LOGS: &str = "node1 patroni:\n  2026-03-01 10:15:04,113 INFO: no action. I am (node1), a secondary, and \
                        following a leader (node2)\n  2026-03-01 10:15:14,118 WARNING: Request failed to node2: GET \
                        node2:8008/patroni (timed out)";

impl Run {
    /// This many scenarios, one trial of each.
    pub fn many(count: u32) -> Run {
        let mut runs: Vec<Run> = (1..=count).map(one_of_many).collect();
        let mut whole = runs.remove(0);
        for one in runs {
            whole.verdict.outcome = whole.verdict.outcome.max(one.verdict.outcome);
            whole.verdict.scenarios.extend(one.verdict.scenarios);
            whole.verdict.groups.extend(one.verdict.groups);
            whole.plans.extend(one.plans);
            whole.records.extend(one.records);
        }
        whole.verdict.claims = Run::host_kill().verdict.claims;
        whole
    }
}

fn one_of_many(number: u32) -> Run {
    let failover = match number % 4 {
        1 => TRIALS[1],
        2 => TRIALS[2],
        3 => HOST_KILL,
        _ => TWO_WRITERS,
    };
    let mut started = started(&format!("The primary's host dies, variant {number}"), 1, 1);
    started.line = number as usize * 10;
    let mut one = judged(number, started, failover);
    if number.is_multiple_of(4) {
        one.0.findings.push(Finding::new(
            "ran_to_the_end",
            Outcome::Inconclusive,
            format!(
                "the step `every node has rejoined` (line 12) could not be carried out: every node back in the cluster did \
                 not come within 140 s: node1 does not stream\n{LOGS}"
            ),
        ));
        one.0.findings.retain(|finding| finding.outcome != Outcome::Fail);
        one.0.outcome = Outcome::Inconclusive;
        one.0.worst_finding = Outcome::Inconclusive;
        let at_us = u64::from(number - 1) * 90_000_000 + (FAULT_AT_MS + 60_000) * 1000;
        let message = format!("every node back in the cluster did not come within 140 s\n{LOGS}");
        let what = Occurrence::StepFailed { text: "every node has rejoined".to_owned(), line: 12, message };
        one.1.push(crate::history::Event { seq: 0, at_us, scenario: number, what });
    }
    run(vec![one], Vec::new())
}
