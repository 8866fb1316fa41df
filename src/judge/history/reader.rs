//! Reads a saved history, also one that a killed run or a full disk left behind.
//!
//! # What costs what
//!
//! - A line that is not whole (cut by a kill or a full disk, bytes that are no text, another line glued to it) costs
//!   that line alone. It is left out and told, for what the other lines prove still stands.
//! - A compressed history that breaks off, or is damaged, is read as far as it goes; what is behind is lost, and told.
//! - A whole line that this version does not understand (an unknown field or kind, a number where a text must be) is
//!   an error: it was written by something else, and what it would say is not known.
//! - A history of a newer schema is refused by name.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, de::IgnoredAny};

use super::event::{Event, Occurrence, SCHEMA};

/// A line of a history is at most this long. The recorder's longest are ledgers, of some 100 kB.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Some editors and shells put this in front of a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("failed to read the history {}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// The line is whole, and no event of a schema that this version knows.
    #[error("failed to understand the history {}:{line}:{column}: {reason}", path.display())]
    Line { path: PathBuf, line: u64, column: usize, reason: String },
    #[error(
        "failed to understand the history {}: this history has schema {schema}, written by pgquake {version}; this \
         pgquake reads up to {SCHEMA}: use a newer one",
        path.display()
    )]
    NewerSchema { path: PathBuf, schema: u64, version: String },
}

/// A line that was left out, because it is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenLine {
    /// Counted from 1.
    pub line: u64,
    /// Counted in bytes from 1.
    pub column: usize,
    pub reason: String,
}

