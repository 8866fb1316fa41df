//! Reading the words of a step.

use std::{collections::BTreeMap, time::Duration};

use cucumber::gherkin::StepType;

use super::{StepDefinition, Words};
use crate::{
    faults::Target,
    history::event::{Bound, Expectation},
    quantity,
};

/// A step's words can't be read.
#[derive(Debug, thiserror::Error)]
pub enum WordError {
    #[error("the step has no value at place {0}")]
    Missing(usize),
    #[error("`{0}` is no whole number that fits")]
    Number(String),
    #[error("`{0}` is no duration: write it as 500 ms, 30 s or 2 min")]
    Duration(String),
    #[error("`{0}` is no size: write it as 64 kB or 1 MB")]
    Size(String),
    #[error("a row of the step's table needs a name and a value")]
    Table,
}

impl Words {
    pub(super) fn text(&self, place: usize) -> Result<&str, WordError> {
        self.values.get(place).map(String::as_str).ok_or(WordError::Missing(place))
    }

    pub(super) fn number(&self, place: usize) -> Result<u32, WordError> {
        let text = self.text(place)?;
        text.parse().map_err(|_| WordError::Number(text.to_owned()))
    }

    pub(super) fn target(&self, place: usize) -> Result<Target, WordError> {
        Ok(Target::parse(self.text(place)?))
    }

    pub(super) fn duration(&self, place: usize) -> Result<Duration, WordError> {
        let text = self.text(place)?;
        quantity::duration(text).ok_or_else(|| WordError::Duration(text.to_owned()))
    }

    pub(super) fn bytes(&self, place: usize) -> Result<u64, WordError> {
        let text = self.text(place)?;
        quantity::bytes(text).ok_or_else(|| WordError::Size(text.to_owned()))
    }

    pub(super) fn milliseconds(&self, place: usize) -> Result<f64, WordError> {
        Ok(self.duration(place)?.as_secs_f64() * 1000.0)
    }

    /// Parameters of a fault, from the places of the step's words.
    pub(super) fn named(&self, places: &[(&str, usize)]) -> Result<BTreeMap<String, String>, WordError> {
        places.iter().map(|(name, place)| Ok(((*name).to_owned(), self.text(*place)?.to_owned()))).collect()
    }

    /// The rows of the step's table, as names and values.
    pub(super) fn table(&self) -> Result<BTreeMap<String, String>, WordError> {
        let Some(table) = &self.step.table else { return Ok(BTreeMap::new()) };
        let pair = |row: &Vec<String>| match row.as_slice() {
            [name, value] => Ok((name.clone(), value.clone())),
            _ => Err(WordError::Table),
        };
        table.rows.iter().map(pair).collect()
    }

    /// The rows of the step's table, with what its words say of the fault's parameters.
    pub(super) fn parameters(&self, said: &[(&str, &str)]) -> Result<BTreeMap<String, String>, WordError> {
        let mut parameters = self.table()?;
        parameters.extend(said.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Ok(parameters)
    }

    /// What this step expects of a measure of a check.
    pub(super) fn expectation(&self, check: &str, measure: &str, bound: Bound) -> Expectation {
        Expectation {
            check: check.to_owned(),
            measure: measure.to_owned(),
            bound,
            text: self.step.value.clone(),
            line: self.step.position.line,
        }
    }
}

/// A row of a table of steps.
pub(super) const fn step(
    keyword: StepType,
    expression: &'static str,
    help: &'static str,
    run: super::RunStep,
) -> StepDefinition {
    StepDefinition { keyword, expression, help, run }
}
