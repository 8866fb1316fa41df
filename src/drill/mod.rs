//! A drill: one scenario's life. Build the topology, put a load on it, break it, watch, mend it, count what is
//! left, and clear away.
//!
//! Steps call it, a run closes it. It decides nothing about right and wrong: that is the checks' work, on what it
//! leaves in the history.

mod cells;
mod close;
mod condition;
mod context;
mod ground;
mod lease;
mod readable;
mod runbook;
mod schedule;
mod setup;
mod subscribers;
mod watchdogs;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};

pub use cells::Sharing;
pub use condition::Condition;
pub use context::{DrillContext, DrillError};
pub use runbook::{BackupOrder, MemberOrder, NodeOrder, PromotionWay, RestorePoint, RunbookError, RunbookOrder};
pub use schedule::Repetition;
pub use setup::{Setup, ShapedLinks, TopologySources};
pub use subscribers::SubscriberOrder;

use condition::Watch;
use ground::{Ground, GroundWatch};
use watchdogs::Watchdogs;

use crate::{
    faults::{Injector, Order, Target},
    history::{
        Occurrence, Recorder,
        event::{Cell, Expectation, Milestone, Worst},
    },
    observers::Observers,
    plan::Plan,
    system::System,
    waiting::wait_until,
    workload::{LoadSpec, Workload},
};

/// Writes must succeed without a break for this long before the scenario counts as recovered.
pub const SETTLE: Duration = Duration::from_secs(2);

/// One scenario (one trial of it) under way.
pub struct Drill {
    context: Arc<DrillContext>,
    recorder: Recorder,
    random: StdRng,
    setup: Setup,
    running: Option<Running>,
    ground: Ground,
    sharing: Sharing,
    /// How the first fault is to meet the lease; `None`: the system is not built yet, or no agent keeps a lease.
    cell: Option<Cell>,
    /// When the steady state was reached before the first fault.
    steady_us: u64,
    /// When the last fault began to be injected.
    fault_began_us: Option<u64>,
    /// When the last fault was on, or what clients must get over had come.
    last_fault_us: Option<u64>,
    /// What the history shall say about the next fault.
    notes: BTreeMap<String, String>,
    /// The node that led before the last fault.
    primary_before: Option<String>,
    /// When the last bad change was about to be made.
    before_bad_change: Option<runbook::Before>,
    recovered: bool,
    /// Whether the steady state was reached once.
    is_steady: bool,
    /// Whether every node was seen back after the last fault; `None`: nobody has waited for it.
    rejoined: Option<bool>,
    /// Whether it is ended, to be begun again, if the machine is starved before its first fault.
    may_begin_again: bool,
    starved: bool,
}

/// Which trial a drill is.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Its number in the history.
    pub scenario: u32,
    /// The number that its random choices come from: a trial that is begun again makes the same ones.
    pub draws: u32,
    /// Its place among the trials that share out how a fault meets the lease.
    pub sharing: Sharing,
    /// Whether it is ended, to be begun again, if the machine is starved before its first fault.
    pub may_begin_again: bool,
}

/// A source of random choices, for a trial or for what several share. Seed and number are hashed together: neighbouring seeds
/// share nothing.
fn random(seed: u64, of: &str, number: u32) -> StdRng {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(of);
    hash.update(number.to_le_bytes());
    StdRng::from_seed(hash.finalize().into())
}

/// What exists once the system is built.
struct Running {
    plan: Plan,
    system: System,
    observers: Observers,
    workload: Option<Workload>,
    injector: Injector,
    watch: Watch,
    /// Takes resets in by the hosts' own watchdogs.
    watchdogs: Watchdogs,
    /// Ends before the containers do.
    ground_watch: GroundWatch,
}

impl Drill {
    /// A drill that has not begun. The same seed and the same draws give the same random choices.
    #[doc(hidden)]
    pub fn new(context: Arc<DrillContext>, turn: Turn) -> Self {
        let recorder = context.recorder.for_scenario(turn.scenario);
        let random = random(context.seed, "", turn.draws);
        Self {
            context,
            recorder,
            random,
            setup: Setup::default(),
            running: None,
            ground: Ground::new(),
            sharing: turn.sharing,
            cell: None,
            steady_us: 0,
            fault_began_us: None,
            last_fault_us: None,
            notes: BTreeMap::new(),
            primary_before: None,
            before_bad_change: None,
            recovered: false,
            is_steady: false,
            rejoined: None,
            may_begin_again: turn.may_begin_again,
            starved: false,
        }
    }

