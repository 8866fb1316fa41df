//! Runs feature files: from the command line, from `cargo test`, and from a user's own crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use cucumber::{
    Cucumber, cli,
    event::{ScenarioFinished, StepError},
    gherkin,
    parser::Parser,
    step::Collection,
};
use futures::stream;
use miette::Diagnostic;

use super::{
    feature_files::{self, FeatureError, Narrow, PlannedScenario, Selection, number_of},
    folder::{FolderError, RunFolder},
    interrupt::{Interrupted, interrupted},
    progress::Progress,
    writer::Failures,
};
use pgquake_judge::saved::{SavedError, SavedRun};

use crate::{
    checks::Outcome,
    drill::{Drill, DrillContext, TopologySources},
    engine::{
        Engine, EngineError,
        images::ImageError,
        leftovers::{Ownership, Sweep},
    },
    history::{Occurrence, Recorder, event::RunStarted, recorder::RecorderError},
    plan::Plan,
    report::ReportError,
    steps::{self, Recorded, World, panic_text},
    topology::{self, Topology, TopologyError},
};

/// Runs scenarios and judges them.
///
/// ```no_run
/// # async fn example() -> Result<(), pgquake::run::RunError> {
/// let result = pgquake::Harness::new().features(["features"]).tags("@quick").run().await?;
/// assert!(result.passed(), "{}", result.summary());
/// # Ok(())
/// # }
/// ```
pub struct Harness {
    features: Vec<PathBuf>,
    narrow: Narrow,
    topologies: TopologySources,
    steps: Collection<World>,
    out: PathBuf,
    seed: Option<u64>,
    jobs: usize,
    arguments: Vec<String>,
}

