//! Faults of object storage.

pub(super) mod certificate_expired;

use super::{Aim, Fault, FaultError, FaultKind, Hosts, Lasts, Place};
