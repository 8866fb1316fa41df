//! `report.json`: the whole verdict for programs.
//!
//! Readers may rely on the keys of one [`SCHEMA_VERSION`]: keys may be added within a version, and removing,
//! renaming or changing the meaning of one makes a new version. Measures carry their unit in the end of their name;
//! instants end in `_us` and count microseconds on the run's clock, from `run.started_at`. What is not known is
//! `null`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Format, RenderError, ReportInput};
use crate::{
    history::event::RunStarted,
    plan::{Plan, PredictedFailover},
    topology::OverriddenKey,
    verdict::RunVerdict,
};

pub const FORMAT: Format = Format { name: "json", file: "report.json", render };

/// The version of the keys in `report.json`.
pub const SCHEMA_VERSION: u32 = 2;

/// What `report.json` holds.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema_version: u32,
    /// Run, seed, machine, versions and command line.
    run: &'a RunStarted,
    /// Each run, where several are judged as one; a scenario names the one that it is of.
    #[serde(skip_serializing_if = "<[RunStarted]>::is_empty")]
    runs: &'a [RunStarted],
    topologies: Vec<TopologyFacts<'a>>,
    /// `outcome`, `doubts`, `scenarios` (one for each trial, with `findings` and `failovers`), `groups` (statistics
    /// over the trials of a scenario) and `claims`.
    #[serde(flatten)]
    verdict: &'a RunVerdict,
}

/// A topology that the run used, and what its settings predict.
#[derive(Debug, Serialize)]
struct TopologyFacts<'a> {
    name: &'a str,
    description: &'a str,
    follows: &'a str,
    settings: serde_json::Value,
    /// The team's own images, by the kind of service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    own_images: BTreeMap<&'static str, &'a str>,
    /// What of the team's own configuration pgquake set.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    overridden: Vec<OverriddenKey>,
    predicted: &'a PredictedFailover,
}

impl<'a> TopologyFacts<'a> {
    fn new(plan: &'a Plan) -> Result<Self, serde_json::Error> {
        Ok(Self {
            name: &plan.topology.name,
            description: &plan.topology.description,
            follows: &plan.topology.follows,
            settings: serde_json::to_value(&plan.topology.settings)?,
            own_images: plan
                .topology
                .own
                .iter()
                .filter_map(|(kind, own)| Some((kind.name(), own.image.as_deref()?)))
                .collect(),
            overridden: plan.topology.overridden(),
            predicted: &plan.predicted,
        })
    }
}

fn render(input: &ReportInput<'_>) -> Result<String, RenderError> {
    let topologies: Result<_, serde_json::Error> = input.topologies().into_iter().map(TopologyFacts::new).collect();
    let runs = if input.runs.len() > 1 { input.runs } else { &[] };
    let (run, verdict) = (input.run(), input.verdict);
    let report = Report { schema_version: SCHEMA_VERSION, run, runs, topologies: topologies?, verdict };
    let mut text = serde_json::to_string_pretty(&report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::report::sample;

    /// Every key with its path and the kind of its value.
    fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
        match value {
            // Their keys are data.
            Value::Object(_) if path.ends_with("machine") || path.ends_with("versions") => {}
            Value::Object(map) => map.iter().for_each(|(key, value)| shape(value, &format!("{path}.{key}"), found)),
            Value::Array(values) => values.iter().for_each(|value| shape(value, &format!("{path}[]"), found)),
            Value::Null => {}
            Value::Bool(_) => drop(found.insert(format!("{path}: bool"))),
            Value::Number(_) => drop(found.insert(format!("{path}: number"))),
            Value::String(_) => drop(found.insert(format!("{path}: string"))),
        }
    }

    /// A key that is missing from the snapshot's old version breaks readers: then SCHEMA_VERSION has to go up.
    #[test]
    fn the_keys_are_those_of_this_schema_version() {
        let mut found = BTreeSet::new();
        // Made by hand, so that the keys do not come and go with what the checks say.
        let made = sample::Run::every().into_iter().filter(|(name, _)| *name != "judged");
        for (_, sample) in made {
            let value: Value = serde_json::from_str(&render(&sample.input()).unwrap()).unwrap();
            shape(&value, "", &mut found);
        }
        insta::assert_snapshot!(found.into_iter().collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn the_verdict_is_read_back_as_it_was() {
        let sample = sample::Run::host_kill();
        let text = render(&sample.input()).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["schema_version"], SCHEMA_VERSION);
        assert_eq!(serde_json::from_str::<RunVerdict>(&text).unwrap(), sample.verdict);
    }
}
