//! What PostgreSQL's settings must keep, beyond each parameter by itself.

use std::collections::BTreeSet;

use super::{MAX_CONNECTIONS, check, databases, whole_number};
use crate::services::{Broken, PostgresqlSettings, Settings, versions};

/// Patroni sets it where it chooses the synchronous standbys.
const SYNCHRONOUS: &str = "synchronous_standby_names";

fn at(name: &str) -> [&str; 3] {
    ["postgresql", "parameters", name]
}

/// What PostgreSQL's settings break in a cluster of this many nodes.
pub(in crate::services) fn rules(all: &Settings, nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &all.postgresql;
    let major = settings.major_version;
    if !versions::POSTGRESQL.contains(&major) {
        let message = format!("PostgreSQL {major} can't be had");
        let help = format!("known: {}", versions::known_of("postgresql"));
        broken.push(Broken::new(["postgresql", "major_version"], message).help(help));
    } else if let Some(minor) = settings.minor_version.filter(|minor| !versions::minors_of(major).contains(minor)) {
        let message = format!("PostgreSQL {major}.{minor} can't be had");
        let help = format!("known: {}", versions::known_of("postgresql"));
        broken.push(Broken::new(["postgresql", "minor_version"], message).help(help));
    }
    let parameters = &settings.parameters;
    let mut seen = BTreeSet::new();
    for (name, text) in parameters {
        if !seen.insert(name.to_lowercase()) {
            let problem = Broken::of_name(at(name), format!("`{name}` stands twice"));
            broken.push(problem.help("upper and lower case are the same in a parameter's name"));
        } else if let Err(wrong) = check(major, name, text) {
            let place = if wrong.is_of_value() { Broken::new } else { Broken::of_name };
            broken.push(place(at(name), wrong.to_string()).help(wrong.help()));
        } else if name.eq_ignore_ascii_case(SYNCHRONOUS) && all.patroni.synchronous_mode {
            let problem = Broken::of_name(at(name), format!("`{name}` is Patroni's with synchronous_mode"));
            broken.push(problem.help("remove it, or turn synchronous_mode off"));
        }
    }
    broken.extend(together(settings, nodes));
    broken.extend(databases::rules(all));
    broken
}

/// What several parameters, or a parameter and the hosts, must keep together.
fn together(settings: &PostgresqlSettings, nodes: usize) -> Vec<Broken> {
    let mut broken = Vec::new();
    let parameters = &settings.parameters;
    let set = |wanted: &str| {
        let (name, text) = parameters.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some((name.as_str(), whole_number(name, text)?))
    };
    let standbys = nodes.saturating_sub(1);
    for needed in ["max_wal_senders", "max_replication_slots"] {
        if let Some((name, number)) = set(needed).filter(|(_, number)| *number < standbys as f64) {
            let message = format!("`{name}` is {number}, and {standbys} standbys need one each");
            broken.push(Broken::new(at(name), message).help("raise it, or leave it out"));
        }
    }
    let reserved = ["superuser_reserved_connections", "reserved_connections"];
    let (kept, most) = (reserved.map(set), set("max_connections"));
    // PostgreSQL keeps three for superusers unless it is told otherwise.
    let kept_for_them = kept[0].map_or(3.0, |(_, number)| number) + kept[1].map_or(0.0, |(_, number)| number);
    let in_all = most.map_or(f64::from(MAX_CONNECTIONS), |(_, number)| number);
    if kept_for_them >= in_all {
        let message = format!("{kept_for_them} connections are reserved, of {in_all} in all");
        let names = kept.into_iter().flatten().chain(most).map(|(name, _)| name);
        let paths = names.chain(["max_connections"]).map(at).collect::<Vec<_>>();
        let help = "PostgreSQL refuses to start without one that is free: raise max_connections or lower the others";
        broken.push(Broken::together(&paths, message).help(help));
    }
    broken
}