    /// Whether it was ended before its first fault, because the machine was starved, and is to be begun again.
    #[doc(hidden)]
    pub fn was_starved(&self) -> bool {
        self.starved
    }

    /// The scenario's part of the history.
    #[doc(hidden)]
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Chooses the topology, by name or path. The command line may have named another one for all scenarios.
    pub fn choose_topology(&mut self, name: &str) -> Result<(), DrillError> {
        self.setup.choose_topology(name, &self.context.topologies)
    }

    /// Shapes links before anything runs, beside those that the topology names.
    pub fn shape_links(&mut self, which: ShapedLinks) -> Result<(), DrillError> {
        self.setup.shape_links(which)
    }

    /// Sets a parameter of PostgreSQL on every node, before anything runs.
    pub fn set_postgresql(&mut self, parameter: &str, value: &str) -> Result<(), DrillError> {
        self.setup.set_postgresql(parameter, value)
    }

    /// Has clients of an endpoint connect to another host or global name, before anything runs.
    pub fn set_endpoint_host(&mut self, endpoint: &str, host: &str) -> Result<(), DrillError> {
        self.setup.set_endpoint_host(endpoint, host)
    }

    /// Puts data directories on disks that can be broken, before anything runs.
    pub fn prepare_disks(&mut self) -> Result<(), DrillError> {
        self.setup.prepare_disks()
    }

    /// Has clocks prepared that can be set, before anything runs.
    pub fn prepare_clocks(&mut self) -> Result<(), DrillError> {
        self.setup.prepare_clocks()
    }

    /// Gives a Patroni setting another value than the topology has, before anything runs.
    pub fn set_patroni(&mut self, name: &str, value: &str) -> Result<(), DrillError> {
        self.setup.set_patroni(name, value)
    }

    /// Has a program (`postgresql`, `patroni`) run in another version than the topology has, before anything runs.
    pub fn set_version(&mut self, program: &str, version: &str) -> Result<(), DrillError> {
        self.setup.set_version(program, version)
    }

    /// Has an application write beside the load, or changes the settings of one, before anything runs.
    pub fn set_application(&mut self, name: &str, settings: &BTreeMap<String, String>) -> Result<(), DrillError> {
        self.setup.set_application(name, settings)
    }

    /// Has the slot of a subscription kept in another way than the topology says, before anything runs.
    pub fn set_slot_kept(&mut self, subscription: &str, kept: &str) -> Result<(), DrillError> {
        self.setup.set_slot_kept(subscription, kept)
    }

    /// Has a subscription connect by another endpoint, or to the nodes themselves (`nodes`), before anything runs.
    pub fn set_subscription_through(&mut self, subscription: &str, through: &str) -> Result<(), DrillError> {
        self.setup.set_subscription_through(subscription, through)
    }

    /// Changes the load, before anything runs.
    pub fn choose_load(&mut self, load: LoadSpec) {
        self.setup.choose_load(load);
    }

    /// Has this many clients more hold a session at the write endpoint and say nothing, before anything runs.
    pub fn choose_idle_clients(&mut self, idle_clients: u32) {
        self.setup.choose_idle_clients(idle_clients);
    }

    /// States an expectation. The checks judge it when the drill is closed.
    pub fn expect(&self, expectation: Expectation) {
        self.recorder.record(Occurrence::Expected(expectation));
    }

    /// The system, built if it is not yet.
    pub async fn system(&mut self) -> Result<&System, DrillError> {
        Ok(&self.running().await?.system)
    }

    /// Injects a fault into a running, loaded, steady system and returns when it is proven to bite.
    pub async fn inject(
        &mut self,
        fault: &str,
        target: &Target,
        parameters: BTreeMap<String, String>,
    ) -> Result<(), DrillError> {
        self.inject_at_worst(fault, target, parameters, BTreeSet::new()).await
    }

