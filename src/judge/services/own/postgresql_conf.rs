//! A team's `postgresql.conf`, which Patroni takes as `custom_conf` in the place of the one that it finds in the data directory.

use serde_json::Value;

use super::{
    Flaw, Format, Overridden, Reading, Spot, Stated, Surroundings,
    ini::{Entry, of_postgresql},
    rendered_file, without_lines,
};
use crate::services::{
    Rendered, Site,
    patroni::CONFIGURATION,
    postgresql::{self, ParameterProblem},
};

pub(in crate::services) const FILE: Format = Format { name: "postgresql.conf", read, put };

/// Where Patroni finds it.
const PLACE: &str = "/etc/patroni/postgresql.conf";

/// Why a parameter of a file does not count that Patroni passes on the command line.
pub(super) const BY_PATRONI: &str = "Patroni or pgquake sets it on every node";

/// Why a parameter that has one value on all nodes has no effect in a node's file.
pub(super) const BY_DYNAMIC: &str = "Patroni takes it from its dynamic configuration alone";

const LOGGED: &str = "the log is saved with the run, from standard error";

/// Parameters that the harness sets, and why.
pub(super) const OWNED: &[(&str, &str)] = &[
    ("data_directory", "disk faults and prepared data know one place"),
    ("hba_file", "access is `postgresql.pg_hba` of the agent"),
    ("ident_file", "it lies in the data directory"),
    ("listen_addresses", "clients reach every node at its host's address"),
    ("log_destination", LOGGED),
    ("log_directory", LOGGED),
    ("logging_collector", LOGGED),
    ("port", "clients reach every node at port 5432"),
    ("ssl", "PostgreSQL of the run speaks without TLS"),
    ("unix_socket_directories", "faults find the socket in one place"),
];

/// Parameters that have one value on all nodes, and that Patroni takes from its dynamic configuration alone.
pub(super) const OF_ALL: &[&str] = &[
    "max_connections",
    "max_locks_per_transaction",
    "max_prepared_transactions",
    "max_replication_slots",
    "max_wal_senders",
    "max_worker_processes",
    "track_commit_timestamp",
    WAL_KEPT,
    "wal_level",
];

const WAL_KEPT: &str = "wal_keep_size";
const WAL_KEPT_ONCE: &str = "wal_keep_segments";
const MIB_OF_A_SEGMENT: u64 = 16;

/// What Patroni, or PostgreSQL itself, makes of a name or a word of older versions.
pub(super) fn of_today(name: &str, text: &str) -> Option<(&'static str, String)> {
    match (name.to_lowercase().as_str(), text.trim()) {
        ("wal_level", "hot_standby") => Some(("wal_level", "replica".to_owned())),
        (WAL_KEPT_ONCE, segments) => {
            let kept_mib = segments.parse::<u64>().ok()?.checked_mul(MIB_OF_A_SEGMENT)?;
            Some((WAL_KEPT, format!("{kept_mib}MB")))
        }
        _ => None,
    }
}

fn read(text: &str, _around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let unreadable =
        |line| {
            let flaw = Flaw::new(Spot::of_line(line), "this line does not set a parameter: `name = value`");
            vec![flaw.help(
                "what is more than one word of letters, digits and `_-.:/`, or a number, stands in single quotes",
            )]
        };
    let entries = of_postgresql(text).map_err(unreadable)?;
    let mut flaws = Vec::new();
    let mut reading = Reading::default();
    for entry in &entries {
        let spot = Spot::of_line(entry.line);
        let name = entry.key.to_lowercase();
        if ["include", "include_dir", "include_if_exists"].contains(&name.as_str()) {
            let flaw = Flaw::new(spot, format!("`{}` leads to a file that is not in the topology", entry.key));
            flaws.push(flaw.help("write its lines here, or leave it out if there are none"));
            continue;
        }
        if let Some(why) = overridden(entry) {
            reading.overridden.push(Overridden { key: name, line: entry.line, why });
            continue;
        }
        match postgresql::check_for_any(entry.key, &entry.value) {
            Ok(()) => {
                let name = if entry.key.contains('.') { entry.key } else { &name };
                let path: Vec<String> = ["postgresql", "parameters", name].map(str::to_owned).into();
                reading.settings.retain(|stated: &Stated| stated.path != path);
                reading.settings.push(Stated {
                    path,
                    value: Value::from(entry.value.clone()),
                    spot,
                    is_default: false,
                });
            }
            Err(problem) => flaws.push(Flaw::new(spot, problem.to_string()).help(problem.help())),
        }
    }
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

/// Why a parameter does not count; `None`: it does.
fn overridden(entry: &Entry<'_>) -> Option<&'static str> {
    let name = entry.key.to_lowercase();
    let owned = OWNED.iter().find(|(key, _)| *key == name).map(|(_, why)| *why);
    let of_all = OF_ALL.contains(&name.as_str()).then_some(BY_DYNAMIC);
    let checked = postgresql::check_for_any(entry.key, &entry.value);
    let by_patroni = matches!(checked, Err(ParameterProblem::Owned { .. })).then_some(BY_PATRONI);
    owned.or(of_all).or(by_patroni)
}

/// The team's file without the lines that do not count: some of them would count where Patroni says nothing.
fn put(text: &str, _site: &Site<'_>, rendered: &mut Rendered) {
    let entries = of_postgresql(text).unwrap_or_default();
    let dropped = entries.iter().filter(|entry| overridden(entry).is_some());
    let dropped: Vec<usize> = dropped.map(|entry| entry.line).collect();
    let own = without_lines(text, &dropped);
    if let Some(file) = rendered_file(rendered, CONFIGURATION)
        && let Ok(mut configuration) = serde_saphyr::from_str::<Value>(file)
        && configuration["postgresql"].is_object()
    {
        configuration["postgresql"]["custom_conf"] = Value::from(PLACE);
        *file = serde_saphyr::to_string(&configuration).unwrap_or_else(|_| configuration.to_string());
    }
    rendered.files.push((PLACE.to_owned(), own));
}
