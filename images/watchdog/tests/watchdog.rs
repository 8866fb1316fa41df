//! The device on a real mount. It takes root and /dev/fuse; each has a PID namespace of its own, in which a reset kills all
//! that there is.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

nix::ioctl_read!(get_support, b'W', 0, [u8; 40]);
nix::ioctl_read!(set_options, b'W', 4, i32);
nix::ioctl_read!(keep_alive, b'W', 5, i32);
nix::ioctl_readwrite!(set_timeout, b'W', 6, i32);
nix::ioctl_read!(get_timeout, b'W', 7, i32);

/// A host: a namespace whose first process waits, with a second one and the watchdog in it.
struct Host {
    folder: PathBuf,
    /// Outside of the namespace.
    first: Child,
    lines: BufReader<ChildStdout>,
}

impl Host {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("pgquake-watchdog-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("dev")).unwrap();
        let script = "sleep 1000 & echo $! > $1/victim; \
                      $0 $1/dev --user nobody -- sh -c \"echo silent > $1/silenced\" & \
                      echo $! > $1/program; wait; echo > $1/survived; sleep 1000";
        let mut first = Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "sh", "-c", script, env!("CARGO_BIN_EXE_pgquake-watchdog")])
            .arg(&folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(first.stdout.take().unwrap());
        let mut host = Self { folder, first, lines };
        assert_eq!(host.line(), "mounted");
        host
    }

    /// The next line that the watchdog prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().strip_prefix("pgquake-watchdog: ").unwrap_or(&line).to_owned()
    }

    fn device(&self) -> PathBuf {
        self.folder.join("dev/watchdog")
    }

    /// Opens it as Patroni does.
    fn open(&self) -> std::io::Result<File> {
        OpenOptions::new().write(true).open(self.device())
    }

    /// Whether all but the first process was killed.
    fn was_reset(&self) -> bool {
        // The first process has waited for its children.
        self.folder.join("survived").exists()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.first.kill().ok();
        self.first.wait().ok();
        umount2(&self.folder.join("dev"), MntFlags::MNT_DETACH).ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[allow(unsafe_code)]
fn timeout_s(device: &File, seconds: i32) -> Result<i32, Errno> {
    let mut seconds = seconds;
    unsafe { set_timeout(device.as_raw_fd(), &mut seconds) }.map(|_| seconds)
}

/// The milliseconds that a line such as `resetting unfed_ms=1001` tells.
fn told_ms(line: &str, what: &str) -> u64 {
    let told = line.strip_prefix(what).unwrap_or_else(|| panic!("{line:?} is not {what}"));
    told.parse().unwrap()
}

#[test]
#[allow(unsafe_code)]
fn it_answers_as_a_watchdog_of_the_kernel() {
    let mut host = Host::new();
    let device = host.open().unwrap();
    assert_eq!(host.line(), "armed timeout_ms=60000");
    let (mut info, mut seconds) = ([0; 40], 0);
    unsafe { get_support(device.as_raw_fd(), &mut info) }.unwrap();
    // The options that Patroni looks for: a timeout that can be set, and the magic close.
    assert_eq!(u32::from_ne_bytes(info[..4].try_into().unwrap()), 0x8180);
    assert!(info[8..].starts_with(b"pgquake watchdog\0"));
    assert_eq!(timeout_s(&device, 25), Ok(25));
    assert_eq!(host.line(), "armed timeout_ms=25000");
    unsafe { get_timeout(device.as_raw_fd(), &mut seconds) }.unwrap();
    assert_eq!(seconds, 25);
    assert_eq!(timeout_s(&device, 0), Err(Errno::EINVAL));
    unsafe { keep_alive(device.as_raw_fd(), &mut seconds) }.unwrap();
    assert_eq!(unsafe { set_options(device.as_raw_fd(), &mut seconds) }, Err(Errno::ENOTTY));
    assert_eq!(host.open().unwrap_err().raw_os_error(), Some(Errno::EBUSY as i32), "one has it at a time");
}

#[test]
fn it_is_its_users_own() {
    let host = Host::new();
    let found = fs::metadata(host.device()).unwrap();
    let nobody = nix::unistd::User::from_name("nobody").unwrap().unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (nobody.uid.as_raw(), 0o600));
}

#[test]
fn not_fed_it_tells_silences_the_host_and_kills_all() {
    let mut host = Host::new();
    let mut device = host.open().unwrap();
    timeout_s(&device, 1).unwrap();
    let (_, _) = (host.line(), host.line());
    // Fed, it lets its host live for longer than its timeout.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_millis(400));
        device.write_all(b"1").unwrap();
    }
    assert!(!host.was_reset());
    let fed = Instant::now();
    let announced_ms = told_ms(&host.line(), "expiring unfed_ms=");
    let unfed_ms = told_ms(&host.line(), "resetting unfed_ms=");
    assert!((700..1000).contains(&announced_ms) && (1000..1300).contains(&unfed_ms), "{announced_ms}, {unfed_ms}");
    until("the death of all processes", || host.was_reset());
    assert!(fed.elapsed() < Duration::from_secs(2));
    assert_eq!(fs::read_to_string(host.folder.join("silenced")).unwrap(), "silent\n", "silence comes first");
    assert!(device.write_all(b"1").is_err());
}

#[test]
fn a_magic_close_disarms_it_and_a_death_does_not() {
    let mut host = Host::new();
    let mut device = host.open().unwrap();
    timeout_s(&device, 1).unwrap();
    let (_, _) = (host.line(), host.line());
    device.write_all(b"V").unwrap();
    drop(device);
    assert_eq!(host.line(), "disarmed");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!host.was_reset());
    // Whoever dies closes nothing in good order.
    drop(host.open().unwrap());
    assert_eq!(host.line(), "armed timeout_ms=1000");
    assert_eq!(host.line(), "closed and not disarmed");
    told_ms(&host.line(), "expiring unfed_ms=");
    until("the death of all processes", || host.was_reset());
}

#[test]
fn a_feed_after_the_announcement_saves_the_host() {
    let mut host = Host::new();
    let mut device = host.open().unwrap();
    timeout_s(&device, 2).unwrap();
    let (_, _) = (host.line(), host.line());
    told_ms(&host.line(), "expiring unfed_ms=");
    device.write_all(b"1").unwrap();
    assert_eq!(host.line(), "fed at last");
    std::thread::sleep(Duration::from_millis(500));
    assert!(!host.was_reset());
}

#[test]
fn stopped_it_looks_again_when_it_is_continued() {
    let mut host = Host::new();
    let device = host.open().unwrap();
    timeout_s(&device, 1).unwrap();
    let (_, _) = (host.line(), host.line());
    // The program's id outside of its namespace: that of the process whose device it serves.
    let program = Command::new("pgrep").args(["-f", &format!("{}/dev --user", host.folder.display())]).output();
    let found = String::from_utf8(program.unwrap().stdout).unwrap();
    let pids: Vec<i32> = found.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let is_program = |pid: &&i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with("pgquake-watchd"))
    };
    let pid = Pid::from_raw(**pids.iter().filter(is_program).collect::<Vec<_>>().first().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(!host.was_reset());
    kill(pid, Signal::SIGCONT).unwrap();
    assert!(told_ms(&host.line(), "expiring unfed_ms=") >= 1500);
    assert!(told_ms(&host.line(), "resetting unfed_ms=") >= 1500);
    until("the death of all processes", || host.was_reset());
}
