//! What was to come and did not, and what came twice: by what the run says of itself and not by what is there.

use std::collections::{BTreeMap, BTreeSet};

use super::{BegunAgain, ScenarioGroup, ScenarioVerdict, VERDICT};
use crate::{
    checks::{Finding, Outcome},
    history::{
        Event, Occurrence,
        event::{Rule, RunStarted},
    },
};

/// The schema of histories from which on a run says how many scenarios it is to have.
const COUNTED_SINCE: u32 = 2;

/// The number of missing things that one doubt names.
const TOLD: usize = 10;

/// Scenarios that the run was to have and of which the history holds nothing, and numbers that it was not to have. A trial
/// that was begun again stands under the number that it had at first.
pub(super) fn missing(run: Option<&RunStarted>, scenarios: &[ScenarioVerdict], again: &[BegunAgain]) -> Vec<String> {
    let Some(run) = run else { return Vec::new() };
    let mut doubts = Vec::new();
    if run.scenarios == 0 && run.schema >= COUNTED_SINCE {
        doubts.push("the run does not say how many scenarios it was to have".to_owned());
    }
    if run.scenarios == 0 {
        return doubts;
    }
    let planned = run.planned_numbers();
    let is_planned = |number: u32| planned.iter().any(|(first, last)| (*first..=*last).contains(&number));
    let began = scenarios.iter().filter(|verdict| verdict.scenario.is_some()).map(|verdict| verdict.number);
    let there: BTreeSet<u32> = began.map(|number| at_first(number, again)).collect();
    let count = run.scenarios;
    // Under a plan nobody knows before how many there will be; a gap among those that are there is found by their trials.
    if !matches!(run.rule, Some(Rule::Prove { .. })) {
        let absent = planned.iter().flat_map(|(first, last)| *first..=*last).filter(|number| !there.contains(number));
        let named: Vec<u32> = absent.take(TOLD).collect();
        // A history may claim billions: they are counted and not looked at.
        let all: usize =
            planned.iter().map(|(first, last)| (last.saturating_sub(*first) as usize).saturating_add(1)).sum();
        let missing = all.saturating_sub(there.iter().filter(|number| is_planned(**number)).count());
        if !named.is_empty() {
            let told = listed("number", named, missing);
            doubts.push(format!("the run was to have {count} scenarios, and {told} never began"));
        }
    }
    if let Some(beyond) = there.iter().find(|number| !is_planned(**number)) {
        doubts.push(format!("the run was to have {count} scenarios, and the history holds a number {beyond}"));
    }
    doubts
}

/// The number that a scenario had before it was begun again.
fn at_first(number: u32, again: &[BegunAgain]) -> u32 {
    let mut first = number;
    // As often as there are repeats: a circle is none.
    for _ in again {
        first = again.iter().find(|own| own.again == first).map_or(first, |own| own.scenario);
    }
    first
}

/// A run that set out to prove, with scenarios that bear on nothing that can be proven.
pub(super) fn nothing_to_prove(rule: Option<Rule>, groups: &[ScenarioGroup]) -> Vec<String> {
    if !matches!(rule, Some(Rule::Prove { .. })) {
        return Vec::new();
    }
    let without = groups.iter().filter(|group| group.proofs.is_empty());
    without
        .map(|group| format!("the run was to prove a share, and {:?} bears on no claim that has one", group.name))
        .collect()
}

/// What identifies a scenario, whatever the trial: file, line, name and topology.
type Key<'s> = (&'s str, usize, &'s str, &'s str);

/// The trials of one scenario.
struct OfScenario {
    /// How many there were to be.
    planned: u32,
    /// The number of each that is there, in the order of the history.
    there: Vec<u32>,
}

impl OfScenario {
    fn absent(&self) -> (Vec<u32>, usize) {
        absent(&self.there.iter().copied().collect(), self.planned)
    }

    /// Those that are there once more than they should be.
    fn surplus(&self) -> usize {
        self.there.len() - self.there.iter().collect::<BTreeSet<_>>().len()
    }
}

/// How many trials of each scenario there were to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trials {
    /// As many as each scenario says.
    All,
    /// Some, of which the others are in other runs.
    OfOneShard,
    /// As many as it took: those up to the last that there is.
    AsManyAsItTook,
}

impl Trials {
    /// For this run. `is_one`: it is judged alone, and not with those that it is one with.
    pub(super) fn new(run: Option<&RunStarted>, is_one: bool) -> Self {
        match run {
            Some(run) if matches!(run.rule, Some(Rule::Prove { .. })) => Trials::AsManyAsItTook,
            Some(run) if run.shard.is_some() && is_one => Trials::OfOneShard,
            _ => Trials::All,
        }
    }

    fn grouped<'s>(self, scenarios: impl IntoIterator<Item = &'s ScenarioVerdict>) -> BTreeMap<Key<'s>, OfScenario> {
        let mut grouped: BTreeMap<Key<'_>, OfScenario> = BTreeMap::new();
        for verdict in scenarios {
            if let Some(own) = &verdict.scenario {
                let key = (own.file.as_str(), own.line, own.name.as_str(), verdict.topology.as_str());
                let trials = grouped.entry(key).or_insert(OfScenario { planned: 0, there: Vec::new() });
                let planned = if self == Trials::AsManyAsItTook { own.trial } else { own.trials };
                trials.planned = trials.planned.max(planned);
                trials.there.push(own.trial);
            }
        }
        grouped
    }

    /// Of each scenario the trials that are missing or there twice.
    pub(super) fn doubts(self, scenarios: &[ScenarioVerdict]) -> Vec<String> {
        let mut doubts = Vec::new();
        for ((.., name, _), own) in self.grouped(scenarios) {
            let (absent, count) = own.absent();
            // What a shard lacks is named by its numbers.
            if count > 0 && self != Trials::OfOneShard {
                let planned = own.planned;
                doubts.push(format!("of {planned} trials of {name:?} {} never began", listed("trial", absent, count)));
            }
            if own.surplus() > 0 {
                doubts.push(format!("the history holds a trial of {name:?} twice"));
            }
        }
        doubts
    }

    /// How many trials of these scenarios were to come and never began, or are not of this shard.
    pub(super) fn never_began(self, scenarios: &[&ScenarioVerdict]) -> u64 {
        self.grouped(scenarios.iter().copied()).values().map(|own| own.absent().1 as u64).sum()
    }

    /// How many trials of these scenarios are there once more than they should be, so that they prove nothing of their own.
    pub(super) fn surplus(self, scenarios: &[&ScenarioVerdict]) -> u64 {
        self.grouped(scenarios.iter().copied()).values().map(|own| own.surplus() as u64).sum()
    }
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
