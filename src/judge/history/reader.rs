//! Reads a saved history, also one that a killed run left behind.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use super::event::Event;

/// A history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("failed to read the history {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("failed to read the history {}, line {line}: {source}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
}

/// Reads every event of `history.jsonl`, in the order of `seq`.
///
/// A last line that was cut short (the run was killed while writing it) is left out; a broken line anywhere else
/// is an error.
pub fn read_history(path: &Path) -> Result<Vec<Event>, HistoryError> {
    let io = |source| HistoryError::Io { path: path.to_owned(), source };
    let mut lines = BufReader::new(File::open(path).map_err(io)?).lines().enumerate().peekable();
    let mut events = Vec::new();
    while let Some((index, line)) = lines.next() {
        let line = line.map_err(io)?;
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(event) => events.push(event),
            Err(source) if source.is_eof() && lines.peek().is_none() => break,
            Err(source) => return Err(HistoryError::Line { path: path.to_owned(), line: index + 1, source }),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_by_a_kill_is_left_out_but_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let whole = r#"{"seq":1,"at_us":5,"scenario":1,"kind":"timer_late","late_us":7}"#;
        std::fs::write(&path, format!("{whole}\n{{\"seq\":2,\"at_")).unwrap();
        assert_eq!(read_history(&path).unwrap().len(), 1);
        std::fs::write(&path, format!("{{\"seq\":2,\"at_\n{whole}\n")).unwrap();
        assert!(matches!(read_history(&path), Err(HistoryError::Line { line: 1, .. })));
    }
}
