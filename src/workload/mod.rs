//! The workload: clients that write and read while things break, and the ledger of what became of each write.
//!
//! Architecture invariant: an attempt is acknowledged, refused or unknown, and it is acknowledged only when the
//! server confirmed the commit. Neither a connection that was accepted nor a word in a message is a success: the
//! published ports lead through a proxy that accepts connections for a host that is dead.

mod applications;
mod attempt;
mod client;
mod conditions;
mod databases;
mod entries;
mod held;
mod idle;
mod ledger;
mod pages;
mod prober;
mod writers;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::{
    history::{
        Recorder,
        event::{ClientKind, Operation},
    },
    plan::{Plan, PlannedEndpoint},
    services::patroni::POSTGRESQL_PORT,
    system::{Access, Entry, EntryError},
    topology::WRITE,
    waiting::NotReady,
};
use applications::Hosts;
use client::{Client, Load, Target};
use databases::Database;
pub use entries::{sessions_at, try_entries};
use idle::Idle;
pub use ledger::{RestoredLedger, read_ledgers, read_restored};
use prober::Schedule;

/// How much load there is, beside probers and held sessions, which are always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSpec {
    /// The number of writers, each with one connection. As many more write into each further database.
    pub writers: u32,
    /// Writes a second of each writer.
    pub rate_per_s: u32,
    /// How much WAL each write of a writer makes beside its row, in bytes: few rows can fill the files of a busy server.
    pub more_wal_bytes: u64,
    /// How many rows each write of a writer changes beside its own, in pages all over a table.
    pub updated_rows: u32,
    /// The endpoint that they write to, for example `write`.
    pub endpoint: String,
    /// How many clients more have a session at that endpoint, and say nothing.
    pub idle_clients: u32,
}

impl LoadSpec {
    /// Writers at the endpoint `write`, each with this rate, and nothing beside their rows.
    pub fn of(writers: u32, rate_per_s: u32) -> Self {
        let endpoint = WRITE.to_owned();
        Self { writers, rate_per_s, more_wal_bytes: 0, updated_rows: 0, endpoint, idle_clients: 0 }
    }
}

