//! The table of a matrix: one scenario in every combination of versions, the versions of the first program down, what the others
//! are across.

use super::{overview, scenario::ScenarioBlock};

/// One scenario over versions.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixTable {
    /// The scenario's name without its versions.
    pub name: String,
    /// Where it stands, as `file:line`: two features may call theirs alike.
    pub place: String,
    /// `postgresql`: what the rows are versions of.
    pub program: String,
    /// `patroni 4.0`; of one program alone: `verdict`.
    pub columns: Vec<String>,
    /// The version of each row, with a cell for each column; `None`: not run.
    pub rows: Vec<(String, Vec<Option<Cell>>)>,
}

/// What one combination came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Where its section is.
    pub id: String,
    pub outcome: &'static str,
    /// What was measured and decides, with its name.
    pub figure: String,
}

/// The tables of all scenarios that a matrix ran, in the order of the scenarios.
pub(super) fn tables(blocks: &[ScenarioBlock]) -> Vec<MatrixTable> {
    let mut tables: Vec<MatrixTable> = Vec::new();
    for block in blocks {
        let mut versions = in_order(block).into_iter();
        let Some((program, version)) = versions.next() else { continue };
        let others: Vec<String> = versions.map(|(program, version)| format!("{program} {version}")).collect();
        let column = if others.is_empty() { "verdict".to_owned() } else { others.join(", ") };
        let name = without_versions(&block.name).to_owned();
        let line = overview::line(block);
        let cell = Cell { id: line.id, outcome: line.outcome, figure: line.figure };
        let known = tables
            .iter()
            .position(|table| (&table.place, &table.name, &table.program) == (&block.place, &name, &program));
        let at = known.unwrap_or_else(|| {
            let place = block.place.clone();
            tables.push(MatrixTable { name, place, program, columns: Vec::new(), rows: Vec::new() });
            tables.len() - 1
        });
        if let Some(table) = tables.get_mut(at) {
            table.put(version, column, cell);
        }
    }
    tables
}

impl MatrixTable {
    fn put(&mut self, version: String, column: String, cell: Cell) {
        let across = self.columns.iter().position(|known| *known == column).unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        });
        let down = self.rows.iter().position(|(known, _)| *known == version).unwrap_or_else(|| {
            self.rows.push((version, Vec::new()));
            self.rows.len() - 1
        });
        let width = self.columns.len();
        self.rows.iter_mut().for_each(|(_, cells)| cells.resize(width, None));
        if let Some(place) = self.rows.get_mut(down).and_then(|(_, cells)| cells.get_mut(across)) {
            *place = Some(cell);
        }
    }
}

/// The versions in the order in which the matrix named its programs, which is that of the scenario's name.
fn in_order(block: &ScenarioBlock) -> Vec<(String, String)> {
    let mut versions: Vec<(String, String)> = block.versions.clone().into_iter().collect();
    let end = &block.name[without_versions(&block.name).len()..];
    versions.sort_by_key(|(program, version)| end.find(&format!("{program} {version}")));
    versions
}

/// The name of a scenario of a matrix without the versions in brackets at its end.
fn without_versions(name: &str) -> &str {
    name.rfind(" [").filter(|_| name.ends_with(']')).map_or(name, |at| &name[..at])
}
