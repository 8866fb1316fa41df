//! Histories and the verdict that each must get: the proof that the checks can fail, and that they don't cry wolf.
//!
//! `saved` holds files as a run leaves them; after a change of the format: `UPDATE=1 cargo test --test histories`.
//! The others have many more, which are made on the spot.

mod applications;
mod archive;
mod blocked;
mod cascades;
mod claims;
mod clusters;
mod commands;
mod commits;
mod cost;
mod course;
mod databases;
mod databases_regions;
mod dcs_failover;
mod dcs_repair;
mod edits;
mod encryption;
mod fallback;
mod firewall;
mod ground;
mod hostile;
mod instances;
mod lag;
mod lease;
mod ledgers;
mod logical;
mod loss;
mod names;
mod operator_steps;
mod outages;
mod phases;
mod planned;
mod pools;
mod pools_split;
mod predict;
mod promotion;
mod properties;
mod prove;
mod reads;
mod recovery;
mod regions;
mod rejoin;
mod restored;
mod rotation;
mod routing;
mod saved;
mod shards;
mod shipped;
mod slots;
mod soundness;
mod staleness;
mod standby_region;
mod subjects;
mod suspension;
mod timelines;
mod versions;
mod virtual_addresses;
mod watchdogs;
mod watchers;
mod writers;

use pgquake_judge::{
    checks::{Finding, Outcome},
    history::Event,
    verdict::{RunVerdict, judge},
};

use course::plan;

/// The verdict on events that are not worth a file.
fn verdict_of(events: &[Event]) -> RunVerdict {
    let scenarios = events.iter().map(|event| event.scenario).filter(|number| *number > 0);
    judge(&scenarios.map(|number| (number, plan(false))).collect(), events)
}

fn findings<'v>(verdict: &'v RunVerdict, check: &str) -> Vec<&'v Finding> {
    verdict.scenarios[0].findings.iter().filter(|finding| finding.check == check).collect()
}

/// The only finding of a check.
fn finding<'v>(verdict: &'v RunVerdict, check: &str) -> &'v Finding {
    let own = findings(verdict, check);
    assert_eq!(own.len(), 1, "{check}: {own:#?}");
    own[0]
}

/// The checks with this outcome.
fn with_outcome(verdict: &RunVerdict, outcome: Outcome) -> Vec<&str> {
    let own = verdict.scenarios[0].findings.iter().filter(|finding| finding.outcome == outcome);
    own.map(|finding| finding.check.as_str()).collect()
}

fn value(finding: &Finding, measure: &str) -> f64 {
    finding.value_of(measure).unwrap_or_else(|| panic!("no {measure} in {finding:#?}"))
}
