//! `list`: what there is, from the tables in the code.

use clap::ValueEnum;
use miette::MietteDiagnostic;

use super::{Exit, exit::Failure, print};
use crate::{
    checks::{self, Over},
    claims, faults,
    history::event::Worst,
    observers, services, steps, topology,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Table {
    Faults,
    Checks,
    Services,
    Observers,
    Topologies,
    Steps,
    Claims,
}

/// `markdown`: as a page of the documentation, which only the faults have.
pub(super) fn list(table: Table, markdown: bool) -> Result<Exit, Failure> {
    match (markdown, table) {
        (false, _) => {}
        (true, Table::Faults) => {
            print(faults::markdown().trim_end());
            return Ok(Exit::Pass);
        }
        (true, _) => return Err(Failure::usage(MietteDiagnostic::new("only `list faults` has --markdown"))),
    }
    for (name, text) in rows(table) {
        print(&format!("{name}\n    {}\n", text.replace('\n', "\n    ")));
    }
    Ok(Exit::Pass)
}

fn rows(table: Table) -> Vec<(String, String)> {
    match table {
        Table::Faults => faults::ALL.iter().map(fault).collect(),
        Table::Checks => checks::ALL.iter().map(check).collect(),
        Table::Services => {
            services::ALL.iter().map(|row| (row.kind.name().to_owned(), row.summary.to_owned())).collect()
        }
        Table::Observers => observers::ALL.iter().map(|row| (row.name.to_owned(), row.watches.to_owned())).collect(),
        Table::Topologies => topology::known(&super::topology_folders()).into_iter().map(known_topology).collect(),
        Table::Steps => steps::all()
            .map(|step| (format!("{} {}", step.keyword_text(), step.expression), step.help.to_owned()))
            .chain(Worst::ALL.map(|worst| (format!("… {}", worst.words()), worst.help().to_owned())))
            .collect(),
        Table::Claims => claims::all().iter().map(claim).collect(),
    }
}

/// A topology that can't be loaded is listed with the reason.
fn known_topology(row: topology::Summary) -> (String, String) {
    (row.name, row.description.unwrap_or_else(|error| error.to_string()))
}

fn fault(row: &faults::FaultKind) -> (String, String) {
    let mut text = format!("{}\nconfirmed by: {}\nlimits: {}", row.effect, row.confirmed_by, row.limits);
    for parameter in row.parameters {
        let default = match (parameter.default, parameter.optional) {
            (Some(default), _) => format!("; default: {default}"),
            (None, true) => "; optional".to_owned(),
            (None, false) => String::new(),
        };
        let takes = parameter.takes.words();
        text.push_str(&format!("\nparameter {} ({takes}{default}): {}", parameter.name, parameter.meaning));
    }
    (row.name.to_owned(), text)
}

fn check(row: &checks::Check) -> (String, String) {
    let over = match row.over {
        Over::Scenario => "",
        Over::Lineage => ", for each cluster with those that follow it",
        Over::Cluster => ", for each cluster",
    };
    let measures = row.measures.join(", ");
    (row.name.to_owned(), format!("{}\nmeasures: {measures}\nruns for every scenario{over}", row.question))
}

fn claim(row: &claims::Claim) -> (String, String) {
    let target = row.target.as_ref().map_or("no check decides it yet".to_owned(), |target| {
        format!(
            "decided by {}, {}: {}",
            target.check,
            target.measure,
            crate::report::bound_in_words(&target.measure, target.bound)
        )
    });
    (format!("{} ({})", row.id, row.documents.join(", ")), format!("{}\n{target}", row.claim))
}
