//! Several runs that are one together: each is judged by itself, and then their scenarios are.
//!
//! Nothing may be missing, be there twice or come from elsewhere without being named. Runs belong together when each is a
//! shard of the same number, with one recipe and one seed. The versions of what ran in the containers must agree too;
//! images and machines may differ.

use std::collections::{BTreeMap, BTreeSet};

use super::{JudgedRun, ScenarioVerdict};
use crate::history::event::RunStarted;

/// The most missing shards that are named.
const NAMED: usize = 10;

/// The scenarios of runs that are one together, by their number, and what is to be doubted of that.
pub(super) fn merge(runs: Vec<JudgedRun>) -> (Vec<ScenarioVerdict>, Vec<String>) {
    let mut doubts = Vec::new();
    let first = runs.iter().filter_map(|judged| judged.run.clone()).find(|run| run.shard.is_some());
    let (mut ids, mut shards) = (BTreeSet::new(), BTreeMap::new());
    let mut scenarios: BTreeMap<u32, ScenarioVerdict> = BTreeMap::new();
    for judged in runs {
        let Some(run) = judged.run else {
            doubts.push("a run without a beginning was given: it was left out".to_owned());
            doubts.extend(judged.doubts);
            continue;
        };
        if !ids.insert(run.run.clone()) {
            doubts.push(format!("the run {} was given twice: the second was left out", run.run));
            continue;
        }
        doubts.extend(judged.doubts.into_iter().map(|doubt| format!("run {}: {doubt}", run.run)));
        let Some(first) = first.as_ref().filter(|_| run.shard.is_some()) else {
            let alone = "is no shard: it is whole by itself, and is never pooled with another; it was left out";
            doubts.push(format!("the run {} {alone}", run.run));
            continue;
        };
        if let Some(why) = foreign(first, &run) {
            doubts
                .push(format!("the run {} does not belong to the run {}: {why}; it was left out", run.run, first.run));
            continue;
        }
        doubts.extend(other_versions(first, &run));
        if let Some(shard) = run.shard {
            match shards.insert(shard.index, run.run.clone()) {
                Some(other) => doubts.push(format!(
                    "shard {} of {} is there twice, as the run {other} and as the run {}",
                    shard.index, shard.of, run.run
                )),
                None if shard.index == 0 || shard.index > shard.of => {
                    doubts.push(format!("the run {} is shard {} of {}", run.run, shard.index, shard.of));
                }
                None => {}
            }
        }
        for verdict in judged.scenarios {
            let own = ScenarioVerdict { run: run.run.clone(), ..verdict };
            // Of two under one number the worse counts: nobody chooses among them.
            match scenarios.get(&own.number) {
                Some(other) if other.outcome >= own.outcome => {}
                _ => drop(scenarios.insert(own.number, own)),
            }
        }
    }
    let of = first.and_then(|first| first.shard).map_or(0, |shard| shard.of);
    // A history may claim billions of shards: the first that are missing are named, and the others counted.
    let missing = (1..=of).filter(|index| !shards.contains_key(index)).take(NAMED);
    let named: Vec<String> = missing.map(|index| format!("shard {index} of {of} is missing")).collect();
    let there = shards.range(1..=of.max(1)).count().min(of as usize);
    let more = (of as usize).saturating_sub(there).saturating_sub(named.len());
    doubts.extend(named);
    doubts.extend((more > 0).then(|| format!("{more} more shards of {of} are missing")));
    (scenarios.into_values().collect(), doubts)
}

/// Why a run is no part of what another one is a part of.
fn foreign(first: &RunStarted, run: &RunStarted) -> Option<String> {
    match (first.shard, run.shard) {
        (Some(first), Some(own)) if first.of != own.of => {
            Some(format!("it is shard {} of {}, and not of {}", own.index, own.of, first.of))
        }
        _ if first.recipe.is_empty() || first.recipe != run.recipe => Some(
            "its recipe is another one (features, topologies, claims, number of trials or version of pgquake)"
                .to_owned(),
        ),
        _ if first.seed != run.seed => Some(format!("its seed is {}, and not {}", run.seed, first.seed)),
        _ => {
            let is_other =
                |(name, digest): &(&String, &String)| first.inputs.get(*name).is_some_and(|own| own != *digest);
            let (name, _) = run.inputs.iter().find(is_other)?;
            Some(format!("its {name} is another one"))
        }
    }
}

/// Packages of which another version ran. One that only one of them has is of a scenario whose trials are all there, as of one
/// combination of a matrix.
fn other_versions(first: &RunStarted, run: &RunStarted) -> Option<String> {
    let differ: Vec<String> = first
        .versions
        .iter()
        .filter_map(|(name, version)| Some((name, version, run.versions.get(name)?)))
        .filter(|(_, first, own)| first != own)
        .map(|(name, first, own)| format!("{name} {own} instead of {first}"))
        .collect();
    (!differ.is_empty())
        .then(|| format!("the run {} had other versions than the run {}: {}", run.run, first.run, differ.join(", ")))
}
