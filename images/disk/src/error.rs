//! Why the program ends.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::arguments::ArgumentError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line.
    #[error(transparent)]
    Arguments(#[from] ArgumentError),
    /// The directory with the synced state.
    #[error("failed to open backing directory {}: {cause}", path.display())]
    Backing {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// A mount that a killed process left behind.
    #[error("failed to detach the dead mount at {}: {cause}", path.display())]
    Detach {
        /// Its place.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The mount.
    #[error("failed to mount at {}: {cause}; it takes /dev/fuse and CAP_SYS_ADMIN", path.display())]
    Mount {
        /// Its place.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The control port.
    #[error("failed to listen on {address}: {cause}")]
    Listen {
        /// Its address.
        address: SocketAddr,
        /// What the system says.
        cause: io::Error,
    },
    /// The connection to the kernel.
    #[error("failed to serve the kernel's requests: {0}")]
    Serve(io::Error),
    /// Something a process can do as a rule.
    #[error("failed to {action}: {cause}")]
    Process {
        /// What.
        action: &'static str,
        /// What the system says.
        cause: io::Error,
    },
}
