//! `process_kill`: one process gets SIGKILL; all others on its machine live.

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Lasts, Process, process};
use crate::{cluster::Cluster, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "process_kill",
    effect: "one process gets SIGKILL; what it leaves behind (PostgreSQL, when Patroni dies) lives on",
    confirmed_by: "the process with that id is gone; healed when another process has taken its place",
    limits: "the process must run on the host",
    parameters: process::PARAMETERS,
    lasts: Lasts::Once,
    reaches_clients: false,
    aim,
};

struct ProcessKill {
    host: String,
    process: Process,
    /// The process that was killed, once it was.
    pid: Option<u32>,
}

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let (host, process) = process::aimed_at(KIND.name, cluster, aim)?;
    Ok(Box::new(ProcessKill { host, process, pid: None }))
}

#[async_trait]
impl Fault for ProcessKill {
    fn services(&self) -> Vec<(String, ServiceKind)> {
        vec![(self.host.clone(), self.process.service())]
    }

    async fn inject(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        self.pid = Some(process::signal(cluster, &self.host, self.process, "KILL").await?);
        Ok(())
    }

    async fn bites(&self, cluster: &Cluster) -> Result<String, String> {
        let (Some(pod), Some(pid)) = (cluster.pod(&self.host), self.pid) else {
            return Err("no process was found".to_owned());
        };
        match process::state(pod, pid).await.map_err(|error| error.to_string())? {
            None | Some('Z') => Ok(format!("{} (process {pid}) on {} is gone", self.process.word(), self.host)),
            Some(state) => Err(format!("process {pid} is in state {state}")),
        }
    }

    async fn heal(&mut self, cluster: &Cluster) -> Result<(), FaultError> {
        match self.process {
            // Patroni starts PostgreSQL again by itself, and PostgreSQL its own processes.
            Process::Postmaster
            | Process::WalSender
            | Process::WalReceiver
            | Process::Checkpointer
            | Process::Startup => Ok(()),
            // The service's main process outlives the agent and starts it again on a hang-up.
            Process::Agent => {
                if let Some(pod) = cluster.pod(&self.host) {
                    pod.shell.run("pkill -HUP --full /usr/local/bin/entrypoint.sh").await?;
                }
                Ok(())
            }
            Process::Etcd | Process::Haproxy => {
                process::wait_until_stopped(cluster, &self.host, self.process.service()).await?;
                Ok(cluster.restart_service(&self.host, self.process.service()).await?)
            }
        }
    }

    async fn gone(&self, cluster: &Cluster) -> Result<String, String> {
        let pod = cluster.pod(&self.host).ok_or("the host is unknown")?;
        let pids = self.process.pids(pod).await.map_err(|error| error.to_string())?;
        match pids.iter().find(|pid| Some(**pid) != self.pid) {
            Some(pid) => Ok(format!("{} runs again on {} as process {pid}", self.process.word(), self.host)),
            None => Err(format!("{} does not run on {}", self.process.word(), self.host)),
        }
    }
}
