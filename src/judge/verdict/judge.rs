//! Judges a history as it is read: scenario by scenario, so that memory grows with the largest scenario and not with
//! the run.

use std::collections::{BTreeMap, BTreeSet};

use super::{RunVerdict, ScenarioVerdict, claims, doubts::Doubts, judge_scenario, planned, statistics};
use crate::{
    checks::{self, Check, Outcome},
    history::{BrokenLine, Event, Occurrence, event::RunStarted},
    plan::Plan,
};

/// Sees a scenario's verdict, with the events that it was judged by.
type Shown<'j> = Box<dyn FnMut(&ScenarioVerdict, &[Event]) + 'j>;

/// Takes the events of a run, in the order in which they were recorded, and judges each scenario at its end.
pub struct Judge<'j> {
    plans: &'j BTreeMap<u32, Plan>,
    table: &'j [Check],
    /// Is shown each scenario's verdict with the events that it was judged by.
    shown: Shown<'j>,
    /// The events of scenarios that have not ended.
    open: BTreeMap<u32, Vec<Event>>,
    /// What was recorded for all scenarios that ran at the time, since the oldest of those that are open began.
    shared: Vec<Event>,
    /// What the run says of itself.
    run: Option<RunStarted>,
    /// Scenarios of which events may be missing.
    with_gap: BTreeSet<u32>,
    doubts: Doubts,
    judged: BTreeMap<u32, ScenarioVerdict>,
}

impl<'j> Judge<'j> {
    /// A judge by these plans, of each scenario by its number. `shown` sees each scenario when it is judged, in the
    /// order in which they ended.
    pub fn new(plans: &'j BTreeMap<u32, Plan>, shown: impl FnMut(&ScenarioVerdict, &[Event]) + 'j) -> Self {
        Self::by(checks::ALL, plans, shown)
    }

    fn by(
        table: &'j [Check],
        plans: &'j BTreeMap<u32, Plan>,
        shown: impl FnMut(&ScenarioVerdict, &[Event]) + 'j,
    ) -> Self {
        Self {
            plans,
            table,
            shown: Box::new(shown),
            open: BTreeMap::new(),
            shared: Vec::new(),
            run: None,
            with_gap: BTreeSet::new(),
            doubts: Doubts::default(),
            judged: BTreeMap::new(),
        }
    }

    /// Takes the next event.
    pub fn take(&mut self, event: Event) {
        let number = event.scenario;
        if self.doubts.take(&event) {
            self.with_gap.extend(self.open.keys().copied().chain([number]));
        }
        if number == 0 {
            match event.what {
                Occurrence::RunStarted(started) => self.run = self.run.take().or(Some(started)),
                Occurrence::TimerLate { .. } | Occurrence::GroundLost { .. } if !self.open.is_empty() => {
                    self.shared.push(event);
                }
                _ => {}
            }
        } else if self.judged.contains_key(&number) {
            self.doubts.take_late(&event);
        } else {
            let ended = matches!(event.what, Occurrence::ScenarioEnded);
            self.open.entry(number).or_default().push(event);
            if ended {
                self.judge(number);
            }
        }
    }

    /// The verdict on the run. Scenarios that did not end are judged by what there is of them, also those of which a
    /// plan tells and no event.
    ///
    /// `broken` are the lines of the history that could not be read, and how many there are in all.
    pub fn finish(mut self, broken: (&[BrokenLine], u64)) -> RunVerdict {
        for number in self.plans.keys() {
            if !self.judged.contains_key(number) {
                self.open.entry(*number).or_default();
            }
        }
        while let Some(number) = self.open.keys().next().copied() {
            self.judge(number);
        }
        let scenarios: Vec<ScenarioVerdict> = self.judged.into_values().collect();
        let mut doubts = self.doubts.of_the_run(broken);
        doubts.extend(planned::missing(self.run.as_ref(), &scenarios));
        if scenarios.is_empty() {
            doubts.push("no scenario was recorded".to_owned());
        }
        doubts.extend(claims::unknown(&scenarios));
        let worst = scenarios.iter().map(|scenario| scenario.outcome).max().unwrap_or(Outcome::Inconclusive);
        RunVerdict {
            outcome: if doubts.is_empty() { worst } else { worst.max(Outcome::Inconclusive) },
            doubts,
            groups: statistics::groups(&scenarios, self.table),
            claims: claims::judge(&scenarios),
            scenarios,
        }
    }

    /// Judges a scenario by its events and lets go of them.
    fn judge(&mut self, number: u32) {
        let mut events = self.open.remove(&number).unwrap_or_default();
        if let (Some(first), Some(last)) = (events.first(), events.last()) {
            let ran_us = first.at_us..=last.at_us;
            events.extend(self.shared.iter().filter(|event| ran_us.contains(&event.at_us)).cloned());
        }
        events.sort_by_key(|event| event.seq);
        let oldest_us = self.open.values().filter_map(|events| events.first()).map(|event| event.at_us).min();
        self.shared.retain(|event| oldest_us.is_some_and(|oldest_us| event.at_us >= oldest_us));
        let has_gap = self.with_gap.contains(&number);
        let plan = self.plans.get(&number);
        let verdict = judge_scenario(number, plan, self.run.as_ref(), &events, self.table, has_gap);
        (self.shown)(&verdict, &events);
        self.judged.insert(number, verdict);
    }
}

/// Judges a history that is in memory. `plans` has the plan of each scenario by its number.
pub fn judge(plans: &BTreeMap<u32, Plan>, events: &[Event]) -> RunVerdict {
    let mut judge = Judge::new(plans, |_, _| {});
    for event in events {
        judge.take(event.clone());
    }
    judge.finish((&[], 0))
}
