//! What the two runs stand on: versions and settings that differ, so that a change of timing can be traced.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::Side;

/// Something that differs. An empty text: one of them does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputChange {
    /// A package, a fact of the machine, or a topology with the path of a setting.
    pub name: String,
    pub old: String,
    pub new: String,
}

pub(super) fn compare(old: Side<'_>, new: Side<'_>) -> Vec<InputChange> {
    let (before, now) = (inputs(old), inputs(new));
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    names
        .filter_map(|name| {
            let of = |side: &BTreeMap<String, String>| side.get(name).cloned().unwrap_or_default();
            let change = InputChange { name: name.clone(), old: of(&before), new: of(&now) };
            (change.old != change.new).then_some(change)
        })
        .collect()
}

fn inputs(side: Side<'_>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::from([("pgquake".to_owned(), side.run.version.clone())]);
    found.extend(side.run.versions.iter().map(|(package, version)| (package.clone(), version.clone())));
    // Of a machine only what bears on timings; its kernel changes every week.
    let machine = side.run.machine.iter().filter(|(fact, _)| ["cores", "memory_mib"].contains(&fact.as_str()));
    found.extend(machine.map(|(fact, value)| (format!("machine {fact}"), value.clone())));
    for plan in side.plans.values() {
        let topology = &plan.topology;
        let values = serde_json::to_value(topology).unwrap_or_default();
        flatten(&format!("topology {}", topology.name), &values, &mut found);
    }
    found
}

/// Each value with the path that leads to it.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in
                fields.iter().filter(|(name, _)| !["name", "description", "follows"].contains(&name.as_str()))
            {
                flatten(&format!("{path}.{name}"), inner, into);
            }
        }
        Value::Array(items) => {
            for (place, inner) in items.iter().enumerate() {
                flatten(&format!("{path}[{place}]"), inner, into);
            }
        }
        Value::Null => {}
        Value::String(text) => drop(into.insert(path.to_owned(), text.clone())),
        other => drop(into.insert(path.to_owned(), other.to_string())),
    }
}
