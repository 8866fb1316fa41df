//! The faults that are on: their way from the scenario's words to the proof that they bite, and that they are gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{Injected, InjectorError, Order};
use crate::{
    faults::{ALL, Aim, Fault, FaultError, FaultKind, Lasts, Parameters, Place, RESET_BY_WATCHDOG, Roles, find},
    history::{
        Occurrence, Recorder,
        event::{FaultInjecting, Worst},
    },
    suggestion,
    system::System,
    topology::Instance,
    waiting::wait_until,
};

/// How long the proof that an earlier fault still bites may take, or as long as its first one might, if that is longer.
pub(super) const LASTED_WITHIN: Duration = Duration::from_secs(10);
/// How long to wait before something is tried again on a host that has just come back.
pub(super) const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Every fault that is on, in the order of their injection.
pub(super) struct Faults {
    pub(super) system: System,
    pub(super) recorder: Recorder,
    injected: u32,
    pub(super) active: Vec<Active>,
}

/// How a fault was asked for, and what was so just before it.
#[derive(Default)]
struct Circumstances {
    given: BTreeMap<String, String>,
    notes: BTreeMap<String, String>,
    worst: BTreeSet<Worst>,
    primary: Option<String>,
    dcs_leader: Option<String>,
}

/// A fault that was injected and not yet healed.
pub(super) struct Active {
    pub number: u32,
    pub kind: &'static FaultKind,
    pub target: String,
    pub hosts: Vec<String>,
    /// As the scenario wrote them.
    given: BTreeMap<String, String>,
    pub fault: Box<dyn Fault>,
    /// Whether it was proven to bite, and not yet found to have ceased.
    pub confirmed: bool,
    /// Numbers of later faults that have taken away what it stands on.
    pub suspended_by: Vec<u32>,
    /// Whether what it stands on was ever taken away, so that what heals it may have to wait for a start.
    pub was_suspended: bool,
    /// Whether it is to be healed as soon as what it stands on is back.
    pub healing_is_due: bool,
}

impl Active {
    /// Whether it has to be on until it is healed, as it was proven to be.
    pub fn must_last(&self) -> bool {
        self.confirmed && self.kind.lasts == Lasts::UntilHealed && self.suspended_by.is_empty()
    }

    pub fn shares_a_host_with(&self, hosts: &[String]) -> bool {
        hosts.iter().any(|host| self.hosts.contains(host))
    }
}

impl Faults {
    pub fn new(system: System, recorder: Recorder) -> Self {
        Self { system, recorder, injected: 0, active: Vec::new() }
    }

    pub fn injected(&self) -> u32 {
        self.injected
    }

    pub fn is_on(&self) -> bool {
        !self.active.is_empty()
    }

    /// The place of a fault among those that are on.
    pub fn position(&self, number: u32) -> Option<usize> {
        self.active.iter().position(|active| active.number == number)
    }

    /// The member that leads the DCS of the cluster of a node; without a node, of the first cluster.
    async fn dcs_leader_beside(&self, node: Option<&str>) -> Option<String> {
        let plan = self.system.plan();
        let cluster = node.and_then(|node| plan.cluster_of(node)).or(plan.clusters.first())?;
        self.system.dcs_leader(plan.dcs_of(cluster)?).await
    }

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
        let parameters =
            Parameters::read(kind.parameters, &order.parameters).map_err(|error| failed(&words)(error.into()))?;
        let roles = Roles::ask(&self.system, &parameters.targets(&[order.target])).await;
        let plan = self.system.plan();
        let aim = Aim::new(kind, plan, &roles, order.target, parameters).map_err(failed(&words))?;
        let mut fault = kind.aimed(plan, &aim).map_err(failed(&aim.described))?;
        fault.prepare(&self.system).await.map_err(failed(&aim.described))?;
        let lost = fault.takes_away();
        self.prove_what_it_overlays(kind.name, &lost, &aim.hosts).await;

