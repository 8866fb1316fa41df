//! `watchdog_reset`: a machine is reset by its own watchdog. No scenario asks for it: the system under test does it to
//! itself, after a fault that keeps an agent from feeding the watchdog. It is taken in as a fault because it ends all that
//! runs on a host, is proven as such, and the host does not come back by itself.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, host, hosts, process},
    plan::Plan,
    system::System,
    topology::Instance,
    waiting::wait_until,
};

/// Its row. It is none of [`crate::faults::ALL`].
pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "watchdog_reset",
    effect: "the host's own watchdog, which was not fed, takes it off the network and kills every process on it",
    confirmed_by: "no process is left, and a connection from another host gets neither an answer nor a reset; \
                   healed when every service runs and another host is answered again",
    limits: "no scenario can ask for it: it happens where a node has a watchdog and its agent does not feed it",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::One,
    reaches_clients: false,
    aim,
};

/// The watchdog announces the reset 300 ms before it, and has a second to take the host off the network.
const COMES_WITHIN: Duration = Duration::from_secs(4);

struct WatchdogReset {
    host: String,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let host = aim.one_host(KIND.name)?.to_owned();
    Ok(Box::new(WatchdogReset { services: hosts::services(plan, &aim.hosts), host }))
}

#[async_trait]
impl Fault for WatchdogReset {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        vec![Place::Host(self.host.clone())]
    }

    fn takes_away(&self) -> Vec<Place> {
        vec![Place::Host(self.host.clone())]
    }

    /// Waits for what the watchdog does.
    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        let look = || async {
            // The watchdog kills the shell with everything else; the next look opens another one.
            let left = process::left_on(system, &self.host, &self.services).await.map_err(|error| error.to_string())?;
            if left.is_empty() { Ok(()) } else { Err(format!("processes {left} are left; was it fed after all?")) }
        };
        Ok(wait_until("the reset of the host by its watchdog", COMES_WITHIN, look).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        host::is_off(system, std::slice::from_ref(&self.host), &self.services).await
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        host::boot(system, std::slice::from_ref(&self.host), &self.services).await
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        host::is_on(system, std::slice::from_ref(&self.host), &self.services).await
    }
}
