//! A disk that is mounted for one test, and taken away after it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of its own with a backing directory and a mount point, and the daemon between them.
pub struct Mounted {
    folder: PathBuf,
    daemon: Child,
    port: u16,
    options: Vec<String>,
}

impl Mounted {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(options: &[&str]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pgquake-disk-{}-{number}", std::process::id()));
        for name in ["backing", "mount"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let (daemon, port) = start(&folder, &options);
        Self { folder, daemon, port, options }
    }

    /// A path on the disk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join("mount").join(name)
    }

    /// The same path in the backing directory.
    pub fn backing(&self, name: &str) -> PathBuf {
        self.folder.join("backing").join(name)
    }

    /// Ends the daemon by SIGKILL and mounts anew: power loss.
    pub fn lose_power(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        (self.daemon, self.port) = start(&self.folder, &self.options);
    }

    /// Ends the daemon by SIGTERM: everything is kept.
    pub fn end(&mut self) {
        kill(Pid::from_raw(self.daemon.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        assert!(self.daemon.wait().unwrap().success());
    }

    /// Sends a command and gives the answer.
    pub fn tell(&self, command: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        connection.set_read_timeout(Some(PATIENCE)).unwrap();
        writeln!(connection, "{command}").unwrap();
        let mut answer = String::new();
        BufReader::new(connection).read_line(&mut answer).unwrap();
        answer.trim_end().to_owned()
    }

    /// Sends a command that must work.
    pub fn order(&self, command: &str) {
        let answer = self.tell(command);
        assert!(answer == "ok" || answer.starts_with("ok "), "{command}: {answer}");
    }

    /// One number from the status.
    pub fn status(&self, name: &str) -> u64 {
        let answer = self.tell("status");
        let value = answer.split(' ').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        value.and_then(|(_, value)| value.parse().ok()).unwrap_or_else(|| panic!("no number {name} in {answer}"))
    }

    /// Waits until a number in the status is `wanted`.
    pub fn wait_for(&self, name: &str, wanted: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.status(name) != wanted {
            assert!(Instant::now() < deadline, "after {PATIENCE:?} {name} is not {wanted}: {}", self.tell("status"));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn start(folder: &Path, options: &[String]) -> (Child, u16) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_pgquake-disk"))
        .arg(folder.join("backing"))
        .arg(folder.join("mount"))
        // The daemon takes a free port itself: one that is looked for here can be another's before it listens.
        .args(["--listen", "127.0.0.1:0"])
        .args(options)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.trim_end().strip_prefix("mounted, listening on 127.0.0.1:");
    let port = port.unwrap_or_else(|| panic!("the tests mount: they need root and /dev/fuse; printed: {line:?}"));
    (daemon, port.parse().unwrap())
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
        umount2(&self.folder.join("mount"), MntFlags::MNT_DETACH).ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}
