//! What all drills of a run share.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::RunbookError;
use super::TopologySources;
use crate::{
    engine::{
        Engine, EngineError,
        images::{self, ImageError, ImageKind, ImageProgress, OwnImage},
        labels::RunLabels,
    },
    faults::InjectorError,
    history::Recorder,
    observers::ObserverError,
    plan::{ImageOf, Plan},
    system::{ImageTags, Startup, System, SystemError},
    topology::{SettingError, TopologyError},
    waiting::NotReady,
    workload::WorkloadError,
};

/// A drill could not go on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DrillError {
    /// No topology was chosen.
    #[error("the scenario names no topology: begin it with `Given the topology \"single-region\"`")]
    NoTopology,
    /// The topology can't be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Topology(#[from] TopologyError),
    /// A setting that the scenario changes can't be so.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// An image could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The system could not be started.
    #[error(transparent)]
    System(#[from] SystemError),
    /// Docker did not do what it was asked.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The observers could not be started.
    #[error(transparent)]
    Observers(#[from] ObserverError),
    /// The load could not be started, or a part of it failed.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
    /// A fault could not be injected, confirmed, changed or healed.
    #[error(transparent)]
    Fault(#[from] InjectorError),
    /// A condition did not come in time.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// A step of a runbook could not be taken.
    #[error(transparent)]
    Runbook(#[from] RunbookError),
    /// Nothing can be recorded any more.
    #[error("the history can't be written any more: {0}; free some space, or choose another disk with --out")]
    History(String),
    /// What the harness itself stands on is lost: the engine, a container, this machine's memory or disk.
    #[error("the drill can't go on: {0}")]
    GroundLost(String),
    /// The machine was starved before the first fault.
    #[error(
        "the machine was starved before the fault (the harness's own timers fired {} ms late), so the trial is begun again",
        .0.as_millis()
    )]
    Starved(Duration),
    /// The plan could not be saved.
    #[error("failed to save the plan: {0}")]
    Plan(std::io::Error),
}

/// Reports the progress of image builds.
#[doc(hidden)]
pub type ImageWatcher = Box<dyn Fn(ImageProgress) + Send + Sync>;

/// What all drills of a run share.
#[doc(hidden)]
pub struct DrillContext {
    pub engine: Engine,
    pub recorder: Recorder,
    /// The run's id.
    pub run: String,
    /// See [`crate::engine::labels::OWNER`].
    pub owner: String,
    /// The run's folder.
    pub folder: PathBuf,
    pub seed: u64,
    pub topologies: TopologySources,
    /// The packages that scenarios upgrade to, beside those that their topologies name.
    pub upgrades: BTreeSet<String>,
    pub image_progress: ImageWatcher,
    pub plans: Mutex<BTreeMap<u32, Plan>>,
    pub versions: Mutex<BTreeMap<String, String>>,
}

impl DrillContext {
    /// A context with seed 0 and the built-in topologies, which shows nobody which images it builds. Change
    /// its fields for more. `owner` is empty for containers that shall outlive this process.
    pub fn new(engine: Engine, recorder: Recorder, run: &str, owner: String, folder: &Path) -> Self {
        Self {
            engine,
            recorder,
            run: run.to_owned(),
            owner,
            folder: folder.to_owned(),
            seed: 0,
            topologies: TopologySources::default(),
            upgrades: BTreeSet::new(),
            image_progress: Box::new(|_| {}),
            plans: Mutex::default(),
            versions: Mutex::default(),
        }
    }

    /// Starts a system by a plan, with the images that it needs.
    pub async fn start(&self, plan: &Plan, scenario: u32) -> Result<(System, Duration), DrillError> {
        self.start_led_by(Vec::new(), plan, scenario).await
    }

    /// The same, and these members are to lead the DCSs first.
    pub(super) async fn start_led_by(
        &self,
        leading: Vec<String>,
        plan: &Plan,
        scenario: u32,
    ) -> Result<(System, Duration), DrillError> {
        let images = self.images(plan).await?;
        let startup = Startup {
            engine: &self.engine,
            plan: plan.clone(),
            labels: self.labels(scenario),
            images: &images,
            logs: self.logs(scenario),
            leading,
        };
        Ok(System::start(startup).await?)
    }

    fn labels(&self, scenario: u32) -> RunLabels {
        RunLabels { run: self.run.clone(), scenario, owner: self.owner.clone() }
    }

    /// Where a scenario's logs go.
    pub fn logs(&self, scenario: u32) -> PathBuf {
        self.folder.join("logs").join(format!("{scenario:02}"))
    }

    /// Keeps a scenario's plan, on disk too: without it a saved history can't be judged.
    pub(super) fn keep_plan(&self, scenario: u32, plan: &Plan) -> Result<(), DrillError> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.insert(scenario, plan.clone());
        let text = serde_json::to_string_pretty(&*plans).map_err(|error| DrillError::Plan(error.into()))?;
        let draft = self.folder.join("plan.json.part");
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, self.folder.join("plan.json")))
            .map_err(DrillError::Plan)
    }

    /// Makes sure that the images of a plan exist.
    pub async fn images(&self, plan: &Plan) -> Result<ImageTags, ImageError> {
        let (own, made): (Vec<_>, Vec<_>) = plan.images().partition(|image| image.own.is_some());
        let mut kinds: Vec<ImageKind> = made.iter().map(|image| ImageKind::made_by(image.recipe)).collect();
        kinds.push(ImageKind::HOLDER);
        if plan.topology.prepare.disks {
            kinds.push(ImageKind::DISK);
        }
        if plan.nodes_with_watchdogs().next().is_some() {
            kinds.push(ImageKind::WATCHDOG);
        }
        // Those that may be missing, and lack something, come first.
        let own = self.own_images(own).await?;
        let ensured = images::ensure(self.engine.docker(), &kinds, &*self.image_progress).await?;
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        for image in ensured.values() {
            // All that is in the others runs: that of a subscriber too, which is no node.
            let is_chosen = |package: &str| plan.runs_package(package) || self.upgrades.contains(package);
            let runs = |package: &str| !image.kind.has_versions() || is_chosen(package);
            let run = image.versions.iter().filter(|(package, _)| runs(package));
            versions.extend(run.map(|(package, version)| (package.clone(), version.clone())));
        }
        let mut tags: ImageTags =
            ensured.into_iter().map(|(kind, image)| (kind.name().to_owned(), image.tag)).collect();
        for (name, tag, of_image) in own {
            versions.extend(of_image);
            tags.insert(name, tag);
        }
        Ok(tags)
    }

    /// Makes sure of images of the team's own: the name of each, its tag and its versions.
    async fn own_images(
        &self,
        images: Vec<ImageOf<'_>>,
    ) -> Result<Vec<(String, String, BTreeMap<String, String>)>, ImageError> {
        let mut ensured: Vec<(String, String, BTreeMap<String, String>)> = Vec::new();
        for image in images {
            let (name, Some(reference)) = (image.name(), image.own) else { continue };
            if ensured.iter().any(|(known, ..)| *known == name) {
                continue;
            }
            let own = OwnImage {
                recipe: image.recipe,
                reference,
                postgresql_major: image.postgresql_major,
                moved: image.moved,
            };
            let (tag, versions) = images::ensure_own(self.engine.docker(), own, &*self.image_progress).await?;
            ensured.push((name, tag, versions));
        }
        Ok(ensured)
    }
}
