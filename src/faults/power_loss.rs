//! `power_loss`: machines lose their power, and with it what their disks were not yet told to keep.

use super::{
    Aim, Fault, FaultError, FaultKind, Lasts,
    crash::{self, Crash},
    disk,
};
use crate::{cluster::Cluster, topology::ServiceKind};

pub(super) const KIND: FaultKind = FaultKind {
    name: "power_loss",
    effect: "as host_crash, and every write that was not synced (fsync, fdatasync, O_SYNC) is gone from the disks; \
             names of files and synced data are kept",
    confirmed_by: "no process is left, a connection from another host gets neither an answer nor a reset, and the \
                   disks told how much they held unsynced; healed when every service runs and another host is answered \
                   again",
    limits: disk::LIMITS,
    parameters: crash::PARAMETERS,
    lasts: Lasts::UntilHealed,
    reaches_clients: false,
    aim,
};

fn aim(cluster: &Cluster, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    let keeps = |host: &String| {
        let kinds = [ServiceKind::Patroni, ServiceKind::Etcd];
        kinds.iter().any(|kind| cluster.prepared_disk(host, *kind).is_some())
    };
    match aim.hosts.iter().find(|host| !keeps(host)) {
        Some(host) => Err(aim.refuse(KIND.name, disk::not_prepared(host))),
        None => Ok(Box::new(Crash::aimed(KIND.name, cluster, aim)?)),
    }
}