/// The load could not be started, or a part of it failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    #[error("failed to start the load: there is no endpoint {endpoint:?}; there are {known}")]
    NoSuchEndpoint { endpoint: String, known: String },
    #[error("failed to start the load: a rate of 0 writes a second is no load")]
    NoRate,
    #[error("failed to start the load: {0}")]
    Entry(#[from] EntryError),
    #[error("failed to start the load: {0}")]
    NotReady(#[from] NotReady),
    #[error("a client of the load failed: {0}")]
    ClientFailed(#[from] JoinError),
}

/// A load that runs: writers, the open-loop prober and held sessions on every endpoint. Dropping it cuts every
/// connection; [`Workload::stop`] ends it in order.
///
/// One load a scenario: client numbers count from 1 in each.
pub struct Workload {
    load: Arc<Load>,
    tasks: Tasks,
    /// How many writers there are, in all databases.
    writers: u32,
    /// How many clients applications have.
    application_clients: u32,
    targets: Vec<Arc<Target>>,
    /// Names of the endpoints that serve somebody from the beginning.
    served: Vec<String>,
    idle: Arc<Idle>,
}

impl Workload {
    /// Makes what the load needs in the database beside the ledger.
    pub async fn prepare(plan: &Plan, access: &Access, spec: &LoadSpec) -> Result<(), WorkloadError> {
        match spec.updated_rows {
            0 => Ok(()),
            _ => pages::make(plan, access, &spec.endpoint).await,
        }
    }

    /// Starts the load, which is prepared. Attempts are recorded from here on.
    pub fn start(plan: &Plan, access: &Access, recorder: &Recorder, spec: LoadSpec) -> Result<Self, WorkloadError> {
        if spec.rate_per_s == 0 {
            return Err(WorkloadError::NoRate);
        }
        let load = Arc::new(Load::new(recorder.clone(), access.login(), &spec));
        let targets = plan
            .endpoints
            .iter()
            .map(|endpoint| {
                // Also where a standby must refuse it.
                let does = if endpoint.serves.is_for_reads() { Operation::Read } else { Operation::Write };
                let target = Target::new(&endpoint.name, Entry::of(plan, access, endpoint)?, does, recorder.now_us());
                Ok(Arc::new(target))
            })
            .collect::<Result<Vec<_>, WorkloadError>>()?;
        let Some(written) = targets.iter().find(|target| target.name == spec.endpoint) else {
            let known = targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(WorkloadError::NoSuchEndpoint { endpoint: spec.endpoint, known });
        };
        let mut tasks = JoinSet::new();
        start_writers(&load, &mut tasks, &spec, (written, None));
        start_probes(&load, &mut tasks, &targets);
        let databases = Database::all(plan);
        databases.iter().for_each(|database| start_writers(&load, &mut tasks, &spec, (written, Some(database))));
        let sets = u32::try_from(databases.len() + 1).unwrap_or(u32::MAX);
        let writers = spec.writers.saturating_mul(sets);
        let idle = Arc::new(Idle::new(spec.idle_clients));
        if spec.idle_clients > 0 {
            let held = idle::run(load.clone(), written.clone(), idle.clone());
            tasks.spawn(async {
                held.await;
                Ok(())
            });
        }
        start_applications(plan, access, &load, &mut tasks, &targets)?;
        let is_served = |endpoint: &&PlannedEndpoint| plan.is_served(endpoint);
        let served = plan.endpoints.iter().filter(is_served).map(|endpoint| endpoint.name.clone()).collect();
        let application_clients = plan.topology.applications.iter().map(|own| own.clients).sum();
        Ok(Self { load, tasks, writers, application_clients, targets, served, idle })
    }

    /// Measures outages of new connections closely from here on (a fault is about to come), or no longer (writes have
    /// recovered). What fails is measured closely in any case.
    pub fn measure_closely(&self, closely: bool) {
        self.load.closely.store(closely, Ordering::Relaxed);
        self.targets.iter().for_each(|target| target.attention.notify_one());
    }

    /// Has the clients of an endpoint connect to another place from their next connection on, as after a change of an
    /// application's configuration. Connections that are open stay so.
    ///
    /// # Errors
    /// There is no such endpoint.
    pub fn point_at(&self, endpoint: &str, address: SocketAddr) -> Result<(), WorkloadError> {
        let known = || self.targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ");
        let target = self.targets.iter().find(|target| target.name == endpoint);
        let missing = || WorkloadError::NoSuchEndpoint { endpoint: endpoint.to_owned(), known: known() };
        target.ok_or_else(missing)?.point_at(address);
        Ok(())
    }

    /// Ends the load: attempts in flight get a second to end, then every connection is closed. The first client
    /// that had failed by a fault of pgquake's own is the error.
    pub async fn stop(mut self) -> Result<(), WorkloadError> {
        self.load.stop.cancel();
        let mut first_failure = Ok(());
        while let Some(ended) = self.tasks.join_next().await {
            first_failure = first_failure.and(ended.and_then(|ended| ended).map_err(WorkloadError::from));
        }
        first_failure
    }

    /// Waits until the load runs and every client of `write` (and `read`) succeeds: at least a second without a
    /// failure, with five acknowledged writes of each writer, one of each client of an application, and a held session on every endpoint. Before that, idle clients
    /// get their sessions, at their own pace.
    pub async fn wait_for_steady_state(&self, deadline: Duration) -> Result<(), NotReady> {
        self.idle.wait_until_connected().await?;
        let clients = (self.writers, self.application_clients);
        conditions::steady_state(&self.load.recorder, clients, &self.served, deadline).await
    }

    /// Waits until every write on a fresh connection to `write` that was due in the last `settle` has succeeded,
    /// all of them due at `after_us` or later.
    pub async fn wait_for_recovery(&self, after_us: u64, settle: Duration, deadline: Duration) -> Result<(), NotReady> {
        conditions::recovery(&self.load.recorder, after_us, settle, deadline).await
    }
}

type Tasks = JoinSet<Result<(), JoinError>>;

/// Starts the writers of the endpoint, or those that write into a further database there.
fn start_writers(
    load: &Arc<Load>,
    tasks: &mut Tasks,
    spec: &LoadSpec,
    (target, database): (&Arc<Target>, Option<&Arc<Database>>),
) {
    for index in 0..spec.writers {
        let phase = Duration::from_secs(1) / spec.rate_per_s * index / spec.writers;
        let client = Client::new(load, target, ClientKind::Writer, Operation::Write);
        let client = match database {
            Some(database) => client.in_database(database),
            None => client,
        };
        let writer = writers::run(client, spec.rate_per_s, phase);
        tasks.spawn(async {
            writer.await;
            Ok(())
        });
    }
}

/// Starts the clients of every application of the topology.
fn start_applications(
    plan: &Plan,
    access: &Access,
    load: &Arc<Load>,
    tasks: &mut Tasks,
    targets: &[Arc<Target>],
) -> Result<(), WorkloadError> {
    for own in &plan.topology.applications {
        let (hosts, target) = match targets.iter().find(|target| target.name == own.endpoint) {
            Some(target) => (Hosts::Endpoint, target.clone()),
            None => nodes_of(plan, access, &own.endpoint, load)?,
        };
        let shared = Arc::new(applications::Shared::new(own.clone(), hosts));
        let started = applications::clients(load, &target, own);
        let told = applications::tell(load.clone(), shared.clone());
        tasks.spawn(async {
            told.await;
            Ok(())
        });
        for (index, client) in (0..own.clients).zip(started) {
            let phase = Duration::from_secs(1) / own.rows_per_s * index / own.clients;
            let written = applications::run(client, shared.clone(), phase);
            tasks.spawn(async {
                written.await;
                Ok(())
            });
        }
    }
    Ok(())
}

/// The addresses of every node, for clients that know no endpoint.
fn nodes_of(plan: &Plan, access: &Access, name: &str, load: &Load) -> Result<(Hosts, Arc<Target>), WorkloadError> {
    let address = |node: &String| {
        let unpublished = || EntryError::Unpublished { host: node.clone(), port: POSTGRESQL_PORT };
        access.address(node, POSTGRESQL_PORT).ok_or_else(unpublished)
    };
    let nodes = plan.nodes.iter().map(address).collect::<Result<Vec<SocketAddr>, _>>()?;
    let first = nodes
        .first()
        .copied()
        .ok_or_else(|| WorkloadError::NoSuchEndpoint { endpoint: name.to_owned(), known: "no node".to_owned() })?;
    let target = Target::new(name, Entry::Host(first), Operation::Write, load.recorder.now_us());
    Ok((Hosts::Nodes(nodes), Arc::new(target)))
}

/// Starts the prober and a held session on every endpoint.
fn start_probes(load: &Arc<Load>, tasks: &mut Tasks, targets: &[Arc<Target>]) {
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    for (index, target) in (0..count).zip(targets) {
        let operation = target.operation;
        let schedule = Schedule::of(&target.name);
        // Endpoints are probed one after the other, not all at the same instant.
        let first = Instant::now() + schedule.calm() * index / count;
        tasks.spawn(prober::run(Client::new(load, target, ClientKind::Fresh, operation), first, schedule));
        let held = held::run(load.clone(), target.clone(), operation);
        tasks.spawn(async {
            held.await;
            Ok(())
        });
    }
}
