//! Writes the history. The only clock of a run.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::broadcast;

use super::{Event, Occurrence};

/// Events that a slow listener may be behind before it misses some. The file never misses any.
const LISTENER_BACKLOG: usize = 65_536;

/// Appends events to `history.jsonl`, each on disk (handed to the kernel) before the call returns.
///
/// Cheap to clone; all clones share one file, one clock and one count. A recorder is bound to a scenario with
/// [`Recorder::for_scenario`].
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    scenario: u32,
}

struct Shared {
    origin: Instant,
    path: PathBuf,
    log: Mutex<Log>,
    listeners: broadcast::Sender<Arc<Event>>,
}

struct Log {
    file: Box<dyn Write + Send>,
    seq: u64,
    /// The first failure to write. After it nothing is written, so that the file ends in at most one partial line;
    /// recording goes on in memory, and the run is inconclusive.
    failure: Option<String>,
}

/// The history could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("failed to open the history {}: {source}", path.display())]
pub struct RecorderError {
    path: PathBuf,
    source: std::io::Error,
}

impl Recorder {
    /// Opens a new history; `at_us` counts from now.
    pub fn create(path: &Path) -> Result<Self, RecorderError> {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)
            .map_err(|source| RecorderError { path: path.to_owned(), source })?;
        Ok(Self::onto(Box::new(file), path))
    }

    fn onto(file: Box<dyn Write + Send>, path: &Path) -> Self {
        let (listeners, _) = broadcast::channel(LISTENER_BACKLOG);
        let log = Mutex::new(Log { file, seq: 0, failure: None });
        Self { shared: Arc::new(Shared { origin: Instant::now(), path: path.to_owned(), log, listeners }), scenario: 0 }
    }

    /// The same history, with events that belong to this scenario.
    pub fn for_scenario(&self, scenario: u32) -> Self {
        Self { shared: self.shared.clone(), scenario }
    }

    /// The scenario that this recorder is bound to; 0 is the run itself.
    pub fn scenario(&self) -> u32 {
        self.scenario
    }

    /// Where the history lies.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Microseconds since the start of the run.
    pub fn now_us(&self) -> u64 {
        self.at_us(Instant::now())
    }

    /// The run's time of an instant that was taken before.
    pub fn at_us(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.shared.origin).as_micros()).unwrap_or(u64::MAX)
    }

    /// The instant of a run's time.
    pub fn instant(&self, at_us: u64) -> Instant {
        self.shared.origin + std::time::Duration::from_micros(at_us)
    }

    /// Records what happened now and returns its `seq`.
    ///
    /// A failing disk must not stop a run in the middle of a fault: the first failure is kept and
    /// [`Recorder::failure`] returns it, so that the run ends inconclusive instead of wrong.
    pub fn record(&self, what: Occurrence) -> u64 {
        let mut log = self.shared.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.seq += 1;
        let event = Event { seq: log.seq, at_us: self.now_us(), scenario: self.scenario, what };
        if log.failure.is_none() {
            let written = serde_json::to_vec(&event).map_err(std::io::Error::other).and_then(|mut line| {
                line.push(b'\n');
                log.file.write_all(&line)
            });
            log.failure = written.err().map(|error| format!("failed to write {}: {error}", self.shared.path.display()));
        }
        // Nobody listening is no failure.
        let _ = self.shared.listeners.send(Arc::new(event));
        log.seq
    }

    /// The first failure to write the history, if any.
    pub fn failure(&self) -> Option<String> {
        self.shared.log.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }

    /// Events as they are recorded, of all scenarios; for live progress and for conditions that wait.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.shared.listeners.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::history::read_history;

    #[test]
    fn what_was_recorded_is_read_back_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let recorder = Recorder::create(&path).unwrap();
        recorder.record(Occurrence::RunEnded { interrupted: None });
        recorder.for_scenario(2).record(Occurrence::TimerLate { late_us: 7 });
        let events = read_history(&path).unwrap();
        assert_eq!(events.iter().map(|event| (event.seq, event.scenario)).collect::<Vec<_>>(), [(1, 0), (2, 2)]);
        assert_eq!(events[1].what, Occurrence::TimerLate { late_us: 7 });
        assert!(events[0].at_us <= events[1].at_us);
    }

    /// A disk that takes no more than some bytes of one write, and has space again afterwards.
    struct FullOnce {
        file: File,
        takes: Option<usize>,
    }

    impl Write for FullOnce {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.takes.take() {
                Some(0) => Err(std::io::ErrorKind::StorageFull.into()),
                Some(takes) => {
                    self.takes = Some(0);
                    self.file.write(&bytes[..takes.min(bytes.len())])
                }
                None => self.file.write(bytes),
            }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.file.flush()
        }
    }

    #[test]
    fn nothing_is_written_behind_a_line_that_was_written_in_part() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let file = FullOnce { file: File::create(&path).unwrap(), takes: Some(20) };
        let recorder = Recorder::onto(Box::new(file), &path);
        assert_eq!(recorder.record(Occurrence::TimerLate { late_us: 7 }), 1);
        assert_eq!(recorder.record(Occurrence::RunEnded { interrupted: None }), 2);
        assert!(recorder.failure().unwrap().contains("failed to write"));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 20);
    }
}
