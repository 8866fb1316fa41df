//! A disk that can lose power, fill up, stall and fail, as a file system over one directory.
//!
//! `pgquake-disk BACKING MOUNTPOINT` shows the directory BACKING at MOUNTPOINT, which may be the same path, through
//! FUSE. It runs in the foreground, prints a line that begins with `mounted` when the mount can be used, and needs
//! /dev/fuse and CAP_SYS_ADMIN, in a container as outside. BACKING must not be changed by anybody else meanwhile.
//!
//! # What is kept and what is lost
//!
//! - **Data** that was written is in the memory of this process until it is synced: fsync, fdatasync, and writes with
//!   O_SYNC or O_DSYNC put it into BACKING and sync it there. Killed with SIGKILL, or told to `drop`, the process takes
//!   everything else along, and files are what they were when they were last synced. All that happens at one instant
//!   for all files. How long a file is counts as data when it follows from writes.
//! - **Names and attributes** go straight to BACKING: create, rename, unlink, mkdir, chmod, chown, times, and sizes set
//!   by truncate or fallocate. So a file that was created, written and never synced is there and empty afterwards, as
//!   on ext4 with delayed allocation; and one that was renamed over another before it was synced has replaced it, empty.
//! - **Memory** is bounded. Beyond `--memory-limit-mib` the file that has been unsynced for longest is written back
//!   unasked, as a kernel does it; `written_back` in the status counts that.
//! - Ended in good order, by SIGTERM, SIGINT or an unmount, it writes everything back, as any file system does.
//! - sync(2) and syncfs(2) do not reach a FUSE file system; the command `sync` is there instead. What is written through
//!   a shared memory mapping arrives when the kernel writes it back, at the latest with an fsync.
//! - Writes are lost or kept as wholes: no page is torn.
//!
//! # The control port
//!
//! With `--listen 127.0.0.1:PORT`, one command a line, one answer a line, `ok …` or `error …`:
//!
//! | command | what it does |
//! | --- | --- |
//! | `status` | settings and counts, as `name=value` |
//! | `limit BYTES\|used [PREFIX]`, `limit off` | what would make files longer than so many bytes together, and what would make new ones, gets ENOSPC; `used` is full at once; statfs shows it |
//! | `delay read\|write\|sync\|all MS [PREFIX]`, `delay off` | each operation takes longer |
//! | `throttle BYTES_PER_S`, `throttle off` | bytes read, and bytes synced, share this rate |
//! | `stall [PREFIX]`, `resume` | operations hang; nothing else does |
//! | `fail read\|write\|sync\|all [PREFIX]`, `fail off` | operations get EIO; bytes that could not be synced stay unsynced |
//! | `drop` | everything unsynced is gone |
//! | `sync` | everything unsynced is written back and synced |
//! | `off` | ends every fault |
//!
//! PREFIX is a path below the mount point, such as `pg_wal`; without it the command is for the whole disk. Reads that
//! the kernel's page cache answers do not touch the disk, as with any disk; `delay` and `fail` empty that cache first,
//! for what they concern. Looking up names, reading attributes and opening what is there never wait and never fail.
//! A process that hangs in a stall can't be killed until `resume`, as with a disk that hangs.
#![forbid(unsafe_code)]

mod arguments;
mod control;
mod counters;
mod disk;
mod error;
mod faults;
mod filesystem;
mod inode;
mod memory;
mod operation;
mod prefix;
mod space;
mod unsynced;
mod workers;

use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use fuser::{Config, MountOption, Session, SessionACL};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, umount2};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::statvfs;

use arguments::Arguments;
use control::Caches;
use disk::Disk;
use error::Error;
use filesystem::{Filesystem, THREADS};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pgquake-disk: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let arguments = Arguments::parse(std::env::args_os().skip(1))?;
    let end_signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    end_signals.thread_block().map_err(|cause| Error::Process { action: "block signals", cause: cause.into() })?;
    // Modes come from the kernel with the caller's umask taken off.
    umask(Mode::empty());
    allow_many_files();
    detach_dead_mount(&arguments.mountpoint)?;
    let backing = open_backing(&arguments.backing)?;
    let disk = Disk::new(backing, arguments.memory_limit_bytes)
        .map_err(|cause| Error::Backing { path: arguments.backing.clone(), cause })?;
    let disk = Arc::new(disk);
    let listener =
        arguments.listen.map(|address| TcpListener::bind(address).map_err(|cause| Error::Listen { address, cause }));
    let listener = listener.transpose()?;
    let ready = ready_line(listener.as_ref())?;
    let session = mount(&disk, &arguments.mountpoint)?;
    if let Some(listener) = listener {
        let caches = Caches::new(Arc::clone(&disk), session.notifier());
        control::serve(listener, Arc::clone(&disk), caches)
            .map_err(|cause| Error::Process { action: "start a thread", cause })?;
    }
    end_on_signal(end_signals, disk, arguments.mountpoint)?;
    let mut out = io::stdout();
    writeln!(out, "{ready}").and_then(|()| out.flush()).map_err(|cause| Error::Process { action: "print", cause })?;
    session.run().map_err(Error::Serve)
}

/// What is printed once the disk can be used: `mounted`, and the control port's address, since port 0 takes any free one.
fn ready_line(listener: Option<&TcpListener>) -> Result<String, Error> {
    let Some(listener) = listener else { return Ok("mounted".into()) };
    let address = listener.local_addr().map_err(|cause| Error::Process { action: "read the control port", cause })?;
    Ok(format!("mounted, listening on {address}"))
}

/// Each file that the kernel knows takes a descriptor: as many as are allowed. Fewer are no reason to stop.
fn allow_many_files() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        setrlimit(Resource::RLIMIT_NOFILE, most, most).ok();
    }
}

/// A mount whose process was killed stays, and what the kernel can't answer itself fails with ENOTCONN.
fn detach_dead_mount(mountpoint: &Path) -> Result<(), Error> {
    while statvfs(mountpoint).err() == Some(Errno::ENOTCONN) {
        umount2(mountpoint, MntFlags::MNT_DETACH)
            .map_err(|cause| Error::Detach { path: mountpoint.to_owned(), cause: cause.into() })?;
    }
    Ok(())
}

/// Opened before the mount: the same path means something else afterwards, if the mount covers it.
fn open_backing(path: &Path) -> Result<OwnedFd, Error> {
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(|cause| Error::Backing { path: path.to_owned(), cause: cause.into() })
}

fn mount(disk: &Arc<Disk>, mountpoint: &Path) -> Result<Session<Filesystem>, Error> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("pgquake-disk".into()),
        MountOption::Subtype("pgquake-disk".into()),
        // The kernel checks permissions; everybody may try.
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    config.n_threads = Some(THREADS);
    Session::new(Filesystem::new(Arc::clone(disk)), mountpoint, &config)
        .map_err(|cause| Error::Mount { path: mountpoint.to_owned(), cause })
}

/// Ends in good order: nothing new arrives, then everything is written back.
fn end_on_signal(signals: SigSet, disk: Arc<Disk>, mountpoint: PathBuf) -> Result<(), Error> {
    let wait = move || {
        signals.wait().ok();
        umount2(&mountpoint, MntFlags::MNT_DETACH).ok();
        let code = match disk.sync_all() {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("pgquake-disk: failed to sync at the end: {error}");
                1
            }
        };
        std::process::exit(code);
    };
    let started = thread::Builder::new().name("signals".into()).spawn(wait);
    started.map(drop).map_err(|cause| Error::Process { action: "start a thread", cause })
}
