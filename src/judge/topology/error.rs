//! What is wrong with a topology, said so that a person can mend it.

use std::{io, path::PathBuf};

use miette::Diagnostic;
use thiserror::Error;

pub use crate::yaml::Mistake;

/// Why a topology could not be loaded. As a miette diagnostic it shows the lines in question; as plain text it
/// names file, line and column.
#[derive(Debug, Error, Diagnostic)]
pub enum TopologyError {
    /// No file and no built-in topology has this name.
    #[error("no topology is called `{name}`")]
    Unknown {
        name: String,
        #[help]
        help: String,
    },
    /// The file could not be read as text.
    #[error("failed to read the topology {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        cause: io::Error,
        #[help]
        help: Option<String>,
    },
    /// One mistake in the file.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistake(Box<Mistake>),
    /// Several mistakes in the file, in the order in which they stand there.
    #[error("{source_name} has {} mistakes, the first in {}", mistakes.len(), first_of(source_name, mistakes))]
    Mistakes {
        source_name: String,
        #[related]
        mistakes: Vec<Mistake>,
    },
}

impl TopologyError {
    /// The error for these mistakes, or `None` if there are none.
    pub(super) fn from_mistakes(source_name: &str, mut mistakes: Vec<Mistake>) -> Option<Self> {
        // Those of the topology's own file first, then those of each file that it names.
        let place = |mistake: &Mistake| (mistake.source_name != source_name, mistake.source_name.clone());
        mistakes.sort_by_key(|mistake| (place(mistake), mistake.line, mistake.column));
        match mistakes.len() {
            0 => None,
            1 => mistakes.pop().map(|mistake| TopologyError::Mistake(Box::new(mistake))),
            _ => Some(TopologyError::Mistakes { source_name: source_name.to_owned(), mistakes }),
        }
    }

    /// The mistakes in the file, in the order in which they stand there; none if there is no such file.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            TopologyError::Mistake(mistake) => std::slice::from_ref(mistake),
            TopologyError::Mistakes { mistakes, .. } => mistakes,
            TopologyError::Unknown { .. } | TopologyError::Unreadable { .. } => &[],
        }
    }
}

fn first_of(source_name: &str, mistakes: &[Mistake]) -> String {
    let Some(first) = mistakes.first() else { return String::new() };
    let file = if first.source_name == source_name { String::new() } else { format!("{}, ", first.source_name) };
    format!("{file}line {}, column {}: {}", first.line, first.column, first.message)
}
