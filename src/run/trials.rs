//! Runs the trials of a schedule, as many side by side as are asked for. Each is a run of cucumber by itself, so that the
//! next one can depend on those that have ended.

use std::{
    sync::{Arc, PoisonError},
    time::Instant,
};

use cucumber::{
    Cucumber, cli,
    event::{ScenarioFinished, StepError},
    gherkin,
    parser::Parser,
    step::Collection,
};
use futures::{Stream, StreamExt as _, stream};
use tokio::sync::{Mutex, broadcast::Receiver};

use super::{
    admission::Admission,
    feature_files::PlannedScenario,
    schedule::{Schedule, Trial},
    under_way::UnderWay,
    writer::Failures,
};
use crate::{
    drill::{Drill, DrillContext, Sharing, Turn},
    history::{Event, Occurrence, event::ScenarioStarted},
    steps::{Recorded, World, panic_text},
};

/// What every trial of a run needs.
pub(super) struct Trials<'r> {
    pub context: &'r Arc<DrillContext>,
    pub steps: &'r Collection<World>,
    pub failures: &'r Failures,
    /// The numbers of trials after which every way to meet the lease was met equally often.
    pub cells_whole_after: Vec<u32>,
    /// Judges each trial at its end, where the next one depends on that.
    pub under_way: Option<Arc<Mutex<UnderWay>>>,
}

impl Trials<'_> {
    /// Runs what the schedule has, as many at a time as are admitted, until it has no more.
    pub(super) async fn run(&self, mut schedule: Schedule, mut admission: Admission) {
        let _panics = QuietPanics::begin();
        let mut events = self.context.recorder.listen();
        let mut running = stream::FuturesUnordered::new();
        let mut alone = false;
        loop {
            while !alone
                && admission.admits(running.len(), Instant::now())
                && let Some(trial) = schedule.next(|trial| running.is_empty() || !trial.runs_alone())
            {
                alone = trial.runs_alone();
                admission.begins(trial.number);
                running.push(self.one(trial));
            }
            if running.is_empty() {
                return;
            }
            if let Some((trial, was_starved)) = until_another_may_begin(&mut running, &mut events, &mut admission).await
            {
                alone = false;
                admission.ended(trial.number);
                if was_starved {
                    schedule.again(trial);
                }
            }
        }
    }

    /// Runs one trial, and says whether it was starved before its fault.
    async fn one(&self, trial: Trial) -> (Trial, bool) {
        let PlannedScenario { number: draws, started: ScenarioStarted { trial: own, .. }, .. } = trial.planned;
        let first = draws.saturating_sub(own.saturating_sub(1));
        let sharing = Sharing::of(own, first, &self.cells_whole_after);
        let turn = Turn { scenario: trial.number, draws, sharing, may_begin_again: trial.may_begin_again() };
        let context = self.context.clone();
        let (planned, begins_again) = (trial.planned.clone(), trial.begins_again);
        let starved = Arc::new(std::sync::Mutex::new(false));
        let was_starved = starved.clone();
        cucumber(self.steps, self.failures)
            .before(move |_, _, _, world| {
                let (context, planned) = (context.clone(), planned.clone());
                Box::pin(async move {
                    let drill = Drill::new(context, turn);
                    let started = ScenarioStarted { begins_again, ..planned.started };
                    drill.recorder().record(Occurrence::ScenarioStarted(started));
                    // Before any step: one that fails must not hide that a target was missed.
                    planned.expectations.into_iter().for_each(|expectation| drill.expect(expectation));
                    world.begin(drill);
                })
            })
            .after(move |_, _, _, finished, world| {
                let (failure, starved) = (failure(finished), was_starved.clone());
                Box::pin(async move {
                    if let Some(Ok(drill)) = world.map(World::drill) {
                        if let Some(failure) = failure {
                            drill.recorder().record(failure);
                        }
                        drill.close().await;
                        *starved.lock().unwrap_or_else(PoisonError::into_inner) = drill.was_starved();
                    }
                })
            })
            .run(vec![(*trial.planned.feature).clone()])
            .await;
        self.judge().await;
        let starved = *starved.lock().unwrap_or_else(PoisonError::into_inner);
        (trial, starved)
    }

    /// Judges what has ended, beside the trials that go on.
    async fn judge(&self) {
        let Some(under_way) = &self.under_way else { return };
        let plans = self.context.plans.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut under_way = under_way.clone().lock_owned().await;
        // Without a verdict on a trial the plan goes on, and the verdict on the whole run says what was not proven.
        let read = tokio::task::spawn_blocking(move || under_way.catch_up(plans)).await;
        if let Err(why) = read.map_err(std::io::Error::other).and_then(|read| read) {
            let (text, message) = ("(the verdict on the trials so far)".to_owned(), why.to_string());
            self.context.recorder.record(Occurrence::StepFailed { text, line: 0, message });
        }
    }
}

/// Waits until another trial may perhaps begin: one has ended, which is returned, or what the history shows lets it.
async fn until_another_may_begin(
    running: &mut (impl Stream<Item = (Trial, bool)> + Unpin),
    events: &mut Receiver<Arc<Event>>,
    admission: &mut Admission,
) -> Option<(Trial, bool)> {
    let look_again = tokio::time::sleep(admission.look_again(Instant::now()));
    tokio::pin!(look_again);
    loop {
        tokio::select! {
            ended = running.next() => return ended,
            event = events.recv() => match event {
                Ok(event) if admission.take(&event, Instant::now()) => return None,
                // What was missed is shown again by the next late timer.
                _ => {}
            },
            () = &mut look_again => return None,
        }
    }
}

