//! What is wrong with a topology, said so that a person can mend it.

use std::{fmt, io, path::PathBuf, sync::Arc};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

use super::position::Place;

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
    #[error("{source_name} has {} mistakes, the first in {}", mistakes.len(), first_of(mistakes))]
    Mistakes {
        source_name: String,
        #[related]
        mistakes: Vec<Mistake>,
    },
}

/// One mistake in a topology file.
#[derive(Debug, Diagnostic)]
pub struct Mistake {
    /// What is wrong, naming the thing.
    pub message: String,
    /// The file, as the user named it.
    pub source_name: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What was probably meant, or what is expected instead.
    #[help]
    pub help: Option<String>,
    #[source_code]
    text: NamedSource<Arc<str>>,
    #[label("here")]
    span: SourceSpan,
}

impl Mistake {
    pub(super) fn new(source_name: &str, text: &Arc<str>, place: Place, message: String, help: Option<String>) -> Self {
        Self {
            message,
            source_name: source_name.to_owned(),
            line: place.line,
            column: place.column,
            help,
            text: NamedSource::new(source_name, Arc::clone(text)).with_language("yaml"),
            span: (place.offset, place.length).into(),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: {}", self.source_name, self.line, self.column, self.message)
    }
}

impl std::error::Error for Mistake {}

impl TopologyError {
    /// The error for these mistakes, or `None` if there are none.
    pub(super) fn from_mistakes(source_name: &str, mut mistakes: Vec<Mistake>) -> Option<Self> {
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
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

fn first_of(mistakes: &[Mistake]) -> String {
    mistakes
        .first()
        .map(|mistake| format!("line {}, column {}: {}", mistake.line, mistake.column, mistake.message))
        .unwrap_or_default()
}
