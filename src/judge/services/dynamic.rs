//! Patroni's dynamic configuration as an operator changes it while the cluster runs: its keys, the values that each takes,
//! and what several must keep together. As Patroni 4.0 reads them (`global_config.py`, `config.py`, `validator.py`): it
//! passes over what it does not know, and takes its default in the place of what it can't read.

mod start;

use serde_json::{Map, Value, json};

use super::postgresql::{self, ParameterProblem};
use crate::suggestion::nearest;

pub(super) use start::broken;
pub(crate) use start::leaves;

/// Why Patroni's dynamic configuration can't be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DynamicProblem {
    #[error("Patroni has no key `{key}` in its dynamic configuration")]
    Key { key: String, meant: Option<String> },
    #[error("`{key}` would change nothing: each node's own configuration says it")]
    OfNode { key: String },
    #[error("`{text}` can't be the value of `{key}`")]
    Value { key: String, text: String, takes: &'static str },
    #[error("`{key}` is not said here")]
    Owned { key: String, owner: &'static str },
    #[error(transparent)]
    Parameter(#[from] ParameterProblem),
}

impl DynamicProblem {
    /// What was probably meant, or what is possible.
    pub fn help(&self) -> String {
        match self {
            DynamicProblem::Key { meant: Some(meant), .. } => format!("did you mean `{meant}`?"),
            DynamicProblem::Key { meant: None, .. } => {
                "as ttl, synchronous_mode, postgresql.use_slots or postgresql.parameters.work_mem".to_owned()
            }
            DynamicProblem::OfNode { .. } => "what a node says itself comes before what all of them share".to_owned(),
            DynamicProblem::Value { takes, .. } => format!("it takes {takes}"),
            DynamicProblem::Owned { owner, .. } => format!("a topology says it by {owner}"),
            DynamicProblem::Parameter(problem) => problem.help(),
        }
    }

    /// Whether it is the value that can't be, and not the key.
    pub fn is_of_value(&self) -> bool {
        match self {
            DynamicProblem::Value { .. } => true,
            DynamicProblem::Parameter(problem) => problem.is_of_value(),
            DynamicProblem::Key { .. } | DynamicProblem::OfNode { .. } | DynamicProblem::Owned { .. } => false,
        }
    }
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A whole number that is at least so much.
    AtLeast(i64),
    /// A whole number of seconds, or a time with its unit.
    Time,
    Port,
    /// `true`, `on`, `yes`, `1` and their opposites.
    Flag,
    /// JSON's own `true` and `false`: any text would count as true.
    Truth,
    SynchronousMode,
    Text,
    Texts,
    Blocks,
    Anything,
}

impl Takes {
    fn words(self) -> &'static str {
        match self {
            Takes::AtLeast(-1) => "a whole number of at least -1",
            Takes::AtLeast(0) => "a whole number of at least 0",
            Takes::AtLeast(1) => "a whole number of at least 1",
            Takes::AtLeast(3) => "a whole number of seconds, at least 3",
            Takes::AtLeast(_) => "a whole number of seconds, at least 20",
            Takes::Time => "a whole number of seconds, or a time as 30min",
            Takes::Port => "a port, a whole number from 1 to 65535",
            Takes::Flag | Takes::Truth => "true or false",
            Takes::SynchronousMode => "true, false or quorum",
            Takes::Text => "text",
            Takes::Texts => "a list of texts, as [\"one\", \"two\"]",
            Takes::Blocks => "a list of blocks, as [{\"type\": \"logical\"}]",
            Takes::Anything => "anything",
        }
    }

    fn takes(self, value: &Value) -> bool {
        // Patroni reads the text of a value, so `30` in quotes is 30.
        let text = scalar(value).unwrap_or_default();
        let number = || text.trim().parse::<i64>().ok();
        let is_flag = || {
            let known = ["on", "true", "yes", "1", "off", "false", "no", "0"];
            known.contains(&text.to_lowercase().as_str())
        };
        match self {
            // No lease of etcd is as long as seconds can be many.
            Takes::AtLeast(least) if least > 0 => {
                number().is_some_and(|number| (least..=i64::from(i32::MAX)).contains(&number))
            }
            Takes::AtLeast(least) => number().is_some_and(|number| number >= least),
            Takes::Time => postgresql::seconds(&text).is_some_and(|seconds| seconds >= 0.0),
            Takes::Port => number().is_some_and(|port| (1..=65_535).contains(&port)),
            Takes::Flag => is_flag(),
            Takes::Truth => value.is_boolean(),
            Takes::SynchronousMode => is_flag() || text.to_lowercase() == "quorum",
            Takes::Text => scalar(value).is_some(),
            Takes::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_string)),
            Takes::Blocks => value.as_array().is_some_and(|items| items.iter().all(Value::is_object)),
            Takes::Anything => true,
        }
    }
}

