//! Judges a history as it is read: scenario by scenario, so that memory grows with the largest scenario and not with
//! the run.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    BegunAgain, RunVerdict, ScenarioVerdict, again, claims, doubts::Doubts, figures, judge_scenario, merge, planned,
};
use crate::{
    checks::{self, Check, Outcome},
    claims::Claims,
    history::{BrokenLine, Event, Occurrence, event::RunStarted},
    plan::Plan,
};

/// Sees a scenario's verdict, with the events that it was judged by.
type Shown<'j> = Box<dyn FnMut(&ScenarioVerdict, &[Event]) + Send + 'j>;

/// Takes the events of a run, in the order in which they were recorded, and judges each scenario at its end.
pub struct Judge<'j> {
    plans: Cow<'j, BTreeMap<u32, Plan>>,
    claims: Cow<'j, Claims>,
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
    /// A judge by these plans, of each scenario by its number, and by the documented claims. `shown` sees each scenario when
    /// it is judged, in the order in which they ended.
    pub fn new(plans: &'j BTreeMap<u32, Plan>, shown: impl FnMut(&ScenarioVerdict, &[Event]) + Send + 'j) -> Self {
        Self::with(Cow::Borrowed(plans), Cow::Borrowed(Claims::documented()), shown)
    }

    /// A judge by these claims, of a run that goes on: of each scenario it learns the plan before its end.
    pub fn of_a_run_under_way(claims: Claims, shown: impl FnMut(&ScenarioVerdict, &[Event]) + Send + 'j) -> Self {
        Self::with(Cow::Owned(BTreeMap::new()), Cow::Owned(claims), shown)
    }

    fn with(
        plans: Cow<'j, BTreeMap<u32, Plan>>,
        claims: Cow<'j, Claims>,
        shown: impl FnMut(&ScenarioVerdict, &[Event]) + Send + 'j,
    ) -> Self {
        Self {
            plans,
            claims,
            table: checks::ALL,
            shown: Box::new(shown),
            open: BTreeMap::new(),
            shared: Vec::new(),
            run: None,
            with_gap: BTreeSet::new(),
            doubts: Doubts::default(),
            judged: BTreeMap::new(),
        }
    }

    /// The same by these claims.
    pub fn by_claims(self, claims: &'j Claims) -> Self {
        Self { claims: Cow::Borrowed(claims), ..self }
    }

    /// Learns the plan of a scenario.
    pub fn learn(&mut self, number: u32, plan: Plan) {
        self.plans.to_mut().insert(number, plan);
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
                Occurrence::ImagesReady { versions, .. } => {
                    self.run.iter_mut().for_each(|run| run.versions.extend(versions.clone()));
                }
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
    pub fn finish(self, broken: (&[BrokenLine], u64)) -> RunVerdict {
        let claims = self.claims.clone();
        combine(vec![self.close(broken)], &claims)
    }

    /// What the run's own history says, to be combined with those of the runs that it is one with; see [`Judge::finish`].
    pub fn close(mut self, broken: (&[BrokenLine], u64)) -> JudgedRun {
        let planned: Vec<u32> = self.plans.keys().copied().collect();
        for number in planned {
            if !self.judged.contains_key(&number) {
                self.open.entry(number).or_default();
            }
        }
        while let Some(number) = self.open.keys().next().copied() {
            self.judge(number);
        }
        let mut scenarios: Vec<ScenarioVerdict> = std::mem::take(&mut self.judged).into_values().collect();
        let (begun_again, not_allowed) = again::take_out(&mut scenarios);
        let mut doubts = std::mem::take(&mut self.doubts).of_the_run(broken);
        doubts.extend(not_allowed);
        doubts.extend(planned::missing(self.run.as_ref(), &scenarios, &begun_again));
        if scenarios.is_empty() {
            doubts.push("no scenario was recorded".to_owned());
        }
        JudgedRun { run: self.run.take(), doubts, scenarios, begun_again }
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
        let run = self.run.as_ref();
        let verdict = judge_scenario(number, plan, run, &events, self.table, has_gap, &self.claims);
        (self.shown)(&verdict, &events);
        self.judged.insert(number, verdict);
    }
}

/// What one run's own history says.
pub struct JudgedRun {
    /// How it began, with the versions of what ran.
    pub run: Option<RunStarted>,
    /// Why the run itself proves less than its scenarios say.
    pub doubts: Vec<String>,
    pub scenarios: Vec<ScenarioVerdict>,
    pub begun_again: Vec<BegunAgain>,
}

/// The verdict on one run, or on several that are one together ([`super`]).
pub fn combine(mut runs: Vec<JudgedRun>, claims: &Claims) -> RunVerdict {
    let run = runs.first().and_then(|judged| judged.run.clone());
    let begun_again = runs.iter_mut().flat_map(|judged| std::mem::take(&mut judged.begun_again)).collect();
    let is_one = runs.len() == 1;
    let (scenarios, mut doubts) = match runs.pop() {
        Some(only) if is_one => (only.scenarios, only.doubts),
        last => {
            runs.extend(last);
            merge::merge(runs)
        }
    };
    let trials = planned::Trials::new(run.as_ref(), is_one);
    doubts.extend(trials.doubts(&scenarios));
    doubts.extend(claims::unknown(claims, &scenarios));
    let rule = run.and_then(|run| run.rule);
    let groups = figures::groups(&scenarios, checks::ALL, rule, claims);
    doubts.extend(planned::nothing_to_prove(rule, &groups));
    let outcomes = scenarios.iter().map(|scenario| scenario.outcome).chain(groups.iter().map(|group| group.outcome));
    let worst = outcomes.max().unwrap_or(Outcome::Inconclusive);
    RunVerdict {
        outcome: if doubts.is_empty() { worst } else { worst.max(Outcome::Inconclusive) },
        doubts,
        claims: claims::judge(claims, &scenarios, &groups, rule, trials),
        groups,
        scenarios,
        begun_again,
    }
}

/// Judges a history that is in memory. `plans` has the plan of each scenario by its number.
pub fn judge(plans: &BTreeMap<u32, Plan>, events: &[Event]) -> RunVerdict {
    judge_by(Claims::documented(), plans, events)
}

/// The same by other claims than the documented ones.
pub fn judge_by(claims: &Claims, plans: &BTreeMap<u32, Plan>, events: &[Event]) -> RunVerdict {
    let mut judge = Judge::new(plans, |_, _| {}).by_claims(claims);
    for event in events {
        judge.take(event.clone());
    }
    judge.finish((&[], 0))
}
