//! What a topology says of Patroni's dynamic configuration from the start.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Change, DynamicProblem, check};
use crate::services::Broken;

/// What other parts of a topology say, and plans and predictions read there.
const OWNERS: &[(&str, &str)] = &[
    ("failsafe_mode", "`settings.patroni.failsafe_mode`"),
    ("loop_wait", "`settings.patroni.loop_wait_s`"),
    ("maximum_lag_on_failover", "`settings.patroni.maximum_lag_on_failover_bytes`"),
    ("pause", "a step of a scenario"),
    // Patroni reads them in the place of `slots`, where those stand that the topology's own parts need.
    ("permanent_replication_slots", "`slots`"),
    ("permanent_slots", "`slots`"),
    ("postgresql.parameters", "`settings.postgresql.parameters`"),
    ("primary_start_timeout", "`settings.patroni.primary_start_timeout_s`"),
    ("retry_timeout", "`settings.patroni.retry_timeout_s`"),
    ("standby_cluster", "`follows` of a cluster"),
    ("synchronous_mode", "`settings.patroni.synchronous_mode`"),
    ("synchronous_mode_strict", "`settings.patroni.synchronous_mode_strict`"),
    ("ttl", "`settings.patroni.ttl_s`"),
];

impl Change {
    /// A change that a topology states from the start, under the same key, with the value that its file has.
    ///
    /// # Errors
    /// Why Patroni would not do what it says, or which other part of a topology says it.
    pub(in crate::services) fn from_the_start(key: &str, value: &Value) -> Result<Self, DynamicProblem> {
        free(key, value)?;
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        check(&path, value)?;
        Ok(Self { path, value: value.clone() })
    }
}

/// Whether no other part of a topology says what is stated under a key from the start, or in a block below it.
fn free(key: &str, value: &Value) -> Result<(), DynamicProblem> {
    let is_in = |owned: &str| key.strip_prefix(owned).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    if let Some((_, owner)) = OWNERS.iter().find(|(owned, _)| is_in(owned)) {
        return Err(DynamicProblem::Owned { key: key.to_owned(), owner });
    }
    match value {
        // It would take away what the harness itself has there.
        Value::Null => {
            let (key, text) = (key.to_owned(), "null".to_owned());
            Err(DynamicProblem::Value { key, text, takes: "a value: leave out what is not to be there" })
        }
        Value::Object(parts) => parts.iter().try_for_each(|(name, value)| free(&format!("{key}.{name}"), value)),
        _ => Ok(()),
    }
}

/// The keys of the single values that are stated under a key, with dots between their parts.
pub(crate) fn leaves(key: &str, value: &Value) -> Vec<String> {
    match value.as_object().filter(|parts| !parts.is_empty()) {
        Some(parts) => parts.iter().flat_map(|(name, value)| leaves(&format!("{key}.{name}"), value)).collect(),
        None => vec![key.to_owned()],
    }
}

/// What is wrong with the keys that a topology states: Patroni would not do what one says, or two say the same, one of them in a block.
pub(in crate::services) fn broken(stated: &BTreeMap<String, Value>) -> Vec<Broken> {
    let path = |key| ["patroni", "dynamic", key];
    let mut broken = Vec::new();
    let mut known: Vec<String> = Vec::new();
    for (key, value) in stated {
        if let Err(problem) = Change::from_the_start(key, value) {
            let place = if problem.is_of_value() { Broken::new } else { Broken::of_name };
            broken.push(place(path(key), problem.to_string()).help(problem.help()));
        }
        let own = leaves(key, value);
        if let Some(twice) = own.iter().find(|leaf| known.contains(leaf)) {
            let problem = Broken::of_name(path(key), format!("`{twice}` is said twice"));
            broken.push(problem.help("a key in a block is the same as the key with dots"));
        }
        known.extend(own);
    }
    broken
}
