//! Injects faults, proves that they bite, suspends them while a later fault has taken away what they stand on, and heals
//! them whatever becomes of the scenario.

mod active;
mod suspension;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{sync::Mutex, time::sleep};

use super::{FaultError, Target};
use crate::{
    history::{Recorder, event::Worst},
    system::System,
    waiting::NotReady,
};
use active::Faults;
pub(super) use suspension::still_bites;

/// How long to wait between two looks whether a fault that strikes once is over.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A fault did not happen as the scenario says.
#[derive(Debug, thiserror::Error)]
pub enum InjectorError {
    #[error("there is no fault `{name}`: {hint}")]
    Unknown { name: String, hint: String },
    #[error("failed to inject {fault} into {target}: {source}")]
    Inject { fault: &'static str, target: String, source: FaultError },
    #[error("failed to confirm {fault} on {target}: {source}")]
    Unconfirmed { fault: &'static str, target: String, source: NotReady },
    #[error("no fault `{name}` is on; {hint}")]
    NotOn { name: String, hint: String },
    #[error("failed to change {fault} on {target}: {source}")]
    Change { fault: &'static str, target: String, source: FaultError },
    #[error("failed to heal {fault} on {target}: {source}")]
    Heal { fault: &'static str, target: String, source: FaultError },
}

/// What a scenario asks for.
pub struct Order<'a> {
    /// The fault's name in the table.
    pub fault: &'a str,
    pub target: &'a Target,
    /// Parameters, as the scenario writes them.
    pub parameters: BTreeMap<String, String>,
    /// What the history records beside the parameters: the drawn phase of the lease, a repetition's number.
    pub notes: BTreeMap<String, String>,
    /// In which circumstances it is to come; the caller has seen to them.
    pub worst: BTreeSet<Worst>,
}

/// What was so just before a fault.
#[derive(Debug, Clone, Default)]
pub struct Injected {
    /// The fault's number in the scenario, counted from 1.
    pub number: u32,
    pub primary_before: Option<String>,
}

/// The faults of one scenario.
///
/// Faults know nothing of one another. Each says what it stands on and what it takes away; by that, one that loses its
/// ground to a later one is suspended here, put back when the later one is gone, and proven again.
#[derive(Clone)]
pub struct Injector {
    faults: Arc<Mutex<Faults>>,
}

impl Injector {
    pub fn new(system: System, recorder: Recorder) -> Self {
        Self { faults: Arc::new(Mutex::new(Faults::new(system, recorder))) }
    }

    /// How many faults were injected so far.
    pub async fn injected(&self) -> u32 {
        self.faults.lock().await.injected()
    }

    /// Whether a fault is on.
    pub async fn is_on(&self) -> bool {
        self.faults.lock().await.is_on()
    }

    /// Aims a fault, injects it, and returns when it is proven to bite. On any failure the history says that the
    /// fault is unconfirmed, and what was done of it is healed with the others.
    pub async fn inject(&self, order: Order<'_>) -> Result<Injected, InjectorError> {
        let mut faults = self.faults.lock().await;
        let injected = faults.inject(order).await?;
        if faults.ends_by_itself(injected.number) && faults.has_suspended(injected.number) {
            tokio::spawn(await_its_end(Arc::downgrade(&self.faults), injected.number));
        }
        Ok(injected)
    }

    /// Takes in that the watchdog of a host has announced to reset it, as a fault that nobody ordered; returns when it is
    /// proven that it has.
    pub async fn take_reset(&self, host: &str) -> Result<(), InjectorError> {
        self.faults.lock().await.take_reset(host).await
    }

    /// Gives the last fault of this name that is on other parameters; those that are not named stay. Returns when it is
    /// proven to bite with them.
    pub async fn change(&self, name: &str, changed: BTreeMap<String, String>) -> Result<(), InjectorError> {
        self.faults.lock().await.change(name, changed).await
    }

    /// Heals every fault that is still on, the last one first. All are tried; the first failure is returned.
    pub async fn heal_all(&self) -> Result<(), InjectorError> {
        self.faults.lock().await.heal_where(|_| true).await
    }

    /// Heals the faults of this name that are on, the last one first. One whose host or service is away is healed when
    /// that is back.
    pub async fn heal_named(&self, name: &str) -> Result<(), InjectorError> {
        let mut faults = self.faults.lock().await;
        faults.expect_on(name)?;
        faults.heal_where(|active| active.kind.name == name).await
    }

    /// Leaves the faults that touch any of these hosts as they are: they are not healed any more, and count as on no longer.
    pub async fn leave(&self, hosts: &[String]) {
        self.faults.lock().await.active.retain(|active| !active.shares_a_host_with(hosts));
    }

    /// Heals one fault by its number.
    pub async fn heal_one(&self, number: u32) -> Result<(), InjectorError> {
        self.faults.lock().await.heal_where(|active| active.number == number).await
    }
}

/// Puts back what a fault has suspended that strikes once and is over by itself, a reboot for example, as soon as it is.
async fn await_its_end(faults: Weak<Mutex<Faults>>, number: u32) {
    loop {
        let Some(faults) = faults.upgrade() else { return };
        if faults.lock().await.release_if_over(number).await {
            return;
        }
        drop(faults);
        sleep(LOOK_EVERY).await;
    }
}