        let primary_before = self.system.leader().await;
        let circumstances = Circumstances {
            given: order.parameters,
            notes: order.notes,
            worst: order.worst,
            dcs_leader: self.dcs_leader_beside(primary_before.as_deref()).await,
            primary: primary_before.clone(),
        };
        let number = self.record(kind, fault, aim, circumstances).await;
        self.carry_out().await?;
        Ok(Injected { number, primary_before })
    }

    /// Takes in what a host's own watchdog is about to do. There is no time to ask anybody anything: only who leads has its
    /// watchdog armed.
    pub async fn take_reset(&mut self, host: &str) -> Result<(), InjectorError> {
        let kind = &RESET_BY_WATCHDOG;
        let hosts = vec![host.to_owned()];
        let described = format!("{host}, by its own watchdog");
        let aim = Aim { hosts, described, services: Vec::new(), parameters: Parameters::default() };
        let fault = kind.aimed(self.system.plan(), &aim).map_err(|source| InjectorError::Inject {
            fault: kind.name,
            target: aim.described.clone(),
            source,
        })?;
        let circumstances = Circumstances { primary: Some(host.to_owned()), ..Circumstances::default() };
        self.record(kind, fault, aim, circumstances).await;
        self.carry_out().await
    }

    /// Records that a fault is about to be injected, suspends what it takes the ground from, and takes it in. Returns its number.
    async fn record(
        &mut self,
        kind: &'static FaultKind,
        fault: Box<dyn Fault>,
        aim: Aim,
        circumstances: Circumstances,
    ) -> u32 {
        let Circumstances { given, notes, worst, primary, dcs_leader } = circumstances;
        self.injected += 1;
        let number = self.injected;
        let plan = self.system.plan();
        let named = |(host, service): &(String, Instance)| format!("{host}/{}", plan.which(host, service).name());
        let services = fault.services().iter().map(named).collect();
        let parameters = given.clone().into_iter().chain(notes).collect();
        self.recorder.record(Occurrence::FaultInjecting(FaultInjecting {
            fault: number,
            name: kind.name.to_owned(),
            target: aim.described.clone(),
            hosts: aim.hosts.clone(),
            services,
            parameters,
            hands_over: fault.hands_over(),
            worst,
            primary_before: primary,
            dcs_leader_before: dcs_leader,
        }));
        let lost = fault.takes_away();
        self.suspend(number, kind.name, &lost).await;
        let Aim { hosts, described: target, .. } = aim;
        self.active.push(Active {
            number,
            kind,
            target,
            hosts,
            given,
            fault,
            confirmed: false,
            suspended_by: Vec::new(),
            was_suspended: false,
            healing_is_due: false,
        });
        number
    }

    /// Injects the fault that was just aimed, and waits for the proof.
    async fn carry_out(&mut self) -> Result<(), InjectorError> {
        let Some(Active { number, kind, target, fault, confirmed, .. }) = self.active.last_mut() else { return Ok(()) };
        let (number, system, recorder) = (*number, &self.system, &self.recorder);
        let unconfirmed = |reason: String| recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });

        let effect_from_us = recorder.now_us();
        if let Err(source) = fault.inject(system).await {
            unconfirmed(source.to_string());
            return Err(InjectorError::Inject { fault: kind.name, target: target.clone(), source });
        }
        let effect_to_us = recorder.now_us();
        let what = format!("the proof that {} bites", kind.name);
        match wait_until(&what, fault.confirmed_within(), || fault.bites(system)).await {
            Ok(evidence) => {
                *confirmed = true;
                recorder.record(Occurrence::FaultConfirmed { fault: number, effect_from_us, effect_to_us, evidence });
                Ok(())
            }
            Err(missed) => {
                unconfirmed(missed.to_string());
                let source = system.with_logs_of(missed, fault.services());
                Err(InjectorError::Unconfirmed { fault: kind.name, target: target.clone(), source })
            }
        }
    }

    pub async fn change(&mut self, name: &str, changed: BTreeMap<String, String>) -> Result<(), InjectorError> {
        let Some(active) = self.active.iter_mut().rev().find(|active| active.kind.name == name) else {
            return Err(self.not_on(name));
        };
        let (kind, number, target) = (active.kind, active.number, active.target.clone());
        if !active.suspended_by.is_empty() {
            let source = FaultError::Suspended(target.clone());
            return Err(InjectorError::Change { fault: kind.name, target, source });
        }
        active.given.extend(changed.clone());
        let (system, given, hosts) = (&self.system, &active.given, active.hosts.clone());
        let fault = &mut active.fault;
        let change = async {
            let mut parameters = Parameters::read(kind.parameters, given)?;
            let roles = Roles::ask(system, &parameters.targets(&[])).await;
            parameters.resolve(kind.parameters, system.plan(), &roles, &hosts)?;
            let services = fault.services().into_iter().map(|(_, own)| own).collect();
            fault.change(system, &Aim { hosts, described: target.clone(), services, parameters }).await?;
            let what = format!("the proof that {} bites as changed", kind.name);
            Ok::<_, FaultError>(wait_until(&what, fault.confirmed_within(), || fault.bites(system)).await?)
        };
        match change.await {
            Ok(evidence) => {
                self.recorder.record(Occurrence::FaultChanged { fault: number, parameters: changed, evidence });
                Ok(())
            }
            Err(source) => {
                let reason = format!("it could not be changed: {source}");
                self.recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });
                let source = with_logs(system, fault.as_ref(), source);
                Err(InjectorError::Change { fault: kind.name, target, source })
            }
        }
    }

    /// Whether a fault of this name is on; if not, which are.
    pub fn expect_on(&self, name: &str) -> Result<(), InjectorError> {
        if self.active.iter().any(|active| active.kind.name == name) { Ok(()) } else { Err(self.not_on(name)) }
    }

    fn not_on(&self, name: &str) -> InjectorError {
        let on: Vec<&str> = self.active.iter().map(|active| active.kind.name).collect();
        let hint = format!("on are: {}", if on.is_empty() { "none".to_owned() } else { on.join(", ") });
        InjectorError::NotOn { name: name.to_owned(), hint }
    }

    /// Heals those that are chosen, the last one first. One that stands on what a later fault has taken away, which
    /// itself stays on, is healed with that.
    pub async fn heal_where(&mut self, chosen: impl Fn(&Active) -> bool) -> Result<(), InjectorError> {
        let numbers: Vec<u32> =
            self.active.iter().rev().filter(|active| chosen(active)).map(|active| active.number).collect();
        let mut first_failure = Ok(());
        for number in &numbers {
            let Some(at) = self.position(*number) else { continue };
            if !self.active[at].suspended_by.is_empty() {
                self.heal_suspended(at).await;
                if self.position(*number).is_some() {
                    continue;
                }
            } else {
                let healed = self.heal_at(at).await;
                first_failure = first_failure.and(healed);
            }
            let released = self.release(*number, &numbers).await;
            first_failure = first_failure.and(released);
        }
        first_failure
    }

    /// Heals the fault at this place, once it is proven that it has lasted.
    pub async fn heal_at(&mut self, at: usize) -> Result<(), InjectorError> {
        let active = &self.active[at];
        // A later fault on the same host may keep the proof from being had; it was had when that one came.
        let overlaid = self.active[at + 1..].iter().any(|later| later.shares_a_host_with(&active.hosts));
        if active.must_last() && !active.healing_is_due && !overlaid {
            self.prove_that_it_lasts(at, "it was healed").await;
        }
        let active = self.active.remove(at);
        self.heal(active).await
    }

    /// Proves of every earlier fault that it still bites, if its own proof can't be had while a fault is on that takes
    /// these places away or is aimed at these hosts.
    async fn prove_what_it_overlays(&mut self, later: &str, lost: &[Place], hosts: &[String]) {
        for at in 0..self.active.len() {
            let active = &self.active[at];
            if active.must_last() && (active.loses(lost) || active.shares_a_host_with(hosts)) {
                self.prove_that_it_lasts(at, &format!("{later} came")).await;
            }
        }
    }

    /// A fault that healed itself before its time makes the scenario inconclusive.
    async fn prove_that_it_lasts(&mut self, at: usize, until: &str) {
        let active = &mut self.active[at];
        let what = format!("the proof that {} still bites", active.kind.name);
        let still =
            wait_until(&what, LASTED_WITHIN.max(active.fault.confirmed_within()), || active.fault.bites(&self.system))
                .await;
        if let Err(missed) = still {
            active.confirmed = false;
            let reason = format!("it had ceased before {until}: {}", missed.reason);
            self.recorder.record(Occurrence::FaultUnconfirmed { fault: active.number, reason });
        }
    }

    async fn heal(&self, mut active: Active) -> Result<(), InjectorError> {
        let number = active.number;
        self.recorder.record(Occurrence::FaultHealing { fault: number });
        let fault = &mut active.fault;
        let healed = async {
            // What it stands on may only just be back, and not yet listen.
            let deadline = Instant::now() + fault.healed_within();
            while let Err(error) = fault.heal(&self.system).await {
                if !active.was_suspended || Instant::now() >= deadline {
                    return Err(error);
                }
                sleep(AGAIN_AFTER).await;
            }
            let what = format!("the proof that {} is gone", active.kind.name);
            Ok::<_, FaultError>(wait_until(&what, fault.healed_within(), || fault.gone(&self.system)).await?)
        };
        match healed.await {
            Ok(evidence) => {
                self.recorder.record(Occurrence::FaultHealed { fault: number, evidence });
                Ok(())
            }
            Err(source) => {
                let reason = format!("it could not be healed: {source}");
                self.recorder.record(Occurrence::FaultUnconfirmed { fault: number, reason });
                let source = with_logs(&self.system, fault.as_ref(), source);
                Err(InjectorError::Heal { fault: active.kind.name, target: active.target, source })
            }
        }
    }
}

/// Adds the last log lines of the services a fault changes, where a proof did not come. The history has the reason
/// alone.
fn with_logs(system: &System, fault: &dyn Fault, source: FaultError) -> FaultError {
    match source {
        FaultError::NotReady(missed) => FaultError::NotReady(system.with_logs_of(missed, fault.services())),
        other => other,
    }
}
