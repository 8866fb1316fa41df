//! Faults of object storage.

pub(super) mod archive_push_killed;
pub(super) mod bucket_full;
pub(super) mod certificate_expired;
pub(super) mod drive_gone;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place};
use crate::{
    plan::Plan,
    system::System,
    topology::{Instance, ServiceKind},
};

/// The host of a fault that a server of buckets gets.
fn server(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<String, FaultError> {
    let host = aim.one_host(fault)?;
    if !plan.topology.buckets.iter().any(|bucket| bucket.host == host) {
        return Err(aim.refuse(fault, format!("{host} serves no bucket")));
    }
    Ok(host.to_owned())
}

fn minio(host: &str) -> (String, Instance) {
    (host.to_owned(), ServiceKind::Minio.into())
}

/// What such a fault stands on.
fn on_minio(host: &str) -> Vec<Place> {
    vec![Place::Service(host.to_owned(), ServiceKind::Minio.into())]
}

/// Shows that every bucket of a host takes a small object.
async fn stores(system: &System, host: &str) -> Result<String, String> {
    system.s3_stores(host).await.map_err(|error| error.to_string())?;
    Ok(format!("{host} stores an object"))
}
