//! `certificate_misnamed`: the certificate of a host has the name of another one.

use super::{Aim, Fault, FaultError, flawed};
use crate::{
    faults::{FaultKind, Hosts, Lasts},
    plan::Plan,
    system::Flaw,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "certificate_misnamed",
    effect: "PostgreSQL, etcd, PgBouncer and Patroni's REST API of the host show a certificate of the right authority with the name of another host: who looks at the name (`verify-full`) refuses it, and who looks at the authority alone does not; connections that are open stay open",
    confirmed_by: "a new connection to each of them ends at a client that looks at the name; healed when each is answered",
    limits: "the topology's `tls` must have a service of the host answer over TLS",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    flawed(KIND.name, plan, aim, Flaw::Misnamed)
}
