//! Injects faults, proves that they bite, and heals them whatever becomes of the scenario.

use std::{collections::BTreeMap, time::Duration};

use super::{ALL, Aim, CLIENTS, Fault, FaultError, FaultKind, Lasts, Parameters, Target, find};
use crate::{
    cluster::{Cluster, NotReady, wait_until},
    history::{Occurrence, Recorder, event::FaultInjecting},
    suggestion,
};

/// How long the last proof before healing may take.
const LASTED_WITHIN: Duration = Duration::from_secs(10);

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
    /// What the history shall tell beside the parameters: the drawn phase of the lease, a repetition's number.
    pub notes: BTreeMap<String, String>,
}

/// What was so just before a fault.
#[derive(Debug, Clone, Default)]
pub struct Injected {
    /// The fault's number in the scenario, counted from 1.
    pub number: u32,
    pub primary_before: Option<String>,
}

/// The faults of one scenario.
pub struct Injector {
    cluster: Cluster,
    recorder: Recorder,
    injected: u32,
    active: Vec<Active>,
}

struct Active {
    number: u32,
    kind: &'static FaultKind,
    target: String,
    hosts: Vec<String>,
    /// As the scenario wrote them.
    given: BTreeMap<String, String>,
    fault: Box<dyn Fault>,
    /// Whether it was proven to bite.
    confirmed: bool,
}

impl Injector {
    pub fn new(cluster: Cluster, recorder: Recorder) -> Self {
        Self { cluster, recorder, injected: 0, active: Vec::new() }
    }

    /// How many faults were injected so far.
    pub fn injected(&self) -> u32 {
        self.injected
    }

