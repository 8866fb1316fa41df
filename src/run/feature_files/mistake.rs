//! What is wrong with feature files, said so that a person can mend it.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cucumber::gherkin::LineCol;
use miette::{Diagnostic, NamedSource, SourceSpan};

use crate::topology::TopologyError;

/// A feature file, or what the user asked of it, is wrong.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum FeatureError {
    /// There is nothing at a path that was named.
    #[error("failed to find feature files: there is nothing at {}", path.display())]
    #[diagnostic(help("name a .feature file, a folder of them, or a scenario's line as features/x.feature:12"))]
    NotFound {
        /// The path, as the user named it.
        path: PathBuf,
    },
    /// A folder has no feature file.
    #[error("failed to find feature files: there is none in {} or below", path.display())]
    #[diagnostic(help("their names end with `.feature`"))]
    EmptyFolder {
        /// The folder, as the user named it.
        path: PathBuf,
    },
    /// No scenario stands at a line that was named.
    #[error("failed to find a scenario at {}:{line}", path.display())]
    #[diagnostic(help("`pgquake run {} --list` shows where scenarios begin", path.display()))]
    NoScenarioAt {
        /// The file, as the user named it.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// A file or folder can't be read.
    #[error("failed to read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why it can't be read.
        source: std::io::Error,
    },
    /// One mistake in the files.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Mistake(Box<Mistake>),
    /// Several mistakes in the files, in the order in which they stand there.
    #[error("the features have {} mistakes", mistakes.len())]
    Mistakes {
        /// Each of them, with its place.
        #[related]
        mistakes: Vec<Mistake>,
    },
    /// The expression over tags can't be read.
    #[error("failed to read the tag expression `{expression}`: {message}")]
    #[diagnostic(help("write it as `@quick`, `@documented and not @sync` or `@a or @b`"))]
    TagExpression {
        /// The expression.
        expression: String,
        /// What is wrong with it.
        message: String,
    },
    /// No scenario is left by tags and names.
    #[error("no scenario is left to run{narrowed}")]
    #[diagnostic(help("`pgquake run --list` shows the scenarios and their tags"))]
    Nothing {
        /// What narrowed the choice, as the end of the message.
        narrowed: String,
    },
}

impl FeatureError {
    /// The error for these mistakes, or `None` if there are none.
    pub(super) fn from_mistakes(mut mistakes: Vec<Mistake>) -> Option<Self> {
        match mistakes.len() {
            0 => None,
            1 => mistakes.pop().map(|mistake| FeatureError::Mistake(Box::new(mistake))),
            _ => Some(FeatureError::Mistakes { mistakes }),
        }
    }
}

/// One mistake in a feature file.
#[derive(Debug, Diagnostic)]
pub struct Mistake {
    /// What is wrong, naming the thing.
    pub message: String,
    /// The file, as the user named it.
    pub file: String,
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
    /// What is wrong with the topology that a step names.
    #[related]
    topology: Vec<TopologyError>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Mistake {}

impl Mistake {
    /// The topology that the mistake is in, with its own lines.
    pub(super) fn with_topology(mut self, error: Option<TopologyError>) -> Self {
        self.topology.extend(error);
        self
    }

    /// Whether it says the same of the same place, or of the same topology.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        let place = |mistake: &Self| (mistake.file.clone(), mistake.line, mistake.column);
        let same_topology = !self.topology.is_empty() && !other.topology.is_empty();
        self.message == other.message && (same_topology || place(self) == place(other))
    }
}

/// A part of a line: the line counted from 1, the others in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub line: usize,
    pub offset: usize,
    pub length: usize,
}

