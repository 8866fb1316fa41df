//! `certificate_revoked`: the authority has revoked the certificate of a host.

use super::{Aim, Fault, FaultError, flawed};
use crate::{
    faults::{FaultKind, Hosts, Lasts},
    plan::Plan,
    system::Flaw,
};

pub(in crate::faults) const KIND: FaultKind = FaultKind {
    name: "certificate_revoked",
    effect: "every node gets a list of revoked certificates with that of the host in it: standbys and agents refuse its PostgreSQL (`sslcrl`); who does not look at that list, as etcd and HAProxy here, goes on; connections that are open stay open",
    confirmed_by: "a new connection to PostgreSQL ends at a client that looks at the list; healed when it is answered",
    limits: "the topology's `tls` must have PostgreSQL of the host speak TLS",
    parameters: &[],
    lasts: Lasts::UntilHealed,
    hosts: Hosts::Each,
    reaches_clients: false,
    aim,
};

fn aim(plan: &Plan, aim: &Aim) -> Result<Box<dyn Fault>, FaultError> {
    flawed(KIND.name, plan, aim, Flaw::Revoked)
}