    /// The same, in the circumstances in which it costs clients the most time.
    pub async fn inject_at_worst(
        &mut self,
        fault: &str,
        target: &Target,
        parameters: BTreeMap<String, String>,
        worst: BTreeSet<Worst>,
    ) -> Result<(), DrillError> {
        self.inject_numbered(fault, target, parameters, worst).await.map(|_| ())
    }

    /// The same; returns the fault's number.
    async fn inject_numbered(
        &mut self,
        fault: &str,
        target: &Target,
        parameters: BTreeMap<String, String>,
        worst: BTreeSet<Worst>,
    ) -> Result<u32, DrillError> {
        let is_first = self.running().await?.injector.injected().await == 0;
        if is_first {
            self.begin_load().await?;
        }
        self.wait_for_the_moment(target, &worst, is_first).await?;
        let notes = std::mem::take(&mut self.notes);
        let (recorder, ground) = (self.recorder.clone(), self.ground.clone());
        let began_us = recorder.now_us();
        let running = self.running().await?;
        if let Some(workload) = &running.workload {
            workload.measure_closely(true);
        }
        let injected = ground.hold(running.injector.inject(Order { fault, target, parameters, notes, worst })).await?;
        self.primary_before = injected.primary_before;
        self.fault_began_us = Some(began_us);
        self.last_fault_us = Some(recorder.now_us());
        (self.recovered, self.rejoined) = (false, None);
        Ok(injected.number)
    }

    /// Waits until another node leads than before the last fault. A fault that clients don't feel at once (an agent
    /// that is gone, with PostgreSQL alive) is not over when they can write: it has not begun to matter.
    pub async fn take_over(&mut self) -> Result<(), DrillError> {
        let (before, ground) = (self.primary_before.clone(), self.ground.clone());
        let running = self.running().await?;
        let deadline = Duration::from_secs(running.plan.deadlines.recovered_s);
        let system = &running.system;
        let waited = wait_until("another primary", deadline, || async {
            match system.leader().await {
                Some(primary) if Some(&primary) != before.as_ref() => Ok(primary),
                Some(primary) => Err(format!("{primary} leads as before")),
                None => Err("no node leads".to_owned()),
            }
        });
        let missed = |missed| system.with_logs(missed, &system.plan().node_kinds());
        ground.hold(async { waited.await.map_err(missed) }).await?;
        // What clients must get over has come only now.
        self.last_fault_us = Some(self.recorder.now_us());
        Ok(())
    }

    /// Waits until writes succeed again without a break.
    pub async fn recover(&mut self) -> Result<(), DrillError> {
        let (Some(after_us), false) = (self.last_fault_us, self.recovered) else { return Ok(()) };
        if self.running.is_none() {
            return Ok(());
        }
        let ground = self.ground.clone();
        let running = self.running().await?;
        let Some(workload) = &running.workload else { return Ok(()) };
        let deadline = Duration::from_secs(running.plan.deadlines.recovered_s);
        ground.hold(workload.wait_for_recovery(after_us, SETTLE, deadline)).await?;
        workload.measure_closely(false);
        self.recorder.record(Occurrence::Reached { milestone: Milestone::Recovered });
        self.recovered = true;
        Ok(())
    }

    /// Heals every fault that is on.
    pub async fn heal(&mut self) -> Result<(), DrillError> {
        let Some(running) = &self.running else { return Ok(()) };
        let was_on = running.injector.is_on().await;
        let healed = self.ground.hold(running.injector.heal_all()).await;
        if was_on {
            self.rejoined = None;
            self.clients_have_more_to_get_over();
        }
        healed
    }

    /// Clients may lose service by what mends a fault, too: by its healing, or by the return of a node.
    fn clients_have_more_to_get_over(&mut self) {
        if self.last_fault_us.is_some() {
            self.last_fault_us = Some(self.recorder.now_us());
            self.recovered = false;
        }
    }

    /// Gives the fault of this name that is on other parameters, and returns when it is proven to bite with them.
    pub async fn change(&mut self, fault: &str, parameters: BTreeMap<String, String>) -> Result<(), DrillError> {
        let running = self.running().await?;
        if let Some(workload) = &running.workload {
            workload.measure_closely(true);
        }
        running.injector.change(fault, parameters).await?;
        self.last_fault_us = Some(self.recorder.now_us());
        (self.recovered, self.rejoined) = (false, None);
        Ok(())
    }

