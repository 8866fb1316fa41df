//! `host_freeze`: a machine stands still, as a virtual machine that is paused or moved.

use async_trait::async_trait;
use futures::future::{join_all, try_join_all};

use crate::{
    faults::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, host, hosts, process},
    plan::Plan,
    system::System,
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "host_freeze",
    effect: "no packet enters or leaves the host, and every process on it gets SIGSTOP; nothing is lost: after it, \
             memory, locks and connections are as they were, and only time has passed",
    confirmed_by: "the kernel says that every process of every service is stopped, and a connection from another host \
                   gets neither an answer nor a reset; healed when none is stopped and another host is answered again",
    limits: "none: any host; its clock does not stop",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Together,
    reaches_clients: false,
    aim,
};

/// All but the holder's own shell, which the kernel spares as process 1, and the shell that runs this. What stood still
/// before is written down, to stand still after it.
const STOP_ALL: &str = "{ grep -ls '^State:.T' /proc/[0-9]*/status | cut -d/ -f3 > /run/pgquake-stood-still; \
                        kill -STOP -1 2>/dev/null || true; }";
const CONTINUE_ALL: &str = "for pid in $(cd /proc && echo [0-9]*); do \
                            grep -qsx $pid /run/pgquake-stood-still || kill -CONT $pid 2>/dev/null; done; true";

/// Ids of processes that stand still, and did not before.
const STILL_STOPPED: &str = "grep -ls '^State:.T' /proc/[0-9]*/status | cut -d/ -f3 | \
                             grep -vxF -f /run/pgquake-stood-still | xargs";

struct HostFreeze {
    hosts: Vec<String>,
    services: Vec<(String, Instance)>,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let services = hosts::services(plan, &aim.hosts);
    Ok(Box::new(HostFreeze { hosts: aim.hosts.clone(), services }))
}

#[async_trait]
impl Fault for HostFreeze {
    fn services(&self) -> Vec<(String, Instance)> {
        self.services.clone()
    }

    fn stands_on(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    fn takes_away(&self) -> Vec<Place> {
        self.hosts.iter().cloned().map(Place::Host).collect()
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        join_all(self.hosts.iter().map(|name| host::silence(system, name, STOP_ALL))).await.into_iter().collect()
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        for (on, service) in &self.services {
            if let Some(running) = process::not_stopped(system, on, service).await? {
                return Err(running);
            }
        }
        let silent = self.hosts.iter().map(|name| host::is_silent(system, name, &self.hosts));
        Ok(format!("every process is stopped; {}", try_join_all(silent).await?.join("; ")))
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        for name in &self.hosts {
            hosts::pod(system, name)?.shell.must(CONTINUE_ALL).await?;
            host::speak(system, name).await?;
        }
        Ok(())
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        let stopped = self.hosts.iter().map(|name| stopped_by_it(system, name));
        if let Some(stopped) = try_join_all(stopped).await?.into_iter().flatten().next() {
            return Err(stopped);
        }
        let answered = self.hosts.iter().map(|name| host::answers(system, name));
        Ok(format!("every process runs on; {}", try_join_all(answered).await?.join("; ")))
    }
}

/// The processes of a host that the freeze still stops, in words.
async fn stopped_by_it(system: &System, name: &str) -> Result<Option<String>, String> {
    let pod = system.pod(name).ok_or("the host is unknown")?;
    let left = pod.shell.run(STILL_STOPPED).await.map_err(|error| error.to_string())?.text;
    Ok((!left.is_empty()).then(|| format!("processes {left} of {name} are still stopped")))
}
