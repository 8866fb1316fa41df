//! Versions that ran, beside those that the topology names and those that operators upgraded to.

use std::collections::BTreeMap;

use crate::{checks::Evidence, history::Occurrence, services::versions::is_meant};

/// Faults that are steps of an upgrade, each with the program whose version it changes, if it changes one.
pub const UPGRADES: &[(&str, Option<&str>)] = &[
    ("etcd_upgrade", Some("etcd")),
    ("patroni_upgrade", Some("patroni")),
    ("postgresql_restart", None),
    ("postgresql_upgrade", Some("postgresql")),
];

/// The program whose version a fault changes, if it changes one.
pub fn upgraded_by(fault: &str) -> Option<&'static str> {
    UPGRADES.iter().find(|(name, _)| *name == fault).and_then(|(_, program)| *program)
}

/// Each version that a host told and that nobody named, in words, with the `seq` of its event.
pub fn unnamed(evidence: &Evidence<'_>) -> Vec<(u64, String)> {
    let mut unnamed = Vec::new();
    // What operators have upgraded to by then, by host and program.
    let mut asked: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for event in evidence.events {
        match &event.what {
            Occurrence::FaultInjecting(injecting) => {
                let to = injecting.parameters.get("to");
                let (Some(program), Some(to)) = (upgraded_by(&injecting.name), to) else { continue };
                injecting.hosts.iter().for_each(|host| asked.entry((host, program)).or_default().push(to));
            }
            Occurrence::VersionTold { host, program, version } => {
                let Some(named) = evidence.plan.version_named(host, program) else { continue };
                let asked = asked.get(&(host.as_str(), program.as_str())).into_iter().flatten().copied();
                if !asked.chain([named.as_str()]).any(|named| is_meant(named, version)) {
                    unnamed
                        .push((event.seq, format!("{host} ran {program} {version}, and the topology names {named}")));
                }
            }
            _ => {}
        }
    }
    unnamed
}
