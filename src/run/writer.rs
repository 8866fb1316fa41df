//! What only cucumber reports: panics in hooks and steps that no step of pgquake's has recorded. Progress and
//! results come from the history, so everything else is left out.

use std::sync::{Arc, Mutex, PoisonError};

use cucumber::{
    Event, Writer, cli,
    event::{Cucumber, Feature, Hook, Rule, Scenario, Step},
    parser,
    writer::Normalized,
};

use crate::steps::{World, panic_text};

/// Failures that cucumber saw. Cheap to clone; clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Failures {
    found: Arc<Mutex<Vec<String>>>,
}

impl Failures {
    fn add(&self, failure: String) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).push(failure);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Failures are kept whatever order they come in.
impl Normalized for Failures {}

impl Writer<World> for Failures {
    type Cli = cli::Empty;

    async fn handle_event(&mut self, event: parser::Result<Event<Cucumber<World>>>, _cli: &Self::Cli) {
        let event = match event {
            Ok(event) => event.into_inner(),
            Err(error) => return self.add(error.to_string()),
        };
        let Cucumber::Feature(
            _,
            Feature::Scenario(scenario, event) | Feature::Rule(_, Rule::Scenario(scenario, event)),
        ) = event
        else {
            return;
        };
        match event.event {
            Scenario::Hook(which, Hook::Failed(_, why)) => {
                self.add(format!("{}: the {which} hook panicked: {}", scenario.name, panic_text(&*why)));
            }
            Scenario::Step(step, Step::Skipped) => {
                self.add(format!("{}: the step `{}` is unknown", scenario.name, step.value));
            }
            _ => {}
        }
    }
}
