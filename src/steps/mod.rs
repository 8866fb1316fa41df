//! Gherkin steps. One file for each keyword, and for `When` one for each plane of faults; one row a step in its table. A
//! step reads its words and calls the drill.
//!
//! Architecture invariant: steps hold no logic of their own, and nothing but a run uses them.

mod given;
mod then;
mod when;
mod words;

use std::{collections::HashMap, sync::LazyLock};

use cucumber::{
    gherkin::{self, StepType},
    step::{Collection, Context},
};
use cucumber_expressions::Expression;
use futures::future::LocalBoxFuture;

pub use words::WordError;

use crate::{
    drill::{Drill, DrillError},
    history::Occurrence,
};

/// The state of a scenario: its drill. `pgquake` puts the drill in before the first step.
#[derive(Default, cucumber::World)]
pub struct World {
    drill: Option<Drill>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("drill", &self.drill.is_some()).finish()
    }
}

impl World {
    /// The drill under way, for steps of one's own.
    pub fn drill(&mut self) -> Result<&mut Drill, StepError> {
        self.drill.as_mut().ok_or(StepError::OutsideRun)
    }

    pub(crate) fn begin(&mut self, drill: Drill) {
        self.drill = Some(drill);
    }
}

/// A step failed.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("this step runs only within a run of pgquake")]
    OutsideRun,
    #[error(transparent)]
    Drill(#[from] DrillError),
    #[error(transparent)]
    Words(#[from] WordError),
}

/// What pgquake's own steps panic with: their failure is in the history already.
pub(crate) struct Recorded;

/// One row of the table of steps.
pub struct StepDefinition {
    pub keyword: StepType,
    /// A Cucumber expression. Beside Cucumber's own there are `{target}`, `{process}`, `{duration}`,
    /// `{size}`, `{volume}` and `{phase}`.
    pub expression: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    run: RunStep,
}

type RunStep = for<'a> fn(&'a mut Drill, Words) -> LocalBoxFuture<'a, Result<(), StepError>>;

/// What a step's text says at its parameters, in their order, with the step itself.
pub(crate) struct Words {
    values: Vec<String>,
    step: gherkin::Step,
}

/// Parameters of pgquake's own: name and regular expression.
static PARAMETERS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    vec![
        ("target", crate::faults::Target::pattern()),
        ("process", crate::faults::Process::pattern()),
        ("duration", r"\d+(?:\.\d+)? ?(?:ms|s|min)".to_owned()),
        ("size", r"\d+(?:\.\d+)? ?(?:B|kB|MB|GB)".to_owned()),
        ("volume", "data|WAL|DCS".to_owned()),
        ("phase", "detect|elect|promote|route|first write|restart".to_owned()),
    ]
});

/// Every step, in the order of the keywords.
pub fn all() -> impl Iterator<Item = &'static StepDefinition> {
    given::ALL.iter().chain(when::TABLES.iter().copied().flatten()).chain(then::ALL)
}

/// The topology that a step names, if it names one.
pub(crate) fn topology_of(step: &gherkin::Step) -> Option<String> {
    let definition = find(step).filter(|definition| definition.expression == given::TOPOLOGY)?;
    let captured = definition.regex().ok()?.captures(&step.value)?;
    captured.iter().skip(1).flatten().map(|group| group.as_str().to_owned()).find(|name| !name.is_empty())
}

/// Adds pgquake's steps to those of a user's own.
pub(crate) fn add_to(collection: Collection<World>) -> Result<Collection<World>, String> {
    all().try_fold(collection, |collection, definition| {
        let regex = definition.regex()?;
        Ok(match definition.keyword {
            StepType::Given => collection.given(None, regex, dispatch),
            StepType::When => collection.when(None, regex, dispatch),
            StepType::Then => collection.then(None, regex, dispatch),
        })
    })
}

impl StepDefinition {
    fn regex(&self) -> Result<regex::Regex, String> {
        let parameters: HashMap<&str, &str> =
            PARAMETERS.iter().map(|(name, pattern)| (*name, pattern.as_str())).collect();
        Expression::regex_with_parameters(self.expression, &parameters).map_err(|error| error.to_string())
    }

    /// How the step begins in a feature file.
    pub fn keyword_text(&self) -> &'static str {
        match self.keyword {
            StepType::Given => "Given",
            StepType::When => "When",
            StepType::Then => "Then",
        }
    }
}

/// The function that cucumber calls for each of pgquake's steps: finds the row again and runs it.
///
/// cucumber takes a panic for a failed step and goes on with the scenario's end; there is no other way to tell it.
fn dispatch<'a>(world: &'a mut World, context: Context) -> LocalBoxFuture<'a, ()> {
    Box::pin(async move {
        let line = context.step.position.line;
        let text = format!("{}{}", context.step.keyword, context.step.value);
        let outcome = match find(&context.step) {
            Some(definition) => {
                let words = Words { values: values(&context), step: context.step };
                match world.drill() {
                    Ok(drill) => {
                        drill.recorder().record(Occurrence::StepStarted { text: text.clone(), line });
                        (definition.run)(drill, words).await
                    }
                    Err(error) => Err(error),
                }
            }
            None => Err(StepError::OutsideRun),
        };
        if let Err(error) = outcome {
            if let Ok(drill) = world.drill() {
                drill.recorder().record(Occurrence::StepFailed { text, line, message: error.to_string() });
            }
            std::panic::panic_any(Recorded);
        }
    })
}

fn find(step: &gherkin::Step) -> Option<&'static StepDefinition> {
    all().find(|definition| {
        definition.keyword == step.ty && definition.regex().is_ok_and(|regex| regex.is_match(&step.value))
    })
}

/// The values of the parameters. A parameter with several groups (a string in one kind of quotes or the other)
/// has groups named `__0_0`, `__0_1`, of which one is filled.
fn values(context: &Context) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut last_parameter: Option<&str> = None;
    for (name, value) in context.matches.iter().skip(1) {
        let parameter = name.as_deref().and_then(|name| name.rsplit_once('_')).map(|(parameter, _)| parameter);
        match values.last_mut() {
            Some(last) if parameter.is_some() && parameter == last_parameter => last.push_str(value),
            _ => values.push(value.clone()),
        }
        last_parameter = parameter;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_the_table_compiles_and_matches_no_other_steps_example() {
        let collection = add_to(Collection::new()).unwrap();
        for definition in all() {
            let example = definition
                .expression
                .replace("is/are", "is")
                .replace("{string}", "\"x\"")
                .replace("{int}", "3")
                .replace("{target}", "the primary")
                .replace("{process}", "PostgreSQL")
                .replace("{duration}", "30 s")
                .replace("{size}", "1 MB")
                .replace("{volume}", "WAL")
                .replace("{phase}", "detect")
                .replace("(s)", "s");
            let step = gherkin::Step {
                keyword: definition.keyword_text().to_owned(),
                ty: definition.keyword,
                value: example.clone(),
                docstring: None,
                table: None,
                span: gherkin::Span { start: 0, end: 0 },
                position: gherkin::LineCol { line: 1, col: 1 },
            };
            assert!(matches!(collection.find(&step), Ok(Some(_))), "{example}");
            assert_eq!(find(&step).map(|found| found.expression), Some(definition.expression));
        }
    }
}
