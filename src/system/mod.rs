//! A system: a plan that runs in containers.
//!
//! Architecture invariant: a system does only what a caller asks for. It judges nothing and records nothing.

pub mod access;
mod by_hand;
mod certificates;
mod clock;
mod cluster;
mod dcs;
mod disk;
mod entry;
mod firewall;
mod members;
mod naming;
pub mod operations;
mod replication;
mod roles;
pub mod session;
mod shaping;
mod sql;
mod start;
mod storage;
mod subscribing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

pub use access::{Access, Credentials};
#[doc(hidden)]
pub use certificates::{CertificateError, Flaw};
pub use cluster::RunningCluster;
pub use disk::DiskError;
#[doc(hidden)]
pub use entry::{Entry, EntryError};
#[doc(hidden)]
pub use firewall::{Connection, Heard};
pub use naming::NamingError;
pub use roles::{Found, Leader};
pub use session::{Login, Session, rows};
pub use shaping::ShapingError;
#[doc(hidden)]
pub use sql::{NODE, NODE_TIMELINE, SESSIONS, STREAMING_RECEIVER};
pub use start::SystemError;
#[doc(hidden)]
pub use start::{ImageTags, Startup};
pub use storage::StorageError;
#[doc(hidden)]
pub use storage::bucket_client;
pub use subscribing::SubscribingError;

use crate::{
    engine::{Engine, EngineError, LogFolder, Pod, ServiceContainer, Shell, labels::RunLabels, leftovers::Sweep},
    plan::Plan,
    topology::{Instance, ServiceKind},
};

/// A topology that runs. Cheap to clone: clones are the same system.
#[derive(Clone)]
pub struct System {
    inner: Arc<Inner>,
    services: Arc<Services>,
}

type Services = BTreeMap<(String, Instance), ServiceContainer>;

struct Inner {
    plan: Plan,
    engine: Engine,
    labels: RunLabels,
    access: Access,
    pods: BTreeMap<String, Pod>,
    logs: LogFolder,
    http: reqwest::Client,
    /// The node that led when somebody last asked.
    led_last: Mutex<Option<String>>,
    /// When the start began.
    begun: Instant,
    /// What was reached during the start, and how long after its beginning.
    reached: Mutex<Vec<(String, Duration)>>,
    /// Clusters that nobody waits for any more.
    given_up: Mutex<BTreeSet<String>>,
    /// The hosts whose certificates are revoked.
    revoked: tokio::sync::Mutex<BTreeSet<String>>,
}

impl System {
    /// The plan by which it runs.
    pub fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// Published ports and passwords.
    pub fn access(&self) -> &Access {
        &self.inner.access
    }
}

// What faults and observers do with its containers; a user's own steps have no business there.
#[doc(hidden)]
impl System {
    /// The engine that runs it.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// The labels that its containers carry.
    pub fn labels(&self) -> &RunLabels {
        &self.inner.labels
    }

    /// Logs of its services.
    pub fn logs(&self) -> &LogFolder {
        &self.inner.logs
    }

    /// The host of this name.
    pub fn pod(&self, host: &str) -> Option<&Pod> {
        self.inner.pods.get(host)
    }

    /// Every host.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.inner.pods.values()
    }

    /// A service of a host; by its kind alone, the first of that kind.
    pub fn service(&self, host: &str, which: impl Into<Instance>) -> Option<&ServiceContainer> {
        let which = which.into();
        let of_kind = |own: &Instance| which.own_name.is_none() && own.kind == which.kind;
        let exact = self.services.get(&(host.to_owned(), which.clone()));
        exact.or_else(|| self.services_on(host).find(|(own, _)| of_kind(own)).map(|(_, container)| container))
    }

    /// The service that runs PostgreSQL on a node.
    pub fn postgresql_of(&self, node: &str) -> Option<&ServiceContainer> {
        self.service(node, self.plan().node_kind(node)?)
    }

    /// A root shell in a service's own container, with its file system; `None` if the host does not run it.
    pub async fn shell_in(&self, host: &str, which: impl Into<Instance>) -> Result<Option<Shell>, EngineError> {
        let Some(service) = self.service(host, which) else { return Ok(None) };
        let shell = self.engine().shell_in(service);
        shell.open().await?;
        Ok(Some(shell))
    }

    /// Services of a host, in the order in which they start.
    pub fn services_on(&self, host: &str) -> impl Iterator<Item = (&Instance, &ServiceContainer)> {
        self.services.iter().filter(move |((at, _), _)| at == host).map(|((_, own), container)| (own, container))
    }

    /// Starts a service that was killed or stopped, and follows its log again. A Toxiproxy gets its listeners back,
    /// without toxics.
    pub async fn restart_service(&self, host: &str, which: impl Into<Instance>) -> Result<(), ShapingError> {
        let which = which.into();
        let Some(service) = self.service(host, &which) else { return Ok(()) };
        self.inner.engine.restart_service(service).await?;
        self.follow_log(host, &which);
        if which.kind == ServiceKind::Toxiproxy {
            self.make_listeners(host).await?;
        }
        Ok(())
    }

    /// Follows the log of a service that was started again.
    pub fn follow_log(&self, host: &str, which: impl Into<Instance>) {
        if let Some(service) = self.service(host, which) {
            self.inner.logs.follow(&self.inner.engine, &service.id, host, &service.name);
        }
    }

    /// What was reached during the start, each with the time since its beginning, in the order in which it came.
    pub fn startup_steps(&self) -> Vec<(String, Duration)> {
        self.inner.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_reached(&self, what: impl Into<String>) {
        let step = (what.into(), self.inner.begun.elapsed());
        self.inner.reached.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// Removes every container and network. Returns how long it took.
    pub async fn remove(&self) -> Result<Duration, EngineError> {
        let begun = Instant::now();
        let sweep = Sweep::Scenario(&self.inner.labels.run, self.inner.labels.scenario);
        self.inner.engine.sweep(sweep).await?;
        Ok(begun.elapsed())
    }
}
