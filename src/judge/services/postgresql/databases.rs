//! Further databases of a cluster, each with a ledger of its own, and their extensions.

use std::{collections::BTreeMap, fmt::Write};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MAJOR_VERSION, is_plain, server::ledger};
use crate::{
    credentials::{CLIENT_ROLE, DATABASE, VECTOR_DIMENSIONS, VECTOR_INDEX, VECTOR_TABLE},
    services::{Broken, Settings},
};

/// A further database, beside `postgres`, which has the ledger of all clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DatabaseSettings {
    /// The extensions that it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// Whether its tables are unlogged: PostgreSQL writes no WAL for them, so no standby has their rows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unlogged: bool,
}

/// An extension of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extension {
    /// pgvector: a table of vectors with an HNSW index, which the load writes as well.
    Vector,
}

impl Extension {
    /// Its name in topologies and in `CREATE EXTENSION`.
    pub fn name(self) -> &'static str {
        match self {
            Extension::Vector => "vector",
        }
    }
}

impl DatabaseSettings {
    /// Whether it has this extension.
    pub fn has(&self, extension: Extension) -> bool {
        self.extensions.contains(&extension)
    }
}

/// The version whose packages have no pgvector. Those of 17 have it; 16 and 18 come with it.
const WITHOUT_VECTOR: u32 = 15;
/// Databases that every cluster has, or that poolers answer as themselves.
const TAKEN: [&str; 4] = [DATABASE, "template0", "template1", "pgbouncer"];

/// What the databases of these settings break.
pub(super) fn rules(all: &Settings) -> Vec<Broken> {
    let mut broken = Vec::new();
    let settings = &all.postgresql;
    for (name, own) in &settings.databases {
        let path = ["postgresql", "databases", name];
        if !is_plain(name) {
            let problem = Broken::of_name(path, format!("`{name}` can't be the name of a database"));
            broken
                .push(problem.help("lower-case letters, digits and underscores, beginning with a letter, at most 63"));
        } else if TAKEN.contains(&name.as_str()) {
            let problem = Broken::of_name(path, format!("a further database can't be called `{name}`"));
            broken.push(problem.help("every cluster has that one, or a pooler answers as it"));
        }
        let extensions = ["postgresql", "databases", name, "extensions"];
        for (index, extension) in own.extensions.iter().enumerate() {
            let (called, major) = (extension.name(), settings.major_version);
            if own.extensions[..index].contains(extension) {
                broken.push(Broken::new(extensions, format!("the extension `{called}` stands twice")));
            } else if major == WITHOUT_VECTOR {
                let problem = Broken::new(extensions, format!("PostgreSQL {major} can't be had with `{called}`"));
                broken.push(problem.help("16, 17 and 18 can"));
            } else if major == MAJOR_VERSION && all.patroni.version.is_some() {
                let message = format!(
                    "PostgreSQL {major} can't be had with `{called}` beside a version of Patroni that is named"
                );
                let problem = Broken::new(extensions, message);
                broken.push(problem.help("leave Patroni's version out, or take PostgreSQL 16 or 18"));
            }
        }
    }
    broken
}

/// Makes the databases, in single-user mode: each a statement of its own, as none of them can be in a transaction. In that mode
/// an empty line ends what is sent to the server at once.
pub(in crate::services) fn made(databases: &BTreeMap<String, DatabaseSettings>) -> String {
    let mut sql = String::new();
    for name in databases.keys() {
        // Writing to a String can't fail.
        let _ = write!(sql, "\nCREATE DATABASE \"{name}\" OWNER {CLIENT_ROLE};\n");
    }
    sql
}

/// What a database gets before the first start of the first primary: its ledger, and the tables of its extensions.
pub fn filled(own: &DatabaseSettings) -> String {
    let unlogged = if own.unlogged { "UNLOGGED " } else { "" };
    let mut sql = ledger(unlogged);
    if own.has(Extension::Vector) {
        let index = VECTOR_INDEX.rsplit('.').next().unwrap_or(VECTOR_INDEX);
        let _ = write!(
            sql,
            "CREATE EXTENSION {extension};\n\
             CREATE {unlogged}TABLE {VECTOR_TABLE} (client int, sequence bigint, \
               embedding vector({VECTOR_DIMENSIONS}) NOT NULL, PRIMARY KEY (client, sequence));\n\
             ALTER TABLE {VECTOR_TABLE} OWNER TO {CLIENT_ROLE};\n\
             CREATE INDEX {index} ON {VECTOR_TABLE} USING hnsw (embedding vector_l2_ops);\n",
            extension = Extension::Vector.name(),
        );
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_database_is_made_by_a_statement_of_its_own_and_filled_apart() {
        let own = |extensions: &[Extension]| DatabaseSettings { extensions: extensions.to_vec(), unlogged: false };
        let databases = [("project".to_owned(), own(&[])), ("shared".to_owned(), own(&[Extension::Vector]))];
        let sql = made(&databases.clone().into());
        assert_eq!(sql, "\nCREATE DATABASE \"project\" OWNER pgquake;\n\nCREATE DATABASE \"shared\" OWNER pgquake;\n");
        let [plain, with_vectors] = databases.map(|(_, own)| filled(&own));
        assert!(plain.contains("CREATE TABLE pgquake.ledger (") && !plain.contains("vector"), "{plain}");
        assert!(
            with_vectors.contains("CREATE INDEX vectors_embedding ON pgquake.vectors USING hnsw"),
            "{with_vectors}"
        );
        // One command: an empty line would end it.
        assert!(!with_vectors.contains("\n\n"));
        let lost = filled(&DatabaseSettings { unlogged: true, ..own(&[Extension::Vector]) });
        assert_eq!(lost.matches("CREATE UNLOGGED TABLE").count(), 2);
    }
}
