//! Faults that lose what they stand on to a later one: suspended with it, put back when it is there again, and proven
//! anew.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::{
    InjectorError,
    active::{AGAIN_AFTER, Active, Faults},
};
use crate::{
    faults::{Fault, Lasts, Place},
    history::Occurrence,
    system::System,
    waiting::wait_until,
};

/// How long the one look may take that shows whether a fault has outlived its suspension.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

impl Active {
    /// Whether it loses something that it stands on with these places.
    pub fn loses(&self, lost: &[Place]) -> bool {
        self.first_loss(lost).is_some()
    }

    fn first_loss(&self, lost: &[Place]) -> Option<Place> {
        self.fault.stands_on().into_iter().find(|own| lost.iter().any(|place| own.is_lost_with(place)))
    }
}

impl Faults {
    /// Suspends every fault that stands on what another one is about to take away. Those that strike once have struck;
    /// only their healing waits.
    pub async fn suspend(&mut self, by: u32, name: &str, lost: &[Place]) {
        for active in &mut self.active {
            let Some(place) = active.first_loss(lost) else { continue };
            let was_on = active.must_last();
            active.suspended_by.push(by);
            active.was_suspended = true;
            // A later fault that suffers from what could not be undone says so itself.
            drop(active.fault.let_go(&self.system, lost).await);
            if was_on {
                let reason = format!("{name} (fault {by}) takes {place} away");
                self.recorder.record(Occurrence::FaultSuspended { fault: active.number, by, reason });
            }
        }
    }

    /// Whether a fault strikes once, and may be over without being healed.
    pub fn ends_by_itself(&self, number: u32) -> bool {
        self.active.iter().any(|active| active.number == number && active.kind.lasts == Lasts::Once)
    }

    /// Whether any fault is suspended by this one.
    pub fn has_suspended(&self, number: u32) -> bool {
        self.active.iter().any(|active| active.suspended_by.contains(&number))
    }

    /// Puts back what a fault has suspended, if it is over. Returns whether there is nothing left to wait for.
    pub async fn release_if_over(&mut self, number: u32) -> bool {
        let Some(at) = self.position(number) else { return true };
        if self.active[at].fault.gone(&self.system).await.is_err() {
            return false;
        }
        // What can't be put back or healed is in the history by then.
        drop(self.release(number, &[]).await);
        true
    }

    /// What this fault took away is back: faults that stand on it are put back, or healed if that is due. Those of
    /// `about_to_be_healed` are left as they are.
    pub async fn release(&mut self, by: u32, about_to_be_healed: &[u32]) -> Result<(), InjectorError> {
        let mut first_failure = Ok(());
        for number in self.suspended_by(by) {
            let Some(at) = self.position(number) else { continue };
            let active = &mut self.active[at];
            active.suspended_by.retain(|suspender| *suspender != by);
            if !active.suspended_by.is_empty() {
                continue;
            }
            if about_to_be_healed.contains(&number) {
                active.healing_is_due = true;
            } else if active.healing_is_due {
                let healed = self.heal_at(at).await;
                first_failure = first_failure.and(healed);
                // It may itself have taken something away from others.
                let released = Box::pin(self.release(number, about_to_be_healed)).await;
                first_failure = first_failure.and(released);
            } else if active.must_last() {
                self.put_back(at).await;
            }
        }
        first_failure
    }

    /// Heals a suspended fault as far as it can be: at once where that is proven, else with the return of what it stands
    /// on.
    pub async fn heal_suspended(&mut self, at: usize) {
        let (system, active) = (&self.system, &mut self.active[at]);
        active.healing_is_due = true;
        if !active.fault.heals_while_suspended() {
            return;
        }
        let number = active.number;
        self.recorder.record(Occurrence::FaultHealing { fault: number });
        if active.fault.heal(system).await.is_ok()
            && let Ok(Ok(evidence)) = timeout(SHOWN_WITHIN, active.fault.gone(system)).await
        {
            self.recorder.record(Occurrence::FaultHealed { fault: number, evidence });
            self.active.remove(at);
        }
    }

    fn suspended_by(&self, by: u32) -> Vec<u32> {
        let suspended = self.active.iter().filter(|active| active.suspended_by.contains(&by));
        suspended.map(|active| active.number).collect()
    }

    /// Makes a suspended fault bite again, and proves it.
    async fn put_back(&mut self, at: usize) {
        let active = &mut self.active[at];
        let (system, fault) = (&self.system, &mut active.fault);
        match put_back(system, &mut **fault).await {
            Ok(evidence) => {
                self.recorder.record(Occurrence::FaultResumed { fault: active.number, evidence });
            }
            Err(reason) => {
                active.confirmed = false;
                let reason = format!("it could not be put back: {reason}");
                self.recorder.record(Occurrence::FaultUnconfirmed { fault: active.number, reason });
            }
        }
    }
}

/// One look at whether a fault has outlived the loss of what it stands on: rules for packets stay when processes die.
pub(in crate::faults) async fn still_bites(system: &System, fault: &dyn Fault) -> Option<String> {
    timeout(SHOWN_WITHIN, fault.bites(system)).await.ok()?.ok()
}

/// Makes a fault bite again, unless it has never ceased to.
async fn put_back(system: &System, fault: &mut dyn Fault) -> Result<String, String> {
    if let Some(evidence) = still_bites(system, fault).await {
        return Ok(evidence);
    }
    let deadline = Instant::now() + fault.healed_within();
    while let Err(error) = fault.put_back(system).await {
        // What it stands on may only just be back.
        if Instant::now() >= deadline {
            return Err(error.to_string());
        }
        sleep(AGAIN_AFTER).await;
    }
    let proven = wait_until("the proof that it bites", fault.confirmed_within(), || fault.bites(system)).await;
    proven.map_err(|missed| missed.reason)
}
