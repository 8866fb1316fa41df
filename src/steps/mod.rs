//! Gherkin steps, and the [`World`] that they act on.
//!
//! One file for each keyword, and for `When` one for each plane of faults; one row a step in its table. A step makes an
//! `Intent` of its words; the walk before the start checks it, and the run has the drill carry it out.
//!
//! Architecture invariant: steps hold no logic of their own, and nothing but a run uses them.

mod given;
mod intent;
mod rehearsal;
mod then;
mod when;
mod words;

use std::{collections::HashMap, panic::AssertUnwindSafe, sync::LazyLock};

use cucumber::{
    gherkin::{self, StepType},
    step::{Collection, Context},
};
use cucumber_expressions::Expression;
use futures::{FutureExt as _, future::LocalBoxFuture};

pub(crate) use intent::Intent;
pub(crate) use rehearsal::{At, Rehearsed, Wrong, rehearse};
pub use words::WordError;
pub(crate) use words::Words;

use crate::{
    checks::course::phases::PHASES,
    drill::{Drill, DrillError},
    history::{Occurrence, event::Worst},
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
    /// No drill is under way: something else than [`Harness`](crate::Harness) runs the scenario.
    #[error("this step runs only within a run of pgquake")]
    OutsideRun,
    /// A step of pgquake's own panicked.
    #[error("the step panicked, which is a mistake in pgquake: {0}")]
    Panicked(String),
    /// The drill could not go on.
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// The step's words can't be read.
    #[error(transparent)]
    Words(#[from] WordError),
}

/// What pgquake's own steps panic with: their failure is in the history already.
pub(crate) struct Recorded;

/// One row of the table of steps.
#[doc(hidden)]
pub struct StepDefinition {
    pub keyword: StepType,
    /// A Cucumber expression. Beside Cucumber's own there are `{target}`, `{process}`, `{duration}`,
    /// `{size}`, `{volume}` and `{phase}`.
    pub expression: &'static str,
    /// What it does, in a sentence.
    pub help: &'static str,
    read: ReadStep,
}

/// Makes of a step's words what the step asks for.
type ReadStep = fn(&Words<'_>) -> Result<Intent, WordError>;

/// Parameters of pgquake's own: name and regular expression.
static PARAMETERS: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
    vec![
        ("target", crate::faults::Target::pattern()),
        ("process", crate::faults::Process::pattern()),
        ("duration", r"\d+(?:\.\d+)? ?(?:ms|s|min)".to_owned()),
        ("size", r"\d+(?:\.\d+)? ?(?:B|kB|MB|GB)".to_owned()),
        ("volume", "data|WAL|DCS".to_owned()),
        ("phase", PHASES.iter().map(|phase| phase.name).collect::<Vec<_>>().join("|")),
    ]
});

/// Every step, in the order of the keywords.
#[doc(hidden)]
pub fn all() -> impl Iterator<Item = &'static StepDefinition> {
    given::ALL.iter().chain(when::TABLES.iter().copied().flatten()).chain(then::TABLES.iter().copied().flatten())
}

/// Every row with the regular expression of its text.
static COMPILED: LazyLock<Vec<(regex::Regex, &StepDefinition)>> =
    LazyLock::new(|| all().filter_map(|definition| Some((definition.regex().ok()?, definition))).collect());

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
    /// What its text must match. Behind a `When` may stand in which circumstances its fault is to come.
    fn regex(&self) -> Result<regex::Regex, String> {
        let parameters: HashMap<&str, &str> =
            PARAMETERS.iter().map(|(name, pattern)| (*name, pattern.as_str())).collect();
        let circumstances = Worst::ALL.map(|worst| format!("( {})", worst.words())).concat();
        let expression = match self.keyword {
            StepType::When => format!("{}{circumstances}", self.expression),
            StepType::Given | StepType::Then => self.expression.to_owned(),
        };
        Expression::regex_with_parameters(&expression, &parameters).map_err(|error| error.to_string())
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

/// The function that cucumber calls for each of pgquake's steps: finds the row again and has it carried out.
///
/// cucumber takes a panic for a failed step and goes on with the scenario's end; there is no other way to report a failure.
/// A panic that a step of pgquake's own did not mean says nothing of the system under test: it is recorded as a step that
/// could not be carried out, and not as one of the user's that failed.
fn dispatch<'a>(world: &'a mut World, context: Context) -> LocalBoxFuture<'a, ()> {
    Box::pin(async move {
        let line = context.step.position.line;
        let text = format!("{}{}", context.step.keyword, context.step.value);
        let outcome = match world.drill() {
            Ok(drill) => {
                drill.recorder().record(Occurrence::StepStarted { text: text.clone(), line });
                let carried_out = async { read(&context.step).ok_or(StepError::OutsideRun)??.carry_out(drill).await };
                let panicked = |why: Box<dyn std::any::Any + Send>| StepError::Panicked(panic_text(&*why));
                AssertUnwindSafe(carried_out).catch_unwind().await.unwrap_or_else(|why| Err(panicked(why)))
            }
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            if let Ok(drill) = world.drill() {
                drill.recorder().record(Occurrence::StepFailed { text, line, message: error.to_string() });
            }
            std::panic::panic_any(Recorded);
        }
    })
}

/// What a panic said, if it said it in words.
pub(crate) fn panic_text(why: &(dyn std::any::Any + Send)) -> String {
    let text = why.downcast_ref::<String>().cloned();
    text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

/// What one of pgquake's own steps asks for; `None`: the step is none of them.
pub(crate) fn read(step: &gherkin::Step) -> Option<Result<Intent, WordError>> {
    let (regex, definition) =
        COMPILED.iter().find(|(regex, known)| known.keyword == step.ty && regex.is_match(&step.value))?;
    Some(Words::new(values(regex, &step.value), step).read(definition))
}

/// The values of the parameters. A parameter with several groups (a string in one kind of quotes or the other)
/// has groups named `__0_0`, `__0_1`, of which one is filled.
fn values(regex: &regex::Regex, text: &str) -> Vec<String> {
    let Some(captures) = regex.captures(text) else { return Vec::new() };
    let mut values: Vec<String> = Vec::new();
    let mut last_parameter: Option<&str> = None;
    for (name, group) in regex.capture_names().zip(captures.iter()).skip(1) {
        let value = group.map_or("", |group| group.as_str());
        let parameter = name.and_then(|name| name.rsplit_once('_')).map(|(parameter, _)| parameter);
        match values.last_mut() {
            Some(last) if parameter.is_some() && parameter == last_parameter => last.push_str(value),
            _ => values.push(value.to_owned()),
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
                .replace("(s)", "s")
                .replace(r"\(", "(")
                .replace(r"\)", ")");
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
            let found =
                COMPILED.iter().filter(|(regex, known)| known.keyword == step.ty && regex.is_match(&step.value));
            let found: Vec<&str> = found.map(|(_, known)| known.expression).collect();
            assert_eq!(found, [definition.expression]);
            let told = read(&step).unwrap();
            assert!(told.is_ok() || example.contains("\"x\""), "{example}: {told:?}");
            if definition.keyword == StepType::When {
                let worst = gherkin::Step { value: format!("{example} just after the lease was refreshed"), ..step };
                let told = read(&worst).unwrap();
                let is_fault = matches!(&told, Ok(Intent::Inject(order)) if order.worst.len() == 1);
                assert!(is_fault || told.is_err(), "{example}: {told:?}");
            }
        }
    }
}
