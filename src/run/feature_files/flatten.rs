//! What cucumber is given: scenarios alone. Backgrounds go into their scenarios, as do the tags of rules, and each row of an
//! outline's examples becomes a scenario with the row's own line.

use std::collections::BTreeMap;

use cucumber::{
    feature::Ext as _,
    gherkin::{Examples, Feature, Rule, Scenario},
};

use super::mistake::{Mistake, Source};

/// A scenario of a file, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Flat {
    /// With the steps of both backgrounds before its own, and every tag that counts for it but the feature's.
    pub scenario: Scenario,
    /// The lines of the scenario as it was written, its tags and examples among them.
    pub lines: std::ops::Range<usize>,
    /// Whether its own line is that of a row of examples.
    pub is_row: bool,
    /// The line of its rule, if it stands in one.
    pub rule_line: Option<usize>,
    /// The versions that a matrix has it run in, by program.
    pub versions: BTreeMap<String, String>,
}

/// Every scenario of a feature, in the order of the file. `feature` keeps none, and no background.
pub(super) fn flatten(feature: &mut Feature, source: &Source, mistakes: &mut Vec<Mistake>) -> Vec<Flat> {
    let rules = std::mem::take(&mut feature.rules);
    let background = feature.background.take().map(|background| background.steps).unwrap_or_default();
    let own = std::mem::take(&mut feature.scenarios);
    let starts = starts(&own, &rules, source);
    let end_of = |first: usize| starts.iter().copied().find(|start| *start > first).unwrap_or(usize::MAX);
    let mut flat = Vec::new();
    let mut add = |scenario: Scenario, rule: Option<&Rule>| {
        let first = source.first_line(scenario.position.line);
        let is_row = !scenario.examples.is_empty();
        for mut expanded in expand(feature, scenario, source, mistakes) {
            if let Some(rule) = rule {
                let background = rule.background.iter().flat_map(|background| background.steps.clone());
                expanded.steps.splice(0..0, background);
                expanded.tags.splice(0..0, rule.tags.clone());
            }
            expanded.steps.splice(0..0, background.clone());
            let rule_line = rule.map(|rule| rule.position.line);
            let (lines, versions) = (first..end_of(first), BTreeMap::new());
            flat.push(Flat { scenario: expanded, lines, is_row, rule_line, versions });
        }
    };
    for scenario in own {
        add(scenario, None);
    }
    for rule in &rules {
        rule.scenarios.iter().for_each(|scenario| add(scenario.clone(), Some(rule)));
    }
    flat
}

/// The first lines of all scenarios and rules, sorted.
fn starts(own: &[Scenario], rules: &[Rule], source: &Source) -> Vec<usize> {
    let scenarios = own.iter().chain(rules.iter().flat_map(|rule| &rule.scenarios));
    let lines = scenarios.map(|scenario| scenario.position.line).chain(rules.iter().map(|rule| rule.position.line));
    let mut starts: Vec<usize> = lines.map(|line| source.first_line(line)).collect();
    starts.sort_unstable();
    starts
}

/// One scenario for each row of examples; the scenario itself if it has none. The tags of an examples block count for
/// its rows alone.
fn expand(feature: &Feature, scenario: Scenario, source: &Source, mistakes: &mut Vec<Mistake>) -> Vec<Scenario> {
    if scenario.examples.is_empty() {
        return vec![scenario];
    }
    let mut expanded = Vec::new();
    for examples in &scenario.examples {
        let one = Scenario { examples: vec![examples.clone()], ..scenario.clone() };
        let alone = Feature { scenarios: vec![one], ..feature.clone() };
        match alone.expand_examples() {
            Ok(feature) => expanded.extend(feature.scenarios.into_iter().zip(lines_of(examples, source)).map(
                |(mut scenario, line)| {
                    scenario.position.line = line;
                    scenario
                },
            )),
            Err(error) => {
                let columns = examples.table.iter().flat_map(|table| table.rows.first()).flatten();
                let known: Vec<&str> = columns.map(String::as_str).collect();
                let help = crate::suggestion::did_you_mean(&error.name, &known);
                let message = format!("the examples have no column `{}`", error.name);
                mistakes.push(source.mistake(source.from(error.pos), message, Some(help)));
            }
        }
    }
    expanded
}

/// The line of each row below the head of examples.
fn lines_of(examples: &Examples, source: &Source) -> Vec<usize> {
    let rows = examples.table.iter().map(|table| source.rows_from(table.position.line));
    rows.flatten().skip(1).collect()
}
