//! The format as a JSON Schema, for editors.

use schemars::schema_for;

use super::Topology;

/// The JSON Schema of a topology file, indented, with a newline at its end. Editors that know YAML find it by the
/// first line of a topology: `# yaml-language-server: $schema=topology.schema.json`.
pub fn schema() -> String {
    let mut text = format!("{:#}", schema_for!(Topology).as_value());
    text.push('\n');
    text
}
