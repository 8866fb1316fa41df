//! `certificate_foreign`: the certificate of a host is of another authority than everybody else trusts.

use super::{Aim, Fault, FaultError, flawed};
use crate::{
    faults::{FaultKind, Hosts, Lasts},
    plan::Plan,
    system::Flaw,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "certificate_foreign",
    effect: "PostgreSQL, etcd, PgBouncer and Patroni's REST API of the host show a certificate of an authority that nobody trusts, and the services of the host are refused with it where they connect; connections that are open stay open",
    confirmed_by: "a new connection to each of them ends at a client that trusts the run's authority; healed when each is answered",
    limits: "the topology's `tls` must have a service of the host answer over TLS",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    flawed(KIND.name, plan, aim, Flaw::Foreign)
}
