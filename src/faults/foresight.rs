//! What can be said of a fault before anything starts: whether its parameters can be read, and whether there is any way
//! in which the hosts of the topology can have their roles that lets it be aimed.

use std::collections::BTreeMap;

use super::{Aim, FaultError, FaultKind, Parameters, Roles, Target};
use crate::plan::Plan;

/// A fault that can be aimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreseen {
    /// Whether it can take other parameters while it is on.
    pub can_change: bool,
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
        let aimed = Aim::new(kind, plan, &roles, target, parameters.clone()).and_then(|aim| kind.aimed(plan, &aim));
        match aimed {
            Ok(fault) => return Ok(Foreseen { can_change: fault.can_change() }),
            Err(refusal) => _ = first_refusal.get_or_insert(refusal),
        }
    }
    Err(first_refusal.unwrap_or_else(|| FaultError::NoTarget(target.to_string())))
}
