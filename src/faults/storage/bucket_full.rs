//! `bucket_full`: the buckets of an S3 server take no more.

use async_trait::async_trait;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place, minio, on_minio, server, stores};
use crate::{
    plan::Plan,
    s3::S3Error,
    system::{StorageError, System},
    topology::Instance,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "bucket_full",
    effect: "every bucket of the S3 server gets a quota of one byte: it refuses to store anything (400, \
             XMinioAdminBucketQuotaExceeded), and goes on listing and handing out what it holds",
    confirmed_by: "a small object is refused for the quota; healed when one is stored",
    limits: "the host must serve a bucket",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

/// The least quota: with none at all a bucket takes everything.
const QUOTA_BYTES: u64 = 1;

struct BucketFull {
    host: String,
}

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    Ok(Box::new(BucketFull { host: server(KIND.name, plan, aim)? }))
}

#[async_trait]
impl Fault for BucketFull {
    fn services(&self) -> Vec<(String, Instance)> {
        vec![minio(&self.host)]
    }

    fn stands_on(&self) -> Vec<Place> {
        on_minio(&self.host)
    }

    async fn inject(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.limit_buckets(&self.host, Some(QUOTA_BYTES)).await?)
    }

    async fn bites(&self, system: &System) -> Result<String, String> {
        match system.s3_stores(&self.host).await {
            Err(StorageError::S3(S3Error::Refused { code, .. })) if code.ends_with("QuotaExceeded") => {
                Ok(format!("{} stores no object: {code}", self.host))
            }
            Err(other) => Err(other.to_string()),
            Ok(()) => Err(format!("{} stores an object", self.host)),
        }
    }

    async fn heal(&mut self, system: &System) -> Result<(), FaultError> {
        Ok(system.limit_buckets(&self.host, None).await?)
    }

    async fn gone(&self, system: &System) -> Result<String, String> {
        stores(system, &self.host).await
    }
}
