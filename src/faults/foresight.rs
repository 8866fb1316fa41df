//! What can be said of a fault before anything starts: whether its parameters can be read, and whether there is any way
//! in which the hosts of the topology can have their roles that lets it be aimed.

use std::collections::BTreeMap;

use super::{Aim, FaultError, FaultKind, Parameters, Roles, Target};
use crate::{plan::Plan, services::RunsOn};

/// A fault that can be aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreseen {
    /// Whether it can take other parameters while it is on.
    pub can_change: bool,
}

/// Why a fault can't be applied to hosts in these roles: the run would find out when Patroni refuses, or when there is no
/// such process.
fn out_of_role(kind: &FaultKind, aim: &Aim, roles: &Roles) -> Option<&'static str> {
    let leads = |host: &String| roles.is_primary(host);
    let (primary, standby) = (aim.hosts.iter().any(leads), aim.hosts.iter().any(|host| !leads(host)));
    match (kind.name, aim.parameters.process("process")) {
        ("failover", _) if primary => Some("it is the primary already"),
        ("reinitialize", _) if primary => {
            Some("Patroni rebuilds a standby from the primary, and not the primary itself")
        }
        ("switchover", _) if standby => Some("only the primary can hand over"),
        ("switchover", _) if aim.parameters.hosts("to").iter().any(leads) => Some("it would hand over to itself"),
        (_, Some(process)) => match process.runs_on() {
            RunsOn::Standbys(why) if primary => Some(why),
            RunsOn::Primary(why) if standby => Some(why),
            _ => None,
        },
        _ => None,
    }
}

/// Aims a fault as the injector would, for every way in which the roles can be held, until one is found that allows it.
///
/// # Errors
/// Why the first way does not allow it, if none does.
pub fn foresee(
    kind: &'static FaultKind,
    plan: &Plan,
    target: &Target,
    given: &BTreeMap<String, String>,
) -> Result<Foreseen, FaultError> {
    let parameters = Parameters::read(kind.parameters, given)?;
    let mut first_refusal = None;
    for roles in Roles::possible(plan) {
        let aimed = Aim::new(kind, plan, &roles, target, parameters.clone()).and_then(|aim| {
            let fault = kind.aimed(plan, &aim)?;
            match out_of_role(kind, &aim, &roles) {
                Some(reason) => Err(aim.refuse(kind.name, reason)),
                None => Ok(fault),
            }
        });
        match aimed {
            Ok(fault) => return Ok(Foreseen { can_change: fault.can_change() }),
            Err(refusal) => _ = first_refusal.get_or_insert(refusal),
        }
    }
    Err(first_refusal.unwrap_or_else(|| FaultError::NoTarget(target.to_string())))
}
