//! The control port: lines over TCP on the loopback address, an answer of one line to each.

mod caches;
mod command;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::disk::Disk;
use crate::space::used_bytes;
pub use caches::Caches;
use command::{Command, CommandError};

/// No command is longer.
const LINE_BYTES: u64 = 8192;

/// Why there is no `ok`.
#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("failed to count the bytes in use: {0}")]
    Count(io::Error),
    #[error("failed to sync: {0}")]
    Sync(io::Error),
}

/// Answers connections until the process ends, each in a thread of its own.
pub fn serve(listener: TcpListener, disk: Arc<Disk>, caches: Caches) -> io::Result<()> {
    let control = Arc::new(Control { disk, caches });
    let accept = move || {
        loop {
            let control = Arc::clone(&control);
            let started = listener.accept().and_then(|(connection, _)| {
                // A peer that goes away ends its connection, and nothing else.
                thread::Builder::new().name("control".into()).spawn(move || control.talk(&connection).ok())
            });
            if let Err(error) = started {
                eprintln!("pgquake-disk: failed to accept a control connection: {error}");
                // Such as too many open files: it does not get better by trying faster.
                thread::sleep(Duration::from_millis(100));
            }
        }
    };
    thread::Builder::new().name("accept".into()).spawn(accept).map(drop)
}

struct Control {
    disk: Arc<Disk>,
    caches: Caches,
}

impl Control {
    fn talk(&self, connection: &TcpStream) -> io::Result<()> {
        let mut lines = BufReader::new(connection);
        loop {
            let mut line = Vec::new();
            lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(());
            }
            let answer = match self.answer(&String::from_utf8_lossy(&line)) {
                Ok(answer) if answer.is_empty() => "ok\n".to_owned(),
                Ok(answer) => format!("ok {answer}\n"),
                Err(error) => format!("error {error}\n"),
            };
            let mut out = connection;
            out.write_all(answer.as_bytes())?;
        }
    }

    fn answer(&self, line: &str) -> Result<String, ControlError> {
        let Disk { faults, space, table, .. } = &*self.disk;
        match Command::parse(line)? {
            Command::Status => return self.status(),
            Command::Limit(bytes, prefix) => {
                let room = space.limit(table, bytes, prefix).map_err(ControlError::Count)?;
                return Ok(format!("limit_bytes={} used_bytes={}", room.limit_bytes, room.used_bytes));
            }
            Command::LimitOff => space.off(),
            Command::Delay(classes, delay, prefix) => {
                // The kernel's cache would answer reads without the disk.
                self.caches.expire_under(&prefix);
                faults.delay(&classes, delay, &prefix);
            }
            Command::DelayOff => faults.delay_off(),
            Command::Throttle(bytes_per_s) => faults.throttle(bytes_per_s),
            Command::Stall(prefix) => self.caches.stall(prefix),
            Command::Resume => {
                faults.resume();
                self.caches.expire(vec![]);
            }
            Command::Fail(classes, prefix) => {
                self.caches.expire_under(&prefix);
                faults.fail(&classes, &prefix);
            }
            Command::FailOff => faults.fail_off(),
            Command::Drop => return Ok(self.lose_unsynced()),
            Command::Sync => self.disk.sync_all().map_err(ControlError::Sync)?,
            Command::Off => {
                faults.off();
                space.off();
                self.caches.expire(vec![]);
            }
        }
        Ok(String::new())
    }

    fn lose_unsynced(&self) -> String {
        let (bytes, files) = self.disk.lose_unsynced();
        let count = files.len();
        self.caches.expire(files);
        format!("dropped_bytes={bytes} dropped_files={count}")
    }

    fn status(&self) -> Result<String, ControlError> {
        let Disk { table, memory, space, faults, counters } = &*self.disk;
        let limit = space.current();
        let prefix = limit.as_ref().map(|(_, prefix)| prefix.clone()).unwrap_or_default();
        let used = used_bytes(table, &prefix).map_err(ControlError::Count)?;
        let limit_bytes = limit.map_or("off".to_owned(), |(bytes, _)| bytes.to_string());
        let counts = [
            ("stalled_waiting", &counters.stalled_waiting),
            ("reads", &counters.reads),
            ("writes", &counters.writes),
            ("fsyncs", &counters.fsyncs),
            ("dropped_bytes", &counters.dropped_bytes),
            ("written_back", &counters.written_back),
            ("enospc_returned", &counters.enospc_returned),
            ("failed_returned", &counters.failed_returned),
        ];
        let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name}={}", count.get())).collect();
        Ok(format!(
            "unsynced_bytes={} unsynced_files={} known_files={} used_bytes={used} limit_bytes={limit_bytes} limit_prefix={prefix} \
             {faults} {}",
            memory.bytes(),
            memory.file_count(),
            table.len(),
            counts.join(" "),
        ))
    }
}