/// Every key, but those of parameters and slots, which have names of their own.
const KEYS: &[(&str, Takes)] = &[
    ("check_timeline", Takes::Flag),
    ("failsafe_mode", Takes::Flag),
    ("ignore_slots", Takes::Blocks),
    ("loop_wait", Takes::AtLeast(1)),
    ("max_timelines_history", Takes::AtLeast(0)),
    ("maximum_lag_on_failover", Takes::AtLeast(0)),
    ("maximum_lag_on_syncnode", Takes::AtLeast(-1)),
    ("member_slots_ttl", Takes::Time),
    ("pause", Takes::Flag),
    ("postgresql.basebackup", Takes::Anything),
    ("postgresql.before_stop", Takes::Text),
    ("postgresql.callbacks.on_reload", Takes::Text),
    ("postgresql.callbacks.on_restart", Takes::Text),
    ("postgresql.callbacks.on_role_change", Takes::Text),
    ("postgresql.callbacks.on_start", Takes::Text),
    ("postgresql.callbacks.on_stop", Takes::Text),
    ("postgresql.pg_ctl_timeout", Takes::AtLeast(0)),
    ("postgresql.pg_ident", Takes::Texts),
    ("postgresql.pre_promote", Takes::Text),
    ("postgresql.recovery_conf.archive_cleanup_command", Takes::Text),
    ("postgresql.recovery_conf.recovery_end_command", Takes::Text),
    ("postgresql.recovery_conf.recovery_min_apply_delay", Takes::Text),
    ("postgresql.recovery_conf.restore_command", Takes::Text),
    ("postgresql.remove_data_directory_on_diverged_timelines", Takes::Truth),
    ("postgresql.remove_data_directory_on_rewind_failure", Takes::Truth),
    ("postgresql.use_pg_rewind", Takes::Truth),
    ("postgresql.use_slots", Takes::Flag),
    ("postgresql.use_unix_socket", Takes::Truth),
    ("postgresql.use_unix_socket_repl", Takes::Truth),
    ("primary_start_timeout", Takes::AtLeast(0)),
    ("primary_stop_timeout", Takes::AtLeast(0)),
    ("retry_timeout", Takes::AtLeast(3)),
    ("standby_cluster.archive_cleanup_command", Takes::Text),
    ("standby_cluster.create_replica_methods", Takes::Texts),
    ("standby_cluster.host", Takes::Text),
    ("standby_cluster.port", Takes::Port),
    ("standby_cluster.primary_slot_name", Takes::Text),
    ("standby_cluster.recovery_min_apply_delay", Takes::Text),
    ("standby_cluster.restore_command", Takes::Text),
    ("synchronous_mode", Takes::SynchronousMode),
    ("synchronous_mode_strict", Takes::Flag),
    ("synchronous_node_count", Takes::AtLeast(1)),
    ("ttl", Takes::AtLeast(20)),
];

/// Keys that hold slots by names of the user's own.
const SLOTS: &[&str] = &["permanent_replication_slots", "permanent_slots", "slots"];
const A_SLOT: &str = "a block, as {\"type\": \"physical\"}, or with `type: logical`, `database` and `plugin`";
const A_SLOT_NAME: &str = "slots by names of lower-case letters, digits and underscores, at most 63";

/// What Patroni takes from a node's own configuration alone, and what the harness says there.
const OF_NODES: &[&str] = &[
    "postgresql.authentication",
    "postgresql.bin_dir",
    "postgresql.config_dir",
    "postgresql.connect_address",
    "postgresql.create_replica_methods",
    "postgresql.data_dir",
    "postgresql.listen",
    "postgresql.pg_hba",
    "postgresql.pgpass",
    "postgresql.prepared",
    "postgresql.proxy_address",
];

const PARAMETERS: &str = "postgresql.parameters";

/// A change of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The parts of the key. A parameter with a dot in its name is one part.
    path: Vec<String>,
    value: Value,
}

