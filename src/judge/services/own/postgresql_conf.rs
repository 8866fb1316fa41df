//! A team's `postgresql.conf`, which Patroni takes as `custom_conf` in the place of the one that it finds in the data directory.

use serde_json::Value;

use super::{
    Flaw, Format, Overridden, Reading, Spot, Stated, Surroundings, ini::of_postgresql, rendered_file, without_lines,
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
    "wal_level",
];

fn read(text: &str, _around: &Surroundings<'_>) -> Result<Reading, Vec<Flaw>> {
    let unreadable = |line| vec![Flaw::new(Spot::of_line(line), "this line does not set a parameter: `name = value`")];
    let entries = of_postgresql(text).map_err(unreadable)?;
    let mut flaws = Vec::new();
    let mut reading = Reading::default();
    for entry in &entries {
        let spot = Spot::of_line(entry.line);
        if ["include", "include_dir", "include_if_exists"].contains(&entry.key) {
            let flaw = Flaw::new(spot, format!("`{}` leads to a file that is not in the topology", entry.key));
            flaws.push(flaw.help("write its lines here"));
            continue;
        }
        let name = entry.key.to_lowercase();
        let of_all = OF_ALL.contains(&name.as_str()).then_some("Patroni takes it from its dynamic configuration alone");
        let owned = OWNED.iter().find(|(key, _)| *key == name).map(|(_, why)| *why).or(of_all);
        let checked = postgresql::check_for_any(entry.key, &entry.value);
        match (owned, checked) {
            (Some(why), _) => reading.overridden.push(Overridden { key: name, line: entry.line, why }),
            (None, Ok(())) => {
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
            (None, Err(ParameterProblem::Owned { .. })) => {
                reading.overridden.push(Overridden { key: name, line: entry.line, why: BY_PATRONI });
            }
            (None, Err(problem)) => flaws.push(Flaw::new(spot, problem.to_string()).help(problem.help())),
        }
    }
    if flaws.is_empty() { Ok(reading) } else { Err(flaws) }
}

/// The team's file without the places that would lead PostgreSQL elsewhere; the parameters that Patroni sets win by themselves.
fn put(text: &str, _site: &Site<'_>, rendered: &mut Rendered) {
    const LEADS_ELSEWHERE: [&str; 7] = [
        "data_directory",
        "external_pid_file",
        "hba_file",
        "ident_file",
        "log_destination",
        "log_directory",
        "logging_collector",
    ];
    let entries = of_postgresql(text).unwrap_or_default();
    let dropped: Vec<usize> = entries
        .iter()
        .filter(|entry| LEADS_ELSEWHERE.iter().any(|name| name.eq_ignore_ascii_case(entry.key)))
        .map(|entry| entry.line)
        .collect();
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
