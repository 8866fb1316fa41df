//! How a run and its scenarios begin: what was asked for, by which rule, and with what.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    schema::{SCHEMA, first_schema, is_first_schema},
    statistics::Level,
};

/// By what it is decided what trials prove. It is stated before the run and never chosen afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Rule {
    /// Each scenario is tried a number of times, and the exact bounds at that number decide.
    Trials(u32),
    /// Each scenario is tried until the sampling plan of this level has decided every claim with a share that the scenario
    /// bears on.
    Prove {
        level: Level,
        /// By how many decisions the error is divided, so that all of them hold together; 1: each by itself.
        decisions: u32,
    },
}

/// Which part of the scenarios a run takes, of several runs that are one together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Counted from 1.
    pub index: u32,
    pub of: u32,
}

/// A text that is no shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    #[error("a shard is written as 3/8: the third of eight")]
    Form,
    #[error("shards count from 1; Kubernetes, Buildkite and CircleCI count from 0: add 1")]
    FromZero,
    #[error("there is no shard {index} of {of}")]
    Beyond { index: u32, of: u32 },
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, of) = text.split_once('/').ok_or(ShardError::Form)?;
        let number = |part: &str| part.trim().parse::<u32>().map_err(|_| ShardError::Form);
        match (number(index)?, number(of)?) {
            (0, _) => Err(ShardError::FromZero),
            (index, of) if index > of => Err(ShardError::Beyond { index, of }),
            (index, of) => Ok(Self { index, of }),
        }
    }
}

/// The first event of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunStarted {
    /// See [`SCHEMA`].
    #[serde(default = "first_schema", skip_serializing_if = "is_first_schema")]
    pub schema: u32,
    /// The run's id, also the label of its containers.
    pub run: String,
    pub version: String,
    pub seed: u64,
    /// Wall clock, RFC 3339: data, never order.
    pub started_at: String,
    /// The machine: cores, memory, kernel, engine version.
    pub machine: BTreeMap<String, String>,
    /// Versions of what runs in the containers, by package; those of `ImagesReady` come to these.
    pub versions: BTreeMap<String, String>,
    /// The command line, without anything secret.
    pub arguments: Vec<String>,
    /// How many scenarios (each trial counts) the run is to have; 0 in histories of schema 1. Under [`Rule::Prove`] the most
    /// that it can have.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scenarios: u32,
    /// The numbers of these scenarios, from first to last, both included; empty: 1 and those that follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<(u32, u32)>,
    /// `None` in histories of schema 1 to 3, which go by the number of trials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// `None`: the run is whole by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// SHA-256 of all that decides what is tried and how it is judged: the scenarios in their order with their texts,
    /// topologies, claims, rule and version. Runs that are one together have one recipe, and one seed. Empty in histories of
    /// schema 1 to 3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub recipe: String,
    /// SHA-256 of each file that the run keeps in `inputs/`, by its path there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Runs of the same recipe that its folder held before: they are named, and never pooled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<String>,
    /// SHA-256 of the program that ran; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub binary: String,
}

fn is_zero(scenarios: &u32) -> bool {
    *scenarios == 0
}

impl RunStarted {
    /// In place of a beginning that can't be read.
    pub fn unknown() -> Self {
        Self {
            schema: SCHEMA,
            run: "unknown".to_owned(),
            version: String::new(),
            seed: 0,
            started_at: String::new(),
            machine: BTreeMap::new(),
            versions: BTreeMap::new(),
            arguments: Vec::new(),
            scenarios: 0,
            numbers: Vec::new(),
            rule: None,
            shard: None,
            recipe: String::new(),
            inputs: BTreeMap::new(),
            earlier: Vec::new(),
            binary: String::new(),
        }
    }

    /// The numbers of the scenarios that the run is to have, from first to last, both included.
    pub fn planned_numbers(&self) -> Vec<(u32, u32)> {
        match self.scenarios {
            0 => Vec::new(),
            all if self.numbers.is_empty() => vec![(1, all)],
            _ => self.numbers.clone(),
        }
    }
}

/// The first event of a scenario, that is of one trial of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioStarted {
    pub feature: String,
    pub name: String,
    /// The feature file, as the user named it.
    pub file: String,
    pub line: usize,
    pub tags: Vec<String>,
    /// Claims from `@claim:ID` tags.
    pub claims: Vec<String>,
    /// The check from a `@control:CHECK` tag: the scenario passes only if exactly this check fails.
    pub control: Option<String>,
    /// Which trial of how many, counted from 1.
    pub trial: u32,
    pub trials: u32,
    /// The number of the scenario that this one begins again, because the machine was starved before its fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_again: Option<u32>,
    /// The versions that the run's matrix has it run in, by program: `postgresql` is `16`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_counts_from_one() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, of: 8 }));
        assert_eq!("0/8".parse::<Shard>(), Err(ShardError::FromZero));
        assert_eq!("9/8".parse::<Shard>(), Err(ShardError::Beyond { index: 9, of: 8 }));
        for text in ["", "3", "3/", "/8", "three/8", "-1/8", "3/8/9"] {
            assert_eq!(text.parse::<Shard>(), Err(ShardError::Form), "{text}");
        }
    }
}
