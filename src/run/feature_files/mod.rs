//! Feature files: found, parsed and checked before anything is started, filtered by tags, repeated for trials.

mod find;
mod flatten;
mod matrix;
mod mistake;
mod shape;
mod syntax;
mod tags;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use cucumber::{
    gherkin::{Feature, GherkinEnv, LineCol, Scenario, Step, StepType, tagexpr::TagOperation},
    step::Collection,
    tag::Ext as _,
};

use crate::{
    drill::TopologySources,
    history::event::{Expectation, ScenarioStarted},
    steps::{self, At, World, Wrong},
    suggestion,
    topology::Topology,
};

pub use matrix::{Axis, program_twice};
pub use mistake::{FeatureError, Mistake};

use find::Found;
use flatten::{Flat, flatten};
use mistake::Source;

/// One scenario (one trial) to run.
#[derive(Debug, Clone)]
pub struct PlannedScenario {
    /// Its number in the run, from 1.
    pub number: u32,
    /// What the history says of it when it starts: its name, its place and its tags.
    pub started: ScenarioStarted,
    /// What its `Then`s expect.
    pub expectations: Vec<Expectation>,
    /// Its feature, with no other scenario; for cucumber.
    pub feature: Arc<Feature>,
    /// Its topology, as the scenario changes it.
    pub topology: Option<Arc<Topology>>,
    /// The packages that an operator upgrades to in it.
    pub upgrades: BTreeSet<String>,
}

/// What to run.
pub struct Selection {
    /// How many numbers there are, for every trial of every scenario of the files.
    pub numbered: u32,
    /// In the order of their numbers, of the whole selection and not of one shard.
    pub scenarios: Vec<PlannedScenario>,
    /// The text of each feature file, as the user named it.
    pub texts: BTreeMap<PathBuf, String>,
    /// The name or path by which scenarios chose their topologies.
    pub topologies: BTreeSet<String>,
}

/// What narrows the choice of scenarios.
#[derive(Debug, Clone, Default)]
pub struct Narrow {
    pub tags: Option<String>,
    /// Only scenarios whose name contains one of these; as `cargo test NAME` gives it.
    pub names: Vec<String>,
    pub trials: u32,
    /// Each scenario runs once for every combination of these versions.
    pub matrix: Vec<Axis>,
}

/// Finds, parses, checks and selects. Every scenario of the files is checked, also one that is not selected, and has its
/// numbers: one has the same ones whatever else is selected.
///
/// # Errors
/// All mistakes of all files together; or that nothing is there, or nothing is left to run.
pub fn select(
    paths: &[PathBuf],
    narrow: &Narrow,
    collection: &Collection<World>,
    topologies: &TopologySources,
) -> Result<Selection, FeatureError> {
    let trials = narrow.trials.max(1);
    let mut numbered = 0u32;
    let expression = narrow.tags.as_deref().map(tag_expression).transpose()?;
    let mut selection =
        Selection { numbered: 0, scenarios: Vec::new(), texts: BTreeMap::new(), topologies: BTreeSet::new() };
    let mut all_mistakes: Vec<Mistake> = Vec::new();
    for found in find::files(paths)? {
        let bytes =
            std::fs::read(&found.path).map_err(|source| FeatureError::Io { path: found.path.clone(), source })?;
        let source = match Source::of_bytes(&found.path, bytes) {
            Ok(source) => source,
            Err(mistake) => {
                all_mistakes.push(*mistake);
                continue;
            }
        };
        let mut mistakes = Vec::new();
        let Some(mut feature) = parse(&source, &mut mistakes) else {
            all_mistakes.extend(mistakes);
            continue;
        };
        mistakes.extend(syntax::ragged(&source));
        shape::check(&feature, &source, collection, &mut mistakes);
        tags::check(&feature, &source, &topologies.claims, &mut mistakes);
        let scenarios = flatten(&mut feature, &source, &mut mistakes);
        let by_line = at_lines(&scenarios, &found, &source)?;
        let is_wanted = |(flat, by_line): &(Flat, bool)| {
            let tags: Vec<&String> = feature.tags.iter().chain(&flat.scenario.tags).collect();
            let by_tag = expression.as_ref().is_none_or(|expression| expression.eval(&tags));
            let named = |name: &String| flat.scenario.name.contains(name);
            *by_line && by_tag && (narrow.names.is_empty() || narrow.names.iter().any(named))
        };
        let scenarios = scenarios.into_iter().zip(by_line).map(|own| (is_wanted(&own), own.0)).collect();
        let scenarios = matrix::expand(&narrow.matrix, scenarios, &source, &mut mistakes);
        let mut rehearsed = Vec::new();
        for (_, flat) in &scenarios {
            rehearsed.push(check(flat, &source, collection, topologies, &mut mistakes));
        }
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        all_mistakes.extend(mistakes);
        for ((is_wanted, flat), rehearsed) in scenarios.into_iter().zip(rehearsed) {
            if is_wanted {
                selection.texts.insert(found.path.clone(), source.text().to_owned());
                selection.add(&feature, flat, &found.path, rehearsed, numbered..numbered.saturating_add(trials));
            }
            numbered = numbered.saturating_add(trials);
        }
    }
    selection.numbered = numbered;
    match FeatureError::from_mistakes(without_repetitions(all_mistakes)) {
        Some(error) => Err(error),
        None if selection.scenarios.is_empty() => Err(nothing_left(narrow)),
        None => Ok(selection),
    }
}

