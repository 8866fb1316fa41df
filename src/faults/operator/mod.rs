//! What an operator's actions share: the node that they are aimed at, and who accepts writes after them.

pub(super) mod configuration_change;
pub(super) mod failover;
pub(super) mod member_removed;
pub(super) mod pause;
pub(super) mod postgresql_restart;
pub(super) mod reinitialize;
pub(super) mod switchover;

use super::{Aim, FaultError};
use crate::{plan::Plan, system::System, topology::ServiceKind};

/// The PostgreSQL node that an action is aimed at.
pub(super) fn node(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<String, FaultError> {
    let host = aim.one_host(fault)?;
    match plan.runs(host, ServiceKind::Patroni) {
        true => Ok(host.to_owned()),
        false => Err(aim.refuse(fault, format!("{host} runs no Patroni"))),
    }
}

/// Refuses an action on the whole cluster if none of its hosts has an agent that could be asked.
pub(super) fn asks_an_agent(fault: &'static str, plan: &Plan, aim: &Aim) -> Result<(), FaultError> {
    match aim.hosts.iter().any(|host| plan.runs(host, ServiceKind::Patroni)) {
        true => Ok(()),
        false => Err(aim.refuse(fault, "no Patroni runs there that could be asked")),
    }
}

/// The node that leads, as its Patroni reports, if PostgreSQL there accepts writes.
pub(super) async fn writable_primary(system: &System) -> Result<String, String> {
    let primary = system.leader().await.ok_or("no node leads")?;
    match system.sql_value(&primary, "SELECT pg_is_in_recovery()").await?.as_str() {
        "f" => Ok(primary),
        _ => Err(format!("PostgreSQL on {primary} is in recovery")),
    }
}
