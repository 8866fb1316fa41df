//! What a fault is: its row, what it is aimed at, its verbs, and how it fails.

use std::time::Duration;

use async_trait::async_trait;

use super::{CLIENTS, Parameter, ParameterError, Parameters, Place, Roles, Target, each_host};
use crate::{
    engine::EngineError,
    links::ToxiproxyError,
    plan::Plan,
    system::{CertificateError, DiskError, ShapingError, StorageError, System, operations::OperationError},
    topology::Instance,
    waiting::NotReady,
};

/// A fault could not be aimed, injected, confirmed or healed.
#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("{fault} can't be applied to {target}: {reason}")]
    NotApplicable { fault: &'static str, target: String, reason: String },
    #[error("what was done to {0} can't be changed while it is on; heal it, and inject it anew")]
    Unchangeable(String),
    #[error("what was done to {0} can't be changed now: a later fault has taken away what it stands on")]
    Suspended(String),
    #[error("there is no {0} at the moment")]
    NoTarget(String),
    #[error("`{words}` can mean several: write {ways}")]
    Ambiguous { words: &'static str, ways: String },
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Shaping(#[from] ShapingError),
    #[error(transparent)]
    Toxiproxy(#[from] ToxiproxyError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Operation(#[from] OperationError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    NotReady(#[from] NotReady),
}

/// What a fault is aimed at, when the scenario comes to it.
#[derive(Debug, Clone)]
pub struct Aim {
    /// The hosts that the scenario's words mean now; at least one.
    pub hosts: Vec<String>,
    /// What the scenario called them, with what that turned out to be: `the primary (node1)`.
    pub described: String,
    /// The services that the words name, if they name any: `the haproxy west-balancer`.
    pub services: Vec<Instance>,
    pub parameters: Parameters,
}

impl Aim {
    /// What a scenario's words mean while these roles hold.
    pub fn new(
        kind: &'static FaultKind,
        plan: &Plan,
        roles: &Roles,
        target: &Target,
        mut parameters: Parameters,
    ) -> Result<Self, FaultError> {
        let hosts = target.resolve(plan, roles, &[])?;
        parameters.resolve(kind.parameters, plan, roles, &hosts)?;
        let meant: Vec<&str> = hosts.iter().map(String::as_str).chain(target.note(roles)).collect();
        let (words, meant) = (target.to_string(), meant.join(", "));
        let says_it = words.replace(" and ", ", ") == meant;
        let described = if says_it { words } else { format!("{words} ({meant})") };
        let aim = Aim { hosts, described, services: target.services(), parameters };
        if aim.hosts.iter().any(|host| host == CLIENTS) && !kind.reaches_clients {
            return Err(aim.refuse(kind.name, "clients are no host of the topology"));
        }
        Ok(aim)
    }

    /// The host, for a fault that takes one.
    pub fn one_host(&self, fault: &'static str) -> Result<&str, FaultError> {
        match self.hosts.as_slice() {
            [host] => Ok(host),
            _ => Err(self.refuse(fault, "it takes one host")),
        }
    }

    /// The error of a fault that can't be applied there.
    pub fn refuse(&self, fault: &'static str, reason: impl Into<String>) -> FaultError {
        FaultError::NotApplicable { fault, target: self.described.clone(), reason: reason.into() }
    }
}

/// How many hosts a fault takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    /// One alone: there is no sense in several.
    One,
    /// One or several: each gets the fault by itself, all at the same time.
    Each,
    /// One or several, which are hit as a whole: one side of a partition, hosts that come back in an order.
    Together,
}

/// Aims a fault, or says why it can't be applied there. The plan alone decides that, so that a scenario which asks for
/// what can't be done is refused before anything starts; what only a running system knows waits for [`Fault::prepare`].
pub type AimFault = fn(&Plan, &Aim) -> Result<Box<dyn Fault>, FaultError>;

/// Whether a fault stays by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// It bites until it is healed. One that has ceased by then was not the fault that the scenario meant.
    UntilHealed,
    /// It strikes once; the system under test may get over it by itself.
    Once,
}

/// One row of the table of faults.
pub struct FaultKind {
    pub name: &'static str,
    /// What it does, physically.
    pub effect: &'static str,
    /// How it is proven to bite, and to be gone.
    pub confirmed_by: &'static str,
    /// Where it can't be used.
    pub limits: &'static str,
    pub parameters: &'static [Parameter],
    pub lasts: Lasts,
    pub hosts: Hosts,
    /// Whether it can be aimed at [`CLIENTS`].
    pub reaches_clients: bool,
    /// Aims it; with [`Hosts::One`] and [`Hosts::Each`] at one host.
    pub(super) aim: AimFault,
}

impl FaultKind {
    /// Aims it at all the hosts that are meant.
    pub(super) fn aimed(&self, plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
        match self.hosts {
            Hosts::Each if aim.hosts.len() > 1 => each_host::aim(plan, aim, self.aim),
            Hosts::One if aim.hosts.len() > 1 => Err(aim.refuse(self.name, "it takes one host")),
            _ => (self.aim)(plan, aim),
        }
    }
}

/// A fault that is aimed.
#[async_trait]
pub trait Fault: Send + Sync {
    /// The services that it touches, with their hosts.
    fn services(&self) -> Vec<(String, Instance)>;

    /// What it needs to bite and to be proven. When a later fault takes any of it away, this one is suspended until it
    /// is back.
    fn stands_on(&self) -> Vec<Place>;

    /// What it ends, stops or cuts off, and gives back when it is gone.
    fn takes_away(&self) -> Vec<Place> {
        Vec::new()
    }

    /// Looks at what only a running system knows: addresses, and what was before, where the proof needs it for
    /// comparison. Changes nothing.
    async fn prepare(&mut self, _system: &System) -> Result<(), FaultError> {
        Ok(())
    }

    /// Whether it makes a primary give its leader key up in order, so that no lease has to run out.
    fn hands_over(&self) -> bool {
        false
    }

    /// How long the proof that it bites may take. Network and process faults take well under 250 ms.
    fn confirmed_within(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// How long the proof that it is gone may take, once it was healed. A service has to start for that.
    fn healed_within(&self) -> Duration {
        Duration::from_secs(60)
    }

    /// Does it, and returns as soon as it is done.
    async fn inject(&mut self, system: &System) -> Result<(), FaultError>;

    /// The proof that it bites, or what is still missing.
    async fn bites(&self, system: &System) -> Result<String, String>;

    /// Whether it can take other parameters while it is on.
    fn can_change(&self) -> bool {
        false
    }

    /// Takes other parameters while it is on.
    async fn change(&mut self, _system: &System, aim: &Aim) -> Result<(), FaultError> {
        Err(FaultError::Unchangeable(aim.described.clone()))
    }

    /// Called just before a later fault takes away what it stands on. What would keep the later one from it is undone
    /// here: a process that can't die, a disk that can't write back.
    async fn let_go(&mut self, _system: &System, _lost: &[Place]) -> Result<(), FaultError> {
        Ok(())
    }

    /// Makes it bite again once what it stands on is back. What is left of it is undone first.
    async fn put_back(&mut self, system: &System) -> Result<(), FaultError> {
        self.heal(system).await?;
        self.prepare(system).await?;
        self.inject(system).await
    }

    /// Whether it can be undone while something that it stands on is away, because it holds in other places too: between
    /// two hosts of a partition whose third is dead. Others would wake what is dead, and wait.
    fn heals_while_suspended(&self) -> bool {
        false
    }

    /// Undoes it, also when the injection failed half-way, or when there is nothing left to undo.
    async fn heal(&mut self, system: &System) -> Result<(), FaultError>;

    /// The proof that it is gone, or what still stands in the way.
    async fn gone(&self, system: &System) -> Result<String, String>;
}
