//! Reading the words of a step.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use cucumber::gherkin::{Step, StepType};

use super::{Intent, StepDefinition, intent::FaultOrder};
use crate::{
    faults::Target,
    history::event::{Bound, Expectation, Worst},
    quantity,
};

/// A step's words can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// A value is missing, at this place counted from 0.
    #[error("the step has no value at place {0}")]
    Missing(usize),
    /// A word is no whole number, or one that is too large.
    #[error("`{0}` is no whole number that fits")]
    Number(String),
    /// A word is no duration.
    #[error("`{0}` is no duration: write it as 500 ms, 30 s or 2 min")]
    Duration(String),
    /// A duration is longer than a day.
    #[error("`{0}` is longer than a day: no drill waits for that")]
    TooLong(String),
    /// A word is no size.
    #[error("`{0}` is no size: write it as 64 kB or 1 MB")]
    Size(String),
    /// A row of the step's table has another number of cells than two.
    #[error("a row of the step's table needs a name and a value")]
    Table {
        /// Counted from 0.
        row: usize,
    },
    /// Two rows of the step's table have one name.
    #[error("the step's table names `{name}` twice")]
    Twice {
        /// The name.
        name: String,
        /// The second of the two rows, counted from 0.
        row: usize,
    },
    /// A row of the step's table gives what the step's text gives too.
    #[error("the step's text says `{name}` already")]
    Said {
        /// The name.
        name: String,
        /// Counted from 0.
        row: usize,
    },
    /// The step has a table that it can't take.
    #[error("this step takes no table")]
    NeedlessTable,
    /// Words behind the step say in which circumstances its fault is to come, and it has none.
    #[error("only a fault can come `{0}`, and this step injects none, or several times")]
    NoFault(&'static str),
    /// The step has a text that it can't take.
    #[error("this step takes no text below it")]
    NeedlessText,
}

/// What a step's text says at its parameters, in their order, with the step itself.
pub(crate) struct Words<'a> {
    values: Vec<String>,
    step: &'a Step,
    /// Whether the step's definition has asked for the table: what nobody reads must not stand there.
    table_is_read: Cell<bool>,
}

impl<'a> Words<'a> {
    pub(super) fn new(values: Vec<String>, step: &'a Step) -> Self {
        Self { values, step, table_is_read: Cell::new(false) }
    }

    /// What the step asks for by its definition, if all that stands there was understood.
    pub(super) fn read(&self, definition: &StepDefinition) -> Result<Intent, WordError> {
        let intent = self.at_worst((definition.read)(self)?)?;
        if self.step.table.is_some() && !self.table_is_read.get() {
            return Err(WordError::NeedlessTable);
        }
        if self.step.docstring.is_some() {
            return Err(WordError::NeedlessText);
        }
        Ok(intent)
    }

    /// The same in the circumstances that stand at the end of the step.
    fn at_worst(&self, intent: Intent) -> Result<Intent, WordError> {
        let worst = match self.step.ty {
            StepType::When => Worst::at_the_end_of(&self.step.value),
            StepType::Given | StepType::Then => BTreeSet::new(),
        };
        match (intent, worst.first()) {
            (Intent::Inject(order), _) => Ok(Intent::Inject(FaultOrder { worst, ..order })),
            (_, Some(first)) => Err(WordError::NoFault(first.words())),
            (intent, None) => Ok(intent),
        }
    }

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
        match quantity::duration(text) {
            Some(duration) if duration <= quantity::LONGEST => Ok(duration),
            Some(_) => Err(WordError::TooLong(text.to_owned())),
            None => Err(WordError::Duration(text.to_owned())),
        }
    }

    pub(super) fn bytes(&self, place: usize) -> Result<u64, WordError> {
        let text = self.text(place)?;
        quantity::bytes(text).ok_or_else(|| WordError::Size(text.to_owned()))
    }

    pub(super) fn milliseconds(&self, place: usize) -> Result<f64, WordError> {
        Ok(self.duration(place)?.as_secs_f64() * 1000.0)
    }

    /// The rows of the step's table, as names and values.
    pub(super) fn table(&self) -> Result<BTreeMap<String, String>, WordError> {
        self.table_is_read.set(true);
        let mut read = BTreeMap::new();
        for (row, cells) in self.step.table.iter().flat_map(|table| &table.rows).enumerate() {
            let [name, value] = cells.as_slice() else { return Err(WordError::Table { row }) };
            if read.insert(name.clone(), value.clone()).is_some() {
                return Err(WordError::Twice { name: name.clone(), row });
            }
        }
        Ok(read)
    }

    /// A fault at the hosts that stand at a place. `said` are the parameters that the step's text gives; the step's
    /// table gives the others.
    pub(super) fn fault(&self, name: &str, target: usize, said: &[(&str, &str)]) -> Result<Intent, WordError> {
        self.fault_on(name, self.target(target)?, said)
    }

    /// A fault at a target that the step's text implies.
    pub(super) fn fault_on(&self, name: &str, target: Target, said: &[(&str, &str)]) -> Result<Intent, WordError> {
        Ok(Intent::Inject(self.order(name, target, said)?))
    }

    pub(super) fn order(&self, name: &str, target: Target, said: &[(&str, &str)]) -> Result<FaultOrder, WordError> {
        let mut parameters = self.table()?;
        for (name, value) in said {
            if parameters.insert((*name).to_owned(), (*value).to_owned()).is_some() {
                return Err(WordError::Said { name: (*name).to_owned(), row: self.row_of(name).unwrap_or_default() });
            }
        }
        Ok(FaultOrder { fault: name.to_owned(), target, parameters, worst: BTreeSet::new() })
    }

    /// What this step expects of a measure of a check.
    pub(super) fn expect(&self, check: &str, measure: &str, bound: Bound) -> Result<Intent, WordError> {
        self.expect_of(None, check, measure, bound)
    }

    /// What this step expects of a measure of a check, of the one of several that it names.
    pub(super) fn expect_of(
        &self,
        of: Option<&str>,
        check: &str,
        measure: &str,
        bound: Bound,
    ) -> Result<Intent, WordError> {
        Ok(Intent::Expect(Expectation {
            of: of.map(str::to_owned),
            check: check.to_owned(),
            measure: measure.to_owned(),
            bound,
            text: self.step.value.clone(),
            line: self.step.position.line,
        }))
    }

    /// The row of the step's table that begins with this name, counted from 0.
    pub(super) fn row_of(&self, name: &str) -> Option<usize> {
        self.step.table.as_ref()?.rows.iter().position(|row| row.first().is_some_and(|first| first == name))
    }
}

/// A row of a table of steps.
pub(super) const fn step(
    keyword: StepType,
    expression: &'static str,
    help: &'static str,
    read: super::ReadStep,
) -> StepDefinition {
    StepDefinition { keyword, expression, help, read }
}