impl Selection {
    /// Adds every trial of a scenario. Their numbers are one more than these.
    fn add(
        &mut self,
        feature: &Feature,
        flat: Flat,
        path: &Path,
        rehearsed: steps::Rehearsed,
        numbers: std::ops::Range<u32>,
    ) {
        let Flat { scenario, versions, .. } = flat;
        let trials = numbers.end - numbers.start;
        let alone = Arc::new(Feature { scenarios: vec![scenario.clone()], rules: Vec::new(), ..feature.clone() });
        let topology = rehearsed.topology.map(Arc::new);
        self.topologies.extend(rehearsed.topology_named);
        for (trial, before) in (1..=trials).zip(numbers) {
            self.scenarios.push(PlannedScenario {
                number: before + 1,
                started: ScenarioStarted {
                    versions: versions.clone(),
                    ..describe(feature, &scenario, path, trial, trials)
                },
                expectations: rehearsed.expectations.clone(),
                feature: alone.clone(),
                topology: topology.clone(),
                upgrades: rehearsed.upgrades.clone(),
            });
        }
    }
}

fn nothing_left(narrow: &Narrow) -> FeatureError {
    let by_tags = narrow.tags.iter().map(|tags| format!("the tags `{tags}`"));
    let by_names = narrow.names.iter().map(|name| format!("the name `{name}`"));
    let narrowed: Vec<String> = by_tags.chain(by_names).collect();
    let narrowed = if narrowed.is_empty() { String::new() } else { format!(" with {}", narrowed.join(" and ")) };
    FeatureError::Nothing { narrowed }
}

/// Each mistake once: a step of a background is walked through with every scenario, and a topology that can't be used
/// is named by many.
fn without_repetitions(mistakes: Vec<Mistake>) -> Vec<Mistake> {
    let mut kept: Vec<Mistake> = Vec::new();
    for mistake in mistakes {
        if !kept.iter().any(|known| known.repeats(&mistake)) {
            kept.push(mistake);
        }
    }
    kept
}

fn tag_expression(expression: &str) -> Result<TagOperation, FeatureError> {
    expression
        .parse()
        .map_err(|error| FeatureError::TagExpression { expression: expression.to_owned(), message: format!("{error}") })
}

/// Which scenarios the lines pick that the user named: that of a row of examples, the scenario around a line, or all of
/// the rule in whose head it stands.
fn at_lines(scenarios: &[Flat], found: &Found, source: &Source) -> Result<Vec<bool>, FeatureError> {
    let mut picked = vec![found.lines.is_empty(); scenarios.len()];
    for line in &found.lines {
        let around = |flat: &&Flat| flat.lines.contains(line);
        let row = |flat: &&Flat| flat.is_row && flat.scenario.position.line == *line;
        let head = |flat: &Flat| flat.rule_line.filter(|rule| source.first_line(*rule) <= *line);
        let rule = scenarios.iter().filter_map(head).max();
        let is_in_file = *line <= source.text().lines().count();
        let is_picked = |flat: &&Flat| {
            if scenarios.iter().any(|flat| row(&flat)) {
                row(flat)
            } else if scenarios.iter().any(|flat| around(&flat)) {
                around(flat)
            } else {
                rule.is_some() && flat.rule_line == rule
            }
        };
        if !is_in_file || !scenarios.iter().any(|flat| is_picked(&flat)) {
            return Err(FeatureError::NoScenarioAt { path: found.path.clone(), line: *line });
        }
        scenarios.iter().zip(&mut picked).for_each(|(flat, picked)| *picked |= is_picked(&flat));
    }
    Ok(picked)
}

fn parse(source: &Source, mistakes: &mut Vec<Mistake>) -> Option<Feature> {
    Feature::parse(source.text(), GherkinEnv::default())
        .map_err(|error| {
            if let Some(explained) = syntax::explain(source) {
                mistakes.push(explained);
                return;
            }
            let said = error.to_string();
            let (line, column) = position(&said).unwrap_or((1, 1));
            // The parser counts characters here, and bytes everywhere else.
            let before: String = source.line(line).chars().take(column.saturating_sub(1)).collect();
            let at = source.from(LineCol { line, col: before.len() + 1 });
            let help = "see https://cucumber.io/docs/gherkin/reference for what a feature file may hold".to_owned();
            let message = format!("failed to read the feature {}: {said}", source.file);
            mistakes.push(source.mistake(at, message, Some(help)));
        })
        .ok()
}

