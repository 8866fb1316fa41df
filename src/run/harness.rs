//! Runs feature files: from the command line, from `cargo test`, and from a user's own crate.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use cucumber::step::Collection;
use miette::Diagnostic;
use tokio::sync::Mutex;

use super::{
    admission::{Admission, Jobs},
    asked::{self, AskedError},
    feature_files::{self, Axis, FeatureError, Narrow, PlannedScenario, Selection},
    folder::{FolderError, RunFolder},
    interrupt::{Interrupted, interrupted},
    progress::Progress,
    recipe::{self, Inputs},
    schedule::{Schedule, Verdicts},
    trials::Trials,
    under_way::UnderWay,
    writer::Failures,
};
use pgquake_judge::saved::{SavedError, SavedRun};

use crate::{
    checks::Outcome,
    claims::{Claims, ClaimsError},
    drill::{DrillContext, TopologySources},
    engine::{
        Engine, EngineError,
        images::{self, ImageError},
        leftovers::{Ownership, Sweep},
    },
    history::{
        Occurrence, Recorder,
        event::{Rule, RunStarted, Shard},
        recorder::RecorderError,
    },
    plan::Plan,
    report::ReportError,
    statistics::Level,
    steps::{self, World},
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
#[derive(Clone)]
pub struct Harness {
    features: Vec<PathBuf>,
    narrow: Narrow,
    topologies: TopologySources,
    steps: Collection<World>,
    out: PathBuf,
    seed: Option<u64>,
    jobs: Jobs,
    arguments: Vec<String>,
    prove: Option<Level>,
    jointly: bool,
    shard: Option<Shard>,
    claims: Option<PathBuf>,
    again_if_unproven: bool,
}

/// What is to run, checked.
struct Chosen {
    steps: Collection<World>,
    /// Of all shards.
    selection: Selection,
    /// Of this one.
    scenarios: Vec<PlannedScenario>,
    topologies: TopologySources,
    claims: Arc<Claims>,
    rule: Rule,
}

/// A run could not be carried out.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunError {
    /// The features are wrong, or no scenario is left to run. Nothing was started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Feature(#[from] FeatureError),
    /// The claims can't be read. Nothing was started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Claims(#[from] ClaimsError),
    /// There is nothing to prove, or a shard is empty. Nothing was started.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Asked(#[from] AskedError),
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
    /// The files that the run is made of could not be kept in its folder.
    #[error("failed to keep the inputs of the run: {0}")]
    Inputs(std::io::Error),
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
            topologies: TopologySources { folders: vec![PathBuf::from("topologies")], ..TopologySources::default() },
            steps: Collection::new(),
            out: PathBuf::from("reports"),
            seed: None,
            jobs: Jobs::AtMost(1),
            arguments: Vec::new(),
            prove: None,
            jointly: false,
            shard: None,
            claims: None,
            again_if_unproven: false,
        }
    }

    /// Feature files, folders of them, or scenarios as `file.feature:LINE`.
    pub fn features<P: Into<PathBuf>>(mut self, features: impl IntoIterator<Item = P>) -> Self {
        self.features = features.into_iter().map(Into::into).collect();
        self
    }

    /// Each scenario once for every combination of these versions, as `postgresql=16,17` and `patroni=4.0,4.1`.
    pub fn matrix(mut self, axes: Vec<Axis>) -> Self {
        self.narrow.matrix = axes;
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

    /// How many scenarios may run side by side; fewer do where the harness's own timers would be late.
    pub fn jobs(mut self, jobs: Jobs) -> Self {
        self.jobs = jobs;
        self
    }

    /// Repeats each scenario until the claims with a share that it bears on are decided at this level, by a sampling plan
    /// that is laid down before the run; in place of a number of trials.
    pub fn prove(mut self, level: Option<Level>) -> Self {
        self.prove = level;
        self
    }

    /// Whether the decisions of [`Harness::prove`] are to hold together, and not each by itself.
    pub fn jointly(mut self, jointly: bool) -> Self {
        self.jointly = jointly;
        self
    }

    /// Only this part of the trials; the others are run elsewhere, with the same seed, and judged together.
    pub fn shard(mut self, shard: Option<Shard>) -> Self {
        self.shard = shard;
        self
    }

    /// The file of the claims to judge by. Without one it is `claims.yaml` beside the features, or else the documented claims.
    pub fn claims(mut self, file: Option<PathBuf>) -> Self {
        self.claims = file;
        self
    }

    /// Whether [`Harness::test_main`] tries scenarios that proved nothing once more, as a run of its own, where none failed:
    /// for machines that stand still now and then. What failed is never tried again, and both runs stay in the reports' folder.
    pub fn again_if_unproven(mut self, again: bool) -> Self {
        self.again_if_unproven = again;
        self
    }

    /// The command line, for the history.
    pub fn arguments(mut self, arguments: Vec<String>) -> Self {
        self.arguments = arguments;
        self
    }

    /// The same for these scenarios alone, and not once more; `None`: it was not asked for.
    pub(super) fn once_more(&self, scenarios: impl IntoIterator<Item = String>) -> Option<Self> {
        let narrow = Narrow { tags: None, names: Vec::new(), ..self.narrow.clone() };
        let again = Self { narrow, again_if_unproven: false, ..self.clone() }.features(scenarios);
        self.again_if_unproven.then_some(again)
    }

    /// The scenarios that a run would take, checked but not run. Of a run that sets out to prove, the first trial of each.
    pub fn list(&self) -> Result<Vec<PlannedScenario>, RunError> {
        let chosen = self.choose()?;
        let is_shown = |scenario: &PlannedScenario| self.prove.is_none() || scenario.started.trial == 1;
        Ok(chosen.scenarios.into_iter().filter(is_shown).collect())
    }

    /// What is to run, checked as far as that can be done before anything starts.
    fn choose(&self) -> Result<Chosen, RunError> {
        let claims = Arc::new(asked::claims(self.claims.as_deref(), &self.features)?);
        let topologies = TopologySources { claims: claims.clone(), ..self.topologies.clone() };
        if let Some(name) = &topologies.for_every_scenario {
            topology::load_with(name, &topologies.folders, &claims)?;
        }
        let steps = steps::add_to(self.steps.clone()).map_err(RunError::Steps)?;
        let select = |trials: u32| {
            let narrow = Narrow { trials, ..self.narrow.clone() };
            feature_files::select(&self.features, &narrow, &steps, &topologies)
        };
        let (rule, selection) = match self.prove {
            None => (Rule::Trials(self.narrow.trials), select(self.narrow.trials)?),
            Some(level) => {
                let rule = asked::proving(level, self.jointly, &select(1)?, &claims)?;
                (rule, select(asked::most_trials(rule))?)
            }
        };
        let scenarios = asked::part(&selection.scenarios, self.shard)?;
        Ok(Chosen { steps, selection, scenarios, topologies, claims, rule })
    }

    /// Runs, judges, writes the report. Whatever ends it, no container is left behind and what was recorded stays.
    pub async fn run(self) -> Result<RunResult, RunError> {
        let chosen = self.choose()?;
        let plans = plans(&chosen.scenarios);
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
        Inputs::new(&chosen.selection, &chosen.topologies.folders, &chosen.claims)
            .write(&folder.path)
            .map_err(RunError::Inputs)?;

        let abandoned = engine.sweep(Sweep::Abandoned).await?;
        if abandoned.containers + abandoned.networks > 0 {
            let runs: Vec<String> = abandoned.runs.into_iter().collect();
            progress.say(&format!("removed what an earlier run left behind ({})", runs.join(", ")));
        }
        let context = self.context(&engine, &folder, &ownership, &recorder, &progress, (seed, &chosen));
        let failures = Failures::default();
        let mut begun = Ok(());
        let ended = tokio::select! {
            outcome = self.begin(&context, &plans, chosen, &failures) => {
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
        (seed, chosen): (u64, &Chosen),
    ) -> Arc<DrillContext> {
        let image_progress = progress.clone();
        Arc::new(DrillContext {
            seed,
            topologies: chosen.topologies.clone(),
            upgrades: chosen.scenarios.iter().flat_map(|scenario| scenario.upgrades.clone()).collect(),
            image_progress: Box::new(move |progress| image_progress.image(&progress)),
            ..DrillContext::new(engine.clone(), recorder.clone(), &folder.run, ownership.label(), &folder.path)
        })
    }

    /// Makes sure of the images, records the beginning and runs every scenario.
    async fn begin(
        &self,
        context: &Arc<DrillContext>,
        plans: &[Plan],
        chosen: Chosen,
        failures: &Failures,
    ) -> Result<(), RunError> {
        let started = self.started(context, &chosen).await;
        context.recorder.record(Occurrence::RunStarted(started));
        let mut ids = BTreeMap::new();
        for plan in plans {
            for (kind, tag) in context.images(plan).await? {
                ids.extend(images::id(context.engine.docker(), &tag).await?.map(|id| (kind, id)));
            }
        }
        let versions = context.versions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        context.recorder.record(Occurrence::ImagesReady { versions, images: ids });
        let Chosen { steps, selection, scenarios, claims, rule, .. } = chosen;
        let beyond = selection.numbered;
        let (schedule, under_way) = match rule {
            Rule::Trials(_) => (Schedule::of_all(scenarios, beyond), None),
            Rule::Prove { .. } => {
                let verdicts = Verdicts::default();
                let judge = UnderWay::new(context.recorder.path(), (*claims).clone(), verdicts.clone());
                let schedule = Schedule::by_plan(scenarios, beyond, rule, claims, verdicts);
                (schedule, Some(Arc::new(Mutex::new(judge))))
            }
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let admission = Admission::new(self.jobs, cores);
        let cells_whole_after = asked::cells_whole_after(rule);
        Trials { context, steps: &steps, failures, cells_whole_after, under_way }.run(schedule, admission).await;
        Ok(())
    }

    /// How the run begins, for the history.
    async fn started(&self, context: &DrillContext, chosen: &Chosen) -> RunStarted {
        let recipe = recipe::recipe(&chosen.selection, &chosen.claims, chosen.rule);
        let inputs = Inputs::new(&chosen.selection, &chosen.topologies.folders, &chosen.claims);
        RunStarted {
            run: context.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seed: context.seed,
            started_at: jiff::Timestamp::now().to_string(),
            machine: context.engine.machine().await.unwrap_or_default(),
            arguments: self.arguments.clone(),
            scenarios: u32::try_from(chosen.scenarios.len()).unwrap_or(u32::MAX),
            numbers: asked::spans(chosen.scenarios.iter().map(|scenario| scenario.number)),
            rule: Some(chosen.rule),
            shard: self.shard,
            earlier: recipe::earlier(&self.out, &context.run, &recipe),
            recipe,
            inputs: inputs.digests(),
            binary: tokio::task::spawn_blocking(recipe::binary).await.unwrap_or_default(),
            ..RunStarted::unknown()
        }
    }
}

/// The plans of all topologies, as scenarios change them; each once.
fn plans(scenarios: &[PlannedScenario]) -> Vec<Plan> {
    let mut topologies: Vec<&Topology> = Vec::new();
    for topology in scenarios.iter().filter_map(|scenario| scenario.topology.as_deref()) {
        if !topologies.contains(&topology) {
            topologies.push(topology);
        }
    }
    topologies.into_iter().cloned().map(Plan::new).collect()
}

/// What to know of the topologies before believing what is found on them, and what of the team's own configuration the harness
/// sets; each once.
fn warnings(plans: &[Plan]) -> Vec<String> {
    let told = |plan: &Plan| {
        let name = &plan.topology.name;
        let warnings =
            plan.topology.warnings().into_iter().map(|warning| format!("warning: topology {name}: {warning}"));
        let overridden = plan.topology.overridden().into_iter().map(|line| format!("topology {name}: {line}"));
        warnings.chain(overridden).collect::<Vec<_>>()
    };
    let mut all: Vec<String> = Vec::new();
    for line in plans.iter().flat_map(told) {
        if !all.contains(&line) {
            all.push(line);
        }
    }
    all
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
