//! Feature files: found, parsed and checked before anything is started, filtered by tags, repeated for trials.

use std::path::{Path, PathBuf};

use cucumber::{
    feature::Ext as _,
    gherkin::{Feature, GherkinEnv, Scenario, Step, tagexpr::TagOperation},
    step::Collection,
    tag::Ext as _,
};
use miette::{Diagnostic, NamedSource, SourceSpan};

use crate::{
    checks, claims,
    history::event::ScenarioStarted,
    steps::{self, World},
    suggestion,
};

/// A feature file, or what the user asked of it, is wrong.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum FeatureError {
    #[error("failed to find feature files: there is nothing at {}", path.display())]
    #[diagnostic(help("name a .feature file, a folder of them, or a scenario's line as features/x.feature:12"))]
    NotFound { path: PathBuf },
    #[error("failed to read {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("failed to read the feature {file}: {message}")]
    #[diagnostic(help("see https://cucumber.io/docs/gherkin/reference for what a feature file may hold"))]
    Syntax {
        file: String,
        message: String,
        #[source_code]
        text: NamedSource<String>,
        #[label("here")]
        at: SourceSpan,
    },
    #[error("{file}:{line}:{column}: there is no step `{step}`")]
    #[diagnostic(help("{hint}"))]
    UnknownStep {
        file: String,
        line: usize,
        column: usize,
        step: String,
        hint: String,
        #[source_code]
        text: NamedSource<String>,
        #[label("unknown step")]
        at: SourceSpan,
    },
    #[error("{file}:{line}:{column}: {message}")]
    #[diagnostic(help("{hint}"))]
    Tag {
        file: String,
        line: usize,
        column: usize,
        message: String,
        hint: String,
        #[source_code]
        text: NamedSource<String>,
        #[label("this scenario")]
        at: SourceSpan,
    },
    #[error("failed to read the tag expression `{expression}`: {message}")]
    #[diagnostic(help("write it as `@quick`, `@documented and not @sync` or `@a or @b`"))]
    TagExpression { expression: String, message: String },
    #[error("no scenario is left to run{narrowed}")]
    #[diagnostic(help("`pgquake run --list` shows the scenarios and their tags"))]
    Nothing { narrowed: String },
}

/// One scenario (one trial) to run.
#[derive(Debug, Clone)]
pub struct PlannedScenario {
    pub number: u32,
    pub started: ScenarioStarted,
}

/// What to run.
pub struct Selection {
    /// Features for cucumber, with a scenario for each trial; a tag of each says its number.
    pub features: Vec<Feature>,
    pub scenarios: Vec<PlannedScenario>,
    /// Names of the topologies that they are given, each once.
    pub topologies: Vec<String>,
}

/// What narrows the choice of scenarios.
#[derive(Debug, Clone, Default)]
pub struct Narrow {
    pub tags: Option<String>,
    /// Only scenarios whose name contains one of these; as `cargo test NAME` gives it.
    pub names: Vec<String>,
    pub trials: u32,
}

/// The tag that carries a scenario's number to the hook that begins it.
const NUMBER_TAG: &str = "pgquake.number:";

