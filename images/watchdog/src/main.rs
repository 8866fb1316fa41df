//! A watchdog device for a kernel that has none: what opens it must feed it, or its host is reset.
//!
//! `pgquake-watchdog DIRECTORY --user USER [-- COMMAND ARGUMENT…]` mounts a file system at DIRECTORY through FUSE, whose only
//! file, `watchdog`, takes what Linux' `/dev/watchdog` takes. It runs in the foreground, and needs /dev/fuse and
//! CAP_SYS_ADMIN, in a container as outside. USER, and nobody else but root, may open the file.
//!
//! # What it does as the kernel's own
//!
//! - It starts when it is opened, with 60 s. Any write feeds it, and so do WDIOC_KEEPALIVE and WDIOC_SETTIMEOUT.
//! - Closed right after a `V` was written (the magic close), it stops. Closed otherwise it goes on: who was killed does not
//!   feed it any more, and the host is reset.
//! - One process has it at a time; another one gets EBUSY.
//! - WDIOC_GETSUPPORT, GETSTATUS, GETBOOTSTATUS, GETTIMEOUT, SETTIMEOUT (1 to 65535 s), GETTIMELEFT, KEEPALIVE.
//!
//! # What it can't
//!
//! - WDIOC_SETOPTIONS says by its number that it is read, and so FUSE hands the program no options: it gets ENOTTY.
//! - It is a process and not a kernel or a chip. Whoever stops it with SIGSTOP stops its time, too: it looks again as soon as
//!   it is continued. Killed, it resets nothing.
//!
//! # A reset
//!
//! COMMAND is run first, and has a second: it is what takes the host off the network, so that its peers hear nothing of the
//! end, as of a machine that is reset. Then every process gets SIGKILL that the program sees, in its own PID namespace: all of
//! a host where its services share one. The namespace's first process is spared by the kernel.
//!
//! # What it prints
//!
//! One line for each change, `pgquake-watchdog: ` and one of: `mounted`, `armed timeout_ms=…`, `disarmed`,
//! `closed and not disarmed`, `expiring unfed_ms=…` 300 ms before a reset, `fed at last` if that did not come, and
//! `resetting unfed_ms=…`. Who follows its output knows of a reset before it comes.
#![forbid(unsafe_code)]

mod arguments;
mod device;
mod ioctl;
mod keeper;
mod reset;
mod timer;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use fuser::{Config, MountOption, Session, SessionACL};
use nix::unistd::User;

use arguments::{ArgumentError, Arguments};
use device::Device;
use keeper::Keeper;

/// What every line that it prints begins with.
const PREFIX: &str = "pgquake-watchdog: ";

/// Why the program ends.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    #[error("failed to find the user {name}: {cause}")]
    User { name: String, cause: io::Error },
    #[error("failed to mount at {}: {cause}; it takes /dev/fuse and CAP_SYS_ADMIN", path.display())]
    Mount { path: PathBuf, cause: io::Error },
    #[error("failed to start a thread: {0}")]
    Thread(io::Error),
    #[error("failed to serve the kernel's requests: {0}")]
    Serve(io::Error),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PREFIX}{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Error> {
    let Arguments { directory, user: name, command } = Arguments::parse(std::env::args_os().skip(1))?;
    let user = match User::from_name(&name) {
        Ok(Some(user)) => user,
        Ok(None) => return Err(Error::User { name, cause: io::Error::from(io::ErrorKind::NotFound) }),
        Err(cause) => return Err(Error::User { name, cause: cause.into() }),
    };
    let keeper = Arc::new(Keeper::start(command).map_err(Error::Thread)?);
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("pgquake-watchdog".into()),
        MountOption::Subtype("pgquake-watchdog".into()),
        // The kernel checks permissions; everybody may try.
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    let device = Device::new(Arc::clone(&keeper), user.uid.as_raw(), user.gid.as_raw());
    let session = Session::new(device, &directory, &config).map_err(|cause| Error::Mount { path: directory, cause })?;
    keeper.say("mounted");
    session.run().map_err(Error::Serve)
}
