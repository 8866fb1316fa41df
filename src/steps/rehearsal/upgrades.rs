//! Upgrades, held against the versions that the system begins with.

use super::{At, Walk};
use crate::{checks::course::versions::upgraded_by, faults::FaultKind, services::versions, steps::intent::FaultOrder};

impl Walk<'_> {
    /// Notes what a fault upgrades to, if it does. The first upgrade of a program can't lead to what runs everywhere by then.
    pub(super) fn upgrade(&mut self, kind: &FaultKind, order: &FaultOrder) {
        let (Some(program), Some(to)) = (upgraded_by(kind.name), order.parameters.get("to")) else { return };
        let Some(package) = versions::package(program, to) else { return };
        let is_first = self.upgrades.iter().all(|(known, _)| *known != program);
        self.upgrades.insert((program, package.clone()));
        let Some(plan) = self.plan().filter(|_| is_first && !self.lost && !self.own_steps) else { return };
        let mut hosts: Box<dyn Iterator<Item = &str>> = match program {
            "etcd" => Box::new(plan.dcs_members()),
            _ => Box::new(plan.nodes.iter().map(String::as_str)),
        };
        let named = |host: &str| versions::package(program, &plan.version_named(host, program)?);
        if hosts.all(|host| named(host).as_ref() == Some(&package)) {
            let help = "the topology names it, and no step has led to another one: name another version there or here";
            let at = At::Quoted { text: to.clone(), last: true };
            self.add(at, format!("{program} {to} runs there already"), Some(help.to_owned()));
        }
    }
}