/// Finds, parses, checks and selects.
pub fn select(paths: &[PathBuf], narrow: &Narrow, collection: &Collection<World>) -> Result<Selection, FeatureError> {
    let expression = narrow.tags.as_deref().map(tag_expression).transpose()?;
    let mut selection = Selection { features: Vec::new(), scenarios: Vec::new(), topologies: Vec::new() };
    for (path, line) in files(paths)? {
        let source =
            std::fs::read_to_string(&path).map_err(|source| FeatureError::Io { path: path.clone(), source })?;
        let mut feature = parse(&path, &source)?;
        check(&feature, &path, &source, collection)?;
        let wanted = |scenario: &Scenario| {
            let tags: Vec<&String> = feature.tags.iter().chain(&scenario.tags).collect();
            let by_tag = expression.as_ref().is_none_or(|expression| expression.eval(&tags));
            let by_name = narrow.names.is_empty() || narrow.names.iter().any(|name| scenario.name.contains(name));
            let by_line = line.is_none_or(|line| scenario_at(&feature, line) == Some(scenario.position.line));
            by_tag && by_name && by_line
        };
        let chosen: Vec<Scenario> = feature.scenarios.iter().filter(|scenario| wanted(scenario)).cloned().collect();
        feature.scenarios = Vec::new();
        for scenario in chosen {
            let background = feature.background.iter().flat_map(|background| &background.steps);
            selection.topologies.extend(background.chain(&scenario.steps).filter_map(steps::topology_of));
            for trial in 1..=narrow.trials.max(1) {
                let number = u32::try_from(selection.scenarios.len()).unwrap_or(u32::MAX).saturating_add(1);
                let started = describe(&feature, &scenario, &path, trial, narrow.trials.max(1));
                let mut repeated = scenario.clone();
                repeated.tags.push(format!("{NUMBER_TAG}{number}"));
                feature.scenarios.push(repeated);
                selection.scenarios.push(PlannedScenario { number, started });
            }
        }
        if !feature.scenarios.is_empty() {
            selection.features.push(feature);
        }
    }
    selection.topologies.sort();
    selection.topologies.dedup();
    if selection.scenarios.is_empty() {
        let by_tags = narrow.tags.iter().map(|tags| format!("the tags `{tags}`"));
        let by_names = narrow.names.iter().map(|name| format!("the name `{name}`"));
        let narrowed: Vec<String> = by_tags.chain(by_names).collect();
        let narrowed = if narrowed.is_empty() { String::new() } else { format!(" with {}", narrowed.join(" and ")) };
        return Err(FeatureError::Nothing { narrowed });
    }
    Ok(selection)
}

/// The number that [`select`] gave to a scenario.
pub fn number_of(scenario: &Scenario) -> Option<u32> {
    scenario.tags.iter().find_map(|tag| tag.strip_prefix(NUMBER_TAG)?.parse().ok())
}

fn tag_expression(expression: &str) -> Result<TagOperation, FeatureError> {
    expression
        .parse()
        .map_err(|error| FeatureError::TagExpression { expression: expression.to_owned(), message: format!("{error}") })
}

/// The files behind the paths, each with a line if the user named one, sorted within a folder.
fn files(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Option<usize>)>, FeatureError> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let io = |source| FeatureError::Io { path: path.clone(), source };
            let mut inside = Vec::new();
            for entry in std::fs::read_dir(path).map_err(io)? {
                let file = entry.map_err(io)?.path();
                if file.extension().is_some_and(|extension| extension == "feature") {
                    inside.push((file, None));
                }
            }
            inside.sort();
            found.extend(inside);
        } else if path.is_file() {
            found.push((path.clone(), None));
        } else {
            let text = path.to_string_lossy();
            let with_line =
                text.rsplit_once(':').and_then(|(file, line)| Some((PathBuf::from(file), line.parse().ok()?)));
            match with_line {
                Some((file, line)) if file.is_file() => found.push((file, Some(line))),
                _ => return Err(FeatureError::NotFound { path: path.clone() }),
            }
        }
    }
    Ok(found)
}

/// The line of the scenario that a line of the file belongs to.
fn scenario_at(feature: &Feature, line: usize) -> Option<usize> {
    feature.scenarios.iter().map(|scenario| scenario.position.line).filter(|at| *at <= line).max()
}

fn parse(path: &Path, source: &str) -> Result<Feature, FeatureError> {
    let named = || NamedSource::new(path.display().to_string(), source.to_owned());
    let syntax = |message: String, at: SourceSpan| FeatureError::Syntax {
        file: path.display().to_string(),
        message,
        text: named(),
        at,
    };
    let feature = Feature::parse(source, GherkinEnv::default()).map_err(|error| {
        let message = error.to_string();
        let at = position(&message).map_or((0, 0).into(), |(line, column)| span(source, line, column, 1));
        syntax(message, at)
    })?;
    let expanded = feature
        .expand_examples()
        .map_err(|error| syntax(error.to_string(), span(source, error.pos.line, error.pos.col, 1)))?;
    Ok(expanded)
}

