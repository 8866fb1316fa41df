//! A mistake in a YAML text, shown where it stands.

use std::{fmt, sync::Arc};

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::position::Place;

/// One mistake in a YAML file of the user's.
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
    pub(crate) fn new(source_name: &str, text: &Arc<str>, place: Place, message: String, help: Option<String>) -> Self {
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
