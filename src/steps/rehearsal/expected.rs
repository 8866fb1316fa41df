//! What a scenario asks of an application, and what it expects.

use std::collections::BTreeMap;

use cucumber::gherkin::Step;

use super::{At, Walk};
use crate::{
    history::event::{Bound, Expectation},
    suggestion::did_you_mean,
};

impl Walk<'_> {
    /// An application writes beside the load; a mistake in its table is shown in its row.
    pub(super) fn application(&mut self, step: &Step, name: &str, settings: BTreeMap<String, String>) {
        let before = self.wrong.len();
        self.set(|setup| setup.set_application(name, &settings));
        let rows = step.table.iter().flat_map(|table| table.rows.iter().enumerate());
        let rows: Vec<(usize, &Vec<String>)> = rows.collect();
        for wrong in &mut self.wrong[before..] {
            let At::Quoted { text, .. } = &wrong.at else { continue };
            let found = rows.iter().find_map(|(row, cells)| Some((*row, cells.iter().rposition(|cell| cell == text)?)));
            if let Some((row, column)) = found {
                wrong.at = At::Cell { row, column };
            }
        }
    }

    pub(super) fn expect(&mut self, expectation: Expectation) {
        if let Bound::Between(least, most) = expectation.bound {
            self.in_order(least, most);
        }
        if let Some(of) = expectation.of.as_deref().filter(|_| !self.lost && !self.own_steps)
            && let Ok(topology) = self.setup.topology()
        {
            let known: Vec<String> = topology.applications.iter().map(|own| own.name.clone()).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            if !known.contains(&of) {
                let at = At::Quoted { text: of.to_owned(), last: false };
                self.add(at, format!("no application is called `{of}`"), Some(did_you_mean(of, &known)));
            }
        }
        self.expectations.push(expectation);
    }

    pub(super) fn in_order<T: PartialOrd>(&mut self, least: T, most: T) {
        if least > most {
            self.add_here("the lower bound is above the upper one");
        }
    }
}
