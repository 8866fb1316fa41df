//! Keeps the time: a thread that looks when something is due, announces a reset, and carries it out.

use std::ffi::OsString;
use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::PREFIX;
use crate::reset;
use crate::timer::{Due, Timer};

/// A watchdog that runs.
pub struct Keeper {
    shared: Arc<Shared>,
    lines: Sender<String>,
}

#[derive(Default)]
struct Shared {
    timer: Mutex<Timer>,
    changed: Condvar,
}

impl Shared {
    fn timer(&self) -> MutexGuard<'_, Timer> {
        // Whoever panicked left a time behind that is as good as any.
        self.timer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Starts one that is not open yet. `command` takes the host off the network.
    ///
    /// # Errors
    /// If there are no threads to be had.
    pub fn start(command: Vec<OsString>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (lines, printed) = channel::<String>();
        // Who prints may have to wait for a reader, and a watchdog must not.
        thread::Builder::new().name("lines".into()).spawn(move || {
            for line in printed {
                let mut out = io::stdout();
                drop(writeln!(out, "{PREFIX}{line}").and_then(|()| out.flush()));
            }
        })?;
        let (watched, said) = (Arc::clone(&shared), lines.clone());
        thread::Builder::new().name("timer".into()).spawn(move || keep(&watched, &said, &command))?;
        Ok(Self { shared, lines })
    }

    /// Prints a line.
    pub fn say(&self, line: impl Into<String>) {
        // Its reader ends with the process alone.
        drop(self.lines.send(line.into()));
    }

    /// Does something to the timer now.
    pub fn with<T>(&self, change: impl FnOnce(&mut Timer, Instant) -> T) -> T {
        let done = change(&mut self.shared.timer(), Instant::now());
        self.shared.changed.notify_all();
        done
    }
}

fn keep(shared: &Shared, lines: &Sender<String>, command: &[OsString]) {
    let say = |line: String| drop(lines.send(line));
    let mut timer = shared.timer();
    loop {
        match timer.due(Instant::now()) {
            Due::Nothing => timer = shared.changed.wait(timer).unwrap_or_else(PoisonError::into_inner),
            Due::In(time) => {
                let waited = shared.changed.wait_timeout(timer, time);
                timer = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            Due::Announcement(unfed) => say(format!("expiring unfed_ms={}", milliseconds(unfed))),
            // The lock is kept: nobody feeds it any more.
            Due::Reset(unfed) => {
                say(format!("resetting unfed_ms={}", milliseconds(unfed)));
                reset::reset(command, say);
            }
        }
    }
}

/// A duration in whole milliseconds.
pub fn milliseconds(time: Duration) -> u128 {
    time.as_millis()
}
