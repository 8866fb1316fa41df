//! What was to come and did not, and what came twice: by what the run says of itself and not by what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{ScenarioVerdict, VERDICT};
use crate::{
    checks::{Finding, Outcome},
    history::{Event, Occurrence, event::RunStarted},
};

/// The schema of histories from which on a run says how many scenarios it is to have.
const COUNTED_SINCE: u32 = 2;

/// Names of what is missing that one doubt tells.
const TOLD: usize = 10;

/// Scenarios and trials that the run was to have and of which the history holds nothing, and trials that it holds twice.
pub(super) fn missing(run: Option<&RunStarted>, scenarios: &[ScenarioVerdict]) -> Vec<String> {
    let planned = run.map_or(0, |run| run.scenarios);
    let there: BTreeSet<u32> =
        scenarios.iter().filter(|verdict| verdict.scenario.is_some()).map(|verdict| verdict.number).collect();
    let mut doubts = Vec::new();
    if planned == 0 && run.is_some_and(|run| run.schema >= COUNTED_SINCE) {
        doubts.push("the run does not say how many scenarios it was to have".to_owned());
    }
    let (absent, count) = absent(&there, planned);
    if count > 0 {
        doubts.push(format!(
            "the run was to have {planned} scenarios, and {} never began",
            listed("number", absent, count)
        ));
    }
    if let Some(beyond) = there.iter().find(|number| planned > 0 && **number > planned) {
        doubts.push(format!("the run was to have {planned} scenarios, and the history holds a number {beyond}"));
    }
    doubts.extend(trials(scenarios));
    doubts
}

/// What identifies a scenario, whatever the trial: file, line, name and topology.
type Key<'s> = (&'s str, usize, &'s str, &'s str);

/// The trials of one scenario.
struct Trials {
    /// How many there were to be.
    planned: u32,
    /// The number of each that is there, in the order of the history.
    there: Vec<u32>,
}

impl Trials {
    fn absent(&self) -> (Vec<u32>, usize) {
        absent(&self.there.iter().copied().collect(), self.planned)
    }

    /// Those that are there once more than they should be.
    fn surplus(&self) -> usize {
        self.there.len() - self.there.iter().collect::<BTreeSet<_>>().len()
    }
}

fn grouped<'s>(scenarios: impl IntoIterator<Item = &'s ScenarioVerdict>) -> BTreeMap<Key<'s>, Trials> {
    let mut grouped: BTreeMap<Key<'_>, Trials> = BTreeMap::new();
    for verdict in scenarios {
        if let Some(own) = &verdict.scenario {
            let key = (own.file.as_str(), own.line, own.name.as_str(), verdict.topology.as_str());
            let trials = grouped.entry(key).or_insert(Trials { planned: 0, there: Vec::new() });
            trials.planned = trials.planned.max(own.trials);
            trials.there.push(own.trial);
        }
    }
    grouped
}

/// Of each scenario the trials that are missing or there twice.
fn trials(scenarios: &[ScenarioVerdict]) -> Vec<String> {
    let mut doubts = Vec::new();
    for ((.., name, _), own) in grouped(scenarios) {
        let (absent, count) = own.absent();
        if count > 0 {
            let planned = own.planned;
            doubts.push(format!("of {planned} trials of {name:?} {} never began", listed("trial", absent, count)));
        }
        if own.surplus() > 0 {
            doubts.push(format!("the history holds a trial of {name:?} twice"));
        }
    }
    doubts
}

/// How many trials of these scenarios were to come and never began.
pub(super) fn never_began(scenarios: &[&ScenarioVerdict]) -> u64 {
    grouped(scenarios.iter().copied()).values().map(|own| own.absent().1 as u64).sum()
}

/// How many trials of these scenarios are there once more than they should be, so that they prove nothing of their own.
pub(super) fn surplus(scenarios: &[&ScenarioVerdict]) -> u64 {
    grouped(scenarios.iter().copied()).values().map(|own| own.surplus() as u64).sum()
}

/// The first numbers up to `last` that are not there, and how many there are in all.
fn absent(there: &BTreeSet<u32>, last: u32) -> (Vec<u32>, usize) {
    let count = last as usize - there.range(1..=last.max(1)).count().min(last as usize);
    ((1..=last).filter(|number| !there.contains(number)).take(TOLD).collect(), count)
}

fn listed(word: &str, absent: Vec<u32>, count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let named: Vec<String> = absent.iter().map(u32::to_string).collect();
    let more = count - absent.len();
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{word}{plural} {}{tail}", named.join(", "))
}

/// A second beginning under one number: the events of two trials can't be told apart, so nothing is proven by them.
pub(super) fn mixed(events: &[Event]) -> Option<Finding> {
    let mut began = events.iter().filter(|event| matches!(event.what, Occurrence::ScenarioStarted(_)));
    let (first, second) = (began.next()?, began.next()?);
    let summary = "two scenarios began under this number, so that their events can't be told apart";
    Some(Finding::new(VERDICT, Outcome::Inconclusive, summary).with_evidence([first.seq, second.seq]))
}