    /// Heals the faults of this name that are on.
    pub async fn heal_named(&mut self, fault: &str) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let healed = ground.hold(self.running().await?.injector.heal_named(fault)).await;
        self.rejoined = None;
        self.clients_have_more_to_get_over();
        healed
    }

    /// Sleeps, unless the ground is lost.
    async fn sleep(&self, time: Duration) -> Result<(), DrillError> {
        self.ground
            .hold(async {
                tokio::time::sleep(time).await;
                Ok::<_, DrillError>(())
            })
            .await
    }

    /// Makes sure that the system runs under its load, before something other than a fault happens to it.
    async fn begin_load(&mut self) -> Result<(), DrillError> {
        if !self.is_steady {
            self.reach_steady_state().await?;
        }
        Ok(())
    }

    async fn reach_steady_state(&mut self) -> Result<(), DrillError> {
        let ground = self.ground.clone();
        let running = self.running().await?;
        ground.hold(steady_state(running)).await?;
        self.steady_us = self.recorder.now_us();
        self.recorder.record(Occurrence::Reached { milestone: Milestone::SteadyState });
        self.is_steady = true;
        Ok(())
    }

    async fn running(&mut self) -> Result<&mut Running, DrillError> {
        // Without a history nothing is proven, so there is no reason to go on breaking things.
        if let Some(failure) = self.recorder.failure() {
            return Err(DrillError::History(failure));
        }
        if let Some(reason) = self.ground.lost() {
            return Err(DrillError::GroundLost(reason));
        }
        let running = match self.running.take() {
            Some(running) => running,
            None => self.build().await?,
        };
        Ok(self.running.insert(running))
    }

    /// Starts the system, then observers, then the load: nothing that happens to the load is unobserved.
    async fn build(&mut self) -> Result<Running, DrillError> {
        let topology = self.setup.topology()?.clone();
        let plan = Plan::new(topology);
        let scenario = self.recorder.scenario();
        self.context.keep_plan(scenario, &plan)?;
        let watch = Watch::start(&self.recorder, plan.clusters.clone());
        let leading = self.draw_cell(&plan);
        let members = leading.iter().map(|(_, member)| member.clone()).collect();
        let (system, took) = self.context.start_led_by(members, &plan, scenario).await?;
        self.recorder.record(Occurrence::ClusterReady { startup_ms: as_ms(took) });
        self.take_up_cell(&leading, &system).await?;
        let (engine, labels) = (&self.context.engine, system.labels());
        let observers = Observers::start(&plan, system.access(), &self.recorder, engine, labels)?;
        Workload::prepare(&plan, system.access(), self.setup.load()).await?;
        let workload = Workload::start(&plan, system.access(), &self.recorder, self.setup.load().clone())?;
        let injector = Injector::new(system.clone(), self.recorder.clone());
        let watchdogs = Watchdogs::listen(&self.recorder, &injector);
        let ground_watch = self.ground.watch(engine, &self.recorder, self.context.folder.clone());
        Ok(Running { plan, system, observers, workload: Some(workload), injector, watch, watchdogs, ground_watch })
    }
}

async fn steady_state(running: &Running) -> Result<(), DrillError> {
    let deadline = Duration::from_secs(running.plan.deadlines.steady_state_s);
    if let Some(workload) = &running.workload {
        workload.wait_for_steady_state(deadline).await?;
    }
    let system = &running.system;
    wait_until("every agent to see its PostgreSQL run", deadline, || system.agents_run()).await?;
    // Patroni names the synchronous standby only in a later loop. Until then nobody may take over.
    for cluster in system.clusters() {
        let follows = cluster.plan().follows.is_some();
        if running.plan.is_synchronous(cluster.plan()) && !follows {
            let look = || async { cluster.synchronous_standby().await.ok_or("none is named yet".to_owned()) };
            wait_until("a synchronous standby", deadline, look).await?;
        }
    }
    Ok(())
}

/// Whole milliseconds.
fn as_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// How long until an instant; zero if it has passed.
fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
