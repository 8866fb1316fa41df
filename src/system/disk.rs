//! Prepared disks of a running system: the commands that they get, and what they report.

use futures::future::try_join_all;

use super::System;
use crate::{engine::EngineError, services::Storage, topology::ServiceKind};

/// A prepared disk did not carry out a command.
#[derive(Debug, thiserror::Error)]
#[doc(hidden)]
pub enum DiskError {
    #[error("{kind} on {host} has no prepared disk", kind = kind.name())]
    NotPrepared { host: String, kind: ServiceKind },
    #[error("failed to have the disk of {host} carry out `{command}`: it answered {answer:?}")]
    Refused { host: String, command: String, answer: String },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

#[doc(hidden)]
impl System {
    /// Where a service keeps its data, if that is a prepared disk.
    pub fn prepared_disk(&self, host: &str, kind: ServiceKind) -> Option<Storage> {
        self.plan().prepared_storage(host, kind)
    }

    /// Gives a command to the disk of a service (see `images/disk/src/main.rs`), and returns what follows its `ok`.
    pub async fn tell_disk(&self, host: &str, kind: ServiceKind, command: &str) -> Result<String, DiskError> {
        let missing = || DiskError::NotPrepared { host: host.to_owned(), kind };
        let storage = self.prepared_disk(host, kind).ok_or_else(missing)?;
        let pod = self.pod(host).ok_or_else(missing)?;
        let script = format!(
            "timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && echo \"{command}\" >&3 && IFS= read -r line <&3 && \
             echo \"$line\"'",
            port = storage.control_port,
        );
        let answer = pod.shell.run(&script).await?.text;
        match answer.strip_prefix("ok") {
            Some(rest) => Ok(rest.trim().to_owned()),
            None => Err(DiskError::Refused { host: host.to_owned(), command: command.to_owned(), answer }),
        }
    }

    /// One value of a disk's status.
    pub async fn disk_status(&self, host: &str, kind: ServiceKind, name: &str) -> Result<u64, DiskError> {
        let answer = self.tell_disk(host, kind, "status").await?;
        let value = answer.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        let command = format!("status, for {name}");
        value.ok_or_else(|| DiskError::Refused { host: host.to_owned(), command, answer })
    }

    /// Lets the disk of a service write back what a living machine's kernel would keep, before the service is killed and
    /// its disk with it. Nothing to do where no disk is prepared.
    pub async fn write_back(&self, host: &str, kind: ServiceKind) -> Result<(), DiskError> {
        match self.prepared_disk(host, kind) {
            Some(_) => self.tell_disk(host, kind, "sync").await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Writes everything to the disks that a kernel would have written by the time anything is broken: data
    /// directories are copied at the start, and nobody syncs a copy.
    pub(super) async fn sync_disks(&self) -> Result<(), DiskError> {
        let kept =
            self.plan().services.iter().filter(|service| self.prepared_disk(&service.host, service.kind).is_some());
        let synced = kept.map(|service| self.tell_disk(&service.host, service.kind, "sync"));
        try_join_all(synced).await.map(|_| ())
    }
}
