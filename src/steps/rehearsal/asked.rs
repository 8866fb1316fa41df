//! What a scenario asks of the load and of applications, and what it expects.

use std::collections::BTreeMap;

use cucumber::gherkin::Step;

use super::{At, Walk, Wrong};
use crate::{
    history::event::{Bound, Expectation},
    suggestion::did_you_mean,
    topology::Application,
    workload::LoadSpec,
};

/// More rows a second no client gets written one after the other.
const MOST_ROWS_PER_S: u32 = 10_000;
/// More WAL beside a row is no load of rows any more: it is the size of a file.
const MOST_WAL_OF_A_ROW_BYTES: u64 = 16 << 20;
/// The most rows that a write changes beside its own.
const MOST_UPDATED_ROWS: u32 = 1_000;

impl Walk<'_> {
    /// A load that can prove something, and that its clients can write.
    pub(super) fn is_a_load(&mut self, load: &LoadSpec) {
        if load.writers == 0 || load.rate_per_s == 0 {
            self.add_here("a load without writes proves nothing: both numbers must be at least 1");
        } else if load.rate_per_s > MOST_ROWS_PER_S {
            let help = format!("at most {MOST_ROWS_PER_S}; take more clients");
            self.add(At::Step, "no client can write that many rows, one after the other", Some(help));
        } else if load.more_wal_bytes > MOST_WAL_OF_A_ROW_BYTES {
            let help = format!("at most {MOST_WAL_OF_A_ROW_BYTES} bytes; take more rows");
            self.add(At::Step, "no row comes with that much WAL", Some(help));
        } else if load.updated_rows > MOST_UPDATED_ROWS {
            let help = format!("at most {MOST_UPDATED_ROWS}; take more clients");
            self.add(At::Step, "no write changes that many rows", Some(help));
        }
    }

    /// An application writes beside the load; a mistake in its table is shown in its row.
    pub(super) fn application(&mut self, step: &Step, name: &str, settings: BTreeMap<String, String>) {
        let before = self.wrong.len();
        self.set(|setup| setup.set_application(name, &settings));
        if self.wrong.len() > before {
            self.refused.push(step.value.clone());
        }
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

    /// Each client has a session of its own, and PostgreSQL keeps three for superusers. A pooler takes more clients.
    pub(super) fn clients_get_in(&mut self) {
        // Without a step that chooses it, the load is as the run says.
        let (step, writers) = self.load.unwrap_or((self.last_setting, 0));
        let Some(topology) = self.setup.topology().ok().filter(|_| !self.own_steps) else { return };
        let most = topology.max_connections().saturating_sub(3);
        let is_pooled = |own: &&Application| topology.endpoints.find(&own.endpoint).is_some_and(|place| place.pooled);
        let direct = topology.applications.iter().filter(|own| !is_pooled(own));
        let of_applications = direct.fold(0, |sum: u32, own| sum.saturating_add(own.clients));
        let clients = writers.saturating_add(of_applications);
        if clients > most {
            let whose =
                if of_applications > 0 { format!(" ({of_applications} of applications)") } else { String::new() };
            let message = format!("PostgreSQL takes {most} clients, and not {clients}{whose}");
            let help = "take fewer clients with more rows each, or raise max_connections".to_owned();
            self.wrong.push(Wrong { step, at: At::Step, message, help: Some(help), topology: None });
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
            // What was wrong with it is said already.
            let is_refused = self.refused.iter().any(|text| text.contains(&format!("application \"{of}\" with")));
            if !known.contains(&of) && !is_refused {
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