/// The text of a feature file.
pub(super) struct Source {
    pub file: String,
    text: Arc<str>,
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        // A byte order mark says nothing.
        let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
        Self { file: path.display().to_string(), text: text.into() }
    }

    /// The text of a file's bytes; or where the first of them stands that is none.
    pub(super) fn of_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, Box<Mistake>> {
        String::from_utf8(bytes).map(|text| Self::new(path, text)).map_err(|error| {
            let sound = error.utf8_error().valid_up_to();
            let shown = Self::new(path, String::from_utf8_lossy(error.as_bytes()).into_owned());
            let before = &error.as_bytes()[..sound];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let offset = before.iter().rev().take_while(|byte| **byte != b'\n').count();
            let place = Place { line, offset, length: char::REPLACEMENT_CHARACTER.len_utf8() };
            let help = "save the file as UTF-8".to_owned();
            Box::new(shown.mistake(place, "here is a byte that is no UTF-8 text", Some(help)))
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A line, counted from 1; empty beyond the end.
    pub(super) fn line(&self, line: usize) -> &str {
        self.text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
    }

    /// From a position of the parser's (its columns are bytes) to the end of the line.
    pub(super) fn from(&self, at: LineCol) -> Place {
        let offset = at.col.saturating_sub(1);
        let length = self.line(at.line).trim_end().len().saturating_sub(offset).max(1);
        Place { line: at.line, offset, length }
    }

    pub(super) fn mistake(&self, at: Place, message: impl Into<String>, help: Option<String>) -> Mistake {
        let before: usize = self.text.split_inclusive('\n').take(at.line.saturating_sub(1)).map(str::len).sum();
        let line = self.line(at.line);
        let column = line.get(..at.offset).map_or(at.offset, |before| before.chars().count()) + 1;
        let start = (before + at.offset).min(self.text.len());
        let length = at.length.min(self.text.len() - start);
        Mistake {
            message: message.into(),
            file: self.file.clone(),
            line: at.line,
            column,
            help,
            text: NamedSource::new(&self.file, Arc::clone(&self.text)),
            span: (start, length).into(),
            topology: Vec::new(),
        }
    }

    /// The lines of a table (of a step, or of examples) that begins at a line: blank lines and comments may stand
    /// between its rows.
    pub(super) fn rows_from(&self, line: usize) -> Vec<usize> {
        let mut rows = Vec::new();
        for (index, text) in self.text.lines().enumerate().skip(line.saturating_sub(1)) {
            match text.trim_start() {
                row if row.starts_with('|') => rows.push(index + 1),
                between if between.is_empty() || between.starts_with('#') => {}
                _ => break,
            }
        }
        rows
    }

    /// A cell of a row, counted from 0. A bar that is written `\|` stands within a cell.
    pub(super) fn cell(&self, line: usize, column: usize) -> Place {
        let text = self.line(line);
        let bars: Vec<usize> =
            text.match_indices('|').map(|(at, _)| at).filter(|at| !text[..*at].ends_with('\\')).collect();
        let (Some(from), Some(to)) = (bars.get(column), bars.get(column + 1)) else {
            let offset = text.len() - text.trim_start().len();
            return Place { line, offset, length: text.trim().len().max(1) };
        };
        let inside = &text[from + 1..*to];
        let offset = from + 1 + (inside.len() - inside.trim_start().len());
        Place { line, offset, length: inside.trim().len().max(1) }
    }

    /// Where a text stands in quotes in a line, for the first or the last time; `None` if it does not, as where it comes
    /// from a row of examples.
    pub(super) fn quoted(&self, line: usize, text: &str, last: bool) -> Option<Place> {
        let written = self.line(line);
        let find = |quote: char| {
            let whole = format!("{quote}{text}{quote}");
            let offset = if last { written.rfind(&whole) } else { written.find(&whole) }?;
            Some(Place { line, offset, length: whole.len() })
        };
        find('"').or_else(|| find('\''))
    }

    /// Where a tag stands: on the lines above what it is for.
    pub(super) fn tag(&self, tag: &str, above: usize) -> Option<Place> {
        let is_part = |line: usize| {
            let text = self.line(line).trim_start();
            text.is_empty() || text.starts_with(['@', '#'])
        };
        let lines = (1..above).rev().take_while(|line| is_part(*line));
        let written = format!("@{tag}");
        lines.filter(|line| self.line(*line).trim_start().starts_with('@')).find_map(|line| {
            let text = self.line(line);
            let is_whole = |at: &usize| {
                text[at + written.len()..].chars().next().is_none_or(|next| next.is_whitespace() || next == '@')
            };
            let offset = text.match_indices(&written).map(|(at, _)| at).find(is_whole)?;
            Some(Place { line, offset, length: written.len() })
        })
    }

    /// The first line of what begins at a line, with its tags.
    pub(super) fn first_line(&self, line: usize) -> usize {
        let mut first = line;
        for above in (1..line).rev() {
            match self.line(above).trim_start() {
                text if text.starts_with('@') => first = above,
                text if text.is_empty() || text.starts_with('#') => {}
                _ => break,
            }
        }
        first
    }
}