/// cucumber, set up for one scenario.
pub(super) fn cucumber(
    steps: &Collection<World>,
    failures: &Failures,
) -> Cucumber<World, Ready, Vec<gherkin::Feature>, cucumber::runner::Basic<World>, Failures, cli::Empty> {
    Cucumber::<World, _, Vec<gherkin::Feature>, _, _, cli::Empty>::custom(
        Ready,
        cucumber::runner::Basic::default(),
        failures.clone(),
    )
    .with_default_cli()
    .steps(steps.clone())
    .max_concurrent_scenarios(1)
}

/// Keeps panics of steps off the terminal, as cucumber does for each of its runs: of several at once the first to end would
/// put the usual words back.
struct QuietPanics {
    before: Option<PanicHook>,
}

type PanicHook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send + 'static>;

impl QuietPanics {
    fn begin() -> Self {
        let before = Some(std::panic::take_hook());
        std::panic::set_hook(Box::new(|_| {}));
        Self { before }
    }
}

impl Drop for QuietPanics {
    fn drop(&mut self) {
        // A hook can't be set by a thread that panics.
        if let Some(before) = self.before.take().filter(|_| !std::thread::panicking()) {
            std::panic::set_hook(before);
        }
    }
}

/// What is recorded of a scenario that cucumber ended early. Only a step of the user's own that fails asserts
/// something about the system under test; pgquake's steps record their failures themselves.
fn failure(finished: &ScenarioFinished) -> Option<Occurrence> {
    let not_carried_out =
        |text: &str, message| Some(Occurrence::StepFailed { text: format!("({text})"), line: 0, message });
    match finished {
        ScenarioFinished::StepFailed(_, _, StepError::Panic(why)) if (**why).is::<Recorded>() => None,
        ScenarioFinished::StepFailed(_, _, StepError::Panic(why)) => {
            Some(Occurrence::AssertionFailed { message: panic_text(&**why) })
        }
        ScenarioFinished::StepFailed(_, _, error) => not_carried_out("a step", error.to_string()),
        ScenarioFinished::BeforeHookFailed(why) => not_carried_out("the scenario's beginning", panic_text(&**why)),
        ScenarioFinished::StepSkipped => not_carried_out("a step", "no step matches it".to_owned()),
        ScenarioFinished::StepPassed => None,
    }
}

/// Features that are parsed already.
pub(super) struct Ready;

impl Parser<Vec<gherkin::Feature>> for Ready {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<cucumber::parser::Result<gherkin::Feature>>>;

    fn parse(self, features: Vec<gherkin::Feature>, _cli: Self::Cli) -> Self::Output {
        stream::iter(features.into_iter().map(Ok).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use std::{any::Any, sync::Mutex as Noted};

    use cucumber::step::Context;
    use futures::future::LocalBoxFuture;

    use super::*;
    use crate::{
        drill::TopologySources,
        run::feature_files::{self, Narrow},
    };

    static NOTED: Noted<Vec<String>> = Noted::new(Vec::new());

    fn note<'a>(_world: &'a mut World, context: Context) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move { NOTED.lock().unwrap().push(context.step.value) })
    }

    const RULES: &str = "Feature: Ours\n  Background:\n    Given note the feature\n  Rule: First\n    Background:\n      \
                         Given note the rule\n    Scenario: Within\n      Given note the scenario\n    \
                         Scenario Outline: Rows\n      Given note <row>\n      Examples:\n        | row |\n        | a |\n";

    /// In trials, too, and after both backgrounds.
    #[tokio::test]
    async fn steps_of_rules_are_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("rules.feature");
        std::fs::write(&file, RULES).unwrap();
        let steps = Collection::new().given(None, regex::Regex::new("^note .*$").unwrap(), note);
        let narrow = Narrow { trials: 2, ..Narrow::default() };
        let selection = feature_files::select(&[file], &narrow, &steps, &TopologySources::default()).unwrap();
        let places: Vec<(u32, usize)> =
            selection.scenarios.iter().map(|scenario| (scenario.number, scenario.started.line)).collect();
        assert_eq!(places, [(1, 7), (2, 7), (3, 13), (4, 13)]);
        let failures = Failures::default();
        for scenario in &selection.scenarios {
            cucumber(&steps, &failures).run(vec![(*scenario.feature).clone()]).await;
        }
        assert_eq!(failures.take(), [""; 0]);
        let once = ["note the feature", "note the rule"];
        let ran = NOTED.lock().unwrap();
        for (trial, last) in ran.chunks(3).zip(["note the scenario", "note the scenario", "note a", "note a"]) {
            assert_eq!(trial, [once[0], once[1], last]);
        }
        assert_eq!(ran.len(), 12);
    }

    #[test]
    fn only_a_step_of_the_users_own_that_fails_is_a_failure_of_the_system() {
        let panicked = |why: Arc<dyn Any + Send>| ScenarioFinished::StepFailed(None, None, StepError::Panic(why));
        assert_eq!(failure(&panicked(Arc::new(Recorded))), None);
        let own = failure(&panicked(Arc::new("node1 still leads".to_owned())));
        assert_eq!(own, Some(Occurrence::AssertionFailed { message: "node1 still leads".to_owned() }));
        let unknown = ScenarioFinished::StepFailed(None, None, StepError::NotFound);
        let hook = ScenarioFinished::BeforeHookFailed(Arc::new("no memory"));
        for finished in [unknown, hook, ScenarioFinished::StepSkipped] {
            assert!(matches!(failure(&finished), Some(Occurrence::StepFailed { .. })), "{finished:?}");
        }
        assert_eq!(failure(&ScenarioFinished::StepPassed), None);
    }
}