/// The history in a run's folder, as it was recorded or compressed; `None` if it has none.
pub fn history_in(folder: &Path) -> Option<PathBuf> {
    let names = ["history.jsonl", "history.jsonl.gz"];
    names.into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

/// Reads a history event by event, in the order of its lines, and holds no more than one line of it.
pub struct HistoryReader {
    path: PathBuf,
    file: Box<dyn BufRead>,
    /// Whether the file is compressed, so that an error in it may be the end of what can be read.
    is_compressed: bool,
    bytes: Vec<u8>,
    line: u64,
    broken: Vec<BrokenLine>,
    broken_count: u64,
}

impl HistoryReader {
    /// How many of the broken lines are kept to be named; the others are counted.
    const NAMED: usize = 5;

    /// Opens a history: `history.jsonl`, or `history.jsonl.gz` as certificates keep it.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let file = File::open(path).map_err(|source| HistoryError::Io { path: path.to_owned(), source })?;
        let file = BufReader::with_capacity(256 * 1024, file);
        let is_compressed = path.extension().is_some_and(|ending| ending == "gz");
        let file: Box<dyn BufRead> = match is_compressed {
            true => Box::new(BufReader::with_capacity(256 * 1024, MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let (path, bytes, broken) = (path.to_owned(), Vec::new(), Vec::new());
        Ok(Self { path, file, is_compressed, bytes, line: 0, broken, broken_count: 0 })
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    ///
    /// See the module: a file that can't be read, a whole line that is not understood, a newer schema.
    pub fn next_event(&mut self) -> Result<Option<Event>, HistoryError> {
        while self.next_line()? {
            if self.bytes.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice::<Event>(&self.bytes) {
                Ok(event) => return self.of_known_schema(event).map(Some),
                Err(_) if self.bytes.len() as u64 > LONGEST_LINE => {
                    self.leave_out(1, format!("it is longer than {LONGEST_LINE} bytes"));
                }
                Err(error) if self.is_whole() => return Err(self.not_understood(&error)),
                Err(error) => self.leave_out(error.column(), without_place(&error)),
            }
        }
        Ok(None)
    }

    /// The first lines that were left out so far, and how many there are in all.
    pub fn broken_lines(&self) -> (&[BrokenLine], u64) {
        (&self.broken, self.broken_count)
    }

    /// Takes the next line into `bytes`, as far as a line may be long.
    fn next_line(&mut self) -> Result<bool, HistoryError> {
        let io = |source| HistoryError::Io { path: self.path.clone(), source };
        self.bytes.clear();
        let read = match (&mut self.file).take(LONGEST_LINE + 1).read_until(b'\n', &mut self.bytes) {
            Ok(read) => read,
            Err(error) if self.is_compressed && is_of_the_contents(&error) => {
                self.line += 1;
                self.leave_out(
                    self.bytes.len() + 1,
                    format!("the compressed file can't be read on from here: {error}"),
                );
                // Nothing behind can be trusted to be where it was.
                self.file = Box::new(std::io::empty());
                return Ok(false);
            }
            Err(error) => return Err(io(error)),
        };
        if read as u64 > LONGEST_LINE && !self.bytes.ends_with(b"\n") {
            self.file.skip_until(b'\n').map_err(io)?;
        }
        self.line += 1;
        if self.line == 1 && self.bytes.starts_with(BYTE_ORDER_MARK) {
            self.bytes.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(read > 0)
    }

    /// Whether the line is JSON from its beginning to its end, whatever it says.
    fn is_whole(&self) -> bool {
        std::str::from_utf8(&self.bytes).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    fn leave_out(&mut self, column: usize, reason: String) {
        self.broken_count += 1;
        if self.broken.len() < Self::NAMED {
            self.broken.push(BrokenLine { line: self.line, column, reason });
        }
    }

    fn of_known_schema(&self, event: Event) -> Result<Event, HistoryError> {
        match &event.what {
            Occurrence::RunStarted(run) if run.schema > SCHEMA => {
                Err(self.newer_schema(run.schema.into(), &run.version))
            }
            _ => Ok(event),
        }
    }

    /// A beginning of a newer schema may have fields that are not known either.
    fn not_understood(&self, error: &serde_json::Error) -> HistoryError {
        #[derive(Deserialize)]
        struct Beginning {
            kind: String,
            schema: u64,
            version: String,
        }
        match serde_json::from_slice::<Beginning>(&self.bytes) {
            Ok(beginning) if beginning.kind == "run_started" && beginning.schema > SCHEMA.into() => {
                self.newer_schema(beginning.schema, &beginning.version)
            }
            _ => HistoryError::Line {
                path: self.path.clone(),
                line: self.line,
                column: error.column(),
                reason: without_place(error),
            },
        }
    }

    fn newer_schema(&self, schema: u64, version: &str) -> HistoryError {
        HistoryError::NewerSchema { path: self.path.clone(), schema, version: version.to_owned() }
    }
}

/// Whether what was compressed breaks off or is damaged, and not the disk.
fn is_of_the_contents(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

/// What serde_json says, without its own line and column.
pub(crate) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&place).unwrap_or(&text).to_owned()
}

/// Reads every event of `history.jsonl`, in the order of its lines; what [`HistoryReader`] leaves out is left out.
pub fn read_history(path: &Path) -> Result<Vec<Event>, HistoryError> {
    let mut reader = HistoryReader::open(path)?;
    let mut events = Vec::new();
    while let Some(event) = reader.next_event()? {
        events.push(event);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 3] = [
        r#"{"seq":1,"at_us":5,"scenario":1,"kind":"timer_late","late_us":7}"#,
        r#"{"seq":2,"at_us":6,"scenario":1,"kind":"assertion_failed","message":"für"}"#,
        r#"{"seq":3,"at_us":7,"scenario":1,"kind":"scenario_ended"}"#,
    ];

    /// The `seq` of what is read of these bytes, and the lines that were left out.
    fn read(bytes: &[u8]) -> Result<(Vec<u64>, Vec<u64>), HistoryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        std::fs::write(&path, bytes).unwrap();
        let mut reader = HistoryReader::open(&path)?;
        let mut seqs = Vec::new();
        while let Some(event) = reader.next_event()? {
            seqs.push(event.seq);
        }
        Ok((seqs, reader.broken_lines().0.iter().map(|broken| broken.line).collect()))
    }

    #[track_caller]
    fn reads(bytes: &[u8], seqs: &[u64], broken: &[u64]) {
        assert_eq!(read(bytes).unwrap(), (seqs.to_vec(), broken.to_vec()), "{}", String::from_utf8_lossy(bytes));
    }

    #[test]
    fn a_history_that_is_cut_anywhere_loses_its_last_line_alone() {
        let whole = LINES.join("\n");
        for length in 1..=whole.len() {
            let bytes = &whole.as_bytes()[..length];
            let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
            let last_is_whole = bytes.ends_with(b"\n") || bytes.ends_with(b"}");
            let count = if bytes.ends_with(b"\n") || !last_is_whole { lines - 1 } else { lines };
            let broken = if last_is_whole { vec![] } else { vec![lines as u64] };
            reads(bytes, &[1, 2, 3][..count], &broken);
        }
    }

    #[test]
    fn a_broken_line_in_the_middle_costs_that_line_alone() {
        let [first, middle, last] = LINES;
        for broken in [&middle[..20], &middle[..52], "\0\0\0\0", "no JSON", "{} {}"] {
            reads(format!("{first}\n{broken}\n{last}\n").as_bytes(), &[1, 3], &[2]);
        }
        let glued = format!("{first}\n{}{middle}\n{last}\n", &middle[..63]);
        reads(glued.as_bytes(), &[1, 3], &[2]);
        let cut_character = [first.as_bytes(), b"\n{\"seq\":2,\"kind\":\"f\xc3\"}\n", last.as_bytes()].concat();
        reads(&cut_character, &[1, 3], &[2]);
    }

    #[test]
    fn a_byte_order_mark_empty_lines_and_windows_line_ends_do_no_harm() {
        reads(format!("\u{feff}{}\r\n\r\n{}\r\n", LINES[0], LINES[2]).as_bytes(), &[1, 3], &[]);
    }

    #[test]
    fn a_whole_line_that_is_not_understood_is_refused_with_its_place_and_field() {
        let unknown = r#"{"seq":2,"at_us":6,"scenario":1,"kind":"timer_late","late_us":7,"newer":1}"#;
        let error = read(format!("{}\n{unknown}\n", LINES[0]).as_bytes()).unwrap_err().to_string();
        assert!(error.contains("history.jsonl:2:71: unknown field `newer`, expected `late_us`"), "{error}");
        let values = [
            ("\"7\"", "invalid type: string"),
            ("-1", "invalid value"),
            ("0.5", "invalid type"),
            ("1e999", "out of range"),
        ];
        for (value, why) in values {
            let wrong = LINES[0].replace("7}", &format!("{value}}}"));
            let error = read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("history.jsonl:1:") && error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_compressed_history_that_breaks_off_is_read_as_far_as_it_goes() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl.gz");
        let mut packed = Vec::new();
        // A member of the file for each line, so that it is known what can be read of a part.
        let ends = LINES.map(|line| {
            let mut encoder = flate2::write::GzEncoder::new(&mut packed, flate2::Compression::default());
            writeln!(encoder, "{line}").unwrap();
            encoder.finish().unwrap();
            packed.len()
        });
        for (length, wanted) in [(ends[0] + 12, 1), (ends[1], 2), (ends[2] - 1, 3), (ends[2], 3)] {
            std::fs::write(&path, &packed[..length]).unwrap();
            let mut reader = HistoryReader::open(&path).unwrap();
            let seqs: Vec<u64> = std::iter::from_fn(|| reader.next_event().unwrap()).map(|event| event.seq).collect();
            let is_whole = ends.contains(&length);
            assert_eq!((seqs.len(), reader.broken_lines().1 == 0), (wanted, is_whole), "{length} of {ends:?}");
        }
        let mut damaged = packed.clone();
        damaged[ends[0] + 14] ^= 0xff;
        std::fs::write(&path, &damaged).unwrap();
        let mut reader = HistoryReader::open(&path).unwrap();
        assert_eq!(reader.next_event().unwrap().map(|event| event.seq), Some(1));
        assert!(reader.next_event().unwrap().is_none_or(|event| event.seq == 2));
        assert!(reader.next_event().unwrap().is_none() && reader.broken_lines().1 > 0);
    }

    #[test]
    fn a_newer_schema_is_refused_by_name_whatever_else_it_has() {
        let line =
            r#"{"seq":1,"at_us":0,"scenario":0,"kind":"run_started","schema":99,"run":"r","version":"7.1","seed":1,
            "started_at":"","machine":{},"versions":{},"arguments":[]}"#
                .replace('\n', "");
        for line in [line.clone(), line.replace("\"run\":", "\"newer\":{},\"run\":")] {
            let error = read(line.as_bytes()).unwrap_err().to_string();
            let wanted = "has schema 99, written by pgquake 7.1; this pgquake reads up to 4: use a newer one";
            assert!(error.contains(wanted), "{error}");
        }
    }
}