/// gherkin's error tells its position only in words: "Error at 3:5: …".
fn position(message: &str) -> Option<(usize, usize)> {
    let (line, rest) = message.strip_prefix("Error at ")?.split_once(':')?;
    let column = rest.split(':').next()?;
    Some((line.parse().ok()?, column.trim().parse().ok()?))
}

/// Where a line and a column, both counted from 1, stand in a text.
fn span(source: &str, line: usize, column: usize, length: usize) -> SourceSpan {
    let before: usize = source.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let start = (before + column.saturating_sub(1)).min(source.len());
    (start, length.min(source.len() - start)).into()
}

fn check(feature: &Feature, path: &Path, source: &str, collection: &Collection<World>) -> Result<(), FeatureError> {
    let background = feature.background.iter().flat_map(|background| &background.steps);
    let steps = background.chain(feature.scenarios.iter().flat_map(|scenario| &scenario.steps));
    for step in steps {
        if !matches!(collection.find(step), Ok(Some(_))) {
            return Err(unknown_step(step, path, source));
        }
    }
    for scenario in &feature.scenarios {
        check_tags(feature, scenario, path, source)?;
    }
    Ok(())
}

fn unknown_step(step: &Step, path: &Path, source: &str) -> FeatureError {
    let known = steps::all().filter(|known| known.keyword == step.ty).map(|known| known.expression);
    let hint = match most_alike(&step.value, known) {
        Some(meant) => format!("did you mean `{meant}`? `pgquake list steps` shows all steps"),
        None => "`pgquake list steps` shows all steps".to_owned(),
    };
    FeatureError::UnknownStep {
        file: path.display().to_string(),
        line: step.position.line,
        column: step.position.col,
        step: step.value.clone(),
        hint,
        text: NamedSource::new(path.display().to_string(), source.to_owned()),
        at: span(source, step.position.line, step.position.col, step.keyword.len() + step.value.len()),
    }
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

fn check_tags(feature: &Feature, scenario: &Scenario, path: &Path, source: &str) -> Result<(), FeatureError> {
    let wrong = |message: String, hint: String| FeatureError::Tag {
        file: path.display().to_string(),
        line: scenario.position.line,
        column: scenario.position.col,
        message,
        hint,
        text: NamedSource::new(path.display().to_string(), source.to_owned()),
        at: span(
            source,
            scenario.position.line,
            scenario.position.col,
            scenario.keyword.len() + scenario.name.len() + 2,
        ),
    };
    for tag in feature.tags.iter().chain(&scenario.tags) {
        if let Some(id) = tag.strip_prefix("claim:")
            && claims::find(id).is_none()
        {
            let known: Vec<&str> = claims::all().iter().map(|claim| claim.id.as_str()).collect();
            return Err(wrong(format!("there is no claim `{id}`"), nearest_or_list(id, &known, "claims")));
        }
        if let Some(name) = tag.strip_prefix("control:")
            && !checks::ALL.iter().any(|check| check.name == name)
        {
            let known: Vec<&str> = checks::ALL.iter().map(|check| check.name).collect();
            return Err(wrong(format!("there is no check `{name}`"), suggestion::did_you_mean(name, &known)));
        }
    }
    Ok(())
}

fn nearest_or_list(typed: &str, known: &[&str], table: &str) -> String {
    match suggestion::nearest(typed, known.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`? `pgquake list {table}` shows them"),
        None => format!("`pgquake list {table}` shows them"),
    }
}

fn describe(feature: &Feature, scenario: &Scenario, path: &Path, trial: u32, trials: u32) -> ScenarioStarted {
    let tags: Vec<String> = feature.tags.iter().chain(&scenario.tags).cloned().collect();
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
    }
}