/// gherkin's error gives its position only in words: "Error at 3:5: …".
fn position(message: &str) -> Option<(usize, usize)> {
    let (line, rest) = message.strip_prefix("Error at ")?.split_once(':')?;
    let column = rest.split(':').next()?;
    Some((line.parse().ok()?, column.trim().parse().ok()?))
}

/// Checks the steps of a scenario: that each is known, and that each can be carried out after those before it.
fn check(
    flat: &Flat,
    source: &Source,
    collection: &Collection<World>,
    topologies: &TopologySources,
    mistakes: &mut Vec<Mistake>,
) -> steps::Rehearsed {
    let all = &flat.scenario.steps;
    for step in all {
        match collection.find(step) {
            Ok(Some(_)) => {}
            Ok(None) => mistakes.push(unknown_step(step, source, collection)),
            Err(ambiguous) => {
                let known = ambiguous.possible_matches.iter().map(|(regex, _)| format!("`{}`", regex.as_str()));
                let help = format!("reword one of {}", known.collect::<Vec<_>>().join(" and "));
                let message = format!("several steps match `{}`", step.value);
                mistakes.push(source.mistake(source.from(step.position), message, Some(help)));
            }
        }
    }
    let mut rehearsed = steps::rehearse(all.iter(), topologies);
    for wrong in rehearsed.wrong.drain(..) {
        let Some(step) = all.get(wrong.step) else { continue };
        let row = flat.is_row && flat.lines.contains(&step.position.line);
        let line = row.then_some(flat.scenario.position.line);
        mistakes.push(misstep(step, wrong, line, source));
    }
    rehearsed
}

/// A step that can't be carried out, with the line of the examples that its words come from.
fn misstep(step: &Step, wrong: Wrong, row_of_examples: Option<usize>, source: &Source) -> Mistake {
    let at = match (wrong.at, &step.table) {
        (At::Cell { row, column }, Some(table)) => {
            let line = source.rows_from(table.position.line).get(row).copied().unwrap_or(table.position.line);
            source.cell(line, column)
        }
        (At::Quoted { text, last }, _) => {
            let line = step.position.line;
            source.quoted(line, &text, last).unwrap_or_else(|| source.from(step.position))
        }
        _ => source.from(step.position),
    };
    let message = match row_of_examples {
        Some(line) => format!("{} (with the examples of line {line})", wrong.message),
        None => wrong.message,
    };
    source.mistake(at, message, wrong.help).with_topology(wrong.topology)
}

fn unknown_step(step: &Step, source: &Source, collection: &Collection<World>) -> Mistake {
    let other =
        [(StepType::Given, "Given"), (StepType::When, "When"), (StepType::Then, "Then")].into_iter().find(|(ty, _)| {
            let other = Step { ty: *ty, ..step.clone() };
            matches!(collection.find(&other), Ok(Some(_)))
        });
    let known = steps::all().filter(|known| known.keyword == step.ty).map(|known| known.expression);
    let hint = match (other, most_alike(&step.value, known)) {
        (Some((_, keyword)), _) => format!("it is a `{keyword}`; `And` continues the kind of the step before it"),
        (None, Some(meant)) => format!("did you mean `{meant}`? `pgquake list steps` shows all steps"),
        (None, None) => "`pgquake list steps` shows all steps".to_owned(),
    };
    source.mistake(source.from(step.position), format!("there is no step `{}`", step.value), Some(hint))
}

/// The expression of which most words stand in a step, if that is at least half of them. Parameters don't count:
/// they may be any word.
fn most_alike<'a>(step: &str, expressions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed: Vec<&str> = step.split_whitespace().collect();
    let alike = |expression: &'a str| {
        let words: Vec<&str> = expression.split_whitespace().filter(|word| !word.starts_with('{')).collect();
        let found = words.iter().filter(|word| suggestion::nearest(word, typed.iter().copied()).is_some()).count();
        (2 * found >= words.len()).then_some((found * 1000 / words.len().max(1), expression))
    };
    expressions.filter_map(alike).max_by_key(|(share, _)| *share).map(|(_, expression)| expression)
}

fn describe(feature: &Feature, scenario: &Scenario, path: &Path, trial: u32, trials: u32) -> ScenarioStarted {
    // One that stands twice, as on a rule and on its scenario, counts once.
    let mut tags: Vec<String> = Vec::new();
    for tag in feature.tags.iter().chain(&scenario.tags) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    let after = |prefix: &str| -> Vec<String> {
        tags.iter().filter_map(|tag| tag.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    ScenarioStarted {
        feature: feature.name.clone(),
        name: scenario.name.clone(),
        file: path.display().to_string(),
        line: scenario.position.line,
        claims: after("claim:"),
        control: after("control:").into_iter().next(),
        tags,
        trial,
        trials,
        begins_again: None,
        versions: BTreeMap::new(),
    }
}
