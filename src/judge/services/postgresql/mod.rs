//! PostgreSQL: the service that no agent keeps ([`service`]), what it shares with the one under Patroni ([`server`]), and
//! the parameters of both.
//!
//! Parameters of PostgreSQL, by name and value, as PostgreSQL and the Patroni in front of it take them. Patroni drops what
//! it does not know, and puts a value of its own in the place of one that it can't use, with a line in its log: a mistyped
//! parameter would be a drill of another cluster than the one that was written down.
//!
//! Text is not looked into: whether a time zone or a library is there is the server's to say.

pub mod databases;
mod rules;
pub mod server;
pub(in crate::services) mod service;
mod table;
mod value;

use super::versions;
pub(in crate::services) use rules::rules;
pub(super) use service::SERVICE;
pub use service::START_FILE;
use table::Row;
pub use value::is_false;

/// The major version of Debian's package.
pub const MAJOR_VERSION: u32 = 17;

/// `max_connections` where a topology does not say: a frozen node keeps every session that probes open, and must not run
/// out of them.
pub const MAX_CONNECTIONS: u32 = 400;

/// A WAL position as PostgreSQL writes it.
pub fn position(lsn: u64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF)
}

/// Why a cluster can't have a parameter so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterProblem {
    #[error("`{name}` can't be the name of a parameter")]
    Name { name: String },
    #[error("PostgreSQL {major} has no parameter `{name}`")]
    Unknown { major: u32, name: String, meant: Option<&'static str> },
    #[error("`{name}` is not free to be set")]
    Owned { name: String },
    #[error("`{name}` can't be set in a configuration")]
    Fixed { name: String, instead: Option<&'static str> },
    #[error("`{text}` can't be the value of `{name}`")]
    Value { name: String, text: String, takes: String },
}

impl ParameterProblem {
    /// What was probably meant, or what is possible.
    pub fn help(&self) -> String {
        match self {
            ParameterProblem::Name { .. } => {
                "letters, digits and underscores; one of an extension has a dot in its name".to_owned()
            }
            ParameterProblem::Unknown { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            ParameterProblem::Unknown { meant: None, .. } => {
                "the view pg_settings has them all; one of an extension has a dot in its name".to_owned()
            }
            ParameterProblem::Owned { .. } => "Patroni or the harness sets it on each node".to_owned(),
            ParameterProblem::Fixed { instead: Some(instead), .. } => format!("did you mean `{instead}`?"),
            ParameterProblem::Fixed { instead: None, .. } => {
                "PostgreSQL shows by it how it was built or set up".to_owned()
            }
            ParameterProblem::Value { takes, .. } => format!("it takes {takes}"),
        }
    }

    /// What can't be: the name or the value, as it was written.
    pub fn text(&self) -> &str {
        match self {
            ParameterProblem::Name { name }
            | ParameterProblem::Unknown { name, .. }
            | ParameterProblem::Owned { name }
            | ParameterProblem::Fixed { name, .. } => name,
            ParameterProblem::Value { text, .. } => text,
        }
    }

    /// Whether it is the value that can't be, and not the name.
    pub fn is_of_value(&self) -> bool {
        matches!(self, ParameterProblem::Value { .. })
    }
}

/// Parameters that the harness or Patroni sets itself: Patroni passes them on the command line or ignores them,
/// so that the file would not do what it says.
const OWNED: &[&str] = &[
    "cluster_name",
    "config_file",
    "data_directory",
    "external_pid_file",
    "hba_file",
    "hot_standby",
    "ident_file",
    "listen_addresses",
    "pgquake.node",
    "port",
    "primary_conninfo",
    "primary_slot_name",
    "promote_trigger_file",
    "unix_socket_directories",
    "wal_log_hints",
];

/// Checks a parameter's name and its value, as it would stand in `postgresql.conf` of a major version.
///
/// # Errors
/// Why the cluster can't have it.
pub fn check(major: u32, name: &str, text: &str) -> Result<(), ParameterProblem> {
    let owned_name = || name.to_owned();
    let wrong = |takes: String| ParameterProblem::Value { name: owned_name(), text: text.to_owned(), takes };
    let extension = check_name(name)?;
    if text.contains(['\n', '\r', '\0']) {
        return Err(wrong("one line".to_owned()));
    }
    match table::find(major, name) {
        _ if extension => Ok(()),
        None => Err(ParameterProblem::Unknown { major, name: owned_name(), meant: table::nearest(major, name) }),
        Some(Row { is_fixed: true, .. }) => Err(ParameterProblem::Fixed { name: owned_name(), instead: None }),
        Some(row) => value::check(row, text).map_err(wrong),
    }
}

/// Whether some version of PostgreSQL that images have has a parameter of this name.
pub(crate) fn exists(name: &str) -> bool {
    versions::POSTGRESQL.iter().any(|major| table::find(*major, name).is_some())
}

/// Checks a parameter that a version takes which is not known yet: one of those that images have must.
pub(crate) fn check_for_any(name: &str, text: &str) -> Result<(), ParameterProblem> {
    let as_packaged = check(MAJOR_VERSION, name, text);
    let takes = |major: &u32| check(*major, name, text).is_ok();
    if as_packaged.is_ok() || versions::POSTGRESQL.iter().any(takes) { Ok(()) } else { as_packaged }
}

/// Checks that a parameter of this name can be set, or taken away.
pub(crate) fn check_known(name: &str) -> Result<(), ParameterProblem> {
    let meant = table::nearest(MAJOR_VERSION, name);
    let unknown = || ParameterProblem::Unknown { major: MAJOR_VERSION, name: name.to_owned(), meant };
    if check_name(name)? || exists(name) { Ok(()) } else { Err(unknown()) }
}

/// Checks a name alone, and says whether it is one of an extension, which may be anything.
fn check_name(name: &str) -> Result<bool, ParameterProblem> {
    let plain = name.to_lowercase();
    let is_word = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    if !plain.split('.').all(is_word) {
        return Err(ParameterProblem::Name { name: name.to_owned() });
    }
    if OWNED.contains(&plain.as_str()) || plain.starts_with("recovery_target") {
        return Err(ParameterProblem::Owned { name: name.to_owned() });
    }
    // They hold for the transaction under way.
    let lasting = ["default_transaction_deferrable", "default_transaction_isolation", "default_transaction_read_only"];
    if let Some(instead) = lasting.into_iter().find(|lasting| lasting.strip_prefix("default_") == Some(&plain)) {
        return Err(ParameterProblem::Fixed { name: name.to_owned(), instead: Some(instead) });
    }
    Ok(plain.contains('.'))
}

/// The whole number that a parameter's text stands for, in the parameter's own unit; `None` if it is none.
pub(crate) fn whole_number(name: &str, text: &str) -> Option<f64> {
    let row = versions::POSTGRESQL.iter().rev().find_map(|major| table::find(*major, name));
    value::number(row?, text)
}

/// The seconds that a time stands for, as a parameter that is counted in seconds takes it.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    whole_number("checkpoint_timeout", text)
}

/// Whether a name needs no quotes in SQL: lower-case letters, digits and underscores, beginning with a letter, at most 63. Words that SQL
/// keeps for itself are not looked for.
pub fn is_plain(name: &str) -> bool {
    let letters = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(letters) && name.len() <= 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, text: &str) -> String {
        let problem = check(MAJOR_VERSION, name, text).expect_err(&format!("{name} = {text}"));
        format!("{problem}; {}", problem.help())
    }

    /// What PostgreSQL 17.12 (`postgres -C`) and Patroni 4.0.7 (its validators) both take.
    #[test]
    fn what_both_take_is_taken() {
        for (name, text) in [
            ("work_mem", "8MB"),
            ("work_mem", "8192"),
            ("work_mem", " 8 MB "),
            ("work_mem", "1.5MB"),
            ("work_mem", "0x10000"),
            ("WORK_MEM", "64kB"),
            ("shared_buffers", "1GB"),
            ("wal_buffers", "-1"),
            ("subtransaction_buffers", "256kB"),
            ("serializable_buffers", "0.9999GB"),
            ("checkpoint_timeout", "1h"),
            ("checkpoint_timeout", "1.5min"),
            ("statement_timeout", "0"),
            ("max_connections", "1e2"),
            ("max_connections", "100.6"),
            ("autovacuum_vacuum_cost_delay", "2000us"),
            ("autovacuum_vacuum_cost_delay", "2"),
            ("random_page_cost", "1.1"),
            ("random_page_cost", "1e3"),
            ("unix_socket_permissions", "0777"),
            ("fsync", "OFF"),
            ("fsync", "0"),
            ("archive_mode", "yes"),
            ("archive_mode", "Always"),
            ("wal_compression", "true"),
            ("synchronous_commit", "remote_apply"),
            ("synchronous_commit", "1"),
            ("wal_level", "logical"),
            ("DateStyle", "ISO, DMY"),
            ("timezone", "Europe/Zurich"),
            ("restore_command", "sleep 15; false"),
            ("recovery_min_apply_delay", "5min"),
            ("log_line_prefix", ""),
            ("auto_explain.log_min_duration", "whatever"),
        ] {
            check(MAJOR_VERSION, name, text)
                .unwrap_or_else(|problem| panic!("{name} = {text}: {problem}; {}", problem.help()));
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_with_what_was_meant() {
        assert_eq!(refused("work_mme", "8MB"), "PostgreSQL 17 has no parameter `work_mme`; did you mean `work_mem`?");
        assert!(refused("Sync_Commit", "on").contains("has no parameter"));
        assert!(refused("wal_keep_segments", "8").contains("did you mean `wal_keep_size`"));
        for name in ["", ".", "a.", ".a", "a..b", "1a", "a b", "wörk_mem", "work_mem;"] {
            assert!(refused(name, "1").contains("can't be the name of a parameter"), "{name}");
        }
        for name in ["port", "Hot_Standby", "recovery_target_lsn"] {
            assert!(refused(name, "1").contains("is not free to be set"), "{name}");
        }
        assert!(refused("block_size", "8192").contains("how it was built"));
        assert!(refused("transaction_read_only", "on").contains("`default_transaction_read_only`"));
    }

    #[test]
    fn a_value_that_is_none_is_told_with_what_is() {
        for (name, text, part) in [
            ("work_mem", "8mb", "a size from 64kB to 2147483647kB, in B, kB, MB, GB or TB; a number alone counts kB"),
            ("work_mem", "1", "a size from 64kB"),
            ("work_mem", "", "a size from 64kB"),
            ("work_mem", "lots", "a size from 64kB"),
            ("work_mem", "8MB8", "a size from 64kB"),
            ("work_mem", "10 s", "a size from 64kB"),
            ("shared_buffers", "64kB", "a size from 128kB"),
            ("shared_buffers", "99999999999999999999999999", "a size from 128kB"),
            ("checkpoint_timeout", "400d", "a time from 30s to 1d, in us, ms, s, min, h or d; a number alone counts s"),
            ("max_connections", "1MB", "a whole number from 25 to 262143"),
            ("max_connections", "-1", "a whole number from 25 to 262143"),
            ("max_wal_senders", "2", "a whole number from 3 to 262143; Patroni takes no less"),
            ("min_wal_size", "16MB", "a size from 32MB"),
            ("log_parameter_max_length", "0.9999GB", "a size from -1 to 1073741823B"),
            ("subtransaction_buffers", "64kB", "a size from 0 to 1GB, in multiples of 128kB"),
            ("unix_socket_permissions", "0888", "a whole number from 0 to 511"),
            ("random_page_cost", "nan", "a number of at least 0"),
            ("random_page_cost", "inf", "a number of at least 0"),
            ("random_page_cost", "1,1", "a number of at least 0"),
            ("bgwriter_lru_multiplier", "11", "a number from 0 to 10"),
            ("fsync", "of", "known: on or off"),
            ("fsync", "maybe", "known: on or off"),
            ("synchronous_commit", "remote-aply", "did you mean `remote_apply`?"),
            ("wal_level", "minimal", "known: replica or logical"),
            ("client_min_messages", "debug", "known: debug5"),
            ("archive_command", "a\nb", "it takes one line"),
            ("a.b", "a\nb", "it takes one line"),
        ] {
            let said = refused(name, text);
            assert!(said.contains(part) && said.contains(&format!("can't be the value of `{name}`")), "{said}");
        }
    }

    #[test]
    fn a_number_is_read_in_the_parameters_unit() {
        assert_eq!(whole_number("max_wal_senders", "10"), Some(10.0));
        assert_eq!(whole_number("work_mem", "1MB"), Some(1024.0));
        assert_eq!(whole_number("shared_buffers", "1MB"), Some(128.0));
        assert_eq!(whole_number("search_path", "1"), None);
    }
}