/// A run could not be carried out.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunError {
    /// The features are wrong, or no scenario is left to run. Nothing was started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Feature(#[from] FeatureError),
    /// Docker can't be reached, or did not do what it was asked.
    #[error(transparent)]
    #[diagnostic(help("`pgquake doctor` shows what this machine lacks"))]
    Engine(#[from] EngineError),
    /// A topology can't be read. Nothing was started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Topology(#[from] TopologyError),
    /// An image could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The run's folder could not be made.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The history could not be begun.
    #[error(transparent)]
    Recorder(#[from] RecorderError),
    /// The file whose lock shows that the run is alive could not be made.
    #[error("failed to take ownership of the run: {0}")]
    Ownership(std::io::Error),
    /// A step's expression is wrong.
    #[error("failed to prepare the steps: {0}")]
    Steps(String),
    /// What the run has left could not be read again to judge it.
    #[error(transparent)]
    Saved(#[from] SavedError),
}

/// What a run came to.
pub struct RunResult {
    /// What it left, and the verdict on that.
    pub saved: SavedRun,
    /// The signal that ended it early, if one did.
    pub interrupted: Option<Interrupted>,
    /// The files of the report that were written.
    pub files: Vec<PathBuf>,
    /// A format that could not be written.
    pub report_error: Option<ReportError>,
}

impl RunResult {
    /// The worst of all scenarios.
    pub fn outcome(&self) -> Outcome {
        self.saved.verdict.outcome
    }

    /// Whether everything was proven to hold.
    pub fn passed(&self) -> bool {
        self.outcome() == Outcome::Pass
    }

    /// The verdict in plain text.
    pub fn summary(&self) -> String {
        self.saved.summary(&self.files, true)
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

impl Harness {
    /// A harness with pgquake's own steps and the built-in topologies. It runs `features/`, looks for topologies
    /// in `topologies/` first, and writes to `reports/`.
    pub fn new() -> Self {
        Self {
            features: vec![PathBuf::from("features")],
            narrow: Narrow { trials: 1, ..Narrow::default() },
            topologies: TopologySources { folders: vec![PathBuf::from("topologies")], for_every_scenario: None },
            steps: Collection::new(),
            out: PathBuf::from("reports"),
            seed: None,
            jobs: 1,
            arguments: Vec::new(),
        }
    }

    /// Feature files, folders of them, or scenarios as `file.feature:LINE`.
    pub fn features<P: Into<PathBuf>>(mut self, features: impl IntoIterator<Item = P>) -> Self {
        self.features = features.into_iter().map(Into::into).collect();
        self
    }

    /// Only scenarios whose tags satisfy the expression, for example `@quick and not @sync`.
    pub fn tags(mut self, expression: impl Into<String>) -> Self {
        self.narrow.tags = Some(expression.into());
        self
    }

    /// Only scenarios whose name contains one of these.
    pub fn names(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.narrow.names = names.into_iter().collect();
        self
    }

    /// How often each scenario is repeated.
    pub fn trials(mut self, trials: u32) -> Self {
        self.narrow.trials = trials;
        self
    }

    /// The topology for every scenario, whatever its text names.
    pub fn topology(mut self, topology: Option<String>) -> Self {
        self.topologies.for_every_scenario = topology;
        self
    }

    /// Where topologies are looked for before the built-in ones.
    pub fn topologies<P: Into<PathBuf>>(mut self, folders: impl IntoIterator<Item = P>) -> Self {
        self.topologies.folders = folders.into_iter().map(Into::into).collect();
        self
    }

    /// Steps of one's own, beside pgquake's: `World::collection()` of cucumber's macros, or one put together by hand.
    pub fn steps(mut self, steps: Collection<World>) -> Self {
        self.steps = steps;
        self
    }

    /// Where the run's folder is made.
    pub fn out(mut self, out: impl Into<PathBuf>) -> Self {
        self.out = out.into();
        self
    }

    /// The seed of every random choice; without one it is drawn, and printed.
    pub fn seed(mut self, seed: Option<u64>) -> Self {
        self.seed = seed;
        self
    }

    /// How many scenarios run side by side.
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.max(1);
        self
    }

    /// The command line, for the history.
    pub fn arguments(mut self, arguments: Vec<String>) -> Self {
        self.arguments = arguments;
        self
    }

    /// The scenarios that a run would take, checked but not run.
    pub fn list(&self) -> Result<Vec<PlannedScenario>, RunError> {
        Ok(self.select()?.1.scenarios)
    }

    /// The steps, and the scenarios that are to run, checked as far as that can be done before anything starts.
    fn select(&self) -> Result<(Collection<World>, Selection), RunError> {
        if let Some(name) = &self.topologies.for_every_scenario {
            topology::load(name, &self.topologies.folders)?;
        }
        let collection = steps::add_to(self.steps.clone()).map_err(RunError::Steps)?;
        let selection = feature_files::select(&self.features, &self.narrow, &collection, &self.topologies)?;
        Ok((collection, selection))
    }

    /// Runs, judges, writes the report. Whatever ends it, no container is left behind and what was recorded stays.
    pub async fn run(self) -> Result<RunResult, RunError> {
        let (collection, selection) = self.select()?;
        let plans = plans(&selection);
        let engine = Engine::connect().await?;
        let folder = RunFolder::create(&self.out)?;
        let ownership = Ownership::of(&folder.run).map_err(RunError::Ownership)?;
        let recorder = Recorder::create(&folder.history())?;
        let progress = Progress::new(false);
        let seed = self.seed.unwrap_or_else(rand::random);
        progress.say(&format!("run {} · seed {seed} · {}", folder.run, folder.path.display()));
        for warning in warnings(&plans) {
            progress.say(&warning);
        }
        let following = progress.follow(&recorder);

        let abandoned = engine.sweep(Sweep::Abandoned).await?;
        if abandoned.containers + abandoned.networks > 0 {
            let runs: Vec<String> = abandoned.runs.into_iter().collect();
            progress.say(&format!("removed what an earlier run left behind ({})", runs.join(", ")));
        }
        let context = self.context(&engine, &folder, &ownership, &recorder, &progress, seed);
        let failures = Failures::default();
        let mut begun = Ok(());
        let ended = tokio::select! {
            outcome = self.begin(&context, &plans, selection, collection, &failures) => {
                begun = outcome;
                None
            }
            signal = interrupted() => Some(signal),
        };
        if let Some(signal) = ended {
            progress.say(&format!("{signal}: clearing away; what was recorded stays"));
        }
        if let Err(error) = clear_away(&engine, &folder.run).await {
            progress.say(&format!("not cleared away: {error}; `pgquake clean` or the next run does it"));
            let (text, message) = ("(clearing away)".to_owned(), error.to_string());
            recorder.record(Occurrence::StepFailed { text, line: 0, message });
        }
        for failure in failures.take() {
            recorder.record(Occurrence::StepFailed { text: "(the run)".to_owned(), line: 0, message: failure });
        }
        let interrupted = ended.map(|signal| signal.to_string()).or_else(|| recorder.failure());
        recorder.record(Occurrence::RunEnded { interrupted });
        following.abort();
        progress.finish();
        begun?;
        drop(ownership);
        finish(&folder, ended)
    }

    fn context(
        &self,
        engine: &Engine,
        folder: &RunFolder,
        ownership: &Ownership,
        recorder: &Recorder,
        progress: &Progress,
        seed: u64,
    ) -> Arc<DrillContext> {
        let image_progress = progress.clone();
        Arc::new(DrillContext {
            seed,
            topologies: self.topologies.clone(),
            image_progress: Box::new(move |progress| image_progress.image(&progress)),
            ..DrillContext::new(engine.clone(), recorder.clone(), &folder.run, ownership.label(), &folder.path)
        })
    }

    /// Makes sure of the images, records the beginning and runs every scenario.
    async fn begin(
        &self,
        context: &Arc<DrillContext>,
        plans: &[Plan],
        selection: Selection,
        collection: Collection<World>,
        failures: &Failures,
    ) -> Result<(), RunError> {
        context.recorder.record(Occurrence::RunStarted(RunStarted {
            schema: crate::history::event::SCHEMA,
            scenarios: u32::try_from(selection.scenarios.len()).unwrap_or(u32::MAX),
            run: context.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: context.seed,
            started_at: jiff::Timestamp::now().to_string(),
            machine: context.engine.machine().await.unwrap_or_default(),
            versions: BTreeMap::new(),
            arguments: self.arguments.clone(),
        }));
        for plan in plans {
            context.images(plan).await?;
        }
        let versions = context.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        context.recorder.record(Occurrence::ImagesReady { versions });
        let described: Arc<BTreeMap<u32, PlannedScenario>> =
            Arc::new(selection.scenarios.into_iter().map(|scenario| (scenario.number, scenario)).collect());
        let context = context.clone();
        Cucumber::<World, _, Vec<gherkin::Feature>, _, _, cli::Empty>::custom(
            Ready,
            cucumber::runner::Basic::default(),
            failures.clone(),
        )
        .with_default_cli()
        .steps(collection)
        .max_concurrent_scenarios(self.jobs)
        .before(move |_, _, scenario, world| {
            let planned = number_of(scenario).and_then(|number| described.get(&number)).cloned();
            let context = context.clone();
            Box::pin(async move {
                if let Some(planned) = planned {
                    let drill = Drill::new(context, planned.number);
                    drill.recorder().record(Occurrence::ScenarioStarted(planned.started));
                    // Before any step: one that fails must not hide that a target was missed.
                    planned.expectations.into_iter().for_each(|expectation| drill.expect(expectation));
                    world.begin(drill);
                }
            })
        })
        .after(|_, _, _, finished, world| {
            let failure = failure(finished);
            Box::pin(async move {
                if let Some(Ok(drill)) = world.map(World::drill) {
                    if let Some(failure) = failure {
                        drill.recorder().record(failure);
                    }
                    drill.close().await;
                }
            })
        })
        .run(selection.features)
        .await;
        Ok(())
    }
}

/// The plans of all topologies, as scenarios change them; each once.
fn plans(selection: &Selection) -> Vec<Plan> {
    let mut topologies: Vec<&Topology> = Vec::new();
    for topology in &selection.topologies {
        if !topologies.contains(&topology) {
            topologies.push(topology);
        }
    }
    topologies.into_iter().cloned().map(Plan::new).collect()
}

/// What to know of the topologies before believing what is found on them; each warning once.
fn warnings(plans: &[Plan]) -> BTreeSet<String> {
    let told = |plan: &Plan| {
        let name = plan.topology.name.clone();
        plan.topology.warnings().into_iter().map(move |warning| format!("warning: topology {name}: {warning}"))
    };
    plans.iter().flat_map(told).collect()
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
struct Ready;

impl Parser<Vec<gherkin::Feature>> for Ready {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<cucumber::parser::Result<gherkin::Feature>>>;

    fn parse(self, features: Vec<gherkin::Feature>, _cli: Self::Cli) -> Self::Output {
        stream::iter(features.into_iter().map(Ok).collect::<Vec<_>>())
    }
}

/// Removes whatever the run still has, twice if need be: a container that was just being made when the run ended
/// appears after the first look.
async fn clear_away(engine: &Engine, run: &str) -> Result<(), EngineError> {
    loop {
        let removed = engine.sweep(Sweep::Run(run)).await?;
        if removed.containers + removed.networks == 0 {
            return Ok(());
        }
    }
}

fn finish(folder: &RunFolder, interrupted: Option<Interrupted>) -> Result<RunResult, RunError> {
    let saved = SavedRun::read(&folder.path)?;
    let (files, report_error) = match saved.write_report() {
        Ok(files) => (files, None),
        Err(error) => (error.written.clone(), Some(error)),
    };
    Ok(RunResult { saved, interrupted, files, report_error })
}

#[cfg(test)]
mod tests {
    use std::{any::Any, sync::Mutex};

    use cucumber::step::Context;
    use futures::future::LocalBoxFuture;

    use super::*;

    static NOTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

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
        Cucumber::<World, _, Vec<gherkin::Feature>, _, _, cli::Empty>::custom(
            Ready,
            cucumber::runner::Basic::default(),
            failures.clone(),
        )
        .with_default_cli()
        .steps(steps)
        .max_concurrent_scenarios(1)
        .run(selection.features)
        .await;
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