impl Change {
    /// Reads a change as an operator writes it: the key with dots between its parts, the value as JSON or as text.
    ///
    /// # Errors
    /// Why Patroni would not do what it says.
    pub fn read(key: &str, text: &str) -> Result<Self, DynamicProblem> {
        let parameter = key.strip_prefix(PARAMETERS).and_then(|rest| rest.strip_prefix('.'));
        let path: Vec<String> = match parameter {
            Some(name) => PARAMETERS.split('.').chain([name]).map(str::to_owned).collect(),
            None => key.split('.').map(str::to_owned).collect(),
        };
        // A parameter is text to PostgreSQL, and `1e3` or `0x10` must reach it as it was written.
        let value = match serde_json::from_str(text) {
            Ok(Value::Number(number)) if number.to_string() != text => Value::String(text.to_owned()),
            Ok(value) => value,
            Err(_) => Value::String(text.to_owned()),
        };
        check(&path, &value)?;
        Ok(Self { path, value })
    }

    pub fn key(&self) -> String {
        self.path.join(".")
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Whether PostgreSQL of this major version takes what is changed in its parameters. Patroni would drop what it does not know.
    ///
    /// # Errors
    /// Why it does not.
    pub fn fits(&self, major: u32) -> Result<(), ParameterProblem> {
        let (above, name) = self.path.split_at(self.path.len().min(PARAMETERS.split('.').count()));
        match (name, scalar(&self.value)) {
            ([name], Some(text)) if above.join(".") == PARAMETERS => postgresql::check(major, name, &text),
            _ => Ok(()),
        }
    }

    /// The change as a patch that sets this key alone, to this value.
    pub fn patch(&self, value: &Value) -> Value {
        self.path.iter().rev().fold(value.clone(), |inner, part| json!({ part.as_str(): inner }))
    }

    /// What a configuration has under the key; null if nothing.
    pub fn found(&self, configuration: &Value) -> Value {
        self.path.iter().fold(configuration, |outer, part| &outer[part.as_str()]).clone()
    }

    /// Makes the change in a configuration, as Patroni does.
    pub fn make(&self, configuration: &mut Value) {
        merge(configuration, &self.patch(&self.value));
    }
}

/// A JSON merge patch: null takes a key away.
fn merge(configuration: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *configuration = patch.clone();
        return;
    };
    if !configuration.is_object() {
        *configuration = Value::Object(Map::new());
    }
    let Value::Object(map) = configuration else { return };
    for (name, value) in patch {
        if value.is_null() {
            map.remove(name);
        } else {
            merge(map.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Checks that a configuration keeps Patroni's rule for its times: otherwise it would lower some of them by itself.
///
/// # Errors
/// Which rule is broken, with the numbers.
pub fn goes_together(configuration: &Value) -> Result<(), String> {
    let seconds = |key: &str, default: i64| {
        let told = scalar(&configuration[key]).and_then(|text| text.trim().parse().ok());
        told.unwrap_or(default)
    };
    let (ttl, loop_wait, retry) = (seconds("ttl", 30), seconds("loop_wait", 10), seconds("retry_timeout", 10));
    let sum = loop_wait.saturating_add(retry.saturating_mul(2));
    if sum <= ttl {
        return Ok(());
    }
    Err(format!("loop_wait + 2 × retry_timeout is {sum} ({loop_wait} + 2 × {retry}) and exceeds ttl, which is {ttl}"))
}

/// The text of a single value; `None`: it is null, a list or a block.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Checks what is to stand at a path; of a block, each part of it. Null takes away what was there.
fn check(path: &[String], value: &Value) -> Result<(), DynamicProblem> {
    let key = path.join(".");
    let is_below = |known: &str| key.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'));
    let wrong = |takes| DynamicProblem::Value { key: key.clone(), text: text_of(value), takes };
    if is_below(PARAMETERS) {
        let name = &key[PARAMETERS.len() + 1..];
        return match scalar(value) {
            Some(text) => Ok(postgresql::check_for_any(name, &text)?),
            None if value.is_null() => Ok(postgresql::check_known(name)?),
            None => Err(wrong("a single value")),
        };
    }
    if OF_NODES.iter().any(|known| *known == key || is_below(known)) {
        return Err(DynamicProblem::OfNode { key });
    }
    if let [above, name, below @ ..] = path
        && SLOTS.contains(&above.as_str())
        && path.iter().all(|part| !part.is_empty())
    {
        return match below {
            _ if !is_slot_name(name) => {
                Err(DynamicProblem::Value { key: above.clone(), text: name.clone(), takes: A_SLOT_NAME })
            }
            [] if !value.is_null() && !is_slot(value) => Err(wrong(A_SLOT)),
            _ => Ok(()),
        };
    }
    if let Some((_, takes)) = KEYS.iter().find(|(known, _)| *known == key) {
        return if value.is_null() || takes.takes(value) { Ok(()) } else { Err(wrong(takes.words())) };
    }
    let above = format!("{key}.");
    let holds_others = key == PARAMETERS || SLOTS.contains(&key.as_str());
    if !holds_others && !KEYS.iter().any(|(known, _)| known.starts_with(&above)) {
        return Err(DynamicProblem::Key { meant: meant(&key), key });
    }
    match value {
        Value::Null => Ok(()),
        Value::Object(parts) => parts.iter().try_for_each(|(name, value)| {
            let path: Vec<String> = path.iter().chain([name]).cloned().collect();
            check(&path, value)
        }),
        _ => Err(wrong("a block, as {\"key\": \"value\"}")),
    }
}

/// Whether PostgreSQL takes it for the name of a replication slot.
pub fn is_slot_name(name: &str) -> bool {
    let letters = name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    letters && (1..=63).contains(&name.len())
}

/// Whether Patroni takes it for a permanent slot; it passes over any other.
fn is_slot(value: &Value) -> bool {
    let Some(block) = value.as_object() else { return false };
    let has = |field: &str| block.get(field).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    match block.get("type").map(Value::as_str) {
        None | Some(Some("physical")) => true,
        Some(Some("logical")) => has("database") && has("plugin"),
        Some(_) => false,
    }
}

fn text_of(value: &Value) -> String {
    scalar(value).unwrap_or_else(|| value.to_string())
}

/// The key that was most likely meant, also where the way to it was left out.
fn meant(key: &str) -> Option<String> {
    let known = || KEYS.iter().map(|(known, _)| *known);
    let last = |known: &'static str| known.rsplit('.').next().unwrap_or(known);
    let below = known().chain(OF_NODES.iter().copied()).find(|known| last(known) == key).map(str::to_owned);
    let parameter = || postgresql::exists(key).then(|| format!("{PARAMETERS}.{key}"));
    below.or_else(parameter).or_else(|| nearest(key, known()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(key: &str, text: &str) -> String {
        let problem = Change::read(key, text).expect_err(&format!("{key} = {text}"));
        format!("{problem}; {}", problem.help())
    }

    #[test]
    fn what_patroni_takes_is_taken() {
        for (key, text) in [
            ("ttl", "20"),
            ("ttl", "\"30\""),
            ("ttl", "null"),
            ("loop_wait", "1"),
            ("maximum_lag_on_failover", "0"),
            ("maximum_lag_on_syncnode", "-1"),
            ("synchronous_mode", "quorum"),
            ("synchronous_mode", "on"),
            ("synchronous_mode_strict", "Yes"),
            ("failsafe_mode", "true"),
            ("member_slots_ttl", "30min"),
            ("member_slots_ttl", "0"),
            ("postgresql.use_pg_rewind", "false"),
            ("postgresql.parameters.work_mem", "7MB"),
            ("postgresql.parameters.work_mem", "null"),
            ("postgresql.parameters.max_connections", "500"),
            ("postgresql.parameters.auto_explain.log_min_duration", "1s"),
            ("postgresql.parameters", "{\"work_mem\": \"8MB\", \"fsync\": false}"),
            ("postgresql", "{\"use_slots\": true}"),
            ("slots", "{\"mine\": {\"type\": \"physical\"}}"),
            ("slots.mine.type", "physical"),
            ("slots.mine", "{}"),
            ("slots", "{\"mine\": {\"type\": \"logical\", \"database\": \"postgres\", \"plugin\": \"pgoutput\"}}"),
            ("postgresql.recovery_conf", "{\"recovery_min_apply_delay\": \"5min\"}"),
            ("standby_cluster.port", "5432"),
            ("standby_cluster", "null"),
        ] {
            Change::read(key, text).unwrap_or_else(|problem| panic!("{key} = {text}: {problem}; {}", problem.help()));
        }
    }

    #[test]
    fn a_key_that_is_none_is_told_with_what_was_meant() {
        for (key, part) in [
            ("ttll", "has no key `ttll` in its dynamic configuration; did you mean `ttl`?"),
            ("ttl_s", "did you mean `ttl`?"),
            ("use_slots", "did you mean `postgresql.use_slots`?"),
            ("work_mem", "did you mean `postgresql.parameters.work_mem`?"),
            ("master_start_timeout", "did you mean `primary_start_timeout`?"),
            ("postgresql.parameter.work_mem", "has no key"),
            ("", "has no key ``"),
            (".", "has no key `.`"),
            ("ttl.", "has no key `ttl.`"),
            ("ttl.more", "has no key"),
            ("slots.", "has no key"),
            ("postgresql.recovery_conf.restore_comand", "did you mean `postgresql.recovery_conf.restore_command`?"),
            ("watchdog.mode", "has no key"),
            ("postgresql.pg_hba", "`postgresql.pg_hba` would change nothing"),
            ("postgresql.authentication.superuser.password", "would change nothing"),
            ("postgresql.parameters.work_mme", "did you mean `work_mem`?"),
            ("postgresql.parameters.", "can't be the name of a parameter"),
            ("postgresql.parameters.port", "is not free to be set"),
        ] {
            assert!(refused(key, "1").contains(part), "{key}: {}", refused(key, "1"));
        }
    }

    #[test]
    fn a_value_that_is_none_is_told_with_what_is() {
        for (key, text, part) in [
            ("ttl", "19", "at least 20"),
            ("ttl", "30s", "at least 20"),
            ("ttl", "30.5", "at least 20"),
            ("ttl", "1e3", "at least 20"),
            ("ttl", "99999999999999999999", "at least 20"),
            ("ttl", "", "at least 20"),
            ("retry_timeout", "2", "at least 3"),
            ("loop_wait", "0", "at least 1"),
            ("maximum_lag_on_failover", "1MB", "at least 0"),
            ("synchronous_mode", "maybe", "true, false or quorum"),
            ("postgresql.use_pg_rewind", "off", "true or false"),
            ("failsafe_mode", "[true]", "true or false"),
            ("postgresql.parameters", "8MB", "a block"),
            ("postgresql.parameters.work_mem", "[1]", "a single value"),
            ("postgresql.parameters.work_mem", "8mb", "a size from 64kB"),
            ("postgresql.parameters", "{\"work_mem\": \"8mb\"}", "a size from 64kB"),
            ("standby_cluster.port", "65536", "a port"),
            ("slots", "{\"mine\": 5}", "a block, as"),
            ("slots.mine", "physical", "a block, as"),
            ("slots.mine", "{\"type\": \"logical\"}", "`database` and `plugin`"),
            ("slots.My-Slot", "{}", "lower-case letters"),
            ("ignore_slots", "5", "a list of blocks"),
            ("ttl", "{\"a\": 1}", "at least 20"),
        ] {
            let said = refused(key, text);
            assert!(said.contains("can't be the value of") && said.contains(part), "{key} = {text}: {said}");
        }
    }

    #[test]
    fn a_key_is_changed_alone_and_found_again() {
        let change = Change::read("postgresql.parameters.work_mem", "64MB").unwrap();
        let patch = json!({ "postgresql": { "parameters": { "work_mem": "64MB" } } });
        assert_eq!(change.patch(change.value()), patch);
        assert_eq!(change.found(&patch), json!("64MB"));
        assert_eq!(Change::read("ttl", "20").unwrap().found(&patch), Value::Null);
        let dotted = Change::read("postgresql.parameters.a.b", "1").unwrap();
        assert_eq!(dotted.patch(&json!(1)), json!({ "postgresql": { "parameters": { "a.b": 1 } } }));
    }

    #[test]
    fn changes_follow_each_other_and_keep_the_rule_of_the_times() {
        let mut configuration = json!({ "ttl": 30, "loop_wait": 10, "retry_timeout": 10 });
        let mut set = |key: &str, text: &str| {
            Change::read(key, text).unwrap().make(&mut configuration);
            goes_together(&configuration)
        };
        assert_eq!(set("loop_wait", "5"), Ok(()));
        assert_eq!(set("ttl", "25"), Ok(()));
        assert!(set("ttl", "24").unwrap_err().contains("is 25 (5 + 2 × 10) and exceeds ttl, which is 24"));
        assert_eq!(set("ttl", "null"), Ok(()), "Patroni's default is 30");
    }
}
