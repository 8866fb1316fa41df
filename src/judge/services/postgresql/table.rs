//! The table of parameters: what `pg_settings` says of each in the images' PostgreSQL, with the bounds that Patroni draws
//! closer.

use std::sync::LazyLock;

use super::MAJOR_VERSION;
use crate::suggestion;

/// One parameter.
#[derive(Debug)]
pub(super) struct Row {
    pub name: &'static str,
    pub kind: Kind,
    /// Nothing sets it: PostgreSQL shows by it how it was built or set up.
    pub is_fixed: bool,
}

/// What a parameter takes.
#[derive(Debug)]
pub(super) enum Kind {
    Flag,
    Whole(Numbers),
    Real(Numbers),
    OneOf(Vec<&'static str>),
    Text,
}

/// The numbers that a parameter takes, counted in its unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub least: f64,
    pub most: f64,
    /// `kB`, `8kB`, `ms` …; empty if it counts.
    pub unit: &'static str,
    /// It takes multiples of this alone; 0: any number.
    pub step: f64,
    /// Whether PostgreSQL would take less, and Patroni does not.
    pub least_is_patronis: bool,
}

/// Where Patroni takes no less (`ConfigHandler.CMDLINE_OPTIONS` and `available_parameters` of Patroni 4.0): it would set
/// another value.
const LEAST_FOR_PATRONI: &[(&str, f64)] = &[
    ("maintenance_work_mem", 1024.0),
    ("max_connections", 25.0),
    ("max_locks_per_transaction", 32.0),
    ("max_replication_slots", 4.0),
    ("max_wal_senders", 3.0),
    ("max_worker_processes", 2.0),
    ("wal_keep_size", 16.0),
];

/// Where PostgreSQL itself takes no less once it starts: two segments of the WAL.
const LEAST_AT_START: &[(&str, f64)] = &[("max_wal_size", 32.0), ("min_wal_size", 32.0)];

/// Caches that are made of banks of 16 pages (`check_slru_buffers` in PostgreSQL's `slru.c`).
const IN_BANKS: &[&str] = &[
    "commit_timestamp_buffers",
    "multixact_member_buffers",
    "multixact_offset_buffers",
    "notify_buffers",
    "serializable_buffers",
    "subtransaction_buffers",
    "transaction_buffers",
];

/// What Patroni takes, where PostgreSQL takes more: without a standby's WAL there is no cluster.
const VALUES_FOR_PATRONI: &[(&str, &[&str])] = &[("wal_level", &["replica", "logical"])];

/// The parameters of each major version that images have.
static TABLES: LazyLock<Vec<(u32, Vec<Row>)>> = LazyLock::new(|| {
    let rows = |text: &'static str| text.lines().filter(|line| !line.starts_with('#')).filter_map(read).collect();
    TEXTS.iter().map(|(major, text)| (*major, rows(text))).collect()
});

const TEXTS: &[(u32, &str)] = &[
    (15, include_str!("parameters/15.tsv")),
    (16, include_str!("parameters/16.tsv")),
    (17, include_str!("parameters/17.tsv")),
    (18, include_str!("parameters/18.tsv")),
];

/// The rows of a major version; of one that no image has, those of the packages' version.
fn rows(major: u32) -> &'static [Row] {
    let known = |wanted: u32| TABLES.iter().find(|(known, _)| *known == wanted);
    known(major).or_else(|| known(MAJOR_VERSION)).map(|(_, rows)| rows.as_slice()).unwrap_or_default()
}

fn read(line: &'static str) -> Option<Row> {
    let cells: Vec<&'static str> = line.split('\t').collect();
    let [name, kind, context, unit, least, most, values] = cells.as_slice() else { return None };
    let row_of = |table: &[(&str, f64)]| table.iter().find(|(known, _)| known == name).map(|(_, least)| *least);
    let numbers = || {
        let by_patroni = row_of(LEAST_FOR_PATRONI);
        let least = by_patroni.or_else(|| row_of(LEAST_AT_START)).or_else(|| least.parse().ok())?;
        let step = if IN_BANKS.contains(name) { 16.0 } else { 0.0 };
        Some(Numbers { least, most: most.parse().ok()?, unit, step, least_is_patronis: by_patroni.is_some() })
    };
    let kind = match *kind {
        "bool" => Kind::Flag,
        "integer" => Kind::Whole(numbers()?),
        "real" => Kind::Real(numbers()?),
        "enum" => {
            let patronis = VALUES_FOR_PATRONI.iter().find(|(known, _)| known == name);
            Kind::OneOf(patronis.map_or_else(|| values.split(',').collect(), |(_, values)| values.to_vec()))
        }
        _ => Kind::Text,
    };
    Some(Row { name, kind, is_fixed: *context == "internal" })
}

/// The parameter of this name, in which upper and lower case are the same.
pub(super) fn find(major: u32, name: &str) -> Option<&'static Row> {
    rows(major).iter().find(|row| row.name.eq_ignore_ascii_case(name))
}

/// The parameter that was most likely meant.
pub(super) fn nearest(major: u32, name: &str) -> Option<&'static str> {
    suggestion::nearest(name, rows(major).iter().filter(|row| !row.is_fixed).map(|row| row.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_every_closer_bound_has_its_row() {
        for (major, text) in TEXTS {
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            assert_eq!(lines.count(), rows(*major).len(), "{major}");
            for row in rows(*major) {
                if let Kind::Whole(numbers) | Kind::Real(numbers) = &row.kind {
                    assert!(super::super::value::knows(numbers.unit), "{major}: {}: {}", row.name, numbers.unit);
                }
            }
        }
        let find = |name| find(MAJOR_VERSION, name);
        for (name, least) in LEAST_FOR_PATRONI.iter().chain(LEAST_AT_START) {
            let Some(Row { kind: Kind::Whole(numbers), .. }) = find(name) else { panic!("{name}") };
            assert_eq!(numbers.least, *least, "{name}");
        }
        assert!(IN_BANKS.iter().all(|name| find(name).is_some()));
        assert!(VALUES_FOR_PATRONI.iter().all(|(name, _)| find(name).is_some()));
    }

    #[test]
    fn every_version_that_a_topology_may_name_has_its_table() {
        let known: Vec<u32> = TEXTS.iter().map(|(major, _)| *major).collect();
        assert_eq!(known, crate::services::versions::POSTGRESQL);
    }
}