    /// Aims a fault, injects it, and returns when it is proven to bite. On any failure the history says that the
    /// fault is unconfirmed, and what was done of it is healed with the others.
    pub async fn inject(&mut self, order: Order<'_>) -> Result<Injected, InjectorError> {
        let kind = find(order.fault).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
            let hint = suggestion::did_you_mean(order.fault, &names);
            InjectorError::Unknown { name: order.fault.to_owned(), hint }
        })?;
        let failed = |target: &str| {
            let target = target.to_owned();
            move |source| InjectorError::Inject { fault: kind.name, target, source }
        };
        let words = order.target.to_string();
        let aim = self.aim(kind, &order).await.map_err(failed(&words))?;
        let mut fault = (kind.aim)(&self.cluster, &aim).map_err(failed(&aim.described))?;
        fault.prepare(&self.cluster).await.map_err(failed(&aim.described))?;

        self.injected += 1;
        let number = self.injected;
        let services = fault.services().iter().map(|(host, kind)| format!("{host}/{}", kind.name())).collect();
        let primary_before = self.cluster.primary().await;
        let given = order.parameters;
        let parameters = given.clone().into_iter().chain(order.notes).collect();
        self.recorder.record(Occurrence::FaultInjecting(FaultInjecting {
            fault: number,
            name: kind.name.to_owned(),
            target: aim.described.clone(),
            hosts: aim.hosts.clone(),
            services,
            parameters,
            hands_over: fault.hands_over(),
            primary_before: primary_before.clone(),
            dcs_leader_before: self.cluster.dcs_leader().await,
        }));
        let Aim { hosts, described: target, .. } = aim;
        self.active.push(Active { number, kind, target, hosts, given, fault, confirmed: false });
        self.carry_out().await?;
        Ok(Injected { number, primary_before })
    }

    /// Finds what the scenario's words mean now.
    async fn aim(&self, kind: &'static FaultKind, order: &Order<'_>) -> Result<Aim, FaultError> {
        let mut parameters = Parameters::read(kind.parameters, &order.parameters)?;
        let hosts = order.target.resolve(&self.cluster, &[]).await?;
        parameters.resolve(kind.parameters, &self.cluster, &hosts).await?;
        let words = order.target.to_string();
        let meant = hosts.join(", ");
        let described = if words == meant { words } else { format!("{words} ({meant})") };
        let aim = Aim { hosts, described, parameters };
        if aim.hosts.iter().any(|host| host == CLIENTS) && !kind.reaches_clients {
            return Err(aim.refuse(kind.name, "clients are no host of the topology"));
        }
        Ok(aim)
    }

    /// Injects the fault that was just aimed, and waits for the proof.
    async fn carry_out(&mut self) -> Result<(), InjectorError> {
        let Some(Active { number, kind, target, fault, confirmed, .. }) = self.active.last_mut() else { return Ok(()) };
        let (number, cluster, recorder) = (*number, &self.cluster, &self.recorder);
        let unconfirmed = |reason: String| recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });

        let effect_from_us = recorder.now_us();
        if let Err(source) = fault.inject(cluster).await {
            unconfirmed(source.to_string());
            return Err(InjectorError::Inject { fault: kind.name, target: target.clone(), source });
        }
        let effect_to_us = recorder.now_us();
        let what = format!("the proof that {} bites", kind.name);
        match wait_until(&what, fault.confirmed_within(), || fault.bites(cluster)).await {
            Ok(evidence) => {
                *confirmed = true;
                recorder.record(Occurrence::FaultConfirmed { fault: number, effect_from_us, effect_to_us, evidence });
                Ok(())
            }
            Err(source) => {
                unconfirmed(source.to_string());
                Err(InjectorError::Unconfirmed { fault: kind.name, target: target.clone(), source })
            }
        }
    }

    /// Gives the last fault of this name that is on other parameters; those that are not named stay. Returns when it is
    /// proven to bite with them.
    pub async fn change(&mut self, name: &str, changed: BTreeMap<String, String>) -> Result<(), InjectorError> {
        let Some(active) = self.active.iter_mut().rev().find(|active| active.kind.name == name) else {
            return Err(self.not_on(name));
        };
        let (kind, number, target) = (active.kind, active.number, active.target.clone());
        active.given.extend(changed.clone());
        let (cluster, given, hosts) = (&self.cluster, &active.given, active.hosts.clone());
        let fault = &mut active.fault;
        let change = async {
            let mut parameters = Parameters::read(kind.parameters, given)?;
            parameters.resolve(kind.parameters, cluster, &hosts).await?;
            fault.change(cluster, &Aim { hosts, described: target.clone(), parameters }).await?;
            let what = format!("the proof that {} bites as changed", kind.name);
            Ok::<_, FaultError>(wait_until(&what, fault.confirmed_within(), || fault.bites(cluster)).await?)
        };
        match change.await {
            Ok(evidence) => {
                self.recorder.record(Occurrence::FaultChanged { fault: number, parameters: changed, evidence });
                Ok(())
            }
            Err(source) => {
                let reason = format!("it could not be changed: {source}");
                self.recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });
                Err(InjectorError::Change { fault: kind.name, target, source })
            }
        }
    }

    /// Whether a fault is on.
    pub fn is_on(&self) -> bool {
        !self.active.is_empty()
    }

    /// Heals every fault that is still on, the last one first. All are tried; the first failure is returned.
    pub async fn heal_all(&mut self) -> Result<(), InjectorError> {
        self.heal_where(|_| true).await
    }

    /// Heals the faults of this name that are on, the last one first.
    pub async fn heal_named(&mut self, name: &str) -> Result<(), InjectorError> {
        if self.active.iter().any(|active| active.kind.name == name) {
            return self.heal_where(|active| active.kind.name == name).await;
        }
        Err(self.not_on(name))
    }

    fn not_on(&self, name: &str) -> InjectorError {
        let on: Vec<&str> = self.active.iter().map(|active| active.kind.name).collect();
        let hint = format!("on are: {}", if on.is_empty() { "none".to_owned() } else { on.join(", ") });
        InjectorError::NotOn { name: name.to_owned(), hint }
    }

    async fn heal_where(&mut self, chosen: impl Fn(&Active) -> bool) -> Result<(), InjectorError> {
        let mut first_failure = Ok(());
        while let Some(at) = self.active.iter().rposition(&chosen) {
            let active = self.active.remove(at);
            // A later fault on the same host can end an earlier one: then its absence says nothing.
            let overlaid = self.active[at..].iter().any(|later| later.hosts.iter().any(|h| active.hosts.contains(h)));
            if active.confirmed && active.kind.lasts == Lasts::UntilHealed && !overlaid {
                self.prove_that_it_lasted(&active).await;
            }
            let healed = self.heal(active).await;
            first_failure = first_failure.and(healed);
        }
        first_failure
    }

    /// A fault that healed itself before its time makes the scenario inconclusive.
    async fn prove_that_it_lasted(&self, active: &Active) {
        let what = format!("the proof that {} still bites", active.kind.name);
        let still = wait_until(&what, LASTED_WITHIN, || active.fault.bites(&self.cluster)).await;
        if let Err(missed) = still {
            let reason = format!("it had ceased before it was healed: {}", missed.reason);
            self.recorder.record(Occurrence::FaultUnconfirmed { fault: active.number, reason });
        }
    }

    async fn heal(&self, mut active: Active) -> Result<(), InjectorError> {
        let number = active.number;
        self.recorder.record(Occurrence::FaultHealing { fault: number });
        let fault = &mut active.fault;
        let healed = async {
            fault.heal(&self.cluster).await?;
            let what = format!("the proof that {} is gone", active.kind.name);
            Ok::<_, FaultError>(wait_until(&what, fault.healed_within(), || fault.gone(&self.cluster)).await?)
        };
        match healed.await {
            Ok(evidence) => {
                self.recorder.record(Occurrence::FaultHealed { fault: number, evidence });
                Ok(())
            }
            Err(source) => {
                let reason = format!("it could not be healed: {source}");
                self.recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });
                Err(InjectorError::Heal { fault: active.kind.name, target: active.target, source })
            }
        }
    }
}
