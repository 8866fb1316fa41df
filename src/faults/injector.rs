//! Injects faults, proves that they bite, and heals them whatever becomes of the scenario.

use std::{collections::BTreeMap, time::Duration};

use super::{ALL, Aim, Fault, FaultError, FaultKind, Target, find};
use crate::{
    cluster::{Cluster, NotReady, wait_until},
    history::{Occurrence, Recorder, event::FaultInjecting},
    suggestion,
};

/// How long a fault may take to be proven. Network and process faults take well under 250 ms.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(10);
/// How long a healed fault may take to be proven gone. A service has to start for that.
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// A fault did not happen as the scenario says.
#[derive(Debug, thiserror::Error)]
pub enum InjectorError {
    #[error("there is no fault `{name}`: {hint}")]
    Unknown { name: String, hint: String },
    #[error("failed to inject {fault} into {target}: {source}")]
    Inject { fault: &'static str, target: String, source: FaultError },
    #[error("failed to confirm {fault} on {target}: {source}")]
    Unconfirmed { fault: &'static str, target: String, source: NotReady },
    #[error("failed to heal {fault} on {target}: {source}")]
    Heal { fault: &'static str, target: String, source: FaultError },
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
    fault: Box<dyn Fault>,
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
    pub async fn inject(
        &mut self,
        name: &str,
        target: &Target,
        parameters: BTreeMap<String, String>,
    ) -> Result<(), InjectorError> {
        let kind = find(name).ok_or_else(|| {
            let names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
            let hint = suggestion::did_you_mean(name, &names);
            InjectorError::Unknown { name: name.to_owned(), hint }
        })?;
        let inject = |target: String| move |source| InjectorError::Inject { fault: kind.name, target, source };
        let host = target.resolve(&self.cluster).await.map_err(inject(target.to_string()))?;
        let described = if target.to_string() == host { host.clone() } else { format!("{target} ({host})") };
        let aim = Aim { host, described: described.clone(), parameters: parameters.clone() };
        let fault = (kind.aim)(&self.cluster, &aim).map_err(inject(described.clone()))?;

        self.injected += 1;
        let number = self.injected;
        let services = fault.services().iter().map(|(host, kind)| format!("{host}/{}", kind.name())).collect();
        self.recorder.record(Occurrence::FaultInjecting(FaultInjecting {
            fault: number,
            name: kind.name.to_owned(),
            target: described.clone(),
            hosts: vec![aim.host],
            services,
            parameters,
            primary_before: self.cluster.primary().await,
            dcs_leader_before: self.cluster.dcs_leader().await,
        }));
        self.active.push(Active { number, kind, target: described, fault });
        self.carry_out().await
    }

    /// Injects the fault that was just aimed, and waits for the proof.
    async fn carry_out(&mut self) -> Result<(), InjectorError> {
        let Some(Active { number, kind, target, fault }) = self.active.last_mut() else { return Ok(()) };
        let (number, cluster, recorder) = (*number, &self.cluster, &self.recorder);
        let unconfirmed = |reason: String| recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });

        let effect_from_us = recorder.now_us();
        if let Err(source) = fault.inject(cluster).await {
            unconfirmed(source.to_string());
            return Err(InjectorError::Inject { fault: kind.name, target: target.clone(), source });
        }
        let effect_to_us = recorder.now_us();
        let what = format!("the proof that {} bites", kind.name);
        match wait_until(&what, CONFIRMED_WITHIN, || fault.bites(cluster)).await {
            Ok(evidence) => {
                recorder.record(Occurrence::FaultConfirmed { fault: number, effect_from_us, effect_to_us, evidence });
                Ok(())
            }
            Err(source) => {
                unconfirmed(source.to_string());
                Err(InjectorError::Unconfirmed { fault: kind.name, target: target.clone(), source })
            }
        }
    }

    /// Heals every fault that is still on, the last one first. All are tried; the first failure is returned.
    pub async fn heal_all(&mut self) -> Result<(), InjectorError> {
        let mut first_failure = Ok(());
        while let Some(active) = self.active.pop() {
            let healed = self.heal(active).await;
            first_failure = first_failure.and(healed);
        }
        first_failure
    }

    async fn heal(&self, mut active: Active) -> Result<(), InjectorError> {
        let number = active.number;
        self.recorder.record(Occurrence::FaultHealing { fault: number });
        let fault = &mut active.fault;
        let healed = async {
            fault.heal(&self.cluster).await?;
            let what = format!("the proof that {} is gone", active.kind.name);
            Ok::<_, FaultError>(wait_until(&what, HEALED_WITHIN, || fault.gone(&self.cluster)).await?)
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
