//! `drive_gone`: the drive of an S3 server is gone, so that it answers that it is not available.

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, minio, on_minio, server, stores};
use crate::{
    plan::Plan,
    s3::S3Error,
    system::{StorageError, System},
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "drive_gone",
    effect: "the directory with the S3 server's data is taken away under it, as a drive that is no longer mounted: the \
             server lives, and answers what concerns objects with 503 (SlowDownWrite, SlowDownRead) or 500",
    confirmed_by: "a small object is refused with 503; healed when one is stored",
    limits: "the host must serve a bucket",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// Service Unavailable.
const UNAVAILABLE: u16 = 503;

struct DriveGone {
    host: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    Ok(Box::new(DriveGone { host: server(KIND.name, plan, aim)? }))
}

#[async_trait]
impl Fault for DriveGone {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![minio(&self.host)]
    }

    fn stands_on(&self) -> Vec<Place> {
        on_minio(&self.host)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.take_drive(&self.host).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match system.s3_stores(&self.host).await {
            Err(StorageError::S3(S3Error::Refused { status: UNAVAILABLE, code, .. })) => {
                Ok(format!("{} answers {UNAVAILABLE} ({code})", self.host))
            }
            Err(other) => Err(other.to_string()),
            Ok(()) => Err(format!("{} stores an object", self.host)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.give_drive_back(&self.host).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        stores(system, &self.host).await
    }
}
