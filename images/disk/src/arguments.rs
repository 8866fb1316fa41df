//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How to call the program.
pub const USAGE: &str = "usage: pgquake-disk BACKING MOUNTPOINT [--listen 127.0.0.1:PORT] [--memory-limit-mib MIB]";
const MEMORY_LIMIT_MIB: u64 = 1024;

/// What the program is called with.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The directory that has the synced state. It may be the mount point itself: the mount then covers it.
    pub backing: PathBuf,
    /// Where the disk is mounted.
    pub mountpoint: PathBuf,
    /// Where the control port is, if there is to be one.
    pub listen: Option<SocketAddr>,
    /// Unsynced bytes beyond which the oldest files are written back.
    pub memory_limit_bytes: u64,
}

/// Why they can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Too few, too many, or an unknown option.
    #[error("{USAGE}")]
    Usage,
    /// The control port would be open to others.
    #[error("failed to read --listen {0:?}: expected a loopback address and a port, such as 127.0.0.1:7099")]
    Listen(String),
    /// Not a size.
    #[error("failed to read --memory-limit-mib {0:?}: expected a whole number of MiB")]
    MemoryLimit(String),
}

impl Arguments {
    /// Reads them, without the program's name.
    ///
    /// # Errors
    /// Says what is expected.
    pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Self, ArgumentError> {
        let mut arguments = arguments;
        let (mut folders, mut listen, mut memory_limit_mib) = (Vec::new(), None, MEMORY_LIMIT_MIB);
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--listen") => listen = Some(loopback(value(&mut arguments)?)?),
                Some("--memory-limit-mib") => memory_limit_mib = mebibytes(value(&mut arguments)?)?,
                Some(option) if option.starts_with("--") => return Err(ArgumentError::Usage),
                _ => folders.push(PathBuf::from(argument)),
            }
        }
        match <[PathBuf; 2]>::try_from(folders) {
            Ok([backing, mountpoint]) => {
                Ok(Self { backing, mountpoint, listen, memory_limit_bytes: memory_limit_mib.saturating_mul(1 << 20) })
            }
            Err(_) => Err(ArgumentError::Usage),
        }
    }
}

fn value(arguments: &mut impl Iterator<Item = OsString>) -> Result<String, ArgumentError> {
    arguments.next().and_then(|value| value.into_string().ok()).ok_or(ArgumentError::Usage)
}

/// Whoever reaches the port can break the disk.
fn loopback(text: String) -> Result<SocketAddr, ArgumentError> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or(ArgumentError::Listen(text))
}

fn mebibytes(text: String) -> Result<u64, ArgumentError> {
    text.parse().map_err(|_| ArgumentError::MemoryLimit(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ArgumentError> {
        Arguments::parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn options_have_defaults_and_may_stand_anywhere() {
        let arguments = parse("/a /b").unwrap();
        assert_eq!((arguments.listen, arguments.memory_limit_bytes), (None, 1 << 30));
        let arguments = parse("--listen 127.0.0.1:7099 /a --memory-limit-mib 2 /b").unwrap();
        assert_eq!(arguments.listen, "127.0.0.1:7099".parse().ok());
        assert_eq!(arguments.memory_limit_bytes, 2 << 20);
        assert_eq!((arguments.backing, arguments.mountpoint), ("/a".into(), "/b".into()));
    }

    #[test]
    fn only_the_loopback_address_is_listened_on() {
        assert_eq!(parse("/a /b --listen 0.0.0.0:1"), Err(ArgumentError::Listen("0.0.0.0:1".into())));
        assert_eq!(parse("/a /b --memory-limit-mib x"), Err(ArgumentError::MemoryLimit("x".into())));
        for line in ["/a", "/a /b /c", "/a /b --listen", "/a /b --fast"] {
            assert_eq!(parse(line), Err(ArgumentError::Usage), "{line}");
        }
    }
}
