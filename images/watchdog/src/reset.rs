//! The reset: silence, and then no process is left.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long the command may take that takes the host off the network.
const SILENT_WITHIN: Duration = Duration::from_secs(1);
/// The time between two looks whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long the last lines may take to be read. Nothing else is left to wait for.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Takes the host off the network, and kills everything that runs on it. `say` takes what did not work: the kill
/// follows, whatever the command does.
pub fn reset(command: &[OsString], say: impl Fn(String)) -> ! {
    if let Err(reason) = silence(command) {
        say(format!("the host is still on the network: {reason}"));
    }
    // All but the namespace's first process and this one.
    let killed = kill(Pid::from_raw(-1), Signal::SIGKILL);
    if let Err(error) = killed {
        say(format!("failed to kill every process: {error}"));
    }
    thread::sleep(LAST_WORDS);
    std::process::exit(0)
}

fn silence(command: &[OsString]) -> Result<(), String> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let named = Path::new(program).display();
    let mut started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .map_err(|error| format!("failed to start {named}: {error}"))?;
    let begun = Instant::now();
    loop {
        match started.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{named} ended with {status}")),
            Ok(None) if begun.elapsed() >= SILENT_WITHIN => {
                return Err(format!("{named} took more than {} s", SILENT_WITHIN.as_secs()));
            }
            Ok(None) => thread::sleep(LOOK_EVERY),
            Err(error) => return Err(error.to_string()),
        }
    }
}
