//! What Gherkin allows, and what would drop a scenario or a step without a word: outlines without rows, scenarios without
//! steps, steps that are taken for a description.

use std::collections::BTreeMap;

use cucumber::{
    gherkin::{Examples, Feature, LineCol, Scenario, StepType},
    step::Collection,
};

use super::mistake::{Mistake, Source};
use crate::steps::World;

/// Words at which an outline begins, in Gherkin's own language. In other languages its placeholders show it.
const OUTLINES: &[&str] = &["Scenario Outline", "Scenario Template"];

/// Checks a feature as it was written.
pub(super) fn check(feature: &Feature, source: &Source, collection: &Collection<World>, mistakes: &mut Vec<Mistake>) {
    let mut add = |at: LineCol, message: String, help: &str| {
        mistakes.push(source.mistake(source.from(at), message, Some(help.to_owned())));
    };
    let own = || feature.scenarios.iter();
    if feature.scenarios.is_empty() && feature.rules.is_empty() {
        add(feature.position, format!("the feature `{}` has no scenario", feature.name), "add one, or remove the file");
    }
    for rule in feature.rules.iter().filter(|rule| rule.scenarios.is_empty()) {
        add(rule.position, format!("the rule `{}` has no scenario", rule.name), "add one, or remove the rule");
    }
    for scenario in own().chain(feature.rules.iter().flat_map(|rule| &rule.scenarios)) {
        if scenario.steps.is_empty() {
            let message = format!("the scenario `{}` has no step", scenario.name);
            add(scenario.position, message, "add its steps, or remove it");
        }
        if scenario.name.trim().is_empty() {
            add(scenario.position, "the scenario has no name".to_owned(), "reports call it by its name");
        }
        outline(scenario, source, &mut add);
    }
    twice(own(), &mut add);
    feature.rules.iter().for_each(|rule| twice(rule.scenarios.iter(), &mut add));
    descriptions(feature, source, collection, mistakes);
}

fn outline(scenario: &Scenario, source: &Source, add: &mut impl FnMut(LineCol, String, &str)) {
    let called_so = OUTLINES.contains(&scenario.keyword.as_str());
    if called_so && scenario.examples.is_empty() {
        let message = format!("the outline `{}` has no examples", scenario.name);
        add(scenario.position, message, "add `Examples:` with a table, or make it a `Scenario:`");
    }
    for examples in &scenario.examples {
        let rows = examples.table.as_ref().map(|table| table.rows.as_slice()).unwrap_or_default();
        if rows.len() < 2 {
            let message = format!("the examples of `{}` have no row", scenario.name);
            add(examples.position, message, "each row below the names of the columns is a scenario");
        }
        columns(examples, rows, source, add);
    }
}

fn columns(examples: &Examples, rows: &[Vec<String>], source: &Source, add: &mut impl FnMut(LineCol, String, &str)) {
    let Some((head, table)) = rows.first().zip(examples.table.as_ref()) else { return };
    for (column, name) in head.iter().enumerate() {
        if head[..column].contains(name) {
            let line = source.rows_from(table.position.line).first().copied().unwrap_or(table.position.line);
            let at = LineCol { line, col: source.cell(line, column).offset + 1 };
            add(at, format!("two columns are called `{name}`"), "only the first would be read");
        }
    }
}

/// Two scenarios of one name: neither the report nor `cargo test NAME` could tell them apart.
fn twice<'a>(scenarios: impl Iterator<Item = &'a Scenario>, add: &mut impl FnMut(LineCol, String, &str)) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for scenario in scenarios {
        match seen.get(scenario.name.as_str()) {
            Some(first) => {
                let message = format!("a second scenario is called `{}`", scenario.name);
                add(scenario.position, message, &format!("the first stands in line {first}"));
            }
            None => _ = seen.insert(&scenario.name, scenario.position.line),
        }
    }
}

/// A line before the first step is a description, whatever it says: a mistyped `When` is dropped there.
fn descriptions(feature: &Feature, source: &Source, collection: &Collection<World>, mistakes: &mut Vec<Mistake>) {
    let rules = || feature.rules.iter();
    let backgrounds = feature.background.iter().chain(rules().filter_map(|rule| rule.background.as_ref()));
    let scenarios = feature.scenarios.iter().chain(rules().flat_map(|rule| &rule.scenarios));
    let described = std::iter::once((feature.position.line, &feature.description))
        .chain(rules().map(|rule| (rule.position.line, &rule.description)))
        .chain(backgrounds.map(|background| (background.position.line, &background.description)))
        .chain(scenarios.map(|scenario| (scenario.position.line, &scenario.description)));
    for (head, description) in described {
        let length = description.iter().flat_map(|text| text.lines()).count();
        // Comments and blank lines may stand between; no more lines than these are looked at.
        for line in head + 1..=head + 2 * length + 1 {
            let text = source.line(line);
            let written = description.iter().flat_map(|text| text.lines()).any(|known| known.trim() == text.trim());
            if written && !text.trim().is_empty() && is_step_without_keyword(text.trim(), collection) {
                let at = LineCol { line, col: text.len() - text.trim_start().len() + 1 };
                let help = "begin it with `Given`, `When`, `Then`, `And` or `But`".to_owned();
                mistakes.push(source.mistake(
                    source.from(at),
                    "this is taken for a description, not for a step",
                    Some(help),
                ));
            }
        }
    }
}

/// Whether a step knows the line, or the line without its first word.
fn is_step_without_keyword(line: &str, collection: &Collection<World>) -> bool {
    let rest = line.split_once(' ').map(|(_, rest)| rest.trim());
    std::iter::once(line).chain(rest).any(|text| {
        [StepType::Given, StepType::When, StepType::Then].into_iter().any(|ty| {
            let step = cucumber::gherkin::Step {
                keyword: String::new(),
                ty,
                value: text.to_owned(),
                docstring: None,
                table: None,
                span: cucumber::gherkin::Span { start: 0, end: 0 },
                position: LineCol { line: 1, col: 1 },
            };
            !matches!(collection.find(&step), Ok(None))
        })
    })
}
